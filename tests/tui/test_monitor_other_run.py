"""Monitor after another run was chosen, or a later start: nothing of before passes for it."""

import math
import threading

import pytest

from sft_tui.core import events
from sft_tui.core.last_words import LOG_BEGINS
from sft_tui.core.rundir import RunDir
from sft_tui.tui.screens.monitor_lines import important_line
from sft_tui.tui.services.run_feed import RunFeed

SIZES = [(80, 24), (160, 45)]
OTHER = "20250102-030405-other-rows-0b02"


@pytest.fixture
def ill_run(record) -> RunDir:
    """With an error, a sample, a GPU and a line of its log."""
    run = record.trained(total=40, losses={35: math.nan}.items())
    answer = events.Sample(step=40, prompt_id=0, prompt="How?", text="So tall.", finished=True)
    sample = events.System(host="box", gpus=[events.Gpu(index=0, name="H100")])
    record.add(run, answer, sample, events.RunFinished(status="finished", step=40))
    run.log.write_text("what the first one wrote\n")
    return run


@pytest.fixture
def held(monkeypatch):
    """Keeps the other run from being read until the event is set."""
    go_on = threading.Event()
    read = RunFeed.read_forever

    def later(feed: RunFeed) -> None:
        if feed.run.id == OTHER:
            go_on.wait(20)
        read(feed)

    monkeypatch.setattr(RunFeed, "read_forever", later)
    yield go_on
    go_on.set()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("way", [("right_square_bracket",), ("1", "G", "enter")])
def test_nothing_of_the_run_before_is_seen_while_another_is_read(
    watch, ill_run, record, held, size, way
):
    record.dead(record.finished(OTHER, steps=7))
    of_before = ("NaN", "GPU 0", "H100", "40/40", "FINISHED", "So tall", "wrote", "w Health")

    async def scenario(eyes):
        await eyes.sees("Loss became NaN", "FINISHED")
        await eyes.press(*way)
        await eyes.sees("other-rows-0b02")
        for tab in ("Events", "Log", "Samples", "Config"):
            await eyes.sees(f"▌{tab}▐", "Reading…")
            assert not [each for each in of_before if each in eyes.text()], eyes.text()
            assert "healthy" not in eyes.text() and "No sample" not in eyes.text()
            await eyes.press("b")
        await eyes.press("i")
        assert "healthy" not in eyes.text()
        await eyes.press("escape")
        held.set()
        await eyes.sees("step 7/7", "✓ healthy")
        assert "Reading" not in eyes.text()

    watch(scenario, ill_run, size)


def test_a_run_that_was_read_is_not_read_anew_for_each_event(living_run):
    from sft_tui.core.status import Status
    from sft_tui.tui.services.run_feed import Batch
    from sft_tui.tui.services.run_model import RunModel

    model = RunModel()
    model.apply(Batch(Status("running")))
    model.apply(Batch(Status("running"), complete=False, reading=(5, 9)))
    assert model.complete and model.reading is None


def test_the_error_of_an_earlier_start_is_not_the_one_of_the_latest(watch, crashed_run, record):
    begins = LOG_BEGINS
    crashed_run.log.write_text(f"{begins}ValueError: rank is odd\n{begins}loading\nKilled\n")

    async def scenario(eyes):
        await eyes.sees("CRASHED: ", "its log ends: Killed")
        assert "rank is odd" not in eyes.text()
        await eyes.press("b")
        await eyes.sees("▌Log▐", "ValueError: rank is odd")

    watch(scenario, crashed_run, (160, 45))
    log = crashed_run.log.read_text().splitlines()
    assert important_line(log) == "" and important_line(log[:2]) == "ValueError: rank is odd"
    assert important_line([*log, "OSError: late"]) == "OSError: late"
