"""The trainer process: `python -P -m sft_tui.core.training RUN_DIRECTORY CONFIG_NAME`.

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
from ..config import LaunchConfig
from ..errors import DiskFull, RunBusy, SftError
from ..launch import EXIT_BUSY
from ..process import this_process
from ..rundir import RunDir, explain_os_error, locked, write_atomic
from .crew import LESS_MEMORY, Crew, leave
from .report import Report
from .steering import Steering

_PACKAGES = ("torch", "transformers", "peft", "accelerate")


def main(argv: list[str]) -> int:
    """Runs the trainer; returns 0 when it finished or stopped, 1 when it failed."""
    run = RunDir(Path(argv[0]))
    config_name = argv[1]
    try:
        with locked(run):
            record = this_process("local", sys.argv, _versions())
            record.config = config_name
            write_atomic(run.process, msgspec.json.encode(record))
            with Report(run) as report:
                return _train(run, config_name, report)
    except RunBusy as error:
        _say(error)
        return EXIT_BUSY
    except OSError as error:
        _say(explain_os_error(error, "writing into the run folder"))
        return 1
    except DiskFull as error:  # not even the end could be written
        _say(error)
        return 1


def _train(run: RunDir, config_name: str, report: Report) -> int:
    """Trains and tells the end, whatever it is."""
    report.phase("loading_model")
    report.start_heartbeat()
    steering = Steering(run, report)
    steering.catch_signals()
    try:
        # Before the seconds that imports take: a stop asked meanwhile is not an old one.
        steering.expire_old()
        config = config_file.load(run.path / config_name)
        devices = _choose_devices(config.launch, report)

        def failed(error: SftError) -> None:
            _fail(report, steering, str(error), error.remedy)

        with Crew(run, config_name, config.launch.ranks, devices, failed) as place:
            # torch and transformers: seconds, so only after the first event was written.
            from . import recipe

            step = recipe.run_training(run, config, report, steering, place)
    except SftError as error:
        traceback.print_exc()
        _fail(report, steering, str(error), error.remedy)
        return 1
    except MemoryError as error:
        traceback.print_exc()
        _fail(report, steering, f"out of memory: {error}", LESS_MEMORY)
        return 1
    except Exception as error:
        traceback.print_exc()
        _fail(report, steering, *_explain(error, run))
        return 1
    _finish(report, steering, step)
    return 0


def _choose_devices(launch: LaunchConfig, report: Report) -> str:
    """Shows CUDA the GPUs that the run takes alone; returns in words which and why.

    Raises:
        UsageError: They are not there, or not free.
    """
    chosen = gpus.choose(launch)
    if not chosen.gpus:
        return ""
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


def _explain(error: Exception, run: RunDir) -> tuple[str, str]:
    """Returns (reason, remedy) of a failure that nothing foresaw."""
    if type(error).__name__ == "OutOfMemoryError":  # torch's, which may not be imported yet
        return f"out of memory: {error}", LESS_MEMORY
    if isinstance(error, OSError) and error.errno is not None:
        explained = explain_os_error(error, "training")
        return str(explained), explained.remedy
    return f"{type(error).__name__}: {error}", f"the traceback is in {run.log}"


def _finish(report: Report, steering: Steering, step: int) -> None:
    stopped = steering.stopping
    for command in (*steering.checkpoints, *steering.learning_rates):
        steering.refuse(command, "the run ended first")
    if steering.stop is not None:
        steering.done(steering.stop)
    report.emit(
        events.RunFinished(
            status="stopped" if stopped else "finished",
            reason=steering.stopped_by if stopped else None,
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
    _try(lambda: steering.refuse_open(reason))
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
