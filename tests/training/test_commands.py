"""Every command of a running trainer but those of `test_steering`: what it does, what it answers.

The dumps of stack traces are in `tests/protocol`: a thread of the trainer process answers them.
"""

import pytest
import torch

from sft_tui.core import control, events
from sft_tui.core.history import History


class Died(Exception):
    """Stands for a trainer that died."""


class Asks:
    """Sends commands right after steps were told, and dies after one if asked to."""

    def __init__(self, *plan, dies_after=None):
        self.plan, self.dies_after, self.ids = plan, dies_after, []

    def __call__(self, run, event):
        if not isinstance(event, events.Step):
            return
        for step, name, values in self.plan:
            if step == event.step:
                self.ids.append(control.append(run.control, name, **values))
        if event.step == self.dies_after:
            raise Died


@pytest.fixture(scope="module")
def rows(ragged):
    return ragged(12)


@pytest.fixture
def make(configure, untied, rows):
    """A run of 6 steps with evaluation rows, that neither evaluates nor saves by itself."""

    def build(*sets):
        return configure(
            untied,
            rows,
            "data.shuffle=true",
            f"data.eval_source={rows}",
            "data.ignore_problems=[eval_leak]",
            "method.dropout=0.1",
            "optim.schedule=linear",
            "train.max_steps=6",
            "evaluate.at_start=false",
            *sets,
        )

    return build


def told_once(outcome, id):
    (done,) = [e for e in outcome.of(events.Control) if e.id == id and e.outcome != "accepted"]
    return done


def rates(outcome):
    return [step.learning_rate for step in outcome.steps]


def test_a_pause_saves_and_writes_no_adapter_and_the_resumed_run_ends_the_same(make, train):
    whole = train(make())
    asks = Asks((2, "pause", {}))
    paused = train(make(), seen=asks)
    assert paused.last_step == 2 and paused.steering.end_word == "paused"
    assert [step for step, _ in paused.run.complete_checkpoints()] == [2]
    assert not paused.run.adapter.exists()
    resumed = train(make(), run=paused.run)
    assert [step.step for step in resumed.steps] == [3, 4, 5, 6]
    for name, weight in whole.adapter.items():
        assert torch.equal(resumed.adapter[name], weight), name


def test_an_end_that_a_client_moved_goes_back_where_a_start_is_asked_to(make, train):
    ended = train(make(), seen=Asks((2, "set", {"max_steps": 3})))
    assert ended.last_step == 3
    assert train(make(), run=ended.run).last_step == 3, "what clients changed counts more"
    first = control.append(ended.run.control, "set", max_steps=6)
    resumed = train(make(), run=ended.run, first=first)
    assert [step.step for step in resumed.steps] == [4, 5, 6]
    (done,) = [event for event in resumed.of(events.Control) if event.outcome == "done"]
    assert (done.id, done.old, done.new) == (first, 3, 6)


def test_a_rate_that_is_set_in_warm_up_is_told_to_be_what_it_rises_to(make, train):
    asks = Asks((2, "set", {"learning_rate": 0.05}), (4, "set", {"learning_rate": 0.04}))
    outcome = train(make("train.max_steps=8", "optim.warmup_ratio=0.5"), seen=asks)
    early, late = (event for event in outcome.of(events.Control) if event.outcome == "done")
    assert early.reason == "the rate still warms up: it rises to this one until step 4"
    assert rates(outcome)[3] == pytest.approx(0.05) and late.reason is None


@pytest.mark.parametrize("schedule", ["linear", "cosine", "wsd"])
@pytest.mark.parametrize(
    "changes",
    [
        [("set", {"max_steps": 5})],
        [("extend", {"max_steps": 9})],
        [("set", {"learning_rate": 0.02}), ("set", {"max_steps": 8})],
        [("set", {"max_steps": 8}), ("set", {"learning_rate": 0.02})],
    ],
    ids=str,
)
def test_what_is_changed_in_the_step_of_a_pause_is_done_once(schedule, changes, make, train):
    sets = f"optim.schedule={schedule}", "optim.learning_rate=0.01"
    asked = [(3, command, values) for command, values in changes]
    whole = train(make(*sets), seen=Asks(*asked))
    paused = train(make(*sets), seen=Asks(*asked, (3, "pause", {})))
    assert paused.last_step == 3
    resumed = train(make(*sets), run=paused.run)
    assert rates(resumed) == rates(whole)[3:]
    for name, weight in whole.adapter.items():
        assert torch.equal(resumed.adapter[name], weight), name


@pytest.mark.parametrize(("first", "second"), [("pause", "stop"), ("stop", "pause")])
def test_a_run_that_is_about_to_end_takes_no_other_end(first, second, make, train):
    asks = Asks((1, first, {}), (1, second, {}))
    outcome = train(make(), seen=asks)
    assert outcome.answers(asks.ids[1]) == ["refused"]
    assert outcome.steering.end_word == {"pause": "paused", "stop": "stopped"}[first]


def test_an_evaluation_is_made_when_asked_and_answered_with_its_loss(make, train):
    asks = Asks((2, "evaluate", {}))
    outcome = train(make(), seen=asks)
    assert outcome.answers(asks.ids[0]) == ["accepted", "done"]
    first, last = outcome.of(events.Eval)
    assert (first.step, last.step) == (2, 6)
    assert told_once(outcome, asks.ids[0]).new == first.loss
    whole = train(make())
    for name, weight in whole.adapter.items():
        assert torch.equal(outcome.adapter[name], weight), "evaluating changes nothing"


def test_an_evaluation_without_rows_is_refused(make, train):
    asks = Asks((2, "evaluate", {}))
    outcome = train(make("data.eval_source=null"), seen=asks)
    assert "no rows to evaluate" in told_once(outcome, asks.ids[0]).reason


def test_samples_are_taken_when_asked(make, train):
    asks = Asks((3, "sample", {}))
    sets = "evaluate.samples=2", "evaluate.sample_max_tokens=3"
    outcome = train(make(*sets), seen=asks)
    assert outcome.answers(asks.ids[0]) == ["accepted", "done"]
    assert [(e.step, e.prompt_id) for e in outcome.of(events.Sample)] == [
        (step, prompt) for step in (0, 3, 6) for prompt in (0, 1)
    ]


def test_samples_are_refused_where_no_prompts_were_chosen(make, train):
    asks = Asks((3, "sample", {}))
    assert "evaluate.samples is 0" in told_once(train(make(), seen=asks), asks.ids[0]).reason


def test_a_run_is_extended_from_its_step_and_rate_on(make, train):
    asks = Asks((3, "extend", {"max_steps": 9}))
    outcome = train(make(), seen=asks)
    assert outcome.last_step == 9
    # linear over 6 steps: step 3 trained at 4/6 of the peak, from which it now falls in 6 steps
    assert rates(outcome) == pytest.approx(
        [0.01, 0.01 * 5 / 6, 0.01 * 4 / 6, *(0.01 * 4 / 6 * (1 - k / 6) for k in range(6))]
    )
    done = told_once(outcome, asks.ids[0])
    assert (done.outcome, done.key, done.old, done.new) == ("done", "max_steps", 6, 9)
    history = History()
    for event in outcome.told:
        history.add(event)
    assert history.total_steps == 9


def test_a_run_is_extended_in_epochs_also_after_its_last_step(make, train):
    asks = Asks((6, "extend", {"epochs": 2}))  # 12 rows by 2 are 6 steps an epoch
    outcome = train(make(), seen=asks)
    assert outcome.last_step == 12
    assert told_once(outcome, asks.ids[0]).new == 12


@pytest.mark.parametrize("steps", [6, 4])
def test_an_extension_that_is_none_is_refused(steps, make, train):
    asks = Asks((3, "extend", {"max_steps": steps}))
    outcome = train(make(), seen=asks)
    assert "has 6 steps; give more" in told_once(outcome, asks.ids[0]).reason
    assert outcome.last_step == 6


def test_the_end_can_be_set_nearer(make, train):
    asks = Asks((2, "set", {"max_steps": 4}), (3, "set", {"max_steps": 3}))
    outcome = train(make(), seen=asks)
    assert outcome.last_step == 4
    assert [outcome.answers(asked)[-1] for asked in asks.ids] == ["done", "refused"]


def test_the_intervals_of_evaluations_and_checkpoints_are_set(make, train):
    asks = Asks((1, "set", {"eval_every_steps": 2}), (1, "set", {"save_every_steps": 3}),
                (4, "set", {"eval_every_steps": None}))  # fmt: skip
    outcome = train(make("save.keep_best=false", "train.max_steps=8"), seen=asks)
    assert [event.step for event in outcome.of(events.Eval)] == [2, 4, 8]
    assert [event.step for event in outcome.of(events.Checkpoint)] == [3, 6, 8]
    assert [outcome.answers(asked)[-1] for asked in asks.ids] == ["done"] * 3


CHANGES = (
    (1, "set", {"save_every_steps": 2}),
    (1, "set", {"learning_rate": 0.004}),
    (3, "extend", {"max_steps": 8}),
    (5, "set", {"learning_rate": 0.006}),
)


@pytest.mark.parametrize("dies_after", [2, 3, 4, 6, 7])
def test_what_was_changed_is_kept_through_a_crash_and_a_resume(dies_after, make, train, new_run):
    whole = train(make(), seen=Asks(*CHANGES))
    assert whole.last_step == 8
    run = new_run()
    with pytest.raises(Died):
        train(make(), run=run, seen=Asks(*CHANGES, dies_after=dies_after))
    done = [c for c in CHANGES if c[0] < dies_after]
    late = Asks(*CHANGES[len(done) :])  # what nobody had read yet is asked again, at the same step
    resumed = train(make(), run=run, seen=late)

    (started,) = resumed.of(events.RunStarted)
    assert started.total_steps == (8 if dies_after > 3 else 6)
    first = resumed.steps[0].step
    assert rates(resumed) == pytest.approx(rates(whole)[first - 1 :], rel=1e-12)
    for name, weight in whole.adapter.items():
        assert torch.equal(resumed.adapter[name], weight), name


def test_a_new_end_in_warm_up_is_kept_through_a_crash_and_a_resume(make, train, new_run):
    config = make("train.max_steps=12", "optim.warmup_ratio=0.5", "save.every_steps=3")
    change = 2, "set", {"max_steps": 8}
    whole = train(config, seen=Asks(change))
    run = new_run()
    with pytest.raises(Died):
        train(config, run=run, seen=Asks(change, dies_after=4))
    resumed = train(config, run=run)

    # a third of the warm-up is done at step 2, and of the 4 steps that it takes now 3 are left
    rise = [0.01 * (1 / 3 + 2 / 9 * k) for k in range(4)]
    assert rates(whole)[1:] == pytest.approx([*rise, 0.01, 0.01 * 2 / 3, 0.01 / 3])
    assert rates(resumed) == rates(whole)[3:]
    for name, weight in whole.adapter.items():
        assert torch.equal(resumed.adapter[name], weight), name


def test_a_change_after_a_resume_counts_more_than_a_later_one_before_it(make, train, new_run):
    run = new_run()
    sets = "save.every_steps=2", "optim.schedule=constant"
    with pytest.raises(Died):
        train(make(*sets), run=run, seen=Asks((3, "set", {"learning_rate": 0.5}), dies_after=4))
    ask = Asks((3, "set", {"learning_rate": 0.001}))
    resumed = train(make(*sets), run=run, seen=ask)
    assert rates(resumed) == pytest.approx([0.01, 0.001, 0.001, 0.001])
    again = train(make(*sets, "train.max_steps=8"), run=run)
    assert rates(again) == pytest.approx([0.001, 0.001])


def test_a_changed_configuration_counts_more_than_what_was_set(make, train):
    sets = "optim.schedule=constant", "train.max_steps=4"
    asks = Asks((1, "set", {"learning_rate": 0.5}), (2, "pause", {}))
    paused = train(make(*sets), seen=asks)
    resumed = train(make(*sets, "optim.learning_rate=0.002"), run=paused.run)
    assert rates(resumed) == pytest.approx([0.002, 0.002])


def test_a_finished_run_goes_on_from_its_last_rate_and_moments(make, train):
    """The schedule as stated, and the optimizer's state, against one that was extended in time."""
    done = train(make())
    longer = train(make("train.max_steps=9"), run=done.run)
    assert [step.step for step in longer.steps] == [7, 8, 9]
    last = rates(done)[-1]
    assert rates(longer) == pytest.approx([last, last * 2 / 3, last / 3])
    asks = Asks((6, "extend", {"max_steps": 9}))
    in_time = train(make(), seen=asks)
    for name, weight in in_time.adapter.items():
        assert torch.equal(longer.adapter[name], weight), name
    assert longer.of(events.Eval)[-1].step == 9


def test_another_number_of_rows_in_a_step_is_told(make, train):
    paused = train(make(), seen=Asks((2, "pause", {})))
    resumed = train(make("train.gradient_accumulation=2"), run=paused.run)
    assert resumed.warnings("step_size_changed")
    assert not train(make(), run=train(make(), seen=Asks((2, "pause", {}))).run).warnings(
        "step_size_changed"
    )


@pytest.mark.parametrize(
    ("command", "values", "word"),
    [
        ("set", {"momentum": 1}, "takes one of"),
        ("set", {}, "takes one of"),
        ("set", {"max_steps": 5, "learning_rate": 0.1}, "takes one of"),
        ("set", {"max_steps": 2.5}, "whole number"),
        ("set", {"max_steps": "9"}, "whole number"),
        ("set", {"max_steps": True}, "whole number"),
        ("set", {"eval_every_steps": 0}, "or null"),
        ("set", {"learning_rate": None}, "number > 0"),
        ("extend", {"learning_rate": 0.1}, "extend takes max_steps, epochs"),
        ("extend", {"epochs": 0}, "whole number"),
        ("stop", {"epochs": 1}, "no value"),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_would(command, values, word, make, train):
    asks = Asks((1, command, values))
    outcome = train(make(), seen=asks)
    assert outcome.answers(asks.ids[0]) == ["refused"]
    assert word in told_once(outcome, asks.ids[0]).reason
    assert outcome.last_step == 6


def test_a_warm_up_that_is_over_is_not_changed_and_that_is_told(make, train):
    flat = "optim.schedule=constant"
    done = train(make(flat, "train.max_steps=4", "optim.warmup_ratio=0.25"))
    resumed = train(make(flat, "train.max_steps=6", "optim.warmup_ratio=0.9"), run=done.run)
    (warning,) = resumed.warnings("warmup_over")
    assert "warm-up ended at step 1" in warning.message
    assert rates(resumed) == pytest.approx([rates(done)[-1]] * 2)
