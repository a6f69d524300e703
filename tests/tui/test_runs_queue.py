"""The queue on Runs, from Review and without a screen: seen in order, and taken out."""

import json
import time

import msgspec
import pytest

from sft_tui.core import config_file, run_queue
from sft_tui.core.run_queue import Waiting
from sft_tui.tui.cli import main

SIZES = [(80, 24), (160, 45)]


@pytest.fixture
def begun(monkeypatch) -> list[bool]:
    """Keeps schedulers from starting, and says that there is one once one was."""
    asked: list[bool] = []
    monkeypatch.setattr(run_queue, "start_scheduler", lambda: asked.append(True))
    monkeypatch.setattr(run_queue, "is_scheduled", lambda: bool(asked))
    return asked


def demo(rank: int):
    return config_file.build([f"method.rank={rank}"], "demo")


@pytest.mark.parametrize("size", SIZES)
def test_what_waits_is_listed_under_the_runs_and_taken_out_after_a_question(
    drive, living_run, begun, size
):
    first, second = (run_queue.add(demo(rank)) for rank in (4, 16))

    async def scenario(eyes):
        await eyes.sees("RUNNING", "Queue · 2   each starts when its devices are free")
        place = eyes.text().index
        assert place("RUNNING") < place("1  demo-") < place("2  demo-") < place("step 40 of 100")
        await eyes.sees("demo · LoRA r4 · demo · CPU", "demo · LoRA r16 · demo · CPU")
        assert sum("▸" in row for row in eyes.rows()) == 1, "keys act on the run"
        await eyes.press("tab", "j")
        await eyes.sees("▸ 2  demo-")
        assert sum("▸" in row for row in eyes.rows()) == 1, "keys act on what waits"
        await eyes.press("D")
        await eyes.sees(f"Take {second.id} out of the queue?")
        await eyes.press("escape")
        assert len(run_queue.waiting()) == 2
        await eyes.press("D", "enter")
        await eyes.sees("Queue · 1", "waits no more")
        assert [entry.id for entry in run_queue.waiting()] == [first.id]
        await eyes.press("k", "D", "enter")
        await eyes.until(lambda: "Queue" not in eyes.text())
        assert eyes.app.screen.panel.id == "runs", "keys act on the runs again"

    drive(scenario, size)
    assert living_run.events.exists()


def test_that_a_run_waits_is_not_said_once_it_does_not(drive, living_run, begun):
    entry = run_queue.add(demo(4))

    async def scenario(eyes):
        await eyes.sees("Queue · 1")
        eyes.app.did(f"{entry.id} waits: it starts when its devices are free.")
        await eyes.sees("waits: it starts")
        run_queue.remove(entry.id)  # from another window
        await eyes.until(lambda: "Queue" not in eyes.text())
        assert "waits" not in eyes.notice

    drive(scenario)


def test_keys_of_a_run_do_nothing_to_it_while_the_queue_has_the_focus(drive, crashed_run, begun):
    run_queue.add(demo(4))

    async def scenario(eyes):
        await eyes.sees("CRASHED", "Queue · 1")
        await eyes.press("tab")
        await eyes.sees("D Take out")
        assert not {"R Resume", "x Control", "m Note", "D Delete"} & set(eyes.footer.split("  "))
        await eyes.press("R", "m", "space", "d")
        assert len(eyes.app.screen_stack) == 1 and not eyes.app.screen.marked
        await eyes.press("i")
        await eyes.sees("demo · LoRA r4 · demo")
        await eyes.press("escape", "tab", "slash", *"qwn")
        await eyes.sees("No run matches")
        await eyes.press("enter")
        assert "Take out" not in eyes.footer
        await eyes.press("D")
        assert len(eyes.app.screen_stack) == 1, "no key of the hidden list falls to the queue"
        await eyes.press("escape")
        await eyes.sees("CRASHED", "R Resume")

    drive(scenario)


def test_a_queue_that_nobody_serves_says_so_and_goes_on_with_a_key(drive, finished_run, begun):
    entry = Waiting(id="20260101-030405-old-0a01", t=time.time() - 99, folder="/x", config="")
    run_queue.write(entry)

    async def scenario(eyes):
        await eyes.sees("Queue · 1   held: s goes on")
        await eyes.press("tab")
        await eyes.sees("s Go on")
        await eyes.press("s")
        await eyes.sees("each starts when its devices are free")
        assert begun and "s Go on" not in eyes.footer

    drive(scenario)


@pytest.mark.parametrize("size", SIZES)
def test_what_could_not_be_started_says_why(drive, finished_run, begun, size):
    entry = run_queue.add(demo(4))
    run_queue.write(msgspec.structs.replace(entry, problem="the data [b]are[/b] gone\x1b[31m"))

    async def scenario(eyes):
        await eyes.sees("Queue · 1", "✗ the data [b]are[/b] gone")
        assert "\x1b" not in eyes.text()

    drive(scenario, size)


def test_review_puts_a_run_into_the_queue_and_shows_it_there(
    drive, finished_run, started, rows_are_well, begun
):
    async def scenario(eyes):
        await eyes.sees("FINISHED")
        await eyes.press("d")
        await eyes.sees("[Review]", "Q Queue")
        await eyes.press("Q")
        await eyes.sees("▌1 Runs▐", "Queue · 1", "it starts when its devices are free")
        assert begun and not started
        (entry,) = run_queue.waiting()
        assert entry.run_config == config_file.load(finished_run.config)

    drive(scenario)


def test_the_queue_without_a_screen(home, begun, capsys):
    assert main(["queue"]) == 0
    assert capsys.readouterr().out == "nothing waits\n"
    assert main(["queue", "add", "--preset", "demo", "--set", "method.rank=4"]) == 0
    said = capsys.readouterr().out
    assert "waits now; it starts by itself" in said and "demo · LoRA r4 · demo" in said and begun
    assert main(["queue", "add"]) == 2
    assert "neither a CONFIG.yaml nor a --preset" in capsys.readouterr().err
    assert main(["queue", "--json"]) == 0
    (entry,) = json.loads(capsys.readouterr().out)["queue"]
    assert entry["problem"] is None and entry["runs"] == str(home / "runs")
    assert main(["queue", "remove", "nothing"]) == 2
    assert main(["queue", "remove", entry["id"][-4:]]) == 0
    assert not run_queue.waiting()
