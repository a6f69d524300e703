"""Rows of JSON: one object per line, or one list of objects, which is never read whole."""

from collections.abc import Generator, Iterator
from typing import Any, BinaryIO, cast

import msgspec

from .json_text import Broken, JsonText, TooLong, decode
from .raw_rows import BadRow, RawRow, Unreadable, kind_name
from .row_bytes import LONGEST, READ_ERRORS, why

_BOM = b"\xef\xbb\xbf"
_LOOKED_AT = 1 << 20
"""Characters of an object at the top that are looked at as a whole before it is streamed."""
_AS_LIST = "rename it to .json"
_ONE_A_LINE = "write one object per line, as `jq -c .` does"
_A_LIST = "give a list of objects, or one object per line as .jsonl"

# The fast way for the rows that are right; what it refuses is looked at again, with care.
_fast = msgspec.json.Decoder(dict[str, Any])
_REFUSED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class ListInstead(Unreadable):
    """A file named .jsonl holds one JSON list."""


class LinesInstead(Unreadable):
    """A file named .json holds one object per line, as many data sets do."""


def line_rows(stream: BinaryIO) -> Iterator[RawRow | BadRow]:
    """Yields the rows of JSON lines, without numbers; empty lines are none.

    Only line feeds end a row: other separators may stand inside a string.

    Raises:
        ListInstead: The file is one JSON list.
        Unreadable: Its first object goes on behind its line.
    """
    line = 0
    while True:
        line += 1
        try:
            content = stream.readline(LONGEST)
            too_long = len(content) == LONGEST
            while len(content) == LONGEST and not content.endswith(b"\n"):
                content = stream.readline(LONGEST)
        except READ_ERRORS as error:
            yield BadRow(0, f"line {line}", why(error))
            return
        if line == 1:
            content = content.removeprefix(_BOM)
            if _begins_a_list(content):
                raise ListInstead("it is one JSON list", _AS_LIST)
            if content.strip() == b"{" and content.endswith(b"\n"):
                raise Unreadable("its objects run over several lines", _ONE_A_LINE)
        if too_long:
            yield BadRow(0, f"line {line}", f"it is longer than {LONGEST >> 20} MiB")
        elif not content:
            return
        elif not content.isspace():
            yield line_row(content, line)


def line_row(content: bytes, line: int) -> RawRow | BadRow:
    """Returns the row of a line that is not empty, without its number."""
    try:
        return RawRow(0, f"line {line}", _fast.decode(content))
    except _REFUSED:
        return _careful(content, line)


def begins_lines(head: bytes) -> bool:
    """Says whether a file that begins with these bytes holds one object per line, surely.

    Of a file with one line it is not sure: that may be an object which holds the rows.
    """
    first, feed, rest = head.removeprefix(_BOM).partition(b"\n")
    if not feed or not rest.strip():
        return False
    try:
        _fast.decode(first)
    except _REFUSED:
        return False
    return True


def _begins_a_list(first: bytes) -> bool:
    """Says whether the first line opens a list of rows; a list of turns is one row."""
    text = first.strip()
    if text[:1] != b"[" or text[1:].lstrip()[:1] not in (b"", b"{"):
        return False
    try:
        return fields_of(msgspec.json.decode(text)) is None
    except _REFUSED:  # it goes on behind this line
        return True


def fields_of(value: Any) -> dict[str, Any] | None:
    """Returns the columns of a row: an object, or a list of turns as a conversation."""
    if isinstance(value, dict):
        return cast(dict[str, Any], value)
    first = cast(list[Any], value)[0] if isinstance(value, list) and value else None
    for key, column in (("role", "messages"), ("from", "conversations")):
        if isinstance(first, dict) and key in first:
            return {column: value}
    return None


def _careful(content: bytes, line: int) -> RawRow | BadRow:
    """Reads a line that the fast decoder refused, and says what is wrong with it."""

    def bad(column: int, reason: str) -> BadRow:
        return BadRow(0, f"line {line}, column {column}", reason)

    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        byte = content[error.start]
        return bad(error.start + 1, f"it is not UTF-8: byte 0x{byte:02x}")
    # Columns count from the true start of the line, so only its end is cut.
    text = text.rstrip("\r\n \t")
    start = len(text) - len(text.lstrip(" \t\r"))
    try:
        value, end = decode(text, start)
        if end < len(text):
            behind = len(text) - len(text[end:].lstrip(" \t\r"))
            raise Broken("more follows after the object", behind)
    except Broken as error:
        return bad(error.at + 1, error.reason)
    fields = fields_of(value)
    if fields is None:
        return bad(start + 1, f"it is {kind_name(value)}, not an object")
    return RawRow(0, f"line {line}", fields)


def list_rows(stream: BinaryIO) -> Iterator[RawRow | BadRow]:
    """Yields the rows of a JSON list of objects, without numbers.

    The list may stand alone, or in an object that holds no other list of objects. Articles of the
    original SQuAD files (paragraphs, each with questions) come as one row per question.

    Raises:
        Unreadable: It is neither; as `LinesInstead` before any row was given.
    """
    text = JsonText(stream)
    head = text.peek()
    if head == "[":
        text.skip()
        if (yield from _elements(text)):
            yield from _rest(text, "more follows after the end of the list")
    elif head == "{":
        yield from _members(text, _wanted(text))
    elif head:
        raise Unreadable(f"it begins with {head!r}, not with a list of rows", _A_LIST)
    elif text.failure:
        raise Unreadable(text.failure)


def _rest(text: JsonText, reason: str) -> Iterator[BadRow]:
    """Yields an unreadable row if the file does not end here, soundly."""
    more, place = text.peek(), text.place()
    text.to_end()
    if text.failure or more:
        yield BadRow(0, place, text.failure or reason)


def _elements(text: JsonText) -> Generator[RawRow | BadRow, None, bool]:
    """Yields the elements of a list behind its first bracket, and consumes it.

    Returns:
        Whether the list has an end.
    """
    while (head := text.peek()) != "]":
        place = text.place()
        if not head:
            yield BadRow(0, place, text.failure or "the file ends inside the list")
            return False
        if head == ",":
            text.skip()
            continue
        try:
            value = text.value()
        except (Broken, TooLong) as error:
            bad = _broken(text, error)
            text.skip_broken()
            if not text.peek():
                bad.reason = text.failure or f"{bad.reason}; the file ends inside this row"
                yield bad
                return False
            yield bad
        else:
            yield from _row(value, place)
        if text.peek() not in ("", ",", "]"):
            yield BadRow(0, text.place(), "a comma is missing between two rows")
            if text.peek() not in ("{", "["):
                text.skip_broken()
    text.skip()
    return True


def _broken(text: JsonText, error: Broken | TooLong) -> BadRow:
    if isinstance(error, TooLong):
        return BadRow(0, text.place(), f"it is longer than {LONGEST >> 20} Mi characters")
    return BadRow(0, text.place(error.at), error.reason)


def _row(value: Any, place: str) -> Iterator[RawRow | BadRow]:
    """Yields an element of the list as a row, or an article of SQuAD as its rows."""
    fields = fields_of(value)
    if fields is None:
        yield BadRow(0, place, f"it is {kind_name(value)}, not an object")
        return
    line = place.partition(",")[0]
    if isinstance(fields.get("paragraphs"), list):
        yield from _squad(fields, line)
    else:
        yield RawRow(0, line, fields)


class _Answer(msgspec.Struct):
    text: str
    answer_start: int = 0


class _Question(msgspec.Struct):
    question: str
    id: str | int = ""
    answers: list[_Answer] = []


class _Paragraph(msgspec.Struct):
    context: str
    qas: list[_Question]


def _squad(article: dict[str, Any], place: str) -> Iterator[RawRow | BadRow]:
    """Yields one row per question, with the columns that the Hub's SQuAD has."""
    for raw in cast(list[Any], article["paragraphs"]):
        try:
            paragraph = msgspec.convert(raw, _Paragraph)
        except msgspec.ValidationError as error:
            yield BadRow(0, place, f"a paragraph of this article: {error}")
            continue
        for asked in paragraph.qas:
            answers = {
                "text": [answer.text for answer in asked.answers],
                "answer_start": [answer.answer_start for answer in asked.answers],
            }
            fields = {
                "id": asked.id,
                "title": article.get("title", ""),
                "context": paragraph.context,
                "question": asked.question,
                "answers": answers,
            }
            yield RawRow(0, place, fields)


def _wanted(text: JsonText) -> str | None:
    """Returns the name of the list of rows in an object at the top; None where it is too large.

    That is its only list of objects, or else its only list.

    Raises:
        Unreadable: The object is a row, or holds no list or several.
        LinesInstead: The file is JSON lines.
    """
    try:
        value, more = text.ahead(_LOOKED_AT)
    except (Broken, TooLong):
        return None
    if more:
        raise LinesInstead("a second object follows the first", _A_LIST)
    fields = cast(dict[str, Any], value)
    lists = {name: cast(list[Any], e) for name, e in fields.items() if isinstance(e, list)}
    of_objects = [name for name, entry in lists.items() if entry and isinstance(entry[0], dict)]
    names = of_objects or list(lists)
    if len(names) != 1:
        found = f"{len(names)} lists ({', '.join(names)})" if names else "no list of rows"
        remedy = "write each list to a file of its own" if names else _A_LIST
        raise Unreadable(f"it holds one object with {found} at its top", remedy)
    return names[0]


def _members(text: JsonText, wanted: str | None) -> Iterator[RawRow | BadRow]:
    """Yields the elements of a list inside an object: the wanted one, or the first of objects."""
    text.skip()
    found = False
    while (head := text.peek()) != "}":
        if head == ",":
            text.skip()
            continue
        try:
            name = text.value()
            if not isinstance(name, str) or text.peek() != ":":
                raise Broken("a name and a colon are expected", 0)
            text.skip()
            if text.peek() != "[":
                text.value()
                continue
        except (Broken, TooLong):
            if not found:
                raise Unreadable(f"{text.place()}: it is damaged or cut off", _A_LIST) from None
            yield BadRow(0, text.place(), text.failure or "the object around the list is damaged")
            return
        text.skip()
        if name != wanted and (wanted is not None or text.peek() != "{"):
            _skip_list(text)
        elif found:
            yield BadRow(0, text.place(), f"a second list, {name!r}, is not read")
            return
        else:
            found = True
            if not (yield from _elements(text)):
                return
    if not found:
        raise Unreadable("it is one object without a list of rows", _A_LIST)
    text.skip()
    yield from _rest(text, "more follows after the end of the object")


def _skip_list(text: JsonText) -> None:
    """Consumes a list of something else than rows, behind its first bracket."""
    while text.peek() not in ("", "]"):
        text.skip_broken()
        if text.peek() == ",":
            text.skip()
    text.skip()
