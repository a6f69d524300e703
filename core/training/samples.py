"""Greedy answers to fixed prompts, before training and after, so that both can be compared."""

from collections.abc import Sequence
from typing import Any

import torch

from .. import events
from ..prompt.tokens import IGNORED, Encoded
from .ranks import Ranks
from .report import Report
from .sharding import is_sharded
from .steering import Steering

_ANSWERERS = ("assistant", "model", "bot", "gpt", "ai")


def choose(rows: Sequence[Encoded], count: int) -> list[Encoded]:
    """Returns `count` rows with a prompt, spread evenly over `rows`."""
    prompted = [index for index, row in enumerate(rows) if row.answer_start > 0]
    count = min(count, len(prompted))
    return [rows[prompted[index * len(prompted) // count]] for index in range(count)]


def generate(
    model: Any,
    prompt: Sequence[int],
    end_ids: set[int],
    pad_id: int,
    max_new_tokens: int,
    *,
    temperature: float = 0.0,
    together: bool = False,
    **watched: Any,
) -> list[int]:
    """Returns the ids of a model's answer, at least one; the last is of `end_ids` if it ended.

    Args:
        model: In evaluation mode.
        prompt: Token ids, at least one.
        end_ids: Ids that end an answer.
        pad_id: The padding token.
        max_new_tokens: Where an answer is cut.
        temperature: Divides the logits before a token is drawn; 0 takes the likeliest.
        together: Whether all ranks answer, and go on until the last of them is done.
        watched: `streamer` and `stopping_criteria` of transformers' `generate`.
    """
    given = torch.tensor([list(prompt)], device=model.device)
    with torch.no_grad():
        output = model.generate(
            input_ids=given,
            attention_mask=torch.ones_like(given),
            max_new_tokens=max_new_tokens,
            do_sample=temperature > 0,
            temperature=temperature or None,
            top_p=None,
            top_k=None,
            eos_token_id=sorted(end_ids),
            pad_token_id=pad_id,
            synced_gpus=together,
            **watched,
        )
    return output[0, given.shape[1] :].tolist()


def text_of(tokenizer: Any, ids: Sequence[int]) -> str:
    """Returns the text of an answer."""
    return tokenizer.decode(ids, skip_special_tokens=True).strip()


def prompt_of(tokenizer: Any, ids: Sequence[int]) -> str:
    """Returns the text of a prompt, without the name of who is to answer that ends it in templates.

    That stands behind a special token, which the text does not show.
    """
    added = tokenizer.added_tokens_decoder
    special = {number for number, token in added.items() if token.special}
    end = len(ids)
    while (begin := _behind_last(ids[:end], special)) > 0:
        said = tokenizer.decode(ids[begin:end], skip_special_tokens=True).strip()
        if said in _ANSWERERS:
            ids = ids[:begin]
        if said:
            break
        end = begin - 1
    return tokenizer.decode(ids, skip_special_tokens=True)


def _behind_last(ids: Sequence[int], special: set[int]) -> int:
    """Returns the place behind the last special token; 0 where there is none."""
    return next((at for at in range(len(ids), 0, -1) if ids[at - 1] in special), 0)


def end_tokens(model: Any, eos_id: int) -> set[int]:
    """Returns every id that ends an answer: the tokenizer's and the model's own."""
    own = model.generation_config.eos_token_id
    return {eos_id, *(own if isinstance(own, list) else [own] if own is not None else [])}


def take(
    model: Any,
    tokenizer: Any,
    rows: list[Encoded],
    pad_id: int,
    max_new_tokens: int,
    step: int,
    report: Report,
    steering: Steering,
    ranks: Ranks,
) -> bool:
    """Answers each prompt and tells it; a request to stop ends the sampling.

    The first rank answers, and all together where each has only its share of the model.

    Returns:
        Whether there are prompts and all were answered.
    """
    if not rows:
        return False
    model.eval()
    end_ids = end_tokens(model, tokenizer.eos_token_id)
    for index, row in enumerate(rows):
        report.phase("sampling", index, len(rows), "prompts")
        if steering.settle():
            model.train()
            return False
        sharded = is_sharded(model)
        if not (ranks.first or sharded):
            continue
        asked = row.input_ids[: row.answer_start]
        new = generate(model, asked, end_ids, pad_id, max_new_tokens, together=sharded)
        prompt = prompt_of(tokenizer, asked)
        expected = [label for label in row.labels[row.answer_start :] if label != IGNORED]
        report.emit(
            events.Sample(
                step=step,
                prompt_id=index,
                prompt=prompt,
                text=text_of(tokenizer, new),
                finished=new[-1] in end_ids,
                expected=text_of(tokenizer, expected),
            )
        )
    model.train()
    return True
