"""What Monitor knows of a run: read beside the event loop, in batches, safe on any file."""

import threading
import time

import pytest

from sft_tui.core import events
from sft_tui.core.history import decode
from sft_tui.core.status import Status
from sft_tui.core.steps import Steps
from sft_tui.core.tail import Tail
from sft_tui.tui.services import run_feed
from sft_tui.tui.services.curves import BY_NAME, LOSS
from sft_tui.tui.services.run_feed import Batch, RunFeed
from sft_tui.tui.services.run_model import RunModel

NAN = float("nan")


class Reading:
    """A feed in its thread; the model has every batch that came."""

    def __init__(self, run) -> None:
        self.model = RunModel()
        self.batches: list[Batch] = []
        self._feed = RunFeed(run, self._take)
        self._thread = threading.Thread(target=self._feed.read_forever, daemon=True)
        self._thread.start()

    def _take(self, batch: Batch) -> None:
        self.batches.append(batch)
        self.model.apply(batch)

    def until(self, holds, within_s: float = 5.0) -> None:
        deadline = time.monotonic() + within_s
        while not holds(self.model):
            assert time.monotonic() < deadline, self.batches[-1]
            time.sleep(0.01)

    def close(self) -> None:
        self._feed.close()
        self._thread.join(5)
        assert not self._thread.is_alive()


@pytest.fixture
def reading():
    """Reads runs until the test ends."""
    begun: list[Reading] = []

    def begin(run) -> Reading:
        begun.append(Reading(run))
        begun[-1].until(lambda model: model.complete)
        return begun[-1]

    yield begin
    for each in begun:
        each.close()


def model_of(*told: events.Event) -> RunModel:
    model = RunModel()
    model.apply(Batch(Status("running"), found=list(told)))
    return model


def step(number: int, loss=1.0, **more) -> events.Step:
    return events.Step(step=number, loss=loss, tokens=10, step_s=1.0, **more)


def begun(total: int = 100, resumed: int | None = None) -> events.RunStarted:
    return events.RunStarted(run_id="r", total_steps=total, resumed_from_step=resumed)


def test_a_torn_last_line_is_read_once_it_is_complete(torn_run, torn_rest, record, reading):
    """U56"""
    seen = reading(torn_run)
    assert seen.model.history.step == 40
    assert seen.model.history.unreadable == 0

    record.add(torn_run, torn_rest)

    seen.until(lambda model: model.history.step == 41)
    assert seen.model.history.unreadable == 0
    assert len(seen.model.history.steps) == 41


def test_damage_in_the_middle_is_counted_and_the_rest_is_read(garbage_run, reading):
    model = reading(garbage_run).model

    assert model.history.unreadable == 1
    assert model.history.step == 41
    assert model.curves.raw(LOSS).last() == pytest.approx(1.2345)


@pytest.mark.timing
@pytest.mark.parametrize("fixture", ["finished_run", "crashed_run", "bare_run"])
def test_the_end_of_the_file_is_told_at_once_whatever_became_of_the_run(
    fixture, request, monkeypatch, reading
):
    monkeypatch.setattr(run_feed, "HARDWARE_S", 60.0)
    monkeypatch.setattr(run_feed, "STATUS_S", 60.0)
    run = request.getfixturevalue(fixture)

    began = time.monotonic()
    reading(run)

    assert time.monotonic() - began < 2


def test_news_arrives_complete_and_promptly(living_run, record, monkeypatch, reading):
    monkeypatch.setattr(run_feed, "HARDWARE_S", 60.0)
    seen = reading(living_run)

    record.add(
        living_run,
        events.Control(
            id="a", command="set", by="ada", outcome="done", old=2e-4, new=1e-4, step=40
        ),
    )

    seen.until(lambda model: model.complete and "0.0002 → 0.0001" in (model.news or ""), 2.0)


def test_a_run_that_is_written_anew_is_read_anew(living_run, record, reading):
    seen = reading(living_run)
    living_run.events.unlink()
    record.add(living_run, begun(7), step(1, 5.0))

    seen.until(lambda model: model.history.total_steps == 7)
    assert [event.step for event in seen.model.history.steps] == [1]
    assert list(seen.model.curves.raw(LOSS).values.ys) == [5.0]


def test_a_removed_folder_is_told_and_the_last_data_stay(living_run, reading):
    seen = reading(living_run)
    for path in living_run.path.iterdir():
        path.unlink()
    living_run.path.rmdir()

    seen.until(lambda model: model.gone)
    assert seen.model.history.step == 40


def test_the_process_decides_within_2_s(living_run, record, reading):
    """U52"""
    seen = reading(living_run)
    assert seen.model.status.word == "running"

    record.dead(living_run)

    seen.until(lambda model: model.status.word == "crashed", 2.0)


def test_a_log_is_kept_without_escape_codes(living_run, reading):
    """U57"""
    living_run.log.write_text(
        "\x1b[31mred\x1b[0m \x1b]0;title\x07\x1b]52;c;aGk=\x07[bold]x[/bold]\n10%\r20%\rdone\n"
    )
    seen = reading(living_run)

    seen.until(lambda model: model.log)
    assert seen.model.log == ["red [bold]x[/bold]", "10%", "20%", "done"]


def test_live_hardware_replaces_what_the_trainer_recorded(living_run, record, reading):
    record.add(living_run, events.System(host="recorded", cpu=0.5))
    seen = reading(living_run)

    seen.until(lambda model: model.gpus.live)
    assert seen.model.system and seen.model.system.host != "recorded"


def test_hardware_of_a_run_on_another_host_is_never_sampled_here(
    living_run, record, reading, elsewhere
):
    record.living(living_run, host=elsewhere)
    record.add(living_run, events.System(host=elsewhere, cpu=0.5))
    seen = reading(living_run)
    time.sleep(0.3)

    assert seen.model.system and seen.model.system.host == elsewhere
    assert not seen.model.gpus.live
    assert seen.model.status.word == "unknown"


def test_steps_done_again_after_a_resume_are_left_out_of_curve_average_and_best(resumed_run):
    """U47"""
    model = RunModel()
    lines = Tail(resumed_run.events).read()
    for part in (lines[:43], lines[43:]):
        model.apply(Batch(Status("running"), found=decode(b"\n".join(part))[0]))
        average = model.curves.average(LOSS, 0.9)

    raw = model.curves.raw(LOSS)
    assert list(raw.xs) == list(range(1, 36))
    assert list(raw.values.ys[30:]) == [0.5] * 5
    (redone,) = model.curves.superseded(LOSS)
    assert list(redone.xs) == list(range(31, 41))
    assert average is not None and len(average) == 35
    norm, total = 0.0, 0.0
    for y in raw.values.ys:
        norm, total = 0.9 * norm + 0.1, 0.9 * total + 0.1 * y
    assert average.last() == pytest.approx(total / norm)
    assert model.history.step == 35


def test_the_best_evaluation_of_superseded_steps_does_not_count():
    """U47"""
    model = model_of(
        begun(), step(1), step(2), events.Eval(step=2, loss=0.1), begun(resumed=1), step(2),
        events.Eval(step=2, loss=0.9),
    )  # fmt: skip

    assert model.history.best_eval and model.history.best_eval.loss == 0.9
    assert list(model.curves.evals().values.ys) == [0.9]


def test_an_evaluation_before_the_first_step_that_is_taken_again_counts_once():
    """U47"""
    model = model_of(
        begun(), events.Eval(step=0, loss=3.0), begun(), events.Eval(step=0, loss=2.5), step(1)
    )

    assert list(model.curves.evals().values.ys) == [2.5]


def test_the_time_left_is_not_told_before_10_steps_after_a_resume():
    """U48"""
    model = model_of(begun(), *(step(n) for n in range(1, 21)))
    assert model.history.eta_s() == pytest.approx(80, rel=0.1)

    model.apply(Batch(Status("running"), found=[begun(resumed=20), step(21)]))
    assert model.history.eta_s() is None

    model.apply(Batch(Status("running"), found=[step(n) for n in range(22, 31)]))
    assert model.history.eta_s() == pytest.approx(70, rel=0.1)


def test_a_loss_that_is_not_finite_is_named_and_leaves_a_gap_in_its_metric_alone():
    """U39"""
    model = model_of(begun(), step(1, 2.0), step(2, NAN), step(3, 1.0))

    assert "step 2 loss NaN" in model.lines[-2]
    assert list(model.curves.raw(LOSS).bad) == [2]
    assert not model.curves.raw(BY_NAME["step_s"]).bad


def test_an_evaluation_that_is_not_finite_is_never_drawn_as_a_number():
    """U39"""
    model = model_of(begun(), events.Eval(step=0, loss=NAN), events.Eval(step=5, loss=None))

    assert model.curves.evals().bounds() is None


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (
            events.Control(
                id="1", command="set", by="ada", outcome="accepted", old=2e-4, new=1e-4, step=7
            ),
            "Learning rate accepted 0.0002 → 0.0001 (asked by ada, step 7)",
        ),
        (
            events.Control(
                id="1", command="stop", by="ada", outcome="refused", step=7, reason="it is over"
            ),
            "Stop refused (asked by ada, step 7): it is over",
        ),
        (
            events.Checkpoint(step=9, path="p", bytes=3 << 20, elapsed_s=1),
            "Checkpoint 9 saved (3.0 MiB)",
        ),
        (events.Warning_(code="w", message="odd", remedy="look"), "Warning: odd. Look."),
        (
            events.RunFinished(status="failed", reason="no memory", step=4),
            "Run failed at step 4: no memory",
        ),
    ],
)
def test_an_event_is_told_in_words(told, words):
    model = model_of(told)

    assert model.news == words
    assert words[1:] in model.lines[-1]


def test_steps_and_signs_of_life_are_not_news():
    model = model_of(begun(), events.Warning_(code="w", message="odd"))
    news = model.news

    model.apply(
        Batch(
            Status("running"),
            found=[step(1), events.Heartbeat(progress=1, step=1), events.System(host="h")],
        )
    )

    assert model.news == news


def test_an_event_with_escape_codes_becomes_one_harmless_line():
    """U57"""
    model = model_of(events.Warning_(code="w", message="\x1b[31mred\n\x1b]0;title\x07 end"))

    assert model.lines[-1].endswith("warning: red end.")


def test_a_warning_and_its_remedy_are_sentences_behind_each_other():
    for message, remedy, said in (
        ("it is odd", "lower the rate", "warning: it is odd. Lower the rate."),
        ("It jumped.", "", "warning: It jumped."),
    ):
        model = model_of(events.Warning_(code="w", message=message, remedy=remedy))
        assert model.lines[-1].endswith(said)


@pytest.mark.timing
def test_100000_steps_are_applied_without_holding_up_the_screen():
    """U58: what the event loop does for a batch of the feed's size stays below 100 ms."""
    model = RunModel()
    batch = Steps([step(n, 1.0 + n % 7) for n in range(1, 6001)])

    began = time.perf_counter()
    model.apply(Batch(Status("running"), found=[batch]))
    took = time.perf_counter() - began

    assert len(model.lines) == 500
    assert took < 0.1 * 3, f"{took:.3f} s"
