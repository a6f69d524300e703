"""A run without a trainer, the tracker's process on it, and each tracker's own reader."""

import json
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from sft_tui.core import config_file, events
from sft_tui.core.rundir import RunDir
from tests import wandb_log

Curve = list[tuple[int, float]]


@dataclass
class Told:
    """A run directory in the trainer's place: what it tells, and who follows it."""

    run: RunDir

    def tell(self, *told: events.Event) -> None:
        """Appends events, as the trainer would."""
        with self.run.events.open("ab") as file:
            for event in told:
                event.t = time.time()
                file.write(events.encode(event))

    def start(
        self, kind: str, project: str = "tests", end_s: float = 30.0, **environment: str
    ) -> subprocess.Popen:
        """Starts the tracker's process; the trainer is gone when its stdin is closed."""
        code = (
            "import sys; from sft_tui.core.track import __main__ as tracker; "
            f"tracker.END_S = {end_s}; sys.exit(tracker.main(sys.argv[1:]))"
        )
        with self.run.track_log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-P", "-c", code, self.run.path, kind, project],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=self.run.path,
                env={**os.environ, **environment},
            )

    def follow(self, kind: str, project: str = "tests", **environment: str) -> int:
        """Lets a tracker take all that was told; returns its exit code."""
        child = self.start(kind, project, **environment)
        child.stdin.close()
        return child.wait(timeout=60)


@pytest.fixture(autouse=True)
def no_accounts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whoever runs the tests may have a key of W&B, a server of MLflow or a Space of trackio."""
    for name in list(os.environ):
        if name.startswith(("WANDB_", "MLFLOW_", "TRACKIO_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("NETRC", str(tmp_path / "no-netrc"))


@pytest.fixture
def told(tmp_path: Path) -> Told:
    run = RunDir(tmp_path / "20260101-120000-tiny-rows-ab12")
    run.path.mkdir()
    config = config_file.build(["model.name=demo", "data.source=rows.jsonl", "method.rank=4"])
    run.config.write_text(config_file.to_yaml(config))
    return Told(run)


def _tensorboard(run: RunDir, project: str) -> dict[str, Curve]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    read = EventAccumulator(str(run.path / "tensorboard"))
    read.Reload()
    return {
        tag: [(point.step, point.value) for point in read.Scalars(tag)]
        for tag in read.Tags()["scalars"]
    }


def _wandb(run: RunDir, project: str) -> dict[str, Curve]:
    curves: dict[str, Curve] = defaultdict(list)
    for record in wandb_log.records(run.path):
        if record.HasField("run"):
            assert (record.run.project, record.run.run_id) == (project, run.id)
        row = wandb_log.history(record)
        for name, value in row.items():
            if name.startswith(("train/", "eval/")):
                curves[name].append((row["step"], float(value)))
    return curves


def _trackio(run: RunDir, project: str) -> dict[str, Curve]:
    # It takes its folder when it is imported, so it is asked in a process of its own.
    code = (
        "import json, sys; from trackio.sqlite_storage import SQLiteStorage as S; "
        "print(json.dumps(S.get_logs(*sys.argv[1:], max_points=None)))"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, project, run.id],
        env={**os.environ, "TRACKIO_DIR": str(run.path / "trackio")},
        capture_output=True,
        check=True,
    )
    curves: dict[str, Curve] = defaultdict(list)
    for row in json.loads(done.stdout):
        for name, value in row.items():
            if name.startswith(("train/", "eval/")):
                curves[name].append((row["step"], float(value)))
    return curves


def _mlflow(run: RunDir, project: str) -> dict[str, Curve]:
    os.environ.update(MLFLOW_ALLOW_FILE_STORE="true", MLFLOW_DISABLE_TELEMETRY="true")
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=(run.path / "mlruns").as_uri())
    experiment = client.get_experiment_by_name(project).experiment_id
    [mine] = client.search_runs([experiment])
    assert mine.info.run_name == run.id
    assert mine.data.params["method.rank"] == "4"
    return {
        name: [(m.step, m.value) for m in client.get_metric_history(mine.info.run_id, name)]
        for name in mine.data.metrics
    }


@pytest.fixture
def read_back(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Curve]]:
    """Returns what a tracker holds of a run, by metric: (step, value) in its order."""
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # undone by monkeypatch afterwards
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    readers = {
        "tensorboard": _tensorboard, "wandb": _wandb, "trackio": _trackio, "mlflow": _mlflow,
    }  # fmt: skip
    return lambda kind, run, project="tests": readers[kind](run, project)
