"""Why a run failed that nothing foresaw, and what to do about it: in words, with amounts."""

import errno
import re
import resource
import sys
from pathlib import Path
from typing import Any

from ..config import RunConfig
from ..errors import SftError
from ..fit import Estimate, Kind, estimate
from ..model_facts import facts_of
from ..rundir import RunDir, explain_os_error
from ..status import with_room
from ..text import one_line
from ..verdict import ways_out
from .report import Report

_OUT_OF_MEMORY = re.compile(r"out of memory|can't allocate memory|bad_alloc|os error 12\b", re.I)
# Of the loader of extensions. Its static TLS block is no matter of memory, nor is `noexec`.
_NOT_MAPPED = re.compile(
    r"failed to map segment(?!.*not permitted)|cannot allocate memory(?! in static TLS)", re.I
)
_ASKED = re.compile(r"[Tt]ried to allocate (?P<amount>[\d.]+) (?P<unit>bytes|[KMGT]iB)")
_UNITS = {"bytes": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}


def explain(
    error: Exception, run: RunDir, config: RunConfig | None, report: Report
) -> tuple[str, str]:
    """Returns (reason, remedy) of a failure.

    Args:
        error: What ended the run.
        run: Its folder.
        config: What was trained; None where it could not be read.
        report: Knows how far the run had come.
    """
    if isinstance(error, SftError):
        return str(error), error.remedy
    if is_out_of_memory(error):
        return _out_of_memory(error, run, config, report)
    if isinstance(error, ImportError):
        missing = _package(error)
        return (
            f"the package {missing or 'of an import'} cannot be used: {one_line(str(error), 200)}",
            f"install it for the Python that trains, `{sys.executable} -m pip install "
            f"{missing or 'sft-tui'}`; `sft-tui doctor` tells what is missing, and {run.log} more",
        )
    if isinstance(error, OSError) and error.errno is not None:
        explained = explain_os_error(error, "training", when_full=with_room(run))
        return str(explained), explained.remedy
    said = one_line(f"{type(error).__name__}: {error}", 400)
    return said, f"the traceback is in {run.log}"


def _package(error: ImportError) -> str:
    """Returns which package could not be imported; "" where that is not known.

    An extension is told by its own name alone: the folders of its file say whose it is.
    """
    file = Path(error.path or "")
    if file.suffix in (".so", ".pyd"):
        packages = [at.name for at in file.parents if (at / "__init__.py").is_file()]
        return packages[-1] if packages else ""
    package = (error.name or "").partition(".")[0]
    return "" if package.startswith("_") else package


def is_out_of_memory(error: BaseException) -> bool:
    """Returns whether memory could not be had: torch tells it in words on the CPU."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    if isinstance(error, ImportError):
        return bool(_NOT_MAPPED.search(str(error)))
    return isinstance(error, RuntimeError) and bool(_OUT_OF_MEMORY.search(str(error)))


def diverged(run: RunDir, config: RunConfig, model: Any, step: int, good: int | None) -> SftError:
    """Returns the message for loss or gradients that stay not finite.

    Args:
        run: The run.
        config: Its configuration.
        model: As it is now: steps that are not finite change no weight.
        step: The first such step.
        good: The newest checkpoint whose weights still gave a finite step, 0 where there is none;
            None where no step was finite, so that none changed a weight.
    """
    untouched = [(n, p) for n, p in model.named_parameters() if good is None or not p.requires_grad]
    broken = [name for name, weight in untouched if not weight.isfinite().all()]
    if broken:
        return SftError(
            f"the model's weights are not finite: {one_line(broken[0], 200)} holds NaN or infinity",
            f"so is the loss of step {step} and of all after it",
            "the files of the base are broken: download or convert it again, or choose another",
        )
    exact = config.train.precision == "fp32"
    if good is None:
        base = "look at the files of the base and at the data, or choose another base"
        return SftError(
            "no step was finite",
            f"loss or gradient are not finite since step {step}, with the weights as they were "
            "loaded, so no learning rate is to blame; no checkpoint before it is good",
            base
            if exact
            else f"`sft-tui resume {run.id} --set train.precision=fp32` computes in "
            f"what does not overflow; if that fails too, {base}",
        )
    rate = config.optim.learning_rate
    worse = [path.name for number, path in run.complete_checkpoints() if number > good]
    back = f"checkpoint {good} is the last good one" if good else "no checkpoint before it is good"
    first = f"remove checkpoints/{', '.join(worse)}, then " if worse else ""
    precise = "" if exact else "; or set train.precision to fp32"
    return SftError(
        f"training diverged at step {step}",
        f"loss or gradient were not finite in this and all steps after it; {back}",
        f"{first}`sft-tui resume {run.id} --set optim.learning_rate={rate / 10:.2g}` goes on from "
        f"step {good} with a tenth of the rate{precise}",
    )


def _out_of_memory(
    error: Exception, run: RunDir, config: RunConfig | None, report: Report
) -> tuple[str, str]:
    asked = _asked_bytes(error)
    used, device = _used_bytes()
    if isinstance(error, ImportError):
        return (
            f"out of memory while importing what trains, beside {_size(used)} in use: "
            f"{one_line(str(error), 200)}",
            "no setting makes this smaller: free memory on this machine, or raise the limit of "
            "the shell that starts the run (`ulimit -v` tells it)",
        )
    amount = f"{_size(asked)} more were asked for" if asked else "more was asked for"
    when = f"in step {report.step + 1}" if report.longest_row else "before the first step"
    reason = f"out of memory {when}: {amount}, beside {_size(used)} in use at most on {device}"
    guess = _estimate(config, report, on_cpu=device == "the CPU") if config is not None else None
    if guess is None:
        return reason, (
            "lower train.micro_batch_size and raise train.gradient_accumulation by the same "
            "factor, set train.gradient_checkpointing to true, or lower data.max_length"
        )
    # What was had, as a share of what is needed: by estimate, or more where that is known.
    ways = ways_out(guess.basis, used / max(used + asked, guess.total))
    if not ways:
        return reason, (
            "no smaller micro-batch, shorter row or gradient checkpointing is estimated to be "
            "enough: choose a smaller model, or a machine with more memory"
        )
    *most, last = [way.sentence for way in ways]
    sets = " ".join(f"--set {key}={value}" for key, value in ways[0].overrides.items())
    return reason, (
        f"by estimate these fit: {', '.join(most)}{', or ' if most else ''}{last}; "
        f"`sft-tui resume {run.id} {sets}`"
    )


def _asked_bytes(error: Exception) -> int:
    """Returns the size of the allocation that failed; 0 where the error does not tell."""
    found = _ASKED.search(str(error))
    return round(float(found["amount"]) * _UNITS[found["unit"]]) if found else 0


def _used_bytes() -> tuple[int, str]:
    """Returns the most that was had, and of which device: a GPU's where torch trains on one."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        return int(torch.cuda.max_memory_reserved()) or 1, "the GPU"
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit, "the CPU"


def _estimate(config: RunConfig, report: Report, *, on_cpu: bool) -> Estimate | None:
    """Returns what the run is estimated to need; None where its model cannot be read."""
    kind: Kind = "full" if config.method.kind == "full" else "lora"
    if config.model.quantisation == "nf4":
        kind = "qlora"
    try:
        guess = estimate(
            facts_of(config.model),
            config,
            kind=kind,
            device="cpu" if on_cpu else "cuda",
            rows_tokens=report.longest_row,
            checkpointing=config.train.gradient_checkpointing,
        )
    except (SftError, MemoryError) as error:
        print(f"no estimate of what would fit: {error}", file=sys.stderr)
        return None
    return None if guess.unknown else guess


def _size(count: int) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 1 << 30 else f"{count / 2**20:.0f} MiB"
