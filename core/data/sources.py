"""Sources of training data: their rows one after another, in the one form, lazily.

A row that cannot be used is never skipped in silence: it comes as `Left`, with its place.
"""

from collections.abc import Callable, Iterator
from itertools import chain, islice

import msgspec

from ..config import DataConfig, SourceConfig
from ..errors import DataError
from ..hub.datasets import id_of
from .reader import Reader
from .row_files import BadRow, RawRow, read_rows
from .rows import Left, Message, Row
from .shapes import Shape, detect, misnamed, unused
from .turns import Unusable

_LOOKED_AT = 20
"""Rows that tell the shape of a source."""


class Source:
    """The rows of one source.

    Args:
        config: Where they are and what they are.
        data: What happens to empty answers.
        split: Split and slice instead of the configured one.
        on_bytes: Told how many bytes were read, now and then.

    Raises:
        DataError: There is no such source, it holds no row that can be read, or its shape is
            not recognised.
    """

    def __init__(
        self,
        config: SourceConfig,
        data: DataConfig,
        *,
        split: str | None = None,
        on_bytes: Callable[[int], None] | None = None,
    ) -> None:
        self.config = config
        self.name = id_of(config.source)
        self._data = data
        raw = read_rows(config.source, split or config.split, on_bytes, config.config)
        first = list(islice(raw, _LOOKED_AT))
        if not first:
            raise DataError(
                f"{self.name} holds no rows",
                "the file or the slice is empty",
                "choose a file that has rows",
            )
        good = [row.fields for row in first if isinstance(row, RawRow)]
        if not good:
            bad = next(row for row in first if isinstance(row, BadRow))
            utf8 = "save it as UTF-8 (in Excel: CSV UTF-8)"
            raise DataError(
                f"{self.name} cannot be read",
                f"none of its first rows is one; {bad.place}: {bad.reason}",
                utf8 if "UTF-8" in bad.reason else "check that the file is what its ending says",
            )
        self.shape = self._recognise(good)
        self.unused = unused(self.shape, good)
        """Columns of the first rows that are not trained on."""
        self._raw = chain(first, raw)
        self._reader = Reader(self.shape, self.name, config.system, config.roles)

    def _recognise(self, rows: list[dict[str, object]]) -> Shape:
        shape = detect(rows, self.config.columns, self.config.shape)
        if shape is None:
            names = list(dict.fromkeys(name for row in rows for name in row))
            raise DataError(
                f"the shape of {self.name} is not recognised",
                f"its columns are {', '.join(names) or '(none)'}",
                "name them by role, such as data.sources.0.columns={prompt: your_question, "
                "completion: your_answer}",
            )
        wrong = misnamed(shape, rows, self.config.columns)
        if wrong:
            raise DataError(
                f"the columns of {self.name} are not as configured",
                f"{wrong}; its columns are {', '.join(dict.fromkeys(n for r in rows for n in r))}",
                "mend data.sources.0.columns",
            )
        return shape

    def __iter__(self) -> Iterator[Row | Left]:
        """Returns the rows in file order; can be done once."""
        return map(self.row, self._raw)

    def row(self, raw: RawRow | BadRow) -> Row | Left:
        """Returns a row of the file in the one form."""
        number = raw.number - 1
        # Where a file has no lines its place is the row's number, counted from 1.
        place = "" if raw.place.startswith("row ") else raw.place
        if isinstance(raw, BadRow):
            return Left(number, place, "unreadable_row", raw.reason)
        try:
            row = self._reader.row(number, raw.fields)
        except Unusable as error:
            return Left(number, place, error.id, str(error))
        return self._answered(row, place)

    def _answered(self, row: Row, place: str) -> Row | Left:
        """Deals with a row whose last answer is empty."""
        last = row.messages[-1]
        if last.role != "assistant" or last.content.strip() or last.extra.get("tool_calls"):
            return row
        if self._data.empty_answers == "drop" or row.text:
            return Left(row.number, place, "empty_answer", "its answer is empty")
        answer = Message("assistant", self._data.empty_answer_text or "")
        return msgspec.structs.replace(row, messages=(*row.messages[:-1], answer))


class Loaded(msgspec.Struct):
    """The rows of one source, in file order, with what was left out."""

    rows: list[Row]
    shape: str
    dropped: list[int]
    """Numbers of rows without an answer."""


def load(config: SourceConfig, data: DataConfig) -> Loaded:
    """Reads a whole source into memory, strictly: for small data that is known to be right.

    Raises:
        DataError: As `Source`, or a row cannot be used.
    """
    source = Source(config, data)
    loaded = Loaded([], source.shape.name, [])
    for row in source:
        if isinstance(row, Row):
            loaded.rows.append(row)
        elif row.id == "empty_answer":
            loaded.dropped.append(row.number)
        else:
            where = f"{row.place}: " if row.place else ""
            raise DataError(
                f"row {row.number} of {config.source} cannot be used",
                f"{where}{row.why}",
                "mend or remove the row, or name the columns with data.sources.0.columns",
            )
    return loaded
