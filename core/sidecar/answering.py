"""The helper's side of `protocol`: takes one request after the other and replies."""

import os
import sys
import traceback
from collections.abc import Callable
from typing import Any, BinaryIO

import msgspec

from ..errors import SftError
from ..text import one_line
from .calls import Tell
from .protocol import Failure, Reply, Request

Find = Callable[[str], tuple[Callable[[Any, Tell], Any], type[Any]]]
"""Gives the function of a call and the type of its argument."""


def serve(find: Find) -> None:
    """Answers calls until stdin ends."""
    # Whatever a library prints must not come between the replies.
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    for line in sys.stdin.buffer:
        _answer(line, find, replies)


def _answer(line: bytes, find: Find, replies: BinaryIO) -> None:
    def send(kind: Any, value: Any = None, failure: Failure | None = None) -> None:
        raw = msgspec.Raw(msgspec.json.encode(value))
        replies.write(msgspec.json.encode(Reply(kind=kind, value=raw, failure=failure)) + b"\n")
        replies.flush()

    try:
        request = msgspec.json.decode(line, type=Request)
        function, type_ = find(request.call)
        argument = msgspec.json.decode(request.argument, type=type_)
        send("done", function(argument, lambda value: send("progress", value)))
    except BrokenPipeError:  # nobody reads any more: nobody wants an answer
        os._exit(1)
    except SftError as error:
        send("failed", failure=Failure(error.what, error.why, error.remedy))
    except Exception as error:  # the program's own fault, which must not end the next answers too
        traceback.print_exc()
        why = one_line(f"{type(error).__name__}: {error}", 400)
        remedy = "try again; if it comes back, report it with the file that it came with"
        send("failed", failure=Failure("the helper process failed", why, remedy, fault=True))
