"""What a look at the first rows of a source gives, as plain records that a screen can read."""

import msgspec

from ..hub.datasets import Wanted
from ..text import one_line
from .lints import LINTS

LINE = 800
"""Characters of a turn that are kept."""


class Column(msgspec.Struct, frozen=True):
    """A place in the rows that a role can be read from.

    `fill` is the share of the rows that have something there; `sample` is the first such value.
    """

    path: str
    fill: float
    sample: str


class Turn(msgspec.Struct, frozen=True):
    """A turn of a row, its text cut to what can be shown; `more` counts characters left away."""

    role: str
    text: str
    more: int = 0


class ShownRow(msgspec.Struct, frozen=True):
    """A row as turns, or why it cannot be used: `problem` is the id, `why` the sentence."""

    number: int
    place: str
    turns: list[Turn] = []
    problem: str = ""
    why: str = ""

    def sentence(self) -> str:
        """Returns what is wrong with the row, with its place."""
        where = f" ({self.place})" if self.place else ""
        why = self.why.partition("; say what it is with")[0]  # a screen has a key for that
        return one_line(f"row {self.number}{where}: {why}", 400)

    @property
    def is_error(self) -> bool:
        """Whether it blocks a launch; a row without an answer is only dropped."""
        return LINTS[self.problem].severity == "error" if self.problem else False


class Trouble(msgspec.Struct, frozen=True):
    """Why a source cannot be trained on. With `kind` columns, naming the columns may help."""

    what: str
    why: str
    remedy: str
    kind: str = "data"


class Looked(msgspec.Struct, frozen=True, kw_only=True):
    """The first rows of a source, and what they are taken for.

    `roles` are those that the shape reads, the needed ones first; `turn_roles` are the names of
    roles in the data's own turns and what each is taken for, "" where that is not known.
    `whole` says that there are no more rows than these.
    """

    shape: str | None = None
    certainty: str = ""
    reason: str = ""
    columns: dict[str, str] = {}
    needed: list[str] = []
    optional: list[str] = []
    unused: list[str] = []
    paths: list[Column] = []
    turn_roles: dict[str, str] = {}
    rows: list[ShownRow] = []
    whole: bool = False
    splits: dict[str, int | None] = {}
    trouble: Trouble | None = None
    evaluation: Trouble | None = None
    missing: list[Wanted] = []
    """Splits of the Hub that the launch will have to download."""

    @property
    def bad(self) -> list[ShownRow]:
        """The rows that cannot be used."""
        return [row for row in self.rows if row.problem]

    @property
    def usable(self) -> int:
        """How many of the rows can be used."""
        return sum(not row.problem for row in self.rows)


class RowsChecked(msgspec.Struct, frozen=True, kw_only=True):
    """All rows of a source, or those so far; `bad` are the first that cannot be used."""

    rows: int = 0
    usable: int = 0
    problems: dict[str, int] = {}
    bad: list[ShownRow] = []
    share: float = 0.0
    complete: bool = False


class Glanced(msgspec.Struct, frozen=True):
    """Rows and shape of a source, None where a moment was not enough to tell."""

    rows: int | None = None
    shape: str | None = None
    problem: str = ""
