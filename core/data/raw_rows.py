"""What comes out of a data file: rows as they stand there, and rows that cannot be read."""

from typing import Any

import msgspec


class RawRow(msgspec.Struct):
    """One row as it stands in its file.

    `number` counts from 1 over the whole source, before any slice and with unreadable rows
    counted. `place` says where it is: "line 12", or "row 12" where a file has no lines; with
    several files, the file too: "train-00001.jsonl, line 12".
    """

    number: int
    place: str
    fields: dict[str, Any]


class BadRow(msgspec.Struct):
    """A row that cannot be read: its number and place as in `RawRow`, and why.

    JSON places hold a column too, counted from 1 in characters, or in bytes where the text is
    not UTF-8.
    """

    number: int
    place: str
    reason: str


class Unreadable(Exception):
    """A whole file cannot be read: why, and what to do about it."""

    def __init__(self, reason: str, remedy: str = "check the file, or get it again") -> None:
        super().__init__(reason, remedy)
        self.reason = reason
        self.remedy = remedy


def kind_name(value: object) -> str:
    """Returns what a decoded JSON value is, in words."""
    if value is None:
        return "null"
    names: dict[type, str] = {dict: "an object", list: "a list", str: "a text", bool: "a boolean"}
    return names.get(type(value), "a number")
