"""Thousands of random keys and sizes: nothing ends the application but leaving, nothing sticks."""

import asyncio
import contextlib
import json
import os
import random
import string

import pytest

from sft_tui.core import config_file, doctor
from sft_tui.tui.app import SftApp
from sft_tui.tui.keys import KEYS

WALKS = [(5, 250), *(pytest.param(seed, 1000, marks=pytest.mark.soak) for seed in range(5))]
"""Seeds, and how many keys are pressed with each."""
SIZES = [(80, 24), (160, 45), (120, 36), (60, 18), (40, 12), (20, 5)]
TYPED = [*string.ascii_lowercase, *string.digits, "space", "backspace", "slash", "full_stop"]
MOVES = ["up", "down", "left", "right", "tab", "shift+tab", "enter", "escape", "pageup", "pagedown"]
DECLARED = sorted({each for key in KEYS for each in key.keys} - {"1", "2", "3"})


def choose(dice: random.Random) -> str:
    """Returns a key: mostly such as do something somewhere."""
    places = ["1", "2", "2", "3", "5", "6", "E", "greater_than_sign", "less_than_sign"]
    kinds = [DECLARED, MOVES, TYPED, places]
    return dice.choice(dice.choices(kinds, weights=[4, 3, 1, 2])[0])


@pytest.fixture
def world(tmp_path, monkeypatch, home, record, model):
    """Files to find, runs to look at, and an editor that changes nothing."""
    work = tmp_path / "work"
    work.mkdir()
    rows = [{"question": f"q{n}", "answer": f"a{n}"} for n in range(30)]
    (work / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (work / "broken.csv").write_text('question,answer\n"a\x1b[31m,b\nx\n')
    record.dead(record.finished("20260101-030405-tiny-rows-0c01", steps=3))
    record.living(record.trained())
    monkeypatch.chdir(work)
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    monkeypatch.setenv("EDITOR", "true")
    monkeypatch.setenv("VISUAL", "true")
    torch = doctor.Check("torch", doctor.OK, "2.0 sees cpu")
    monkeypatch.setattr(doctor, "_torch", lambda: torch)  # it takes seconds to ask
    monkeypatch.setattr(SftApp, "suspend", lambda self: contextlib.nullcontext())
    monkeypatch.setattr("textual._wait.SLEEP_GRANULARITY", 1 / 200)
    monkeypatch.setattr("textual._wait.SLEEP_IDLE", 1 / 4000)
    return work


def files_of(*folders) -> dict[str, bytes]:
    return {
        str(path): path.read_bytes()
        for folder in folders
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


async def wander(seed: int, presses: int) -> None:
    """Presses keys at random until all were pressed; leaving the application starts it again."""
    dice, pressed = random.Random(seed), 0
    while pressed < presses:
        app = SftApp()
        async with app.run_test(size=dice.choice(SIZES)) as pilot:
            while pressed < presses and not app._exit:
                if dice.random() < 0.02:
                    await pilot.resize_terminal(*dice.choice(SIZES))
                key = choose(dice)
                if app.current_mode == "runs" and key == "q" and dice.random() < 0.9:
                    continue  # it would leave most of the time
                pressed += 1
                await asyncio.wait_for(pilot.press(key), 20)
            if not app._exit:
                await asyncio.wait_for(answers(app, pilot), 20)


async def answers(app: SftApp, pilot) -> None:
    """Nothing is stuck: from wherever the keys led to, Esc and a digit lead to Runs."""
    for _ in range(12):
        await pilot.press("escape")
    await pilot.press("1")
    await pilot.pause()
    assert app.current_mode == "runs"
    assert len(app.screen_stack) == 1


@pytest.mark.parametrize(("seed", "presses"), WALKS)
def test_random_keys_end_nothing_and_write_nowhere_else(
    world, tmp_path, home, started, seed, presses
):
    before = files_of(world)
    runs = {path.name for path in (home / "runs").iterdir()}

    asyncio.run(wander(seed, presses))

    after = files_of(world)
    # Save writes the draft where it is told to, by whatever name the keys gave: nothing else does.
    for path in after.keys() - before.keys():
        config_file.parse(after.pop(path).decode())
    assert after == before
    assert not os.path.exists(tmp_path / "user")
    assert {path.name for path in (home / "runs").iterdir()} == runs
