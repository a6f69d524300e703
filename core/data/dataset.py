"""All examples of a run: gathered from its sources, split, and checked as a whole.

The trainer trains what stands here, and the preview's statistics count it.
"""

from collections.abc import Callable, Iterable

import msgspec
from tokenizers import Tokenizer

from ..config import RunConfig, SourceConfig
from ..errors import DataError
from ..prompt.prompts import TokenizerFacts
from .encoded_rows import Picked
from .examples import Example, Examples, evaluation_source, of_source
from .lints import Findings, Problem, blocking, for_source, in_order
from .part import Part
from .part_cache import PartCache
from .plan import repeated
from .row_files import total_bytes
from .rows import Left, held_out

Place = tuple[Part, int]
"""An example: its source and its place there."""


class Dataset:
    """The examples of all sources of a configuration."""

    def __init__(self, config: RunConfig) -> None:
        self.config = config
        self.parts: list[Part] = []
        self.apart: Part | None = None
        """The part that holds the evaluation rows, where they have a source of their own."""

    def begin(self, examples: Examples, weight: float, *, evaluation: bool = False) -> Part:
        """The next examples are of another source: returns where they go."""
        name = f"{examples.name} (evaluation)" if evaluation else examples.name
        same = sum(part.name.partition(" (")[0] == name for part in self.parts)
        self.parts.append(Part(examples, weight, f"{name} ({same + 1})" if same else name))
        if evaluation:
            self.apart = self.parts[-1]
        return self.parts[-1]

    def add(self, example: Example | Left) -> None:
        """Takes the next row of the source that was begun last."""
        part = self.parts[-1]
        if isinstance(example, Left):
            part.add_left(example)
        else:
            part.add(example, dropped=self.config.data.truncate == "drop")

    def sides(self) -> tuple[list[Place], list[Place]]:
        """Returns the examples that are trained and those of the evaluation.

        Rows of one group stay on one side, whatever source they are of; weights repeat or thin
        out the trained ones.
        """
        data, seed = self.config.data, self.config.train.seed
        fraction = 0.0 if self.apart is not None else data.eval_fraction
        kept = {
            part: [index for index in range(len(part.encoded)) if part.kept[index]]
            for part in self.parts
        }
        mixed = [part for part in self.parts if part is not self.apart]
        groups = (f"{part.groups[index]:016x}" for part in mixed for index in kept[part])
        chosen = {int(group, 16) for group in held_out(groups, fraction, seed)}
        train: list[Place] = []
        apart = [(self.apart, index) for index in kept[self.apart]] if self.apart else []
        for part in mixed:
            mine = [index for index in kept[part] if part.groups[index] not in chosen]
            apart += [(part, index) for index in kept[part] if part.groups[index] in chosen]
            train += [(part, mine[index]) for index in repeated(len(mine), part.weight, seed)]
        return train, apart

    def problems(self, late: Iterable[Place] = ()) -> list[Problem]:
        """Returns everything that is wrong, errors first.

        Args:
            late: Rows that would share a beginning if their prompts were in another order.
        """
        found = {part: part.found.copy() for part in self.parts}
        train, apart = self.sides()
        _compare_sides(found, train, apart)
        if train and not apart and self.config.data.eval_fraction > 0:
            for part, index in train:
                found[part].add("nothing_held_out", part.numbers[index])
        for part, index in dict.fromkeys(late):
            found[part].add("shared_at_end", part.numbers[index])
        problems: list[Problem] = []
        for place, part in enumerate(self.parts):
            _look_at_whole(found[part], part)
            if part.mapped:
                found[part].add("roles_mapped", 0)
            if not any(part.kept) and part is not self.apart:
                for number in range(part.rows):
                    found[part].add("nothing_left", number)
            of = 0 if part is self.apart else place
            problems += [
                msgspec.structs.replace(
                    problem,
                    message=for_source(problem.message, of),
                    remedy=for_source(problem.remedy, of),
                )
                for problem in found[part].problems(part.name, part.rows)
            ]
        return in_order(problems)

    def picked(self, places: list[Place]) -> Picked:
        """Returns the rows at some places, which take next to no memory besides."""
        of = {part: place for place, part in enumerate(self.parts)}
        return Picked(
            [part.encoded for part in self.parts], [(of[part], index) for part, index in places]
        )

    def refuse_broken(self) -> list[Problem]:
        """Refuses data that would train the wrong thing, or nothing.

        Returns:
            The problems that do not block.

        Raises:
            DataError: Nothing is left to train on, or a problem is an error that
                `data.ignore_problems` does not name.
        """
        problems = self.problems()
        errors = blocking(problems, self.config.data.ignore_problems)
        if errors and (first := errors[0]).id == "nothing_left":
            mine = [p.message for p in problems if p.source == first.source and p is not first]
            why = mine[0] if mine else "no row has a trained token after truncation"
            raise DataError(
                "there is nothing to train on",
                f"every row of {first.source} was left out: {why}",
                "raise data.max_length, or check the answers and the template of the data",
            )
        if errors:
            first = errors[0]
            others = "".join(f"; {problem.id}: {problem.message}" for problem in errors[1:4])
            raise DataError(
                f"the data {first.source} would not train what it should ({first.id})",
                f"{first.message}{others}",
                f"{first.remedy}; or add {first.id} to data.ignore_problems to train without "
                "the rows or in spite of it",
            )
        return problems


def _compare_sides(found: dict[Part, Findings], train: list[Place], apart: list[Place]) -> None:
    """Finds rows of the evaluation that are trained, exactly or almost."""
    exact = {part.exact[index] for part, index in train}
    loose = {part.loose[index] for part, index in train}
    for part, index in apart:
        if part.exact[index] in exact:
            found[part].add("eval_leak", part.numbers[index])
        elif part.loose[index] in loose:
            found[part].add("near_duplicates", part.numbers[index])


def _look_at_whole(found: Findings, part: Part) -> None:
    """Finds what shows only beside the other rows of a source."""
    seen: set[int] = set()
    for index, key in enumerate(part.exact):
        if key in seen:
            found.add("duplicates", part.numbers[index])
        seen.add(key)
    count = len(part.encoded)
    if not count:
        return
    limit = max(10 * sorted(part.lengths)[count // 2], 512)
    foreign, with_system = sum(part.foreign), sum(part.with_system)
    rare_script = foreign * 2 <= count  # the rows in the rarer script are the ones to look at
    for index, number in enumerate(part.numbers):
        if part.lengths[index] > limit:
            found.add("long_outliers", number)
        if 0 < with_system < count and part.with_system[index]:
            found.add("system_in_some", number)
        if 0 < foreign < count and bool(part.foreign[index]) == rare_script:
            found.add("mixed_scripts", number)


Progress = Callable[[Dataset, float], None]
"""Told now and then: what was gathered, and the share of the files that was read, 0 to 1."""


def gather(
    config: RunConfig,
    tokenizer: Tokenizer,
    facts: TokenizerFacts,
    progress: Progress | None = None,
    *,
    every: int = 1000,
    cache: PartCache | None = None,
) -> Dataset:
    """Reads all rows of all sources.

    Args:
        config: The run's configuration.
        tokenizer: The model's, without padding and truncation.
        facts: What is special about it.
        progress: Called after every `every` rows, and after a source that the cache has.
        every: Rows between two calls of `progress`.
        cache: Has sources that were prepared before, and keeps those that are now.

    Raises:
        DataError: A source cannot be read, or its shape or template cannot be used.
    """
    dataset = Dataset(config)
    before = read = 0

    def count(size: int) -> None:
        nonlocal read
        read = before + size

    sources: list[tuple[SourceConfig, str | None, int]] = [
        (source, None, index) for index, source in enumerate(config.data.sources)
    ]
    evaluation = evaluation_source(config.data)
    if evaluation is not None:
        sources.append((*evaluation, 0))
    sizes = [
        total_bytes(source.source, split or source.split, source.config)
        for source, split, _ in sources
    ]
    total = max(sum(size or 0 for size in sizes), 1)
    rows = 0
    for place, (source, split, index) in enumerate(sources):
        before = read
        with of_source(index):
            examples = Examples(source, tokenizer, facts, config.data, split=split, on_bytes=count)
        apart = evaluation is not None and place == len(sources) - 1
        part = dataset.begin(examples, source.weight, evaluation=apart)
        entry = cache.entry(source, split, config.data) if cache is not None else None
        if entry is not None and entry.fill(part):
            count(sizes[place] or 0)
            if progress is not None:
                progress(dataset, min(read / total, 1.0))
            continue
        for example in examples:
            dataset.add(example)
            rows += 1
            if progress is not None and rows % every == 0:
                progress(dataset, min(read / total, 1.0))
        if entry is not None:
            entry.keep(part, examples.formatter.times)
    return dataset
