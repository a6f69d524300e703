"""Answers with a run's weights, as samples during training are answered.

`core/chat.py` describes what is asked and told, `chat_helper.py` is the process. It ends with its
stdin, also in the middle of an answer, so it never outlives the one who asks.
"""

import os
import signal
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import torch
from peft import PeftModel, get_peft_model_state_dict, set_peft_model_state_dict
from safetensors import SafetensorError
from safetensors.torch import load_file
from transformers import StoppingCriteria, StoppingCriteriaList
from transformers.generation.streamers import BaseStreamer

from .. import export
from ..chat import Answer, Opened, Opening, Question
from ..config import LaunchConfig, RunConfig
from ..data.asking import Asking
from ..data.rows import Message
from ..errors import SftError
from ..gpus import VISIBLE
from ..history import read_history
from ..process import end_with_stdin
from ..rundir import RunDir
from ..sidecar.answering import serve
from ..sidecar.calls import Tell
from ..text import one_line
from . import checkpoint, samples
from .attention import SEGMENTS
from .crew import Place
from .failures import is_out_of_memory
from .fused_lora import fuse
from .locate import locate, pinned
from .method import attach
from .model import fingerprint, load_base
from .precision import Precision, base_precision
from .ranks import device_of
from .speed import FUSED, PACKING
from .tokenizer import load_tokenizer, tokenizer_facts


class _Told:
    """Tells the phases of loading in words; what training would warn of does not matter here."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell

    def phase(
        self, name: str, done: int | None = None, total: int | None = None, unit: str | None = None
    ) -> None:
        """Tells a phase, and how far it is."""
        amount = ""
        if total:
            part, whole = done or 0, total
            if unit == "bytes":
                part, whole, unit = part >> 20, whole >> 20, "MiB"
            amount = f" {part:,}/{whole:,} {unit or ''}".rstrip()
        self._tell(name.replace("_", " ") + amount)

    def warn(self, *args: Any, **kwargs: Any) -> None:
        """Tells nothing."""


class Session:
    """A run's model, once it was opened."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        """Ends the answer that is being given."""
        self._base: Any = None
        """The base, where it is a model of its own."""

    def open(self, asked: Opening, tell: Tell) -> Opened:
        """Loads what answers.

        Raises:
            SftError: It cannot be had, or not together.
        """
        if asked.gpu:
            os.environ[VISIBLE] = asked.gpu  # before torch looks for devices
        with _explained():
            return self._open(asked, _Told(tell))

    def _open(self, asked: Opening, told: Any) -> Opened:
        run = RunDir(Path(asked.run))
        config = export.config_of(run)
        started = read_history(run.events).started
        choices = started.choices if started else {}
        # First: a trainer at work removes its old checkpoints.
        tensors, state = _read(asked.chosen)
        launch = LaunchConfig(accelerator="cpu" if asked.cpu else config.launch.accelerator)
        device = device_of(launch, Place())
        source = locate(pinned(config.model, choices), told)
        self._tokenizer = load_tokenizer(source)
        facts = tokenizer_facts(self._tokenizer)
        backend = self._tokenizer.backend_tokenizer
        self._asking = Asking(config.data.sources[0], backend, facts, choices)
        told.phase("loading the base")
        base = load_base(source, config.model, base_precision(config), device)
        _refuse_another_base(base, config, state, asked)
        told.phase("putting what was trained in place")
        self._model = attach(base, config.method, told)
        try:
            checkpoint.put_weights(self._model, tensors)
        except (KeyError, RuntimeError) as error:
            raise SftError(
                f"the weights of step {asked.chosen.step} do not fit the run's model",
                one_line(str(error), 300),
                "choose another checkpoint",
            ) from error
        self._prepare(config, choices, device)
        if asked.base and not isinstance(self._model, PeftModel):
            told.phase("loading the base once more")
            self._base = load_base(source, config.model, base_precision(config), device)
            self._base.to(device)
            self._base.eval()
        self._precision = Precision(config, device)
        self._pad_id = facts.pad_id
        self._end_ids = samples.end_tokens(self._model, facts.eos_id)
        return Opened(self._asking.template, self._asking.keeps_turns, asked.base, device.type)

    def _prepare(self, config: RunConfig, choices: dict[str, str], device: torch.device) -> None:
        """Computes as the trainer did, to the last bit: else ties between tokens go otherwise."""
        model = self._model
        model.to(device).eval()
        if choices.get(FUSED, "").startswith("on"):
            fuse(model)
        if choices.get(PACKING, "").startswith("on"):
            inner: Any = model.get_base_model() if isinstance(model, PeftModel) else model
            inner.set_attn_implementation(SEGMENTS)
        if hasattr(model, "started_with"):
            kept = get_peft_model_state_dict(model, save_embedding_layers=False)
            self._trained = {name: tensor.clone() for name, tensor in kept.items()}

    def ask(self, asked: Question, tell: Tell) -> Answer:
        """Answers; what is told are pieces of the answer's text.

        Raises:
            SftError: The question does not fit the template, the context or the memory.
        """
        self.stop.clear()
        began = time.monotonic()
        ids = self._asking.ids([Message(turn.role, turn.content) for turn in asked.turns])
        most = self._room_for(ids, asked.max_tokens)
        stream = _Stream(self._tokenizer, tell)
        with _explained(), self._answering(base=asked.base) as model, self._precision.arithmetic():
            new = samples.generate(
                model,
                ids,
                self._end_ids,
                self._pad_id,
                most,
                temperature=asked.temperature,
                streamer=stream,
                stopping_criteria=StoppingCriteriaList([_Stopped(self.stop)]),
            )
        ended = "end" if new[-1] in self._end_ids else "asked" if self.stop.is_set() else "length"
        text = samples.text_of(self._tokenizer, new)
        return Answer(text, ended, len(new), time.monotonic() - began)

    def _room_for(self, ids: list[int], wanted: int) -> int:
        limit = getattr(self._model.config, "max_position_embeddings", None)
        left = limit - len(ids) if isinstance(limit, int) else wanted
        if not ids or left < 1:
            raise SftError(
                "this cannot be asked",
                f"it has {len(ids):,} tokens, and the model was made for {limit:,}"
                if ids
                else "it has no token",
                "clear the conversation, or ask for less" if ids else "ask something",
            )
        return min(wanted, left)

    @contextmanager
    def _answering(self, *, base: bool) -> Generator[Any]:
        """Gives the model that answers; the base is the same one without what was trained."""
        model, begun = self._model, getattr(self._model, "started_with", None)
        if not base:
            yield model
        elif self._base is not None:
            yield self._base
        elif begun is None:
            with model.disable_adapter():
                yield model
        else:  # its start was taken off the weights: with that start it is the base again
            set_peft_model_state_dict(model, begun)
            try:
                yield model
            finally:
                set_peft_model_state_dict(model, self._trained)


def _read(
    chosen: export.Chosen,
) -> tuple[dict[str, torch.Tensor], checkpoint.TrainerState | None]:
    """Reads the weights, and the state beside them where it is a checkpoint.

    Raises:
        SftError: They are damaged or gone.
    """
    folder = Path(chosen.folder)
    state = folder / checkpoint.STATE
    try:
        tensors = load_file(folder / checkpoint.weights_file(adapter=not chosen.full))
        if not state.exists():
            return tensors, None
        return tensors, msgspec.json.decode(state.read_bytes(), type=checkpoint.TrainerState)
    except (OSError, SafetensorError, msgspec.MsgspecError) as error:
        raise SftError(
            f"the weights of step {chosen.step} cannot be read",
            one_line(str(error), 300),
            "choose another checkpoint: a trainer at work removes its older ones",
        ) from error


def _refuse_another_base(
    base: Any, config: RunConfig, state: checkpoint.TrainerState | None, asked: Opening
) -> None:
    """Refuses a base whose weights are not those that were trained on, though it has their name.

    Raises:
        SftError: It is another one.
    """
    was = state.footing if state else None
    if was is None or was.base is None or was.precision != config.train.precision:
        return
    if was.base != fingerprint(base):
        raise SftError(
            f"step {asked.chosen.step} was trained on another base",
            f"the weights of {one_line(config.model.name, 200)} are not those that it began with",
            "put the base's files back as they were",
        )


@contextmanager
def _explained() -> Generator[None]:
    """Turns a lack of memory into a message."""
    try:
        yield
    except (MemoryError, OSError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise SftError(
            "there was not enough memory to answer",
            one_line(str(error), 200) or "out of memory",
            "free some, ask for fewer tokens, or compute on the CPU",
        ) from error


class _Stopped(StoppingCriteria):
    """Ends generation once it was asked for."""

    def __init__(self, asked: threading.Event) -> None:
        self._asked = asked

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        """Returns for each row whether it ends, (rows) bool."""
        return torch.full((input_ids.shape[0],), self._asked.is_set(), device=input_ids.device)


class _Stream(BaseStreamer):
    """Tells the text of an answer piece by piece, as soon as characters are whole."""

    def __init__(self, tokenizer: Any, tell: Tell) -> None:
        self._tokenizer, self._tell = tokenizer, tell
        self._ids: list[int] | None = None
        self._told = ""

    def put(self, value: torch.Tensor) -> None:
        """Takes the prompt first, then one token at a time."""
        if self._ids is None:
            self._ids = []
            return
        self._ids += value.tolist()
        text = samples.text_of(self._tokenizer, self._ids)
        if not text.endswith("\ufffd"):  # half a character
            self._tell_more(text)

    def end(self) -> None:
        """Tells what is left, be it half a character."""
        self._tell_more(samples.text_of(self._tokenizer, self._ids or []))

    def _tell_more(self, text: str) -> None:
        if text.startswith(self._told) and text != self._told:
            self._tell(text[len(self._told) :])
            self._told = text


def main() -> None:
    """Answers until stdin ends."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    session = Session()
    signal.signal(signal.SIGINT, lambda *_: session.stop.set())
    end_with_stdin()
    calls = {"open": (session.open, Opening), "ask": (session.ask, Question)}
    serve(lambda call: calls[call])
