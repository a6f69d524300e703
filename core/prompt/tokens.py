"""Prompt to token ids and labels: what a row costs and which of its tokens are trained.

Called by the preview and by the trainer alike. The text is tokenised once, as a whole; the mask
comes from character offsets, never from token ids, so a padding token that equals the end token
hides nothing.
"""

from array import array
from collections.abc import Sequence
from functools import partial

import msgspec
from tokenizers import Encoding, Tokenizer

from ..config import DataConfig
from .prompt import Prompt, TokenizerFacts

IGNORED = -100
"""Label of a token that is not trained, as in `torch.nn.functional.cross_entropy`."""


class Encoded(msgspec.Struct, frozen=True):
    """One row as the model sees it.

    `spans` are the ranges of tokens (start, end) that are trained, in order. `answer_start` is
    the index of the first token of the first answer; what stands before it is the prompt.
    """

    input_ids: "list[int] | array[int]"
    spans: tuple[tuple[int, int], ...]
    answer_start: int
    cut_tokens: int = 0
    cut_at: int = 0
    """Index of the first token behind the cut, of those that are left."""
    cut_trained: int = 0
    """Tokens among the cut ones that would have been trained."""
    straddling: int = 0
    """Tokens that reach over the edge of an answer; they are trained."""

    @property
    def labels(self) -> list[int]:
        """Per token its id where it is trained, `IGNORED` where not.

        They are not shifted; the model's loss does that.
        """
        labels = [IGNORED] * len(self.input_ids)
        for start, end in self.spans:
            labels[start:end] = self.input_ids[start:end]
        return labels

    @property
    def trained(self) -> int:
        """Number of labels that count in the loss; the first token is never predicted."""
        return sum(end - max(start, 1) for start, end in self.spans if end > 1)


def encode(
    prompts: Sequence[Prompt], tokenizer: Tokenizer, facts: TokenizerFacts, data: DataConfig
) -> list[Encoded]:
    """Tokenises prompts and marks what is trained.

    Args:
        prompts: Rendered rows.
        tokenizer: The fast tokenizer; it must neither truncate nor pad.
        facts: What is special about it.
        data: Which tokens are trained, the longest row, and what happens to longer ones.

    Returns:
        One result per prompt; a row that is longer than `max_length` has `cut_tokens` > 0, and
        under `truncate: drop` it is returned whole for the caller to leave out.
    """
    texts = [prompt.text for prompt in prompts]
    encodings = tokenizer.encode_batch(texts, add_special_tokens=False)
    return [
        encode_one(prompt, encoding, facts, data)
        for prompt, encoding in zip(prompts, encodings, strict=True)
    ]


def encode_one(
    prompt: Prompt, encoding: Encoding, facts: TokenizerFacts, data: DataConfig
) -> Encoded:
    """As `encode`, of one prompt that was tokenised without special tokens."""
    ids: list[int] = encoding.ids
    answers = _ranges(encoding, prompt.spans)
    straddling = 0
    if data.loss_on == "full":
        spans = [(0, len(ids))]
    else:
        spans = answers[-1:] if data.loss_on == "last_turn" else answers
        chosen = prompt.spans[-1:] if data.loss_on == "last_turn" else prompt.spans
        straddling = sum(map(partial(_straddling, encoding), chosen, spans))
    if facts.adds_bos and facts.bos_id is not None and ids[:1] != [facts.bos_id]:
        ids = [facts.bos_id, *ids]
        spans = [(start + 1, end + 1) for start, end in spans]
        answers = [(start + 1, end + 1) for start, end in answers]
    if prompt.append_eos:
        spans = _with_next(spans, len(ids))
        ids = [*ids, facts.eos_id]
    filled = [start for start, end in answers if end > start]
    answer_start = filled[0] if filled else len(ids) - prompt.append_eos
    whole = Encoded(ids, tuple(spans), answer_start, straddling=straddling)
    return _cut(whole, facts, data)


def _cut(row: Encoded, facts: TokenizerFacts, data: DataConfig) -> Encoded:
    """Cuts a row that is longer than the limit, as the configuration says."""
    cut = len(row.input_ids) - data.max_length
    if cut <= 0:
        return row
    ids = list(row.input_ids)
    if data.truncate == "drop":
        return msgspec.structs.replace(row, cut_tokens=cut)
    # BOS always stays: what is cut at the start begins behind it.
    head = int(facts.bos_id is not None and ids[:1] == [facts.bos_id])
    first = data.max_length if data.truncate == "keep_start" else head
    last = first + cut

    def moved(place: int) -> int:
        return place if place <= first else max(place - cut, first)

    spans = tuple((moved(start), moved(end)) for start, end in row.spans)
    return Encoded(
        ids[:first] + ids[last:],
        tuple((start, end) for start, end in spans if end > start),
        moved(row.answer_start),
        cut,
        first,
        sum(max(min(end, last) - max(start, first), 0) for start, end in row.spans),
        row.straddling,
    )


def _with_next(spans: list[tuple[int, int]], place: int) -> list[tuple[int, int]]:
    """Returns the spans with the token at `place`, behind all of them, trained too."""
    if spans and spans[-1][1] == place:
        return [*spans[:-1], (spans[-1][0], place + 1)]
    return [*spans, (place, place + 1)]


def _ranges(encoding: Encoding, spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Returns for each span of characters the range of tokens that reach into it.

    A token of no width, such as a dummy prefix, counts where it stands. Asks the encoding for
    the edges alone: the offsets of all tokens as Python objects cost more than tokenising.
    """
    count = len(encoding)
    found: list[tuple[int, int]] = []
    for start, end in spans:
        first, last = encoding.char_to_token(start), encoding.char_to_token(end - 1)
        if end <= start or first is None or last is None:
            found.append(_range_of(encoding.offsets, start, end))
            continue
        while first > 0 and encoding.token_to_chars(first - 1) == (start, start):
            first -= 1
        last += 1
        while last < count and _start(encoding, last) < end:
            last += 1
        found.append((first, last))
    return found


def _start(encoding: Encoding, token: int) -> int:
    return (encoding.token_to_chars(token) or (0, 0))[0]


def _range_of(offsets: list[tuple[int, int]], start: int, end: int) -> tuple[int, int]:
    """The same from all offsets, for edges at characters that no token holds."""
    inside = [
        index
        for index, (left, right) in enumerate(offsets)
        if (left < end and right > start) or (left == right and start <= left < end)
    ]
    return (inside[0], inside[-1] + 1) if inside else (len(offsets), len(offsets))


def _straddling(encoding: Encoding, span: tuple[int, int], tokens: tuple[int, int]) -> int:
    """Returns how many tokens reach over an edge of the span."""
    if tokens[0] == tokens[1]:
        return 0
    edges = (encoding.token_to_chars(tokens[0]), encoding.token_to_chars(tokens[1] - 1))
    over = [bool(edges[0] and edges[0][0] < span[0]), bool(edges[1] and edges[1][1] > span[1])]
    return sum(over)
