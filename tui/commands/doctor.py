"""`doctor`: what this machine has, what is missing, how to mend it."""

import argparse
import json
from pathlib import Path

import msgspec

from ...core.doctor import FAIL, examine, report
from .progress import teller


def doctor(arguments: argparse.Namespace) -> int:
    """Prints every check; returns 1 when one failed."""
    checks = examine(Path(arguments.runs) if arguments.runs else None, teller(arguments))
    failed = any(check.state == FAIL for check in checks)
    if arguments.json:
        print(json.dumps({"checks": msgspec.to_builtins(checks), "ok": not failed}))
    else:
        print(report(checks))
    return int(failed)
