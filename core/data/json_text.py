"""The text of a JSON file, read piece by piece: values one at a time, and the place of each."""

import codecs
import io
import json
import re
from typing import Any, BinaryIO, cast

import msgspec

from .row_bytes import LONGEST, READ_ERRORS, why

_FIRST_PIECE = 1 << 16  # small, so that the first row is there at once
_PIECE = 1 << 20
_READ = 1 << 16
_SPACE = re.compile(r"[ \t\n\r]*")
# A string ends at a quote or, to be read on, with the text so far. A quote that its line does
# not close opens none: it is what is broken, and the brackets behind it count.
# The quantifiers are possessive: a broken string must not be tried again in every way.
_TOKEN = re.compile(r'"(?:[^"\\\n]|\\.)*+(?:"|\\?\Z)|[\[\]{},]')
_LAST_TOKEN = re.compile(r'"(?:[^"\\\n]|\\.)*+"|[\[\]{},]')
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|.)", re.DOTALL)
_NOT_UTF8 = re.compile(r"[\udc80-\udcff]")
_LONG_NUMBER = re.compile(r"\d{4301,}")  # Python converts no more digits
_NEAR_END = 16  # more than the longest literal or escape, which the end may have cut


class Broken(Exception):
    """No value can be read: the reason, and the offset in the text that shows it."""

    def __init__(self, reason: str, at: int) -> None:
        super().__init__(reason, at)
        self.reason = reason
        self.at = at


class TooLong(Exception):
    """A value does not end within the length that was asked for."""


def _constant(name: str) -> None:
    """Takes NaN, by which pandas writes a missing cell, as null; infinity has no meaning."""
    if name != "NaN":
        raise ValueError(f"{name} is not JSON")


_decoder = json.JSONDecoder(parse_constant=_constant)


def decode(text: str, at: int = 0) -> tuple[Any, int]:
    """Returns the value at an offset, and the offset behind it.

    Raises:
        Broken: There is none, or it holds text that no UTF-8 can hold.
    """
    try:
        value, end = _decoder.raw_decode(text, at)
    except json.JSONDecodeError as error:
        raise Broken(error.msg, error.pos) from error
    except RecursionError as error:
        raise Broken("it is nested too deeply", at) from error
    except ValueError as error:
        number = _LONG_NUMBER.search(text, at)
        reason = "a number has too many digits" if number else str(error)
        raise Broken(reason, number.start() if number else at) from error
    # Escapes may spell half of a surrogate pair, which nothing after this can encode.
    if text.find("\\ud", at, end) >= 0 or text.find("\\uD", at, end) >= 0:
        try:
            msgspec.json.encode(value)
        except UnicodeEncodeError as error:
            raise Broken("half of a surrogate pair", _half_pair(text, at)) from error
        except (RecursionError, OverflowError, TypeError):
            pass  # says nothing about surrogates, and what was decoded stands
    return value, end


def _half_pair(text: str, at: int) -> int:
    """Returns the offset of the first escape of a surrogate without its other half."""
    high = -1
    for escape in _ESCAPE.finditer(text, at):
        code = int(escape[1] or "0", 16)
        low = 0xDC00 <= code < 0xE000
        if high >= 0 and not (low and escape.start() == high + 6):
            return high
        if low and high < 0:
            return escape.start()
        high = escape.start() if 0xD800 <= code < 0xDC00 else -1
    return high if high >= 0 else at


class JsonText:
    """A JSON file that is read as far as it is looked at, and let go as it is consumed."""

    def __init__(self, stream: BinaryIO) -> None:
        # Every binary stream that can be opened here has read1.
        self._stream = cast(io.BufferedReader, stream)
        self._to_text = codecs.getincrementaldecoder("utf-8")("surrogateescape").decode
        self._text = ""
        self._at = 0
        self._size = _FIRST_PIECE
        self._ended = False
        self._line = 1  # of the offset _counted
        self._counted = 0
        self._begin = 0  # offset of that line, negative once it was let go
        self._dirty = False  # _text holds bytes that are not UTF-8
        self.failure: str | None = None
        """Why the file could not be read to its end."""
        self._more()
        self._at = self._counted = self._begin = int(self._text.startswith("\ufeff"))

    def _more(self) -> None:
        """Reads on, and lets go of what was consumed."""
        done = self._at
        self.line()
        self._begin -= done
        # What is needed whole grows by doubling, so that a long row is not copied too often.
        self._size = _PIECE if done else min(self._size * 2, 1 << 26)
        pieces = [self._text[done:]]
        wanted = self._size
        while wanted > 0 and not self._ended:
            try:
                # Little at a time: a read that fails takes with it all that it had unpacked.
                piece: bytes = self._stream.read1(_READ)
            except READ_ERRORS as error:
                self.failure = why(error)
                piece = b""
            self._ended = not piece
            wanted -= len(piece)
            pieces.append(self._to_text(piece, self._ended))
        self._text = "".join(pieces)
        self._at = self._counted = 0
        try:
            self._text.encode()  # by far faster than a search for a range of characters
            self._dirty = False
        except UnicodeEncodeError:
            self._dirty = True

    def line(self) -> int:
        """Returns the line of the place that is looked at, from 1."""
        feeds = self._text.count("\n", self._counted, self._at)
        if feeds:
            self._line += feeds
            self._begin = self._text.rfind("\n", self._counted, self._at) + 1
        self._counted = self._at
        return self._line

    def place(self, at: int | None = None) -> str:
        """Returns line and column of an offset, or of the place that is looked at."""
        at = self._at if at is None else at
        line = self.line() + self._text.count("\n", self._at, at)
        newline = self._text.rfind("\n", self._at, at)
        begin = newline + 1 if newline >= 0 else self._begin
        return f"line {line}, column {at - begin + 1}"

    def peek(self) -> str:
        """Skips white space and returns the next character; "" is the end."""
        while True:
            space = _SPACE.match(self._text, self._at)
            self._at = space.end() if space else self._at
            if self._at < len(self._text):
                return self._text[self._at]
            if self._ended:
                return ""
            self._more()

    def to_end(self) -> None:
        """Consumes all that is left, which shows whether the file can be read to its end."""
        while not self._ended:
            self._at = len(self._text)
            self._more()
        self._at = len(self._text)

    def skip(self) -> None:
        """Consumes the character that `peek` returned."""
        self._at += 1

    def value(self, longest: int = LONGEST) -> Any:
        """Returns the value that begins here, and consumes it.

        Raises:
            Broken: There is none.
            TooLong: It is longer than so many characters.
        """
        value, self._at = self._decoded(longest)
        return value

    def ahead(self, longest: int) -> tuple[Any, bool]:
        """Returns the value that begins here without consuming it, and whether more follows.

        Raises:
            Broken, TooLong: As `value`.
        """
        value, end = self._decoded(longest)
        while True:
            space = _SPACE.match(self._text, end)
            if self._ended or (space and space.end() < len(self._text)):
                return value, bool(space and space.end() < len(self._text))
            end -= self._at  # what stands before this value is let go
            self._more()

    def _decoded(self, longest: int) -> tuple[Any, int]:
        """Returns the value that begins here, read to its end, and the offset behind it."""
        while True:
            try:
                value, end = decode(self._text, self._at)
            except Broken as error:
                cut = error.reason.startswith("Unterminated")
                if self._ended or not (cut or error.at > len(self._text) - _NEAR_END):
                    raise
            else:
                # A number at the very end may go on in the next piece.
                if end < len(self._text) or self._ended:
                    break
            if len(self._text) - self._at > longest:
                raise TooLong
            self._more()
        wrong = _NOT_UTF8.search(self._text, self._at, end) if self._dirty else None
        if wrong:
            byte = ord(wrong[0]) - 0xDC00
            raise Broken(f"it is not UTF-8: byte 0x{byte:02x}", wrong.start())
        return value, end

    def skip_broken(self) -> None:
        """Consumes all up to the comma or bracket behind a broken element, or to the end."""
        depth = 0
        while True:
            tokens = _LAST_TOKEN if self._ended else _TOKEN
            for token in tokens.finditer(self._text, self._at):
                kind = self._text[token.start()]
                if kind == '"' and token.end() == len(self._text) and not self._ended:
                    self._at = token.start()  # it may go on: seen again with more text
                    break
                if kind in "{[":
                    depth += 1
                elif depth == 0 and kind in ",]":
                    self._at = token.start()
                    return
                elif kind in "}]":
                    depth = max(depth - 1, 0)
            else:
                self._at = len(self._text)
            if self._ended:
                self._at = len(self._text)
                return
            self._more()
