"""ASCII in place of every other character, for terminals that can draw nothing else.

It works on what is about to be drawn, so that no screen has to know. Every character becomes
as many ASCII characters as it has cells: nothing on the screen moves.
"""

import unicodedata
from functools import lru_cache

from rich.cells import cell_len
from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

_ALIKE = {
    "|": "│┃║╎╏┆┇┊┋▏▎▍▕▊▉╿╽‖",
    "-": "─━╌╍┄┅┈┉╸╺╴╶╼╾–—−‐‑▔▃▄",
    "=": "═▅▆",
    "+": "┌┐└┘├┤┬┴┼┏┓┗┛┣┫┳┻╋╔╗╚╝╠╣╦╩╬╭╮╰╯┍┑┕┙┝┥┯┷┿┎┒┖┚┠┨┰┸╂±✓✔",
    "#": "█▇▓■▪",
    ":": "▒",
    ".": "░·∙…⋯",
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
_TABLE = {other: ascii_ for ascii_, others in _ALIKE.items() for other in others}
_DOTS = " ..::-=+#"
"""A cell of braille by its number of dots, 0 to 8."""


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


@lru_cache(4096)
def to_ascii(text: str) -> str:
    """Returns ASCII that takes as many cells as `text`."""
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
        return [
            segment if segment.control else Segment(to_ascii(segment.text), segment.style)
            for segment in segments
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
