"""Which models are listed, in which order. Knows no widget and does not ask the Hub."""

import difflib
from collections.abc import Iterator
from pathlib import Path

import msgspec

from .....core import demo
from .....core.hub import local
from .....core.hub.local import LocalModel
from .....core.hub.search import ModelRow

SOURCES = ("hub", "cache", "local")
NAMES = {"hub": "Hub", "cache": "Cache", "local": "Local"}
DEMO = "demo"
_KEPT = 50
DEMO_WORDS = (
    "SmolLM2-135M-Instruct, a small chat model to try things out with: a run takes minutes on a "
    "CPU, and its answers are simple."
)


class Entry(msgspec.Struct, frozen=True):
    """A model as a row: what this machine has of it, and what the Hub's list says."""

    name: str
    """What `model.name` is set to."""
    own: LocalModel | None = None
    row: ModelRow | None = None

    @property
    def is_demo(self) -> bool:
        """Whether it is the embedded model."""
        return self.name == DEMO

    @property
    def here(self) -> bool:
        """Whether it can be trained without the Hub."""
        if self.own is None:
            return self.is_demo
        return self.own.not_trainable is None and self.own.kind != "adapter"

    @property
    def on_hub(self) -> bool:
        """Whether the Hub can be asked for it."""
        return self.row is not None or (self.own is not None and self.own.kind == "cached")

    @property
    def adapter(self) -> bool:
        """Whether it is an adapter, which is no base to train."""
        if self.own is not None and self.own.kind == "adapter":
            return True
        return self.row is not None and (self.row.not_trainable or "").startswith("an adapter")

    @property
    def refused(self) -> str:
        """Why it cannot be trained, as far as the lists tell; "" where nothing says so."""
        if self.here:
            return ""
        if self.adapter:
            return "an adapter, not a base model"
        if self.row is not None:
            return self.row.not_trainable or ""
        if self.own is not None and self.own.kind != "cached":
            return self.own.not_trainable or ""
        return ""  # a cached one that is not whole can be downloaded


class OnThisMachine(msgspec.Struct, frozen=True):
    """What needs no Hub: the models of its cache, and those in and below a folder."""

    folder: Path
    cached: list[LocalModel] = []
    near: list[LocalModel] = []
    demo: LocalModel | None = None
    """The demo's model, where the package that carries it is installed."""


def current_folder() -> Path:
    """Returns the folder that sft-tui was started in; one's own where it was removed since."""
    try:
        return Path.cwd()
    except FileNotFoundError:
        return Path.home()


def look_through(folder: Path) -> OnThisMachine:
    """Reads the cache and a folder, or a GGUF file; a slow disk makes it slow."""
    near = list(local.in_folder(folder))
    if folder.suffix.lower() == ".gguf" and folder.is_file():
        near = [LocalModel(str(folder), "gguf", folder.parent, folder.stat().st_size)]
    file = demo.gguf_file()
    own = LocalModel(DEMO, "gguf", file.parent, file.stat().st_size) if file else None
    return OnThisMachine(folder, local.cached(), near, own)


class ModelList:
    """The lists of the three sources, and what of them is shown."""

    def __init__(self) -> None:
        self.source = SOURCES[0]
        self.words = ""
        self.own = OnThisMachine(current_folder())
        self.listed: list[ModelRow] = []
        self._seen: dict[str, ModelRow] = {}

    def take(self, rows: list[ModelRow]) -> None:
        """Takes an answer of the Hub: all its pages so far."""
        self.listed = rows
        self._seen.update({row.id: row for row in rows})

    def narrow(self, words: str) -> None:
        """Takes other words; of an answer to the older ones the first rows stay meanwhile."""
        self.words, self.listed = words, self.listed[:_KEPT]

    def entries(self) -> list[Entry]:
        """Returns the rows of the source that match the words."""
        own = {"hub": self._usable, "cache": self._cached, "local": self._near}[self.source]()
        rows = [
            *own,
            *([Entry(DEMO, self.own.demo)] if self._matches(f"{DEMO} {demo.HUB_ID}") else []),
        ]
        if self.source == "hub":
            shown = {entry.name for entry in rows}
            parts = {model.name: model for model in self.own.cached}
            rows += [
                Entry(row.id, parts.get(row.id), row)
                for row in self.listed
                if row.id not in shown and self._matches(row.id)
            ]
        return rows

    def _usable(self) -> Iterator[Entry]:
        return (entry for entry in self._cached() if entry.here)

    def _cached(self) -> Iterator[Entry]:
        """Whole ones first: one that was begun is not what one looks for."""
        every = sorted(
            self.own.cached, key=lambda m: m.not_trainable is not None or m.base is not None
        )
        for model in every:
            if self._matches(model.name):
                yield Entry(model.name, model, self._seen.get(model.name))

    def _near(self) -> Iterator[Entry]:
        return (Entry(model.name, model) for model in self.own.near if self._matches(model.name))

    def _matches(self, name: str) -> bool:
        return all(word in name.lower() for word in self.words.lower().split())

    def nearest(self) -> str:
        """Returns the known word that is most like what is looked for, or ""."""
        names = [*self._seen, *(model.name for model in self.own.cached)]
        known = {
            part for name in names for part in name.lower().replace("/", "-").split("-") if part
        } | {name.lower() for name in names}
        found = difflib.get_close_matches(self.words.lower(), known, 1, cutoff=0.6)
        return found[0] if found else ""
