"""What a screen and its helper process say to each other: one JSON object per line.

The helper reads requests from stdin and answers on stdout, one after the other, each with any
number of `progress` and then `done` or `failed`. It ends when its stdin does, so it never outlives
the application.
"""

from typing import Literal

import msgspec


class Request(msgspec.Struct, frozen=True):
    """A call: a name of `calls.CALLS` and its argument as JSON."""

    call: str
    argument: msgspec.Raw


class Failure(msgspec.Struct, frozen=True):
    """Why a call could not be answered; `fault` where the program is to blame."""

    what: str
    why: str
    remedy: str
    fault: bool = False


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """An answer, or how far it is."""

    kind: Literal["progress", "done", "failed"]
    value: msgspec.Raw = msgspec.Raw(b"null")
    failure: Failure | None = None
