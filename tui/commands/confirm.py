"""Asks for a word before a command does what cannot be taken back."""

import argparse
import sys

from ...core.errors import UsageError
from ...core.text import one_line


def confirmed(arguments: argparse.Namespace, word: str, doing: str, done: str, look: str) -> bool:
    """Returns whether `--yes` was given or the word typed.

    Args:
        arguments: With `yes` and `json`.
        word: To be typed.
        doing: What it is for, such as "push".
        done: The same as in "nothing was pushed".
        look: What to look at before adding --yes.

    Raises:
        UsageError: There is no terminal to ask on.
    """
    if arguments.yes:
        return True
    if arguments.json or not sys.stdin.isatty():
        raise UsageError(
            f"nothing was {done}",
            "it must be confirmed, and there is no terminal to ask on",
            f"{look}, then add --yes",
        )
    print(f"type {one_line(word)} to {doing}: ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip() == word
