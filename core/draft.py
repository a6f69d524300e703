"""The draft of a run: what was chosen so far, on the disk after every change.

It holds only what differs from the defaults, as a configuration file would, so a draft without a
model is one that says none. It knows nothing of screens.
"""

import copy
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from . import config_file
from .config import ConfigError, Problem, RunConfig, SourceConfig
from .fields import as_list, as_map, check_raw, declared
from .regular import read_small
from .rundir import home, put_aside, write_own

STEPS = ("models", "data", "preview", "configure", "review")
NEEDED = {"model": "model.name", "data": "data.sources.0.source"}
"""What a run cannot do without, and the key that says it."""
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
        return value_at(self.raw(), path)

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

    def change(self, values: dict[str, Any], unset: Iterable[str] = ()) -> list[Problem]:
        """Chooses several values as one change that can be undone as one.

        Args:
            values: By path.
            unset: Paths that go back to their defaults, before the values are chosen.
        """
        new = copy.deepcopy(self.values)
        for path in unset:
            _forget(new, path)
        problems = [p for path, value in values.items() for p in config_file.put(new, path, value)]
        if not problems:
            problems = [
                problem
                for problem in check_raw(_over_defaults(new))
                if any(f"{problem.path}.".startswith(f"{path}.") for path in values)
            ]
        if not problems:
            self._replace(new)
        return problems

    def followers(self, path: str, value: Any) -> dict[str, Any]:
        """Returns the values of the fields that follow one, were it to become `value`.

        A field follows while it is the declared multiple of the other.
        """
        raw = self.raw()
        old = value_at(raw, path)
        if not _is_number(old) or not _is_number(value):
            return {}
        return {
            field.path: value * field.follows[1]
            for field in declared()
            if field.follows is not None
            and field.follows[0] == path
            and value_at(raw, field.path) == old * field.follows[1]
        }

    def unset(self, path: str) -> None:
        """Goes back to the default of a key."""
        self.change({}, [path])

    def take(
        self, config: RunConfig, copied_from: str | None = None, *, lacks: Iterable[str] = ()
    ) -> None:
        """Takes a file's or a run's configuration; what was there before can be undone.

        Args:
            config: What is chosen from now on.
            copied_from: The run that it is of.
            lacks: Names of `NEEDED` that it says nothing about.
        """
        values = _difference(config_file.to_raw(config), config_file.to_raw(RunConfig()))
        sources = [
            {"source": source.source}
            | _difference(config_file.to_raw(source), config_file.to_raw(SourceConfig()))
            for source in config.data.sources
        ]
        # Chosen even where they are the defaults: without them something would be missing.
        values.setdefault("model", {})["name"] = config.model.name
        values.setdefault("data", {})["sources"] = sources
        for name in lacks:
            _forget(values, NEEDED[name])
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

    @property
    def can_undo(self) -> bool:
        """Whether there is a change to take back."""
        return bool(self._content.earlier)

    def _replace(self, values: dict[str, Any]) -> None:
        if values != self.values:
            self._content.earlier = [*self._content.earlier, self.values][-_KEPT:]
            self._content.values = values

    def raw(self) -> dict[str, Any]:
        """Returns the whole configuration as plain maps: what was chosen over the defaults."""
        return _over_defaults(self.values)

    def missing(self) -> list[str]:
        """Returns what a run cannot do without and nobody chose: `model`, `data`."""
        return [name for name, path in NEEDED.items() if not self.chosen(path)]

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
    write_own(path_of(), data)


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
        return Draft(), put_aside(path, "The draft", error)
    if content.step not in STEPS:
        content.step = STEPS[0]
    left_out: list[str] = []
    while problems := check_raw(_over_defaults(content.values)):
        left_out += [problem.message for problem in problems]
        for problem in problems:
            _remove(content.values, problem.path)
    told = f"Left out of the draft: {'; '.join(left_out)}." if left_out else ""
    return Draft(content), told


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def value_at(raw: dict[str, Any], path: str) -> Any:
    """Returns the value of a key in plain maps and lists, None where it is not there."""
    place: Any = raw
    for part in path.split("."):
        if isinstance(place, list):
            items = as_list(place)
            place = items[int(part)] if int(part) < len(items) else None
        else:
            place = as_map(place).get(part)
    return place


def _forget(values: dict[str, Any], path: str) -> None:
    """Takes a key away where it is."""
    *parents, last = path.split(".")
    holder = value_at(values, ".".join(parents))
    if isinstance(holder, dict):
        as_map(holder).pop(last, None)


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
