"""A conversation with a run's model, which a helper process holds; base beside tuned.

Lives in the event loop alone. What it knows is read by who draws it, whenever `changed` is called.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from ...core import chat
from ...core.chat import Answer, Opened, Opening, Question, Turn
from ...core.errors import SftError
from ..format import sentences
from .sidecar import Sidecar

Side = Literal["tuned", "base"]
State = Literal["none", "loading", "ready", "answering"]


@dataclass
class Reply:
    """An answer as far as it has come; `answer` is there once it is whole."""

    text: str = ""
    answer: Answer | None = None


@dataclass
class Exchange:
    """A question and what was answered, by side; `alone` where it follows nothing."""

    question: str
    step: int
    alone: bool
    replies: dict[Side, Reply] = field(default_factory=dict[Side, Reply])
    failure: str = ""
    unasked: dict[Side, str] = field(default_factory=dict[Side, str])
    """Why a side was not asked, though it would have been."""


class Talk:
    """One model at most, and the exchanges with it and with those before it.

    Args:
        changed: Is called when something is to be drawn.
        say: Takes a sentence about what failed.
    """

    def __init__(self, changed: Callable[[], None], say: Callable[[str], None]) -> None:
        self._changed, self._say = changed, say
        self._helper = Sidecar(chat.HELPER)
        self._work: asyncio.Task[None] | None = None
        self.state: State = "none"
        self.phase = ""
        """What loading does at the moment."""
        self.opened: Opened | None = None
        self.opening: Opening | None = None
        """What is loaded, or being loaded."""
        self.exchanges: list[Exchange] = []
        self._anew = True
        """Whether the next question follows nothing."""

    @property
    def pid(self) -> int | None:
        """The process that holds the model, while there is one."""
        return self._helper.pid

    def load(self, opening: Opening) -> None:
        """Begins to load a model."""
        self.opening, self.state, self.phase = opening, "loading", "starting"
        self._work = asyncio.create_task(self._load(opening))
        self._changed()

    async def _load(self, opening: Opening) -> None:
        try:
            self.opened = await self._helper.ask("open", opening, Opened, self._loads)
        except SftError as error:
            await self._helper.stop()
            self.state, self.opening = "none", None
            self._say(sentences(str(error), error.remedy))
            self._changed()
            return
        self.state, self._anew = "ready", True
        self._changed()

    def _loads(self, said: str) -> None:
        self.phase = said
        self._changed()

    def clear(self) -> None:
        """Forgets what was said."""
        self.exchanges, self._anew = [], True
        self._changed()

    def ask(self, text: str, *, base: bool, max_tokens: int, temperature: float) -> None:
        """Begins to answer a question: the base first where it is wanted, then the tuned model."""
        assert self.opened is not None and self.opening is not None  # it was loaded before
        step = self.opening.chosen.step
        alone = self._anew or not self.opened.keeps_turns
        self.exchanges.append(Exchange(text, step, alone))
        self.state, self._anew = "answering", False
        sides: tuple[Side, ...] = ("base", "tuned") if base and self.opened.base else ("tuned",)
        self._work = asyncio.create_task(self._answer(sides, max_tokens, temperature))
        self._changed()

    async def _answer(self, sides: tuple[Side, ...], max_tokens: int, temperature: float) -> None:
        exchange = self.exchanges[-1]
        try:
            for at, side in enumerate(sides):
                reply = exchange.replies[side] = Reply()
                question = Question(self._turns(side), side == "base", max_tokens, temperature)

                def grow(piece: str, reply: Reply = reply) -> None:
                    reply.text += piece
                    self._changed()

                reply.answer = await self._helper.ask("ask", question, Answer, grow)
                reply.text = reply.answer.text
                if reply.answer.stop == "asked":
                    exchange.unasked = dict.fromkeys(sides[at + 1 :], "stopped")
                    break
        except SftError as error:
            exchange.failure = sentences(str(error), error.remedy)
            self._say(exchange.failure)
        alive = self.pid is not None
        self.state = "ready" if alive else "none"
        if not alive:
            self.opened = self.opening = None
        self._changed()

    def _turns(self, side: Side) -> list[Turn]:
        """Returns what was said before, as this side answered it, and the question."""
        turns: list[Turn] = []
        first = max(at for at, exchange in enumerate(self.exchanges) if exchange.alone)
        *before, last = self.exchanges[first:]
        for exchange in before:
            answer = exchange.replies[side].answer if side in exchange.replies else None
            if answer is not None:
                turns += [Turn("user", exchange.question), Turn("assistant", answer.text)]
        return [*turns, Turn("user", last.question)]

    def stop(self) -> None:
        """Ends the answer that is being given; what has come of it stays."""
        if self.state == "answering":
            self._helper.interrupt()

    async def end(self) -> None:
        """Lets the model go; what was said stays to be read. Nothing is told to be drawn."""
        work, self._work = self._work, None
        self.state, self.opened, self.opening = "none", None, None
        if work is not None:
            work.cancel()
        await self._helper.stop()
