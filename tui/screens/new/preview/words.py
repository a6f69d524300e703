"""Says in words what a row is, what a token is and why it is trained or not."""

from collections.abc import Sequence

from .....core.config import DataConfig
from .....core.data.results import PreviewedRow, Said
from .....core.text import one_line
from ....format import percent
from ....preview_text import spelled
from .token_lines import Item


def row_notice(row: PreviewedRow) -> str:
    """Returns what a row is in one sentence, first whether it teaches to stop."""
    trained = sum(token.trained for token in row.tokens)
    share = percent(trained / len(row.tokens)) if row.tokens else percent(None)
    cut = f", {row.cut_tokens:,} cut" if row.cut_tokens else ""
    return (
        f"Row {row.row}: {end_in_words(row)} · {len(row.tokens):,} tokens, "
        f"{trained:,} trained ({share}){cut}"
    )


def end_in_words(row: PreviewedRow) -> str:
    """Returns whether the end of its answers is trained."""
    found = {problem.id for problem in row.problems}
    if "row_dropped" in found:
        return "longer than data.max_length, so left out"
    if not any(token.trained for token in row.tokens):
        return "nothing is trained, so left out"
    if found & {"end_not_trained", "pad_end_masked"}:
        return "end of turn NOT trained"
    if row.cut_tokens and row.cut_trained and row.cut_at == len(row.tokens):
        return "end of turn NOT trained, it is cut off"
    last = next(token for token in reversed(row.tokens) if token.trained)
    if last.special:
        return f"end of turn trained {one_line(last.text, 24)}"
    return "no end-of-turn token is trained"


def token_words(row: PreviewedRow, items: Sequence[Item], cursor: int, data: DataConfig) -> str:
    """Returns what a token is: its text and id, whether it is trained, why, and in which turn."""
    if not 0 <= cursor < len(items):
        return ""
    token, place, cut = items[cursor]
    text = f"“{spelled(token.text)}”" if token.text else "(a further byte of its character)"
    said = next((said for said in row.turns if said.begin <= place < said.end), None)
    where = _where(row, said, place)
    if cut:
        state = "CUT by data.max_length"
        why = "it would have been trained" if token.trained else "it was context"
        return f"Token {place} {text} id {token.id} · {state}: {why} · {where}"
    state = "TRAINED" if token.trained else "not trained"
    special = " · special" if token.special else ""
    why = _why(row, said, token.trained, place, data)
    return f"Token {place} {text} id {token.id}{special} · {state}{why} · {where}"


def _where(row: PreviewedRow, said: Said | None, place: int) -> str:
    """Returns the turn that a token is of, or what it stands before or behind."""
    if said is not None:
        return f"{said.role} turn {said.turn}"
    if any(turn.begin == turn.end for turn in row.turns):
        return "the template's text, or of a turn that it changes"
    after = next((turn for turn in row.turns if turn.begin > place), None)
    before = next((turn for turn in reversed(row.turns) if turn.end <= place), None)
    if after is None and before is not None:
        return f"the template's text, after {before.role} turn {before.turn}"
    if after is not None:
        return f"the template's text, before {after.role} turn {after.turn}"
    return "the template's text"


def _why(row: PreviewedRow, said: Said | None, trained: bool, place: int, data: DataConfig) -> str:
    if trained and place == 0:
        return ", but as the first token it is never predicted"
    if trained and data.loss_on == "full":
        return ": data.loss_on is full"
    if trained:
        return ": it is said by the assistant" if said else ": it ends or belongs to an answer"
    if said is not None and said.role == "assistant":
        if data.loss_on == "last_turn":
            return ": data.loss_on is last_turn, and this is an earlier answer"
        return ": this answer is context, its weight is 0"
    return ": context" if said is not None else ""


def describe_row(row: PreviewedRow, side: str, cursor: str) -> str:
    """Returns a row in plain sentences."""
    problems = "; ".join(one_line(problem.message, 200) for problem in row.problems)
    return " ".join(
        part
        for part in (
            f"Row {row.row} of {one_line(row.source)}{f', {side}' if side else ''}.",
            f"{row_notice(row).partition(': ')[2].replace(' · ', '; ').capitalize()}.",
            f"Shape {row.shape} ({row.certainty}), template {row.template}, answers found by "
            f"{row.mask_from}.",
            f"Problems: {problems}." if problems else "No problem with this row.",
            f"{cursor}." if cursor else "",
        )
        if part
    )
