"""Long runs and thin lines: what Monitor costs, measured in a process of its own on a pty."""

import statistics
import threading
import time

import pytest

from sft_tui.core import events
from tests.e2e.terminal import CLI
from tests.relay import Relay

MEMORY_BYTES = 250e6
TRIES = 3
"""What others do on the machine only makes a run slower: one that holds is enough."""
SLACK = 1.5
"""Times what is promised of two idle cores of today: a machine that tests may be slower."""


def watched(home, *arguments: object, **how) -> Relay:
    return Relay([CLI, "watch", *arguments], home, **how)


class Trainer:
    """Adds steps to a run at an even pace while the context lasts."""

    def __init__(self, record, run, per_s: float, first: int) -> None:
        self._record, self._run, self._per_s, self._first = record, run, per_s, first
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._train)

    def _train(self) -> None:
        number, began = self._first, time.monotonic()
        while True:
            due = began + (number - self._first + 1) / self._per_s
            if self._ended.wait(max(due - time.monotonic(), 0)):
                return
            loss = 1.1 + (number * 37 % 101) / 400
            told = events.Step(
                step=number, loss=loss, learning_rate=2e-4, grad_norm=0.6 + number % 7 / 100,
                tokens=500, step_s=1 / self._per_s, tokens_per_s=5000 + number % 13,
                elapsed_s=number / self._per_s,
            )  # fmt: skip
            self._record.add(self._run, told)
            number += 1

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_) -> None:
        self._ended.set()
        self._thread.join()


def reaches(screen: str) -> bool:
    """Whether the large chart has a line over nearly all of its width."""
    columns = [
        at for row in screen.splitlines() for at, char in enumerate(row[:80]) if "⠀" < char <= "⣿"
    ]
    return bool(columns) and max(columns) - min(columns) > 55


@pytest.mark.timing
def test_a_million_events_are_there_in_seconds(home, record):
    """Status within 1 s, a chart of the whole that says it refines in 1.5 s, complete in 6 s."""
    run = record.long(1_000_000, signs_of_life=True)
    for _ in range(TRIES):
        record.add(run, events.Heartbeat(progress=time.time_ns(), step=1))
        seen = watched(home, size=(120, 36))
        try:
            status = seen.sees("RUNNING", since=seen.began)
            chart = seen.until(
                lambda text: "refining" in text and reaches(text), "a chart", since=seen.began
            )
            whole = seen.until(
                lambda text: "ETA" in text and "eading" not in text and "refining" not in text,
                "the end", 60, seen.began,
            )  # fmt: skip
            time.sleep(1)
            memory, cpu = seen.process.memory_info().rss, seen.cpu_s()
        finally:
            seen.close()
        print(f"status {status:.2f} s, chart {chart:.2f} s, complete {whole:.2f} s, processor "
              f"{cpu:.2f} s, memory {memory / 1e6:.0f} MB")  # fmt: skip
        fast = status < SLACK and chart < 1.5 * SLACK and whole < 6 * SLACK
        if fast:
            break
    assert fast
    assert memory < MEMORY_BYTES


@pytest.mark.timing
def test_a_steady_monitor_is_quiet_and_idles(home, record):
    """U69: ten steps a second at 120×36."""
    run = record.living(record.trained(steps=2000, total=100_000))
    for _ in range(TRIES):
        first = len(run.events.read_bytes().splitlines()) - 2
        with Trainer(record, run, 10, first):
            seen = watched(home, size=(120, 36))
            try:
                seen.sees("▶ RUNNING", "ETA")
                time.sleep(2)
                cpu, sent, began = seen.cpu_s(), seen.sent, time.monotonic()
                time.sleep(8)
                took = time.monotonic() - began
                share, rate = (seen.cpu_s() - cpu) / took, (seen.sent - sent) / took
            finally:
                seen.close()
        print(f"{rate / 1e3:.2f} kB/s, {share:.1%} of a core")
        if rate < 10_000 and share < 0.05 * SLACK:
            break
    assert rate < 10_000 and share < 0.05 * SLACK


KEYS = (
    ("s", "Average: 0.97."), ("s", "Average: off."), ("s", "Average: 0.6."), ("s", "Average: 0.9."),
    ("a", "Axis: tokens."), ("a", "Axis: time."), ("a", "Axis: step."), ("b", "▌Log▐"),
    ("b", "▌Samples▐"), ("b", "▌Config▐"), ("b", "▌Events▐"), ("?", "Help · Monitor"), ("\x1b", ""),
    ("1", "▌1 Runs▐"), ("3", "▌3 Monitor▐"),
)  # fmt: skip
"""Keys, and what each brings to the screen that was not there; Esc takes the help away."""


@pytest.mark.timing
def test_a_thin_and_slow_line_stays_usable(home, record):
    """80×24 over 50 kB/s with 200 ms of delay each way: a key is seen within 0.6 s."""
    run = record.living(record.trained(steps=2000, total=100_000))
    first = 2001
    for _ in range(TRIES):
        with Trainer(record, run, 10, first):
            seen = watched(home, size=(80, 24), rate=50_000, delay_s=0.2)
            try:
                seen.sees("▶ RUNNING", "ETA", "x Control", within_s=20)
                time.sleep(2)
                took = [typed(seen, *each) for _ in range(2) for each in KEYS]
            finally:
                seen.close()
        slow = statistics.quantiles([each for each, _ in took], n=20, method="inclusive")[-1]
        print(f"{len(took)} keys: median {statistics.median(each for each, _ in took):.2f} s, "
              f"p95 {slow:.2f} s, worst {max(took)}")  # fmt: skip
        if slow < 0.6 * SLACK:
            break
        first += 2000
    assert slow < 0.6 * SLACK


def typed(seen: Relay, key: str, brings: str) -> tuple[float, str]:
    """Types a key; returns the seconds until what it brings was seen, and that."""
    at = seen.press(key)
    came = seen.sees(brings, since=at) if brings else seen.loses("Help · ", since=at)
    time.sleep(0.2)  # Esc and a key at once would be Alt and that key
    return came, brings


DAY = 86_400
A_STEP_BYTES = 200
"""What a step takes: 130 by its columns, its sum of tokens and one average, and room to grow."""


@pytest.mark.soak
def test_a_day_of_steps_takes_no_more_memory_than_its_data(home, record):
    """One step a second, replayed a hundred times as fast: a quarter of an hour."""
    run = record.living(record.trained(steps=100, total=DAY + 100))
    with Trainer(record, run, 100, 101):
        seen = watched(home, size=(120, 36))
        try:
            seen.sees("▶ RUNNING", "ETA")
            kept: list[tuple[int, int]] = []
            while not kept or kept[-1][0] < 0.95 * DAY:
                time.sleep(30)
                steps = run.events.read_bytes().count(b'"step":') - 3
                kept.append((steps, seen.process.memory_info().rss))
                print(f"{steps} steps: {kept[-1][1] / 1e6:.1f} MB", flush=True)
        finally:
            seen.close()
    first, last = kept[len(kept) // 4], kept[-1]
    assert last[1] - first[1] < (last[0] - first[0]) * A_STEP_BYTES + 4e6
