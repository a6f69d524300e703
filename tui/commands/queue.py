"""`queue`: runs that wait for others to end."""

import argparse
import json
import sys
from pathlib import Path

from ...core import config_file, run_queue
from ...core.errors import UsageError
from ...core.text import one_line
from ..queue_text import held, line


def queue(arguments: argparse.Namespace) -> int:
    """Lists what waits, or changes it.

    Raises:
        UsageError: It is not said what is to be added or removed.
    """
    action, what = arguments.action, arguments.what
    if action == "add":
        if what is None and arguments.preset is None:
            raise UsageError(
                "nothing can be added to the queue",
                "neither a CONFIG.yaml nor a --preset was given",
                "such as `sft-tui queue add run.yaml`",
            )
        sets, preset = arguments.sets, arguments.preset
        config = (
            config_file.build(sets, preset)
            if what is None
            else config_file.load(Path(what), sets, preset)
        )
        entry = run_queue.add(config, Path(arguments.runs) if arguments.runs else None)
        if not arguments.json:
            print(f"{one_line(entry.id)} waits now; it starts by itself")
    elif action == "remove":
        run_queue.remove(what or "")
    elif action == "start" and run_queue.waiting():
        run_queue.start_scheduler()
    _show(as_json=arguments.json)
    return 0


def _show(*, as_json: bool) -> None:
    entries = run_queue.waiting()
    if as_json:
        told = [
            {"id": each.id, "added": each.t, "runs": each.folder, "problem": each.problem}
            for each in entries
        ]
        print(json.dumps({"queue": told}))
        return
    if not entries:
        print("nothing waits")
    for place, entry in enumerate(entries, 1):
        print(f"{place}  {one_line(entry.id)}  {line(entry)}")
    if entries and held(entries):
        print("nothing is started: `sft-tui queue start` goes on", file=sys.stderr)
