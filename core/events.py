"""What the trainer tells: the events of `events.jsonl` and their codec.

Every line is one JSON object with `type`, `t` (seconds since the epoch) and `v` (protocol
version). A reader ignores kinds and fields that it does not know. JSON has no NaN, so a
non-finite number is written as the string "NaN", "Infinity" or "-Infinity".
"""

import math
from typing import Annotated, Any, ClassVar, cast

import msgspec
from msgspec import Meta

VERSION = 1
RUN_PHASES = (
    "downloading",
    "loading_model",
    "preparing_data",
    "compiling",
    "training",
    "evaluating",
    "sampling",
    "saving",
)

LARGEST = 1e100
Real = Annotated[float, Meta(ge=-LARGEST, le=LARGEST)]
"""A number whose sums and differences stay finite."""

Seconds = Annotated[float, Meta(ge=0, le=1e9)]

Number = float | Annotated[str, Meta(pattern="^(NaN|-?Infinity)$")] | None
"""A number as it stands on the line: None when unknown, a word when not finite. What `decode`
returns has a float in place of the word, and `bounded` numbers."""

Count = Annotated[int, Meta(ge=0, le=2**53)]
"""A whole number that every reader of JSON holds exactly."""


class Event(msgspec.Struct, kw_only=True, tag_field="type"):
    """Base of all events."""

    t: Annotated[float, Meta(ge=0, le=1e11)] = 0.0
    v: Count = VERSION
    numbers: ClassVar[tuple[str, ...]] = ()


FOR_SPEED = ("attention", "packing", "prefixes", "fused LoRA", "logits", "compile")


class RunStarted(Event, tag="run_started"):
    """The configuration is resolved and training is about to begin or go on."""

    run_id: str
    resumed_from_step: Count | None = None
    total_steps: Count | None = None
    epochs: Count | None = None
    train_rows: Count | None = None
    eval_rows: Count | None = None
    eval_hash: str | None = None
    data_hash: str | None = None
    trainable_params: Count | None = None
    total_params: Count | None = None
    world_size: Count = 1
    device: str = ""
    gpus: list[Count] = []
    """The numbers of the GPUs that it computes on, as in `system`; empty where not known."""
    dtype: str = ""
    attention: str = ""
    choices: dict[str, str] = {}
    peak_flops: Real | None = None
    versions: dict[str, str] = {}

    @property
    def for_speed(self) -> list[tuple[str, str]]:
        """What the trainer chose to be faster by itself, and why: by names of `choices`."""
        return [(name, self.choices[name]) for name in FOR_SPEED if name in self.choices]


class Phase(Event, tag="phase"):
    """What the trainer is doing; it lasts until the next phase. `done` of `total` `unit`."""

    name: str
    done: Count | None = None
    total: Count | None = None
    unit: str | None = None


class Step(Event, tag="step", gc=False):
    """One optimizer step. Tokens exclude padding except `computed_tokens`, which includes it.

    What the line does not tell, as those of another version may, is None: unknown, never zero.
    `loss` is the mean over `supervised_tokens`; `memory_bytes` is the peak on the device since
    the start (on a CPU the resident set); times are seconds.
    """

    step: Count
    epoch: Real | None = None
    loss: Number = None
    learning_rate: Real | None = None
    grad_norm: Number = None
    clipped: bool | None = None
    supervised_tokens: Count | None = None
    tokens: Count | None = None
    computed_tokens: Count | None = None
    tokens_per_s: Real | None = None
    step_s: Seconds | None = None
    data_wait_s: Seconds | None = None
    padding_share: Real | None = None
    shared_share: Real | None = None
    memory_bytes: Count | None = None
    mfu: Real | None = None
    elapsed_s: Seconds | None = None
    numbers: ClassVar[tuple[str, ...]] = ("loss", "grad_norm")


class Eval(Event, tag="eval"):
    """The evaluation loss after `step` steps: the mean over all supervised tokens."""

    step: Count
    loss: Number = None
    perplexity: Number = None
    rows: Count | None = None
    elapsed_s: Seconds | None = None
    numbers: ClassVar[tuple[str, ...]] = ("loss", "perplexity")


class Sample(Event, tag="sample"):
    """The greedy answer to a fixed prompt; `finished` when it stopped by itself at EOS.

    `expected` is the row's own answer, so that the two can stand side by side.
    """

    step: Count
    prompt_id: Count
    prompt: str
    text: str
    finished: bool
    expected: str | None = None


class Heartbeat(Event, tag="heartbeat"):
    """Sign of life every 10 s; `progress` is a counter that only the main thread moves."""

    progress: Count
    step: Count


class Gpu(msgspec.Struct, kw_only=True):
    """One GPU at one moment; None is unknown, never zero."""

    index: Count
    name: str
    utilisation: Real | None = None
    memory_used_bytes: Count | None = None
    memory_total_bytes: Count | None = None
    temperature_c: Real | None = None
    power_w: Real | None = None
    power_limit_w: Real | None = None
    throttled: bool | None = None


class System(Event, tag="system"):
    """The host and its GPUs at one moment; `cpu` is the share of all cores in use."""

    host: str
    gpus: list[Gpu] = []
    cpu: Real | None = None
    memory_used_bytes: Count | None = None
    process_memory_bytes: Count | None = None
    disk_free_bytes: Count | None = None


class Checkpoint(Event, tag="checkpoint"):
    """A complete checkpoint; `path` is relative to the run directory."""

    step: Count
    path: str
    bytes: Count
    elapsed_s: Seconds


class Warning_(Event, tag="warning"):
    """Something the user should know, with its remedy."""

    code: str
    message: str
    remedy: str = ""
    step: Count | None = None
    row: Count | None = None


class Control(Event, tag="control"):
    """The answer to a command: `accepted`, then `done`, `refused` or `expired`.

    `key` names what `set` and `extend` change; it holds from the step after `step` on. `new` is
    also the loss of an evaluation that was asked for.
    """

    numbers = ("old", "new")
    id: str
    command: str
    by: str
    outcome: str
    key: str | None = None
    old: Number = None
    new: Number = None
    step: Count | None = None
    reason: str | None = None


class RunFinished(Event, tag="run_finished"):
    """The end of one start: `finished`, `stopped`, `paused` or `failed`."""

    status: str
    reason: str | None = None
    remedy: str | None = None
    step: Count | None = None
    elapsed_s: Seconds | None = None


AnyEvent = (
    RunStarted
    | Phase
    | Step
    | Eval
    | Sample
    | Heartbeat
    | System
    | Checkpoint
    | Warning_
    | Control
    | RunFinished
)
_KINDS: dict[str, type[Event]] = {
    str(kind.__struct_config__.tag): kind for kind in AnyEvent.__args__
}
_DECODERS = {name.encode(): msgspec.json.Decoder(kind) for name, kind in _KINDS.items()}
_ANY: msgspec.json.Decoder[AnyEvent] = msgspec.json.Decoder(AnyEvent)
_PREFIX = b'{"type":"'


def encode(event: Event) -> bytes:
    """Returns `event` as one line of JSON with its newline."""
    raw = msgspec.to_builtins(event)
    return msgspec.json.encode(spell_non_finite(raw)) + b"\n"


def decode(line: bytes) -> Event | None:
    """Decodes one line.

    Returns:
        The event, or None for a kind that this version does not know.

    Raises:
        ValueError: The line is not a JSON object, or a known kind lacks what it must have.
    """
    try:
        if line.startswith(_PREFIX):  # how our writer begins a line: one decoding, no dict
            known = _DECODERS.get(line[len(_PREFIX) : line.find(b'"', len(_PREFIX))])
            if known is not None:
                return _with_floats(known.decode(line))
        raw = msgspec.json.decode(line, type=dict[str, Any])
        kind = _KINDS.get(str(raw.get("type", "")))
        return None if kind is None else _with_floats(msgspec.convert(raw, kind))
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError(str(error)) from error


def decode_all(block: bytes) -> tuple[list[Event], int]:
    """Decodes lines that follow each other, faster than one by one.

    Returns:
        The events of the kinds that this version knows, and how many lines could not be decoded.
        Steps may have words for their numbers that are not finite: `Steps` takes them as they are.
    """
    try:
        found = cast(list[Event], _ANY.decode_lines(block))
    except (msgspec.MsgspecError, RecursionError):
        return _one_by_one(block.split(b"\n"))  # a damaged line, or a kind that is not known
    for event in found:
        if event.__class__ is not Step:
            _with_floats(event)
    return found, 0


def _one_by_one(lines: list[bytes]) -> tuple[list[Event], int]:
    events: list[Event] = []
    unreadable = 0
    for line in filter(bytes.strip, lines):
        try:
            event = decode(line)
        except ValueError:
            unreadable += 1
            continue
        if event is not None:
            events.append(event)
    return events, unreadable


def _with_floats(event: Event) -> Event:
    """Returns an event after words for numbers that are not finite were made these numbers."""
    for name in event.numbers:
        value = getattr(event, name)
        if value is not None:
            setattr(event, name, bounded(float(value)))
    return event


def bounded(value: float) -> float:
    """Returns a number, or the infinite of its sign for one too large to calculate with."""
    return math.copysign(math.inf, value) if abs(value) > LARGEST else value


def spell_non_finite(value: Any) -> Any:
    """Returns plain data with every number that JSON cannot hold spelled as a string."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        items = cast(dict[str, Any], value).items()
        return {key: spell_non_finite(item) for key, item in items}
    if isinstance(value, list):
        return [spell_non_finite(item) for item in cast(list[Any], value)]
    return value
