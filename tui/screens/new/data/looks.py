"""What is known of the sources on screen: asked of the helper processes, one thing at a time."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from .....core.config import DataConfig, SourceConfig
from .....core.data.found import Choice, Found
from .....core.data.looked import Glanced, Looked, RowsChecked
from .....core.errors import SftError
from .....core.sidecar.data_calls import CheckRows, Glance, Look, Remember, Sources

if TYPE_CHECKING:
    from .view import DataView

LOOK_PAUSE_S = 0.12
"""How long the cursor must rest before a source is looked at."""
CHECK_PAUSE_S = 0.5
"""How long it must rest before all its rows are gone through."""

Key = tuple[SourceConfig, DataConfig]


class Looks:
    """Lists sources, looks at the first rows of the one that is shown, then goes through all.

    Args:
        screen: Is told by `fill` that the list changed, by `draw` that something of the source
            changed, and by `when_looked` that its first rows are known.

    Attributes:
        choice: What there is; None until it is known.
        looked: The first rows of the source that is shown.
        of: The settings that `looked` is of; None for rows that are not on this machine.
        checked: All its rows, or those so far.
    """

    def __init__(self, screen: "DataView") -> None:
        self._screen = screen
        self._glanced: dict[tuple[str, str | None, int | None], Glanced] = {}
        self._typed: list[Found] = []
        self._looking = False
        self._asked: Key | None = None
        self.choice: Choice | None = None
        self.looked: Looked | None = None
        self.of: Key | None = None
        self.checked: RowsChecked | None = None

    @property
    def listed(self) -> list[Found]:
        """All sources that can be chosen, those that were typed first."""
        found = self.choice.found if self.choice is not None else []
        keys = [(each.source, each.config) for each in found]
        return [*(e for e in self._typed if (e.source, e.config) not in keys), *found]

    @property
    def ready(self) -> bool:
        """Whether the first rows are those of the source as it is set now."""
        return self.looked is not None and self.of is not None and self.of == self._asked

    @property
    def waiting(self) -> bool:
        """Whether the first rows are still to come."""
        return self._asked is not None and self._asked != self.of

    @property
    def rows(self) -> int | None:
        """How many rows the source has, where that is known."""
        if self.of is None or self.looked is None or self.looked.trouble is not None:
            return None
        if self.checked is not None and self.checked.complete:
            return self.checked.rows
        if self.looked.whole:
            return len(self.looked.rows)
        source = self.of[0]
        same = [each for each in self.listed if _is_of(each, source)]
        return self.glanced(same[0]).rows if same else None

    def glanced(self, found: Found) -> Glanced:
        """Returns what is known of a source without a look at it."""
        return self._glanced.get((found.source, found.config, found.size), Glanced())

    def add(self, found: Found) -> None:
        """Lists a source that was typed or brought."""
        if all((each.source, each.config) != (found.source, found.config) for each in self.listed):
            self._typed.insert(0, found)

    async def refresh(self) -> None:
        """Lists what there is now."""
        try:
            folder = str(Path.cwd())
        except FileNotFoundError as error:
            raise SftError(
                "the current folder cannot be listed", "it was removed", "type a path with /"
            ) from error
        ask = self._screen.sft.sidecar.ask
        self.choice = await ask("sources", Sources(folder), Choice)

    async def glance(self) -> None:
        """Asks for rows and shape of each source in turn; a look goes first."""
        for found in self.listed:
            key = (found.source, found.config, found.size)
            if found.problem or key in self._glanced:
                continue
            while self._looking:
                await asyncio.sleep(0.05)
            source = SourceConfig(source=found.source, config=found.config, split=found.split)
            ask = self._screen.sft.sidecar.ask
            self._glanced[key] = await ask("glance", Glance(source), Glanced)
            self._screen.fill()

    def pause(self) -> None:
        """Nobody looks: ends what is under way; `look` begins it again."""
        self._screen.end("look", "check", "glance")
        self._asked, self._looking = None, False

    def forget(self) -> None:
        """Another source is shown, or none."""
        self._screen.end("look", "check")
        self._asked, self._looking = None, False
        self.looked, self.of, self.checked = None, None, None

    def look(self, key: Key, *, anew: bool = False) -> None:
        """Looks at a source, unless that was done; what is shown of it stays until then."""
        if anew or self.of is None or self.of[0].source != key[0].source:
            if key != self._asked or anew:
                self.forget()
        if key == self.of:
            self._asked = key
            self.check()
        elif key != self._asked:
            self._asked = key
            self._screen.begin(lambda: self._look(key), "look")

    async def _look(self, key: Key) -> None:
        await asyncio.sleep(LOOK_PAUSE_S)
        await self.take(Look(*key))

    async def take(self, asked: Look) -> None:
        """Asks for the first rows, and tells the screen."""
        self._looking = True
        try:
            self.looked = await self._screen.sft.sidecar.ask("look", asked, Looked)
        except SftError:
            self._asked = None  # asked again with the next move
            raise
        finally:
            self._looking = False
        self.of = None if asked.given is not None else (asked.source, asked.data)
        self.checked = None
        self._screen.when_looked()
        self.check()

    async def ask(self, source: SourceConfig) -> Looked:
        """Returns how the first rows would come out with other settings."""
        asked = Look(source, self._screen.data)
        return await self._screen.sft.sidecar.ask("look", asked, Looked)

    def check(self) -> None:
        """Goes through all rows, where the first are not all of them."""
        looked, key = self.looked, self.of
        if (
            key is None
            or not self._screen.is_current
            or looked is None
            or looked.whole
            or looked.trouble is not None
        ):
            return
        if self.checked is None or not self.checked.complete:
            self._screen.begin(lambda: self._check(key), "check")

    async def _check(self, key: Key) -> None:
        await asyncio.sleep(CHECK_PAUSE_S)

        def hear(told: Any) -> None:
            if self.of == key:
                self.checked = msgspec.convert(told, RowsChecked)
                self._screen.draw()

        self.checked = await self._screen.sft.passes.ask(
            "check_rows", CheckRows(*key), RowsChecked, hear, end_when_cancelled=True
        )
        self._note_rows(key[0], self.checked.rows)
        self._screen.fill()
        self._screen.draw()

    def _note_rows(self, source: SourceConfig, rows: int) -> None:
        for found in self.listed:
            if _is_of(found, source):
                shape = self.looked.shape if self.looked is not None else None
                self._glanced[(found.source, found.config, found.size)] = Glanced(rows, shape)

    def remember(self, found: Found) -> None:
        """Keeps a path among those used lately."""
        if found.kind not in ("hub", "demo"):
            asked = Remember(found.source)
            ask = self._screen.sft.sidecar.ask
            self._screen.begin(lambda: ask("remember", asked, bool), "remember")


def _is_of(found: Found, source: SourceConfig) -> bool:
    mine = (found.source, found.config, found.split)
    return mine == (source.source, source.config, source.split)
