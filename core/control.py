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
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from .errors import SftError

COMMANDS = ("stop", "pause", "checkpoint", "evaluate", "sample", "extend", "dump", "set")
SETTABLE = ("learning_rate", "max_steps", "eval_every_steps", "save_every_steps")
"""What `set` changes."""
EXTENDABLE = ("max_steps", "epochs")
"""What `extend` takes: the new end of the whole run."""
FINAL_OUTCOMES = ("done", "refused", "expired")

_VALUES = (*SETTABLE, "epochs")
_TOLD = {"id": str, "command": str, "t": int | float, "by": str}
_MOST = 1_000_000_000


class Command(msgspec.Struct, kw_only=True):
    """One command; on its line the values stand beside the other fields."""

    id: str
    command: str
    t: float = 0.0
    by: str = "somebody"
    values: dict[str, Any] = {}
    """By name, one of `SETTABLE` or `EXTENDABLE`; as they were sent, so not checked."""


def problem(command: str, values: Mapping[str, Any]) -> str | None:
    """Returns why a command cannot be carried out by any trainer, or None."""
    if command not in COMMANDS:
        return f"this trainer knows {', '.join(COMMANDS)}"
    takes = {"set": SETTABLE, "extend": EXTENDABLE}.get(command, ())
    if wrong := [name for name in values if name not in takes]:
        return f"{command} takes {', '.join(takes) or 'no value'}; got {wrong[0]}"
    if takes and len(values) != 1:
        return f"{command} takes one of {', '.join(takes)}; got {', '.join(values) or 'none'}"
    for name, value in values.items():
        if not _fits(name, value):
            return f"{name} must be {_wanted(name)}; got {value}"
    return None


def _fits(name: str, value: Any) -> bool:
    if value is None:
        return name in ("eval_every_steps", "save_every_steps")
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    if name == "learning_rate":
        return 0 < value <= 1
    return isinstance(value, int) and 1 <= value <= _MOST


def _wanted(name: str) -> str:
    if name == "learning_rate":
        return "a number > 0 and ≤ 1"
    null = ", or null for at the end only" if name.endswith("_every_steps") else ""
    return f"a whole number from 1 to {_MOST:,}{null}"


def author() -> str:
    """Returns who asks, as "name uid N": every viewer of the run sees it."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # a uid without an account, as in some containers
        name = "user"
    return f"{name} uid {os.getuid()}" if hasattr(os, "getuid") else name


def may_append(path: Path) -> bool:
    """Returns whether a command could be appended; asked without making the file."""
    return os.access(path if os.path.exists(path) else path.parent, os.W_OK)


def append(path: Path, command: str, **values: Any) -> str:
    """Appends a command for the trainer and returns its id.

    Args:
        path: The run's `control.jsonl`.
        command: One of `COMMANDS`.
        values: What the command takes, such as `learning_rate`.

    Raises:
        SftError: The file cannot be written (another user's run, a read-only mount, a full disk).
    """
    request = Command(id=secrets.token_hex(6), t=time.time(), by=author(), command=command)
    fields = msgspec.to_builtins(request)
    del fields["values"]
    line = msgspec.json.encode({**fields, **values}) + b"\n"
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
            f"{error.strerror}: {path}",  # a long path is what a short line leaves out
            "you can watch but not control a run whose folder you cannot write; "
            "ask its owner, or free space where it lies",
        ) from error
    return request.id


def decode(line: bytes) -> Command | None:
    """Decodes one line of `control.jsonl`; None when it has no id that could be answered.

    A line written by hand may lack what is asked, when and by whom, or tell it wrongly: the first
    is refused.
    """
    try:
        raw = msgspec.json.decode(line, type=dict[str, Any])
    except (msgspec.MsgspecError, RecursionError):  # damaged, or nested without end
        return None
    told = {"command": ""}
    told |= {name: raw[name] for name, kind in _TOLD.items() if isinstance(raw.get(name), kind)}
    values = {name: raw[name] for name in _VALUES if name in raw}
    return msgspec.convert({**told, "values": values}, Command) if "id" in told else None
