"""Compares an export with its checkpoint, in a process of its own.

Usage: python -P -m sft_tui.core.training.verify_helper REQUEST, where REQUEST is the JSON of a
`verify.Request`. Prints one `Event` per line.
"""

import os
import sys

import msgspec

from ..hub.child import run
from ..verify import Request
from .imports import quick_imports


def main(arguments: list[str]) -> int:
    """Verifies what is asked for and tells how it goes."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    request = msgspec.json.decode(arguments[0], type=Request)
    with quick_imports():  # torch, transformers and PEFT: seconds
        from .verify import verify
    return run(lambda tell: verify(request, tell))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
