"""What a configuration does: size, memory, steps, disk, time.

Light, for those who ask: what reads models (0.2 s) is imported by the one who answers.
"""

import msgspec

from ..config import RunConfig
from .calls import Tell
from .protocol import Failure


class Rows(msgspec.Struct, frozen=True):
    """What a pass over all rows found: how many are trained in an epoch, and their tokens."""

    train: int
    tokens: int
    longest: int
    """Tokens of the longest row, before anything is cut."""
    trained_share: float | None = None


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Asks for the effects of a configuration.

    `has_model` is False where nobody chose one; `rows` is None while nobody counted them.
    """

    config: RunConfig
    has_model: bool = True
    rows: Rows | None = None
    runs_folder: str | None = None
    """Folder of the runs; None is the platform's."""


class Kind(msgspec.Struct, frozen=True):
    """Linear layers that share the last part of their name, such as q_proj."""

    name: str
    layers: int


class Adapter(msgspec.Struct, frozen=True):
    """What gets an adapter and how large it is; `parameters` is None where they are packed."""

    kinds: list[Kind]
    trainable: int
    parameters: int | None

    @property
    def layers(self) -> int:
        """Layers that get an adapter."""
        return sum(kind.layers for kind in self.kinds)

    @property
    def share(self) -> float | None:
        """Trained parameters as a share of the base model's."""
        return self.trainable / self.parameters if self.parameters else None


class Memory(msgspec.Struct, frozen=True):
    """The estimated need of the largest step, in bytes; `low` and `high` bound it."""

    parts: dict[str, int]
    total: int
    low: int
    high: int
    rows_tokens: int
    """Tokens of the longest row: of the data where it was read, else `data.max_length`."""


class Fit(msgspec.Struct, frozen=True, kw_only=True):
    """Whether it fits one device: `word` is fits, tight, over or unknown.

    `instead` says what would fit, `settable` whether all of that can be set today.
    """

    device: str
    capacity: int | None
    word: str
    share: float | None = None
    why: str = ""
    instead: str = ""
    instead_total: int | None = None
    overrides: dict[str, str] = {}
    settable: bool = False


class Disk(msgspec.Struct, frozen=True):
    """What a run leaves on the disk, in bytes; None is unknown."""

    checkpoint: int
    kept: int
    """Checkpoints that lie there at the same time, at the most."""
    result: int
    free: int | None

    @property
    def total(self) -> int:
        """All checkpoints and the adapter."""
        return self.checkpoint * self.kept + self.result


class Speed(msgspec.Struct, frozen=True):
    """Useful tokens per second, as a run with this model and precision reached them."""

    tokens_per_s: float
    run: str


class Effects(msgspec.Struct, frozen=True, kw_only=True):
    """What a configuration does. A part that is None is unknown.

    `failure` says why the model's facts are not known; `adapter_failure` why, though they are,
    no adapter can be made of the patterns. Both leave memory and disk unknown.
    """

    rows_per_step: int
    failure: Failure | None = None
    adapter: Adapter | None = None
    adapter_failure: Failure | None = None
    memory: Memory | None = None
    fits: list[Fit] = []
    """One for each device that the run could use; never empty where there is a model."""
    steps: int | None = None
    steps_per_epoch: int | None = None
    disk: Disk | None = None
    speed: Speed | None = None
    epoch_s: float | None = None
    """Seconds of training for an epoch, evaluations and checkpoints left out."""
    context: int | None = None
    """Tokens of the longest row that the model was made for."""

    @property
    def total_s(self) -> float | None:
        """Seconds of training for all steps."""
        if self.epoch_s is None or not self.steps or not self.steps_per_epoch:
            return None
        return self.epoch_s * self.steps / self.steps_per_epoch


def effects(asked: Wanted, tell: Tell) -> Effects:
    """Answers from the headers of the model's files, the machine, and earlier runs."""
    from ..effects import effects_of

    return effects_of(asked, tell)
