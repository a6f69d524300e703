"""What clients ask of a running trainer, and what it answers."""

import json

import pytest
import torch

from sft_tui.core import control, events
from sft_tui.core.training.report import Report
from sft_tui.core.training.steering import Steering


def asks(step, *commands):
    """Sends commands right after a step was told, and keeps their ids."""

    def seen(run, event):
        if isinstance(event, events.Step) and event.step == step:
            for name, values in commands:
                seen.ids.append(control.append(run.control, name, **values))

    seen.ids = []
    return seen


def rates(outcome):
    return [step.learning_rate for step in outcome.steps]


def test_a_new_learning_rate_counts_from_the_next_step(untied, ragged, configure, train):
    seen = asks(2, ("set", {"learning_rate": 0.003}))
    outcome = train(configure(untied, ragged(8), "train.max_steps=4"), seen=seen)

    assert rates(outcome) == pytest.approx([0.01, 0.01, 0.003, 0.003])
    assert outcome.answers(seen.ids[0]) == ["accepted", "done"]
    done = outcome.of(events.Control)[-1]
    assert (done.old, done.new) == pytest.approx((0.01, 0.003))
    assert (done.command, done.by) == ("set", control.author())


def test_a_new_learning_rate_is_what_the_weights_are_trained_with(untied, ragged, configure, train):
    data = ragged(4)
    one = train(configure(untied, data, "train.max_steps=1"))
    seen = asks(1, ("set", {"learning_rate": 1e-12}))
    two = train(configure(untied, data, "train.max_steps=2"), seen=seen)
    for name, weight in one.adapter.items():
        torch.testing.assert_close(two.adapter[name], weight, atol=1e-9, rtol=0)


def test_a_new_learning_rate_scales_the_rest_of_the_schedule(untied, ragged, configure, train):
    config = configure(
        untied, ragged(8), "optim.schedule=linear", "train.max_steps=4", "train.micro_batch_size=1"
    )
    seen = asks(1, ("set", {"learning_rate": 0.0015}))
    assert rates(train(config, seen=seen)) == pytest.approx([0.01, 0.0015, 0.001, 0.0005])


def test_of_two_new_learning_rates_the_last_counts_and_both_are_done(
    untied, ragged, configure, train
):
    seen = asks(1, ("set", {"learning_rate": 0.5}), ("set", {"learning_rate": 0.004}))
    outcome = train(configure(untied, ragged(8), "train.max_steps=2"), seen=seen)
    assert rates(outcome) == pytest.approx([0.01, 0.004])
    assert [outcome.answers(asked) for asked in seen.ids] == [["accepted", "done"]] * 2
    done = [event for event in outcome.of(events.Control) if event.outcome == "done"]
    assert [(event.old, event.new) for event in done] == [
        pytest.approx((0.01, 0.5)),
        pytest.approx((0.5, 0.004)),
    ]


def test_a_new_learning_rate_is_kept_through_resume(untied, ragged, configure, train, new_run):
    config = configure(
        untied,
        ragged(8),
        "optim.schedule=cosine",
        "save.every_steps=3",
        "train.max_steps=6",
    )
    ask = asks(1, ("set", {"learning_rate": 0.002}))
    whole = train(config, seen=asks(1, ("set", {"learning_rate": 0.002})))

    class Died(Exception):
        pass

    def seen(run, event):
        ask(run, event)
        if isinstance(event, events.Step) and event.step == 5:
            raise Died

    run = new_run()
    with pytest.raises(Died):
        train(config, run=run, seen=seen)
    resumed = train(config, run=run)

    assert [step.step for step in resumed.steps] == [4, 5, 6]
    assert rates(resumed) == pytest.approx(rates(whole)[3:], rel=1e-12)
    assert resumed.answers(ask.ids[0]) == [], "it was done before the crash"
    for name, weight in whole.adapter.items():
        assert torch.equal(resumed.adapter[name], weight), name


def test_a_client_stops_the_run_after_the_step_with_checkpoint_and_adapter(
    untied, ragged, configure, train
):
    seen = asks(2, ("stop", {}))
    config = configure(untied, ragged(8), "train.max_steps=6", "evaluate.samples=1")

    outcome = train(config, seen=seen)

    assert outcome.last_step == 2
    assert [step.step for step in outcome.steps] == [1, 2]
    assert [step for step, _ in outcome.run.complete_checkpoints()] == [2]
    assert outcome.adapter
    assert outcome.answers(seen.ids[0]) == ["accepted"], "done is told with the end of the run"
    assert outcome.steering.stopping
    assert outcome.steering.end is not None and outcome.steering.end.id == seen.ids[0]
    assert control.author() in outcome.steering.ended_by
    assert {sample.step for sample in outcome.of(events.Sample)} == {0}, "it ends without delay"


def test_a_stopped_run_goes_on_bit_identical(untied, ragged, configure, train):
    config = configure(untied, ragged(8), "method.dropout=0.1", "train.max_steps=4")
    whole = train(config)
    stopped = train(config, seen=asks(2, ("stop", {})))
    resumed = train(config, run=stopped.run)
    assert [step.step for step in resumed.steps] == [3, 4]
    for name, weight in whole.adapter.items():
        assert torch.equal(resumed.adapter[name], weight), name


def test_a_second_stop_is_refused(untied, ragged, configure, train):
    seen = asks(1, ("stop", {}), ("stop", {}))
    outcome = train(configure(untied, ragged(8), "train.max_steps=6"), seen=seen)
    assert [outcome.answers(asked) for asked in seen.ids] == [["accepted"], ["refused"]]


def test_a_client_gets_a_checkpoint_of_the_step(untied, ragged, configure, train):
    seen = asks(2, ("checkpoint", {}))
    outcome = train(configure(untied, ragged(8), "train.max_steps=4"), seen=seen)
    assert outcome.answers(seen.ids[0]) == ["accepted", "done"]
    assert [event.step for event in outcome.of(events.Checkpoint)] == [2, 4]
    assert outcome.last_step == 4


def test_what_the_trainer_does_not_know_is_refused_with_what_it_knows(
    untied, ragged, configure, train
):
    seen = asks(1, ("dance", {}))
    outcome = train(configure(untied, ragged(8), "train.max_steps=3"), seen=seen)
    (answer,) = outcome.of(events.Control)
    assert (answer.id, answer.outcome) == (seen.ids[0], "refused")
    assert all(name in answer.reason for name in control.COMMANDS)
    assert outcome.last_step == 3


@pytest.mark.parametrize("rate", [0, -0.1, 1.5, None])
def test_a_learning_rate_out_of_bounds_is_refused(rate, untied, ragged, configure, train):
    seen = asks(1, ("set", {"learning_rate": rate}))
    outcome = train(configure(untied, ragged(8), "train.max_steps=2"), seen=seen)
    assert outcome.answers(seen.ids[0]) == ["refused"]
    assert rates(outcome) == pytest.approx([0.01, 0.01])


def test_commands_that_an_earlier_start_never_answered_expire(
    untied, ragged, configure, train, new_run
):
    run = new_run()
    ids = [
        control.append(run.control, "stop"),
        control.append(run.control, "set", learning_rate=0.5),
        control.append(run.control, "checkpoint"),
    ]

    outcome = train(configure(untied, ragged(8), "train.max_steps=3"), run=run)

    assert [outcome.answers(asked) for asked in ids] == [["expired"]] * 3
    assert all(event.reason for event in outcome.of(events.Control))
    assert outcome.last_step == 3
    assert rates(outcome) == pytest.approx([0.01] * 3)
    assert [event.step for event in outcome.of(events.Checkpoint)] == [3]


def test_what_is_asked_from_the_first_moment_of_a_start_on_is_asked_of_it(new_run):
    """Before the answers to an earlier start were given, which may take a while."""
    run = new_run()
    old = control.append(run.control, "checkpoint")
    with Report(run) as report:
        steering = Steering(run, report)
        new = control.append(run.control, "stop")
        steering.read_earlier()
        steering.poll()
    told = [events.decode(line) for line in run.events.read_bytes().splitlines()]
    assert [(each.id, each.outcome) for each in told] == [(old, "expired"), (new, "accepted")]
    assert steering.stopping


def test_a_command_that_was_accepted_and_not_done_expires_and_the_done_stay_silent(
    untied, ragged, configure, train, new_run
):
    config = configure(untied, ragged(8), "train.max_steps=4", "save.every_steps=2")
    done = asks(1, ("set", {"learning_rate": 0.004}))

    class Died(Exception):
        pass

    accepted = []

    def seen(run, event):
        done(run, event)
        if isinstance(event, events.Step) and event.step == 3:
            accepted.append(control.append(run.control, "checkpoint"))
        if isinstance(event, events.Control) and accepted and event.id == accepted[0]:
            raise Died

    run = new_run()
    with pytest.raises(Died):
        train(config, run=run, seen=seen)

    resumed = train(config, run=run)
    assert resumed.answers(accepted[0]) == ["expired"]
    assert resumed.answers(done.ids[0]) == []
    again = train(config, run=run)
    assert again.of(events.Control) == [], "each command is answered once"


def test_what_can_be_answered_is_and_other_lines_are_passed_over(untied, ragged, configure, train):
    """Lines written by hand, without time and author; such without an id; and no lines of JSON."""
    by_hand = [{"id": "a", "command": "set", "learning_rate": 0.002}, {"id": "b"}, {"id": 3}]
    lines = "\n".join(map(json.dumps, by_hand)).encode()

    def seen(run, event):
        if isinstance(event, events.Step) and event.step == 1:
            with run.control.open("ab") as file:
                file.write(b"garbage\n" + lines + b"\n\xff\xfe\n{\n")

    outcome = train(configure(untied, ragged(8), "train.max_steps=3"), seen=seen)
    assert rates(outcome) == pytest.approx([0.01, 0.002, 0.002])
    assert (outcome.answers("a"), outcome.answers("b")) == (["accepted", "done"], ["refused"])
    assert len(outcome.of(events.Control)) == 3
