"""A row as lines of tokens: as text, with marks for white space, or with ids and labels.

What is drawn is safe for a terminal: characters that it would obey, or draw elsewhere than where
they stand, are shown as signs.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from rich.cells import cell_len

from .....core.data.results import PreviewedRow, Token
from ....widgets.pieces import NONE, Line, Piece

VIEWS = ("text", "tokens", "ids")
MASKS = ("colour", "brackets", "carets")
_IGNORED = -100
_MOST_SHOWN = 24
"""Cells of a token's text above its id."""
_ODD = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufe00-\ufe0f"
    "\ufeff\ufff0-\uffff\U000e0000-\U000e0fff\ud800-\udfff]"
)
_MARKS = {"text": {"\t": "    ", " ": " ", "\n": " "}, "tokens": {"\t": "→", " ": "·", "\n": "↵"}}
_ASCII = {"text": {"\t": "    ", " ": " ", "\n": " "}, "tokens": {"\t": "\\t", " ": "_",
          "\n": "\\n"}}  # fmt: skip


class Item(NamedTuple):
    """A token where it is shown: `place` counts without the cut, `cut` is what was taken away."""

    token: Token
    place: int
    cut: bool


def items_of(row: PreviewedRow) -> list[Item]:
    """Returns the tokens in their order, those that were cut where they stood."""
    at = row.cut_at if row.cut else len(row.tokens)
    kept = enumerate(row.tokens)
    items = [Item(token, place, False) for place, token in kept if place < at]
    items += [Item(token, at + place, True) for place, token in enumerate(row.cut)]
    ahead = row.cut_tokens
    items += [Item(token, at + ahead + place, False) for place, token in enumerate(row.tokens[at:])]
    return items


def lines_of(row: PreviewedRow, items: list[Item], width: int, view: str, mask: str) -> list[Line]:
    """Lays a row out; the items of the pieces are those of `items_of`, which are given."""
    note = _cut_note(row, mask)
    kinds = [_kind(item) for item in items]
    if view == "ids":
        return list(_with_ids(items, kinds, width, mask, note))
    paper = _Paper(width, mask, view)
    before = ""
    for number, (item, kind) in enumerate(zip(items, kinds, strict=True)):
        after = kinds[number + 1] if number + 1 < len(kinds) else ""
        if kind == "cut" and before != kind:
            paper.note(note)
        paper.token(number, item.token.text, kind, kind != before, kind != after)
        if kind == "cut" and after != kind and row.cut_tokens > len(row.cut):
            paper.note(f"... {row.cut_tokens - len(row.cut):,} more tokens are cut")
        before = kind
    return paper.done()


def _kind(item: Item) -> str:
    if item.cut:
        return "cut"
    if item.token.trained:
        return "trained"
    return "special" if item.token.special else "context"


def _cut_note(row: PreviewedRow, mask: str) -> str:
    lost = f"cut here: {row.cut_tokens:,} tokens lost, {row.cut_trained:,} were trained"
    return f"x {lost}" if mask == "carets" else f"✂ {lost}"


@lru_cache(1 << 14)  # tokens come again and again
def visible(text: str, form: str, mask: str) -> str:
    """Returns a text without line feeds as it is drawn.

    Args:
        text: The text.
        form: `text`, or `tokens` where white space is marked.
        mask: In `carets` there is nothing but ASCII.
    """
    marks = (_ASCII if mask == "carets" else _MARKS)[form]
    if mask == "carets":
        text = "".join(marks.get(letter, letter) for letter in text)
        if text.isascii() and text.isprintable():
            return text
        return "".join(letter if " " <= letter <= "~" else _escaped(letter) for letter in text)
    if text.isascii() and text.isprintable():
        return text.replace(" ", marks[" "])
    text = _ODD.sub(lambda found: _sign(found[0], marks), text).replace(" ", marks[" "])
    return text if not text or cell_len(text[0]) else f"◌{text}"  # it would change what is before


def _sign(letter: str, marks: dict[str, str]) -> str:
    code = ord(letter)
    if letter == "\t":
        return marks["\t"]
    if code < 32:
        return chr(0x2400 + code)
    if code == 127:
        return "␡"
    return "" if 0xFE00 <= code <= 0xFE0F else f"‹{code:04X}›"


def _escaped(letter: str) -> str:
    return letter.encode("unicode_escape").decode()


class _Paper:
    """Lines that are written on, token after token."""

    def __init__(self, width: int, mask: str, form: str) -> None:
        self._width = max(width, 4)
        self._mask = mask
        self._form = form
        self._feed = (_ASCII if mask == "carets" else _MARKS)[form]["\n"]
        self._lines: list[Line] = [[]]
        self._at = 0
        self._break = False

    def note(self, text: str) -> None:
        """Writes a line of its own."""
        if self._lines[-1]:
            self._lines.append([])
        self._lines[-1].append(Piece(text, "bad"))
        self._at, self._break = 0, True

    def token(self, number: int, text: str, kind: str, first: bool, last: bool) -> None:
        """Writes a token; `first` and `last` of its kind have the brackets of what is trained."""
        bracketed = kind == "trained" and self._mask != "carets"
        if self._form == "tokens":
            kind = f"{kind} edge" if number % 2 and kind != "cut" else kind
        part, *rest = text.split("\n") if "\n" in text else (text,)
        shown = visible(part, self._form, self._mask)
        if self._form == "tokens" and not text:  # it has no text of its own
            shown = _no_text(self._mask)
        if bracketed and first:
            self._put("▌", "bracket", number, len(shown))
        self._put(shown, kind, number)
        for part in rest:
            self._put(self._feed, kind, number)
            self._break = True
            self._put(visible(part, self._form, self._mask), kind, number)
        if bracketed and last:
            self._lines[-1].append(Piece("▐", "bracket", number))
            self._at += 1

    def _put(self, text: str, kind: str, item: int, ahead: int = 0) -> None:
        """Writes a piece, on the next line where it and what must stand behind it have no room."""
        if not text:
            return
        size = len(text) if text.isascii() else cell_len(text)
        if self._break or (self._at and self._at + size + ahead + 1 > self._width):
            self._lines.append([])
            self._at, self._break = 0, False
        if size < self._width:
            self._lines[-1].append(Piece(text, kind, item))
            self._at += size
            return
        for part in chopped(text, self._width - 1):
            if self._at:
                self._lines.append([])
            self._lines[-1].append(Piece(part, kind, item))
            self._at = cell_len(part)

    def done(self) -> list[Line]:
        """Returns the lines; under each the line of carets where they stand for colours."""
        if self._mask != "carets":
            return self._lines
        return [line for text in self._lines for line in (text, [*map(_caret, text)])]


def _caret(piece: Piece) -> Piece:
    mark = {"trained": "^", "cut": "x"}.get(piece.kind.partition(" ")[0], ".")
    return Piece((" " if piece.item == NONE else mark) * len(piece.text), "muted", piece.item)


def chopped(text: str, width: int) -> Iterator[str]:
    """Yields a text in parts of so many cells."""
    part, size = "", 0
    for letter in text:
        more = cell_len(letter)
        if size + more > width and part:
            yield part
            part, size = "", 0
        part, size = part + letter, size + more
    if part:
        yield part


def _with_ids(
    items: list[Item], kinds: list[str], width: int, mask: str, note: str
) -> Iterator[Line]:
    """Yields three lines for each line of tokens: their texts, their ids, their labels."""
    texts, ids, labels = Line(), Line(), Line()
    at = 0
    for number, (item, kind) in enumerate(zip(items, kinds, strict=True)):
        fresh = kind == "cut" and not (number and kinds[number - 1] == kind)
        size, shown, under, label = _column(item.token.text, item.token.id, kind, mask)
        if at and (at + size > width or fresh):
            yield from (texts, ids, labels, [])
            texts, ids, labels, at = [], [], [], 0
        if fresh:
            yield [Piece(note, "bad")]
        texts.append(Piece(shown, kind, number))
        ids.append(Piece(under, "muted", number))
        labels.append(Piece(label, kind, number))
        at += size
    if texts:
        yield from (texts, ids, labels)


@lru_cache(1 << 14)  # tokens come again and again
def _column(text: str, token_id: int, kind: str, mask: str) -> tuple[int, str, str, str]:
    """Returns how wide a token's column is, and its text, id and label in that width."""
    shown = _above_id(text, mask)
    if kind == "trained" and mask != "carets":
        shown = f"▌{shown}▐"
    label = "cut" if kind == "cut" else f"{token_id if kind == 'trained' else _IGNORED}"
    cells = len(shown) if shown.isascii() else cell_len(shown)
    size = max(cells, len(f"{token_id}"), len(label)) + 1
    return size, shown + " " * (size - cells), f"{token_id}".ljust(size), label.ljust(size)


def _above_id(text: str, mask: str) -> str:
    """Returns a token's text on one line, shortened; a sign where it has none of its own."""
    feed = (_ASCII if mask == "carets" else _MARKS)["tokens"]["\n"]
    shown = feed.join(visible(part, "tokens", mask) for part in text.split("\n"))
    return next(chopped(shown, _MOST_SHOWN), "") or _no_text(mask)


def _no_text(mask: str) -> str:
    """Returns the sign for a token without text of its own, such as a further byte."""
    return "." if mask == "carets" else "▫"
