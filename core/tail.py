"""Reads a growing JSON Lines file in batches, safe on torn lines, truncation and garbage.

Knows lines, not their meaning: what a line says is decided by its reader.
"""

import os
from pathlib import Path

from .regular import open_regular

_CHUNK = 1 << 22


class Tail:
    """Follows one file. Each `read` returns the complete lines that are new since the last.

    A last line without its newline is not written yet: it stays until it is complete. When the
    file shrank or was replaced, reading starts again from the top and `restarts` goes up.
    `offset` is where to begin: a place in bytes that an earlier tail's `progress` gave.
    """

    def __init__(self, path: Path, offset: int = 0) -> None:
        self.path = path
        self.restarts = 0
        self._offset = offset
        self._inode: int | None = None

    def progress(self) -> tuple[int, int]:
        """Returns how many bytes were read, and the size of the file."""
        try:
            return self._offset, max(self.path.stat().st_size, self._offset)
        except OSError:  # gone meanwhile
            return self._offset, self._offset

    def read(self, limit_bytes: int = _CHUNK) -> list[bytes]:
        """Returns new complete lines, without newlines, empty ones left out; see `read_block`."""
        return [line for line in self.read_block(limit_bytes).split(b"\n") if line.strip()]

    def read_block(self, limit_bytes: int = _CHUNK) -> bytes:
        """Returns new complete lines with their newlines, as they stand in the file.

        Args:
            limit_bytes: Roughly how much to read at once; a longer line is still read whole.

        Raises:
            OSError: The file cannot be read. A path that is no file (yet) gives no lines.
        """
        if not self.path.is_file():
            return b""
        try:
            with open_regular(self.path) as file:
                facts = os.fstat(file.fileno())
                replaced = self._inode is not None and facts.st_ino != self._inode
                if replaced or facts.st_size < self._offset:
                    self._offset = 0
                    self.restarts += 1
                self._inode = facts.st_ino
                file.seek(self._offset)
                block = file.read(limit_bytes)
                while block and b"\n" not in block:
                    more = file.read(limit_bytes)
                    if not more:
                        return b""
                    block += more
        except FileNotFoundError:
            return b""
        end = block.rfind(b"\n") + 1
        self._offset += end
        return block[:end]


def last_lines(path: Path, size_bytes: int) -> list[bytes]:
    """Returns the complete lines within the last `size_bytes` of a file, oldest first."""
    with open_regular(path) as file:
        length = file.seek(0, 2)
        start = max(0, length - size_bytes - 1)
        file.seek(start)
        block = file.read(size_bytes + 1)
    if start > 0:
        block = block[block.find(b"\n") + 1 :]
    end = block.rfind(b"\n") + 1
    return [line for line in block[:end].split(b"\n") if line.strip()]
