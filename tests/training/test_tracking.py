"""The trainer's end of a tracker: what fails there is one warning, and costs no time."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from sft_tui.core import config_file, events
from sft_tui.core.config import TrackConfig
from sft_tui.core.history import read_history
from sft_tui.core.rundir import RunDir
from sft_tui.core.track import state
from sft_tui.core.training import tracking
from sft_tui.core.training.report import Report
from sft_tui.core.training.tracking import Tracking
from tests import told

PATIENCE_S = 60


@pytest.fixture
def run(new_run, tmp_path, monkeypatch) -> RunDir:
    monkeypatch.setenv("SFT_TUI_HOME", str(tmp_path / "home"))
    run = new_run()
    run.config.write_text(
        config_file.to_yaml(config_file.build(["model.name=demo", "data.source=x"]))
    )
    return run


@pytest.fixture
def wandb_that(tmp_path, monkeypatch):
    """Puts a package in wandb's place whose import does what a test wants."""

    def put(does: str) -> None:
        package = tmp_path / "stubs" / "wandb"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text(does)
        monkeypatch.setenv("PYTHONPATH", str(package.parent))

    return put


def warnings(run: RunDir) -> list[events.Warning_]:
    return read_history(run.events).warnings


def until_warned(run: RunDir) -> events.Warning_:
    deadline = time.monotonic() + PATIENCE_S
    while not (found := warnings(run)):
        assert time.monotonic() < deadline, run.track_log.read_text()
        time.sleep(0.02)
    return found[0]


def test_without_a_tracker_nothing_is_started(run):
    with Report(run) as report, Tracking(run, report) as tracking:
        tracking.start(TrackConfig())

    assert not run.track_log.exists()


def test_a_missing_package_is_one_warning_with_its_remedy(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with Report(run) as report, Tracking(run, report) as tracking:
        tracking.start(TrackConfig(kind="mlflow"))

    [warning] = warnings(run)
    assert warning.code == "tracker_failed"
    assert warning.message == "the tracker mlflow failed: the package mlflow is not installed"
    assert "pip install 'sft-tui[mlflow]'" in warning.remedy
    assert not run.track_log.exists()


def test_a_tracker_that_raises_is_told_at_once_and_in_its_own_words(run, wandb_that):
    wandb_that("raise OSError('no such server')")
    with Report(run) as report, Tracking(run, report) as tracking:
        tracking.start(TrackConfig(kind="wandb"))
        warning = until_warned(run)
        began = time.monotonic()
        tracking.close()

    assert time.monotonic() - began < 1
    assert "OSError: no such server" in warning.message
    assert str(run.track_log) in warning.remedy
    assert len(warnings(run)) == 1


def test_a_tracker_that_hangs_is_told_while_the_run_goes_on_and_ended_after_it(
    run, wandb_that, monkeypatch
):
    monkeypatch.setattr(tracking, "END_S", 1.0)
    wandb_that("import time\ntime.sleep(600)")
    with Report(run) as report, Tracking(run, report, silent_s=2.0) as tracked:
        tracked.start(TrackConfig(kind="wandb"))
        warning = until_warned(run)
        child = tracked._child
        began = time.monotonic()
        tracked.close()

    assert time.monotonic() - began < 5
    assert child.returncode == -signal.SIGKILL
    assert "it has taken nothing for" in warning.message
    assert "did not finish within 1 s" in warnings(run)[1].message


def test_a_tracker_that_is_killed_is_told_and_the_next_start_goes_on_where_it_was(run):
    with Report(run) as report, Tracking(run, report) as tracked:
        tracked.start(TrackConfig(kind="tensorboard"))
        report.emit(events.Step(step=1, loss=1.0))
        deadline = time.monotonic() + PATIENCE_S
        while (followed := state.load(run)) is None or followed.offset == 0:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        os.kill(tracked._child.pid, signal.SIGKILL)
        assert "ended by signal 9" in until_warned(run).message
        report.emit(events.Step(step=2, loss=0.5))
    with Report(run) as report, Tracking(run, report) as tracked:
        tracked.start(TrackConfig(kind="tensorboard"))
        report.emit(events.RunStarted(run_id=run.id, resumed_from_step=2))
        report.emit(events.Step(step=3, loss=0.25))

    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    read = EventAccumulator(str(run.path / "tensorboard"))
    read.Reload()
    curve = [(point.step, point.value) for point in read.Scalars("train/loss")]
    assert curve == [(1, 1.0), (2, 0.5), (3, 0.25)]
    [warning] = warnings(run)
    told.assert_warned(run, warning)


def test_a_log_that_cannot_be_opened_stops_no_run(run):
    run.track_log.mkdir()
    with Report(run) as report, Tracking(run, report) as tracking:
        tracking.start(TrackConfig(kind="tensorboard"))

    assert "cannot be started" in warnings(run)[0].message


def test_the_tracker_holds_no_lock_of_the_trainer(run):
    """A tracker that outlives a killed trainer must not keep the run from being resumed."""
    from sft_tui.core.rundir import lock_is_free, locked

    with Report(run) as report:
        tracked = Tracking(run, report)
        with locked(run):
            tracked.start(TrackConfig(kind="tensorboard"))
            time.sleep(0.2)
        alive = tracked._child.poll() is None
        free = lock_is_free(run)
        tracked.close()

    assert alive
    assert free
    assert Path(run.track_log).exists()
