"""Whether users are told how a run ended: in its events, by `show` and on Monitor's screen."""

import asyncio
import contextlib
import io
import time

from sft_tui.core import events
from sft_tui.core.rundir import RunDir
from sft_tui.core.status import status_of
from sft_tui.core.tail import Tail
from sft_tui.core.text import one_line
from sft_tui.tui import cli
from sft_tui.tui.app import SftApp
from sft_tui.tui.control_flow import remedy_in_keys
from sft_tui.tui.format import sentences

SIZES = ((80, 24), (160, 45))
PATIENCE_S = 8.0


def failure(run: RunDir) -> events.RunFinished:
    """Returns how a run failed; its reason and its remedy are told whole in all three places."""
    end = events.decode(Tail(run.events).read(1 << 30)[-1])
    assert isinstance(end, events.RunFinished) and end.status == "failed", end
    assert end.reason and end.remedy
    assert_told(run, end.reason, end.remedy)
    return end


def assert_told(run: RunDir, reason: str, remedy: str) -> None:
    """`show` and Monitor say reason and remedy; the keys of Monitor stand for its commands."""
    told = dict(line.split(maxsplit=1) for line in shown(run).splitlines())
    assert (told["why"], told["do"]) == (one_line(reason), one_line(remedy))
    word = status_of(run).word
    said = (f"{word.upper()}: {one_line(reason)}", remedy_in_keys(run.id, word, remedy))
    for size in SIZES:
        assert_on_monitor(run, size, said)


def assert_warned(run: RunDir, warning: events.Warning_) -> None:
    """`show` and Monitor say what did not end a run; Monitor's list of health has the remedy."""
    assert sentences(warning.message, warning.remedy) in shown(run)
    for size in SIZES:
        assert_on_monitor(run, size, (warning.message,))


def shown(run: RunDir) -> str:
    """Returns what `sft-tui show` prints about a run."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        assert cli.main(["show", str(run.path)]) == 0
    return printed.getvalue()


def assert_on_monitor(run: RunDir, size: tuple[int, int], said: tuple[str, ...]) -> None:
    """Texts stand whole on Monitor's screen soon, however its width breaks their lines."""
    wanted = [_packed(text) for text in said]

    async def look() -> None:
        app = SftApp(mode="monitor", watched=run)
        async with app.run_test(size=size) as pilot:
            deadline = time.monotonic() + PATIENCE_S
            while True:
                await pilot.pause(0.02)
                strips = app.screen._compositor.render_strips()
                rows = ["".join(segment.text for segment in strip) for strip in strips]
                if all(text in _packed("".join(rows)) for text in wanted):
                    return
                assert time.monotonic() < deadline, "\n".join([f"not all of {said} in", *rows])

    asyncio.run(look())


def _packed(text: str) -> str:
    """Returns a text without white space: lines are broken by the width of the screen."""
    return "".join(text.split())
