"""The trainer process: `python -P -m sft_tui.core.training RUN_DIRECTORY CONFIG_NAME [COMMAND_ID]`.

COMMAND_ID is that of a command in `control.jsonl` which this start carries out first.

Takes the run's lock, says who it is, writes the first event, and only then imports torch. Every
end is told in `run_finished`; the traceback of a failure goes to `trainer.log` (stderr).
"""

import importlib.metadata
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import msgspec

from .. import config_file, events, gpus
from ..config import LaunchConfig, RunConfig
from ..errors import DiskFull, RunBusy, SftError
from ..launch import EXIT_BUSY, EXIT_FULL
from ..process import ProcessRecord, this_process
from ..rundir import FULL, RunDir, explain_os_error, locked, write_atomic
from ..status import with_room
from .crew import Crew, leave
from .failures import explain
from .imports import leave_out_unused, quick_imports
from .report import Report
from .steering import Steering
from .tracking import Tracking

_PACKAGES = ("torch", "transformers", "peft", "accelerate")


def main(argv: list[str]) -> int:
    """Runs the trainer; returns 0 when it finished or stopped, 1 when it failed."""
    run = RunDir(Path(argv[0]))
    config_name = argv[1]
    try:
        with locked(run):
            record = this_process("local", sys.argv, _versions())
            record.config = config_name
            _tell(run, record)
            with Report(run) as report, Tracking(run, report) as tracking:
                return _train(run, record, report, tracking, *argv[2:])
    except RunBusy as error:
        _say(error)
        if config_name != run.config.name:  # another trains with its own
            _set_aside(run, config_name)
        return EXIT_BUSY
    except OSError as error:
        _say(explain_os_error(error, "writing into the run folder", when_full=with_room(run)))
        began = run.process_record() is not None
        return EXIT_FULL if error.errno in FULL and not began else 1
    except DiskFull as error:  # not even the end could be written
        _say(error)
        return 1


def _tell(run: RunDir, record: ProcessRecord) -> None:
    """Writes who trains the run, and once that is chosen on what."""
    write_atomic(run.process, msgspec.json.encode(record))


def _train(
    run: RunDir,
    record: ProcessRecord,
    report: Report,
    tracking: Tracking,
    first: str | None = None,
) -> int:
    """Trains and tells the end, whatever it is."""
    steering = Steering(run, report)  # before the first event, upon which somebody may ask
    report.phase("loading_model")
    report.start_heartbeat()
    steering.catch_signals()
    config_name = record.config
    config: RunConfig | None = None

    def failed(error: SftError) -> None:
        _fail(report, steering, str(error), error.remedy)

    try:
        # Before the seconds that imports take: a stop asked meanwhile is not an old one.
        steering.read_earlier(first)
        steering.start_dumping()
        config = config_file.load(run.path / config_name)
        tracking.start(config.track)
        devices = _choose_devices(run, record, config.launch, report)
        with Crew(run, config_name, config.launch.ranks, devices, failed) as place:
            leave_out_unused(config)
            # torch and transformers: seconds, so only after the first event was written.
            with quick_imports():
                from . import recipe

            step = recipe.run_training(run, config, report, steering, place)
    except Exception as error:
        traceback.print_exc()
        _let_go(error)
        reason, remedy = explain(error, run, config, report)
        remedy += _take_back(run, config_name, report)
        steering.stop_dumping()
        _fail(report, steering, reason, remedy)
        return 1
    steering.stop_dumping()
    _finish(report, steering, step)
    return 0


def _take_back(run: RunDir, config_name: str, report: Report) -> str:
    """Sets a resume's configuration aside with which nothing was trained; returns what to say.

    Else the next resume would go on with what was refused.
    """
    mine = run.path / config_name
    before = [path for path in run.configs() if path != mine]
    if report.started or not before:
        return ""
    try:
        if before[-1].read_bytes() == mine.read_bytes():
            return ""
    except OSError as error:
        _say(explain_os_error(error, f"reading {config_name}"))
        return ""
    if not _set_aside(run, config_name):
        return ""
    return f". What was changed for this resume is in refused-{config_name} and counts no more"


def _set_aside(run: RunDir, config_name: str) -> bool:
    """Takes a configuration from those that count; returns whether that was possible."""
    try:
        os.replace(run.path / config_name, run.path / f"refused-{config_name}")
    except OSError as error:
        _say(explain_os_error(error, f"setting {config_name} aside"))
        return False
    return True


def _let_go(error: BaseException | None) -> None:
    """Frees what the frames of a failure hold, such as a step's tensors: words need memory too."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


def _choose_devices(
    run: RunDir, record: ProcessRecord, launch: LaunchConfig, report: Report
) -> str:
    """Shows CUDA the GPUs that the run takes alone, and others that they are taken.

    Returns:
        In words which they are, and why.

    Raises:
        UsageError: They are not there, or not free.
    """
    chosen = gpus.choose(launch, run.path.parent)
    record.devices = [gpu.uuid for gpu in chosen.gpus]
    _tell(run, record)
    if not chosen.gpus:
        return ""
    report.gpus = [gpu.index for gpu in chosen.gpus]
    os.environ[gpus.VISIBLE] = chosen.visible  # before torch looks, and for the other ranks
    if chosen.busy:
        report.warn(
            "gpu_shared",
            "others compute on a GPU of this run: " + "; ".join(gpu.words for gpu in chosen.busy),
            "expect slower steps and less memory; launch.device_ids names other GPUs",
        )
    names = ", ".join(f"GPU {gpu.index} {gpu.name}" for gpu in chosen.gpus)
    why = "named in launch.device_ids" if launch.device_ids else f"freest of {chosen.of}"
    return f"{names}: {why}"


def _finish(report: Report, steering: Steering, step: int) -> None:
    stopped = steering.stopping
    steering.refuse_waiting(
        f"the run was {steering.end_word} first" if stopped else "the run ended first"
    )
    if steering.end is not None:
        steering.done(steering.end)
    report.emit(
        events.RunFinished(
            status=steering.end_word if stopped else "finished",
            reason=steering.ended_by if stopped else None,
            step=step,
            elapsed_s=report.elapsed_s,
        )
    )


def _fail(report: Report, steering: Steering, reason: str, remedy: str) -> None:
    end = events.RunFinished(
        status="failed",
        reason=reason,
        remedy=remedy,
        step=report.step,
        elapsed_s=report.elapsed_s,
    )
    _try(lambda: steering.refuse_all(reason))
    report.emit(end)


def _try(action: Callable[[], object]) -> None:
    """Answers what can be answered; a full disk meets the run's last event all the same."""
    try:
        action()
    except DiskFull as error:
        _say(error)


def _say(error: SftError) -> None:
    print(f"{error}. {error.remedy}", file=sys.stderr)


def _versions() -> dict[str, str]:
    found: dict[str, str] = {}
    for name in ("sft-tui", *_PACKAGES):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


if __name__ == "__main__":
    leave(main(sys.argv[1:]))
