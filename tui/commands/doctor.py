"""`doctor`: what this machine has, what is missing, how to mend it."""

import argparse
import json
from pathlib import Path

import msgspec

from ...core.doctor import FAIL, OK, WARN, examine
from .progress import teller

_MARKS = {OK: "✓", WARN: "!", FAIL: "✗"}


def doctor(arguments: argparse.Namespace) -> int:
    """Prints every check; returns 1 when one failed."""
    checks = examine(Path(arguments.runs) if arguments.runs else None, teller(arguments))
    failed = any(check.state == FAIL for check in checks)
    if arguments.json:
        print(json.dumps({"checks": msgspec.to_builtins(checks), "ok": not failed}))
        return int(failed)
    for check in checks:
        print(f"{_MARKS[check.state]} {check.name:<12} {check.found}")
        if check.remedy:
            print(f"  {'':<12} do: {check.remedy}")
    return int(failed)
