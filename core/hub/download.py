"""A download as its caller sees it: a child process that tells how it goes and can be ended."""

import asyncio
import sys
from collections.abc import AsyncIterator

import msgspec

from ..text import one_line
from .client import HubError
from .datasets import Wanted
from .fetch import Request
from .progress import Event

_WORKS = {
    Request: "sft_tui.core.hub.fetch",
    Wanted: "sft_tui.core.training.dataset_helper",
}
"""The module that does the work, by what is asked for."""


async def download(request: Request | Wanted) -> AsyncIterator[Event]:
    """Downloads in a child process and yields how it goes; the last event is `done`.

    A `Request` is files of a repository; a `Wanted` is a split of a data set, of which the
    library `datasets` says which files it has.

    Leaving the iteration, or cancelling it, ends the process at once; what came stays and the
    next download goes on from there.

    Raises:
        HubError: It failed; `kind` is `local` where this machine was the reason.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", _WORKS[type(request)]),
        msgspec.json.encode(request).decode(),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert process.stdout is not None  # it was asked for
    other = ""
    try:
        async for line in process.stdout:
            try:
                event = msgspec.json.decode(line, type=Event)
            except msgspec.DecodeError:  # a warning of a library, or the traceback of a fault
                other = one_line(line.decode("utf-8", "replace"), 300) or other
                continue
            if event.failure is not None:
                raise HubError(**msgspec.structs.asdict(event.failure))
            yield event
            if event.event == "done":
                return
        raise HubError(
            "local",
            f"the download of {request.id} ended",
            other or f"its process ended with {await process.wait()}",
            "start it again: it goes on where it was",
        )
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
