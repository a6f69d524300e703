"""Where each content of a conversation stands in the text that a template makes of it."""

import re
import secrets
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from .chat_template import ChatTemplate, Refused, Turn

OPEN, CLOSE, NAME = "123"
"""What a word stands at: the beginning or end of a content, the name of a called function."""


class Unclear(Exception):
    """The answers of a row cannot be told apart; the message says why."""


class Anchored(msgspec.Struct, frozen=True):
    """Where contents stand in a text: by message, the first beginning and the last end.

    `named` is where the name of a called function begins: inside of what the turn says.
    """

    opened: dict[int, int]
    closed: dict[int, int]
    named: dict[int, int]

    def before(self, index: int) -> tuple[int, int | None]:
        """Returns the end of the nearest content before a message, and whose it is."""
        for earlier in range(index - 1, -1, -1):
            if earlier in self.closed:
                return self.closed[earlier], earlier
        return 0, None


class Anchors:
    """Random words around contents; rows cannot hold them, and templates do not look for them."""

    def __init__(self) -> None:
        # Digits only: a template may change letters, and words with them would be lost.
        self._secret = str(10**17 + secrets.randbelow(9 * 10**17))
        self._word = re.compile(rf"{self._secret}([{OPEN}{CLOSE}{NAME}])(\d{{6}})")

    def find(
        self, turns: Sequence[Turn], text: str, render: Callable[[list[Turn]], str]
    ) -> Anchored | None:
        """Returns where the contents stand in `text`, or None where that cannot be proven.

        The words stand around the whole content, or inside its outer white space for a template
        that trims it. A template that looks at the first characters of a content may act
        otherwise on one with a word in front; then a last try leaves those words out, and with
        them the beginnings.
        """
        contents = [turn["content"] for turn in turns if "tool_calls" not in turn]
        tries = [("", True), ("", False)]
        if any(not content or content != content.strip() for content in contents):
            tries = [("system user assistant tool", True), ("assistant", True), *tries]
        for whole, with_start in tries:
            marked = [
                self._mark(index, turn, with_start, turn["role"] in whole)
                for index, turn in enumerate(turns)
            ]
            try:
                pieces = self._word.split(render(marked))
            except Refused:
                continue
            if "".join(pieces[::3]) == text:
                return _ordered(pieces, with_start)
        return None

    def _mark(self, index: int, turn: Turn, with_start: bool, whole: bool) -> Turn:
        opening, closing, naming = (
            f"{self._secret}{kind}{index:06}" for kind in (OPEN, CLOSE, NAME)
        )
        start = opening if with_start else ""
        found = dict(turn)
        for name in ("content", "reasoning_content", "thinking"):
            if not isinstance(value := turn.get(name), str):
                continue
            core = value.strip()
            if not core and not (whole and name == "content" and "tool_calls" not in turn):
                continue
            lead, tail = value[: len(value) - len(value.lstrip())], value[len(value.rstrip()) :]
            head, think, answer = core.rpartition("</think>")
            if think and name == "content":
                bare = answer.lstrip()
                core = f"{head}{think}{answer[: len(answer) - len(bare)]}{start}{bare}"
            if whole:
                found[name] = f"{start}{value if not core else lead + core + tail}{closing}"
            else:
                found[name] = f"{lead}{start}{core}{closing}{tail}"
        if calls := turn.get("tool_calls"):
            found["tool_calls"] = [_named(call, naming, closing) for call in calls]
        return found


def _named(call: dict[str, Any], before: str, after: str) -> dict[str, Any]:
    """Returns a tool call with words around the function's name."""
    function = call.get("function", call)
    renamed = {**function, "name": f"{before}{function.get('name', '')}{after}"}
    return {**call, "function": renamed} if "function" in call else renamed


def _ordered(pieces: list[str], with_start: bool) -> Anchored:
    """Reads the places of words from a text split at them.

    A content out of order has no place: Mistral's templates move the system message into the
    last question.
    """
    opened: dict[int, int] = {}
    closed: dict[int, int] = {}
    named: dict[int, int] = {}
    moved: set[int] = set()
    at = latest = 0
    for text, kind, number in zip(pieces[::3], pieces[1::3], pieces[2::3], strict=False):
        at += len(text)
        index = int(number)
        if index < latest:
            moved.add(index)
        latest = max(latest, index)
        if kind == CLOSE:
            closed[index] = at
        elif kind == NAME:
            named.setdefault(index, at)
        elif index not in closed:
            opened.setdefault(index, at)
    for index in moved:
        opened.pop(index, None)
        closed.pop(index, None)
        named.pop(index, None)
    return Anchored(opened if with_start else {}, closed, named)


class Views:
    """The renders of one row that finding its answers needs, each made once."""

    def __init__(
        self,
        chat: ChatTemplate,
        turns: Sequence[Turn],
        tools: Sequence[dict[str, Any]],
        text: str,
        anchors: Anchors,
    ) -> None:
        self.turns = turns
        self.text = text
        self._chat = chat
        self._tools = tools
        self._anchors = anchors
        self._plain: dict[tuple[int, bool], str] = {(len(turns), False): text}
        self._found: dict[tuple[int, bool], Anchored | None] = {}

    def plain(self, count: int, ask: bool) -> str:
        """Returns the text of the first messages, with the generation prompt if asked for."""
        if (count, ask) not in self._plain:
            text, _ = self._chat.render(self.turns[:count], self._tools, add_generation_prompt=ask)
            self._plain[count, ask] = text
        return self._plain[count, ask]

    @property
    def whole(self) -> Anchored:
        """Where the contents stand in the whole text."""
        found = self._anchored(len(self.turns), False)
        if found is None:
            raise Unclear("it changes what the turns say, or says it more than once")
        return found

    def beginning_with(self, turn: Turn, index: int) -> "Views":
        """Returns the views of the turns before a message and another turn in its place."""
        turns = [*self.turns[:index], turn]
        text, _ = self._chat.render(turns, self._tools)
        return Views(self._chat, turns, self._tools, text, self._anchors)

    def behind(self, count: int, ask: bool, message: int | None) -> str | None:
        """Returns the text of the first messages behind the content of one of them."""
        try:
            found = self._anchored(count, ask)
            text = self.plain(count, ask)
        except Refused:
            return "" if count == 0 else None
        if message is None:
            return text
        if found is None or message not in found.closed:
            return None
        return text[found.closed[message] :]

    def _anchored(self, count: int, ask: bool) -> Anchored | None:
        if (count, ask) not in self._found:

            def rendered(turns: list[Turn]) -> str:
                return self._chat.render(turns, self._tools, add_generation_prompt=ask)[0]

            self._found[count, ask] = self._anchors.find(
                self.turns[:count], self.plain(count, ask), rendered
            )
        return self._found[count, ask]
