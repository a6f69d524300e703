"""Trackers beside real trainers: a run is the same with them, without them and when they fail."""

import os
import signal
import sys

import psutil
import pytest

from sft_tui.core import launch
from sft_tui.core.errors import SftError
from sft_tui.core.history import read_history
from sft_tui.core.rundir import list_runs
from sft_tui.core.status import status_of
from sft_tui.core.track import state
from tests import wandb_log

STEPS = ("train.max_steps=40", "save.every_steps=10")


@pytest.fixture(autouse=True)
def no_accounts(monkeypatch, tmp_path):
    """Whoever runs the tests may have a key of W&B."""
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NETRC", str(tmp_path / "no-netrc"))


def trained(cli, config):
    """Trains to the end; returns the run and how long its training took in seconds."""
    trainer = launch.start(config)
    cli.until(lambda: trainer.poll() is not None)
    end = read_history(trainer.run.events).finished
    assert end.status == "finished", end
    return trainer.run, end.elapsed_s


def losses(run):
    return {step.step: step.loss for step in read_history(run.events).steps}


@pytest.mark.timing
def test_a_tracker_that_fails_or_hangs_changes_neither_the_losses_nor_the_time(
    cli, tiny, tmp_path, monkeypatch
):
    plain, plain_s = trained(cli, tiny.config(*STEPS))
    stub = tmp_path / "stubs" / "wandb"
    stub.mkdir(parents=True)
    monkeypatch.setenv("PYTHONPATH", str(stub.parent))

    (stub / "__init__.py").write_text("raise RuntimeError('no server answers')")
    raised, raised_s = trained(cli, tiny.config(*STEPS, "track.kind=wandb"))
    (stub / "__init__.py").write_text("import time\ntime.sleep(600)")
    hung, hung_s = trained(cli, tiny.config(*STEPS, "track.kind=wandb"))

    assert len(losses(plain)) == 40
    assert losses(plain) == losses(raised) == losses(hung)
    # The import of torch is most of it, and other tests share the machine.
    assert max(raised_s, hung_s) < 2 * plain_s + 5
    [first] = read_history(raised.events).warnings
    assert (first.code, "no server answers" in first.message) == ("tracker_failed", True)
    [last] = read_history(hung.events).warnings
    assert (last.code, "did not finish" in last.message) == ("tracker_failed", True)
    shown = cli.sft("show", hung.id)
    assert "the tracker wandb failed" in shown.stdout


def test_a_killed_trainer_takes_its_tracker_along_and_the_resumed_run_goes_on_in_it(cli, tiny):
    config = tiny.config("save.every_steps=10", "track.kind=wandb")
    trainer = launch.start(config)
    run = trainer.run
    cli.until(lambda: (f := state.load(run)) and f.offset > 0 and cli.last_step(run) > 30)
    [tracker] = psutil.Process(trainer.pid).children()
    family = [tracker, *tracker.children(recursive=True)]
    assert "wandb-core" in " ".join(family[1].cmdline())
    os.kill(trainer.pid, signal.SIGKILL)  # it alone, where `sft-tui kill` ends its whole group
    trainer.poll()
    _, left = psutil.wait_procs(family, timeout=45)
    assert not left

    resumed = launch.resume(run)
    resumed.wait_until_started()
    at = cli.last_step(run)
    cli.until(lambda: cli.last_step(run) > at + 20, trains=run)
    assert cli.sft("stop", run.id).returncode == 0
    cli.until(lambda: resumed.poll() is not None)
    assert status_of(run).word == "stopped"
    assert not read_history(run.events).warnings, run.track_log.read_text()

    assert wandb_losses(run) == losses(run)


def wandb_losses(run) -> dict[int, float]:
    """Returns the loss that W&B holds last for each step."""
    rows = [wandb_log.history(record) for record in wandb_log.records(run.path)]
    return {row["step"]: row["train/loss"] for row in rows if "train/loss" in row}


def test_a_tracker_whose_package_is_missing_is_refused_before_the_start(tiny, monkeypatch):
    monkeypatch.setitem(sys.modules, "trackio", None)  # how Python is told that there is none

    with pytest.raises(SftError) as refused:
        launch.start(tiny.config("track.kind=trackio"))
    assert "pip install 'sft-tui[trackio]'" in refused.value.remedy
    assert not list_runs()
