"""`watch`: follow a run."""

import argparse
from pathlib import Path

from ...core.errors import UsageError
from ...core.find import find_run, newest_begun
from ...core.rundir import RunDir, list_runs, runs_folder
from ...core.status import status_of
from .. import plain
from .application import open_application, wants_screen
from .train import GOOD_ENDS


def watch(arguments: argparse.Namespace) -> int:
    """Follows the named run, or the newest active one; 1 when it failed or crashed."""
    folder = Path(arguments.runs) if arguments.runs else None
    run = find_run(arguments.run, folder) if arguments.run else newest_active(folder)
    if wants_screen(plain=arguments.plain or arguments.json):
        open_application(folder, watched=run, mode="monitor")
        return 0
    if arguments.json:
        status = plain.print_events(run)
    else:
        status = plain.Follower(run, plain.say).follow()
    return 0 if status.word in GOOD_ENDS else 1


def newest_active(folder: Path | None) -> RunDir:
    """Returns the newest run whose trainer is at work, or else the newest run.

    Raises:
        UsageError: There is no run.
    """
    runs = list_runs(folder)
    if (newest := newest_begun(runs)) is None:
        raise UsageError(
            "there is no run to watch",
            f"{runs_folder(folder)} holds none that began",
            "`sft-tui demo` starts one",
        )
    return next((run for run in runs if status_of(run).active), newest)
