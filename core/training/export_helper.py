"""Writes a run's result into a folder, in a process of its own.

Usage: python -P -m sft_tui.core.training.export_helper REQUEST, where REQUEST is the JSON of an
`export.Request`. Prints one `Event` per line; the folder it writes is made by it and is not to
be used unless the last one is `done`.
"""

import os
import sys
from pathlib import Path

import msgspec

from ..export import Request, config_of
from ..hub.child import Tell, run
from ..hub.progress import Event
from ..rundir import RunDir
from .imports import leave_out_unused, quick_imports


def export(request: Request, tell: Tell) -> Event:
    """Writes what is asked for.

    Raises:
        SftError: What the user can do something about; the message says what.
    """
    leave_out_unused(config_of(RunDir(Path(request.run))))
    with quick_imports():  # torch, transformers and PEFT: seconds
        from .export import write
    return write(request, tell)


def main(arguments: list[str]) -> int:
    """Writes what is asked for and tells how it goes."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    request = msgspec.json.decode(arguments[0], type=Request)
    return run(lambda tell: export(request, tell))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
