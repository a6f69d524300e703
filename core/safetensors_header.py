"""The header of a safetensors file: its length, 8 bytes little-endian, and a JSON object.

The format is described in the README of huggingface/safetensors.
"""

import json
import os
from pathlib import Path
from typing import Any

from .errors import SftError
from .fields import as_list, as_map
from .regular import open_regular
from .text import one_line

HEADER_LIMIT_BYTES = 100_000_000
"""The longest header that the format's own library takes."""


def header_length(first: bytes, origin: str) -> int:
    """Returns the length in bytes of the header that follows a file's first 8 bytes.

    Raises:
        SftError: No safetensors begins so.
    """
    if len(first) < 8:
        raise unreadable(origin, "it ends before its header: no safetensors, or a broken copy")
    if first[:8] == b"version ":
        raise unreadable(origin, "it is a Git LFS pointer in place of the weights")
    length = int.from_bytes(first[:8], "little")
    if not 2 <= length <= HEADER_LIMIT_BYTES:
        raise unreadable(
            origin,
            f"it is no safetensors: its header would be {length:,} bytes long, and "
            f"{HEADER_LIMIT_BYTES:,} is the most",
        )
    return length


def parse_header(data: bytes, length: int, origin: str) -> dict[str, Any]:
    """Parses the bytes of a header whose length is known.

    Raises:
        SftError: They are fewer, or no JSON object.
    """
    if len(data) < length:
        raise unreadable(origin, "it ends within its header: the copy is not whole")
    header = json_object(data[:length])
    if header is None:
        raise unreadable(origin, "its header is no JSON object: no safetensors")
    return header


def read_header(path: Path) -> dict[str, Any]:
    """Reads the header of one safetensors file, and nothing behind it.

    Raises:
        SftError: The file cannot be read, or is no safetensors.
    """
    return _read(path)[0]


def damage(path: Path) -> str | None:
    """Returns why a file is not as its header says, None where it is; reads the header alone.

    A copy or a download that was cut off keeps its header: only the size tells.
    """
    try:
        header, begin, size = _read(path)
    except SftError as error:
        return error.why
    spans = [as_list(as_map(entry).get("data_offsets")) for entry in header.values()]
    ends = [span[1] for span in spans if len(span) == 2 and type(span[1]) is int]
    named = begin + max(ends, default=size - begin)
    return None if size == named else f"it has {size:,} bytes, and its header names {named:,}"


def _read(path: Path) -> tuple[dict[str, Any], int, int]:
    """Returns a file's header, where the tensors begin, and the size of the file."""
    try:
        with open_regular(path) as file:
            length = header_length(file.read(8), str(path))
            header = parse_header(file.read(length), length, str(path))
            return header, 8 + length, os.fstat(file.fileno()).st_size
    except OSError as error:
        raise unreadable(str(path), error.strerror or str(error)) from error


def json_object(data: bytes) -> dict[str, Any] | None:
    """Returns a JSON object, or None where the bytes are none."""
    try:
        value: Any = json.loads(data)
    except (ValueError, RecursionError):  # UnicodeDecodeError is a ValueError
        return None
    return as_map(value) if isinstance(value, dict) else None


def unreadable(origin: str, why: str) -> SftError:
    """Returns the message for a model whose facts cannot be read."""
    return SftError(
        f"the facts of {one_line(origin, 200)} cannot be read",
        one_line(why, 300),
        "check that the folder holds a whole model that transformers saved",
    )
