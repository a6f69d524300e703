"""Opens data files for reading: unpacks gzip, counts bytes, sees what is not what it claims."""

import gzip
import io
import re
import zlib
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from .raw_rows import Unreadable

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

LONGEST = 256 << 20
"""Bytes or characters of the longest row that is read; one more is a damaged file, not a row."""

READ_ERRORS = (OSError, EOFError, zlib.error)
"""What reading a file, packed or not, can raise; gzip's own error is an OSError."""

_POINTER = "this is a git-lfs pointer, not the data"
_UTF16 = "it is UTF-16 text, not UTF-8"
_MAGIC = (
    (b"version https://git-lfs.github.com/spec", _POINTER),
    (b"PAR1", "it is a parquet file"),
    (b"ARROW1", "it is an arrow file"),
    (b"\x1f\x8b", "it is packed with gzip; its name must end in .gz"),
    (b"PK\x03\x04", "it is a zip archive or an office document"),
    (b"BZh", "it is packed with bzip2"),
    (b"\xfd7zXZ", "it is packed with xz"),
    (b"\x28\xb5\x2f\xfd", "it is packed with zstd"),
    (b"%PDF", "it is a PDF file"),
    (b"\xff\xfe", _UTF16),
    (b"\xfe\xff", _UTF16),
)
_OTHERWISE = "give the file itself, under its right ending"
_REMEDIES = {
    _POINTER: "run `git lfs pull` where it came from",
    _UTF16: "save it as UTF-8 (in Excel: CSV UTF-8)",
}
_HTML = re.compile(rb"\s*(?:<!doctype html|<html|<head|<\?xml)", re.IGNORECASE)
_CONTROLS = bytes(code for code in range(32) if chr(code) not in "\t\n\r\f\x1b")


class _Counted(io.RawIOBase):
    """A file that tells how many bytes each read took from the disk."""

    def __init__(self, path: Path, tell: Callable[[int], None]) -> None:
        self._file = path.open("rb", buffering=0)
        self._tell = tell

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        got = self._file.readinto(buffer) or 0
        self._tell(got)
        return got

    def close(self) -> None:
        self._file.close()
        super().close()


@contextmanager
def open_bytes(
    path: Path, packed: bool, tell: Callable[[int], None]
) -> Generator[BinaryIO, None, None]:
    """Opens a text file of rows as unpacked bytes.

    Args:
        path: The file.
        packed: It is packed with gzip.
        tell: Told how many bytes were read from the disk, after each read.

    Raises:
        Unreadable: It cannot be opened, or is plainly something else.
    """
    try:
        raw = io.BufferedReader(_Counted(path, tell), 1 << 18)
    except OSError as error:
        raise Unreadable(why(error)) from error
    with raw:
        stream = gzip.GzipFile(fileobj=raw) if packed else raw
        try:
            if packed and (head := raw.peek(4096)[:4096]) and not head.startswith(b"\x1f\x8b"):
                refuse_strangers(head)
                raise Unreadable("it is not packed with gzip", "rename it if its ending is wrong")
            head = stream.peek(4096)[:4096]
        except READ_ERRORS as error:
            raise Unreadable(why(error)) from error
        refuse_strangers(head)
        _refuse_binary(head)
        # A GzipFile is all that is asked of a BinaryIO here, but is not declared as one.
        yield cast(BinaryIO, cast(Any, stream))


def why(error: BaseException) -> str:
    """Returns the reason of an error of `READ_ERRORS`, for a user."""
    if isinstance(error, EOFError):
        return "the gzip file is cut off"
    if isinstance(error, gzip.BadGzipFile | zlib.error):
        return f"the gzip file is damaged: {error}"
    return getattr(error, "strerror", None) or str(error)


def refuse_strangers(head: bytes, own: bytes = b"\0") -> None:
    """Refuses a file of another format, by its first bytes.

    Args:
        head: The first bytes.
        own: How the format begins that is expected.

    Raises:
        Unreadable: What the file is instead.
    """
    for magic, reason in _MAGIC:
        if head.startswith(magic) and magic != own:
            raise Unreadable(reason, _REMEDIES.get(reason, _OTHERWISE))
    if _HTML.match(head):
        raise Unreadable("it is a web page, not data", "download the file itself")


def _refuse_binary(head: bytes) -> None:
    controls = len(head) - len(head.translate(None, _CONTROLS))
    # A damaged line may hold some; a file that begins with this many was never text.
    if len(head) >= 64 and controls > len(head) // 20:
        raise Unreadable("it is binary, not text", "check that the file is what its ending says")
