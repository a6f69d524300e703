"""The draft of the application: every change is told to the screens and saved beside them.

Other windows of the application have the same draft: what they chose is taken before it is written.
"""

import threading
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from textual.signal import Signal

from ...core import config_file, draft, draft_file, presets
from ...core.config import Problem, RunConfig
from ...core.draft_merge import Merged, merge
from ...core.errors import SftError
from ...core.fields import field_at
from ...core.raw_values import value_at

if TYPE_CHECKING:
    from textual.dom import DOMNode

DEMO = "demo"
"""The preset that names a model and data."""
_SUBJECTS = {"model.name": "model", "data.sources": "data"}


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
        self._owner = owner
        self._file = draft_file.DraftFile()
        self.draft, self.told = self._file.load()
        self.changed: Signal[None] = Signal(owner, "draft")
        self.saved_at: float | None = None
        self.failure = ""
        self.refused_text = ""
        self._wanted: bool | None = None
        """Whether the file is to be written; False where it is only to be looked at."""
        self._lock = threading.RLock()
        """Held by who changes the draft: keys, and the thread that takes another window's."""
        self._saver: threading.Thread | None = None

    def set(self, path: str, value: Any) -> list[Problem]:
        """Chooses a value; returns why it cannot be, and then nothing has changed."""
        return self.change({path: value})

    def change(self, values: dict[str, Any], unset: Iterable[str] = ()) -> list[Problem]:
        """Chooses several values, and sets others back, as one change."""
        own = {*values, *unset}
        with self._lock:
            lent, before = self.draft.lent, self.draft.raw()
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
        with self._lock:
            replaced = self.draft.take(config, copied_from)
        self._save()
        return replaced

    def take_demo(self) -> bool:
        """Takes the embedded model and data, and settings that leave with them."""
        demo = config_file.build(preset=DEMO)
        with self._lock:
            replaced = self.draft.take(demo, lent=presets.values(DEMO))
        self._save()
        return replaced

    def take_preset(self, name: str) -> list[Problem]:
        """Takes a preset; returns why it cannot be, and then nothing has changed."""
        with self._lock:
            problems = self.draft.change(presets.values(name), lent=name == DEMO)
        if not problems:
            self._save()
        return problems

    def rewrite(self, config: RunConfig, lacks: Iterable[str]) -> bool:
        """Takes what an editor made of the draft; returns whether that is anything else."""
        with self._lock:
            changed = self.draft.rewrite(config, lacks)
        self._save()
        return changed

    def undo(self) -> bool:
        """Takes the last change back; returns whether there was one."""
        with self._lock:
            done = self.draft.undo()
        if done:
            self._save()
        return done

    def show(self, step: str) -> None:
        """Remembers which step is shown."""
        if step != self.draft.step:
            with self._lock:
                self.draft.step = step
            self._save()

    def look(self) -> None:
        """Has the file read by a thread: another window may have changed the draft."""
        self._ask(writes=False)

    def _save(self) -> None:
        """Has the draft written by a thread: a slow disk must not hold up the keys."""
        self._ask(writes=True)
        self.changed.publish(None)

    def _ask(self, *, writes: bool) -> None:
        with self._lock:
            self._wanted = writes or bool(self._wanted)
            if self._saver is None or not self._saver.is_alive():
                self._saver = threading.Thread(target=self._work, daemon=True)
                self._saver.start()

    def _work(self) -> None:
        while True:
            with self._lock:
                writes, self._wanted = self._wanted, None
                if writes is None:
                    self._saver = None
                    return
            try:
                self._exchange(writes)
            except SftError as error:
                self.failure = f"{error}. {error.remedy}"
            else:
                if writes:
                    self.saved_at, self.failure = time.time(), ""

    def _exchange(self, writes: bool) -> None:
        """Takes what another window wrote, and writes the draft."""
        with draft_file.held():
            theirs, told = self._file.look()
            with self._lock:
                if theirs is not None:
                    merged = merge(self._file.seen, self.draft.content, theirs)
                    self.draft.content, self._file.seen = merged.content, theirs
                    told = f"{told} {_merged(merged)}".strip()
                content = self.draft.content
            if theirs is not None or told:
                self._owner.call_later(self._news, told)
            if writes:
                self._file.write(content)

    def _news(self, told: str) -> None:
        self.told = f"{self.told} {told}".strip()
        self.changed.publish(None)

    def flush(self) -> None:
        """Waits until the last change is on the disk."""
        saver = self._saver
        if saver is not None:
            saver.join(timeout=5.0)


def _left_behind(paths: list[str]) -> str:
    """Says which settings went back to their defaults with the demo's model or data."""
    return (
        f"Settings of the demo left with it, as by default now: {_names(paths)}. u takes it back."
    )


def _merged(merged: Merged) -> str:
    """Says what another window made of the draft."""
    if merged.apart:
        return "Another window changed the whole draft: this one stands, u brings the other."
    told: list[str] = []
    if merged.came:
        told.append(f"Another window changed the draft too: {_names(merged.came)}.")
    if merged.refused:
        told.append(f"Both chose {_names(merged.refused)}: this stands, u brings the other's.")
    return " ".join(told)


def _names(paths: list[str]) -> str:
    names = ", ".join(_SUBJECTS.get(path) or field_at(path).label.lower() for path in paths[:3])
    return f"{names} and {len(paths) - 3} more" if len(paths) > 3 else names
