"""How the application looks on this terminal: theme and glyphs, by settings and environment."""

import os
from collections.abc import Sequence

from textual.filter import LineFilter, Monochrome, NoColor

from .glyphs import AsciiFilter, is_ascii, key_words
from .services.settings import Settings
from .theme import theme_for


class Look:
    """What settings mean here, and the filters that every line goes through.

    The filters are made once: Textual keeps filtered lines by the filter.
    """

    def __init__(self) -> None:
        self._environ = dict(os.environ)
        self._no_color = NoColor()
        self._ascii = AsciiFilter()
        self.ascii = False
        self.theme = theme_for("auto", self._environ)

    def follow(self, settings: Settings) -> None:
        """Takes theme and glyphs from the settings."""
        self.ascii = is_ascii(settings.glyphs, self._environ)
        self.theme = theme_for(settings.theme, self._environ)

    def keys(self, text: str) -> str:
        """Returns a text about keys as this terminal can draw it."""
        return key_words(text) if self.ascii else text

    def filters(self, usual: Sequence[LineFilter]) -> list[LineFilter]:
        """Returns the filters in place of the usual ones.

        Textual chooses at the start how NO_COLOR is kept; here a theme may be changed later: the
        terminal's own colours are left out, others become grey.
        """
        kept = [
            self._no_color if isinstance(each, Monochrome) and self.theme.ansi else each
            for each in usual
        ]
        return [*kept, self._ascii] if self.ascii else kept
