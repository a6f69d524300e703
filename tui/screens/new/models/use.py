"""What happens when a model is taken: looked at, put into the draft, brought here."""

import os
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from textual.widgets import Input

from .....core.errors import UsageError
from .....core.hub.facts import checked_id
from .....core.hub.fetch import Request
from .....core.text import one_line
from ....services.model_sheets import Looked
from . import model_words
from .listing import Entry

if TYPE_CHECKING:
    from .screen import ModelsScreen

_GROUP = "use"


class ModelUse:
    """Takes models for the screen of models.

    Args:
        screen: Whose list and draft it works on.
    """

    def __init__(self, screen: "ModelsScreen") -> None:
        self._screen = screen
        self._asked = ""
        """The model about which a second Enter was asked for."""

    def forget_question(self) -> None:
        """Another model is under the cursor: a second Enter means that one."""
        entry = self._screen.table.entry
        if entry is not None and entry.name != self._asked:
            self._asked = ""

    def take(self, entry: Entry) -> None:
        """Uses a model, after a look at it where the Hub has it."""
        looked = self._screen.sheets.of(entry.name)
        unknown = looked is None or looked.passing
        if entry.on_hub and not entry.here and unknown and (not entry.refused or entry.adapter):
            self._look_first(entry.name, entry)
        else:
            self._decide(entry, looked)

    def typed(self, text: str) -> None:
        """Takes what was typed: a path, a full name of the Hub, or words that were looked for."""
        screen = self._screen
        if text.startswith(("/", "~", "./", "../")) or text in (".", ".."):
            self._look_in(text)
            return
        known = screen.table.entry_of(text)
        if known is not None:
            self.take(known)
        elif "/" in text:
            try:
                self._look_first(checked_id(text), None)
            except UsageError as error:
                screen.notice = one_line(f"{error}, {error.remedy}. A path begins with / ~ or ./")
        else:
            screen.table.focus()

    def _look_in(self, text: str) -> None:
        screen = self._screen
        try:
            folder = Path(os.path.abspath(Path(text).expanduser()))
        except RuntimeError:
            screen.notice = one_line(f"{text} cannot be found: there is no such user.")
            return
        if not folder.exists():
            screen.notice = one_line(f"{folder} is not there. Check the path.")
            return
        screen.list.own = msgspec.structs.replace(screen.list.own, folder=folder, near=[])
        screen.list.source = "local"
        with screen.prevent(Input.Changed):
            screen.query_one("#models-words", Input).value = screen.list.words = ""
        screen.table.touched = False
        screen.table.focus()
        screen.scan()

    def _look_first(self, name: str, entry: Entry | None) -> None:
        screen = self._screen
        screen.notice = one_line(f"Asking the Hub about {name}…")

        async def look() -> None:
            looked = await screen.sheets.get(name, False)
            row = looked.about.row if looked.about else None
            self._decide(entry or Entry(name, row=row), looked)

        self._work(look())

    def _decide(self, entry: Entry, looked: Looked | None) -> None:
        screen, name = self._screen, entry.name
        if entry.adapter:
            self._take_base(entry, looked)
            return
        problem = model_words.why_not(entry, looked, screen.hub.endpoint)
        if problem:
            screen.notice = problem
            return
        sheet = looked.sheet if looked else None
        if not self._put(name):
            return
        if sheet is not None and sheet.word == "over" and self._asked != name:
            self._asked = name
            fits = f"It would fit with {sheet.instead}" if sheet.instead else sheet.why
            screen.notice = one_line(f"✗ over, though in the draft now: Enter goes on. {fits}.")
            return
        told = f"{name} is the model."
        if not entry.here:
            screen.sft.downloads.start(Request(name, revision=self._revision(name)))
            told += " It is being downloaded; a run may start before: it fetches what is missing."
        screen.sft.show_step("data")
        screen.sft.did(told)

    def _take_base(self, entry: Entry, looked: Looked | None) -> None:
        """An adapter is no start; its base is one, after a second Enter."""
        screen = self._screen
        base = model_words.base_of(entry, looked)
        if base is not None and self._asked == entry.name:
            known = screen.table.entry_of(base)
            if known is not None and not known.adapter:
                self.take(known)
            else:
                self._look_first(base, None)
            return
        self._asked = entry.name
        screen.notice = model_words.why_not(entry, looked, screen.hub.endpoint)

    def _put(self, name: str) -> bool:
        """Puts the name into the draft; a revision is one of the model that was there."""
        screen = self._screen
        values: dict[str, str | None] = {"model.name": name}
        if name != screen.draft.value("model.name") and screen.draft.chosen("model.revision"):
            values["model.revision"] = None
        problems = screen.drafts.change(values)
        if problems:
            screen.notice = one_line(f"{name} cannot be used: {problems[0].message}.")
        return not problems

    def _revision(self, name: str) -> str:
        draft = self._screen.draft
        if draft.value("model.name") != name:
            return "main"
        return draft.value("model.revision") or "main"

    # Downloads

    def can_download(self, entry: Entry) -> bool:
        """Returns whether a model can be brought here, and is not being."""
        screen = self._screen
        if not entry.on_hub or entry.here or entry.name in self._running():
            return False
        return not model_words.why_not(entry, screen.sheets.of(entry.name), "")

    def download(self, entry: Entry) -> None:
        """Brings a model here without using it."""
        self._screen.sft.downloads.start(Request(entry.name, revision=self._revision(entry.name)))
        self._screen.did(f"Downloading {entry.name}; D stops it.")

    def to_stop(self) -> str | None:
        """Returns which download D stops: that of the model under the cursor, else the newest.

        None while D would begin one.
        """
        entry, running = self._screen.table.entry, self._running()
        if entry is not None and entry.name in running:
            return entry.name
        if entry is not None and self.can_download(entry):
            return None
        return running[-1] if running else None

    def stop_download(self) -> None:
        """Stops the one that `to_stop` names."""
        if (name := self.to_stop()) is not None:
            self._screen.sft.downloads.stop(name)
            self._screen.did(f"Download of {name} stopped: what came stays, and D goes on.")

    def _running(self) -> list[str]:
        return [one.request.id for one in self._screen.sft.downloads.running()]

    # Tokens

    def signed_in(self, account: str | None) -> None:
        """Asks everything anew for the account whose token was given."""
        if account is None:
            return
        screen = self._screen
        screen.did(f"The token is kept: you are {account} on the Hub. Asking again.")

        async def ask() -> None:
            screen.sheets.stop()
            await screen.hub.renew()
            screen.sheets.forget_failures()
            screen.show_list()

        self._work(ask())

    def _work(self, work: Coroutine[Any, Any, None]) -> None:
        """Does one thing in place of the one before; what fails is said."""

        async def guarded() -> None:
            try:
                await work
            except Exception as error:  # the program's own fault: not lost with the worker
                self._screen.notice = one_line(f"That failed: {type(error).__name__}: {error}")

        self._screen.run_worker(guarded(), group=_GROUP, exclusive=True, exit_on_error=False)
