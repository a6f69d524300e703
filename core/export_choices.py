"""What of a run can be exported, how large it becomes, and where to: for a screen to offer.

Looks at names and sizes of files alone.
"""

import os
import shutil
from pathlib import Path

import msgspec

from . import demo, gguf
from . import export as exports
from .config import RunConfig
from .errors import SftError
from .export import Base, Chosen
from .history import read_history
from .hub import local
from .rundir import RunDir

_BYTES_PER_WEIGHT = 2
"""Of a base that is not on this machine: most are stored in bf16."""


class Choice(msgspec.Struct, frozen=True):
    """Weights that can be exported.

    `argument` is what `--checkpoint` takes for them, None for the result; `loss` is that of the
    evaluation after their step, where there was one.
    """

    argument: str | None
    chosen: Chosen
    loss: float | None

    @property
    def name(self) -> str:
        """What it is called in a list."""
        return {None: "result", "best": "best", "last": "last"}.get(self.argument, "step")


class Offer(msgspec.Struct, frozen=True):
    """A run, and everything of it that can be exported."""

    run: RunDir
    config: RunConfig
    base: Base
    choices: list[Choice]
    parameters: int | None
    """Of the whole model, where the run told."""

    @property
    def full(self) -> bool:
        """Whether all weights were trained: then there is no adapter to choose."""
        return self.config.method.kind == "full"

    def size_bytes(self, choice: Choice, *, merge: bool) -> tuple[int | None, bool]:
        """Returns the size of the weights, None where it is not known, and whether it is exact."""
        if not merge:
            files = [Path(choice.chosen.folder, name) for name in choice.chosen.files]
            return sum(_size(path) for path in files), True
        folder = _base_folder(self.config.model.name, self.base)
        stored = sum(_size(path) for path in folder.glob("*.safetensors")) if folder else 0
        if stored:
            return stored, True
        known = self.parameters
        return (known * _BYTES_PER_WEIGHT, False) if known else (None, False)


def offer(run: RunDir) -> Offer:
    """Returns what of a run can be exported.

    Raises:
        SftError: Nothing; the message says why, and what to do.
    """
    config = exports.config_of(run)
    history = read_history(run.events)
    losses = {
        event.step: float(event.loss) for event in history.evals if isinstance(event.loss, float)
    }
    found: list[Choice] = []
    refused: SftError | None = None
    steps = [str(step) for step, _ in reversed(run.complete_checkpoints())]
    for argument in (None, "best", "last", *steps):
        try:
            chosen = exports.choose(run, argument)
        except SftError as error:
            refused = refused or error  # of the result: it says best what the run lacks
            continue
        found.append(Choice(argument, chosen, losses.get(chosen.step)))
    if not found:
        assert refused is not None  # without any choice the first one was refused
        raise refused
    started = history.started
    base = exports.base_of(config.model, started)
    return Offer(run, config, base, found, started.total_params if started else None)


def free_bytes(folder: Path) -> int | None:
    """Returns the space on the disk of a folder that need not be there yet; None if unknown."""
    for place in (folder, *folder.parents):
        try:
            return shutil.disk_usage(place).free
        except FileNotFoundError:
            continue
        except OSError:  # a share that is gone, or not ours to ask
            return None
    return None


def free_folder(run_id: str, *, merge: bool) -> Path:
    """Returns a folder for an export in which there is nothing yet."""
    first = Path.home() / "exports" / (run_id + ("-merged" if merge else ""))
    number, place = 1, first
    while place.exists():
        number += 1
        place = first.with_name(f"{first.name}-{number}")
    return place


def written(folder: Path) -> tuple[int, int]:
    """Returns how many files an export has, and their bytes."""
    sizes = [_size(path) for path in folder.iterdir()]
    return len(sizes), sum(sizes)


def _base_folder(name: str, base: Base) -> Path | None:
    if name == "demo":
        return demo.converted_folder()
    if gguf.is_gguf(name):
        return gguf.converted_folder(Path(name)) if Path(name).exists() else None
    return Path(name) if os.path.isabs(name) else local.snapshot(base.name, base.revision)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # removed meanwhile
        return 0
