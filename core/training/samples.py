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


def choose(rows: Sequence[Encoded], count: int) -> list[Encoded]:
    """Returns `count` rows with a prompt, spread evenly over `rows`."""
    prompted = [index for index, row in enumerate(rows) if row.answer_start > 0]
    count = min(count, len(prompted))
    return [rows[prompted[index * len(prompted) // count]] for index in range(count)]


def answer(
    model: Any,
    tokenizer: Any,
    row: Encoded,
    end_ids: set[int],
    pad_id: int,
    max_new_tokens: int,
    device: torch.device,
    *,
    together: bool = False,
) -> tuple[str, bool]:
    """Returns the model's greedy answer to a row's prompt, and whether it ended by itself.

    Args:
        end_ids: Ids that end an answer.
        max_new_tokens: Where an answer is cut.
        together: Whether all ranks answer, and go on until the last of them is done.
    """
    prompt = torch.tensor([row.input_ids[: row.answer_start]], device=device)
    with torch.no_grad():
        output = model.generate(
            input_ids=prompt,
            attention_mask=torch.ones_like(prompt),
            max_new_tokens=max_new_tokens,
            do_sample=False,
            temperature=None,
            top_p=None,
            top_k=None,
            eos_token_id=sorted(end_ids),
            pad_token_id=pad_id,
            synced_gpus=together,
        )
    new = output[0, prompt.shape[1] :].tolist()
    return tokenizer.decode(new, skip_special_tokens=True).strip(), new[-1] in end_ids


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
        text, finished = answer(
            model, tokenizer, row, end_ids, pad_id, max_new_tokens, model.device, together=sharded
        )
        prompt = tokenizer.decode(row.input_ids[: row.answer_start], skip_special_tokens=True)
        expected = [label for label in row.labels[row.answer_start :] if label != IGNORED]
        report.emit(
            events.Sample(
                step=step,
                prompt_id=index,
                prompt=prompt,
                text=text,
                finished=finished,
                expected=tokenizer.decode(expected, skip_special_tokens=True).strip(),
            )
        )
    model.train()
    return True
