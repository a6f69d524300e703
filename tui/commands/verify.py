"""`verify`: loads an export as others do, and compares it with what was trained."""

import argparse
import asyncio
import json
from pathlib import Path

from ...core import verify as verification
from ...core.hub.child import Events
from ...core.hub.progress import Event
from ...core.text import one_line
from .progress import follow


def verify(arguments: argparse.Namespace) -> int:
    """Prints what was compared and found; returns 1 where it is not what was trained."""
    runs = Path(arguments.runs) if arguments.runs else None
    looked = verification.look(Path(arguments.folder), runs, arguments.base)
    told = verification.verify(looked)
    done = asyncio.run(_last(told) if arguments.json else follow(told, as_json=False))
    found = verification.verdict(looked, done.answer)
    if arguments.json:
        print(json.dumps(verification.as_json(found)))
    else:
        for line in verification.in_words(found):
            print(one_line(line))
    return 0 if found.ok else 1


async def _last(told: Events) -> Event:
    """Returns the last event; with --json one document goes to stdout."""
    return [event async for event in told][-1]
