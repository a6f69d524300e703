"""What the model will see of one row: every token, whether it is trained, and what is wrong."""

from collections.abc import Iterator

import msgspec
from tokenizers import Tokenizer

from ..config import DataConfig, SourceConfig
from ..errors import DataError, UsageError
from ..prompt.prompts import Prompt, TokenizerFacts
from ..prompt.tokens import IGNORED, Encoded, encode
from .examples import Examples
from .lints import LINTS, RowProblem, singular
from .rows import Left

_NO_LIMIT = 1 << 40


class Token(msgspec.Struct, frozen=True):
    """One token: its text is the part of the rendered row that it stands for.

    The bytes of one character may be spread over several tokens: the first has its text.
    """

    id: int
    text: str
    trained: bool
    special: bool


class PreviewedRow(msgspec.Struct, frozen=True, kw_only=True):
    """One row as it is trained. `cut` are the tokens that `max_length` takes away."""

    row: int
    source: str
    shape: str
    shape_reason: str
    certainty: str
    template: str
    unused_columns: list[str]
    mask_from: str
    text: str
    tokens: list[Token]
    input_ids: list[int]
    labels: list[int]
    cut_tokens: int
    cut_trained: int
    cut: list[Token]
    problems: list[RowProblem]


def preview_row(
    source: SourceConfig, number: int, tokenizer: Tokenizer, facts: TokenizerFacts, data: DataConfig
) -> PreviewedRow:
    """Formats one row of a source, counted from 0.

    Raises:
        UsageError: There is no such row.
        DataError: The source cannot be read, or this row cannot be used.
    """
    examples = Examples(source, tokenizer, facts, data)
    newest = -1
    for row in examples.source:
        newest = row.number
        if row.number == number:
            break
    else:
        raise UsageError(
            f"there is no row {number} in {source.source}",
            f"its last row is {newest}; rows are counted from 0",
            "choose another row",
        )
    example = row if isinstance(row, Left) else examples.example(row)
    if isinstance(example, Left):
        where = f"{example.place}: " if example.place else ""
        raise DataError(
            f"row {number} of {source.source} cannot be used ({example.id})",
            f"{where}{example.why}",
            LINTS[example.id].remedy,
        )
    whole = encode([example.prompt], tokenizer, facts, _unlimited(data))[0]
    every = list(_tokens(example.prompt, whole, tokenizer, facts))
    at, cut = example.encoded.cut_at, example.encoded.cut_tokens
    dropped = "row_dropped" in example.problems  # a dropped row stands there whole
    first, last = (len(every), len(every)) if dropped or not cut else (at, at + cut)
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
        tokens=every[:first] + every[last:],
        input_ids=list(example.encoded.input_ids),
        labels=example.encoded.labels,
        cut_tokens=example.encoded.cut_tokens,
        cut_trained=example.encoded.cut_trained,
        cut=every[first:last],
        problems=[_problem(name, number) for name in dict.fromkeys(example.problems)],
    )


def _unlimited(data: DataConfig) -> DataConfig:
    return msgspec.structs.replace(data, max_length=_NO_LIMIT)


def _problem(name: str, number: int) -> RowProblem:
    lint = LINTS[name]
    message = f"row {number} {singular(lint.what)}"
    # One row alone does not say whether too many have it.
    severity = lint.severity if lint.share is None else "warning"
    return RowProblem(name, severity, message, lint.remedy, number)


def _tokens(
    prompt: Prompt, whole: Encoded, tokenizer: Tokenizer, facts: TokenizerFacts
) -> Iterator[Token]:
    """Yields all tokens of a row that nothing was cut from."""
    offsets = tokenizer.encode(prompt.text, add_special_tokens=False).offsets
    texts: list[str] = []
    reached = 0
    for _, end in offsets:
        # Text that no token holds, such as a space the tokenizer drops, goes to the next one.
        texts.append(prompt.text[reached : max(end, reached)])
        reached = max(end, reached)
    if texts:
        texts[-1] += prompt.text[reached:]
    extra = len(whole.input_ids) - len(texts) - prompt.append_eos
    texts = [facts.bos_token or ""] * extra + texts + [facts.eos_token or ""] * prompt.append_eos
    markers = set(facts.markers)
    for token, text, label in zip(whole.input_ids, texts, whole.labels, strict=True):
        yield Token(token, text, label != IGNORED, text in markers)
