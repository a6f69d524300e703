"""Numbers and times as screens and plain lines write them; what is unknown is "–", never 0."""

import math
import os
import re
from typing import TYPE_CHECKING

from ..core.text import one_line
from . import clocks

if TYPE_CHECKING:
    from ..core.config import RunConfig
    from ..core.events import Phase
    from ..core.history import History
    from ..core.hub.progress import Event
    from ..core.status import Status

UNKNOWN = "–"
_COLUMNS = re.compile(
    r"(mend|name the columns with|name them by role, such as) data\.sources\.\d+\.columns(=\{.*\})?"
)


def counted(number: int, noun: str) -> str:
    """Returns how many there are: "1 row", "1,500 rows"."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def number(value: float | str | None) -> str:
    """Returns a loss with four digits; not finite is NaN or Infinity."""
    if value is None:
        return UNKNOWN
    value = float(value)
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "Infinity" if value > 0 else "-Infinity"
    return f"{value:.4g}"


def short_number(value: float | str | None, width: int) -> str:
    """Returns a loss with as many of four digits as a column has room for, never cut within one."""
    told = number(value).replace("Infinity", "inf")
    if value is None or not math.isfinite(float(value)):
        return told
    for digits in (4, 3, 2, 1):
        for shape in (f".{digits}g", f".{digits - 1}e"):  # 1.2e-4 is shorter than 0.00012
            if len(told) <= width:
                return told
            told = f"{float(value):{shape}}".replace("+", "").replace("e0", "e")
            told = told.replace("e-0", "e-")
    return told


def rate(value: float | None) -> str:
    """Returns a learning rate with three digits."""
    return UNKNOWN if value is None else f"{value:.3g}"


def signed(value: float) -> str:
    """Returns a difference of losses with three digits and its sign."""
    return f"{value:+.3f}".replace("-", "−")


def with_keys(remedy: str) -> str:
    """Returns what to do about data, with the key that does it for what a file would say."""
    return _COLUMNS.sub("choose the columns with c on Data", remedy)


def clock(seconds: float | None) -> str:
    """Returns a span of time as h:mm:ss."""
    if seconds is None:
        return UNKNOWN
    minutes, rest = divmod(round(max(seconds, 0)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"


def rounded_clock(seconds: float | None) -> str:
    """Returns time left: to the minute above an hour, else to 5 s."""
    if seconds is None:
        return UNKNOWN
    step = 60 if seconds > 3600 else 5
    return clock(round(seconds / step) * step)


def span(seconds: float) -> str:
    """Returns how long something took, which is never no time at all."""
    return "< 0.1 s" if seconds < 0.1 else f"{seconds:.1f} s"


def gib(value: int | None) -> str:
    """Returns bytes as GiB with one digit."""
    return UNKNOWN if value is None else f"{value / 2**30:.1f}"


def amount(phase: "Phase | None") -> str:
    """Returns how far a phase is, with a space before; "" where it does not say."""
    if phase is None or not phase.total:
        return ""
    if phase.unit == "bytes":
        return f" {(phase.done or 0) / 2**20:,.1f}/{phase.total / 2**20:,.1f} MiB"
    return f" {phase.done}/{phase.total} {phase.unit}"


def from_home(path: str) -> str:
    """Returns a path with ~ for the home."""
    home = os.path.expanduser("~")
    return "~" + path.removeprefix(home) if path.startswith(home + os.sep) else path


def sentences(*texts: str) -> str:
    """Returns texts as sentences behind each other, the first begun as it is; "" is none."""
    said = [text if text.endswith((".", "!", "?")) else f"{text}." for text in texts if text]
    return " ".join([*said[:1], *(text[0].upper() + text[1:] for text in said[1:])])


def as_sentences(*texts: str) -> str:
    """Returns texts as sentences behind each other, the first begun with a capital as well."""
    said = sentences(*texts)
    return said[:1].upper() + said[1:]


def percent(share: float | None) -> str:
    """Returns a share as a whole percentage."""
    return UNKNOWN if share is None else f"{share * 100:.0f} %"


def speed(tokens_per_s: float | None) -> str:
    """Returns useful tokens per second."""
    if tokens_per_s is None:
        return f"{UNKNOWN} tok/s"
    if tokens_per_s >= 10_000:
        return f"{tokens_per_s / 1000:.1f}k tok/s"
    return f"{tokens_per_s:,.0f} tok/s"


def age(seconds: float | None) -> str:
    """Returns how long ago something was, in one unit."""
    if seconds is None:
        return UNKNOWN
    for limit, divisor, unit in ((120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{max(seconds, 0) / divisor:.0f} {unit}"
    return f"{seconds / 86_400:.0f} d"


def time_left(
    status: "Status", history: "History", config: "RunConfig | None", *, at: float | None = None
) -> str:
    """Returns the time left, how far measuring it is, or – where no step is to come.

    Where step times vary much it is a range. With `at`, the time now in seconds since the epoch,
    it also tells by the clock when the run ends.
    """
    from ..core.history import STEPS_FIRST  # with what reads configurations: 30 ms
    from ..core.summary import goes_on
    from ..core.summary import time_left as work_left

    if not goes_on(status):
        return UNKNOWN
    if history.started is not None and history.total_steps is None:
        return "no end set"
    left = work_left(status, history, config)
    if left is None:
        return f"measuring {min(history.steps_since_start, STEPS_FIRST)}/{STEPS_FIRST}"
    shown = [left.low, left.high] if left.varies else [left.seconds]
    text = "–".join(map(rounded_clock, shown))
    if at is None:
        return text
    ends = (clocks.at(at + seconds) for seconds in shown)
    return f"{text} ({'–'.join(ends)})"


def going(event: "Event") -> str:
    """Returns how far a child process is, in words."""
    if event.reason and not event.bytes_total:
        amount = f" {event.files_done} of {event.files_total}" if event.files_total else ""
        return f"{one_line(event.reason)}{amount}"
    rate = f" at {event.bytes_per_s / 2**20:.1f} MiB/s" if event.bytes_per_s else ""
    left = f", {clock(event.left_s)} left" if event.left_s is not None else ""
    return (
        f"{event.bytes_done / 2**20:,.1f} of {event.bytes_total / 2**20:,.1f} MiB{rate}{left}, "
        f"{event.files_done} of {event.files_total} files"
    )
