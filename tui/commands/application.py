"""`sft-tui` without a command: the application; also how the other commands open it."""

import argparse
import ctypes
import gc
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ...core.errors import SftError, UsageError
from ...core.process import end_with_stdin
from ...core.rundir import RunDir
from ...core.status import status_of
from .. import clocks
from ..format import rounded_clock

if TYPE_CHECKING:
    from ...core.launch import Trainer

_M_MMAP_THRESHOLD = -3
"""Of malloc.h."""
_OWN_MEMORY_BYTES = 1 << 17


def application(arguments: argparse.Namespace) -> int:
    """Opens the application on Runs.

    Raises:
        UsageError: There is no terminal to draw on.
    """
    if not wants_screen():
        raise UsageError(
            "the application cannot be opened here",
            "it needs a terminal for input, output and errors, or SFT_TUI_PLAIN or TERM=dumb asks "
            "for plain lines",
            "`sft-tui --help` lists the commands that work without one",
        )
    from ..services.settings import load

    chosen = load().value
    mode = "runs" if chosen.start == "home" else chosen.start
    open_application(Path(arguments.runs) if arguments.runs else None, mode=mode)
    return 0


def wants_screen(*, plain: bool = False) -> bool:
    """Returns whether there is a terminal that full screens can be drawn on, and they may be.

    Textual draws on standard error: with `2> file` the screen would stay empty.
    """
    return (
        not plain
        and sys.stdin.isatty()
        and sys.stdout.isatty()
        and sys.stderr.isatty()
        and not os.environ.get("SFT_TUI_PLAIN")
        and os.environ.get("TERM", "") not in ("", "dumb")
    )


def open_application(
    folder: Path | None,
    *,
    watched: RunDir | None = None,
    mode: str = "runs",
    start: Callable[[], "Trainer"] | None = None,
) -> RunDir | None:
    """Runs the application until it is left, and says what is still training.

    Returns:
        The run that Monitor showed last, if any.
    """
    from ..app import SftApp  # Textual: 0.1 s, only where a screen is drawn
    from ..shared_app import THRESHOLDS

    app = SftApp(folder, watched, mode, start)
    app.lasts = True
    gc.set_threshold(*THRESHOLDS)
    _give_columns_room()
    if sys.stdin.isatty():
        end_with_stdin(128 + signal.SIGHUP)
    app.run(mouse=app.settings.value.mouse)
    for line in farewell(app.all_runs()):
        print(line)
    if app.return_code:
        raise SftError(
            "the application ended with an error",
            "the traceback above says where",
            "training goes on; `sft-tui watch` opens the application again",
        )
    return app.watched


def _give_columns_room() -> None:
    """Lets each long array lie in memory of its own: what grows there leaves no holes behind.

    By itself glibc stops to do so once a large one was given back; a run of a day then takes
    nearly twice its data.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:  # another C library decides for itself
        mallopt(_M_MMAP_THRESHOLD, _OWN_MEMORY_BYTES)


def farewell(runs: list[RunDir]) -> list[str]:
    """Returns what the shell shows after leaving: every run that is still at work."""
    return [_still_training(run) for run in runs if status_of(run).active]


def _still_training(run: RunDir) -> str:
    from ...core.summary import summarise  # 40 ms, only at the end

    summary = summarise(run)
    left = ""
    if summary.eta_s is not None:
        end = clocks.at(time.time() + summary.eta_s)
        left = f", ETA {end} (in {rounded_clock(summary.eta_s)})"
    done = "–" if summary.step is None else str(summary.step)
    step = f"step {done}/{summary.total_steps or '–'}"
    if summary.status == "stalled":
        return (
            f"{run.id} stands still ({step}): {summary.reason}. Look: sft-tui watch {run.id[-4:]}"
        )
    return f"{run.id} is still training ({step}{left}). Watch: sft-tui watch {run.id[-4:]}"
