"""The trackers: each takes the numbers of a run in its own words. Each runs in `__main__` alone.

A package is imported where its tracker is opened: they take 0.3 to 2 s of processor time.
Whatever they raise is told by the caller. Their files lie in the run's folder unless the user's
own environment (a key, a server's address) sends the numbers elsewhere.
"""

import html
import os
import warnings
from typing import Any, Protocol, TextIO

import msgspec

from .. import config_file
from ..config import RunConfig
from ..rundir import RunDir, make_folder


class Tracker(Protocol):
    """Takes what a run tells, in order. Nothing is promised to be kept before `flush`."""

    def log(self, t: float, step: int, values: dict[str, float]) -> None:
        """Takes numbers by name, said at `t` seconds since the epoch."""
        ...

    def sample(self, t: float, step: int, prompt_id: int, text: str) -> None:
        """Takes an answer of the model."""
        ...

    def go_back(self, t: float, step: int) -> None:
        """A start begins: from `step` on, what was told before is superseded."""
        ...

    def flush(self) -> None:
        """Hands over what was taken."""
        ...

    def finish(self, status: str) -> None:
        """Ends: `finished`, `stopped`, `failed`, or `crashed` where the trainer said nothing."""
        ...


def open_tracker(kind: str, run: RunDir, project: str, config: RunConfig) -> Tracker:
    """Opens a run of the same name in a tracker, or goes on in it."""
    trackers = {"wandb": Wandb, "tensorboard": TensorBoard, "trackio": Trackio, "mlflow": MLflow}
    return trackers[kind](run, project, config)


class TensorBoard:
    """Event files in `tensorboard/`, read again from their beginning by every reader.

    TensorBoard itself drops what is superseded, when a session starts at an earlier step
    (tensorboard/backend/event_processing/event_accumulator.py).
    """

    def __init__(self, run: RunDir, project: str, config: RunConfig) -> None:
        from tensorboard.compat.proto import event_pb2, summary_pb2
        from tensorboard.plugins.text.summary_v2 import text_pb
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self._events: Any = event_pb2
        self._summaries: Any = summary_pb2
        self._text = text_pb
        make_folder(run.path / "tensorboard")
        self._writer = EventFileWriter(str(run.path / "tensorboard"))
        yaml = "".join(f"    {line}\n" for line in config_file.to_yaml(config).splitlines())
        self._config: Any = text_pb("config", f"project {project}\n\n{yaml}")

    def log(self, t: float, step: int, values: dict[str, float]) -> None:
        value = self._summaries.Summary.Value
        numbers = [value(tag=key, simple_value=number) for key, number in values.items()]
        self._add(t, step, summary=self._summaries.Summary(value=numbers))

    def sample(self, t: float, step: int, prompt_id: int, text: str) -> None:
        self._add(t, step, summary=self._text(f"samples/{prompt_id}", text))

    def go_back(self, t: float, step: int) -> None:
        session = self._events.SessionLog
        self._add(t, step, session_log=session(status=session.START))
        self._add(t, step, summary=self._config)

    def _add(self, t: float, step: int, **what: Any) -> None:
        self._writer.add_event(self._events.Event(wall_time=t, step=step, **what))

    def flush(self) -> None:
        self._writer.flush()

    def finish(self, status: str) -> None:
        self._writer.close()


class Wandb:
    """A run of W&B, offline in `wandb/` where there is no key for its server.

    A step that a resume did again stands there twice: its history only grows.
    """

    def __init__(self, run: RunDir, project: str, config: RunConfig) -> None:
        make_folder(run.path / "wandb")  # where it cannot write, it would quietly take /tmp
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        import wandb

        self._html = wandb.Html
        self._run = wandb.init(
            project=project,
            id=run.id,
            name=run.id,
            resume="allow",
            dir=str(run.path),
            config=msgspec.to_builtins(config),
            allow_val_change=True,
            mode=None if "WANDB_MODE" in os.environ or _has_wandb_key() else "offline",
            settings=wandb.Settings(
                console="off",  # there is nothing on it but our own messages
                disable_git=True,
                save_code=False,
                x_disable_stats=True,  # the run's own events tell of the machine
                x_disable_machine_info=True,
                x_save_requirements=False,
            ),
        )
        # Its own step must never fall, and a resume goes back: ours is the axis.
        self._run.define_metric("*", step_metric="step")

    def log(self, t: float, step: int, values: dict[str, float]) -> None:
        self._run.log({"step": step, **values})

    def sample(self, t: float, step: int, prompt_id: int, text: str) -> None:
        page = self._html(f"<pre>{html.escape(text)}</pre>", inject=False)
        self._run.log({"step": step, f"samples/{prompt_id}": page})

    def go_back(self, t: float, step: int) -> None:
        pass

    def flush(self) -> None:
        pass

    def finish(self, status: str) -> None:
        self._run.finish(exit_code=int(status in ("failed", "crashed")))


def _has_wandb_key() -> bool:
    """Whether wandb would find a key: in its variables, or in the netrc file for its server."""
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    from requests.utils import get_netrc_auth  # which wandb brings

    return get_netrc_auth(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")) is not None


class Trackio:
    """A run in a SQLite file in `trackio/`, or in the Space or server of trackio's variables.

    trackio warns where others raise: its warnings are raised here, at the next flush.
    A step that a resume did again stands there twice.
    """

    def __init__(self, run: RunDir, project: str, config: RunConfig) -> None:
        make_folder(run.path / "trackio")
        os.environ.setdefault("TRACKIO_DIR", str(run.path / "trackio"))
        if not any(name in os.environ for name in ("TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL")):
            os.environ["HF_HUB_OFFLINE"] = "1"  # it would ask who the user is
        import trackio

        self._markdown, self._finish = trackio.Markdown, trackio.finish
        self._complaint: str | None = None
        warnings.showwarning = self._on_warning
        self._run = trackio.init(
            project=project,
            name=run.id,
            resume="allow",
            config=_flat(config),
            embed=False,
            auto_log_gpu=False,  # the run's own events tell of the machine
            auto_log_cpu=False,
        )
        self.flush()

    def _on_warning(
        self,
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        print(f"{category.__name__}: {message}")
        if category is UserWarning and "trackio" in filename:
            self._complaint = self._complaint or str(message)

    def log(self, t: float, step: int, values: dict[str, float]) -> None:
        self._run.log(dict(values), step=step)

    def sample(self, t: float, step: int, prompt_id: int, text: str) -> None:
        self._run.log({f"samples/{prompt_id}": self._markdown(text)}, step=step)

    def go_back(self, t: float, step: int) -> None:
        pass

    def flush(self) -> None:
        if self._complaint is not None:
            raise RuntimeError(self._complaint)

    def finish(self, status: str) -> None:
        self._finish()
        self.flush()


class MLflow:
    """A run in files in `mlruns/`, or at the address that MLFLOW_TRACKING_URI holds.

    Files need neither a database nor its migrations. A step that a resume did again stands there
    twice, the later value last. A parameter cannot change there: a changed one becomes a tag.
    """

    def __init__(self, run: RunDir, project: str, config: RunConfig) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
        here = os.environ.get("MLFLOW_TRACKING_URI") or (run.path / "mlruns").as_uri()
        from mlflow import MlflowClient
        from mlflow.entities import Metric, Param

        self._metric = Metric
        self._waiting: list[Any] = []
        self._client = client = MlflowClient(tracking_uri=here)
        known = client.get_experiment_by_name(project)
        experiment = known.experiment_id if known else client.create_experiment(project)
        found = client.search_runs([experiment], f"attributes.run_name = '{run.id}'")
        mine = found[0] if found else client.create_run(experiment, run_name=run.id)
        self._id = mine.info.run_id
        client.update_run(self._id, status="RUNNING")
        new: list[Any] = []
        for key, value in _flat(config).items():
            if key not in mine.data.params:
                new.append(Param(key, str(value)))
            elif mine.data.params[key] != str(value):
                client.set_tag(self._id, key, str(value))
        client.log_batch(self._id, params=new)

    def log(self, t: float, step: int, values: dict[str, float]) -> None:
        at = int(t * 1000)
        self._waiting += [self._metric(key, value, at, step) for key, value in values.items()]

    def sample(self, t: float, step: int, prompt_id: int, text: str) -> None:
        self._client.log_text(self._id, text, f"samples/step-{step:08}-prompt-{prompt_id}.txt")

    def go_back(self, t: float, step: int) -> None:
        pass

    def flush(self) -> None:
        while self._waiting:
            self._client.log_batch(self._id, metrics=self._waiting[:1000])  # its limit
            del self._waiting[:1000]

    def finish(self, status: str) -> None:
        word = {"finished": "FINISHED", "stopped": "KILLED"}.get(status, "FAILED")
        self._client.set_terminated(self._id, word)


def _flat(config: RunConfig) -> dict[str, str | int | float | bool | None]:
    """Returns every hyperparameter by its full key; lists and groups within them as JSON."""
    groups: dict[str, dict[str, Any]] = msgspec.to_builtins(config)
    return {
        f"{group}.{key}": msgspec.json.encode(value).decode()
        if isinstance(value, list | tuple | dict)
        else value
        for group, fields in groups.items()
        for key, value in fields.items()
    }
