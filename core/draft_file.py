"""The file of the draft, which every window of the application reads and writes."""

import contextlib
import os
from collections.abc import Generator
from pathlib import Path

import msgspec

from . import flock
from .draft import STEPS, Content, Draft, over_defaults
from .fields import check_raw
from .raw_values import remove
from .regular import read_small
from .rundir import home, put_aside, write_own

_LIMIT_BYTES = 1 << 24
_LOCK_PATIENCE_S = 2.0


def path_of() -> Path:
    """Returns the file of the draft."""
    return home() / "draft.json"


def save(data: bytes) -> None:
    """Writes the file; it is whole at every moment.

    Raises:
        SftError: The folder cannot be written.
    """
    write_own(path_of(), data)


def load() -> tuple[Draft, str]:
    """Reads the draft.

    Returns:
        It, and what is to be said about it: a file that cannot be read is put aside, not lost.
    """
    return DraftFile().load()


class DraftFile:
    """The file, and how this window last saw it.

    Attributes:
        seen: The draft that was last read or written here.
    """

    def __init__(self) -> None:
        self.seen = Content()
        self._bytes: bytes | None = None

    def load(self) -> tuple[Draft, str]:
        """As `load`."""
        content, told = self.look()
        return Draft(content), told

    def look(self) -> tuple[Content | None, str]:
        """Reads the file where it is not as it was last seen here.

        Returns:
            What it holds, None where that is nothing new, and what is to be said about it. It is
            `seen` only once the caller says so.
        """
        path = path_of()
        try:
            data = read_small(path, _LIMIT_BYTES)
            if data == self._bytes:
                return None, ""
            content = msgspec.json.decode(data, type=Content)
        except (FileNotFoundError, NotADirectoryError):
            return None, ""
        except (OSError, ValueError) as error:
            return None, put_aside(path, "The draft", error)
        self._bytes = data
        return _understood(content)

    def write(self, content: Content) -> None:
        """Writes the draft, which is `seen` from then on.

        Raises:
            SftError: As `save`.
        """
        data = msgspec.json.encode(content)
        save(data)
        self.seen, self._bytes = content, data


@contextlib.contextmanager
def held() -> Generator[None]:
    """Keeps other windows from writing between a look and a write, as far as the disk can.

    Where it cannot, or another window does not come to an end, the draft is written all the same.
    """
    try:
        descriptor = os.open(home() / "draft.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        yield
        return
    try:
        with contextlib.suppress(OSError):
            flock.take(descriptor, _LOCK_PATIENCE_S)
        yield
    finally:
        os.close(descriptor)


def _understood(content: Content) -> tuple[Content, str]:
    """Returns a draft without keys that mean nothing here, and what is to be said of them."""
    if content.step not in STEPS:
        content = content.but(step=STEPS[0])
    left_out: list[str] = []
    while problems := check_raw(over_defaults(content.values)):
        left_out += [problem.message for problem in problems]
        for problem in problems:
            remove(content.values, problem.path)
    told = f"Left out of the draft: {'; '.join(left_out)}." if left_out else ""
    return content, told
