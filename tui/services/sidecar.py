"""Asks the helper process, which does what would keep the screen from answering keys."""

import asyncio
import contextlib
import os
import signal
import sys
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from ...core.errors import SftError
from ...core.sidecar.protocol import Reply, Request
from ...core.text import one_line

T = TypeVar("T")
_LONGEST_LINE = 1 << 28
"""Bytes of one reply."""


class Sidecar:
    """One helper process: started when first asked, kept warm, started again when it died.

    Calls are answered one at a time, in order. A call that is cancelled while it waits for its
    turn costs nothing; one that is being answered is let go on, unless it is asked to be ended.

    Args:
        module: What the process runs.
    """

    def __init__(self, module: str = "sft_tui.core.sidecar") -> None:
        self._module = module
        self._process: asyncio.subprocess.Process | None = None
        self._starting: asyncio.Task[asyncio.subprocess.Process] | None = None
        self._turn = asyncio.Lock()
        self._said: deque[str] = deque(maxlen=20)
        self._listener: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """The process's id, while there is one."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    async def ask(
        self,
        call: str,
        argument: Any,
        answer: type[T],
        progress: Callable[[Any], None] | None = None,
        *,
        end_when_cancelled: bool = False,
    ) -> T:
        """Asks and returns the answer.

        Args:
            call: A name of `core.sidecar.calls.CALLS`.
            argument: What that call takes.
            answer: The type of the answer.
            progress: Takes what is told before it, as plain maps, lists and scalars.
            end_when_cancelled: Cancelling ends the process: for calls that take long.

        Raises:
            SftError: It failed, or the process ended.
        """
        await self._turn.acquire()
        work = asyncio.create_task(self._answer(call, argument, progress))
        work.add_done_callback(self._end_turn)
        try:
            raw = await asyncio.shield(work)
        except asyncio.CancelledError:
            if end_when_cancelled:
                work.cancel()
                await self.stop()
            raise
        return msgspec.json.decode(raw, type=answer)

    def interrupt(self) -> None:
        """Sends the process SIGINT, as Ctrl+C does; what that means is the module's affair."""
        if self.pid is not None:
            os.kill(self.pid, signal.SIGINT)

    def _end_turn(self, work: "asyncio.Task[bytes]") -> None:
        """Lets the next call go: the replies of this one were all read, or its process is gone."""
        self._turn.release()
        if not work.cancelled():
            work.exception()  # who asked may have gone: nobody else looks at it

    async def stop(self) -> None:
        """Ends the process, also one that is just being started; the next call starts another."""
        if self._starting is not None:
            with contextlib.suppress(OSError):  # who asked for it is told
                await asyncio.shield(self._starting)
        process, self._process = self._process, None
        listener, self._listener = self._listener, None
        if process is not None:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)  # with what it started to load a tokenizer
            await process.wait()
        if listener is not None:
            await listener

    async def _answer(
        self, call: str, argument: Any, progress: Callable[[Any], None] | None
    ) -> bytes:
        process = await self._living()
        assert process.stdin is not None and process.stdout is not None  # they were asked for
        request = Request(call, msgspec.Raw(msgspec.json.encode(argument)))
        try:
            process.stdin.write(msgspec.json.encode(request) + b"\n")
            await process.stdin.drain()
        except (BrokenPipeError, ConnectionResetError):
            raise await self._died(process) from None
        while line := await process.stdout.readline():
            reply = msgspec.json.decode(line, type=Reply)
            if reply.kind == "done":
                return bytes(reply.value)
            if reply.failure is not None:
                raise SftError(reply.failure.what, reply.failure.why, reply.failure.remedy)
            if progress is not None:
                progress(msgspec.json.decode(reply.value))
        raise await self._died(process)

    async def _living(self) -> asyncio.subprocess.Process:
        if self._process is not None and self._process.returncode is None:
            return self._process
        await self.stop()
        self._said.clear()
        self._starting = asyncio.create_task(self._started())
        return await asyncio.shield(self._starting)

    async def _started(self) -> asyncio.subprocess.Process:
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", self._module),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=_LONGEST_LINE,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            start_new_session=True,  # Ctrl+C of the terminal is not for it
        )
        self._listener = asyncio.create_task(self._listen(self._process))
        return self._process

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None
        async for line in process.stderr:
            self._said.append(one_line(line.decode("utf-8", "replace"), 300))

    async def _died(self, process: asyncio.subprocess.Process) -> SftError:
        code = await process.wait()
        if self._listener is not None:
            await self._listener
        last = self._said[-1] if self._said else f"its exit code was {code}"
        return SftError(
            "the helper process ended before it answered",
            last,
            "try again: another is started; free some memory if it was killed",
        )
