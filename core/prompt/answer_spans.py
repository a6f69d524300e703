"""Where the answers stand in a rendered conversation, proven and never guessed.

A template's text says nothing of who wrote which part of it. Three ways find out, first to fit:

1. `{% generation %}` marks in the template, as transformers reads them.
2. Prefixes: an answer begins where `messages[:i]` with the generation prompt ends and ends where
   `messages[:i + 1]` ends, if the whole text begins with both.
3. Anchors: the conversation is rendered once more with random words around each content. Where
   the text without those words is the text itself, they show where each content stands. An
   answer's edges are then sought from the nearest content on, so that it does not matter what a
   template does to earlier turns (Qwen3 and DeepSeek R1 drop their thoughts).

The rules of the third way, where `gap` is the text from the content before the answer to the
answer's own content, `bare` and `given` what `messages[:i]` has behind the same content without
and with the generation prompt, and `tail` what `messages[:i + 1]` has behind the answer's content:

- The whole text goes on with `given`: there the answer begins.
- `given` equals `bare`, the template has no generation prompt: white space behind `bare` is the
  answer's (Llama 2); any other text is the turn's header, and the content begins the answer.
- `gap` is the beginning of `given`, which adds more (`<think>`): the content begins the answer.
- `gap` ends with `given`, behind more (a default system prompt): the content begins the answer.
- `gap` and `given` part ways: what they share up to a line feed or special token is the header.
- The whole text goes on with `tail`: there the answer ends.
- Else the same special token must follow the content in both, or one that ends an earlier message
  when that is the last (gpt-oss ends only the last answer with `<|return|>`).

A turn that says nothing and calls functions has no content: its beginning is where `gap`, up to
the function's name, and `given` part ways, or where a turn that says a word would begin.

Anything else is an `Unclear` that says which turn.
"""

import itertools
from collections.abc import Sequence
from typing import Any

import msgspec

from .anchors import Anchors, Unclear, Views
from .chat_template import ChatTemplate, Refused, Span, Turn

_LEARNT_SHAPES = 512
_LEARNING_TRIES = 16


class _Shape(msgspec.Struct, frozen=True):
    """What rows with the same sequence of roles have in common.

    `gaps` is the template's text before, between and after the contents. `edges` has for each
    answer its message, the characters before and after its content that belong to it, and what
    the generation prompt has beyond the answer's beginning.
    """

    gaps: tuple[str, ...]
    edges: tuple[tuple[int, int, int, str], ...]


class AnswerFinder:
    """Finds the answers in rows of one template and learns from them.

    A row whose text is exactly the known gaps with its contents between needs no further render:
    the equality proves where its contents stand.

    Args:
        chat: The template.
        markers: Texts of the tokenizer's special tokens.
    """

    def __init__(self, chat: ChatTemplate, markers: tuple[str, ...]) -> None:
        self._chat = chat
        self._markers = tuple(sorted(filter(None, markers), key=len, reverse=True))
        self._shapes: dict[tuple[str, ...], _Shape] = {}
        self._failed = 0
        self._anchors = Anchors()
        self._ends: dict[str, bool] = {}

    def find(
        self, turns: Sequence[Turn], tools: Sequence[dict[str, Any]], text: str
    ) -> list[tuple[int, Span]]:
        """Returns the answers as (message, span) by the second and third way.

        Raises:
            Unclear: They cannot be told apart.
        """
        plain = not tools and all(len(turn) == 2 for turn in turns)
        roles = tuple(turn["role"] for turn in turns)
        if plain:
            if roles not in self._shapes and not all(map(self._is_clean, turns)):
                self._learn_from_words(turns)
            shape = self._shapes.get(roles)
            found = _from_shape(shape, turns, text) if shape else None
            if found is not None:
                return found
        views = Views(self._chat, turns, tools, text, self._anchors)
        found = [
            (index, self._span(views, index))
            for index, turn in enumerate(turns)
            if turn["role"] == "assistant"
        ]
        for (_, (_, end)), (after, (start, _)) in itertools.pairwise(found):
            if start < end:
                raise Unclear(f"turn {after + 1} begins before the answer before it ends")
        if plain and self._failed < _LEARNING_TRIES:
            self._learn(views, roles, found)
        return found

    def widened(
        self, turns: Sequence[Turn], tools: Sequence[dict[str, Any]], text: str, marked: list[Span]
    ) -> list[Span]:
        """Returns marked spans with the end-of-turn marker that stands right behind them.

        Many public templates leave it outside of the mark. A marker that follows counts where it
        follows the last answer when nothing comes after it; otherwise it opens the next turn.
        """
        spans: list[Span] = []
        for start, end in marked:
            if not text[:end].endswith(self._markers):
                end += len(self._end_marker(turns, tools, text, end))
            # An answer may have several marks, but is one span: training may ask for the last.
            if start == end:
                continue
            if spans and not text[spans[-1][1] : start].strip():
                spans[-1] = spans[-1][0], end
            else:
                spans.append((start, end))
        return spans

    def without_space_after_marker(self, text: str, span: Span) -> Span:
        """A turn ends with its end-of-turn marker: white space after it is not the model's."""
        start, end = span
        bare = text[start:end].rstrip()
        if self._markers and bare.endswith(self._markers):
            return start, start + len(bare)
        return span

    def _end_marker(
        self, turns: Sequence[Turn], tools: Sequence[dict[str, Any]], text: str, place: int
    ) -> str:
        marker = _at(text, place, self._markers)
        if not marker:
            return ""
        if marker not in self._ends:
            last = max(i for i, turn in enumerate(turns) if turn["role"] == "assistant")
            alone, spans = self._chat.render(turns[: last + 1], tools)
            end = spans[-1][1] if spans else len(alone)
            self._ends[marker] = _at(alone, end, self._markers) == marker
        return marker if self._ends[marker] else ""

    def _span(self, views: Views, index: int) -> Span:
        span = self._by_prefix(views, index)
        if span is None:
            start = self._start(views, index)
            span = start, max(start, self._end(views, index))
        return self.without_space_after_marker(views.text, span)

    def _by_prefix(self, views: Views, index: int) -> Span | None:
        """The second way, where the generation prompt is all of the turn's header."""
        text = views.text
        try:
            given, bare = views.plain(index, True), views.plain(index, False)
            after = text if index + 1 == len(views.turns) else views.plain(index + 1, False)
        except Refused:
            return None
        if given == bare or not (text.startswith(given) and text.startswith(after)):
            return None
        content = views.turns[index]["content"].rpartition("</think>")[2].strip()
        if text.find(content, len(given), len(after)) < 0:
            return None
        return len(given), len(after)

    def _start(self, views: Views, index: int) -> int:
        whole = views.whole
        base, before = whole.before(index)
        given, bare = views.behind(index, True, before), views.behind(index, False, before)
        text = views.text[base:]
        if given is None:
            raise Unclear(f"it does not render the turns before turn {index + 1} by themselves")
        if given != bare and text.startswith(given):
            return base + len(given)
        opened = whole.opened.get(index)
        if opened is None:
            return self._start_of_call(views, index, given, bare)
        gap = views.text[base:opened]
        if bare is None or not gap.startswith(bare):
            raise Unclear(f"the turn before turn {index + 1} changes when that is added")
        if given == bare:
            return base + len(given) if gap[len(given) :].isspace() else opened
        if given.startswith(gap) or gap.endswith(given):
            return opened
        return base + self._parting(index, gap, given, bare)

    def _parting(self, index: int, gap: str, given: str, bare: str) -> int:
        """Returns how much of the text before an answer the generation prompt has, too."""
        shared = _shared(gap, given)
        edge = max([shared.rfind("\n") + 1, *(_behind_last(shared, m) for m in self._markers)])
        rest = given[edge:]
        if edge <= len(bare) or (rest.strip() and rest in gap[edge:]):
            raise Unclear(f"turn {index + 1} does not begin with the generation prompt")
        return edge

    def _start_of_call(self, views: Views, index: int, given: str, bare: str | None) -> int:
        """Returns where a turn begins that says nothing and calls functions.

        Without a generation prompt, a turn that says a word instead shows the header.
        """
        whole = views.whole
        base, named = whole.before(index)[0], whole.named.get(index)
        if named is None or bare is None:
            raise Unclear(f"the beginning of turn {index + 1} cannot be told")
        gap = views.text[base:named]
        if given != bare and gap.startswith(bare):
            return base + self._parting(index, gap, given, bare)
        word = views.beginning_with({"role": "assistant", "content": "word"}, index)
        header = word.text[word.whole.before(index)[0] : self._start(word, index)]
        if given != bare or "word" in header or not gap.startswith(header):
            raise Unclear(f"the beginning of turn {index + 1} cannot be told")
        return base + len(header)

    def _end(self, views: Views, index: int) -> int:
        """Returns where a turn ends: behind what follows its content when nothing comes after."""
        text = views.text
        closed = views.whole.closed.get(index)
        if closed is None:
            raise Unclear(f"it leaves out turn {index + 1}")
        rest = text[closed:]
        is_last = index + 1 == len(views.turns)
        tail = rest if is_last else views.behind(index + 1, False, index)
        if tail is None:
            raise Unclear(f"it leaves out turn {index + 1} when that is the last")
        if rest.startswith(tail):
            return closed + self._before_prompt(views, index, tail)
        marker = self._next_marker(rest)
        if marker and marker.strip() in self._markers:
            if self._next_marker(tail) == marker:
                return closed + len(marker)
            ends = (views.behind(earlier + 1, False, earlier) for earlier in range(index))
            if self._next_marker(tail) and any(marker.strip() == (e or "").strip() for e in ends):
                return closed + len(marker)
        raise Unclear(f"turn {index + 1} ends otherwise when it is the last")

    def _before_prompt(self, views: Views, index: int, tail: str) -> int:
        """Returns how much of the tail is the turn's own.

        A template may put its generation prompt behind every conversation, asked or not: what
        follows the end marker then also stands right before the answer.
        """
        marker = self._next_marker(tail)
        beyond = tail[len(marker) :].strip()
        opened = views.whole.opened.get(index)
        if marker and beyond and opened is not None:
            header = views.text[views.whole.before(index)[0] : opened].strip()
            if header.endswith(beyond):
                return len(marker)
        return len(tail)

    def _next_marker(self, text: str) -> str:
        """Returns the special token that follows next, with the white space before it."""
        space = len(text) - len(text.lstrip())
        marker = _at(text, space, self._markers)
        return text[:space] + marker if marker else ""

    def _is_clean(self, turn: Turn) -> bool:
        """Says whether a content tells nothing of itself in what templates and we make of it.

        That is, no outer white space, no thoughts, and no marker at its end.
        """
        content = turn["content"]
        if not content or content != content.strip() or "think>" in content:
            return False
        return not content.endswith(self._markers)

    def _learn_from_words(self, turns: Sequence[Turn]) -> None:
        """Learns a shape from a made-up row, for one whose contents are blank or have thoughts."""
        if self._failed >= _LEARNING_TRIES:
            return
        words = [turn if self._is_clean(turn) else {**turn, "content": "word"} for turn in turns]
        try:
            self.find(words, (), self._chat.render(words)[0])
        except (Unclear, Refused):
            self._failed += 1

    def _learn(self, views: Views, roles: tuple[str, ...], found: list[tuple[int, Span]]) -> None:
        contents = [turn["content"] for turn in views.turns]
        if not all(map(self._is_clean, views.turns)):
            return
        try:
            whole = views.whole
            places = [(whole.opened[i], whole.closed[i]) for i in range(len(contents))]
            rests = [_beyond(views, index, start) for index, (start, _) in found]
        except (Unclear, Refused, KeyError):
            self._failed += 1
            return
        text, at, gaps = views.text, 0, list[str]()
        for content, (start, end) in zip(contents, places, strict=True):
            if start < at or text[start:end] != content:
                self._failed += 1
                return
            gaps.append(text[at:start])
            at = end
        edges = [
            (index, places[index][0] - start, end - places[index][1], rest)
            for (index, (start, end)), rest in zip(found, rests, strict=True)
        ]
        if any(before < 0 or after < 0 for _, before, after, _ in edges):
            return
        if len(self._shapes) >= _LEARNT_SHAPES:
            self._shapes.clear()
        self._shapes[roles] = _Shape((*gaps, text[at:]), tuple(edges))


def _from_shape(shape: _Shape, turns: Sequence[Turn], text: str) -> list[tuple[int, Span]] | None:
    """Returns the answers if the text is the known gaps with the contents, plain or trimmed."""
    for form in (str, str.strip):
        contents: list[str] = [form(turn["content"]) for turn in turns]
        pieces = [part for pair in zip(shape.gaps, contents, strict=False) for part in pair]
        if "".join((*pieces, shape.gaps[-1])) != text:
            continue
        places: list[int] = []
        at = 0
        for gap, content in zip(shape.gaps, contents, strict=False):
            places.append(at + len(gap))
            at += len(gap) + len(content)
        found: list[tuple[int, Span]] = []
        for index, before, after, rest in shape.edges:
            if rest and contents[index].startswith(rest):
                return None
            end = places[index] + len(contents[index]) + after
            found.append((index, (places[index] - before, end)))
        return found
    return None


def _at(text: str, place: int, markers: tuple[str, ...]) -> str:
    return next((marker for marker in markers if text.startswith(marker, place)), "")


def _behind_last(text: str, marker: str) -> int:
    place = text.rfind(marker)
    return place + len(marker) if place >= 0 else 0


def _shared(one: str, other: str) -> str:
    """Returns the longest text that both begin with."""
    pairs = enumerate(zip(one, other, strict=False))
    return one[: next((i for i, (a, b) in pairs if a != b), min(len(one), len(other)))]


def _beyond(views: Views, index: int, start: int) -> str:
    """Returns what the generation prompt has beyond the beginning of an answer."""
    base, before = views.whole.before(index)
    given = views.behind(index, True, before) or ""
    header = views.text[base:start]
    return given[len(header) :] if given.startswith(header) else ""
