"""`report`: a run as one HTML file for others."""

import argparse
import json
from pathlib import Path

from ...core.errors import UsageError
from ...core.find import find_run
from ...core.report import report as page_of
from ...core.rundir import explain_os_error, write_atomic
from ...core.text import one_line
from .compare import write_new


def report(arguments: argparse.Namespace) -> int:
    """Writes the file and names it.

    Raises:
        UsageError: It exists already, and --force was not given.
        SftError: It cannot be written.
    """
    run = find_run(arguments.run, Path(arguments.runs) if arguments.runs else None)
    if not arguments.to:
        raise UsageError("--to cannot be used", "it is empty", "give a file, such as report.html")
    target, text = Path(arguments.to), page_of(run)
    if arguments.force:
        try:
            write_atomic(target, text.encode())
        except OSError as error:
            raise explain_os_error(error, "writing the report", target) from error
    else:
        write_new(target, text, "name another file, or add --force to replace it")
    if arguments.json:
        print(json.dumps({"run": run.id, "file": str(target), "bytes": len(text.encode())}))
    else:
        print(one_line(str(target)))
    return 0
