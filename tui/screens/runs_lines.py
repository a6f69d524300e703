"""What Runs says of a run: the cells of its row, and its details."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

from ...core.text import one_line
from ..control_flow import remedy_in_keys
from ..format import UNKNOWN, age, number, rounded_clock, speed
from ..theme import badge

if TYPE_CHECKING:
    from ...core.summary import Summary


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


def detail_lines(summary: "Summary") -> list[str]:
    first = f"{badge(summary.status)}"
    if summary.reason:
        first += f": {summary.reason}"
    lines = [one_line(first)]
    if remedy := remedy_in_keys(summary.id, summary.status, summary.remedy):
        lines.append(remedy)
    facts = [
        f"step {summary.step if summary.step is not None else UNKNOWN} of "
        f"{summary.total_steps or UNKNOWN}",
        f"eval {number(summary.eval_loss)}",
        speed(summary.tokens_per_s),
        one_line(summary.data or UNKNOWN, 40),
    ]
    return [*lines, " · ".join(facts)]
