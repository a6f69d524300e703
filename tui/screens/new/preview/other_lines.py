"""What else the row panel shows: a row as it stands in its file, a micro-batch, sentences."""

from collections.abc import Sequence
from textwrap import wrap

import msgspec

from .....core.data.results import BatchRow, MicroBatch, RawView
from .....core.text import one_line
from ....format import percent
from ....widgets.pieces import Line, Piece
from .token_lines import chopped, visible
from .words import padding_share

_MARKS = {"carets": (".", "^", "_")}
_BLOCKS = ("─", "█", "·")
"""Context, trained, padding."""


class ShownBatch(msgspec.Struct, frozen=True):
    """A micro-batch with its rows."""

    batch: MicroBatch
    rows: list[BatchRow]

    @property
    def padding(self) -> float | None:
        """The share of padding among its positions."""
        return padding_share(self.rows)


def sentences(parts: Sequence[tuple[str, str]], width: int) -> list[Line]:
    """Returns paragraphs, each (kind, text), as lines with an empty one between them."""
    lines: list[Line] = []
    for kind, text in parts:
        if lines:
            lines.append([])
        lines += [[Piece(part, kind)] for part in wrap(text, max(width, 10))]
    return lines


def raw_lines(raw: RawView, width: int, mask: str, ahead: str = "") -> list[Line]:
    """Returns a row of the file as JSON; `▌` stands before the columns that are read."""
    lines = sentences([("info", ahead)], width) if ahead else []
    if raw.wrong:
        sign = "x" if mask == "carets" else "✗"
        why = f"{sign} {raw.place}: this row cannot be read: {one_line(raw.wrong, 400)}"
        return [*lines, *sentences([("bad", why)], width)]
    used = {path.partition(".")[0].partition("[")[0]: path for path in raw.columns.values()}
    read = " · ".join(f"{role} ← {path}" for role, path in raw.columns.items())
    head = f"{raw.place} · shape {one_line(raw.shape, 200)}{f' · {read}' if read else ''}"
    if mask == "carets":
        head = visible(head.replace(" · ", ", ").replace("←", "<-"), "text", mask)
    lines += [*sentences([("muted", one_line(head, 600))], width), []]
    marked = False
    mark = "|" if mask == "carets" else "▌"
    for text in raw.text.split("\n"):
        if text.startswith('  "'):
            marked = text[3:].partition('":')[0] in used
        elif text in ("{", "}"):
            marked = False
        kind = "" if marked else "muted"
        for part in chopped(visible(text, "text", mask), max(width - 2, 8)):
            lines.append([Piece(f"{mark} " if marked else "  ", "bracket"), Piece(part, kind)])
    return lines


def batch_lines(shown: ShownBatch, width: int, mask: str) -> list[Line]:
    """Returns the rows of a micro-batch as bars of one scale; each row is an item."""
    context, trained, padding = _MARKS.get(mask, _BLOCKS)
    longest = max((row.tokens for row in shown.rows), default=1) or 1
    room = max(min(width, longest), 1)
    several = len({row.source for row in shown.rows}) > 1
    lines: list[Line] = []
    for item, row in enumerate(shown.rows):
        taught = sum(end - begin for begin, end in row.trained)
        source = f" of source {row.source + 1}" if several else ""
        head = (
            f"row {row.row}{source}: {row.tokens:,} tokens, {taught:,} trained, "
            f"{longest - row.tokens:,} padding"
        )
        lines.append([Piece(head, "strong", item)])
        lines.append(_bar(row, longest, room, (context, trained, padding)))
        text = visible(" ".join(row.text.split()), "text", mask)
        lines.append([Piece(next(chopped(text, max(width, 1)), ""), "muted")])
        lines.append([])
    share = percent(shown.padding)
    lines.append([Piece(f"{context} context  {trained} trained  {padding} padding ({share})")])
    return lines


def _bar(row: BatchRow, longest: int, room: int, marks: tuple[str, str, str]) -> Line:
    """Returns a bar; a cell is trained where any of its tokens is."""
    pieces: Line = []
    kinds = ("context", "info", "muted")
    for cell in range(room):
        begin, end = cell * longest // room, max((cell + 1) * longest // room, 1)
        state = 2 if begin >= row.tokens else 0
        if state == 0 and any(a < end and b > begin for a, b in row.trained):
            state = 1
        if pieces and pieces[-1].kind == kinds[state]:
            pieces[-1] = pieces[-1]._replace(text=pieces[-1].text + marks[state])
        else:
            pieces.append(Piece(marks[state], kinds[state]))
    return pieces
