"""What clients ask of a running trainer: the commands of `control.jsonl`.

Any client appends one line with one `write`; the trainer answers each command in
`events.jsonl` by its `id`: `accepted`, then `done` or `refused`. A command that a trainer
never read before it ended is answered `expired` by the next one.
"""

import errno
import getpass
import os
import secrets
import stat
import time
from pathlib import Path
from typing import Any

import msgspec

from .errors import SftError

COMMANDS = ("stop", "checkpoint", "set")
FINAL_OUTCOMES = ("done", "refused", "expired")


class Command(msgspec.Struct, kw_only=True):
    """One command. `learning_rate` is the only value that `set` takes."""

    id: str
    t: float
    by: str
    command: str
    learning_rate: float | None = None


def author() -> str:
    """Returns who asks, as "name uid N": every viewer of the run sees it."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # a uid without an account, as in some containers
        name = "user"
    return f"{name} uid {os.getuid()}" if hasattr(os, "getuid") else name


def append(path: Path, command: str, **values: Any) -> str:
    """Appends a command for the trainer and returns its id.

    Args:
        path: The run's `control.jsonl`.
        command: One of `COMMANDS`.
        values: What the command takes, such as `learning_rate`.

    Raises:
        SftError: The file cannot be written (another user's run, a read-only mount, a full disk).
    """
    request = Command(
        id=secrets.token_hex(6), t=time.time(), by=author(), command=command, **values
    )
    line = msgspec.json.encode(request) + b"\n"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):  # a pipe would swallow it
                raise OSError(errno.EINVAL, "it is not a regular file")
            size = os.fstat(descriptor).st_size
            if size and os.pread(descriptor, 1, size - 1) != b"\n":
                line = b"\n" + line  # an earlier writer's line is torn: it must not swallow this
            written = os.write(descriptor, line)
            if written < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        finally:
            os.close(descriptor)
    except OSError as error:
        raise SftError(
            f"the run cannot be asked to {command}",
            f"{path}: {error.strerror}",
            "you can watch but not control a run whose folder you cannot write; "
            "ask its owner, or free space where it lies",
        ) from error
    return request.id


def decode(line: bytes) -> Command | None:
    """Decodes one line of `control.jsonl`; None when it is not a command."""
    try:
        return msgspec.json.decode(line, type=Command)
    except (msgspec.MsgspecError, RecursionError):  # damaged, or nested without end
        return None
