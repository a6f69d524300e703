"""ASCII in place of every other character, for terminals that can draw nothing else.

It works on what is about to be drawn, so that no screen has to know. Every character becomes
as many ASCII characters as it has cells: nothing on the screen moves.
"""

import unicodedata
from functools import lru_cache
from itertools import accumulate, pairwise

from rich.cells import cell_len
from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

_ALIKE = {
    "|": "│┃║╎╏┆┇┊┋▏▎▍▕▊▉╿╽‖",
    "-": "─╌╍┄┅┈┉╸╺╴╶╼╾–—−‐‑▔▃▄",
    "=": "━═▅▆",
    "+": "┌┐└┘├┤┬┴┼┏┓┗┛┣┫┳┻╋╔╗╚╝╠╣╦╩╬╭╮╰╯┍┑┕┙┝┥┯┷┿┎┒┖┚┠┨┰┸╂±✓✔",
    "#": "█▇▓■▪",
    ":": "▒",
    ".": "░·∙⋯",
    "_": "▁▂⎯",
    "[": "▌",
    "]": "▐",
    ">": "▸▶►▹❯›»→⇒≥",
    "<": "◂◀◄‹«←⇐⏎↵≤",
    "^": "↑▲△⌃⇧",
    "v": "↓▼▽⌄√",
    "*": "●•◆◇★☆✦",
    "o": "○◌◦◯",
    "x": "×✗✘✕✖",
    "!": "⚠",
    "~": "≈∼",
    "'": "‘’´′°",
    '"': "“”„″",
    "%": "✂",
    "@": "⚿",
    "d": "Δ",
    "u": "μ",
    "8": "∞",
}
_DOTS_HERE = "\x7f"
"""Stands for an ellipsis until it is known what is around it; no line has such a character."""
_TABLE = {other: ascii_ for ascii_, others in _ALIKE.items() for other in others}
_TABLE["…"] = _DOTS_HERE
_DOTS = " ..::-++#"
"""A cell of braille by its number of dots, 0 to 8; "=" is an average's."""


_QUADRANTS = " ▘▝▀▖▌▞▛▗▚▐▜▄▙▟█"
"""By which quarters are filled: 1 top left, 2 top right, 4 bottom left, 8 bottom right."""
_HALVES = ((0x03, 1), (0x18, 2), (0x44, 4), (0xA0, 8))
"""The dots of braille that lie in each quarter."""


_ARROWS = {"←→": "Left/Right", "←": "Left", "→": "Right", "↑": "Up", "↓": "Down"}


def key_words(text: str) -> str:
    """Returns a text about keys with the arrows in words: `v` and `<` would be other keys."""
    for arrow, word in _ARROWS.items():
        text = text.replace(arrow, word)
    return text


def to_ascii(text: str) -> str:
    """Returns ASCII that takes as many cells as `text`."""
    return _with_dots(_plain(text))


def average_in_ascii(text: str) -> str:
    """Returns how an average is drawn: in one character, as the values are dots beside it."""
    return "".join("=" if 0x2800 < ord(each) <= 0x28FF else each for each in text)


def _with_dots(line: str) -> str:
    """Gives each ellipsis three dots: on free cells behind it, else over what stands beside it."""
    while (at := line.find(_DOTS_HERE)) >= 0:
        before, behind = line[max(at - 2, 0) : at], line[at + 1 : at + 4]
        free = len(behind) > 1 and not behind.strip(" -+|") and not behind[:2].strip(" -")
        if not free and line[at - 1 : at + 2 : 2] == "  ":
            first = at - 1
        elif free or len(before) < 2 or (" " in before and " " not in behind[:2]):
            first = at
        else:
            first = at - 2
        room = min(3, len(line) - first)
        line = f"{line[:first]}{'.' * room}{line[first + room :]}"
    return line


@lru_cache(4096)
def _plain(text: str) -> str:
    """Returns ASCII of as many cells, in which what stands for an ellipsis is yet to be drawn."""
    if text.isascii():
        return text
    width = cell_len(text)
    # Clusters such as flags have fewer cells than their characters: cut to what they take.
    return "".join(map(_one, text))[:width].ljust(width)


@lru_cache(4096)
def _one(character: str) -> str:
    if character.isascii():
        return character
    if character in _TABLE:
        return _TABLE[character]
    if 0x2800 <= ord(character) <= 0x28FF:
        return _DOTS[(ord(character) - 0x2800).bit_count()]
    width = cell_len(character)
    plain = unicodedata.normalize("NFKD", character)[:1]
    return plain if width == 1 and plain.isascii() else "?" * width


class AsciiFilter(LineFilter):
    """Turns the characters of every line into ASCII. Textual keeps the result by line."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """Returns the segments with other characters and the same widths."""
        plain = ["" if segment.control else _plain(segment.text) for segment in segments]
        if any(_DOTS_HERE in text for text in plain):  # its dots may stand in other segments
            line, ends = _with_dots("".join(plain)), [0, *accumulate(map(len, plain))]
            plain = [line[first:end] for first, end in pairwise(ends)]
        return [
            segment if segment.control else Segment(text, segment.style)
            for segment, text in zip(segments, plain, strict=True)
        ]


def _blocks(dots: int) -> str:
    return _QUADRANTS[sum(quarter for mask, quarter in _HALVES if dots & mask)]


_BLOCKS = {0x2800 + dots: _blocks(dots) for dots in range(256)}


class BlockFilter(LineFilter):
    """Draws quarters of cells in place of braille, which some fonts lack or draw thin."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """Returns the segments with other characters and the same widths."""
        return [
            segment
            if segment.control or segment.text.isascii()
            else Segment(segment.text.translate(_BLOCKS), segment.style)
            for segment in segments
        ]
