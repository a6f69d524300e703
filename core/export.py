"""What of a run is exported, and where to: chosen and checked here, written by a child process.

Nothing of a path of this machine leaves it: names of local files are reduced to their last part.
"""

import filecmp
import os
import shutil
import tempfile
from contextlib import aclosing
from pathlib import Path

import msgspec

from . import config_file, demo
from .config import ModelConfig, RunConfig
from .errors import DiskFull, SftError, UsageError
from .events import RunStarted
from .find import refuse_no_run
from .history import best_of, read_history
from .hub import child, local
from .hub.progress import Event
from .rundir import RunDir, explain_os_error, make_folder, runs_folder
from .status import status_of
from .summary import newest_config
from .text import redact

WEIGHTS = "adapter_model.safetensors"
ADAPTER_CONFIG = "adapter_config.json"
TRAINED = "trained.safetensors"
"""The weights of a checkpoint without an adapter."""


class Chosen(msgspec.Struct, frozen=True):
    """The weights that are exported: of an adapter or a checkpoint, and the step they are of."""

    folder: str
    step: int

    @property
    def files(self) -> tuple[str, ...]:
        """The names of the files that hold them."""
        return (TRAINED,) if self.full else (WEIGHTS, ADAPTER_CONFIG)

    @property
    def full(self) -> bool:
        """Whether they are the model's own weights."""
        return Path(self.folder, TRAINED).is_file()


class Request(msgspec.Struct, frozen=True):
    """What the child process writes into the folder `place`, which it makes."""

    run: str
    chosen: Chosen
    merge: bool
    place: str
    repo: str | None = None
    """The name on the Hub that the model card speaks of."""


def choose(run: RunDir, checkpoint: str | None) -> Chosen:
    """Returns the weights that are meant.

    Args:
        run: The run.
        checkpoint: `last`, `best`, or the number of a step; None is the result, `adapter/` or
            `model/`.

    Raises:
        SftError: There are none; the message says what there is.
        UsageError: `checkpoint` is none of these, or the folder is that of no run.
    """
    refuse_no_run(run)
    saved = run.complete_checkpoints()
    if checkpoint is None:
        chosen = _result(run, saved)
    elif checkpoint == "last":
        if not saved:
            raise _nothing(run, "it has no complete checkpoint yet")
        chosen = Chosen(str(saved[-1][1]), saved[-1][0])
    elif checkpoint == "best":
        chosen = _of_step(run, saved, _best_step(run), "its best evaluation was at")
    elif checkpoint.isascii() and checkpoint.isdigit():
        chosen = _of_step(run, saved, int(checkpoint), "you asked for")
    else:
        raise UsageError(
            f"--checkpoint cannot be {checkpoint!r}",
            "it names no checkpoint",
            "give last, best or the number of a step",
        )
    for name in chosen.files:
        if not Path(chosen.folder, name).is_file():
            raise _nothing(run, f"{chosen.folder} has no {name}")
    return chosen


def _result(run: RunDir, saved: list[tuple[int, Path]]) -> Chosen:
    status = status_of(run)
    last = f"`--checkpoint last` takes step {saved[-1][0]}" if saved else "wait for a checkpoint"
    if status.active:
        raise SftError(f"{run.id} has no result yet", f"it is {status.word}", last)
    if run.model.is_dir():
        return _whole_result(run, saved)
    if not run.adapter.is_dir():
        why = f"it is {status.word}, and was not ended in a way that writes adapter/"
        again = "train anew with its config.yaml" if status.word == "finished" else "resume it"
        raise SftError(f"{run.id} has no result", why, last if saved else again)
    result = run.adapter / WEIGHTS
    if saved and result.is_file() and not _same(result, saved[-1][1] / WEIGHTS):
        raise SftError(
            f"the result of {run.id} is not its newest state",
            f"it went on after adapter/ was written, and is {status.word}",
            last,
        )
    return Chosen(str(run.adapter), saved[-1][0] if saved else read_history(run.events).step)


def _whole_result(run: RunDir, saved: list[tuple[int, Path]]) -> Chosen:
    """Returns the checkpoint whose weights `model/` holds: it was written right before."""
    if not saved:
        raise _nothing(
            run, "its checkpoints are gone", f"{run.model} is itself what transformers loads"
        )
    step, folder = saved[-1]
    if folder.stat().st_mtime_ns > run.model.stat().st_mtime_ns:
        raise SftError(
            f"the result of {run.id} is not its newest state",
            "it went on after model/ was written",
            f"`--checkpoint last` takes step {step}",
        )
    return Chosen(str(folder), step)


def _same(one: Path, other: Path) -> bool:
    return other.is_file() and filecmp.cmp(one, other, shallow=False)


def _best_step(run: RunDir) -> int:
    # The base itself, step 0, is not what is exported, be it better or not.
    tuned = [event for event in read_history(run.events).evals if event.step > 0]
    best = best_of(tuned)
    if best is None:
        raise _nothing(run, "it was never evaluated, so no checkpoint is known as the best")
    return best.step


def _of_step(run: RunDir, saved: list[tuple[int, Path]], step: int, why: str) -> Chosen:
    folder = dict(saved).get(step)
    if folder is not None:
        return Chosen(str(folder), step)
    there = ", ".join(str(number) for number, _ in saved)
    remedy = f"choose one of the steps {there}" if there else ""
    raise _nothing(run, f"{why} step {step}, of which no checkpoint is kept", remedy)


def _nothing(run: RunDir, why: str, remedy: str = "") -> SftError:
    remedy = remedy or f"`sft-tui show {run.id}` tells more"
    return SftError(f"no weights of {run.id} can be taken", why, remedy)


def check_target(target: Path, runs: Path | None = None) -> None:
    """Refuses a folder that holds something, or would stand among runs and be taken for one.

    Args:
        target: The folder to be written.
        runs: Where the run lies that is exported, besides the place where runs lie by default.

    Raises:
        UsageError: It is such a one, or is no folder.
    """
    try:
        places = {place.resolve() for place in (runs_folder(), runs) if place is not None}
        if target.absolute().parent.resolve() in places:
            raise UsageError(
                f"{target} cannot be written",
                "it would stand among the runs and be taken for one",
                f"name a folder elsewhere, such as ~/exports/{target.name}",
            )
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise UsageError(
                f"{target} cannot be written",
                "it is not empty" if target.is_dir() else "it is not a folder",
                "name a folder that does not exist yet",
            )
    except OSError as error:
        raise _explained(error, target) from error


async def export(
    run: RunDir, chosen: Chosen, target: Path, *, merge: bool = False, repo: str | None = None
) -> child.Events:
    """Writes an export in a child process and yields how it goes; the last event is `done`.

    `target` is whole or absent at every moment: what is unfinished lies beside it, and goes when
    the iteration ends.

    Raises:
        HubError: It failed.
        SftError: The target cannot be written.
    """
    target = target.absolute()
    check_target(target, run.path.parent)
    try:
        make_folder(target.parent)
        beside = tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.")
    except OSError as error:
        raise _explained(error, target) from error
    with beside:
        place = Path(beside.name) / "export"
        kept = _kept(chosen, Path(beside.name) / "weights")
        request = Request(str(run.path), kept, merge or kept.full, str(place), repo)
        work = child.events(
            "sft_tui.core.training.export_helper",
            request,
            f"the export of {run.id}",
            "`--debug` and the run's trainer.log may tell more",
        )
        async with aclosing(work) as told:
            async for event in told:
                if event.event != "done":
                    yield event
        try:
            os.rename(place, target)
        except OSError as error:
            check_target(target, run.path.parent)  # somebody may have filled it meanwhile
            raise _explained(error, target) from error
        yield Event("done", folder=str(target))


def _kept(chosen: Chosen, place: Path) -> Chosen:
    """Copies the weights at once: a run that trains removes its old checkpoints."""
    try:
        place.mkdir()
        for name in chosen.files:
            shutil.copyfile(Path(chosen.folder, name), place / name)
    except FileNotFoundError as error:
        raise SftError(
            f"step {chosen.step} cannot be exported",
            "the trainer removed its checkpoint just now",
            "export again: a newer one is there",
        ) from error
    except OSError as error:
        raise _explained(error, place) from error
    return Chosen(str(place), chosen.step)


def _explained(error: OSError, target: Path) -> SftError:
    explained = explain_os_error(error, "exporting", target)
    if isinstance(explained, DiskFull):
        return full(explained.why)
    return explained


def full(why: str) -> DiskFull:
    """Returns the message for a disk on which the export has no room."""
    return DiskFull(
        "the disk is full while exporting",
        why,
        "free space or export to another disk; nothing was left behind",
    )


class Base(msgspec.Struct, frozen=True):
    """The base model under the name that others know."""

    name: str
    """A Hub id, or the name of a folder."""
    on_hub: bool
    revision: str | None


def base_of(model: ModelConfig, started: RunStarted | None) -> Base:
    """Returns the base model of a run; its revision is the commit where the run recorded it."""
    commit = started.choices.get("revision") if started else None
    if model.name == "demo":
        return Base(demo.HUB_ID, True, None)
    if Path(model.name).is_absolute():
        cached = local.id_of(Path(model.name))
        if cached is None:
            return Base(Path(model.name).name, False, None)
        return Base(cached, True, Path(model.name).name)
    return Base(model.name, True, commit or model.revision)


def public_yaml(config: RunConfig) -> str:
    """Returns a configuration as text without paths of this machine and without tokens."""
    return redact(config_file.to_yaml(public_config(config)))


def public_config(config: RunConfig) -> RunConfig:
    """Returns a configuration in which paths of this machine are reduced to names."""
    data = config.data
    sources = [
        msgspec.structs.replace(
            source,
            source=public_name(source.source),
            template_file=public_name(source.template_file) if source.template_file else None,
        )
        for source in data.sources
    ]
    held_out = public_name(data.eval_source) if data.eval_source else None
    return msgspec.structs.replace(
        config,
        model=msgspec.structs.replace(config.model, name=public_name(config.model.name)),
        data=msgspec.structs.replace(data, sources=sources, eval_source=held_out),
    )


def public_name(name: str) -> str:
    """Returns the last part of a path, the id of a folder of the Hub's cache, else the name."""
    path = Path(name)
    return (local.id_of(path) or path.name) if path.is_absolute() else name


def config_of(run: RunDir) -> RunConfig:
    """Returns the newest configuration of a run.

    Raises:
        SftError: It cannot be read.
    """
    config, problem = newest_config(run)
    if config is None:
        raise _nothing(run, problem or "it has no configuration")
    return config
