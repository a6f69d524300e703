"""One run in a few facts, for lists and for `show`: read from its directory alone."""

import msgspec

from . import config_file, control
from .config import RunConfig
from .errors import SftError
from .health.findings import examine
from .history import History, TimeLeft, read_history
from .notes import read_note
from .rundir import RunDir
from .status import Status, status_of


class Summary(msgspec.Struct, kw_only=True):
    """A run in a list. Times are seconds; what is not known is null."""

    id: str
    path: str
    status: str
    model: str | None = None
    data: str | None = None
    method: str | None = None
    step: int | None = None
    total_steps: int | None = None
    loss: float | None = None
    eval_loss: float | None = None
    best_step: int | None = None
    tokens_per_s: float | None = None
    eta_s: float | None = None
    started: float | None = None
    elapsed_s: float | None = None
    reason: str | None = None
    remedy: str | None = None
    note: str | None = None
    writable: bool = True
    """Whether this user may send it commands, resume it and write into its folder."""
    health: list[dict[str, str]] = []


class Details(msgspec.Struct, kw_only=True):
    """Everything that `show` tells about a run."""

    summary: Summary
    status: Status
    history: History
    config: RunConfig | None
    config_problem: str | None
    checkpoints: list[str]
    adapter: str | None


def summarise(run: RunDir) -> Summary:
    """Returns a run's line in a list."""
    return details(run).summary


def details(run: RunDir) -> Details:
    """Reads a run's directory. Damaged or missing files leave facts unknown, never an error."""
    return describe(run, status_of(run), read_history(run.events))


def describe(run: RunDir, status: Status, history: History) -> Details:
    """Returns the facts of a run whose events and status were read already."""
    config, problem = newest_config(run)
    steps = history.steps
    best = history.best_eval
    began = history.first_t
    saved = run.complete_checkpoints()
    step, total = position(status, history, saved[-1][0] if saved else None)
    left = time_left(status, history, config)
    resumes = is_resuming(status, history)
    summary = Summary(
        id=run.id,
        path=str(run.path),
        status=status.word,
        model=config.model.name if config else None,
        data=", ".join(source.source for source in config.data.sources) if config else None,
        method=method_of(config) if config else None,
        step=step,
        total_steps=total,
        loss=_number(steps[-1].loss) if steps and not resumes else None,
        eval_loss=_number(history.evals[-1].loss) if history.evals and not resumes else None,
        best_step=best.step if best else None,
        tokens_per_s=speed_of(status, history),
        eta_s=left.seconds if left else None,
        started=began,
        elapsed_s=steps[-1].elapsed_s if steps else None,
        reason=status.reason,
        remedy=status.remedy,
        note=read_note(run),
        writable=control.may_append(run.control),
        health=[
            {"rule": f.rule, "severity": f.severity, "message": f.message, "remedy": f.remedy}
            for f in examine(history, active=status.active, config=config)
        ],
    )
    return Details(
        summary=summary,
        status=status,
        history=history,
        config=config,
        config_problem=problem,
        checkpoints=[str(path) for _, path in saved],
        adapter=str(run.adapter) if run.adapter.is_dir() else None,
    )


def position(status: Status, history: History, saved: int | None) -> tuple[int | None, int | None]:
    """Returns the step that a run is at, and the one that it ends at; None is not known.

    While it is started again, it is at the checkpoint `saved` that it goes on from: the steps that
    an earlier start did beyond that will be done again.
    """
    if history.started is None:
        return None, None
    return saved if is_resuming(status, history) else history.step, history.total_steps


def goes_on(status: Status) -> bool:
    """Returns whether steps are done or are soon to be, so that there is time left to be told."""
    return status.active and status.word not in ("preparing", "stopping", "stalled")


def is_resuming(status: Status, history: History) -> bool:
    """Returns whether a run that was trained is being started again: all figures are older."""
    again = history.starting or history.finished is not None
    return status.word == "preparing" and again and history.started is not None


def speed_of(status: Status, history: History) -> float | None:
    """Returns useful tokens per second: of the last steps, and of all once a run has ended."""
    if not history.steps or is_resuming(status, history):
        return None
    return history.tokens_per_s() if status.active else history.mean_tokens_per_s()


def time_left(status: Status, history: History, config: RunConfig | None) -> TimeLeft | None:
    """Returns the work left; None while it is measured, or where no step is to come."""
    if not goes_on(status):
        return None
    if is_resuming(status, history):
        return None
    if config is None:
        return history.time_left()
    return history.time_left(config.evaluate.every_steps, config.save.every_steps)


def newest_config(run: RunDir) -> tuple[RunConfig | None, str | None]:
    """Returns the newest configuration of a run, or None and why it cannot be had."""
    known = run.configs()
    if not known:
        return None, "the folder has no config.yaml"
    try:
        return config_file.load(known[-1]), None
    except SftError as error:
        return None, str(error)


def method_of(config: RunConfig) -> str:
    """Returns what is trained, in two words at most."""
    if config.method.kind == "full":
        return "full"
    return f"{'QLoRA' if config.model.quantisation == 'nf4' else 'LoRA'} r{config.method.rank}"


def _number(value: float | str | None) -> float | None:
    """JSON has no NaN: a loss that is not finite is unknown in a list."""
    number = float(value) if value is not None else None
    return number if number is not None and abs(number) < float("inf") else None
