"""What the model will see of one row: every token, whether it is trained, and what is wrong."""

from collections.abc import Iterator

import msgspec
from tokenizers import Encoding, Tokenizer

from ..config import DataConfig
from ..errors import DataError, UsageError
from ..prompt.prompts import Prompt, TokenizerFacts
from ..prompt.tokens import IGNORED, Encoded, encode_one
from .examples import Examples, of_source
from .lints import LINTS, RowProblem, for_source, singular
from .results import PreviewedRow, Token
from .rows import Left, Row

_NO_LIMIT = 1 << 40
_MOST_CUT = 1000
"""Tokens of a cut part that are shown one by one."""


def preview_row(
    index: int,
    number: int | None,
    tokenizer: Tokenizer,
    facts: TokenizerFacts,
    data: DataConfig,
) -> PreviewedRow:
    """Formats one row of a source.

    Args:
        index: Of the source in `data.sources`.
        number: Of the row, from 0 in the whole file; None is the first of the slice.
        tokenizer: The model's.
        facts: What is special about it.
        data: The configuration.

    Raises:
        UsageError: There is no such row.
        DataError: The source cannot be read, or this row cannot be used.
    """
    source = data.sources[index]
    with of_source(index):
        examples = Examples(source, tokenizer, facts, data)
        row = _row(examples, number)
        number = row.number
        example = row if isinstance(row, Left) else examples.example(row)
        if isinstance(example, Left):
            where = f"{example.place}: " if example.place else ""
            raise DataError(
                f"row {number} of {source.source} cannot be used ({example.id})",
                f"{where}{example.why}",
                LINTS[example.id].remedy,
            )
        encoding = tokenizer.encode(example.prompt.text, add_special_tokens=False)
        whole = encode_one(example.prompt, encoding, facts, _unlimited(data))
        at, cut = example.encoded.cut_at, example.encoded.cut_tokens
        if "row_dropped" in example.problems:  # it stands there whole
            at, cut = len(whole.input_ids), 0
        shown = _Tokens(example.prompt, whole, encoding, facts)
        shape = examples.source.shape
        return PreviewedRow(
            row=number,
            source=source.source,
            shape=shape.name,
            shape_reason=shape.reason,
            certainty=shape.certainty,
            template=examples.formatter.template,
            unused_columns=examples.source.unused,
            mask_from=example.prompt.marked,
            text=example.prompt.text,
            tokens=[*shown.part(0, at if cut else None), *(shown.part(at + cut) if cut else ())],
            input_ids=list(example.encoded.input_ids),
            labels=example.encoded.labels,
            cut_tokens=example.encoded.cut_tokens,
            cut_trained=example.encoded.cut_trained,
            cut=list(shown.part(at, min(at + cut, at + _MOST_CUT))) if cut else [],
            problems=[_problem(name, number, index) for name in dict.fromkeys(example.problems)],
        )


def _row(examples: Examples, number: int | None) -> Row | Left:
    """Returns the row of that number."""
    first, newest = -1, -1
    for row in examples.source:
        first = row.number if first < 0 else first
        newest = row.number
        if number is None or newest == number:
            return row
    raise UsageError(
        f"there is no row {number} in {examples.name}",
        f"it holds the rows {first} to {newest}, counted from 0",
        "choose one of them",
    )


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

    def _end_of(self, at: int) -> int:
        """Returns where the text of a token ends; 0 before the first."""
        edges = self._encoding.token_to_chars(at) if at >= 0 else None
        return edges[1] if edges else 0
