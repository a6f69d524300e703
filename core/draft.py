"""The draft of a run: what was chosen so far, on the disk after every change.

It holds only what differs from the defaults, as a configuration file would, so a draft without a
model is one that says none. It knows nothing of screens.
"""

import copy
import os
import time
from pathlib import Path
from typing import Any

import msgspec

from . import config_file
from .config import ConfigError, Problem, RunConfig, SourceConfig
from .fields import as_list, as_map, check_raw
from .regular import read_small
from .rundir import explain_os_error, home, make_folder, write_atomic

STEPS = ("models", "data", "preview", "configure", "review")
_KEPT = 100
"""Changes that can be undone."""
_LIMIT_BYTES = 1 << 24


class Content(msgspec.Struct, kw_only=True):
    """What the file holds."""

    step: str = STEPS[0]
    values: dict[str, Any] = {}
    earlier: list[dict[str, Any]] = []
    """`values` before each change, the newest last."""
    copied_from: str | None = None
    """The run that this is a copy of."""


class Draft:
    """What was chosen, and what was chosen before.

    Args:
        content: As `load` read it; None begins anew.
    """

    def __init__(self, content: Content | None = None) -> None:
        self._content = content or Content()

    @property
    def step(self) -> str:
        """The step that is shown; a name of `STEPS`."""
        return self._content.step

    @step.setter
    def step(self, step: str) -> None:
        self._content.step = step

    @property
    def values(self) -> dict[str, Any]:
        """What was chosen, as a configuration file would say it. Not to be changed in place."""
        return self._content.values

    @property
    def copied_from(self) -> str | None:
        """The id of the run that this is a copy of."""
        return self._content.copied_from

    def value(self, path: str) -> Any:
        """Returns the value of a key, the default where none was chosen."""
        place: Any = self.raw()
        for part in path.split("."):
            if isinstance(place, list):
                items = as_list(place)
                place = items[int(part)] if int(part) < len(items) else None
            else:
                place = as_map(place).get(part)
        return place

    def chosen(self, path: str) -> bool:
        """Returns whether a key was set, to its default or to something else."""
        place: Any = self.values
        for part in path.split("."):
            if isinstance(place, list) and part.isdigit() and int(part) < len(as_list(place)):
                place = as_list(place)[int(part)]
            elif isinstance(place, dict) and part in place:
                place = as_map(place)[part]
            else:
                return False
        return True

    def set(self, path: str, value: Any) -> list[Problem]:
        """Chooses a value; returns why it cannot be, and then nothing has changed.

        Problems between fields do not refuse it: see `problems`.
        """
        return self.change({path: value})

    def change(self, values: dict[str, Any]) -> list[Problem]:
        """Chooses several values as one change that can be undone as one."""
        new = copy.deepcopy(self.values)
        problems = [p for path, value in values.items() for p in config_file.put(new, path, value)]
        if not problems:
            problems = [p for p in check_raw(_over_defaults(new)) if p.path in values]
        if not problems:
            self._replace(new)
        return problems

    def unset(self, path: str) -> None:
        """Goes back to the default of a key."""
        if not self.chosen(path):
            return
        new = copy.deepcopy(self.values)
        *parents, last = path.split(".")
        place: Any = new
        for part in parents:
            place = as_list(place)[int(part)] if isinstance(place, list) else as_map(place)[part]
        del place[last]
        self._replace(new)

    def take(self, config: RunConfig, copied_from: str | None = None) -> None:
        """Takes a file's or a run's configuration; what was there before can be undone."""
        values = _difference(config_file.to_raw(config), config_file.to_raw(RunConfig()))
        sources = [
            {"source": source.source}
            | _difference(config_file.to_raw(source), config_file.to_raw(SourceConfig()))
            for source in config.data.sources
        ]
        # Chosen even where they are the defaults: without them something would be missing.
        values.setdefault("model", {})["name"] = config.model.name
        values.setdefault("data", {})["sources"] = sources
        self._replace(values)
        self._content.copied_from = copied_from

    def undo(self) -> bool:
        """Takes the last change back; returns whether there was one."""
        while self._content.earlier:
            values = self._content.earlier.pop()
            if not check_raw(_over_defaults(values)):  # a key of another version: passed over
                self._content.values = values
                return True
        return False

    def _replace(self, values: dict[str, Any]) -> None:
        if values != self.values:
            self._content.earlier = [*self._content.earlier, self.values][-_KEPT:]
            self._content.values = values

    def raw(self) -> dict[str, Any]:
        """Returns the whole configuration as plain maps: what was chosen over the defaults."""
        return _over_defaults(self.values)

    def missing(self) -> list[str]:
        """Returns what a run cannot do without and nobody chose: `model`, `data`."""
        needed = {"model": "model.name", "data": "data.sources.0.source"}
        return [name for name, path in needed.items() if not self.chosen(path)]

    def problems(self) -> list[Problem]:
        """Returns what is wrong with the values that were chosen, also between them."""
        return config_file.check(self.raw())[1]

    def config(self) -> RunConfig:
        """Returns the configuration of the run.

        Raises:
            ConfigError: Something is wrong with it, or missing.
        """
        lacking = [Problem(name, f"no {name} was chosen") for name in self.missing()]
        config, problems = config_file.check(self.raw())
        if config is None or problems or lacking:
            raise ConfigError([*lacking, *problems], "of the draft")
        return config

    def encoded(self) -> bytes:
        """Returns what the file is to hold."""
        return msgspec.json.encode(self._content)


def _difference(raw: dict[str, Any], default: dict[str, Any]) -> dict[str, Any]:
    """Returns the keys of a map of groups, or of one group, that are not as the default."""
    out: dict[str, Any] = {}
    for key, value in raw.items():
        if isinstance(default[key], dict) and isinstance(value, dict) and default[key]:
            inner = _difference(as_map(value), as_map(default[key]))
            if inner:
                out[key] = inner
        elif value != default[key]:
            out[key] = value
    return out


def _over_defaults(values: dict[str, Any]) -> dict[str, Any]:
    raw = config_file.to_raw(RunConfig())
    config_file.merge(raw, copy.deepcopy(values))
    data = as_map(raw.get("data"))
    for source in as_list(data.get("sources")):
        chosen = as_map(source)
        chosen.update(config_file.to_raw(SourceConfig()) | chosen)
    return raw


def path_of() -> Path:
    """Returns the file of the draft."""
    return home() / "draft.json"


def save(data: bytes) -> None:
    """Writes the file; it is whole at every moment.

    Raises:
        SftError: The folder cannot be written.
    """
    path = path_of()
    try:
        make_folder(path.parent)
        write_atomic(path, data)
    except OSError as error:
        raise explain_os_error(error, "saving the draft") from error


def load() -> tuple[Draft, str]:
    """Reads the draft.

    Returns:
        It, and what is to be said about it: a file that cannot be read is put aside, not lost.
    """
    path = path_of()
    try:
        content = msgspec.json.decode(read_small(path, _LIMIT_BYTES), type=Content)
    except FileNotFoundError:
        return Draft(), ""
    except (OSError, ValueError) as error:
        return Draft(), _put_aside(path, error)
    if content.step not in STEPS:
        content.step = STEPS[0]
    left_out: list[str] = []
    while problems := check_raw(_over_defaults(content.values)):
        left_out += [problem.message for problem in problems]
        for problem in problems:
            _remove(content.values, problem.path)
    told = f"Left out of the draft: {'; '.join(left_out)}." if left_out else ""
    return Draft(content), told


def _remove(values: dict[str, Any], path: str) -> None:
    """Takes away a key, or the nearest group or list above it that is no such thing."""
    *parents, last = path.split(".")
    place: Any = values
    for part in parents:
        if isinstance(place, list):
            place = as_list(place)[int(part)]
        elif isinstance(as_map(place).get(part), (dict, list)):
            place = place[part]
        else:
            last = part
            break
    if isinstance(place, list):
        del place[int(last)]
    else:
        place.pop(last, None)


def _put_aside(path: Path, error: Exception) -> str:
    aside = path.with_name(f"draft-{time.strftime('%Y%m%d-%H%M%S')}.json")
    try:
        os.replace(path, aside)
    except OSError as refused:
        return f"The draft cannot be read ({error}) nor put aside ({refused.strerror})."
    return f"The draft could not be read ({error}): it was kept as {aside}, and a new one begun."
