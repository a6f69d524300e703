"""Up to six runs side by side: what differs between them, and which evaluated best.

Losses are ranked only where they are means over the same rows, which equal hashes tell; the hash
is over tokens, so that runs with other tokenizers are never ranked with each other.
"""

import csv
import io
import math
from bisect import bisect_left
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from . import yaml12
from .errors import UsageError
from .find import find_run
from .foreign import look
from .history import read_history
from .rundir import RunDir
from .status import status_of
from .subject import EVALUATED, METRICS, TRAINED, Curve, Subject, of_run
from .summary import newest_config

MOST = 6
LETTERS = "ABCDEF"


class Difference(NamedTuple):
    """A key in which runs differ; `values` holds those that are known, by the run's place."""

    field: str
    values: dict[int, Any]

    def shown(self, place: int) -> str:
        """Returns a run's value as YAML has it, or – where it is not known."""
        return yaml12.dump_value(self.values[place]) if place in self.values else "–"


class Gap(NamedTuple):
    """How much higher a run's evaluation loss is than the baseline's after the same step."""

    step: int
    loss: float


@dataclass(frozen=True)
class Comparison:
    """Runs that are compared, one of them the baseline that the others are held against."""

    subjects: list[Subject]
    baseline: int = 0

    def left_out(self) -> dict[int, str]:
        """Returns the runs whose evaluation cannot be ranked, with the reason."""
        wanted = self.subjects[self.baseline].eval_hash
        found: dict[int, str] = {}
        for place, subject in enumerate(self.subjects):
            if subject.best is None:
                found[place] = "has no evaluation loss"
            elif subject.eval_hash is None:
                found[place] = f"does not tell which rows it was evaluated on ({subject.source})"
            elif wanted is None:
                found[place] = "cannot be ranked: the rows of the baseline are not known"
            elif subject.eval_hash != wanted:
                found[place] = "was evaluated on other rows"
        return found

    def ranking(self) -> list[int]:
        """Returns the runs that were evaluated on the baseline's rows, the best one first."""
        out = self.left_out()
        losses = {
            place: subject.best[0]
            for place, subject in enumerate(self.subjects)
            if place not in out and subject.best is not None
        }
        return sorted(losses, key=losses.__getitem__)

    def ranks(self) -> dict[int, int]:
        """Returns the rank of every run that is ranked; equal results share one."""
        order = self.ranking()
        losses = [best[0] for place in order if (best := self.subjects[place].best) is not None]
        return {place: losses.index(loss) + 1 for place, loss in zip(order, losses, strict=True)}

    def apart(self) -> set[int]:
        """Returns the runs whose evaluation is drawn beside ranked ones and is not ranked."""
        if not self.ranking():
            return set()
        out = self.left_out()
        return {place for place in out if "eval_loss" in self.subjects[place].curves}

    def gap(self, place: int) -> Gap | None:
        """Returns a run's distance to the baseline after the last step that both evaluated.

        What both were before they trained says nothing of how they did.
        """
        base, other = (
            self.subjects[each].curves.get("eval_loss") for each in (self.baseline, place)
        )
        if place == self.baseline or base is None or other is None or place in self.left_out():
            return None
        for step in reversed(base.step):
            one, two = base.at(step), other.at(step)
            if step > 0 and one is not None and two is not None:
                return Gap(int(step), two - one)
        return None

    def differences(self) -> tuple[list[Difference], int]:
        """Returns the keys in which known values differ, and how many keys were compared.

        The rows themselves come last, by their hashes.
        """
        told = [
            {
                **subject.config,
                **({TRAINED: subject.data_hash} if subject.data_hash else {}),
                **({EVALUATED: subject.eval_hash} if subject.eval_hash else {}),
            }
            for subject in self.subjects
        ]
        keys = dict.fromkeys(key for each in told for key in each)
        ordered = [key for key in keys if key not in (TRAINED, EVALUATED)]
        ordered += [key for key in (TRAINED, EVALUATED) if key in keys]
        found: list[Difference] = []
        for key in ordered:
            values = {place: each[key] for place, each in enumerate(told) if key in each}
            if any(not _same(one, two) for one, two in pairwise(values.values())):
                found.append(Difference(key, values))
        return found, len(ordered)

    def notes(self) -> list[str]:
        """Returns in sentences what must be known to read the comparison rightly."""
        letters = LETTERS
        notes = [
            f"{letters[place]} {why}: it is not ranked." for place, why in self.left_out().items()
        ]
        notes += [
            f"While {letters[place]} trained, {_changed(subject)}; differences tell of its start."
            for place, subject in enumerate(self.subjects)
            if subject.changed
        ]
        return notes + [
            f"{letters[place]} has {subject.damaged} unreadable lines, which were left out."
            for place, subject in enumerate(self.subjects)
            if subject.damaged
        ]


def _changed(subject: Subject) -> str:
    """Returns which settings were changed after which steps."""
    found: dict[str, list[str]] = {}
    for change in subject.changed:
        found.setdefault(change.setting, []).append(f"{change.step:,}")
    told = [
        f"{setting} was changed at step{'s' if len(steps) > 1 else ''} {', '.join(steps)}"
        for setting, steps in found.items()
    ]
    return " and ".join(told)


def _same(one: Any, two: Any) -> bool:
    """Whether two values say the same: 2 and 2.0 do, 1 and true do not."""
    return one == two and isinstance(one, bool) == isinstance(two, bool)


def load(texts: list[str], folder: Path | None = None) -> list[Subject]:
    """Returns the runs that are named: ids, parts of ids, paths, or folders of others' runs.

    Raises:
        UsageError: There are fewer than two or more than six, or one is named twice.
        SftError: One cannot be found or read.
    """
    if not 2 <= len(texts) <= MOST:
        raise UsageError(
            "one run cannot be compared"
            if len(texts) == 1
            else f"{len(texts) or 'no'} runs cannot be compared",
            f"a comparison takes two to {MOST}",
            "name them by their ids or folders; `sft-tui runs` lists the runs",
        )
    found = [subject(text, folder) for text in texts]
    for place, each in enumerate(found):
        if each.path in (other.path for other in found[:place]):
            raise UsageError(
                f"{each.name} is named twice", f"it is at {each.path}", "name another run"
            )
    return found


def subject(text: str, folder: Path | None = None) -> Subject:
    """Returns the one run that is named.

    Raises:
        SftError: It cannot be found or read.
    """
    try:
        return of_folder(find_run(text, folder))
    except UsageError:
        if (path := _existing(text)) is None:
            raise
    return look.read(path)


def _existing(text: str) -> Path | None:
    try:
        path = Path(text).expanduser().resolve()
        return path if text.strip() and path.exists() else None
    except (OSError, ValueError, RuntimeError):  # a path that no file can have
        return None


def of_folder(run: RunDir) -> Subject:
    """Returns a run of this project after reading all of its events."""
    return of_run(run, read_history(run.events), status_of(run), newest_config(run)[0])


def as_csv(subjects: list[Subject]) -> str:
    """Returns every point of every metric: one line for each step of each run."""
    out = io.StringIO()
    lines = csv.writer(out, lineterminator="\n")
    lines.writerow(["run", "step", "tokens", "seconds", *METRICS])
    for each in subjects:
        steps = sorted({step for curve in each.curves.values() for step in curve.step})
        for step in steps:
            cells = {name: _cells(curve, step) for name, curve in each.curves.items()}
            done = [next((cell[at] for cell in cells.values() if cell[at]), "") for at in (0, 1)]
            values = [cells[name][2] if name in cells else "" for name in METRICS]
            lines.writerow([each.name, f"{step:.0f}", *done, *values])
    return out.getvalue()


def _cells(curve: Curve, step: float) -> tuple[str, str, str]:
    """Returns tokens, seconds and value of a step; "" is unknown."""
    row = bisect_left(curve.step, step)
    if row == len(curve) or curve.step[row] != step:
        return "", "", ""
    tokens = "" if curve.tokens is None else f"{curve.tokens[row]:.0f}"
    seconds = "" if curve.seconds is None else f"{curve.seconds[row]:.3f}"
    value = curve.value[row]
    known = not math.isnan(value) or row in curve.bad
    return tokens, seconds, ("NaN" if math.isnan(value) else f"{value:.10g}") if known else ""


def as_json(comparison: Comparison) -> dict[str, Any]:
    """Returns everything as plain data; what is not known is null, and left out of values."""
    ranks, out = comparison.ranks(), comparison.left_out()
    runs: list[dict[str, Any]] = []
    for place, each in enumerate(comparison.subjects):
        best, gap = each.best, comparison.gap(place)
        runs.append(
            {
                "letter": LETTERS[place],
                "id": each.name,
                "path": each.path,
                "source": each.source,
                "status": each.status,
                "model": each.config.get("model.name"),
                "step": each.steps,
                "best": None if best is None else {"loss": best[0], "step": best[1]},
                "rank": ranks.get(place),
                "left_out": out.get(place),
                "to_baseline": None if gap is None else gap._asdict(),
                "tokens_per_s": each.tokens_per_s,
                "data_hash": each.data_hash,
                "eval_hash": each.eval_hash,
                "changed": [change._asdict() for change in each.changed],
                "unreadable": each.damaged,
                "curves": {name: _plain(each.curves[name]) for name in each.curves},
            }
        )
    differing, compared = comparison.differences()
    return {
        "runs": runs,
        "baseline": LETTERS[comparison.baseline],
        "compared_fields": compared,
        "differences": [
            {"field": field, "values": {LETTERS[place]: value for place, value in values.items()}}
            for field, values in differing
        ],
    }


def _plain(curve: Curve) -> dict[str, Any]:
    bad = set(curve.bad)
    values = [
        value if value == value else "NaN" if row in bad else None
        for row, value in enumerate(curve.value)
    ]
    columns = {axis: curve.along(axis) for axis in ("step", "tokens", "seconds")}
    lists = {axis: None if column is None else list(column) for axis, column in columns.items()}
    return {**lists, "value": values}
