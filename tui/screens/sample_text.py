"""Answers of the base and of the tuned model side by side, with the words that differ.

Pure functions from a run's samples to lines of text.
"""

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from rich.cells import cell_len, chop_cells
from rich.text import Text

from ...core import events
from ...core.text import one_line, printable

DIFFERS = "underline"
"""How a word looks that the other answer does not have: also without colour."""
_SIDE_BY_SIDE = 90
_LIST = 30
_TAB = 4
_WORD = re.compile(r"( *)(\S+)")


class Word(NamedTuple):
    """A word of an answer; an empty one ends a line."""

    text: str
    gap: str = ""
    """The spaces before it, such as the indentation of code."""
    differs: bool = False


Words = list[Word]


@dataclass(frozen=True)
class Shown:
    """One prompt with the base's answer and that of a step, where there are these."""

    prompts: Sequence[str]
    at: int
    steps: Sequence[int]
    base: events.Sample | None
    tuned: events.Sample | None

    @classmethod
    def of(cls, samples: Sequence[events.Sample], at: int, step: int | None) -> "Shown | None":
        """Returns what is shown of a prompt at a step, by default the newest; None without one."""
        ids = sorted({sample.prompt_id for sample in samples})
        if not ids:
            return None
        at = at % len(ids)
        own = [sample for sample in samples if sample.prompt_id == ids[at]]
        by_step = {sample.step: sample for sample in own}
        prompts = {sample.prompt_id: one_line(sample.prompt) for sample in samples}
        steps = [known for known in sorted(by_step) if known > 0]
        chosen = step if step in steps else (steps[-1] if steps else None)
        tuned = None if chosen is None else by_step[chosen]
        return cls([prompts[each] for each in ids], at, steps, by_step.get(0), tuned)

    def moved(self, by: int) -> tuple[int | None, str]:
        """Returns the step some places on, None for the newest, and what is then shown in words."""
        if self.tuned is None:
            return None, "No step was sampled yet."
        at = min(max(self.steps.index(self.tuned.step) + by, 0), len(self.steps) - 1)
        newest = at == len(self.steps) - 1
        said = f"Answers of step {self.steps[at]}{' (newest)' if newest else ''}."
        return None if newest else self.steps[at], said


def lines(shown: Shown, width: int, waiting: str = "") -> list[Text]:
    """Returns the prompt, both answers, and how many words differ.

    Args:
        shown: What to show.
        width: Columns that there are.
        waiting: What is still being sampled, in words.
    """
    base, tuned, said = compared(
        shown.base.text if shown.base else None, shown.tuned.text if shown.tuned else None
    )
    head = Text(f"Prompt {shown.at + 1} of {len(shown.prompts)}: ", "bold")
    head.append(shown.prompts[shown.at], "not bold")
    told = Text(said + (f"   {waiting}" if waiting else ""))
    if (expected := expected_of(shown)) is not None:
        told.append(f"   expected: {one_line(expected)}")
    if width < _SIDE_BY_SIDE:
        parts = [title("Base", shown.base), *wrapped(base, width)]
        parts += [title("Tuned", shown.tuned), *wrapped(tuned, width)]
        return [head, told, *parts]
    room = (width - _LIST - 4) // 2
    left = [title("Base", shown.base), *wrapped(base, room)]
    right = [title("Tuned", shown.tuned), *wrapped(tuned, room)]
    return [head, told, *_beside(_prompts(shown), left, right, room)]


def compared(base_text: str | None, tuned_text: str | None) -> tuple[Words, Words, str]:
    """Returns both answers in words, with those that differ, and how many these are.

    An answer that is None is not there, so that no word differs from it.
    """
    base, tuned = _words(base_text), _words(tuned_text)
    if base_text is None or tuned_text is None:
        return base, tuned, ""
    texts = [[word.text for word in words] for words in (base, tuned)]
    matcher = difflib.SequenceMatcher(None, *texts, autojunk=False)
    same_base: set[int] = set()
    same_tuned: set[int] = set()
    for block in matcher.get_matching_blocks():
        same_base.update(range(block.a, block.a + block.size))
        same_tuned.update(range(block.b, block.b + block.size))
    marked = [word._replace(differs=at not in same_base) for at, word in enumerate(base)]
    others = [word._replace(differs=at not in same_tuned) for at, word in enumerate(tuned)]
    count = sum(1 for word in others if word.text and word.differs)
    total = sum(1 for word in tuned if word.text)
    return marked, others, f"Δ {count} of {total} words differ"


def _words(text: str | None) -> Words:
    """Returns the words of an answer, harmless, with an empty one for each end of a line."""
    if text is None:
        return [Word("–")]
    found: Words = []
    for line in printable(text).strip("\n").split("\n"):
        pairs = _WORD.findall(re.sub(r"[^\S ]", " ", line.expandtabs(_TAB)))
        found += [*(Word(word, gap) for gap, word in pairs), Word("")]
    if found[0].gap == " ":  # which the first token of an answer has by itself
        found[0] = found[0]._replace(gap="")
    return found[:-1]


def expected_of(shown: Shown) -> str | None:
    """Returns the answer of the data, where the run tells it."""
    known = (sample.expected for sample in (shown.tuned, shown.base) if sample is not None)
    return next((text for text in known if text is not None), None)


def title(name: str, sample: events.Sample | None) -> Text:
    """Returns whose answer it is, of which step, and why it ended."""
    if sample is None:
        return Text(f"{name}: not sampled yet", "bold")
    stop = "end token" if sample.finished else "length !"
    return Text(f"{name} (step {sample.step})   stop: {stop}", "bold")


def wrapped(words: Words, width: int) -> list[Text]:
    """Returns words in lines of at most `width` cells; a longer word fills lines of its own.

    Spaces stay as they are, but where a line is broken, and before a word that they leave no room.
    """
    found: list[Text] = []
    line, begun = Text(), False
    for word, gap, differs in words:
        if not word:
            found.append(line)
            line, begun = Text(), False
            continue
        if begun and line.cell_len + len(gap) + cell_len(word) > width:
            found.append(line)
            line = Text()
        elif len(gap) + cell_len(word) <= width:
            line.append(gap)
        begun = True
        *full, rest = chop_cells(word, width) or [word]  # no piece where it takes no cells
        style = DIFFERS if differs else ""
        found += [Text(piece, style) for piece in full]
        line.append(rest, style)
    return [*found, line]


def _prompts(shown: Shown) -> list[Text]:
    found: list[Text] = []
    for at, prompt in enumerate(shown.prompts):
        mark = "▸" if at == shown.at else " "
        found.append(Text(f"{mark} {at + 1} {one_line(prompt, _LIST - 5)}"))
    return found


def _beside(names: list[Text], left: list[Text], right: list[Text], room: int) -> list[Text]:
    found: list[Text] = []
    for at in range(max(len(names), len(left), len(right))):
        line = Text()
        for column, width in ((names, _LIST), (left, room + 2), (right, room)):
            cell = column[at].copy() if at < len(column) else Text()
            cell.truncate(width, pad=True)
            line.append_text(cell)
        found.append(line)
    return found
