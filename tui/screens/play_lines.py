"""What Play says: pure functions from samples and a conversation to lines of text."""

import re
from collections.abc import Sequence

from rich.text import Text

from ...core.chat import STOPS, Room
from ...core.rundir import RunDir
from ...core.status import Status
from ...core.text import one_line, printable
from ..format import counted, span
from ..services.talk import Exchange, Side, Talk
from ..widgets.notice import wrapped as wrap
from ..widgets.pieces import Line, Piece
from . import sample_text
from .sample_text import Shown

NOTHING = """\
No run to play with yet.

  2   Set up a run

  1   All runs: Enter on one, then 5, plays with it"""
LIVE = "Live: your own questions"
_ALIKE = 24
"""Characters from which on what neighbours begin with alike is left out of the list."""
_BEFORE_A_WORD = re.compile(r"[\s>\]]")
_CUT = "… stopped at the length limit: no end token came"


def prompt_lines(prompts: Sequence[str], width: int) -> list[Line]:
    """Returns a line for each stored prompt, and one for live questions behind them."""
    lines: list[Line] = []
    for at, prompt in enumerate(prompts):
        beside = (*prompts[max(at - 1, 0) : at], *prompts[at + 1 : at + 2])
        skipped = max((_alike(prompt, other) for other in beside), default=0)
        told = f"…{prompt[skipped:]}" if skipped else prompt
        lines.append([Piece(f"{at + 1} {one_line(told, max(width - 3, 8))}", item=at)])
    return [*lines, [Piece(one_line(LIVE, width), item=len(prompts))]]


def _alike(prompt: str, other: str) -> int:
    """Returns how many characters of whole words two prompts begin with, where these are many.

    A turn's text may begin right behind its mark, or on the line after that.
    """
    pairs = enumerate(zip(prompt, other, strict=False))
    alike = next((at for at, (one, two) in pairs if one != two), 0)
    if alike < _ALIKE:
        return 0
    return max((found.end() for found in _BEFORE_A_WORD.finditer(prompt, 0, alike)), default=0)


def prompt_text(shown: Shown, width: int, height: int) -> list[Text]:
    """Returns a stored prompt in lines: of a longer one its end, where the question stands."""
    lines = [Text(line) for line in wrap(printable(shown.prompts[shown.at]), width)]
    if len(lines) > height:
        lines = [Text("…"), *lines[len(lines) - height + 1 :]]
    return lines


def stored(shown: Shown, left: int, right: int) -> tuple[list[Text], list[Text], str]:
    """Returns both answers, each in lines of its width, and how many words differ."""
    base, tuned, said = sample_text.compared(
        shown.base.text if shown.base else None, shown.tuned.text if shown.tuned else None
    )
    sides = [sample_text.wrapped(base, left), sample_text.wrapped(tuned, right)]
    told = zip(sides, (shown.base, shown.tuned), (left, right), strict=True)
    for lines, sample, width in told:
        if sample is not None and not sample.finished:
            lines += [Text(line, "bold") for line in wrap(_CUT, width)]
    if (expected := sample_text.expected_of(shown)) is not None:
        known = wrap(f"expected: {one_line(expected)}", right)
        sides[1] += [Text(), *(Text(line, "italic") for line in known)]
    return sides[0], sides[1], said


def live(exchanges: Sequence[Exchange], side: Side, width: int) -> list[Text]:
    """Returns the conversation with one side in lines of a width."""
    lines: list[Text] = []
    for exchange in exchanges:
        if lines:
            lines.append(Text("─" * width if exchange.alone else ""))
        asked = wrap(f"you: {one_line(exchange.question)}", width)
        lines += [Text(line, "bold") for line in asked]
        lines += _reply(exchange, side, width)
        if exchange.failure:
            lines += [Text(line, "bold") for line in wrap(exchange.failure, width)]
    return lines


def _reply(exchange: Exchange, side: Side, width: int) -> list[Text]:
    reply = exchange.replies.get(side)
    if reply is None:
        said = f"[not asked: {exchange.unasked[side]}]" if side in exchange.unasked else ""
        return [Text(line, "dim") for line in wrap(said, width)] if said else []
    texts = {name: each.text for name, each in exchange.replies.items() if each.answer}
    whole = reply.answer is not None
    if whole and len(texts) == 2:
        base, tuned, _ = sample_text.compared(texts["base"], texts["tuned"])
    else:
        base, tuned, _ = sample_text.compared(reply.text, None)
        tuned = base
    lines = sample_text.wrapped(tuned if side == "tuned" else base, width)
    if reply.answer is None:
        return [*lines, Text("▌")]
    answer = reply.answer
    told = f"[{STOPS[answer.stop]}, {counted(answer.tokens, 'token')}, {span(answer.elapsed_s)}]"
    return [*lines, *(Text(line, "dim") for line in wrap(told, width))]


def differ(exchange: Exchange | None) -> str:
    """Returns how many words of the last answers differ, once both are whole."""
    answers = {side: reply.answer for side, reply in exchange.replies.items()} if exchange else {}
    base, tuned = answers.get("base"), answers.get("tuned")
    if base is None or tuned is None:
        return ""
    return sample_text.compared(base.text, tuned.text)[2]


def live_line(
    talk: Talk,
    run: RunDir,
    step: int | None,
    room: Room | None,
    why: str,
    training: Sequence[str],
    *,
    base: bool,
) -> str:
    """Returns in words whether a model answers, or what loading one takes.

    Args:
        talk: The conversation.
        run: The run that is shown.
        step: Of the weights that would be loaded.
        room: The memory that takes; None while it is looked at.
        why: Why nothing can be loaded; "" where it can.
        training: The ids of runs that are being trained.
        base: Whether the base is to answer too.
    """  # fmt: skip
    if talk.opened is not None and talk.opening is not None:
        kept = "turns kept" if talk.opened.keeps_turns else "each question alone"
        state = "Answering; Esc stops." if talk.state == "answering" else "Enter asks."
        where = f"on {talk.opened.device}, template {talk.opened.template}, {kept}"
        return f"Live: step {talk.opening.chosen.step} {where}. {state}"
    if talk.state == "loading":
        return f"Live: please wait, {talk.phase}… You can type already. Leaving Play ends it."
    if why:
        return f"Live: {why}"
    if room is None:
        return "Live: looking how much memory the model takes…"
    busy = ""
    if training:
        name = "This run" if training[0] == run.id else one_line(training[0], 30)
        busy = f" {name} is being trained: both will be slower."
    fits = "" if room.fits(base=base) else " NOT ENOUGH."
    return f"Live: Enter loads step {step}: {room.words(base=base)}.{fits}{busy}"


def in_words(shown: Shown | None, talk: Talk, run: RunDir, status: Status, line: str) -> str:
    """Returns what is shown in plain sentences."""
    said = [f"Play with {run.id}, {status.word.upper()}.", line]
    if shown is not None:
        said.append(f"Prompt {shown.at + 1} of {len(shown.prompts)}: {shown.prompts[shown.at]}")
        for name, sample in (("Base", shown.base), ("Tuned", shown.tuned)):
            if sample is not None:
                ended = "ended by itself" if sample.finished else "was cut at the length limit"
                text = one_line(sample.text)
                said.append(f"{name} at step {sample.step} answered: {text} (It {ended}.)")
        if (expected := sample_text.expected_of(shown)) is not None:
            said.append(f"Expected: {one_line(expected)}")
        return "\n".join(said)
    for exchange in talk.exchanges:
        said.append(f"You asked: {one_line(exchange.question)}")
        for side, reply in exchange.replies.items():
            ended = f" ({STOPS[reply.answer.stop]})" if reply.answer else ""
            said.append(f"{side.capitalize()} answered: {one_line(reply.text)}{ended}")
        said += [
            f"{side.capitalize()} was not asked: {why}" for side, why in exchange.unasked.items()
        ]
    return "\n".join(said)
