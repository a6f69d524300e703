"""What Runs says of a run: the cells of its row, and its details."""

import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from ...core.status import ACTIVE
from ...core.text import one_line
from ..control_flow import remedy_in_keys
from ..format import UNKNOWN, age, from_home, number, rounded_clock, speed
from ..theme import badge

if TYPE_CHECKING:
    from ...core.summary import Summary


# (heading, width, dropped below this many columns)
_COLUMNS = (
    ("STATUS", 13, 0),
    ("NAME", 27, 0),
    ("MODEL", 18, 120),
    ("METHOD", 10, 140),
    ("STEPS", 11, 0),
    ("LOSS", 7, 72),
    ("EVAL", 7, 100),
    ("BEST@", 6, 150),
    ("TOK/S", 8, 130),
    ("ETA", 8, 78),
    ("AGE", 6, 110),
)
_FACTS = ("STATUS", "STEPS", "LOSS", "NAME")
"""The columns of a screen too small for more: the name may be cut, the others not."""


def columns(width: int, *, tiny: bool) -> list[tuple[str, int]]:
    """Returns the columns of the list, heading and width, that a screen has room for."""
    if tiny:
        return [(name, size) for fact in _FACTS for name, size, _ in _COLUMNS if name == fact]
    return [(name, size) for name, size, least in _COLUMNS if width >= least]


_WELCOME = """\
No runs yet in {place}.

▸ Enter   The demo: the embedded model and data,
          a few minutes on a CPU

  2       {new}

  e       Take a YAML file

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


def cells(summary: "Summary", headings: tuple[str, ...]) -> tuple[str, ...]:
    every = {
        "STATUS": badge(summary.status),
        "NAME": _short(summary.id),
        "MODEL": Path(summary.model).name if summary.model else UNKNOWN,
        "METHOD": summary.method or UNKNOWN,
        "STEPS": _steps(summary),
        "LOSS": number(summary.loss),
        "EVAL": number(summary.eval_loss),
        "BEST@": UNKNOWN if summary.best_step is None else str(summary.best_step),
        "TOK/S": speed(summary.tokens_per_s).removesuffix(" tok/s"),
        "ETA": rounded_clock(summary.eta_s),
        "AGE": age(time.time() - summary.started if summary.started else None),
    }
    return tuple(one_line(every[heading]) for heading in headings)


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


def _short(run_id: str) -> str:
    """Returns a run's name without its date; what is long is cut in the middle, not at its hex."""
    name = run_id[16:] if len(run_id) > 16 and run_id[8:9] == "-" else run_id
    return name if len(name) <= 27 else f"{name[:19]}…{name[-7:]}"


def detail_lines(summary: "Summary", *, at_length: bool = False) -> list[str]:
    """Returns status, cause and remedy of a run, and its facts; `at_length` also its folder."""
    first = f"{badge(summary.status)}"
    if summary.reason:
        first += f": {summary.reason}"
    lines = [one_line(first)]
    if remedy := remedy_in_keys(summary.id, summary.status, summary.remedy):
        lines.append(remedy)
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
