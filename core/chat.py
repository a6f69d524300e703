"""Talking to a run's result: which weights answer, the memory that takes, and what is said.

The model is held by a process of its own, `python -P -m sft_tui.core.training.chat_helper`, which
speaks `sidecar.protocol`: `open` loads the weights, `ask` answers, and SIGINT stops an answer.
"""

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from . import export, gpus
from .config import LaunchConfig, RunConfig
from .errors import SftError
from .export import Chosen
from .fit import Device, estimate
from .hardware import memory_available_bytes
from .model_facts import ModelFacts, facts_of
from .rundir import RunDir, list_runs
from .status import status_of

HELPER = "sft_tui.core.training.chat_helper"
MAX_TOKENS = 256
"""Where an answer is cut, unless said otherwise."""
Stop = Literal["end", "length", "asked"]
"""Why an answer ended: its end token, the limit, or because it was asked to."""
STOPS: dict[Stop, str] = {"end": "end token", "length": "length !", "asked": "stopped by you"}


class Turn(msgspec.Struct, frozen=True):
    """What was asked, or answered; `role` is user or assistant."""

    role: Literal["user", "assistant"]
    content: str


class Opening(msgspec.Struct, frozen=True):
    """Asks the helper to load a run's weights.

    Attributes:
        run: The run's folder.
        chosen: The weights.
        base: Whether the base is to answer too: beside an adapter it costs nothing, beside a
            fully trained model it is loaded a second time.
        cpu: Whether to compute on the CPU, whatever the run did.
        gpu: The value of CUDA_VISIBLE_DEVICES; "" leaves it as it is.
    """

    run: str
    chosen: Chosen
    base: bool
    cpu: bool = False
    gpu: str = ""


class Opened(msgspec.Struct, frozen=True):
    """What is ready to answer."""

    template: str
    keeps_turns: bool
    """Whether a question may follow an answer; else each is asked alone."""
    base: bool
    device: str


class Question(msgspec.Struct, frozen=True):
    """Asks for the answer to the last of the turns; `base` is the model before training."""

    turns: list[Turn]
    base: bool = False
    max_tokens: int = MAX_TOKENS
    temperature: float = 0.0
    """Divides the logits before a token is drawn; 0 takes the likeliest."""


class Answer(msgspec.Struct, frozen=True):
    """An answer as a whole, why it ended, its tokens, and how long it took."""

    text: str
    stop: Stop
    tokens: int
    elapsed_s: float


def weights(run: RunDir, checkpoint: str | None) -> Chosen:
    """Returns the weights that answer: without a name those of the newest checkpoint.

    Where no checkpoint is left, that is the result.

    Raises:
        SftError: There are none.
    """
    if checkpoint is None and run.complete_checkpoints():
        checkpoint = "last"
    return export.choose(run, checkpoint)


@dataclass(frozen=True)
class Room:
    """The memory that answering takes, and what is free, in bytes; None where it is not known."""

    place: str
    """Whose memory, in words."""
    gpu: str
    """As `Opening.gpu`."""
    needs: int | None
    second: int
    """What the base takes beside weights that replaced it; 0 beside an adapter."""
    free: int | None
    unknown: str = ""
    """Why the need is not known."""

    def fits(self, *, base: bool) -> bool:
        """Returns whether it fits, as far as is known."""
        if self.needs is None or self.free is None:
            return True
        return self.needs + self.second * base <= self.free

    def lacks(self, *, base: bool) -> int:
        """Returns how many bytes more it needs than are free, as far as is known."""
        if self.needs is None or self.free is None:
            return 0
        return max(self.needs + self.second * base - self.free, 0)

    def words(self, *, base: bool) -> str:
        """Returns what it takes and what is free."""
        if self.needs is None:
            return f"how much memory it takes is not known ({self.unknown})"
        free = "how much is free is not known" if self.free is None else f"{_gib(self.free)} free"
        return f"takes ~{_gib(self.needs + self.second * base)}, {free} on {self.place}"


def room(config: RunConfig, *, cpu: bool = False, max_tokens: int = MAX_TOKENS) -> Room:
    """Estimates the memory that a run's model needs to answer, and looks what is free.

    Args:
        config: Of the run.
        cpu: Whether to compute on the CPU.
        max_tokens: Of the longest answer.

    Raises:
        SftError: The model's files are not there or cannot be read.
    """
    launch = LaunchConfig(accelerator="cpu" if cpu else config.launch.accelerator)
    chosen = gpus.choose(launch)
    (gpu,) = chosen.gpus or (None,)
    device: Device = "cuda" if gpu else "cpu"
    tokens = config.data.max_length + max_tokens
    alone = msgspec.structs.replace(config, launch=launch)
    facts = facts_of(config.model)
    guess = estimate(facts, alone, device=device, rows_tokens=tokens)
    free = gpu.total_bytes - gpu.used_bytes if gpu else memory_available_bytes()
    place = f"GPU {gpu.index}" if gpu else "this host"
    full = config.method.kind == "full"
    needs = guess.weights + guess.adapter + guess.runtime + _cache(facts, tokens, guess.basis.wide)
    return Room(
        place,
        chosen.visible,
        None if guess.unknown else needs,
        guess.weights * full,
        free,
        guess.unknown,
    )


def _cache(facts: ModelFacts, tokens: int, wide: int) -> int:
    """Returns the bytes of keys and values of a sequence, with its logits in fp32."""
    heads = facts.kv_heads or facts.heads or 0
    kept = 2 * (facts.layers or 0) * heads * (facts.head_dim or 0) * wide
    return tokens * kept + 4 * (facts.vocabulary or 0)


def refuse_without_room(found: Room, *, base: bool, training: Mapping[str, int | None]) -> None:
    """Refuses what does not fit.

    Args:
        found: What it takes and what is free.
        base: Whether the base is to answer too.
        training: As `at_work` tells: a pause is advised only where it would free enough.

    Raises:
        SftError: With what is needed, what is free, and what would free more.
    """
    if found.fits(base=base):
        return
    lacks = found.lacks(base=base)
    enough = [name for name, frees in training.items() if frees is None or frees >= lacks]
    ways = [f"pause {enough[0]} first" if enough else "end what holds memory there"]
    if base and found.fits(base=False):
        ways.insert(0, "ask without the base, which is a model of its own beside a full one")
    if found.gpu:
        ways.append("compute on the CPU (--device cpu)")
    raise SftError(
        f"there is not enough memory on {found.place}",
        f"loading the model {found.words(base=base)}",
        f"{', or '.join(ways)}; --force loads it all the same",
    )


def at_work(run: RunDir, folder: Path | None = None, gpu: str = "") -> dict[str, int | None]:
    """Returns the ids of runs that are being trained now, this one first where it is.

    Their steps wait for answers that the same device computes. With each stands how many bytes a
    pause of it would free: of the GPU with that id, or of the host's memory where there is none;
    None where that is not known.
    """
    runs = {each.path: each for each in (run, *list_runs(folder))}
    return {each.id: _held(each, gpu) for each in runs.values() if status_of(each).active}


def _held(run: RunDir, gpu: str) -> int | None:
    """Returns the bytes that the processes of a trainer hold of a GPU, or of this host."""
    import psutil  # 10 ms, only where a run is at work

    record = run.process_record()
    if record is None:
        return None
    if record.host != socket.gethostname():
        return 0
    if gpu:
        return None if record.devices is None or gpu in record.devices else 0
    try:
        trainer = psutil.Process(record.pid)
        return sum(each.memory_info().rss for each in (trainer, *trainer.children(recursive=True)))
    except psutil.Error:  # it ended meanwhile
        return None


def _gib(size: int) -> str:
    return f"{size / 2**30:.1f} GiB"
