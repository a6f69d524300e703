"""The story of a run, from top to bottom: seed, model, data, optimizer, loop, result."""

import math
import platform
from pathlib import Path
from typing import Any

import accelerate
import msgspec
import peft
import torch
import transformers
from accelerate import Accelerator
from accelerate.utils import set_seed

from .. import __version__, events
from ..config import LaunchConfig, ModelConfig, RunConfig
from ..data.plan import BatchPlan
from ..errors import UsageError
from ..hub import local
from ..rundir import RunDir
from ..tail import Tail
from . import checkpoint
from .course import Course
from .data import Prepared, prepare
from .locate import locate
from .loop import Loop
from .loss import SupervisedLoss
from .method import attach, count_parameters
from .model import load_base, save_memory_or_time
from .optim import build_optimizer
from .precision import Precision, base_precision
from .report import Report
from .steering import Steering
from .tokenizer import load_tokenizer, tokenizer_facts

_COMMIT = "revision"
"""Among the choices of `run_started`: which commit of a Hub model is trained."""


def run_training(run: RunDir, config: RunConfig, report: Report, steering: Steering) -> int:
    """Trains one start of a run to its end, or until it is asked to stop.

    Returns:
        The last step done. Checkpoint and, unless a signal ended it, `adapter/` are on the disk.

    Raises:
        SftError: What the user can do something about; the message says what.
    """
    checkpoint.remove_leftovers(run)
    loop = set_up(run, config, report, steering)
    step = loop.train()
    if steering.wants_adapter and step > 0:  # before the first step there is nothing to keep
        adapted = loop.accelerator.unwrap_model(loop.model)
        checkpoint.save_result(run, adapted, loop.tokenizer, report)
    return step


def set_up(run: RunDir, config: RunConfig, report: Report, steering: Steering) -> Loop:
    """Returns the loop of one start, ready for its first step; `run_started` is told.

    Raises:
        SftError: What the user can do something about; the message says what.
    """
    accelerator = _accelerator(config.launch)
    set_seed(config.train.seed)

    chosen = _first_choices(run)
    source = locate(_pinned(config.model, chosen), report)
    tokenizer = load_tokenizer(source)
    facts = tokenizer_facts(tokenizer)

    report.phase("preparing_data")
    data = prepare(config, tokenizer.backend_tokenizer, facts, report, chosen)
    report.longest_row = max(len(row.input_ids) for row in data.train)
    plan = BatchPlan(
        len(data.train),
        config.train.micro_batch_size,
        config.train.gradient_accumulation,
        config.train.seed,
        config.data.shuffle,
    )
    total_steps = config.train.max_steps or config.train.epochs * plan.steps_per_epoch

    report.phase("loading_model")
    base = load_base(source, config.model, base_precision(config), accelerator.device)
    set_seed(config.train.seed)  # the adapter's start does not depend on what loading drew
    model = attach(base, config.method, report).to(accelerator.device)
    save_memory_or_time(model, config.train)
    optimizer = build_optimizer(model.parameters(), config.optim)
    precision = Precision(config, accelerator.device)

    start, course = checkpoint.TrainerState(step=0), Course.planned(config, total_steps)
    if (found := checkpoint.newest(run)) is not None:
        start, folder = found
        checkpoint.restore(folder, model, optimizer)
        precision.restore(start.loss_scale)
        report.step = start.step
        course = start.course or course
        _compare_data(start, data, report)
    _compare_course(course, config, total_steps, report, steering)
    ends = [change.value for change in steering.recalled if change.key == "max_steps"]
    total_steps = int([course.total_steps, *ends][-1] or 0)
    adapted = model
    model = accelerator.prepare_model(model)
    model.train()

    loss = SupervisedLoss(adapted)

    commit = Path(source).name if local.id_of(Path(source)) else None
    report.emit(
        _run_started(
            run, config, accelerator, adapted, data, plan, total_steps, start.step or None, commit
        )
    )
    return Loop(
        run,
        config,
        accelerator,
        model,
        optimizer,
        tokenizer,
        data,
        plan,
        loss,
        course,
        facts.pad_id,
        report,
        steering,
        precision,
        start,
    )


def _accelerator(launch: LaunchConfig) -> Accelerator:
    """Returns accelerate's view of the device that was asked for.

    Raises:
        UsageError: torch sees no such device.
    """
    wanted = launch.accelerator
    seen = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if not seen.get(wanted, True):
        raise UsageError(
            f"launch.accelerator is {wanted}, which cannot be used",
            f"torch {torch.__version__} sees no {wanted} device",
            "set launch.accelerator to auto or cpu, or install a torch build for the device",
        )
    return Accelerator(cpu=wanted == "cpu")


def _first_choices(run: RunDir) -> dict[str, str]:
    """Returns the choices of the run's first start; none where it never began to train."""
    tail = Tail(run.events)
    while lines := tail.read():
        for line in lines:
            try:
                event = events.decode(line)
            except ValueError:  # a damaged line, which every reader skips
                continue
            if isinstance(event, events.RunStarted):
                return event.choices
    return {}


def _pinned(model: ModelConfig, chosen: dict[str, str]) -> ModelConfig:
    """Returns the model at the commit of the run's first start: the Hub's branch may move on."""
    commit = chosen.get(_COMMIT)
    return msgspec.structs.replace(model, revision=commit) if commit else model


def _compare_data(state: checkpoint.TrainerState, data: Prepared, report: Report) -> None:
    if state.data_hash != data.data_hash:
        report.warn(
            "data_changed",
            "the training rows are not those of the checkpoint that is resumed",
            "stop and restore the data if that was not meant",
        )


def _compare_course(
    course: Course, config: RunConfig, total_steps: int, report: Report, steering: Steering
) -> None:
    """Takes over what the configuration changed, and drops what clients changed before that."""
    step = report.step
    changed = course.goes_on(config, total_steps, step)
    steering.recalled = [
        change for change in steering.recalled if change.step >= step and change.key not in changed
    ]
    if "max_steps" in changed and (told := course.low_rate(step)) is not None:
        report.warn("low_rate", told, "stop, and resume with --set optim.learning_rate=…")
    if "rows_per_step" in changed:
        report.warn(
            "step_size_changed",
            "a step takes another number of rows than before: rows of this epoch may be trained "
            "twice or left out",
            "keep train.micro_batch_size times train.gradient_accumulation as it was",
        )


def _run_started(
    run: RunDir,
    config: RunConfig,
    accelerator: Accelerator,
    model: Any,
    data: Prepared,
    plan: BatchPlan,
    total_steps: int,
    resumed_from_step: int | None,
    commit: str | None,
) -> events.RunStarted:
    trainable, total = count_parameters(model)
    attention = str(getattr(model.config, "_attn_implementation", None) or "unknown")
    choices = dict(data.choices)
    if commit:
        choices[_COMMIT] = commit
    if config.model.attention == "auto":
        choices["attention"] = f"{attention}: transformers' choice for this model"
    if config.launch.accelerator == "auto":
        choices["device"] = f"{accelerator.device.type}: the first that torch sees"
    return events.RunStarted(
        run_id=run.id,
        resumed_from_step=resumed_from_step,
        total_steps=total_steps,
        epochs=math.ceil(total_steps / plan.steps_per_epoch),
        train_rows=len(data.train),
        eval_rows=len(data.evaluation),
        eval_hash=data.eval_hash,
        data_hash=data.data_hash,
        trainable_params=trainable,
        total_params=total,
        world_size=accelerator.num_processes,
        device=str(accelerator.device),
        dtype=config.train.precision,
        attention=attention,
        choices=choices,
        versions=versions(),
    )


def versions() -> dict[str, str]:
    """Returns the versions that a result depends on."""
    return {
        "sft-tui": __version__,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "transformers": transformers.__version__,
        "peft": peft.__version__,
        "accelerate": accelerate.__version__,
    }
