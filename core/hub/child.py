"""Work in a child process that tells how it goes: both ends of it.

The child prints one `Event` of JSON per line and ends with 2 where it failed. It may be ended at
any time, and without a reader it ends by itself.
"""

import asyncio
import logging
import math
import os
import re
import signal
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress

import msgspec

from ..errors import SftError
from ..text import one_line
from . import endpoint
from .failures import HubError
from .progress import Event, Failure

Tell = Callable[[Event], None]
Events = AsyncGenerator[Event, None]

_WAIT = re.compile(r"(?:Rate limited\. Waiting|Retrying in) (\d+(?:\.\d+)?)s")
_BUSY, _BROKEN = "the Hub cannot answer now", "the connection was closed early"


async def events(module: str, request: msgspec.Struct, doing: str, remedy: str) -> Events:
    """Runs a module as a child process and yields what it tells; the last event is `done`.

    Leaving the iteration, or cancelling it, ends the process at once.

    Args:
        module: What is run; it calls `run`.
        request: What it is given, as JSON. Tokens are no part of it: the child reads its own.
        doing: What it does, such as "the download of acme/m", for messages.
        remedy: What to do where it ends without a word.

    Raises:
        HubError: It failed; `kind` is `local` where this machine was the reason.
        UsageError: HF_ENDPOINT is no address.
    """
    endpoint.check()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", module),
        msgspec.json.encode(request).decode(),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "HF_HUB_DISABLE_XET": "1"},
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
        code = await process.wait()
        raise HubError("local", f"{doing} ended", other or f"its process ended with {code}", remedy)
    finally:
        if process.returncode is None:
            # Not `process.kill()`: it looks first whether the child has ended, and so takes that
            # away from the event loop's own wait, which then warns of an unknown process.
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
        await process.wait()


class _Waits(logging.Handler):
    """Tells of the waits of huggingface_hub, in our words: it logs why, and then how long.

    What else it logs is no wait, and stays on the stderr of the child.
    """

    def __init__(self, tell: Tell) -> None:
        super().__init__(logging.WARNING)
        self._tell = tell
        self._reason = _BROKEN

    def emit(self, record: logging.LogRecord) -> None:
        said = record.getMessage()
        if (wait := _WAIT.match(said)) is None:
            self._reason = _BUSY if said.startswith("HTTP Error") else _BROKEN
            return
        seconds = math.ceil(float(wait[1]))
        reason = f"the Hub asks to wait {seconds} s" if said.startswith("Rate") else self._reason
        self._tell(Event("waiting", wait_s=seconds, reason=reason))


def run(work: Callable[[Tell], Event]) -> int:
    """Does a child's work: tells on stdout, and ends with 2 where it fails.

    Args:
        work: Takes what tells of events and returns the last one, `done`.
    """

    def tell(event: Event) -> None:
        try:
            sys.stdout.buffer.write(msgspec.json.encode(event) + b"\n")
            sys.stdout.buffer.flush()
        except BrokenPipeError:  # nobody reads any more: nobody wants the result
            os._exit(1)

    logging.getLogger("huggingface_hub").addHandler(_Waits(tell))
    try:
        endpoint.check()
        tell(work(tell))
    except SftError as error:
        kind = error.kind if isinstance(error, HubError) else "local"
        tell(Event("failed", failure=Failure(kind, error.what, error.why, error.remedy)))
        # Threads may still be at work: they end with the process.
        os._exit(2)
    return 0
