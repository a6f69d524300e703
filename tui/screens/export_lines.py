"""What Export shows: pure functions from an offer, the choices and how far it came to lines."""

import json
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap

from ...core import verify as verification
from ...core.errors import SftError
from ...core.export import Base
from ...core.export_choices import Choice, Offer, free_bytes, free_folder, written
from ...core.model_card import loading
from ...core.text import one_line, printable
from ..format import counted, from_home, going, number
from ..services.export_work import Order, Outcome
from ..widgets.pieces import Line, Piece

CHECKPOINT, FORM, FOLDER, HUB, VISIBLE = range(5)
NOTHING = "No run to export.\n\nE on Runs (1) takes the run under the cursor."
_LABELS = ("Checkpoint", "Form", "Folder", "Hub", "Seen by")
_INCLUDES = "weights, tokenizer, chat template, model card, loss curve, config.yaml"


@dataclass
class Form:
    """What is chosen. `folder` is None while it follows the other choices."""

    at: int = 0
    merge: bool = False
    folder: Path | None = None
    typed: bool = False
    """Whether the folder is of the user's choice."""
    repo: str = ""
    public: bool = False

    def order(self, offer: Offer) -> Order:
        """Returns what these choices mean."""
        merge = self.merge or offer.full
        folder = self.folder or free_folder(offer.run.id, merge=merge)
        return Order(offer.run, offer.choices[self.at], merge, folder, self.repo, self.public)

    @property
    def rows(self) -> int:
        """How many there are: who sees it is a matter of a push alone."""
        return VISIBLE + 1 if self.repo else VISIBLE


def form_lines(offer: Offer, form: Form, free: int | None) -> list[Line]:
    """Returns a row for each choice, and the size below."""
    order, count = form.order(offer), len(offer.choices)
    size, exact = offer.size_bytes(order.choice, merge=order.merge)
    whole, _ = offer.size_bytes(order.choice, merge=True)
    values = [
        f"{checkpoint(order.choice)}   ({form.at + 1} of {count})",
        "all weights, as they were trained"
        if offer.full
        else f"{_mark(not order.merge)} adapter     {_mark(order.merge)} merged with its base"
        f"{f', {amount(whole)}' if whole else ''}",
        one_line(from_home(str(order.folder))),
        one_line(order.repo) if order.repo else "not pushed",
        "EVERYBODY, where the repository is new" if order.public else "those it is shared with",
    ]
    lines: list[Line] = [
        [Piece(f"{_LABELS[row]:<12}", "muted", row), Piece(values[row], "", row)]
        for row in range(form.rows)
    ]
    told = "not known" if size is None else f"{'' if exact else '~'}{amount(size)} of weights"
    space = "" if free is None else f", {amount(free)} free"
    short = short_of_space(offer, order, free) is not None
    return [*lines, [Piece(f"{'Size':<12}", "muted"), Piece(told + space, "bad" if short else "")]]


def _mark(chosen: bool) -> str:
    return "(•)" if chosen else "( )"


def checkpoint(choice: Choice) -> str:
    """Returns what a choice is of: its name, its step, its evaluation."""
    name = "" if choice.name == "step" else f"{choice.name}: "
    loss = "" if choice.loss is None else f", evaluation loss {number(choice.loss)}"
    return f"{name}step {choice.chosen.step:,}{loss}"


def amount(size: int) -> str:
    """Returns bytes in the unit that fits them."""
    for power, unit in ((30, "GiB"), (20, "MiB")):
        if size >= 2**power:
            return f"{size / 2**power:.1f} {unit}"
    return f"{size / 2**10:.1f} KiB"


def short_of_space(offer: Offer, order: Order, free: int | None) -> SftError | None:
    """Returns why there is no room for an export, or None."""
    size, _ = offer.size_bytes(order.choice, merge=order.merge)
    if size is None or free is None or size <= free:
        return None
    return SftError(
        "there is no room for it",
        f"it takes {amount(size)}, and {amount(free)} are free on the disk of "
        f"{from_home(str(order.folder.parent))}",
        "free space, or choose another folder",
    )


def room(form: Form, offer: Offer) -> int | None:
    """Returns the bytes that are free where the export goes."""
    return free_bytes(form.order(offer).folder)


def command(order: Order) -> str:
    """Returns the command that does the same."""
    parts = ["sft-tui", "export", order.run.id, "--to", str(order.folder)]
    if order.choice.argument:
        parts += ["--checkpoint", order.choice.argument]
    parts += ["--merge"] if order.merge and not order.choice.chosen.full else []
    parts += ["--push", order.repo] if order.repo else []
    parts += ["--public"] if order.repo and order.public else []
    return shlex.join(parts)


def idle_lines(order: Order, width: int) -> list[Line]:
    """Returns what will be written, and the command that does the same."""
    lines = _labelled("Includes", _INCLUDES, width)
    if order.merge:
        note = (
            "each sum is made in fp32 and stored in the base's precision; it runs on the CPU and "
            "needs as much memory as the base"
        )
        lines += _labelled("Merging", note, width)
    if order.repo:
        lines += _labelled("Push", "asked again when it is written, with all that goes", width)
    return [*lines, *_labelled("Same as", command(order), width)]


def outcome_lines(outcome: Outcome, code: str, width: int) -> list[Line]:
    """Returns how far an export came: under way, failed, or written and what came after."""
    lines: list[Line] = []
    if outcome.doing:
        lines += _wrapped(f"{doing(outcome)}", width, "info")
        what = "Esc cancels it; nothing of it is left behind."
        lines += _wrapped(what, width, "muted")
    if (error := outcome.failure) is not None:
        lines += _wrapped(f"✗ {sentence(error.what)}", width, "bad")
        lines += _wrapped(sentence(error.why), width)
        lines += _wrapped(f"Do: {error.remedy}", width)
    for text in outcome.said:
        lines += _wrapped(text, width, "warn")
    if (folder := outcome.folder) is not None:
        lines += _wrapped(f"✓ {told(folder)}", width, "good")
        if outcome.pushed:
            lines += _wrapped(f"✓ Pushed: {outcome.pushed}", width, "good")
        if (found := outcome.verdict) is not None:
            kind = "bad" if not found.ok else "good" if not found.why_not else "warn"
            said = " ".join(verification.in_words(found))
            lines += _wrapped(f"{'✓' if found.ok else '✗'} {said}", width, kind)
        lines += [[], [Piece("To load it in Python:", "muted")]]
        lines += [[Piece(f"  {line}")] for line in code.split("\n")]
    return lines


def doing(outcome: Outcome) -> str:
    """Returns what is under way, and how far it is."""
    event = outcome.event
    if event is None:
        return f"{outcome.doing.capitalize()}…"
    if event.event == "waiting":
        return f"{outcome.doing.capitalize()}: waiting {event.wait_s} s, {one_line(event.reason)}"
    return f"{outcome.doing.capitalize()}: {going(event)}"


def told(folder: Path) -> str:
    """Returns what was written, and where."""
    try:
        files, size = written(folder)
    except OSError:  # moved or removed since
        return f"Written, and gone since: {one_line(from_home(str(folder)))}"
    return f"Written: {one_line(from_home(str(folder)))} ({counted(files, 'file')}, {amount(size)})"


def code_of(offer: Offer, order: Order) -> str:
    """Returns the lines of Python that load an export on this machine."""
    name = offer.config.model.name
    base = Base(name, False, None) if Path(name).is_absolute() else offer.base
    return printable(loading(base, json.dumps(str(order.folder)), merged=order.merge))


def sentence(text: str) -> str:
    """Returns a text as a sentence."""
    text = one_line(text)
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")


def in_words(offer: Offer, form: Form, free: int | None, outcome: Outcome | None) -> str:
    """Returns the screen in sentences."""
    rows = form_lines(offer, form, free)
    order = form.order(offer)
    said = [f"Export of {one_line(offer.run.id)}.", *(_spoken(row) for row in rows)]
    said.append(f"The same without a screen: {command(order)}.")
    if outcome is not None:
        lines = outcome_lines(outcome, code_of(offer, outcome.order), 10_000)
        said += ["".join(piece.text for piece in line) for line in lines]
    return "\n".join(said)


def _spoken(line: Line) -> str:
    label, value = (piece.text.strip() for piece in line)
    return f"{label}: {value}."


def _labelled(label: str, text: str, width: int) -> list[Line]:
    parts = wrap(one_line(text), max(width - 12, 20), break_on_hyphens=False) or [""]
    return [
        [Piece(f"{label if number == 0 else '':<12}", "muted"), Piece(part)]
        for number, part in enumerate(parts)
    ]


def _wrapped(text: str, width: int, kind: str = "") -> list[Line]:
    parts: Iterable[str] = wrap(one_line(text), max(width, 20), break_on_hyphens=False)
    return [[Piece(part, kind)] for part in parts]
