"""How often the rows of one source come in a mix of several."""

from typing import TYPE_CHECKING

import msgspec

from .....core.data.found import Found
from .....core.fields import field_at
from .....core.text import one_line
from .....core.typed import NotTaken, taken
from ...dialogs import Ask

if TYPE_CHECKING:
    from .screen import DataScreen

_FIELD = field_at("data.sources.0.weight")


def ask_for_weight(screen: "DataScreen", found: Found) -> None:
    """Asks for the weight of a source of the draft, and sets it."""
    source = screen.candidate(found)

    def take(text: str | None) -> None:
        if text is None:
            return
        weight = taken(_FIELD, text)
        if screen.choose(msgspec.structs.replace(source, weight=weight)):
            screen.did(f"The weight of {found.name} is {weight:g} now.")

    question = f"How often do the rows of {one_line(found.name, 40)} come in an epoch?"
    detail = f"Now {source.weight:g}. 1 is once, 2 is twice, 0.5 a fixed random half."
    screen.sft.push_screen(Ask(question, _wrong, detail), take)


def _wrong(text: str) -> str | None:
    """Returns why a text is no weight, or None."""
    try:
        taken(_FIELD, text)
    except NotTaken as error:
        return one_line(str(error))
    return None
