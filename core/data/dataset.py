"""All examples of a run: gathered from its sources, split, and checked as a whole.

The trainer trains what stands here, and the preview's statistics count it.
"""

import re
import string
from array import array
from collections.abc import Callable

import msgspec
from tokenizers import Tokenizer

from ..config import RunConfig, SourceConfig
from ..errors import DataError
from ..prompt.prompts import TokenizerFacts
from ..prompt.tokens import Encoded
from .examples import Example, Examples, evaluation_source, of_source
from .lints import Findings, Problem, blocking, for_source
from .plan import repeated
from .row_files import total_bytes
from .rows import Left, held_out

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_FOREIGN = re.compile("[\u0370-\u1fff\u2c00-\ud7ff\uf900-\ufffc]")
"""Letters of scripts other than Latin, from Greek to Hangul."""


class Part:
    """The examples of one source. Lists hold one entry per example, in file order."""

    def __init__(self, examples: Examples, weight: float, name: str) -> None:
        self.name = name
        """The source, told apart from others of the same file."""
        self.mapped = bool(examples.source.config.roles)
        self.unused = examples.source.unused
        self.shape = examples.source.shape
        self.template = examples.formatter.template
        self.weight = weight
        self.first = 0
        """The number of the first row."""
        self.rows = 0
        """All rows, those that cannot be used too."""
        self.encoded: list[Encoded] = []
        self.kept = bytearray()
        self.numbers = array("q")
        self.lengths = array("q")
        """Tokens before anything was cut."""
        self.groups: list[str] = []
        self.exact = array("q")
        self.loose = array("q")
        """Hashes of the text as it is, and without case, spaces and punctuation."""
        self.with_system = bytearray()
        self.foreign = bytearray()

    def add(self, example: Example, length: int) -> None:
        """Keeps what is needed of an example; its text is not."""
        row, encoded = example.row, example.encoded
        self.encoded.append(
            msgspec.structs.replace(encoded, input_ids=array("i", encoded.input_ids))
        )
        self.kept.append(example.kept)
        self.numbers.append(row.number)
        self.lengths.append(length)
        self.groups.append(row.group)
        text = "\0".join(turn.content for turn in row.messages)
        calls = "".join(str(turn.extra) for turn in row.messages if turn.extra)
        self.exact.append(hash((text, calls)))
        self.loose.append(hash((_loose(text), calls)))
        self.with_system.append(row.messages[0].role == "system")
        self.foreign.append(not text.isascii() and 2 * len(_FOREIGN.findall(text)) > len(text))


def _loose(text: str) -> str:
    """Returns a text without case, white space and punctuation."""
    return "".join(text.casefold().translate(_PUNCTUATION).split())


Place = tuple[Part, int]
"""An example: its source and its place there."""


class Dataset:
    """The examples of all sources of a configuration."""

    def __init__(self, config: RunConfig) -> None:
        self.config = config
        self.parts: list[Part] = []
        self.apart: Part | None = None
        """The part that holds the evaluation rows, where they have a source of their own."""
        self._found = Findings()

    def begin(self, examples: Examples, weight: float, *, evaluation: bool = False) -> None:
        """The next examples are of another source."""
        name = f"{examples.name} (evaluation)" if evaluation else examples.name
        same = sum(part.name.partition(" (")[0] == name for part in self.parts)
        self.parts.append(Part(examples, weight, f"{name} ({same + 1})" if same else name))
        if evaluation:
            self.apart = self.parts[-1]

    def add(self, example: Example | Left) -> None:
        """Takes the next row of the source that was begun last."""
        part = self.parts[-1]
        if not part.rows:
            part.first = example.number if isinstance(example, Left) else example.row.number
        part.rows += 1
        if isinstance(example, Left):
            self._found.add_left(example, part.name)
            return
        for problem in example.problems:
            self._found.add(problem, part.name, example.row.number)
        whole = len(example.encoded.input_ids)
        if self.config.data.truncate != "drop":
            whole += example.encoded.cut_tokens
        part.add(example, whole)

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
        groups = (part.groups[index] for part in mixed for index in kept[part])
        chosen = held_out(groups, fraction, seed)
        train: list[Place] = []
        apart = [(self.apart, index) for index in kept[self.apart]] if self.apart else []
        for part in mixed:
            mine = [index for index in kept[part] if part.groups[index] not in chosen]
            apart += [(part, index) for index in kept[part] if part.groups[index] in chosen]
            train += [(part, mine[index]) for index in repeated(len(mine), part.weight, seed)]
        return train, apart

    def problems(self) -> list[Problem]:
        """Returns everything that is wrong, errors first."""
        found = self._found.copy()
        train, apart = self.sides()
        _compare_sides(found, train, apart)
        if train and not apart and self.config.data.eval_fraction > 0:
            for part, index in train:
                found.add("nothing_held_out", part.name, part.numbers[index])
        for part in self.parts:
            _look_at_whole(found, part)
            if part.mapped:
                found.add("roles_mapped", part.name, 0)
            if not any(part.kept) and part is not self.apart:
                for number in range(part.rows):
                    found.add("nothing_left", part.name, number)
        of = {part.name: index for index, part in enumerate(self.parts) if part is not self.apart}
        return [
            msgspec.structs.replace(
                problem,
                message=for_source(problem.message, of.get(problem.source, 0)),
                remedy=for_source(problem.remedy, of.get(problem.source, 0)),
            )
            for problem in found.problems({part.name: part.rows for part in self.parts})
        ]

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


def _compare_sides(found: Findings, train: list[Place], apart: list[Place]) -> None:
    """Finds rows of the evaluation that are trained, exactly or almost."""
    exact = {part.exact[index] for part, index in train}
    loose = {part.loose[index] for part, index in train}
    for part, index in apart:
        if part.exact[index] in exact:
            found.add("eval_leak", part.name, part.numbers[index])
        elif part.loose[index] in loose:
            found.add("near_duplicates", part.name, part.numbers[index])


def _look_at_whole(found: Findings, part: Part) -> None:
    """Finds what shows only beside the other rows of a source."""
    seen: set[int] = set()
    for index, key in enumerate(part.exact):
        if key in seen:
            found.add("duplicates", part.name, part.numbers[index])
        seen.add(key)
    count = len(part.encoded)
    if not count:
        return
    limit = max(10 * sorted(part.lengths)[count // 2], 512)
    foreign, with_system = sum(part.foreign), sum(part.with_system)
    rare_script = foreign * 2 <= count  # the rows in the rarer script are the ones to look at
    for index, number in enumerate(part.numbers):
        if part.lengths[index] > limit:
            found.add("long_outliers", part.name, number)
        if 0 < with_system < count and part.with_system[index]:
            found.add("system_in_some", part.name, number)
        if 0 < foreign < count and bool(part.foreign[index]) == rare_script:
            found.add("mixed_scripts", part.name, number)


Progress = Callable[[Dataset, float], None]
"""Told now and then: what was gathered, and the share of the files that was read, 0 to 1."""


def gather(
    config: RunConfig,
    tokenizer: Tokenizer,
    facts: TokenizerFacts,
    progress: Progress | None = None,
    *,
    every: int = 1000,
) -> Dataset:
    """Reads all rows of all sources.

    Args:
        config: The run's configuration.
        tokenizer: The model's, without padding and truncation.
        facts: What is special about it.
        progress: Called after every `every` rows.
        every: Rows between two calls of `progress`.

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
        dataset.begin(examples, source.weight, evaluation=apart)
        for example in examples:
            dataset.add(example)
            rows += 1
            if progress is not None and rows % every == 0:
                progress(dataset, min(read / total, 1.0))
    return dataset
