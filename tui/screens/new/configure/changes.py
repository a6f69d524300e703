"""Changes of the draft by field, each with the sentence that says what it meant."""

from typing import Any

from .....core import config_file
from .....core.config import Problem
from .....core.draft import NEEDED, Draft
from .....core.fields import Field, as_list, declared, field_at
from .....core.raw_values import value_at
from .....core.text import one_line
from .....core.typed import shown
from ....services.drafts import Drafts
from .rows import UNCHOSEN, changed_fields, label_of, plain_default

_MOST_TOLD = 3
_SUBJECTS = {path: name.capitalize() for name, path in NEEDED.items()}


class Changes:
    """Changes the draft for a screen.

    Args:
        drafts: The owner of the draft.

    Attributes:
        said: What the last change meant, in a sentence.
    """

    def __init__(self, drafts: Drafts) -> None:
        self._drafts = drafts
        self.said = ""

    @property
    def _draft(self) -> Draft:
        return self._drafts.draft

    def take(self, field: Field, value: Any) -> str | None:
        """Chooses a value that was typed; returns why it cannot be, or None."""
        value = config_file.absolute(field.path, value)
        alone = Draft()
        alone.change({field.path: value})
        # What is wrong with the value alone, though no type says so: it is typed once more.
        wrong = [p for p in alone.problems() if p.path == field.path and not p.others]
        problems = wrong or self.choose(field, value)
        return one_line(problems[0].message) if problems else None

    def choose(self, field: Field, value: Any) -> list[Problem]:
        """Chooses a value, and those of the fields that follow it; returns why it cannot be."""
        before = {problem.message for problem in self._draft.problems()}
        followers = self._draft.followers(field.path, value)
        problems = self._drafts.change({**followers, field.path: value})
        if problems:
            return problems
        self.said = f"{label_of(field.path)}: {self.shown(field)}."
        fresh = [p for p in self._draft.problems() if p.message not in before]
        if fresh:
            names = " and ".join(label_of(path) for path in (fresh[0].path, *fresh[0].others))
            self.said = one_line(f"✗ {names}: {fresh[0].message}")
        elif followers:
            self.said = " ".join(_follows(field, path, new) for path, new in followers.items())
        return []

    def shown(self, field: Field) -> str:
        """Returns a field's value in short."""
        return one_line(shown(field, self._draft.value(field.path)), 60) or "empty"

    def in_section(self, group: str) -> list[Field]:
        """Returns the fields of a group that are not as their defaults."""
        return [field for field in changed_fields(self._draft.raw()) if field.group == group]

    def forget(self, fields: list[Field]) -> None:
        """Sets fields back, and what follows them with them, as one change."""
        followers: dict[str, Any] = {}
        for field in fields:
            followers |= self._draft.followers(field.path, field.default)
        paths = [field.path for field in fields]
        also = {path: value for path, value in followers.items() if path not in paths}
        at_default = [p for p, value in also.items() if value == plain_default(field_at(p))]
        self._drafts.change(
            {path: value for path, value in also.items() if path not in at_default},
            unset=[*paths, *at_default],
        )
        self.said = f"Back to the default: {', '.join(map(label_of, [*paths, *also]))}."

    def _is_now(self, field: Field) -> str:
        lacks = field.path in NEEDED.values() and not self._draft.chosen(field.path)
        label = _SUBJECTS.get(field.path) or label_of(field.path)
        return f"{label} is {UNCHOSEN if lacks else self.shown(field)}"

    def undo(self) -> str | None:
        """Takes the last change back; returns the path of a field that it was about."""
        before = self._draft.raw()
        if not self._drafts.undo():
            self.said = "Nothing to undo."
            return None
        after = self._draft.raw()
        changed = [
            field
            for field in declared()
            if value_at(before, field.path) != value_at(after, field.path)
            # Of a list of groups its items are told.
            and not any(isinstance(item, dict) for item in as_list(value_at(after, field.path)))
        ]
        told = "; ".join(self._is_now(field) for field in changed[:_MOST_TOLD])
        more = len(changed) - _MOST_TOLD
        told += f" and {more} more" if more > 0 else ""
        self.said = f"Undone: {told or 'the last change'}."
        return changed[0].path if changed else None


def _follows(field: Field, path: str, value: Any) -> str:
    other = field_at(path)
    times = f" ({other.follows[1]:g} ×)" if other.follows else ""
    return (
        f"{other.label} follows {field.label.lower()}{times}: {shown(other, value)}. "
        "Edit it to set it by hand."
    )
