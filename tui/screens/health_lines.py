"""Findings about a run in words: one line, a small panel, sentences. Pure functions."""

import textwrap
from collections.abc import Mapping, Sequence

from rich.text import Text

from ...core.health.findings import Finding
from ...core.health.table import thresholds
from ...core.text import one_line
from ..format import counted, percent, sentences
from ..services.health_board import HealthBoard
from ..theme import SEVERITIES, colours

_ROLES = {"error": "error", "warning": "warning", "note": "info"}
QUIET = "✓ healthy"
NO_RULE = "– no rule fired before the end"
"""Of a run that ended ill, however healthy it was."""

_LONG_WORD = 10

Shares = tuple[float | None, float | None, float | None]
"""Time that waits for data, clipped steps, useful tokens; None is unknown."""


def verdict(board: HealthBoard) -> str:
    """Returns how many findings of which weight there are: "✓ healthy, 1 note"."""
    count = {kind: sum(each.severity == kind for each in board.open) for kind in SEVERITIES}
    seen = len(board.findings) - len(board.open)
    said = [counted(number, kind) for kind, number in count.items() if number]
    if seen:
        said.append(f"{seen} acknowledged")
    worst = next((kind for kind in ("error", "warning") if count[kind]), None)
    quiet = QUIET if board.well else NO_RULE
    return ", ".join([quiet, *said]) if worst is None else f"{SEVERITIES[worst]} {', '.join(said)}"


def line(board: HealthBoard, width: int, variables: Mapping[str, str], rows: int = 1) -> Text:
    """Returns the finding that weighs most and is newest, or the verdict, on one line or a few."""
    worst = next(iter(_by_weight(board.open)), None)
    said = verdict(board) if worst is None else f"{SEVERITIES[worst.severity]} {worst.message}"
    more = len(board.open) - 1
    key = f" +{more} (w)" if more > 0 else " (w)" if board.findings else ""
    lost = (rows - 1) * _LONG_WORD  # where lines break before a word
    said = one_line(said, rows * width - lost - len(" Health ") - len(key) - 1)
    drawn = Text(" Health ", no_wrap=rows == 1)
    drawn.append(said, _colour(worst, variables, well=board.well))
    return drawn.append(key)


def panel(
    board: HealthBoard, shares: Shares, size: tuple[int, int], variables: Mapping[str, str]
) -> Text:
    """Returns the verdict, as many findings as there is room for, and the shares of late."""
    width, room = max(size[0] - 2, 10), max(size[1] - 2, 1)
    found = _by_weight(board.open)
    wrapped = _within(room, width, [one_line(each.message) for each in found])
    lines: list[Text] = []
    for each, (first, *others) in zip(found, wrapped, strict=True):
        mark = f"{SEVERITIES[each.severity]} ", _colour(each, variables)
        lines += [Text.assemble(mark, first), *(Text(f"  {part}") for part in others)]
    if len(lines) > room:
        lines = [*lines[: room - 1], Text("  … w shows all", "dim")]
    lines += [Text("")] * (room - len(lines))
    worst = next(iter(found), None)
    waiting, clipped, useful = map(percent, shares)
    last = Text(f"wait {waiting}  clip {clipped}  useful {useful}", "dim")
    return Text("\n", no_wrap=True).join(
        [Text(verdict(board), _colour(worst, variables, well=board.well)), *lines, last]
    )


def _within(room: int, width: int, texts: Sequence[str]) -> list[list[str]]:
    """Returns texts wrapped to a width: each has one row, and the first ones all that are left."""
    spare, found = room - len(texts), list[list[str]]()
    for text in texts:
        rows = textwrap.wrap(text, width) or [""]
        more = min(len(rows) - 1, max(spare, 0))
        spare -= more
        found.append([*rows[:more], one_line(" ".join(rows[more:]), width)])
    return found


def in_full(board: HealthBoard, finding: Finding, width: int) -> str:
    """Returns a finding and below it its remedy with its key, wrapped to a width."""
    seen = "  (acknowledged)" if board.is_acknowledged(finding) else ""
    key = f"  [{finding.key}]" if finding.key else ""
    first = f"{SEVERITIES[finding.severity]} {one_line(sentences(finding.message))}{seen}"
    second = f"  {_capital(one_line(sentences(finding.remedy)))}{key}"
    return f"{hang(first, width)}\n{hang(second, width)}"


def hang(text: str, width: int) -> str:
    """Returns a text wrapped to a width, all but its first line indented."""
    return textwrap.fill(text, max(width, 20), subsequent_indent="  ", break_on_hyphens=False)


def in_words(board: HealthBoard) -> str:
    """Returns all findings as sentences, and when rules fire."""
    said = [f"Health: {verdict(board).lstrip('✓✗!– ')}."]
    for each in board.findings:
        told = one_line(sentences(each.message, each.remedy))
        said.append(f"{each.severity.capitalize()} {one_line(each.rule)}: {told}")
    return "\n".join([*said, "", "Rules:", *thresholds()])


def _by_weight(findings: Sequence[Finding]) -> list[Finding]:
    weights = list(SEVERITIES)
    return sorted(findings, key=lambda each: weights.index(each.severity))


def _colour(finding: Finding | None, variables: Mapping[str, str], *, well: bool = True) -> str:
    """Returns the colour of a finding, which its glyph says too; None is that there is none."""
    none = "success" if well else "info"
    role = none if finding is None else _ROLES[finding.severity]
    return colours(variables)[role]


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
