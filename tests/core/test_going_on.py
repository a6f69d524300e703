"""What a run goes on with: one answer for the command line and for the application."""

import pytest

from sft_tui.core import config_file, events
from sft_tui.core.going_on import Plan, planned
from sft_tui.core.rundir import RunDir


@pytest.fixture
def run(tmp_path) -> RunDir:
    """A run of 100 steps by its configuration whose end a client moved to 150."""
    run = RunDir(tmp_path / "20260101-000000-x-0001")
    run.path.mkdir()
    run.config.write_text(config_file.to_yaml(config_file.build(["train.max_steps=100"])))
    told = (
        events.RunStarted(run_id="r", train_rows=10, total_steps=100),
        events.Control(
            id="a", command="extend", by="ada", outcome="done", key="max_steps", old=100, new=150
        ),
    )
    run.events.write_bytes(b"".join(map(events.encode, told)))
    return run


def test_an_end_that_the_configuration_says_is_told_apart_where_clients_moved_it(run):
    plan = planned(run, ["train.max_steps=100"])

    assert (plan.max_steps, plan.changed) == (100, [("train.max_steps", 150, 100)])


def test_a_change_is_told_with_what_counts_now(run):
    plan = planned(run, ["train.max_steps=200", "optim.learning_rate=1e-5"])

    assert plan.max_steps is None and plan.config is not None
    assert plan.config.train.max_steps == 200
    rate = config_file.load(run.config).optim.learning_rate
    assert plan.changed == [("optim.learning_rate", rate, 1e-5), ("train.max_steps", 150, 200)]


def test_nothing_changes_where_nothing_is_set_or_the_end_is_what_it_is(run):
    assert planned(run, []) == Plan()
    plan = planned(run, ["train.seed=42"])
    assert plan.max_steps is None and not plan.changed
    run.config.unlink()
    assert planned(run, ["train.max_steps=7"]) == Plan()
