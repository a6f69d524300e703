import math

import pytest

from sft_tui.core import events
from sft_tui.core.history import History, read_history


def started(total=100, resumed=None):
    return events.RunStarted(run_id="r", total_steps=total, resumed_from_step=resumed)


def step(number, seconds=1.0, tokens=100):
    return events.Step(step=number, loss=1.0, step_s=seconds, tokens=tokens)


def steps(first, last, **values):
    return [step(number, **values) for number in range(first, last + 1)]


def evaluated(number, loss=1.0, seconds=0.0):
    return events.Eval(step=number, loss=loss, elapsed_s=seconds)


def history(*parts):
    result = History()
    for part in parts:
        for event in part if isinstance(part, list) else [part]:
            result.add(event)
    return result


def test_steps_done_again_after_a_resume_count_once():
    run = history(started(), steps(1, 8, tokens=1), started(resumed=5), steps(6, 7, tokens=100))
    assert [event.step for event in run.steps] == [1, 2, 3, 4, 5, 6, 7]
    assert [event.tokens for event in run.steps[-3:]] == [1, 100, 100]
    assert [event.step for part in run.superseded for event in part] == [6, 7, 8]
    assert run.step == 7


def test_evaluations_and_samples_after_the_resumed_step_leave_the_statistics():
    answer = events.Sample(step=8, prompt_id=0, prompt="p", text="t", finished=True)
    run = history(started(), evaluated(5, 2.0), evaluated(8, 0.5), answer, started(resumed=5))
    assert run.best_eval.step == 5
    assert [event.step for event in run.superseded_evals] == [8]
    assert run.samples == []


def test_a_start_from_the_beginning_supersedes_everything():
    run = history(started(), evaluated(0), steps(1, 3), started(), evaluated(0))
    assert not run.steps and [len(part) for part in run.superseded] == [3]
    assert len(run.evals) == 1 and len(run.superseded_evals) == 1
    assert run.starts == 2


def test_the_evaluation_at_the_resumed_step_is_kept():
    run = history(started(), evaluated(0), steps(1, 5), evaluated(5), started(resumed=5))
    assert [event.step for event in run.evals] == [0, 5]


def test_the_step_of_a_resumed_run_is_known_before_its_first_step():
    assert history(started(resumed=40)).step == 40


def test_no_time_is_estimated_before_ten_steps():
    assert history(started(), steps(1, 9)).eta_s() is None
    assert history(started(), steps(1, 10)).eta_s() is not None


def test_ten_steps_are_needed_again_after_a_resume():
    run = history(started(), steps(1, 50), started(resumed=50), steps(51, 59))
    assert run.eta_s() is None
    run.add(step(60))
    assert run.eta_s() == pytest.approx(40)


def test_the_estimate_uses_the_steps_of_this_start():
    run = history(started(), steps(1, 50, seconds=9), started(resumed=50), steps(51, 60, seconds=2))
    assert run.eta_s() == pytest.approx(40 * 2)


def test_one_slow_step_hardly_moves_the_estimate():
    run = history(started(), step(1, seconds=1000), steps(2, 20))
    assert run.eta_s() == pytest.approx(80)


def test_planned_evaluations_and_checkpoints_count_in_the_estimate():
    saved = events.Checkpoint(step=20, path="p", bytes=1, elapsed_s=3.0)
    run = history(started(), steps(1, 20), evaluated(20, seconds=10.0), saved)
    assert run.eta_s(eval_every=20) == pytest.approx(80 + 4 * 10)
    assert run.eta_s(save_every=50) == pytest.approx(80 + 2 * 3)
    assert run.eta_s(eval_every=20, save_every=50) == pytest.approx(80 + 4 * 10 + 2 * 3)


def test_the_evaluation_at_the_end_counts_in_the_estimate():
    """A run always ends with an evaluation, also where its last step is no multiple."""
    run = history(started(total=25), steps(1, 12), evaluated(10, seconds=7.0))
    assert run.eta_s(eval_every=10) == pytest.approx(13 + 2 * 7)


def test_nothing_is_left_at_the_last_step():
    assert history(started(total=20), steps(1, 20), evaluated(20)).eta_s(eval_every=5) == 0


def test_no_time_is_estimated_for_a_run_without_a_known_end():
    assert history(started(total=None), steps(1, 20)).eta_s() is None


def test_the_best_evaluation_has_the_lowest_loss_and_no_nan():
    run = history(evaluated(1, math.nan), evaluated(2, 2.0), evaluated(3, 1.5), evaluated(4, 3.0))
    assert run.best_eval.step == 3


@pytest.mark.parametrize("loss", [math.nan, math.inf, None])
def test_there_is_no_best_evaluation_without_a_finite_loss(loss):
    assert history(evaluated(1, loss)).best_eval is None


def test_speed_is_tokens_over_time_and_not_a_mean_of_speeds():
    run = history(started(), step(1, seconds=1, tokens=100), step(2, seconds=9, tokens=100))
    assert run.tokens_per_s() == pytest.approx(20)


def test_speed_is_that_of_the_window_and_of_this_start():
    run = history(started(), steps(1, 30, tokens=1), steps(31, 50, tokens=500))
    assert run.tokens_per_s(window=20) == pytest.approx(500)
    run.add(started(resumed=50))
    run.add(step(51, tokens=7))
    assert run.tokens_per_s(window=20) == pytest.approx(7)


def test_a_later_start_takes_back_the_end():
    run = history(started(), events.RunFinished(status="stopped"))
    assert run.finished.status == "stopped"
    run.add(events.Phase(name="loading_model"))
    assert run.finished is None


def test_a_file_with_garbage_is_read_and_its_garbage_counted(tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_bytes(
        events.encode(started())
        + b"garbage\n"
        + b'{"type":"telepathy"}\n'
        + events.encode(step(1))
        + b'{"type":"step","st'
    )
    run = read_history(path)
    assert run.step == 1
    assert run.unreadable == 1


def test_a_missing_file_is_an_empty_history(tmp_path):
    assert read_history(tmp_path / "events.jsonl") == History()


def test_the_mean_speed_counts_the_time_of_steps_that_are_no_longer_kept():
    whole, kept = History(), History()
    for number in range(1, 2001):
        step = events.Step(step=number, tokens=100, step_s=0.5 if number < 1500 else 2.0)
        for history in (whole, kept):
            history.add(step)
        kept.steps.keep_last(50)
    assert kept.mean_tokens_per_s() == pytest.approx(200_000 / (1499 * 0.5 + 501 * 2.0))
    assert whole.mean_tokens_per_s() == pytest.approx(kept.mean_tokens_per_s())
