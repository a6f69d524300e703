"""How far a tracker has followed a run: `track.json`, written by the tracker's process alone."""

import os

import msgspec

from ..regular import read_small
from ..rundir import RunDir


class Followed(msgspec.Struct, kw_only=True):
    """What is known from one tracker's process to the next, and to the trainer.

    Every byte of `events.jsonl` before `offset` was handed over. `error` says why it ended.
    """

    kind: str
    project: str
    offset: int = 0
    error: str | None = None


def load(run: RunDir) -> Followed | None:
    """Returns how far the last tracker came; None when there was none, or nobody can tell."""
    try:
        return msgspec.json.decode(read_small(run.track), type=Followed)
    except (OSError, msgspec.MsgspecError, RecursionError):
        return None


def save(run: RunDir, followed: Followed) -> None:
    """Writes it, whole or not at all; not flushed to the disk, as that could slow the trainer.

    Raises:
        OSError: The run's folder cannot be written.
    """
    part = run.track.with_name(f".{run.track.name}")
    part.write_bytes(msgspec.json.encode(followed))
    os.replace(part, run.track)
