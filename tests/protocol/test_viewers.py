"""Many viewers of one run, two of which also steer it."""

import subprocess
from collections import Counter
from functools import partial

from sft_tui.core import control, events, launch
from sft_tui.core.tail import Tail
from tests.relay import Relay

ROUNDS = 4


def test_ten_viewers_follow_a_run_that_two_of_them_steer_at_once(cli, tiny, sft_home, tmp_path):
    run = launch.start(tiny.config()).run
    cli.until(lambda: cli.last_step(run) > 2, trains=run)
    hows = ("--plain",) * 6 + ("--json",) * 2
    printed = [tmp_path / f"viewer-{number}" for number in range(len(hows))]
    plain = [
        subprocess.Popen(
            [cli.path, "watch", run.id, how], stdout=place.open("wb"), stderr=subprocess.STDOUT
        )
        for how, place in zip(hows, printed, strict=True)
    ]
    screens = [Relay([cli.path, "watch", run.id], sft_home, (120, 36)) for _ in range(2)]
    try:
        for screen in screens:
            screen.sees("RUNNING", "x Control", within_s=30)
        cli.until(lambda: all(place.stat().st_size for place in printed), 30)
        for number in range(ROUNDS):
            for screen in screens:  # at the same moment
                screen.press("x")
            for screen, keys in zip(screens, ("c", "d"), strict=True):
                screen.sees("stop and save", within_s=30)
                screen.press(keys)
            for screen in screens:
                screen.until(lambda text: "stop and save" not in text, "the menu closing")
            so_far = partial(answered, run, 2 * (number + 1))
            cli.until(so_far, 60, trains=run)
        screens[0].press("x")
        screens[0].sees("stop and save", within_s=30)
        screens[0].press("s")
        screens[0].sees("Stop after this step and save?", within_s=30)
        screens[0].press("\r")
        assert [each.wait(60) for each in plain] == [0] * len(plain)
        for screen in screens:
            screen.sees("STOPPED", within_s=30)
    finally:
        for screen in screens:
            screen.close()
        for each in plain:
            each.kill()
            each.wait()

    commands = asked(run)
    assert [each.command for each in commands].count("checkpoint") == ROUNDS
    assert [each.command for each in commands].count("dump") == ROUNDS
    for command in commands:
        assert cli.answers(run, command.id) == ["accepted", "done"], command
    for place in printed[:6]:
        out = place.read_text()
        assert out.splitlines()[-1].startswith("STOPPED"), out
        assert out.count("checkpoint by") == ROUNDS and out.count("dump by") == ROUNDS, out
    lines = [line for line in run.events.read_bytes().splitlines() if line.strip()]
    for place in printed[6:]:
        assert place.read_bytes().splitlines() == lines


def asked(run) -> list[control.Command]:
    return [each for line in Tail(run.control).read() if (each := control.decode(line))]


def answered(run, count: int) -> bool:
    """Whether so many commands were asked, and all of them done."""
    found = map(events.decode, Tail(run.events).read(1 << 30))
    outcomes = Counter(each.outcome for each in found if isinstance(each, events.Control))
    return len(asked(run)) == outcomes["done"] == count
