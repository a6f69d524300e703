"""The best checkpoint is kept, and a last evaluation is never lost."""

from pathlib import Path

import pytest
import torch

from sft_tui.core import events, export
from sft_tui.core.errors import SftError
from sft_tui.core.training.loop import Loop
from tests.training.checkpoints import folders, rich


@pytest.fixture(scope="module")
def rows(ragged):
    return ragged(9)


@pytest.fixture
def losses(monkeypatch):
    """Gives evaluations these losses by step in place of their own, so that the best is known."""

    def give(by_step):
        real = Loop.evaluate

        def evaluate(self, step):
            tokens = sum(row.trained for row in self.data.evaluation)
            sums = iter([by_step[step] * tokens, *[0.0] * len(self.data.evaluation)])
            with monkeypatch.context() as patch:
                patch.setattr(self, "_loss_sum", lambda *batch: torch.tensor(next(sums)))
                return real(self, step)

        monkeypatch.setattr(Loop, "evaluate", evaluate)

    return give


BEST = {0: 0.1, 2: 3.0, 4: 1.0, 6: 2.0, 8: 2.5, 9: 2.7, 10: 0.5}


def best_config(configure, untied, rows, *sets):
    return configure(
        untied, rows, f"data.eval_source={rows}", "data.ignore_problems=[eval_leak]",
        "train.max_steps=10", "evaluate.every_steps=2", "save.every_steps=1", "save.keep=2", *sets,
    )  # fmt: skip


def test_the_best_stays_beside_the_newest_and_is_what_export_takes(
    untied, rows, configure, train, crash_after, losses
):
    losses(BEST)
    kept = []

    def seen(run, event):
        if isinstance(event, events.Step):
            kept.append([step for step, _ in run.complete_checkpoints()])

    config = best_config(configure, untied, rows)
    whole = train(config, seen=seen)
    assert kept[4] == [3, 4] and kept[7] == [4, 6, 7] and kept[9] == [4, 8, 9]
    assert export.choose(whole.run, "best").step == 10

    # Also after a resume, which knows only what the checkpoint and the events say.
    run = crash_after(config, 8)
    assert export.choose(run, "best").step == 4
    best = (run.checkpoints / "step-4" / "adapter_model.safetensors").read_bytes()
    longer = best_config(configure, untied, rows, "train.max_steps=9")
    resumed = train(longer, run=run)
    assert resumed.steps[0].step == 8
    assert folders(run) == ["step-4", "step-8", "step-9"]
    chosen = export.choose(run, "best")
    assert chosen.step == 4
    assert (Path(chosen.folder) / "adapter_model.safetensors").read_bytes() == best


def test_without_keep_best_only_the_newest_stay(untied, rows, configure, train, losses):
    losses(BEST)
    config = best_config(configure, untied, rows, "save.keep_best=false", "train.max_steps=8")
    run = train(config).run
    assert folders(run) == ["step-7", "step-8"]
    with pytest.raises(SftError, match="step 4, of which no checkpoint is kept"):
        export.choose(run, "best")


def test_a_best_step_between_saves_gets_a_checkpoint_of_its_own(
    untied, rows, configure, train, losses
):
    losses(BEST)
    config = best_config(configure, untied, rows, "save.every_steps=5", "train.max_steps=8")
    outcome = train(config)
    assert [event.step for event in outcome.of(events.Checkpoint)] == [2, 4, 5, 8]
    assert folders(outcome.run) == ["step-4", "step-5", "step-8"]


def test_a_run_that_died_before_its_last_evaluation_makes_it_after_a_resume(
    untied, rows, configure, train, new_run
):
    config = rich(configure, untied, rows, "evaluate.every_steps=4")
    whole = train(config)
    run = new_run()

    class Died(Exception):
        pass

    def seen(run, event):
        if isinstance(event, events.Checkpoint) and event.step == 6:
            raise Died

    with pytest.raises(Died):
        train(config, run=run, seen=seen)
    resumed = train(config, run=run)
    assert resumed.steps == []
    (last,) = resumed.of(events.Eval)
    assert (last.step, last.loss) == (6, whole.of(events.Eval)[-1].loss)
    assert [sample.step for sample in resumed.of(events.Sample)] == [6]
    assert train(config, run=run).of(events.Eval) == [], "once"


def test_samples_say_whether_they_stopped_by_themselves(untied, rows, configure, train):
    """At step 0 it is the base that answers; prompts, and what was expected, stay the same."""
    outcome = train(rich(configure, untied, rows))
    taken = {sample.step: sample for sample in outcome.of(events.Sample)}
    assert list(taken) == [0, 2, 4, 6]
    assert len({(sample.prompt, sample.expected) for sample in taken.values()}) == 1
    assert not taken[0].finished, "a base of chance does not end within 4 tokens"
