"""What is said about the field under the cursor: meaning, bounds, default, what it does here."""

from collections.abc import Mapping

from rich.text import Text

from .....core.draft import Draft
from .....core.fields import Field
from .....core.text import one_line
from .....core.typed import shown
from .field_effects import Seen, effect, size
from .rows import plain_default


def problems_of(draft: Draft, path: str) -> str:
    """Returns what is wrong with a field, alone or with others; "" where nothing is."""
    told = [p.message for p in draft.problems() if path in (p.path, *p.others)]
    return one_line("; ".join(told))


def whole(field: Field, seen: Seen, told: str, colours: Mapping[str, str]) -> Text:
    """Returns all of it, for a panel of its own."""
    text = Text()
    if told:
        text.append(f"✗ {told}\n\n", colours["error"])
    text.append(f"{field.help}\n\n")
    text.append(f"{_bounds(field)}\n", colours["muted"])
    here = _here(field, seen)
    if here:
        text.append(f"\nHere: {here}")
    return text


def short(field: Field, seen: Seen, told: str, colours: Mapping[str, str]) -> Text:
    """Returns it on three lines."""
    text = Text()
    if told:
        text.append(f"✗ {told}", colours["error"])
        return text
    here = _here(field, seen)
    text.append(f"{field.help} ")
    text.append(f"{_bounds(field)} ", colours["muted"])
    if here:
        text.append(f"Here: {here}")
    return text


def sentences(field: Field, seen: Seen) -> str:
    """Returns it in plain sentences, with the value."""
    value = one_line(shown(field, seen.value(field.path)))
    here = _here(field, seen)
    return f"{field.label} is {value}. {field.help} {_bounds(field)}" + (
        f" {here}." if here else ""
    )


def _bounds(field: Field) -> str:
    unit = f", in {field.unit}" if field.unit else ""
    default = one_line(shown(field, plain_default(field), unit=False)) or "empty"
    return f"{field.expected().capitalize()}{unit}. Default {default}."


def _here(field: Field, seen: Seen) -> str:
    """Returns what the field does in this run; where memory is trained for it, how much."""
    said = effect(field.path, seen)
    memory = seen.effects.memory if seen.effects else None
    if field.path == "method.rank" and memory is not None:
        need = sum(memory.parts[part] for part in ("adapter", "gradients", "optimizer"))
        said += f", {size(need)} of memory for them"
    return said
