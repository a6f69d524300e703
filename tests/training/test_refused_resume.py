"""What a resume was refused with is not the run's own from then on."""

import signal

import pytest

from sft_tui.core import config_file, launch, rundir, status
from sft_tui.core.training import __main__ as trainer


@pytest.fixture
def begin(new_run, monkeypatch, tmp_path):
    """Runs the trainer's `main` on a new configuration of one run; returns its exit code."""
    monkeypatch.setenv("SFT_TUI_HOME", str(tmp_path / "home"))
    kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    run = new_run()

    def start(config, name="config.yaml"):
        (run.path / name).write_text(config_file.to_yaml(config))
        return trainer.main([str(run.path), name])

    start.run = run
    yield start
    for number, handler in kept.items():
        signal.signal(number, handler)


def test_a_resume_that_cannot_begin_leaves_the_configuration_as_it_was(
    begin, untied, ragged, configure
):
    run = begin.run
    config = configure(untied, ragged(4), "train.max_steps=2")
    longer = configure(untied, ragged(4), "train.max_steps=3")
    gone = configure(untied, untied / "gone.jsonl", "train.max_steps=3")
    assert begin(config) == 0

    assert begin(gone, "config-1.yaml") == 1
    assert run.configs() == [run.config]
    assert config_file.load(run.path / "refused-config-1.yaml") == gone
    assert "is in refused-config-1.yaml and counts no more" in status.status_of(run).remedy

    assert begin(longer, "config-1.yaml") == 0
    assert [path.name for path in run.configs()] == ["config.yaml", "config-1.yaml"]


def test_a_resume_that_came_second_leaves_nothing_that_counts(begin, untied, ragged, configure):
    run = begin.run
    config = configure(untied, ragged(4), "train.max_steps=2")
    second = configure(untied, ragged(4), "train.max_steps=2", "optim.learning_rate=0.5")
    (run.path / "config.yaml").write_text(config_file.to_yaml(config))
    with rundir.locked(run):
        assert begin(second, "config-2.yaml") == launch.EXIT_BUSY
        assert begin(config) == launch.EXIT_BUSY
    assert run.configs() == [run.config]
    assert config_file.load(run.path / "refused-config-2.yaml") == second


def test_a_failure_with_the_same_configuration_keeps_it(begin, ragged, untied, configure):
    data = ragged(4)
    config = configure(untied, data, "train.max_steps=2")
    assert begin(config) == 0
    data.rename(data.with_suffix(".moved"))
    try:
        assert begin(config, "config-1.yaml") == 1
    finally:
        data.with_suffix(".moved").rename(data)
    assert [path.name for path in begin.run.configs()] == ["config.yaml", "config-1.yaml"]
    assert "refused" not in status.status_of(begin.run).remedy
