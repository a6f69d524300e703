"""Presses keys in an application of its own process, as light as a user's, and times them.

Usage: python timed_keys.py opens | python timed_keys.py keys MODEL ROWS. Prints JSON: for each
key its name, the processor's time of the event loop until it was dealt with and drawn, as it
would be without others on the machine, and the time by the clock, in seconds.
"""

import asyncio
import gc
import json
import sys
import time

from textual import events

from sft_tui.core.hub.fetch import Request
from sft_tui.tui.app import SftApp
from sft_tui.tui.shared_app import THRESHOLDS

KEYS = {
    "models": ["slash", *"acme", "backspace", *"-7", *["backspace"] * 6, "escape", *"jjjkkGgoo"],
    "data": [*"jkjk", "right_square_bracket", "left_square_bracket", *"GgG"],
    "preview": [
        *["right_square_bracket"] * 6,
        *"vjjkllhvvmmobjkb",
        "left_square_bracket",
        "w",
        "w",
    ],
    "configure": [*"jjjjjjkk", "right", "left", "A", *"jjjjGg", "slash", *"rate", "enter", "A"],
    "review": ["down", "up", "i", "escape", "question_mark", "escape"],
}
ROUNDS = 3
REFERENCE_S = 0.0005
"""Seconds that `speed` takes on a processor that is not shared."""
Timed = tuple[str, float, float]


def application() -> SftApp:
    """Returns it as `sft-tui` makes it."""
    app = SftApp()
    app.lasts = True
    gc.set_threshold(*THRESHOLDS)
    return app


async def drawn(app: SftApp) -> None:
    """Waits until what was asked for is dealt with, and the screen drawn."""
    async with asyncio.timeout(20):
        dealt, done = asyncio.Event(), asyncio.Event()
        # A key rises to the application, which does what it is for.
        app.screen.call_later(lambda: app.call_later(dealt.set))
        await dealt.wait()
        screen = app.screen
        screen.call_after_refresh(done.set)
        while screen is app.screen and not done.is_set():
            await asyncio.sleep(0.001)


def speed() -> float:
    """Returns how fast this processor is just now, 1.0 being what the limits are meant for.

    A processor that is shared with others does less in the same time of its own.
    """
    began, total = time.thread_time(), 0
    for number in range(10_000):
        total += number * number
    return min(REFERENCE_S / (time.thread_time() - began), 1.0)


async def timed(app: SftApp, key: str, where: str = "") -> Timed:
    before = speed()
    wall, cpu = time.perf_counter(), time.thread_time()
    app.post_message(events.Key(key, key if len(key) == 1 else None))
    await drawn(app)
    taken = time.thread_time() - cpu, time.perf_counter() - wall
    return f"{where} {key}", taken[0] * (before + speed()) / 2, taken[1]


async def until(holds) -> None:
    async with asyncio.timeout(30):
        while not holds():
            await asyncio.sleep(0.02)


async def opens() -> list[Timed]:
    """New is opened for the first time."""
    app = application()
    async with app.run_test(size=(120, 36)) as pilot:
        await pilot.pause(0.3)
        found = await timed(app, "2")
        assert app.current_mode == "models"
    return [found]


async def keys(model: str, rows: str) -> list[Timed]:
    """All five steps, while a search, a download and a pass over all rows run."""
    app, found = application(), []
    async with app.run_test(size=(120, 36)) as pilot:
        await pilot.pause()
        assert not app.drafts.change({"model.name": model, "data.sources.0.source": rows})
        app.downloads.start(Request("acme/slow"))
        for step in KEYS:  # the first time they are put together
            app.show_step(step)
            await drawn(app)
        await until(lambda: app.checks.result is not None)
        for _ in range(ROUNDS):
            for step, pressed in KEYS.items():
                app.show_step(step)
                await drawn(app)
                if not app.checks.running:
                    app.checks.again()
                found += [await timed(app, key, step) for key in pressed]
        assert app.checks.running or app.checks.settled, app.checks.error
        assert app.downloads.running(), "the download goes on all the time"
    return found


if __name__ == "__main__":
    print(json.dumps(asyncio.run(opens() if sys.argv[1] == "opens" else keys(*sys.argv[2:]))))
