"""`sft-tui` without a command: the application; also how the other commands open it."""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ...core.errors import SftError, UsageError
from ...core.rundir import RunDir

if TYPE_CHECKING:
    from ...core.launch import Trainer


def application(arguments: argparse.Namespace) -> int:
    """Opens the application on Runs.

    Raises:
        UsageError: There is no terminal to draw on.
    """
    if not wants_screen():
        raise UsageError(
            "the application cannot be opened here",
            "it needs a terminal, or SFT_TUI_PLAIN or TERM=dumb asks for plain lines",
            "`sft-tui --help` lists the commands that work without one",
        )
    open_application(Path(arguments.runs) if arguments.runs else None)
    return 0


def wants_screen(*, plain: bool = False) -> bool:
    """Returns whether there is a terminal that full screens can be drawn on, and they may be."""
    return (
        not plain
        and sys.stdin.isatty()
        and sys.stdout.isatty()
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

    app = SftApp(folder, watched, mode, start)
    app.run()
    for line in app.farewell():
        print(line)
    if app.return_code:
        raise SftError(
            "the application ended with an error",
            "the traceback above says where",
            "training goes on; `sft-tui watch` opens the application again",
        )
    return app.watched
