"""The estimate of a draft in words: memory, steps, time, disk. Unknown is "–", with the reason."""

import textwrap

from rich.text import Text

from ....core.errors import SftError
from ....core.sidecar.effect_calls import Effects, Fit
from ....core.text import one_line
from ...format import UNKNOWN, counted, rounded_clock, speed
from .configure.field_effects import count, percent, size

MARKS = {"fits": "✓", "tight": "!", "over": "✗", "unknown": "?"}
ROLES = {"fits": "success", "tight": "warning", "over": "error", "unknown": "muted"}
_KEY = 8
_BAR = 10
_MOST_DEVICES = 4

Line = tuple[str, str, str]
"""A key such as `memory`, what is said, and a role of the theme or ""."""


def lines(found: Effects | None, error: SftError | None, doing: str = "") -> list[Line]:
    """Returns everything that can be said of a configuration, line by line.

    Args:
        found: What is known.
        error: Why nothing is.
        doing: What takes its time while it is being asked for.
    """
    if error is not None:
        return [("", f"✗ {one_line(str(error))}. {one_line(error.remedy)}", "error")]
    if found is None:
        return [("", one_line(doing) or "Asking…", "muted")]
    return [*_memory(found), *_trained(found), _steps(found), _time(found), _disk(found)]


def in_one_line(found: Effects | None, error: SftError | None, doing: str = "") -> str:
    """Returns the main figures in a line."""
    if error is not None or found is None:
        return "; ".join(text for _, text, _ in lines(found, error, doing))
    memory = UNKNOWN
    if found.fits:
        worst = max(found.fits, key=lambda fit: list(MARKS).index(fit.word))
        memory = f"{_amounts(found, worst)} {MARKS[worst.word]} {worst.word}"
    steps = UNKNOWN if found.steps is None else f"{found.steps:,}"
    time = UNKNOWN if found.total_s is None else f"~{rounded_clock(found.total_s)}"
    disk = UNKNOWN if found.disk is None else size(found.disk.total)
    return f"memory {memory} · steps {steps} · time {time} · disk {disk}"


def drawn(said: list[Line], width: int, colours: dict[str, str]) -> Text:
    """Returns lines as a text, broken under what they say, in the colours of their roles."""
    text = Text()
    keyed = any(key for key, _, _ in said)
    for key, words, role in said:
        room = max(width - _KEY if keyed else width, 12)
        indent = _KEY if keyed else 0
        for place, part in enumerate(textwrap.wrap(words, room) or [""]):
            text.append(f"{key if place == 0 else '':<{indent}}", colours["muted"])
            text.append(f"{part}\n", colours.get(role, ""))
    text.rstrip()
    return text


def _amounts(found: Effects, fit: Fit) -> str:
    need = UNKNOWN if found.memory is None else f"~{found.memory.total / 2**30:.1f}"
    have = UNKNOWN if fit.capacity is None else f"{fit.capacity / 2**30:.1f}"
    return f"{need} / {have} GiB"


def _memory(found: Effects) -> list[Line]:
    if not found.fits:
        return [("memory", f"{UNKNOWN}  no model was chosen", "")]
    said: list[Line] = []
    for fit in found.fits[:_MOST_DEVICES]:
        name = f"{one_line(fit.device, 30)}: " if len(found.fits) > 1 else ""
        bar = ""
        if fit.share is not None:
            filled = min(round(fit.share * _BAR), _BAR)
            bar = "█" * filled + "░" * (_BAR - filled) + "  "
        why = f": {one_line(fit.why)}" if fit.why else ""
        words = f"{name}{_amounts(found, fit)}  {bar}{MARKS[fit.word]} {fit.word}{why}"
        said.append(("memory" if not said else "", words, ROLES[fit.word]))
        if fit.instead:
            not_yet = "" if fit.settable else " (cannot be set yet)"
            total = "" if fit.instead_total is None else f": ~{size(fit.instead_total)}"
            said.append(("", f"would fit with {fit.instead}{total}{not_yet}", ""))
    if len(found.fits) > _MOST_DEVICES:
        said.append(("", f"and {len(found.fits) - _MOST_DEVICES} more devices", ""))
    if found.memory is not None:
        parts = sorted(found.memory.parts.items(), key=lambda part: -part[1])[:3]
        words = " · ".join(f"{name} {size(need)}" for name, need in parts)
        said.append(("", f"{words}; rows of {found.memory.rows_tokens:,} tokens", "muted"))
    return said


def _trained(found: Effects) -> list[Line]:
    failure = found.failure or found.adapter_failure
    if failure is not None:
        why = f"{failure.what}: {failure.why}. {failure.remedy}"
        return [("trained", f"{UNKNOWN}  {one_line(why)}", "")]
    if found.adapter is None:
        return [("trained", UNKNOWN, "")]
    share = "" if found.adapter.share is None else f" ({percent(found.adapter.share)})"
    layers = found.adapter.layers
    words = f"{count(found.adapter.trainable)} parameters{share} in {layers} layers"
    return [("trained", words, "")]


def _steps(found: Effects) -> Line:
    each = f"{found.rows_per_step} rows a step"
    if found.steps is None:
        return ("steps", f"{UNKNOWN}  the rows were not counted yet; {each}", "")
    if found.steps_per_epoch is None:
        return ("steps", f"{found.steps:,}; {each}", "")
    epochs = found.steps / found.steps_per_epoch
    words = f"{epochs:.3g} epoch{'s' * (epochs != 1)} × {found.steps_per_epoch:,}"
    return ("steps", f"{found.steps:,} ({words}); {each}", "")


def _time(found: Effects) -> Line:
    if found.speed is None:
        return ("time", f"{UNKNOWN}  no run with this model was measured", "")
    at = f"at {speed(found.speed.tokens_per_s)} (run {one_line(found.speed.run)[-4:]})"
    if found.total_s is None:
        return ("time", f"{UNKNOWN}  {at}", "")
    return ("time", f"~{rounded_clock(found.total_s)} {at}", "")


def _disk(found: Effects) -> Line:
    disk = found.disk
    if disk is None:
        return ("disk", UNKNOWN, "")
    free = UNKNOWN if disk.free is None else f"{size(disk.free)} free"
    words = f"{counted(disk.kept, 'checkpoint')} × {size(disk.checkpoint)}, {free}"
    if disk.free is not None and disk.total > disk.free:
        return ("disk", f"✗ too little: {words}", "error")
    return ("disk", words, "")
