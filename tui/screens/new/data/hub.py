"""Data sets of the Hub: the search, a look without a download, and the download."""

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING, ClassVar

import msgspec

from .....core.data.found import Found
from .....core.errors import SftError
from .....core.hub.client import HubClient, HubError
from .....core.hub.datasets import Wanted
from .....core.sidecar.data_calls import Look
from .....core.text import one_line
from ....format import span
from ..pick import Pick
from . import data_lines
from .sources_panel import Entry

if TYPE_CHECKING:
    from .....core.hub import viewer
    from .....core.hub.search import DatasetRow
    from ....services.hub_search import Failed, HubSearch
    from ....services.hub_search import Found as Answer
    from .view import DataView

PEEK_PAUSE_S = 0.5
"""How long the cursor must rest before the Hub is asked for rows: its requests are limited."""
_NO_VIEWER = ("missing", "server", "garbled")
"""Kinds of errors after which a data set may still be read: the viewer does not have all."""


class HubData:
    """The Hub behind the list of sources.

    Args:
        screen: Shows what there is to show.

    Attributes:
        on: Whether the list shows the Hub.
        note: What is said below the list.
        says: What is said in place of the mapping, or "".
        bringing: The data set that is being downloaded.
        searching: Whether the list is still of other words than those that were typed.
    """

    HEADINGS: ClassVar = (("SIZE", 14), ("DOWNLOADS", 12), ("NOTE", 11))

    def __init__(self, screen: "DataView") -> None:
        self._screen = screen
        self._client: HubClient | None = None
        self._search: HubSearch[DatasetRow] | None = None
        self._rows: list[DatasetRow] = []
        self._words: str = ""
        self._answered: str | None = None
        self._failed = False
        self.on = False
        self.note = ""
        self.says = ""
        self.bringing: str | None = None
        self.searching = False

    def switch(self) -> None:
        """Changes between the files and the Hub."""
        self.on = not self.on
        screen = self._screen
        box = screen.sources.words
        with box.prevent(box.Changed):
            box.value = self._words if self.on else ""
        box.display = bool(box.value)
        self.says = ""
        if self.on and self._client is None:
            self.note = "Asking the Hub…"
            screen.begin(self._connected, "hub")
        screen.looks.forget()
        screen.fill(0)
        screen.look()

    async def _connected(self) -> None:
        """Holds a connection for as long as the screen lives."""
        from .....core.hub import search  # 100 ms with the client's libraries
        from ....services.hub_search import HubSearch

        async with HubClient() as client:
            self._client = client
            self._search = HubSearch(client, search.datasets, self._hear)
            self._search.look_for(self._words)
            await asyncio.Event().wait()

    def look_for(self, words: str) -> None:
        """Searches; an answer takes the place of the list."""
        if words == self._words:
            return
        self._words = words
        self.searching = len(words.strip()) != 1  # a single letter asks nothing
        if self._search is not None:
            self._search.look_for(words)

    def retry(self) -> None:
        """Asks again after a failure."""
        if self._search is not None:
            self._search.look_for(self._words)

    def more(self) -> None:
        """Asks for the next page."""
        if self._search is not None:
            self._search.more()

    def _hear(self, told: "Answer[DatasetRow] | Failed") -> None:
        from ....services.hub_search import Failed

        self.searching = False
        first = told.words != self._answered or self._failed
        self._answered = told.words
        self._failed = isinstance(told, Failed)
        if isinstance(told, Failed):
            self._rows = []
            here = len(self._here())
            known = f"Showing {here} of this machine." if here else "None is on this machine."
            self.note = f"{told.error}. {known} r asks again, t shows files; {told.error.remedy}."
            self._screen.notice = one_line(f"{told.error}.")
        else:
            self._rows = told.rows
            more = ", more below" if told.more else ""
            self.note = f"Hub: {len(told.rows)} found{more}, in {span(told.elapsed_s)}."
            if not told.rows:
                self.note = f"No data set is named like {told.words!r}. Esc, then / for others."
        if self.on:
            self._screen.fill(0 if first else None)
            self._screen.look()

    # The list

    def _here(self) -> list[Found]:
        words = self._words.strip().lower()
        every = [found for found in self._screen.looks.listed if found.kind == "hub"]
        return [found for found in every if words in found.source.lower()]

    def is_here(self, found: Found) -> bool:
        """Says whether a data set was brought to this machine."""
        return any(each is found for each in self._here())

    def entries(self) -> list[Entry]:
        """Returns what is on this machine, then what the Hub has."""
        here = self._here()
        ids = {found.source for found in here}
        return [
            *(Entry(each, (data_lines.size(each.size), "", "✓ here")) for each in here),
            *(self._entry(row) for row in self._rows if row.id not in ids),
        ]

    def _entry(self, row: "DatasetRow") -> Entry:
        note = "⚿ gated" if row.gated else "private" if row.private else row.license or ""
        cells = (row.size or data_lines.UNKNOWN, data_lines.amount(row.downloads), note)
        return Entry(Found(row.id, row.id, "hub"), cells)

    # A look without a download

    def peek(self, found: Found) -> None:
        """Shows the first rows as the Hub's viewer has them, once the cursor rests."""
        self._screen.looks.forget()
        if self.bringing is None:
            self.says = f"Asking the Hub for the first rows of {found.name}…"
            self._screen.begin(lambda: self._peek(found.source), "look")

    async def _peek(self, id: str) -> None:
        from .....core.hub import viewer

        await asyncio.sleep(PEEK_PAUSE_S)
        screen = self._screen
        try:
            splits = await self._splits(id)
            first = await viewer.first_rows(self._connection(), id, *_pair(splits[0]))
        except HubError as error:
            self.says = f"{error}; {error.remedy}."
            screen.draw()
            return
        names = ", ".join(f"{split.config} · {split.split}" for split in splits[:8])
        self.says = f"On the Hub, not here: Enter downloads it. Splits: {names}"
        source = screen.candidate(Found(id, id, "hub"))
        await screen.looks.take(Look(source, screen.data, first.rows))

    def _connection(self) -> HubClient:
        assert self._client is not None  # the Hub is shown only once it was opened
        return self._client

    async def _splits(self, id: str) -> "list[viewer.Split]":
        """Returns configs and splits, the rows for training of the default config first."""
        from .....core.hub import viewer

        found = await viewer.splits(self._connection(), id)
        if not found:
            raise HubError(
                "missing",
                f"{id} cannot be read",
                "the Hub's viewer names no split",
                "choose another",
            )
        order = list(dict.fromkeys(split.config for split in found))
        return sorted(found, key=lambda s: (order.index(s.config), s.split != "train"))

    # The download

    def bring(self, id: str) -> None:
        """Downloads a data set and uses it; asks first which config and split."""
        if self.bringing is not None:
            self._screen.did(f"{self.bringing} is on its way: Esc ends that.")
            return
        self._screen.looks.forget()  # an answer of a look would be shown in place of the progress
        self.bringing = id
        self._say(f"Asking the Hub for the splits of {id}…")
        self._screen.begin(lambda: self._bring(id), "bring")

    def cancel(self) -> None:
        """Ends the download; what came stays."""
        screen = self._screen
        screen.end("bring")
        screen.did(f"{self.bringing}: stopped. What came stays; Enter goes on there.")
        self._end()

    def _end(self) -> None:
        self.bringing, self.says = None, ""
        self._screen.fill()
        self._screen.look()
        self._screen.refresh_footer()

    def _say(self, text: str) -> None:
        self.says = text
        self._screen.sources.note(text)  # on a narrow screen the mapping is not seen
        self._screen.draw()
        self._screen.refresh_footer()

    async def _bring(self, id: str) -> None:
        try:
            wanted = await self._ask(id)
            if wanted is not None:
                await self._download(wanted)
        except SftError as error:
            self._end()
            self.says = f"{id} is not on this machine: {error}; {error.remedy}."
            self._screen.looks.forget()
            self._screen.draw()
            raise
        if wanted is None:
            self._end()
            return
        await self._use(wanted)

    async def _ask(self, id: str) -> Wanted | None:
        """Returns the split that is to be trained; None where nobody wants any."""
        try:
            if self._client is None:
                async with HubClient() as self._client:
                    splits = await self._splits(id)
                self._client = None
            else:
                splits = await self._splits(id)
        except HubError as error:
            if error.kind not in _NO_VIEWER:
                raise
            return Wanted(id, None, "train")  # the download will find out
        several = len({split.config for split in splits}) > 1
        place: int | None = 0
        if len(splits) > 1:
            lines = [f"{split.config}   {split.split}" for split in splits]
            hint = "Enter downloads it   Esc leaves it   s on Data sets the evaluation"
            place = await self._screen.sft.push_screen_wait(
                Pick(f"{id}: which config and split is trained?", lines, hint)
            )
        if place is None:
            return None
        return Wanted(id, splits[place].config if several else None, splits[place].split)

    async def _download(self, wanted: Wanted) -> None:
        from .....core.hub.download import download

        name = f"{wanted.id}, {wanted.split}"
        self._say(f"{name}: asking which files it has…   Esc cancels")
        async with aclosing(download(wanted)) as events:
            async for event in events:
                self._say(f"{name}: {data_lines.download(event)}   Esc cancels")

    async def _use(self, wanted: Wanted) -> None:
        screen = self._screen
        self.bringing, self.says = None, ""
        await screen.looks.refresh()
        found = next(
            each
            for each in screen.looks.listed
            if (each.source, each.config) == (wanted.id, wanted.config)
        )
        screen.use_brought(msgspec.structs.replace(found, split=wanted.split))


def _pair(split: "viewer.Split") -> tuple[str, str]:
    return split.config, split.split
