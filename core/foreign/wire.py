"""What the logs of others are made of: records within files, and fields within records.

Knows bytes, not their meaning. An unfinished end of a file is not written yet.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from ..regular import open_regular

Value = int | bytes
_BLOCK = 32768
_MOST_BYTES = 1 << 28


def fields(message: bytes) -> Iterator[tuple[int, Value]]:
    """Yields (number, value) of a message in the wire format of protobuf, in their order.

    A value is a whole number, not negative, or else the bytes of a text, a message or a float
    (protobuf.dev/programming-guides/encoding).

    Raises:
        ValueError: The bytes are no such message.
    """
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        kind = key & 7
        if kind == 0:
            value, at = _varint(message, at)
            yield key >> 3, value
            continue
        if kind not in (1, 2, 5):
            raise ValueError(f"the wire type {kind} is not known")
        size = {1: 8, 5: 4}.get(kind, 0)
        if kind == 2:
            size, at = _varint(message, at)
        if at + size > len(message):
            raise ValueError("the message ends within a field")
        yield key >> 3, message[at : at + size]
        at += size


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            break
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("a number does not end")


def parts(message: bytes, number: int) -> Iterator[bytes]:
    """Yields the texts or messages of one field."""
    for found, value in fields(message):
        if found == number and isinstance(value, bytes):
            yield value


def real(value: Value) -> float:
    """Returns a float of 4 or 8 bytes.

    Raises:
        ValueError: It is none.
    """
    if not isinstance(value, bytes) or len(value) not in (4, 8):
        raise ValueError("it is not a float")
    return struct.unpack("<f" if len(value) == 4 else "<d", value)[0]


def tf_records(path: Path) -> Iterator[bytes]:
    """Yields the records of a file of TensorFlow's format: length, checksum, data, checksum.

    Checksums are not looked at (tensorflow.org/tutorials/load_data/tfrecord).

    Raises:
        OSError: It cannot be read.
    """
    with open_regular(path) as file:
        while len(head := file.read(12)) == 12:
            size = int.from_bytes(head[:8], "little")
            if size > _MOST_BYTES:  # no record, but damage: where the next one begins is unknown
                return
            data = file.read(size + 4)
            if len(data) < size + 4:
                return
            yield data[:size]


def level_records(path: Path, at: int) -> Iterator[bytes]:
    """Yields the records of a log of LevelDB's format that begins at a place of a file.

    Blocks of 32 KiB hold pieces, each with a header of checksum, length and kind: 1 is a whole
    record, 2, 3 and 4 are its first, middle and last piece (leveldb/doc/log_format.md).

    Raises:
        OSError: It cannot be read.
    """
    with open_regular(path) as file:
        record = b""
        file.seek(at)
        while (piece := _piece(file)) is not None:
            kind, data = piece
            record = data if kind in (1, 2) else record + data
            if kind in (1, 4):
                yield record
                record = b""


def _piece(file: BinaryIO) -> tuple[int, bytes] | None:
    left = _BLOCK - file.tell() % _BLOCK
    if left < 7:  # no header fits into the rest of the block
        file.seek(left, 1)
    head = file.read(7)
    if len(head) < 7:
        return None
    size = int.from_bytes(head[4:6], "little")
    data = file.read(size)
    return (head[6], data) if len(data) == size else None
