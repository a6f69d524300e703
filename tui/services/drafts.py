"""The draft of the application: every change is told to the screens and saved beside them."""

import threading
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from textual.signal import Signal

from ...core import config_file, draft, presets
from ...core.config import Problem, RunConfig
from ...core.errors import SftError
from ...core.fields import field_at
from ...core.raw_values import value_at

if TYPE_CHECKING:
    from textual.dom import DOMNode

DEMO = "demo"
"""The preset that names a model and data."""


class Drafts:
    """Owns the draft. Screens read `draft` and change it here alone.

    Args:
        owner: The application.

    Attributes:
        changed: Published after every change and every save.
        told: What is still to be said: about the file as it was found, about what left the draft.
        saved_at: Seconds since the epoch of the last save, or None.
        failure: Why the last save failed, or "".
        refused_text: What was written in the editor and could not be taken, or "".
    """

    def __init__(self, owner: "DOMNode") -> None:
        self.draft, self.told = draft.load()
        self.changed: Signal[None] = Signal(owner, "draft")
        self.saved_at: float | None = None
        self.failure = ""
        self.refused_text = ""
        self._wanted: bytes | None = None
        self._lock = threading.Lock()
        self._saver: threading.Thread | None = None

    def set(self, path: str, value: Any) -> list[Problem]:
        """Chooses a value; returns why it cannot be, and then nothing has changed."""
        return self.change({path: value})

    def change(self, values: dict[str, Any], unset: Iterable[str] = ()) -> list[Problem]:
        """Chooses several values, and sets others back, as one change."""
        lent, before = self.draft.lent, self.draft.raw()
        own = {*values, *unset}
        problems = self.draft.change(values, own.difference(values))
        if not problems:
            gone = [path for path in lent if path not in {*self.draft.lent, *own}]
            other = [path for path in gone if self.draft.value(path) != value_at(before, path)]
            passed = value_at(before, draft.LET_PASS)
            if other:
                self.told = _left_behind(other)
            elif passed and draft.LET_PASS not in own and not self.draft.value(draft.LET_PASS):
                self.told = (
                    f"Other rows: {', '.join(passed)} may block the launch again. u takes it back."
                )
            self._save()
        return problems

    def unset(self, path: str) -> None:
        """Goes back to the default of a key."""
        self.change({}, [path])

    def take(self, config: RunConfig, copied_from: str | None = None) -> bool:
        """Takes a file's or a run's configuration; undo brings back what was there.

        Returns:
            Whether that took the place of something else that was chosen.
        """
        replaced = self.draft.take(config, copied_from)
        self._save()
        return replaced

    def take_demo(self) -> bool:
        """Takes the embedded model and data, and settings that leave with them."""
        demo = config_file.build(preset=DEMO)
        replaced = self.draft.take(demo, lent=presets.values(DEMO))
        self._save()
        return replaced

    def take_preset(self, name: str) -> list[Problem]:
        """Takes a preset; returns why it cannot be, and then nothing has changed."""
        problems = self.draft.change(presets.values(name), lent=name == DEMO)
        if not problems:
            self._save()
        return problems

    def rewrite(self, config: RunConfig, lacks: Iterable[str]) -> bool:
        """Takes what an editor made of the draft; returns whether that is anything else."""
        changed = self.draft.rewrite(config, lacks)
        self._save()
        return changed

    def undo(self) -> bool:
        """Takes the last change back; returns whether there was one."""
        done = self.draft.undo()
        if done:
            self._save()
        return done

    def show(self, step: str) -> None:
        """Remembers which step is shown."""
        if step != self.draft.step:
            self.draft.step = step
            self._save()

    def _save(self) -> None:
        """Has the draft written by a thread: a slow disk must not hold up the keys."""
        with self._lock:
            self._wanted = self.draft.encoded()
            if self._saver is None or not self._saver.is_alive():
                self._saver = threading.Thread(target=self._write, daemon=True)
                self._saver.start()
        self.changed.publish(None)

    def _write(self) -> None:
        while True:
            with self._lock:
                data, self._wanted = self._wanted, None
                if data is None:
                    self._saver = None
                    return
            try:
                draft.save(data)
            except SftError as error:
                self.failure = f"{error}. {error.remedy}"
            else:
                self.saved_at, self.failure = time.time(), ""

    def flush(self) -> None:
        """Waits until the last change is on the disk."""
        saver = self._saver
        if saver is not None:
            saver.join(timeout=5.0)


def _left_behind(paths: list[str]) -> str:
    """Says which settings went back to their defaults with the demo's model or data."""
    names = ", ".join(field_at(path).label.lower() for path in paths[:3])
    more = f" and {len(paths) - 3} more" if len(paths) > 3 else ""
    return f"Settings of the demo left with it, as by default now: {names}{more}. u takes it back."
