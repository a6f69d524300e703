"""What Runs says of a run: the cells of its row, and its details."""

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from rich.cells import cell_len

from ...core.status import ACTIVE, ILL
from ...core.text import one_line
from ..control_flow import READ_ONLY, remedy_in_keys
from ..format import UNKNOWN, age, from_home, number, rounded_clock, sentences, short_number, speed
from ..theme import SEVERITIES, badge
from ..widgets.notice import in_lines

if TYPE_CHECKING:
    from ...core.summary import Summary


ORDERS = ("newest", "evaluation", "loss", "speed", "name")
"""What the list is ordered by, in the order that `o` goes through."""

_FIGURE = 7
"""Columns of a loss."""
# (heading, width, dropped below this many columns)
_COLUMNS = (
    ("STATUS", 13, 0),
    ("OK?", 3, 78),
    ("NAME", 20, 0),
    ("MODEL", 18, 120),
    ("METHOD", 10, 140),
    ("STEPS", 11, 0),
    ("LOSS", _FIGURE, 72),
    ("EVAL", _FIGURE, 100),
    ("BEST@", 6, 150),
    ("TOK/S", 6, 130),
    ("ETA", 8, 78),
    ("AGE", 6, 110),
)
_ORDERED_BY = {"evaluation": "EVAL", "loss": "LOSS", "speed": "TOK/S"}
_GIVE_WAY = ("AGE", "ETA", "OK?")
"""Columns that are left out, the first of them first, where another one is needed more."""
_FACTS = ("STATUS", "STEPS", "LOSS", "NAME")
"""The columns of a screen too small for more: the name may be cut, the others not."""
_AROUND = 7
"""Cells beside the columns: borders, scroll bar, the glyphs of cursor and mark."""
_LONGEST_NAME, _LEAST_NAME, _LEAST_NOTE = 30, 16, 10
_MOST_FINDINGS, _MOST_NOTE_LINES = 3, 2
"""Findings that the details tell in full, and lines of the note."""


def columns(width: int, *, tiny: bool, order: str = "") -> list[tuple[str, int]]:
    """Returns the columns of the list, heading and width, that a screen has room for.

    What the list is ordered by is always there, in the place of what matters less. The name takes
    what is left over, beside a note where there is room for that.
    """
    if tiny:
        return [(name, size) for fact in _FACTS for name, size, _ in _COLUMNS if name == fact]
    wanted = _ORDERED_BY.get(order)
    found = {name: size for name, size, least in _COLUMNS if width >= least or name == wanted}

    def left() -> int:
        return width - _AROUND - sum(size + 2 for size in found.values())

    for name in _GIVE_WAY:
        if found["NAME"] + left() < _LEAST_NAME:
            found.pop(name, None)
    room = left()
    if with_note := room > _LEAST_NOTE + 2:
        room -= _LEAST_NOTE + 2
    name = min(max(found["NAME"] + room, _LEAST_NAME), _LONGEST_NAME)
    if with_note:
        found["NOTE"] = _LEAST_NOTE + room - (name - found["NAME"])
    found["NAME"] = name
    return list(found.items())


_WELCOME = """\
No runs yet in {place}.

▸ Enter   The demo: the embedded model and data,
          a few minutes on a CPU

  2       {new}

  e       Take a YAML file

  6       System check and settings

  ?       All keys; : finds any action by its name

A run belongs to its folder, never to this window: leave when you like,
training goes on."""


def welcome(folder: Path, begun: bool) -> str:
    """Returns what an empty folder of runs offers; `begun` says that there is a draft."""
    new = "Go on with your draft" if begun else "Set up a run: model, data, preview, settings"
    return _WELCOME.format(place=one_line(from_home(str(folder))), new=new)


def counted(summaries: "Iterable[Summary]") -> str:
    """Returns the title of the list: how many runs there are, and how many of them are active."""
    words = [summary.status for summary in summaries]
    active = sum(word in ACTIVE for word in words)
    return f"Runs · {len(words)}" + (f" · {active} active" if active else "")


def listed(
    every: "Iterable[Summary]", found: "list[Summary]", words: str, order: str, marks: list[str]
) -> str:
    """Returns the title of the list: how many runs, the filter, the order, the marks."""
    said = [counted(every)]
    if words:
        said.append(f"{len(found)} match “{one_line(words, 30)}”")
    said.append(f"order: {order}" + (" first" if order == ORDERS[0] else ""))
    if marks:
        said.append(f"{len(marks)} marked")
    return "   ".join(said)


def matching(summaries: "Iterable[Summary]", words: str) -> "list[Summary]":
    """Returns the runs that have each of the words somewhere in what a list tells of them."""
    wanted = words.lower().split()

    def text(each: "Summary") -> str:
        told = (each.id, each.status, each.model, each.data, each.method, each.note)
        return " ".join(part for part in told if part).lower()

    return [each for each in summaries if all(word in text(each) for word in wanted)]


def ordered(summaries: "list[Summary]", order: str) -> "list[Summary]":
    """Returns runs that came newest first in one of `ORDERS`; those at work stay on top.

    What is not known comes last.
    """
    keys: dict[str, Callable[[Summary], float | str | None]] = {
        "evaluation": lambda each: each.eval_loss,
        "loss": lambda each: each.loss,
        "speed": lambda each: None if each.tokens_per_s is None else -each.tokens_per_s,
        "name": lambda each: name_of(each.id),
    }
    if (key := keys.get(order)) is not None:
        known = [each for each in summaries if key(each) is not None]
        summaries = [
            *sorted(known, key=lambda each: cast(Any, key(each))),
            *(each for each in summaries if key(each) is None),
        ]
    return sorted(summaries, key=lambda each: each.status not in ACTIVE)


def cells(summary: "Summary", shown: list[tuple[str, int]]) -> tuple[str, ...]:
    """Returns what the columns, (heading, width) each, tell of a run."""
    widths = dict(shown)
    every = {
        "STATUS": badge(summary.status),
        "OK?": _health(summary),
        "NAME": _short(summary.id, widths.get("NAME", 0)),
        "MODEL": Path(summary.model).name if summary.model else UNKNOWN,
        "METHOD": summary.method or UNKNOWN,
        "STEPS": _steps(summary),
        "LOSS": short_number(summary.loss, _FIGURE),
        "EVAL": short_number(summary.eval_loss, _FIGURE),
        "BEST@": UNKNOWN if summary.best_step is None else str(summary.best_step),
        "TOK/S": speed(summary.tokens_per_s).removesuffix(" tok/s"),
        "ETA": rounded_clock(summary.eta_s),
        "AGE": age(time.time() - summary.started if summary.started else None),
        "NOTE": one_line(summary.note or "", widths.get("NOTE", 0)),
    }
    return tuple(one_line(every[heading]) for heading, _ in shown)


def _health(summary: "Summary") -> str:
    """Returns the weightiest kind of finding and how many there are of it; "✓" is none."""
    kinds = [each["severity"] for each in summary.health]
    for kind, glyph in SEVERITIES.items():
        if count := kinds.count(kind):
            return f"{glyph}{min(count, 99)}"
    return UNKNOWN if summary.step is None or summary.status in ILL else "✓"


def _steps(summary: "Summary") -> str:
    """Returns the step and the total, shortened to fit but never cut: a cut number is false."""
    if summary.step is None:
        return UNKNOWN
    parts = [summary.step, *([summary.total_steps] if summary.total_steps else [])]
    text = "/".join(map(str, parts))
    return text if len(text) <= 11 else "/".join(_in_five(part) for part in parts)


def _in_five(count: int) -> str:
    """Returns a count in at most 5 characters; the step is never rounded up to the total."""
    for divisor, unit in ((1, ""), (10**3, "k"), (10**6, "M"), (10**9, "G"), (10**12, "T")):
        if count < 1000 * divisor or (divisor == 1 and count < 10**5):
            tenths = count * 10 // divisor
            whole = divisor == 1 or tenths >= 1000 or tenths % 10 == 0
            return f"{tenths // 10}{unit}" if whole else f"{tenths / 10:.1f}{unit}"
    return ">999T"


def name_of(run_id: str) -> str:
    """Returns a run's name without its date."""
    return run_id[16:] if len(run_id) > 16 and run_id[8:9] == "-" else run_id


def _short(run_id: str, width: int) -> str:
    """Returns a run's name; what is long is cut in the middle, not at its hex."""
    name = name_of(run_id)
    return name if len(name) <= width else f"{name[: max(width - 8, 0)]}…{name[-7:]}"


def detail_lines(
    summary: "Summary", width: int, describe_key: str, *, at_length: bool = False
) -> list[str]:
    """Returns status, cause and remedy of a run, its facts, note and health.

    Args:
        summary: The run.
        width: Cells of a line: a note that needs more lines than there is room for is cut.
        describe_key: Tells the whole of it.
        at_length: Also its folder, and more of its note and health.
    """
    first = f"{badge(summary.status)}"
    if summary.reason:
        first += f": {summary.reason}"
    lines = [one_line(first)]
    writable = summary.writable
    if remedy := remedy_in_keys(summary.id, summary.status, summary.remedy, writable=writable):
        lines.append(remedy)
    if not writable:
        beside = f"{lines[-1]} · {READ_ONLY}"  # rows are few: below there are the figures
        lines[-1:] = [beside] if cell_len(beside) <= width else [lines[-1], READ_ONLY]
    if summary.note:
        most = _MOST_NOTE_LINES if at_length else 1
        lines += in_lines(f"Note: {one_line(summary.note)}", width, most, f" {describe_key} all")
    lines += _findings(summary, _MOST_FINDINGS if at_length else 1)
    facts = [
        f"step {summary.step if summary.step is not None else UNKNOWN} of "
        f"{summary.total_steps or UNKNOWN}",
        f"loss {number(summary.loss)}",
        f"eval {number(summary.eval_loss)}",
        speed(summary.tokens_per_s),
    ]
    lines.append(" · ".join(facts))
    if summary.model is not None:
        model, data = Path(summary.model).name, Path(summary.data or UNKNOWN).name
        method = summary.method or UNKNOWN
        lines.append(f"{one_line(model, 30)} · {method} · {one_line(data, 30)}")
    if at_length:
        lines.append(one_line(from_home(summary.path)))
    return lines


def _findings(summary: "Summary", most: int) -> list[str]:
    """Returns a line for each of the weightiest findings about a run, with what to do."""
    lines = [
        f"{SEVERITIES[each['severity']]} {one_line(sentences(each['message'], each['remedy']))}"
        for each in summary.health[:most]
    ]
    if (more := len(summary.health) - most) > 0:
        lines[-1] += f" (+{more}: Enter, w)"
    return lines
