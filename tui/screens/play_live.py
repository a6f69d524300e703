"""Play's live part: loading a run's model, asking it, and the settings of its answers."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from textual.message import Message
from textual.widgets import Input, TextArea

from ...core import chat, export
from ...core.chat import MAX_TOKENS, Opening, Room
from ...core.errors import SftError
from ...core.export import Chosen
from ...core.rundir import RunDir
from ...core.text import one_line
from ..format import as_sentences, sentences
from ..services.talk import Talk
from ..widgets.frame import FrameScreen
from .dialogs import Ask, Choose, Confirm

KEYS = frozenset(("talk", "stop", "checkpoint", "settings", "clear"))
"""The keys of this part."""
_LETTERS = "abcdefghijklmnoprstuvwyz"  # not those that leave a dialog


@dataclass(frozen=True)
class Wanted:
    """What would be loaded, and how it is asked."""

    checkpoint: str | None = None
    cpu: bool = False
    base: bool = True
    max_tokens: int = MAX_TOKENS
    temperature: float = 0.0


@dataclass(frozen=True)
class Found:
    """What loading takes; `why` says why nothing can be loaded."""

    saved: Sequence[int] = ()
    """Steps whose weights are there."""
    chosen: Chosen | None = None
    room: Room | None = None
    training: Mapping[str, int | None] = field(default_factory=dict[str, int | None])
    """The runs that are being trained, as `chat.at_work` tells."""
    why: str = ""


class LiveKeys(FrameScreen):
    """The live part of a screen that shows a run."""

    _run: RunDir | None

    class Looked(Message):
        """What was found for a run as it was wanted."""

        def __init__(self, run: RunDir, wanted: Wanted, found: Found) -> None:
            super().__init__()
            self.run, self.wanted, self.found = run, wanted, found

    def __init__(self) -> None:
        super().__init__()
        self._talk = Talk(self.talk_changed, self._say)
        self._wanted = Wanted()
        self._found: Found | None = None
        self._put_later = ""
        """The question that is put once the model is there, unless it is changed until then."""
        self._told_to_wait: object = None
        """What was said of that, where it was."""

    def talk_changed(self) -> None:
        """Draws the conversation soon."""
        raise NotImplementedError

    def show_live(self) -> None:
        """Shows the conversation."""
        raise NotImplementedError

    def _say(self, sentence: str) -> None:
        self.notice = one_line(sentence)

    async def on_unmount(self) -> None:
        """Ends the process that holds the model."""
        await self._talk.end()

    async def on_screen_suspend(self) -> None:
        """Lets the model go when Play is left; a dialog over it leaves it where it is."""
        if self.sft.current_mode == self.scope:
            return
        if self._talk.state != "none":
            self.sft.did("Play let its model go: the memory is free again.")
            await self._talk.end()

    def look(self) -> None:
        """Looks beside the event loop what could be loaded, and what that takes."""
        run, wanted = self._run, self._wanted
        self._found = None
        if run is None:
            return
        folder = self.sft.runs_folder

        def work() -> None:
            self.deliver(self.Looked(run, wanted, _look(run, wanted, folder)))

        self.beside(work)

    def on_live_keys_looked(self, message: Looked) -> None:
        """Takes what was found, unless something else is wanted by now."""
        if message.run is not self._run or message.wanted != self._wanted:
            return
        self._found = found = message.found
        room = found.room
        if room is not None and room.second and self._wanted.base and not room.fits(base=True):
            if room.fits(base=False):
                self._want(base=False)
                self.did("The base is left out: two whole models do not fit. e brings it back.")
        self.talk_changed()
        self.refresh_footer()

    def _want(self, **changes: Any) -> None:
        self._wanted = replace(self._wanted, **changes)

    def may_live(self, action: str) -> bool:
        """Returns whether a key of this part does something now."""
        talk, found = self._talk, self._found
        match action:
            case "talk":
                loads = found is not None and found.room is not None
                return talk.state != "none" or loads
            case "stop":
                return talk.state == "answering"
            case "checkpoint":
                return found is not None and bool(found.saved)
            case "clear":
                return bool(talk.exchanges) and talk.state != "answering"
            case _:
                return True

    def edit_keys(self, box: Input | TextArea) -> list[tuple[str, str]]:
        """Returns what the keys do while a question is typed."""
        enter = {"none": "Load the model, ask", "loading": "Ask once it is loaded"}
        answering = self._talk.state == "answering"
        return [
            ("Enter", enter.get(self._talk.state, "Ask")),
            ("Esc", "Stop the answer" if answering else "Leave the box"),
        ]

    def action_talk(self) -> None:
        """Loads the model, and goes to the box, which takes a question meanwhile."""
        if self._talk.state != "none":
            self.show_live()
            self.query_one("#ask", Input).focus()
            return
        found, base = self._found, self._wanted.base
        if found is None or found.room is None:
            self.did(found.why if found else "It is still looked what loading takes.")
            return
        try:
            chat.refuse_without_room(found.room, base=base, training=found.training)
        except SftError as error:
            ways = error.remedy.partition("; --force")[0].replace(" (--device cpu)", ": e, d")
            detail = as_sentences(one_line(error.why), one_line(ways))
            question = as_sentences(error.what, "load it all the same?")
            self.sft.push_screen(Confirm(question, detail), self._load)
            return
        self._load()

    def _load(self, yes: bool | None = True) -> None:
        if not yes:
            self._put_later = ""
            return
        found = self._found
        if self._run is None or found is None or found.chosen is None or found.room is None:
            return
        # Beside an adapter the base costs nothing, so that it can be asked for later.
        base = self._wanted.base or not found.room.second
        gpu = found.room.gpu
        self._talk.load(
            Opening(str(self._run.path), found.chosen, base, cpu=self._wanted.cpu, gpu=gpu)
        )
        self.show_live()
        self.refresh_footer()

    async def let_go(self) -> None:
        """Lets the model go, as another is wanted, and looks what that one takes."""
        had = self._talk.state != "none"
        await self._talk.end()
        self.talk_changed()
        if had:
            self.did("The model was let go. Enter loads the one that is wanted now.")
        self.look()
        self.refresh_footer()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Asks what was typed: at once, or when the model is there, which it loads if need be."""
        text = event.value.strip()
        if self._talk.state == "answering":
            self.did("The answer before is still coming. Esc stops it.")
        elif self._talk.opened is not None:
            self._put(text)
        elif text:
            self._put_later = text
            if self._talk.state == "none":
                self.action_talk()
            else:
                self.did("The model is still loading: it is asked as soon as it is there.")
                self._told_to_wait = self.deed

    def _put(self, text: str) -> None:
        """Asks a question, and empties the box."""
        if not text:
            return
        self.query_one("#ask", Input).value = ""
        wanted = self._wanted
        self._talk.ask(
            text, base=wanted.base, max_tokens=wanted.max_tokens, temperature=wanted.temperature
        )
        self.show_live()

    def put_what_waits(self) -> None:
        """Asks, now that the model is there, what Enter was pressed on before."""
        text, self._put_later = self._put_later, ""
        self.forget(self._told_to_wait)
        if text == self.query_one("#ask", Input).value.strip():
            self._put(text)

    def drop_what_waits(self) -> None:
        """Leaves a question in the box that no model came for."""
        self._put_later = ""

    def action_stop(self) -> None:
        """Ends the answer that is being given."""
        self._talk.stop()
        self.did("Stopped.")

    def action_clear(self) -> None:
        """Forgets what was said."""
        self._talk.clear()
        self.did("The conversation begins anew.")
        self.refresh_footer()

    def action_checkpoint(self) -> None:
        """Asks whose weights are to answer."""
        found = self._found
        if found is None:
            return
        steps = list(reversed(found.saved))[: len(_LETTERS) - 2]
        names: dict[str, str] = {"l": "last", "b": "best"}
        rest = [letter for letter in _LETTERS if letter not in names]
        names |= dict(zip(rest, map(str, steps), strict=False))
        words = {"last": "the newest", "best": "of the best evaluation"}
        choices = [(key, words.get(name, f"step {name}")) for key, name in names.items()]

        def take(letter: str | None) -> None:
            if letter is not None:
                self._want(checkpoint=names[letter])
                self.call_later(self.let_go)

        self.sft.push_screen(Choose("Whose weights answer", choices), take)

    def action_settings(self) -> None:
        """Offers the settings of answers, each with its value."""
        wanted = self._wanted
        heat = f"{wanted.temperature:g}" if wanted.temperature else "0, the likeliest token"
        choices = [
            ("t", f"temperature: {heat}"),
            ("m", f"longest answer: {wanted.max_tokens} tokens"),
            ("b", f"the base answers too: {'yes' if wanted.base else 'no'}"),
            ("d", f"device: {'the CPU' if wanted.cpu else 'that of the run'}"),
        ]

        def take(letter: str | None) -> None:
            match letter:
                case "t":
                    self._ask("Temperature, 0 to 10", "temperature", _temperature)
                case "m":
                    self._ask("Tokens of the longest answer", "max_tokens", _tokens)
                case "b":
                    said = "The base answers no more." if wanted.base else "The base answers too."
                    self._change(said, base=not wanted.base)
                case "d":
                    where = "that of the run" if wanted.cpu else "the CPU"
                    self._change(f"Device: {where}.", cpu=not wanted.cpu)
                case _:
                    pass

        self.sft.push_screen(Choose("Settings of answers", choices), take)

    def _ask(self, question: str, name: str, read: Callable[[str], float | None]) -> None:
        def check(text: str) -> str | None:
            return "That is no such number." if read(text) is None else None

        def take(text: str | None) -> None:
            if text is not None:
                self._change(f"{question.partition(',')[0]}: {text}.", **{name: read(text)})

        value = f"{getattr(self._wanted, name):g}"
        self.sft.push_screen(Ask(question, check, value=value), take)

    def _change(self, said: str, **changes: Any) -> None:
        """Takes another setting; what is loaded goes where it cannot serve it."""
        before = self._wanted
        self._want(**changes)
        opened = self._talk.opened
        missing = self._wanted.base and opened is not None and not opened.base
        if missing or self._wanted.cpu != before.cpu:
            self.call_later(self.let_go)
            return
        if opened is None:
            self.look()
        self.did(said)


def _look(run: RunDir, wanted: Wanted, folder: Path | None) -> Found:
    """Returns what could be loaded, and what that takes."""
    saved = [step for step, _ in run.complete_checkpoints()]
    try:
        chosen = chat.weights(run, wanted.checkpoint)
        config = export.config_of(run)
        room = chat.room(config, cpu=wanted.cpu, max_tokens=wanted.max_tokens)
        return Found(saved, chosen, room, chat.at_work(run, folder, room.gpu))
    except SftError as error:
        return Found(saved, why=one_line(sentences(str(error), error.remedy)))


def _temperature(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and 0 <= value <= 10 else None


def _tokens(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and 0 < int(text) <= 100_000 else None
