"""A source as someone types it: a path, `demo`, or the id of a data set on the Hub."""

import os

from .....core import demo
from .....core.data.files import is_hub_id
from .....core.data.found import Found


def is_of_hub(text: str) -> bool:
    """Says whether a text names a data set of the Hub."""
    return is_hub_id(os.path.expanduser(text))


def source_of(text: str) -> Found:
    """Returns the source that a text names; that it is there is not looked at."""
    if text in demo.SPLITS:
        return Found(text, text, "demo")
    path = os.path.abspath(os.path.expanduser(text))  # as a file of a configuration has it
    try:
        size = os.path.getsize(path) if os.path.isfile(path) else None
    except OSError:  # it has just gone, which a look will tell
        size = None
    return Found(path, os.path.basename(path) or path, "recent", size)
