"""The draft of a run: what was chosen so far, on the disk after every change.

It holds only what differs from the defaults, as a configuration file would, so a draft without a
model is one that says none. It knows nothing of screens.
"""

import copy
from collections.abc import Iterable
from typing import Any

import msgspec

from . import config_file
from .config import ConfigError, Problem, RunConfig, SourceConfig
from .fields import as_list, as_map, check_raw, declared, spell_switches
from .raw_values import difference, forget, value_at

STEPS = ("models", "data", "preview", "configure", "review")
NEEDED = {"model": "model.name", "data": "data.sources.0.source"}
"""What a run cannot do without, and the key that says it."""
_SUBJECTS = ("model.name", "data.sources")
_OF_ROWS = ("data.eval_source", "data.empty_answers", "data.empty_answer_text")
"""What of the demo's settings speaks of its rows: it leaves with them alone."""
LET_PASS = "data.ignore_problems"
"""Was said of rows that somebody looked at: other rows are judged anew."""
_KEPT = 100
"""Changes that can be undone."""


class State(msgspec.Struct, kw_only=True, frozen=True):
    """What was chosen, and where it is from."""

    values: dict[str, Any] = {}
    copied_from: str | None = None
    """The run that this is a copy of."""
    lent: list[str] = []
    """Paths whose values came with the demo, and were not chosen since."""


class Content(State, kw_only=True, frozen=True):
    """What the file holds."""

    step: str = STEPS[0]
    before: list[State] = []
    """What it was before each change, the newest last."""

    def state(self) -> State:
        """Returns what was chosen, to be kept."""
        return State(values=self.values, copied_from=self.copied_from, lent=self.lent)

    def but(self, state: State | None = None, **others: Any) -> "Content":
        """Returns it with another state, step or past."""
        own = {} if state is None else msgspec.structs.asdict(state)
        return msgspec.structs.replace(self, **own, **others)


class Draft:
    """What was chosen, and what was chosen before.

    Args:
        content: As the file held it; None begins anew.

    Attributes:
        content: What the file is to hold; replaced at every change, never changed in place.
    """

    def __init__(self, content: Content | None = None) -> None:
        self.content = content or Content()
        self._found: tuple[dict[str, Any], RunConfig | None, list[Problem]] | None = None

    @property
    def step(self) -> str:
        """The step that is shown; a name of `STEPS`."""
        return self.content.step

    @step.setter
    def step(self, step: str) -> None:
        self.content = self.content.but(step=step)

    @property
    def values(self) -> dict[str, Any]:
        """What was chosen, as a configuration file would say it. Not to be changed in place."""
        return self.content.values

    @property
    def copied_from(self) -> str | None:
        """The id of the run that this is a copy of."""
        return self.content.copied_from

    @property
    def lent(self) -> list[str]:
        """Paths whose values came with the demo: they leave with its model or data."""
        return self.content.lent

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

    def change(
        self, values: dict[str, Any], unset: Iterable[str] = (), *, lent: bool = False
    ) -> list[Problem]:
        """Chooses several values as one change that can be undone as one.

        What the demo lent goes back to its defaults once model or data are others.

        Args:
            values: By path.
            unset: Paths that go back to their defaults, before the values are chosen.
            lent: Whether the values leave with model or data.
        """
        new = copy.deepcopy(self.values)
        own = {*unset, *values}
        for path in own.difference(values):
            forget(new, path)
        problems = [p for path, value in values.items() for p in config_file.put(new, path, value)]
        known = [path for path in self.lent if path not in own]
        left = _left_behind(self.values, new, known) if not problems else []
        if LET_PASS not in {*own, *left} and sources_of(self.values) != sources_of(new):
            left.append(LET_PASS)
        for path in left:
            forget(new, path)
        if not problems:
            problems = [
                problem
                for problem in check_raw(over_defaults(new))
                if any(f"{problem.path}.".startswith(f"{path}.") for path in values)
            ]
        if not problems:
            kept = [path for path in known if path not in left]
            kept += [path for path in values if lent and path not in _SUBJECTS]
            self._replace(State(values=new, copied_from=self.copied_from, lent=kept))
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
        self,
        config: RunConfig,
        copied_from: str | None = None,
        *,
        lacks: Iterable[str] = (),
        lent: Iterable[str] = (),
    ) -> bool:
        """Takes a file's or a run's configuration; what was there before can be undone.

        Args:
            config: What is chosen from now on.
            copied_from: The run that it is of.
            lacks: Names of `NEEDED` that it says nothing about.
            lent: Paths whose values leave with model or data.

        Returns:
            Whether that took the place of something else that was chosen.
        """
        values = difference(config_file.to_raw(config), config_file.to_raw(RunConfig()))
        sources = [
            {"source": source.source}
            | difference(config_file.to_raw(source), config_file.to_raw(SourceConfig()))
            for source in config.data.sources
        ]
        # Chosen even where they are the defaults: without them something would be missing.
        values.setdefault("model", {})["name"] = config.model.name
        values.setdefault("data", {})["sources"] = sources
        for name in lacks:
            forget(values, NEEDED[name])
        before = self.values
        lent = [path for path in lent if path not in _SUBJECTS]
        self._replace(State(values=values, copied_from=copied_from, lent=lent))
        return bool(before) and before != values

    def rewrite(self, config: RunConfig, lacks: Iterable[str] = ()) -> bool:
        """Takes what an editor made of the draft; returns whether that is anything else."""
        raw = config_file.to_raw(config)
        lent = [path for path in self.lent if value_at(raw, path) == self.value(path)]
        if _left_behind(self.values, raw, lent):
            lent = []  # they stood there to be read, so they were chosen
        before = self.values
        self.take(config, self.copied_from, lacks=lacks, lent=lent)
        return self.values != before

    def undo(self) -> bool:
        """Takes the last change back; returns whether there was one."""
        while self.content.before:
            *before, state = self.content.before
            self.content = self.content.but(before=before)
            if not check_raw(over_defaults(state.values)):  # a key of another version: left out
                self.content = self.content.but(state)
                return True
        return False

    @property
    def can_undo(self) -> bool:
        """Whether there is a change to take back."""
        return bool(self.content.before)

    def _replace(self, state: State) -> None:
        before = self.content.before
        if state.values != self.values:
            before = [*before, self.content.state()][-_KEPT:]
        self.content = self.content.but(state, before=before)

    def raw(self) -> dict[str, Any]:
        """Returns the whole configuration as plain maps: what was chosen over the defaults."""
        return over_defaults(self.values)

    def missing(self) -> list[str]:
        """Returns what a run cannot do without and nobody chose: `model`, `data`."""
        return [name for name, path in NEEDED.items() if not self.chosen(path)]

    def problems(self) -> list[Problem]:
        """Returns what is wrong with the values that were chosen, also between them."""
        return self.checked()[1]

    def checked(self) -> tuple[RunConfig | None, list[Problem]]:
        """Returns the configuration as far as it is one, and what is wrong with it.

        Screens ask several times for each key: it is checked once for each change.
        """
        if self._found is None or self._found[0] is not self.values:
            self._found = (self.values, *config_file.check(self.raw()))
        return self._found[1], list(self._found[2])

    def config(self) -> RunConfig:
        """Returns the configuration of the run.

        Raises:
            ConfigError: Something is wrong with it, or missing.
        """
        lacking = [Problem(name, f"no {name} was chosen") for name in self.missing()]
        config, problems = self.checked()
        if config is None or problems or lacking:
            raise ConfigError([*lacking, *problems], "of the draft")
        return config


def over_defaults(values: dict[str, Any]) -> dict[str, Any]:
    """Returns the whole configuration as plain maps: some values over the defaults."""
    raw = config_file.to_raw(RunConfig())
    config_file.merge(raw, copy.deepcopy(values))
    data = as_map(raw.get("data"))
    for source in as_list(data.get("sources")):
        chosen = as_map(source)
        chosen.update(config_file.to_raw(SourceConfig()) | chosen)
    spell_switches(raw)
    return raw


def _left_behind(old: dict[str, Any], new: dict[str, Any], lent: list[str]) -> list[str]:
    """Returns which of what the demo lent leaves as model or data become others."""
    if sources_of(old) != sources_of(new):
        return list(lent)
    if value_at(old, "model.name") != value_at(new, "model.name"):
        return [path for path in lent if path not in _OF_ROWS]
    return []


def sources_of(values: dict[str, Any]) -> list[Any]:
    """Returns where the rows come from."""
    return [as_map(each).get("source") for each in as_list(value_at(values, "data.sources"))]


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
