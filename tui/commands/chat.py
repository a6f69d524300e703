"""`chat`: questions to a run's model, line by line or one alone, its base beside it."""

import argparse
import asyncio
import json
import math
import sys
from pathlib import Path
from typing import Any

import msgspec

from ...core import chat as chats
from ...core import export
from ...core.chat import Answer, Opened, Opening, Question, Turn
from ...core.errors import SftError, UsageError
from ...core.find import find_run
from ...core.text import one_line, printable
from ..format import counted, span
from ..services.sidecar import Sidecar


def chat(arguments: argparse.Namespace) -> int:
    """Loads the model in a process of its own and asks it."""
    _check(arguments)
    folder = Path(arguments.runs) if arguments.runs else None
    run = find_run(arguments.run, folder)
    chosen = chats.weights(run, arguments.checkpoint)
    config = export.config_of(run)
    cpu = arguments.device == "cpu"
    room = chats.room(config, cpu=cpu, max_tokens=arguments.max_tokens)
    training = chats.at_work(run, folder, room.gpu)
    if not arguments.force:
        chats.refuse_without_room(room, base=arguments.base, training=training)
    _say(f"Step {chosen.step} of {run.id}: {room.words(base=arguments.base)}.")
    if training:
        names = " and ".join(training)
        _say(f"{names}: being trained meanwhile, so answers and steps wait for each other.")
    opening = Opening(str(run.path), chosen, arguments.base, cpu, room.gpu)
    with asyncio.Runner() as runner:
        talk = _Talk(arguments, opening, runner)
        try:
            talk.open()
            return talk.one() if arguments.prompt is not None else talk.lines()
        finally:
            runner.run(talk.helper.stop())


def _check(arguments: argparse.Namespace) -> None:
    arguments.max_tokens = (
        chats.MAX_TOKENS if arguments.max_tokens is None else arguments.max_tokens
    )
    if arguments.max_tokens < 1:
        raise UsageError("--max-tokens cannot be used", "an answer has a token", "give 1 or more")
    if not 0 <= arguments.temperature < math.inf:
        raise UsageError(
            "--temperature cannot be used", "it divides logits", "give 0, or more such as 0.7"
        )
    if arguments.prompt is not None and not arguments.prompt.strip():
        raise UsageError("--prompt cannot be used", "it is empty", "give a question")


def _say(sentence: str) -> None:
    print(one_line(sentence), file=sys.stderr, flush=True)


class _Talk:
    """One conversation, or two: tuned and base each go on from their own answers."""

    def __init__(
        self, arguments: argparse.Namespace, opening: Opening, runner: asyncio.Runner
    ) -> None:
        self._arguments, self._opening, self._runner = arguments, opening, runner
        self._names = ("base", "tuned") if arguments.base else ("tuned",)
        self._turns: dict[str, list[Turn]] = {name: [] for name in self._names}
        self.helper = Sidecar(chats.HELPER)
        self._opened: Opened | None = None

    def open(self) -> None:
        """Loads the model.

        Raises:
            SftError: It cannot be had.
        """
        self._opened = self._runner.run(
            self.helper.ask("open", self._opening, Opened, lambda said: _say(f"{said} …"))
        )
        kept = "turns are kept" if self._opened.keeps_turns else "each question stands alone"
        _say(f"Ready on {self._opened.device}; template {self._opened.template}, {kept}.")

    def one(self) -> int:
        """Asks what `--prompt` gives.

        Raises:
            SftError: It cannot be answered.
        """
        self._ask(self._arguments.prompt)
        return 0

    def lines(self) -> int:
        """Asks line by line until the input ends; a failure is told, and the next line taken.

        Returns:
            1 where no one is at the terminal and a question failed, else 0.
        """
        by_hand = sys.stdin.isatty()
        if by_hand:
            _say("Ctrl+C stops an answer, Ctrl+D ends. A line with /clear begins anew.")
        failed = 0
        while (line := self._line(by_hand)) is not None:
            if line.strip() == "/clear":
                self._turns = {name: [] for name in self._names}
                _say("The conversation begins anew.")
            elif line.strip():
                try:
                    self._ask(line)
                except SftError as error:
                    failed = 1
                    _say(f"error: {error}. {error.remedy}.")
        return 0 if by_hand else failed

    def _line(self, by_hand: bool) -> str | None:
        if by_hand:
            print("> ", end="", file=sys.stderr, flush=True)
        line = sys.stdin.readline()
        return line.rstrip("\n") if line else None

    def _ask(self, text: str) -> None:
        answers = {name: self._answered(name, text) for name in self._names}
        if self._arguments.json:
            step = self._opening.chosen.step
            said = {name: msgspec.to_builtins(answer) for name, answer in answers.items()}
            print(json.dumps({"prompt": text, "step": step, **said}), flush=True)

    def _answered(self, name: str, text: str) -> Answer:
        """Asks one of the two, and prints its answer as it comes."""
        assert self._opened is not None  # `open` came first
        turns = [*self._turns[name], Turn("user", text)]
        question = Question(
            turns, name == "base", self._arguments.max_tokens, self._arguments.temperature
        )
        quiet: bool = self._arguments.json
        if not quiet:
            print(f"{name}: ", end="", flush=True)
        answer = self._runner.run(self._stoppable(question, quiet))
        if not quiet:
            stop, tokens = chats.STOPS[answer.stop], counted(answer.tokens, "token")
            print(f"\n  [{stop}, {tokens}, {span(answer.elapsed_s)}]", flush=True)
        if self._opened.keeps_turns:
            self._turns[name] = [*turns, Turn("assistant", answer.text)]
        return answer

    async def _stoppable(self, question: Question, quiet: bool) -> Answer:
        """Lets Ctrl+C end the answer, not the conversation; a second one ends that as well."""

        def show(piece: Any) -> None:
            if not quiet:
                print(printable(piece), end="", flush=True)

        asked = asyncio.ensure_future(self.helper.ask("ask", question, Answer, show))
        try:
            return await asyncio.shield(asked)
        except asyncio.CancelledError:
            self.helper.interrupt()
            return await asked
