"""Asks for the number of a row."""

from .....core.text import one_line
from ...dialogs import Ask


def ask_for_row(first: int, end: int | None) -> Ask:
    """Returns the dialog; it takes numbers from `first` to before `end`, where that is known."""
    known = f"{first} to {end - 1}" if end is not None else f"from {first} on"

    def check(text: str) -> str | None:
        number = text.strip().lstrip("#")
        wrong = not number.isascii() or not number.isdigit() or len(number) > 12
        if wrong or int(number) < first or (end is not None and int(number) >= end):
            return f"Give a number, {known}; you typed {one_line(text, 20) or 'nothing'}."
        return None

    return Ask(f"Number of the row, {known}", check)


def row_number(text: str) -> int:
    """Returns the number in what the dialog took, with or without #."""
    return int(text.strip().lstrip("#"))
