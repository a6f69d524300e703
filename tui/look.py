"""How the application looks on this terminal: by settings and environment."""

import os
from collections.abc import Sequence

from textual.filter import LineFilter, Monochrome, NoColor

from ..core.terminal import colours, draws_all
from . import clocks
from .glyphs import AsciiFilter, BlockFilter, key_words
from .services.settings import Settings
from .theme import theme_for


class Look:
    """What settings mean here, and the filters that every line goes through.

    The filters are made once: Textual keeps filtered lines by the filter.
    """

    def __init__(self) -> None:
        self._environ = dict(os.environ)
        self._no_color = NoColor()
        self._glyphs = {"ascii": AsciiFilter(), "blocks": BlockFilter()}
        self.glyphs = "braille"
        self.colourless = False
        self.theme = theme_for("auto", "auto", self._environ)

    def follow(self, settings: Settings) -> None:
        """Takes theme, colour, glyphs and zone from the settings."""
        usual = "braille" if draws_all(self._environ) else "ascii"
        self.glyphs = usual if settings.glyphs == "auto" else settings.glyphs
        wanted = colours(self._environ) if settings.colour == "auto" else settings.colour
        self.colourless = wanted == "none"
        self.theme = theme_for(settings.theme, wanted, self._environ)
        clocks.use(settings.zone)

    @property
    def ascii(self) -> bool:
        """Whether nothing but ASCII is drawn."""
        return self.glyphs == "ascii"

    def keys(self, text: str) -> str:
        """Returns a text about keys as this terminal can draw it."""
        return key_words(text) if self.ascii else text

    def filters(self, usual: Sequence[LineFilter]) -> list[LineFilter]:
        """Returns the filters in place of the usual ones.

        Textual chooses at the start whether there are colours; here that may change later.
        """
        kept = [each for each in usual if not isinstance(each, (Monochrome, NoColor))]
        if self.colourless:
            kept.append(self._no_color)
        return [*kept, self._glyphs[self.glyphs]] if self.glyphs in self._glyphs else kept
