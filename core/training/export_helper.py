"""Writes a run's result into a folder, in a process of its own.

Usage: python -P -m sft_tui.core.training.export_helper REQUEST, where REQUEST is the JSON of an
`export.Request`. Prints one `Event` per line; the folder it writes is made by it and is not to
be used unless the last one is `done`.
"""

import os
import sys

import msgspec

from ..export import Request
from ..hub.child import run
from .imports import quick_imports


def main(arguments: list[str]) -> int:
    """Writes what is asked for and tells how it goes."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    request = msgspec.json.decode(arguments[0], type=Request)
    with quick_imports():  # torch, transformers and PEFT: seconds
        from .export import write
    return run(lambda tell: write(request, tell))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
