"""What a long run looks like before its events are read: its ends, and a sample between them."""

from pathlib import Path

from .history import History, decode
from .regular import open_regular
from .steps import Steps

PLACES = 400
"""Places of the file that are looked at."""
_PIECE_BYTES = 1 << 11
_HEAD_BYTES = 1 << 16
_END_BYTES = 1 << 16


def glimpse(path: Path, places: int = PLACES) -> History:
    """Returns the history of a small part of a file: its beginning, steps all along, its end.

    Raises:
        OSError: The file cannot be read.
    """
    history = History()
    with open_regular(path) as file:
        size = file.seek(0, 2)
        between = max(size - _HEAD_BYTES - _END_BYTES, 0)
        file.seek(0)
        history.add_lines(_whole(file.read(_HEAD_BYTES), first=True))
        for place in range(places if between else 0):
            file.seek(_HEAD_BYTES + between * place // places)
            for told in decode(_whole(file.read(_PIECE_BYTES)))[0]:
                if isinstance(told, Steps):
                    history.add(told)
        if size > _HEAD_BYTES:
            file.seek(max(size - _END_BYTES, _HEAD_BYTES))
            history.add_lines(_whole(file.read(_END_BYTES)))
    history.unreadable = 0  # the reading itself counts them
    return history


def _whole(block: bytes, *, first: bool = False) -> bytes:
    """Returns the whole lines of a part of a file; `first` says that it begins with one."""
    begin = 0 if first else block.find(b"\n") + 1
    return block[begin : block.rfind(b"\n") + 1]
