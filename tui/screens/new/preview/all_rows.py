"""The two panels of all rows: what they amount to, and what is wrong with them."""

from collections.abc import Iterable

from rich.text import Text
from textual.containers import Vertical
from textual.widget import Widget

from .....core.data.lints import Problem
from .....core.text import one_line
from ....format import with_keys
from ....services.checks import Checks
from ....widgets.pieces import Line, PieceView
from .other_lines import sentences
from .stats import (
    in_sentences,
    problem_lines,
    problems_title,
    statistics_lines,
    statistics_title,
)


class AllRows(Vertical):
    """Draws what the pass over all rows has found so far."""

    def compose(self) -> Iterable[Widget]:
        """Amounts above problems."""
        yield PieceView(id="statistics", classes="panel")
        yield PieceView(id="problems", classes="panel", pointer=True)

    @property
    def statistics(self) -> PieceView:
        """The panel of amounts."""
        return self.query_one("#statistics", PieceView)

    @property
    def problems(self) -> PieceView:
        """The panel of problems; each is an item."""
        return self.query_one("#problems", PieceView)

    def draw(self, checks: Checks, *, narrow: bool) -> None:
        """Draws both; where there is no room for a panel its title says the main numbers."""
        found = checks.result.problems if checks.result is not None else []
        statistics, problems = self.statistics, self.problems
        statistics.show(lambda width: statistics_lines(checks, width))
        statistics.border_title = Text(statistics_title(checks, narrow=narrow))
        problems.show(lambda width: _problems(checks, found, width), len(found))
        none = "✓ none" if checks.result is not None and checks.result.complete else ""
        problems.border_title = Text(f"Problems  {problems_title(found) or none}".rstrip())

    def problem(self, checks: Checks) -> Problem | None:
        """Returns the problem under the cursor."""
        found, at = checks.result, self.problems.cursor
        return found.problems[at] if found and 0 <= at < len(found.problems) else None

    def describe(self, checks: Checks, panel: PieceView) -> str:
        """Returns one of the panels in plain sentences."""
        found, config = checks.result, checks.config
        if found is None or config is None:
            return "No row was looked at yet."
        if panel is self.statistics:
            return in_sentences(found.statistics, config)
        said = [
            f"{p.severity} {p.id}: {p.message}. Do: {with_keys(p.remedy)}." for p in found.problems
        ]
        return " ".join(map(one_line, said)) or "No problem was found."


def _problems(checks: Checks, found: list[Problem], width: int) -> list[Line]:
    if checks.result is None:
        return []
    if found:
        return problem_lines(found, len(checks.result.sources), width)
    words = "✓ No problem was found." if checks.result.complete else "✓ None so far."
    return sentences([("good", words)], width)
