"""The fields that are looked for."""

from .....core.fields import declared, nearest
from .....core.text import one_line
from .rows import label_of, search


class Finder:
    """The fields that were looked for, the one that is shown first.

    Attributes:
        said: What was found, in a sentence.
    """

    def __init__(self) -> None:
        self._found: list[str] = []
        self.said = ""

    @property
    def several(self) -> bool:
        """Whether there is another to go to."""
        return len(self._found) > 1

    def look(self, words: str) -> str | None:
        """Looks for words; returns the path of the best match."""
        self._found = search(words)
        self.said = ""
        if self._found:
            path = self._found[0]
            more = f", n the next of {len(self._found)}" if self.several else ""
            self.said = f"{label_of(path)} ({path}). Enter stays{more}."
            return path
        if words.strip():
            near = nearest(words.strip(), [field.path for field in declared()])
            hint = f" The nearest is {label_of(near)} ({near})." if near else ""
            self.said = one_line(f"No field is called {words!r}.{hint}")
        return None

    def turn(self, way: int) -> str:
        """Returns the next match, 1, or the one before, -1."""
        self._found = [*self._found[way:], *self._found[:way]]
        return self._found[0]

    def forget(self) -> None:
        """Looks for nothing any more."""
        self._found = []
