"""Reads what W&B keeps of offline runs, as wandb ships no reader of its own."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def records(folder: Path) -> Iterator[Any]:
    """Yields wandb's records of all offline runs below a run directory, the oldest run first.

    A .wandb file is 7 bytes of its own, then LevelDB's log format (leveldb/doc/log_format.md):
    blocks of 32 KiB; a header of checksum, length and type, where type 1 is a whole record, and
    2, 3 and 4 are its first, middle and last part.
    """
    from wandb.proto.wandb_internal_pb2 import Record  # an extra, and slow to import

    for path in sorted(folder.glob("wandb/*run-*/*.wandb")):
        raw, at, parts = path.read_bytes(), 7, b""
        while at + 7 <= len(raw):
            left = 32768 - at % 32768
            if left < 7:
                at += left
                continue
            size, type_ = int.from_bytes(raw[at + 4 : at + 6], "little"), raw[at + 6]
            parts += raw[at + 7 : at + 7 + size]
            at += 7 + size
            if type_ in (1, 4):
                yield Record.FromString(parts)
                parts = b""


def history(record: Any) -> dict[str, Any]:
    """Returns the values of a history record by name; empty for another record."""
    return {
        (item.key or "/".join(item.nested_key)): json.loads(item.value_json)
        for item in record.history.item
    }
