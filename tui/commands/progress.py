"""What a command tells on stderr while the Hub answers or a child process works."""

import argparse
import asyncio
import sys
import time
from collections.abc import Callable

import msgspec

from ...core.hub.child import Events
from ...core.hub.client import PATIENT_S
from ...core.hub.progress import Event
from ...core.text import one_line
from ..format import going

_EVERY_S = 10.0
"""Seconds between lines of progress where no terminal shows it live."""


def teller(arguments: argparse.Namespace) -> Callable[[str], None] | None:
    """Returns what tells of long answers; None where nobody looks, or a program does."""
    return None if arguments.json or not sys.stderr.isatty() else say


def say(sentence: str) -> None:
    """Writes a line to a terminal, in place of the progress that stands there."""
    print(f"\r\x1b[K{sentence}", file=sys.stderr, flush=True)


async def follow(told: Events, *, as_json: bool, asks: str = "") -> Event:
    """Shows what a child process tells, and returns its last event.

    Args:
        told: What it tells.
        as_json: Whether to hand it on to a program as it is.
        asks: The host that it asks: named on a terminal where nothing is told for long.
    """
    live, last = sys.stderr.isatty() and not as_json, Event("done")
    show = _as_json if as_json else _Lines(live)
    silence = _Silence(f"asking {asks} …" if asks and live else "")
    try:
        async for last in told:
            silence.begin()
            show(last)
    finally:
        silence.end()
        if live:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
    return last


def _as_json(event: Event) -> None:
    print(msgspec.json.encode(event).decode(), flush=True)


class _Silence:
    """Says a sentence where nothing was told for long; "" says nothing."""

    def __init__(self, sentence: str) -> None:
        self._sentence = sentence
        self._timer: asyncio.TimerHandle | None = None
        self.begin()

    def begin(self) -> None:
        """From now on nothing is told."""
        self.end()
        if self._sentence:
            self._timer = asyncio.get_running_loop().call_later(PATIENT_S, say, self._sentence)

    def end(self) -> None:
        """It is over."""
        if self._timer is not None:
            self._timer.cancel()


class _Lines:
    """Shows events in words: progress in place on a terminal, else every ten seconds."""

    def __init__(self, live: bool) -> None:
        self._live = live
        self._told_t = time.monotonic()
        self._waits_until_t = 0.0

    def __call__(self, event: Event) -> None:
        if event.event == "waiting":
            self._waiting(event)
        elif self._live and event.event == "progress":
            print(f"\r{going(event)}\x1b[K", end="", file=sys.stderr, flush=True)
        elif event.event == "progress" and time.monotonic() - self._told_t >= _EVERY_S:
            self._told_t = time.monotonic()
            print(going(event), file=sys.stderr, flush=True)

    def _waiting(self, event: Event) -> None:
        """Tells of a wait; of several files that wait at a time, of the first alone."""
        now, seconds = time.monotonic(), event.wait_s or 0
        if now < self._waits_until_t:
            return
        self._waits_until_t = now + seconds
        line = f"waiting {seconds} s: {one_line(event.reason)}"
        say(line) if self._live else print(line, file=sys.stderr, flush=True)
