"""Examples: rows of a source, formatted, tokenised and checked. Preview shows, trainer trains them.

The only way from a data file to token ids; both sides call it.
"""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import msgspec
from tokenizers import Tokenizer

from ..config import DataConfig, SourceConfig
from ..errors import DataError, RowRefused
from ..prompt.prompts import Formatter, Prompt, TokenizerFacts
from ..prompt.tokens import Encoded, encode
from ..regular import read_small
from .lint import Checker
from .lints import for_source
from .rows import Left, Row
from .sources import Source

_FIRST_BLOCK, _BLOCK = 100, 500
"""Rows that one thread tokenises by one call; the first ones come soon."""
_BLOCK_TEXT = 1 << 19
"""Characters after which a block ends: a token takes about 100 bytes until its row is made."""
_MOST_THREADS = 8
"""More would wait for the one that reads, renders and checks."""


_Block = tuple[list[Row | Left], list[Prompt | Left], Future[list[Encoded]]]


class Example(msgspec.Struct, frozen=True):
    """One row with everything that was made of it, and the ids of its problems."""

    row: Row
    prompt: Prompt
    encoded: Encoded
    problems: tuple[str, ...]

    @property
    def kept(self) -> bool:
        """Whether it is trained on."""
        return self.encoded.trained > 0 and "row_dropped" not in self.problems


class Examples:
    """The examples of one source, lazily, in file order.

    Args:
        source: Where the rows come from, and their template.
        tokenizer: The model's, without padding and truncation.
        facts: What is special about it.
        data: Length, truncation, what is trained.
        split: Split and slice instead of the source's.
        on_bytes: Told how many bytes were read.

    Raises:
        DataError: As `Source` and `Formatter`.
    """

    def __init__(
        self,
        source: SourceConfig,
        tokenizer: Tokenizer,
        facts: TokenizerFacts,
        data: DataConfig,
        *,
        split: str | None = None,
        on_bytes: Callable[[int], None] | None = None,
    ) -> None:
        self.source = Source(source, data, split=split, on_bytes=on_bytes)
        self.name = self.source.name
        self.formatter = Formatter(
            source.template,
            facts,
            template_text=own_template(source),
            conversations=_has_conversations(source, self.source),
        )
        self._tokenizer = tokenizer
        self._facts = facts
        self._data = data
        self._checker = Checker(facts, data, self.formatter)

    def __iter__(self) -> Iterator[Example | Left]:
        """Yields examples, and rows that cannot be used; can be done once."""
        waiting: deque[_Block] = deque()
        # Threads of our own, which take and give back their memory by themselves, are faster than
        # those of the library. They need no interpreter lock but for the results: meanwhile the
        # next rows are read and rendered, and one thread more than cores waits for that lock.
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        threads = min(os.cpu_count() or 1, _MOST_THREADS) + 1
        with ThreadPoolExecutor(threads) as beside:
            for lines, rendered in self._blocks():
                waiting.append((lines, rendered, beside.submit(self._encode, rendered)))
                if len(waiting) > threads:
                    yield from self._made(*waiting.popleft())
            while waiting:
                yield from self._made(*waiting.popleft())

    def _blocks(self) -> Iterator[tuple[list[Row | Left], list[Prompt | Left]]]:
        """Yields rows as they come and as text, the first ones soon, then more at once."""
        lines: list[Row | Left] = []
        rendered: list[Prompt | Left] = []
        size, most = 0, _FIRST_BLOCK
        for row in self.source:
            prompt = self._render(row)
            lines.append(row)
            rendered.append(prompt)
            size += len(prompt.text) if isinstance(prompt, Prompt) else 0
            if len(lines) == most or size >= _BLOCK_TEXT:
                yield lines, rendered
                lines, rendered, size, most = [], [], 0, min(2 * most, _BLOCK)
        if lines:
            yield lines, rendered

    def example(self, row: Row) -> Example | Left:
        """Makes the example of a single row."""
        done: Future[list[Encoded]] = Future()
        rendered = [self._render(row)]
        done.set_result(self._encode(rendered))
        return next(self._made([row], rendered, done))

    def _encode(self, rendered: list[Prompt | Left]) -> list[Encoded]:
        prompts = [prompt for prompt in rendered if isinstance(prompt, Prompt)]
        return encode(prompts, self._tokenizer, self._facts, self._data)

    def _made(
        self, block: list[Row | Left], rendered: list[Prompt | Left], done: Future[list[Encoded]]
    ) -> Iterator[Example | Left]:
        """Yields the examples of a block, in its order."""
        encoded = iter(done.result())
        for row, prompt in zip(block, rendered, strict=True):
            if isinstance(prompt, Left):
                yield prompt
                continue
            assert isinstance(row, Row)  # what was left out came as Left above
            tokens = next(encoded)
            found = tuple(self._checker.check(row, prompt, tokens))
            yield Example(row, prompt, tokens, found)

    def _render(self, row: Row | Left) -> Prompt | Left:
        if isinstance(row, Left):
            return row
        try:
            return self.formatter.render(row)
        except RowRefused as error:
            return Left(row.number, "", error.id, error.why)


@contextmanager
def of_source(index: int) -> Generator[None]:
    """Lets errors name the source of that index where they name keys of the configuration."""
    try:
        yield
    except DataError as error:
        if index == 0:
            raise
        why, remedy = for_source(error.why, index), for_source(error.remedy, index)
        raise DataError(error.what, why, remedy) from error


def _has_conversations(config: SourceConfig, source: Source) -> bool:
    """Whether rows may hold what a single question and its answer have no place for."""
    columns = source.shape.columns
    talks = source.shape.name in ("messages", "sharegpt") or "tools" in columns
    return talks or "system" in columns or config.system is not None


def own_template(source: SourceConfig) -> str | None:
    """Reads the user's template file.

    Raises:
        DataError: It cannot be read.
    """
    if source.template_file is None:
        return None
    try:
        return read_small(Path(source.template_file)).decode("utf-8")
    except (OSError, ValueError) as error:  # ValueError: not UTF-8, or no name of a file
        reason = getattr(error, "strerror", None) or str(error)
        raise DataError(
            f"the template {source.template_file} cannot be read",
            reason,
            "give a text file with a Jinja chat template, in UTF-8",
        ) from error


def evaluation_source(data: DataConfig) -> tuple[SourceConfig, str | None] | None:
    """Returns the source of the evaluation rows and its split; None where rows are split off."""
    first = data.sources[0]
    if data.eval_source is not None:
        apart = msgspec.structs.replace(first, source=data.eval_source, config=None)
        return apart, data.eval_split or "train"
    if data.eval_split is not None:
        return first, data.eval_split
    return None
