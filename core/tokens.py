"""Prompt to token ids and labels: what a row costs and which of its tokens are trained.

Called by the preview and by the trainer alike. The text is tokenised once, as a whole; the mask
comes from character offsets, never from token ids, so a padding token that equals the end token
hides nothing.
"""

from collections.abc import Sequence

import msgspec
from tokenizers import Tokenizer

from .config import DataConfig
from .prompts import Prompt, TokenizerFacts

IGNORED = -100
"""Label of a token that is not trained, as in `torch.nn.functional.cross_entropy`."""


class Encoded(msgspec.Struct, frozen=True):
    """One row as the model sees it.

    `labels` has the length of `input_ids`: the id where the token is trained, `IGNORED` where
    not. They are not shifted; the model's loss does that. `answer_start` is the index of the
    first token of the first answer; what stands before it is the prompt.
    """

    input_ids: list[int]
    labels: list[int]
    answer_start: int
    cut_tokens: int
    straddling: int
    """Tokens that reach over the edge of an answer; they are trained."""

    @property
    def trained(self) -> int:
        """Number of labels that count in the loss; the first token is never predicted."""
        return sum(label != IGNORED for label in self.labels[1:])


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
        _encode_one(prompt, list(encoding.ids), encoding.offsets, facts, data)
        for prompt, encoding in zip(prompts, encodings, strict=True)
    ]


def _encode_one(
    prompt: Prompt,
    ids: list[int],
    offsets: list[tuple[int, int]],
    facts: TokenizerFacts,
    data: DataConfig,
) -> Encoded:
    spans = prompt.spans[-1:] if data.loss_on == "last_turn" else prompt.spans
    full = data.loss_on == "full"
    answered = _inside(offsets, prompt.spans)
    trained = [True] * len(ids) if full else _inside(offsets, spans)
    straddling = sum(
        start < edge < end for span in spans for edge in span for start, end in offsets
    )
    if facts.adds_bos and facts.bos_id is not None and ids[:1] != [facts.bos_id]:
        ids = [facts.bos_id, *ids]
        trained = [False, *trained]
        answered = [False, *answered]
    if prompt.append_eos:
        ids = [*ids, facts.eos_id]
        trained = [*trained, True]
        answered = [*answered, True]
    answer_start = answered.index(True) if True in answered else len(ids)
    cut = max(len(ids) - data.max_length, 0)
    if cut and data.truncate == "keep_start":
        ids, trained = ids[: data.max_length], trained[: data.max_length]
    elif cut and data.truncate == "keep_end":
        head = int(facts.bos_id is not None and ids[:1] == [facts.bos_id])  # BOS always stays
        ids, trained = ids[:head] + ids[head + cut :], trained[:head] + trained[head + cut :]
        answer_start = max(answer_start - cut, head)
    labels = [token if on else IGNORED for token, on in zip(ids, trained, strict=True)]
    return Encoded(ids, labels, min(answer_start, len(ids)), cut, straddling)


def _inside(offsets: list[tuple[int, int]], spans: Sequence[tuple[int, int]]) -> list[bool]:
    """Returns for each token whether it reaches into one of `spans`.

    A token of no width, such as a dummy prefix, counts where it stands. Both lists are in
    order, so one walk is enough.
    """
    result: list[bool] = []
    index = 0
    for start, end in offsets:
        while index < len(spans) and spans[index][1] <= start:
            index += 1
        if index == len(spans):
            result.append(False)
            continue
        first, last = spans[index]
        result.append((start < last and end > first) or (start == end and first <= start < last))
    return result
