"""Measures the memory and the time of a run's largest step: two real ones, and nothing is kept.

Usage: python -P -m sft_tui.core.training.measure CONFIG.yaml. Prints one JSON line: `Measured` of
`core/measurement.py`, or what failed, why and what to do. Model, data, adapters and steps are
those of the trainer; only the choice of rows is this module's.
"""

import os
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec

from .. import config_file
from ..config import RunConfig
from ..data.plan import BatchPlan, largest
from ..demo import converted_folder
from ..errors import SftError
from ..measurement import Measured
from ..rundir import RunDir
from ..text import one_line
from .imports import leave_out_unused, quick_imports
from .report import Report
from .steering import Steering

_STATUS = Path("/proc/self/status")
_CLEAR_REFS = Path("/proc/self/clear_refs")


class _Repeated(BatchPlan):
    """Every step trains one micro-batch, as often as tells what a step needs.

    Twice is enough to have gradients of the one before while the next is computed.
    """

    def __init__(self, plan: BatchPlan, micro_batch: list[int], accumulation: int) -> None:
        super().__init__(plan.rows, plan.micro_batch_size, accumulation, seed=0, shuffle=False)
        self.packing = plan.packing
        self.micro_batch = micro_batch
        self.count = min(accumulation, 2)

    def micro_batches(self, step: int) -> list[list[int]]:
        """Returns the same micro-batches for every step."""
        return [self.micro_batch] * self.count


class _BeforeTheModel(Report):
    """Notes the process's memory when the trainer says that it begins to load the model."""

    baseline_bytes = 0

    def phase(
        self, name: str, done: int | None = None, total: int | None = None, unit: str | None = None
    ) -> None:
        """Takes a phase as the trainer tells it."""
        super().phase(name, done, total, unit)
        if name == "loading_model":
            self.baseline_bytes = _resident_bytes()
            _forget_peak()


def measure(config: RunConfig) -> Measured:
    """Sets the run up as the trainer does and takes two steps on its largest micro-batch.

    Raises:
        SftError: What the trainer would refuse as well.
    """
    with quick_imports():  # torch and transformers: seconds
        from . import recipe

    with tempfile.TemporaryDirectory(prefix="sft-tui-measure-") as place:
        run = RunDir(Path(place))  # where the trainer's events go, until the end of this block
        report = _BeforeTheModel(run)
        with report:
            loop = recipe.set_up(run, config, report, Steering(run, report))
            ids = [row.input_ids for row in loop.data.train]
            biggest = largest(loop.plan, ids, loop.course.total_steps)
            plan = _Repeated(loop.plan, biggest, config.train.gradient_accumulation)
            loop.plan = plan
            loading = _peak_bytes(loop.device)
            for step in (1, 2):
                began = time.perf_counter()
                loop.take_step(step)
                seconds = time.perf_counter() - began
    device = loop.device
    chosen = [loop.data.train[index] for index in biggest]
    lengths = [len(row.input_ids) for row in chosen]
    how = plan.packing
    computed = how.computed([row.input_ids for row in chosen])
    return Measured(
        device=device.type,
        peak_bytes=_peak_bytes(device),
        baseline_bytes=0 if device.type == "cuda" else report.baseline_bytes,
        loading_peak_bytes=loading,
        step_s=seconds / plan.count * config.train.gradient_accumulation,
        rows=len(chosen),
        longest_tokens=max(lengths),
        computed_tokens=computed,
        supervised_tokens=min(sum(row.trained for row in chosen), computed),
        padded=not how.pack and min(lengths) < max(lengths),
        packed=how.pack,
    )


def _peak_bytes(device: Any) -> int:
    """Returns the most memory used so far: of the device, or of this process on the CPU."""
    if device.type == "cuda":
        import torch  # loaded long since

        return torch.cuda.max_memory_allocated(device)
    if _STATUS.exists():
        return _status_bytes("VmHWM")
    unit = 1 if sys.platform == "darwin" else 1024  # getrusage(2): bytes there, KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _resident_bytes() -> int:
    import psutil

    return psutil.Process().memory_info().rss


def _status_bytes(key: str) -> int:
    """Reads one of the figures of proc_pid_status(5), which are in KiB."""
    for line in _STATUS.read_text().splitlines():
        name, _, value = line.partition(":")
        if name == key:
            return int(value.split()[0]) * 1024
    raise OSError(f"{_STATUS} has no {key}")


def _forget_peak() -> None:
    """Lets VmHWM begin anew: proc_pid_clear_refs(5), value 5; elsewhere the peak is all-time."""
    try:
        _CLEAR_REFS.write_text("5")
    except OSError:
        pass


def main(arguments: list[str]) -> int:
    """Measures the configuration that is named and prints the outcome as one line of JSON."""
    try:
        config = config_file.load(Path(arguments[0]))
        if config.model.name == "demo" and not converted_folder().exists():
            _convert(config)
            # What converting left in the heap would count: begin again in a fresh process.
            os.execv(sys.executable, [sys.executable, "-P", "-m", __spec__.name, *arguments])
        leave_out_unused(config)
        measured = measure(config)
    except SftError as error:
        return _refuse(error)
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and "memory" not in str(error):
            raise  # torch tells what it could not allocate in a RuntimeError
        return _refuse(
            SftError(
                "the run does not fit this machine",
                f"out of memory: {one_line(str(error), 200)}",
                "lower train.micro_batch_size or data.max_length",
            )
        )
    print(_json(measured))
    return 0


def _refuse(error: SftError) -> int:
    print(_json({"error": error.what, "why": error.why, "remedy": error.remedy}))
    return error.exit_code


def _convert(config: RunConfig) -> None:
    from .locate import locate
    from .tokenizer_helper import Quiet  # its report that tells nothing

    locate(config.model, Quiet())


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
