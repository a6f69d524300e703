"""A micro-batch as bars of one scale: with its padding, or shared beginnings once."""

from collections.abc import Iterator

import msgspec

from .....core.data.results import BatchRow, BatchRows, Beginning, Layout, MicroBatch
from ....format import counted, percent
from ....widgets.pieces import Line, Piece
from .token_lines import chopped, visible

_MARKS = {"carets": (".", "^", "_")}
_BLOCKS = ("─", "█", "·")
"""Context, trained, padding."""
_KINDS = ("context", "info", "muted")
_TREES = {"carets": ("|-", "`-", "|")}
_TREE = ("├ ", "└ ", "│")
"""Before a row that branches off, the last of them, and beside its bar."""


class ShownBatch(msgspec.Struct, frozen=True):
    """A micro-batch with its rows, and how they go through the model."""

    batch: MicroBatch
    found: BatchRows
    layout: Layout
    on_trial: bool

    @property
    def rows(self) -> list[BatchRow]:
        """In the order in which they go through the model."""
        return self.found.rows

    def notice(self) -> str:
        """Returns what it is in one sentence."""
        rows = counted(len(self.rows), "row")
        if self.layout == "padded":
            what = f"{rows}, {percent(self.found.padding_share)} of it is padding"
        else:
            trial = ", if the model allows" if self.on_trial else ""
            what = f"{rows} in one sequence{trial}; nothing of it is padding"
        if self.layout == "shared":
            what += f", {percent(self.found.shared_share)} is computed for several rows at once"
        return f"Micro-batch {self.batch.place} of step {self.batch.step}: {what}."

    def in_words(self) -> str:
        """Returns it in plain sentences: which rows go on from which beginning."""
        told = [self.notice()]
        for each in self.found.beginnings:
            rows = self.rows[each.first : each.first + each.rows]
            names = ", ".join(f"{row.row} ({row.tokens - each.shared:,} more)" for row in rows)
            if each.shared:
                told.append(f"{_same(each)}: rows {names}.")
        return " ".join(told)


def batch_lines(shown: ShownBatch, width: int, mask: str) -> list[Line]:
    """Returns the rows of a micro-batch as bars; each row is an item."""
    drawing = _Drawing(shown, width, mask)
    lines: list[Line] = []
    for beginning in shown.found.beginnings:
        lines += drawing.family(beginning) if beginning.shared else drawing.row(beginning.first)
        lines.append([])
    return [*lines, drawing.legend()]


class _Drawing:
    """Draws rows of one micro-batch in one width."""

    def __init__(self, shown: ShownBatch, width: int, mask: str) -> None:
        self._shown, self._rows, self._mask = shown, shown.rows, mask
        self._width = max(width, 1)
        self._marks, self._tree = _MARKS.get(mask, _BLOCKS), _TREES.get(mask, _TREE)
        self._padded = shown.layout == "padded"
        self._longest = max((row.tokens for row in shown.rows), default=1) or 1
        self._cells = max(min(width, self._longest), 1)
        self._several = len({row.source for row in shown.rows}) > 1

    def row(self, item: int) -> Iterator[Line]:
        """Yields a row that stands alone: its head, its bar, its first text."""
        row = self._rows[item]
        padding = f", {self._longest - row.tokens:,} padding" if self._padded else ""
        head = f"{self._name(row)}: {row.tokens:,} tokens, {_taught(row):,} trained{padding}"
        yield [Piece(head, "strong", item)]
        yield self._bar([row], 0, self._longest if self._padded else row.tokens)
        yield [Piece(self._text(row.text, self._width), "muted")]

    def family(self, beginning: Beginning) -> Iterator[Line]:
        """Yields a beginning that rows share, and below its end where each of them goes on."""
        items = range(beginning.first, beginning.first + beginning.rows)
        shared = beginning.shared
        head = (
            f"{beginning.rows} rows begin with the same {counted(shared, 'token')}, computed once"
        )
        yield [Piece(head, "strong")]
        yield self._bar([self._rows[item] for item in items], 0, shared)
        yield [Piece(self._text(beginning.text, self._width), "muted")]
        for item in items:
            row = self._rows[item]
            branch, last, beside = self._tree
            own = row.tokens - shared
            head = f"{self._name(row)}: {own:,} more, {_taught(row):,} trained"
            room = self._width - len(branch) - len(head) - 2
            yield [
                Piece(last if item == items[-1] else branch, "muted"),
                Piece(head, "strong", item),
                Piece(f"  {self._text(row.text, room)}" if room > 0 else "", "muted"),
            ]
            margin = ("" if item == items[-1] else beside).ljust(self._cell(shared))
            bar = self._bar([row], shared, row.tokens)
            yield [Piece(margin, "muted"), *bar] if self._cell(shared) else bar

    def legend(self) -> Line:
        """Returns what the marks mean, and the share of padding or of shared beginnings."""
        found, (context, trained, padding) = self._shown.found, self._marks
        if self._padded:
            rest = f"{padding} padding ({percent(found.padding_share)})"
        elif self._shown.layout == "packed":
            rest = f"{found.computed:,} positions, no padding"
        else:
            share = percent(found.shared_share)
            rest = f"{found.tokens:,} tokens at {found.computed:,} positions ({share} shared)"
        return [Piece(f"{context} context  {trained} trained  {rest}")]

    def _name(self, row: BatchRow) -> str:
        return f"row {row.row}" + (f" of source {row.source + 1}" if self._several else "")

    def _text(self, text: str, room: int) -> str:
        return next(chopped(visible(" ".join(text.split()), "text", self._mask), room), "")

    def _cell(self, token: int) -> int:
        return token * self._cells // self._longest

    def _bar(self, rows: list[BatchRow], first: int, end: int) -> Line:
        """Returns the bar of the tokens from `first` to `end`, which are those of all `rows`.

        A cell is trained where any of its tokens is.
        """
        ranges = [(max(a, first), min(b, end)) for row in rows for a, b in row.trained]
        size = max(row.tokens for row in rows)
        pieces: Line = []
        for cell in range(self._cell(first), max(-(-end * self._cells // self._longest), 1)):
            begin = cell * self._longest // self._cells
            until = max((cell + 1) * self._longest // self._cells, begin + 1)
            state = 2 if begin >= size else 0
            if state == 0 and any(a < until and b > begin and a < b for a, b in ranges):
                state = 1
            if pieces and pieces[-1].kind == _KINDS[state]:
                pieces[-1] = pieces[-1]._replace(text=pieces[-1].text + self._marks[state])
            else:
                pieces.append(Piece(self._marks[state], _KINDS[state]))
        return pieces


def _same(beginning: Beginning) -> str:
    return f"{beginning.rows} rows begin with the same {counted(beginning.shared, 'token')}"


def _taught(row: BatchRow) -> int:
    return sum(end - begin for begin, end in row.trained)
