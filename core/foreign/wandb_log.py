"""Offline runs of W&B, from their `.wandb` files.

A .wandb file is 7 bytes of its own, then a log of LevelDB's format whose records are messages;
field numbers are those of wandb/proto/wandb_internal.proto.
"""

import json
import struct
from pathlib import Path
from typing import Any, cast

from ..errors import UsageError
from ..subject import Subject
from . import names, wire

_HEADER = 7
_HISTORY, _CONFIG, _RUN, _EXIT = 2, 5, 17, 18
_STEPS = ("train/global_step", "trainer/global_step", "global_step", "step", "_step")
"""Names of the step, the surest first: W&B's own counts every call that logs something."""


def find(path: Path) -> list[Path]:
    """Returns the logs of a run in their order: a resumed run has one for each start.

    They are found by their file, by their folder, or in a folder `wandb` that holds one run.

    Raises:
        UsageError: There are several runs.
    """
    if path.suffix == ".wandb" and path.is_file():
        return [path]
    known: dict[str, list[Path]] = {}
    for pattern in ("*.wandb", "*run-*/*.wandb", "wandb/*run-*/*.wandb"):
        for file in sorted(path.glob(pattern)):
            if not file.parent.is_symlink():  # latest-run
                known.setdefault(file.name, []).append(file)
        if known:
            break
    if len(known) > 1:
        raise UsageError(
            f"{path} holds several runs of W&B",
            ", ".join(files[0].parent.name for files in list(known.values())[:6]),
            "name the folder of one of them",
        )
    return [file for files in known.values() for file in files]


def read(path: Path, files: list[Path]) -> Subject:
    """Returns what W&B holds of a run.

    A start whose clock begins anew goes on where the one before ended.

    Raises:
        OSError: A file cannot be read.
    """
    subject = Subject(files[-1].parent.name, str(path), "W&B", by_clock=True)
    told: dict[str, Any] = {}
    clock = _Clock()
    for file in files:
        for record in wire.level_records(file, _HEADER):
            try:
                for number, value in wire.fields(record):
                    if isinstance(value, bytes):
                        _take(subject, told, clock, number, value)
            except (ValueError, struct.error, RecursionError):
                subject.damaged += 1
    told.pop("_wandb", None)
    subject.config = names.settings(told)
    return subject


class _Clock:
    """Seconds of all starts together, from those that each counts."""

    def __init__(self) -> None:
        self._before = self._last = 0.0

    def seconds(self, counted: float | None) -> float | None:
        if counted is None:
            return None
        if counted < self._last:  # another start counts from 0
            self._before += self._last
        self._last = counted
        return self._before + counted


def _take(subject: Subject, told: dict[str, Any], clock: _Clock, kind: int, record: bytes) -> None:
    if kind == _HISTORY:
        row = _items(record, 1)
        known = (names.number(row[name]) for name in _STEPS if name in row)
        step = next((step for step in known if step is not None and 0 <= step < 2**53), None)
        if step is not None:
            seconds = clock.seconds(names.number(row.get("_runtime")))
            names.add(subject.curves, row, int(step), seconds)
    elif kind == _CONFIG:
        _merge(told, _items(record, 1))
    elif kind == _RUN:
        subject.status = None  # until its end is told
        for config in wire.parts(record, 4):
            _merge(told, _items(config, 1))
        for name in wire.parts(record, 8):
            subject.name = name.decode("utf-8", "replace") or subject.name
    elif kind == _EXIT:
        failed = any(number == 1 and value for number, value in wire.fields(record))
        subject.status = "failed" if failed else "finished"


def _items(record: bytes, number: int) -> dict[str, Any]:
    """Returns the values of a record by their names; parts of a nested name are joined by /."""
    found: dict[str, Any] = {}
    for item in wire.parts(record, number):
        key = b"".join(wire.parts(item, 1)) or b"/".join(wire.parts(item, 2))
        text = b"".join(wire.parts(item, 16))
        if text:
            found[key.decode("utf-8", "replace")] = json.loads(text)
    return found


def _merge(told: dict[str, Any], more: dict[str, Any]) -> None:
    for path, value in more.items():
        *parents, last = path.split("/")
        place = told
        for parent in parents:
            inner = place.setdefault(parent, {})
            place = cast(dict[str, Any], inner) if isinstance(inner, dict) else {}
        place[last] = value
