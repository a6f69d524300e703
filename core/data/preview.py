"""What the model will see of one row: every token, whether it is trained, and what is wrong."""

from collections.abc import Iterator

import msgspec
from tokenizers import Encoding, Tokenizer

from ..config import DataConfig, SourceConfig
from ..errors import DataError, UsageError
from ..prompt.prompts import Prompt, TokenizerFacts
from ..prompt.tokens import IGNORED, Encoded, encode_one
from .examples import Example, Examples, evaluation_source, of_source
from .lints import LINTS, RowProblem, for_source, singular
from .results import PreviewedRow, Said, Token
from .row_access import RowAccess
from .rows import Left, Row

_NO_LIMIT = 1 << 40
_MOST_CUT = 1000
"""Tokens of a cut part that are shown one by one."""


class RowPreview:
    """The rows of one source as they are trained, by number.

    Args:
        index: Of the source in `data.sources`; one more is the source of the evaluation rows.
        tokenizer: The model's.
        facts: What is special about it.
        data: The configuration.
        access: Gives the rows of that source; None makes one.

    Raises:
        DataError: The source cannot be read, or its shape or template cannot be used.
    """

    def __init__(
        self,
        index: int,
        tokenizer: Tokenizer,
        facts: TokenizerFacts,
        data: DataConfig,
        access: RowAccess | None = None,
    ) -> None:
        self._index, self._tokenizer, self._facts, self._data = index, tokenizer, facts, data
        self._config, split = source_at(data, index)
        with of_source(index):
            self._examples = Examples(self._config, tokenizer, facts, data, split=split)
            self._access = access or access_to(data, index)

    def row(self, number: int | None) -> PreviewedRow:
        """Formats one row.

        Args:
            number: Of the row, from 0 in the whole file; None is the first of the slice.

        Raises:
            UsageError: There is no such row.
            DataError: It cannot be read, or not be used.
        """
        with of_source(self._index):
            row, example = self._example(number)
            encoding = self._tokenizer.encode(example.prompt.text, add_special_tokens=False)
            return self._shown(row.number, example, encoding)

    @property
    def first(self) -> int:
        """The number of the first row."""
        return self._access.row(None).number - 1

    def why_left(self, number: int) -> str:
        """Returns why a row cannot be used, "" where it can."""
        left = self._made(number)[1]
        return left.why if isinstance(left, Left) else ""

    def _made(self, number: int | None) -> tuple[Row | Left, Example | Left]:
        row = self._examples.source.row(self._access.row(number))
        return row, row if isinstance(row, Left) else self._examples.example(row)

    def _example(self, number: int | None) -> tuple[Row | Left, Example]:
        row, example = self._made(number)
        if not isinstance(example, Left):
            return row, example
        where = f"{example.place}: " if example.place else ""
        raise DataError(
            f"row {row.number} of {self._config.source} cannot be used ({example.id})",
            f"{where}{example.why}",
            LINTS[example.id].remedy,
        )

    def _shown(self, number: int, example: Example, encoding: Encoding) -> PreviewedRow:
        facts, encoded = self._facts, example.encoded
        whole = encode_one(example.prompt, encoding, facts, _unlimited(self._data))
        at, cut = encoded.cut_at, encoded.cut_tokens
        if "row_dropped" in example.problems:  # it stands there whole
            at, cut = len(whole.input_ids), 0
        shown = _Tokens(example.prompt, whole, encoding, facts)
        shape = self._examples.source.shape
        return PreviewedRow(
            row=number,
            source=self._config.source,
            shape=shape.name,
            shape_reason=shape.reason,
            certainty=shape.certainty,
            template=self._examples.formatter.template,
            unused_columns=self._examples.source.unused,
            mask_from=example.prompt.marked,
            text=example.prompt.text,
            tokens=[*shown.part(0, at if cut else None), *(shown.part(at + cut) if cut else ())],
            input_ids=list(encoded.input_ids),
            labels=encoded.labels,
            cut_tokens=encoded.cut_tokens,
            cut_trained=encoded.cut_trained,
            cut=list(shown.part(at, min(at + cut, at + _MOST_CUT))) if cut else [],
            cut_at=at,
            turns=list(shown.turns(example.row)),
            problems=[
                _problem(name, number, self._index) for name in dict.fromkeys(example.problems)
            ],
        )


def source_at(data: DataConfig, index: int) -> tuple[SourceConfig, str | None]:
    """Returns a source, the one of the evaluation rows behind the others, and its split.

    Raises:
        UsageError: There is no such source.
    """
    if 0 <= index < len(data.sources):
        return data.sources[index], None
    apart = evaluation_source(data)
    if index == len(data.sources) and apart is not None:
        return apart
    raise UsageError(
        f"there is no source {index}",
        f"the configuration has {len(data.sources)}, counted from 0",
        "choose one of them",
    )


def access_to(data: DataConfig, index: int) -> RowAccess:
    """Returns the access to the rows of a source.

    Raises:
        DataError: There is no such source or split.
    """
    source, split = source_at(data, index)
    return RowAccess(source.source, split or source.split, source.config)


def preview_row(
    index: int,
    number: int | None,
    tokenizer: Tokenizer,
    facts: TokenizerFacts,
    data: DataConfig,
) -> PreviewedRow:
    """Formats one row of a source: see `RowPreview`."""
    return RowPreview(index, tokenizer, facts, data).row(number)


def _unlimited(data: DataConfig) -> DataConfig:
    return msgspec.structs.replace(data, max_length=_NO_LIMIT)


def _problem(name: str, number: int, index: int) -> RowProblem:
    lint = LINTS[name]
    message = f"row {number} {singular(lint.what)}"
    # One row alone does not say whether too many have it.
    severity = lint.severity if lint.share is None else "warning"
    return RowProblem(name, severity, message, for_source(lint.remedy, index), number)


class _Tokens:
    """The tokens of a row that nothing was cut from, each with the text it stands for."""

    def __init__(
        self, prompt: Prompt, whole: Encoded, encoding: Encoding, facts: TokenizerFacts
    ) -> None:
        self._text = prompt.text
        self._spans = prompt.spans
        self._ids = whole.input_ids
        self._labels = whole.labels
        self._encoding = encoding
        self._count = len(encoding.ids)
        self._ahead = len(whole.input_ids) - self._count - prompt.append_eos
        self._facts = facts
        self._markers = set(facts.markers)

    def part(self, begin: int, end: int | None = None) -> Iterator[Token]:
        """Yields the tokens from `begin` to `end` (exclusive)."""
        reached = self._end_of(begin - self._ahead - 1)
        for index in range(begin, len(self._ids) if end is None else end):
            at = index - self._ahead
            if at < 0:
                text = self._facts.bos_token or ""
            elif at == self._count:
                text = self._facts.eos_token or ""
            else:
                # Text that no token holds, such as a dropped space, goes to the next one.
                until = max(self._end_of(at), reached) if at + 1 < self._count else None
                text = self._text[reached:until]
                reached += len(text)
            trained = self._labels[index] != IGNORED
            yield Token(self._ids[index], text, trained, text in self._markers)

    def turns(self, row: Row) -> Iterator[Said]:
        """Yields where what each turn says stands in the text; without width where it does not."""
        answers = sum(turn.role == "assistant" for turn in row.messages)
        spans = iter(self._spans if len(self._spans) == answers else ())
        counts: dict[str, int] = {}
        at = 0
        for turn in row.messages:
            counts[turn.role] = counts.get(turn.role, 0) + 1
            if turn.role == "assistant":
                at = max(at, next(spans, (at, at))[0])
            parts = [turn.content.strip()]
            if turn.role == "user" and row.instruction and self._text.find(parts[0], at) < 0:
                parts = [row.instruction.strip(), row.input.strip()]
            for words in filter(None, parts):
                start = self._text.find(words, at)
                at = max(at, start + len(words)) if start >= 0 else at
                begin, end = self._range(start, start + len(words)) if start >= 0 else (0, 0)
                yield Said(turn.role, counts[turn.role], begin, end)

    def _range(self, start: int, end: int) -> tuple[int, int]:
        """Returns the tokens that reach into some characters."""
        first, last = self._encoding.char_to_token(start), self._encoding.char_to_token(end - 1)
        if first is None or last is None:
            return 0, 0
        while last + 1 < self._count and self._encoding.token_to_chars(last + 1) == (
            self._encoding.token_to_chars(last)
        ):
            last += 1  # bytes of one character
        return first + self._ahead, last + 1 + self._ahead

    def _end_of(self, at: int) -> int:
        """Returns where the text of a token ends; 0 before the first."""
        edges = self._encoding.token_to_chars(at) if at >= 0 else None
        return edges[1] if edges else 0
