"""`note` and `delete`: what is kept about a run, and taking it away."""

import argparse
import json
import sys
from pathlib import Path

from ...core import removal
from ...core.find import find_run
from ...core.notes import read_note, write_note
from ...core.rundir import RunDir
from ...core.text import one_line
from .confirm import confirmed


def note(arguments: argparse.Namespace) -> int:
    """Prints a run's note, or writes it where a text is given."""
    run = _run(arguments)
    shown = read_note(run)
    kept = shown if arguments.text is None else write_note(run, arguments.text, shown)
    if arguments.json:
        print(json.dumps({"run": run.id, "note": kept}))
    else:
        print(kept or f"{one_line(run.id)} has no note")
    return 0


def delete(arguments: argparse.Namespace) -> int:
    """Deletes a run's folder, once its last letters were typed.

    Raises:
        UsageError: There is no terminal to ask on.
    """
    run = _run(arguments)
    loss = removal.loss_of(run)
    if not arguments.json:
        for line in (run.id, *loss.words()):
            print(one_line(line), file=sys.stderr)
    letters, look = removal.letters_of(run), "check the run with `sft-tui show`"
    if not confirmed(arguments, letters, "delete it", "deleted", look):
        print("nothing was deleted", file=sys.stderr)
        return 1
    removal.remove(run)
    if arguments.json:
        print(json.dumps({"deleted": run.id, "bytes": loss.bytes, "files": loss.files}))
    else:
        print(f"{one_line(run.id)} is deleted")
    return 0


def _run(arguments: argparse.Namespace) -> RunDir:
    return find_run(arguments.run, Path(arguments.runs) if arguments.runs else None)
