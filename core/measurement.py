"""Has a run's largest step measured in a process of its own, which the trainer's code runs in."""

import json
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import msgspec

from . import config_file
from .config import RunConfig
from .errors import SftError
from .fields import as_map
from .launch import trainer_environment
from .text import one_line


class Measured(msgspec.Struct, frozen=True):
    """What two steps on the micro-batch that computes most took. Memory is in bytes.

    On the CPU `peak_bytes` is the whole process at its largest, from loading the model on, and
    `baseline_bytes` what it held before: Python, torch, the tokenizer, the rows. On CUDA it is
    what torch allocated on the device, and the baseline is 0.
    """

    device: str
    peak_bytes: int
    baseline_bytes: int
    loading_peak_bytes: int
    """The peak before the first step."""
    step_s: float
    """Seconds of the second step, for all micro-batches that a step has."""
    rows: int
    longest_tokens: int
    """Tokens of the longest row, to which the others are padded where they are not packed."""
    computed_tokens: int
    """Positions that go through the model."""
    supervised_tokens: int
    """Those whose next token is trained."""
    padded: bool
    packed: bool

    @property
    def above_baseline_bytes(self) -> int:
        """What the model and its steps added."""
        return self.peak_bytes - self.baseline_bytes


def measure(config: RunConfig) -> Measured:
    """Takes two steps of a configuration in a child process with the trainer's environment.

    Raises:
        SftError: What the trainer would refuse as well, or the child ended without an answer.
    """
    with tempfile.TemporaryDirectory(prefix="sft-tui-measure-") as place:
        path = Path(place) / "config.yaml"
        path.write_text(config_file.to_yaml(config), encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "-P", "-m", "sft_tui.core.training.measure", str(path)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            env=trainer_environment(config),
            check=False,
        )
    answer = _answer(done.stdout)
    if "error" in answer:
        raise SftError(*(one_line(str(answer.get(key))) for key in ("error", "why", "remedy")))
    try:
        return msgspec.convert(answer, Measured)
    except msgspec.ValidationError as error:
        raise _without_answer(done) from error


def _answer(text: str) -> dict[str, Any]:
    """Returns the JSON object of the last line; libraries may have printed before it."""
    for line in reversed(text.splitlines()):
        try:
            return as_map(json.loads(line))
        except ValueError:
            continue
    return {}


def _without_answer(done: subprocess.CompletedProcess[str]) -> SftError:
    if done.returncode == -signal.SIGKILL:
        return SftError(
            "the run could not be measured",
            "the system killed the process, most likely because memory ran out",
            "lower train.micro_batch_size or data.max_length",
        )
    last = [line for line in done.stderr.splitlines() if line.strip()][-1:]
    return SftError(
        "the run could not be measured",
        one_line(last[0] if last else f"the process ended with {done.returncode}", 300),
        "train it, and read trainer.log",
    )
