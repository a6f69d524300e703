"""The story of a run, from top to bottom: seed, model, data, optimizer, loop, result."""

from pathlib import Path
from typing import Any

import torch
from accelerate.utils import set_seed

from .. import events, footing
from ..config import RunConfig
from ..data.plan import BatchPlan
from ..errors import SftError
from ..footing import Footing
from ..hub import local
from ..rundir import RunDir
from ..tail import Tail
from . import checkpoint, compiling, saving
from .collate import Layout
from .course import Course
from .crew import Place
from .data import Prepared, bring_data, prepare
from .locate import locate, pinned
from .loop import Loop
from .loss import SupervisedLoss
from .method import attach
from .model import fingerprint, judge_length, load_base, save_memory
from .optim import build_optimizer
from .precision import Precision, base_precision
from .ranks import Ranks, device_of
from .report import Report
from .sharding import exchanged, is_sharded, lay_out
from .speed import decide
from .started import run_started
from .steering import Recalled, Steering
from .tokenizer import load_tokenizer, tokenizer_facts

ALONE = Place()


def run_training(
    run: RunDir,
    config: RunConfig,
    report: Report,
    steering: Steering,
    place: Place = ALONE,
) -> int:
    """Trains one start of a run to its end, or until it is asked to stop.

    Every rank of a run calls it, each with its place.

    Returns:
        The last step done. Checkpoint and, unless a signal ended it, `adapter/` are on the disk.

    Raises:
        SftError: What the user can do something about; the message says what.
    """
    if place.rank == 0:
        saving.remove_leftovers(run)
    loop = set_up(run, config, report, steering, place)
    step = loop.train()
    if steering.wants_adapter and step > 0:  # before the first step there is nothing to keep
        saving.save_result(run, loop.model, loop.tokenizer, report, loop.ranks)
    loop.forward = loop.model  # lets DDP go, as `end` needs it
    loop.ranks.end()
    return step


def set_up(
    run: RunDir,
    config: RunConfig,
    report: Report,
    steering: Steering,
    place: Place = ALONE,
) -> Loop:
    """Returns the loop of one start, ready for its first step; `run_started` is told.

    Raises:
        SftError: What the user can do something about; the message says what.
    """
    device = device_of(config.launch, place)
    ranks = Ranks.join(place, device)
    steering.share = ranks.share
    steering.recalled = ranks.told(lambda: steering.recalled, list[Recalled])
    set_seed(config.train.seed)

    first = ranks.told(lambda: _first_choices(run), dict[str, str])
    source = ranks.told(lambda: locate(pinned(config.model, first), report), str)
    tokenizer = load_tokenizer(source)
    facts = tokenizer_facts(tokenizer)

    report.phase("preparing_data")
    chosen = ranks.told(lambda: bring_data(config, report, first), dict[str, str])
    data = prepare(config, tokenizer.backend_tokenizer, facts, report, chosen)
    report.longest_row = max(len(row.input_ids) for row in data.train)
    _same_data(ranks, data)
    plan = BatchPlan.of(config, len(data.train))
    total_steps = config.train.max_steps or config.train.epochs * plan.steps_per_epoch

    model, start, folder = _stand(run, config, source, device, ranks, report)
    course = Course.planned(config, total_steps)
    precision = Precision(config, device)
    plan, layout, loss = _speed_up(
        model, config, precision, data, facts.pad_id, plan, total_steps, first, report
    )
    optimizer = build_optimizer(model.parameters(), config.optim)

    if ranks.rank:  # dropout differs between ranks, as between the rows of one
        torch.manual_seed(config.train.seed + ranks.rank)
    if folder is not None:
        checkpoint.restore_progress(folder, model, optimizer, ranks)
        precision.restore(start.loss_scale)
        report.step = start.step
        course = start.course or course
        _compare_data(start, data, report)
    _compare_course(course, config, total_steps, report, steering)
    ends = [change.value for change in steering.recalled if change.key == "max_steps"]
    total_steps = int([course.total_steps, *ends][-1] or 0)
    forward = exchanged(model, ranks)
    model.train()

    commit = Path(source).name if local.id_of(Path(source)) else None
    report.emit(
        run_started(
            run,
            config,
            place,
            device,
            model,
            data,
            plan,
            total_steps,
            start.step or None,
            commit,
            report.gpus,
        )
    )
    return Loop(
        run,
        config,
        ranks,
        device,
        model,
        forward,
        optimizer,
        tokenizer,
        data,
        plan,
        loss,
        course,
        layout,
        report,
        steering,
        precision,
        start,
    )


def _stand(
    run: RunDir, config: RunConfig, source: str, device: torch.device, ranks: Ranks, report: Report
) -> tuple[Any, checkpoint.TrainerState, Path | None]:
    """Returns the model as its newest checkpoint has it, or as a run begins, on its devices.

    Returns:
        The model, the state of its checkpoint or of step 0, and the checkpoint's folder if any.

    Raises:
        SftError: The model cannot be loaded, or is not the one that the checkpoint stands on.
    """
    report.phase("loading_model")
    base = load_base(source, config.model, base_precision(config), device)
    judge_length(base, report.longest_row or 0, report)
    set_seed(config.train.seed)  # the adapter's start does not depend on what loading drew
    stands_on = Footing.of(config, fingerprint(base))
    start, folder = checkpoint.newest(run) or (checkpoint.TrainerState(step=0), None)
    if folder is not None:
        before = start.footing or footing.of_beginning(run, start.step)
        before.check(stands_on, start.step)
    start.footing = stands_on
    model = attach(base, config.method, report)
    if folder is not None:
        checkpoint.restore_weights(folder, model)
    lay_out(model, config, ranks, device)
    return model, start, folder


def _speed_up(
    model: Any,
    config: RunConfig,
    precision: Precision,
    data: Prepared,
    pad_id: int,
    plan: BatchPlan,
    total_steps: int,
    first: dict[str, str],
    report: Report,
) -> tuple[BatchPlan, Layout, SupervisedLoss]:
    """Prepares a model for quick steps, and tells the choices that this took.

    Returns:
        Which rows a step trains now, how they lie in a batch, and what computes its loss.

    Raises:
        SftError: What must be on by the configuration cannot be.
    """
    how = decide(model, config, precision, data.train, pad_id, data.choices)
    layout = Layout(pad_id, how.pack, how.share)
    loss = SupervisedLoss(model, _chunk(model, config))  # its trial is not worth compiling for
    data.choices["logits"] = loss.choice
    save_memory(model, config.train)
    tokens = sum(len(row.input_ids) for row in data.train) * (1 - how.saved * how.share)
    ahead = round(total_steps * tokens / plan.steps_per_epoch)
    data.choices[compiling.CHOICE] = compiling.decide(
        model, config, precision, ahead, data.train, layout, first, report
    )
    return BatchPlan.packed(config, [row.input_ids for row in data.train], how), layout, loss


def _chunk(model: Any, config: RunConfig) -> int | None:
    """Returns how many logits are made at once; None where all are.

    In fp16 a piece's gradient is taken before the loss is scaled, and would be lost; a head that is
    divided over ranks is whole only while the model itself runs.
    """
    if config.train.precision == "fp16" or is_sharded(model):
        return None
    return config.train.loss_chunk


def _same_data(ranks: Ranks, data: Prepared) -> None:
    """Refuses to train where ranks read different rows.

    Raises:
        SftError: The files changed between their reading.
    """
    if ranks.told(lambda: data.data_hash, str) != data.data_hash:
        raise SftError(
            "the ranks read different training rows",
            "the data changed while it was read",
            "start again when nothing writes to the data files",
        )


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
    step, warmup = report.step, course.warmup
    changed = course.goes_on(config, total_steps, step)
    steering.recalled = [
        change for change in steering.recalled if change.step >= step and change.key not in changed
    ]
    if "max_steps" in changed and (told := course.low_rate(step)) is not None:
        report.warn("low_rate", told, "stop, and resume with --set optim.learning_rate=…")
    if "warmup_ratio" in changed and step >= warmup:
        report.warn(
            "warmup_over",
            f"optim.warmup_ratio changes nothing any more: warm-up ended at step {warmup}",
            "a new optim.learning_rate changes what comes",
        )
    if "rows_per_step" in changed:
        report.warn(
            "step_size_changed",
            "a step takes another number of rows than before: rows of this epoch may be trained "
            "twice or left out",
            "keep train.micro_batch_size × train.gradient_accumulation × launch.devices as it was",
        )
