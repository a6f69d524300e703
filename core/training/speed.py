"""What makes steps faster without another result, and whether it holds for this model.

Whether rows may be packed depends on how a model keeps them apart, which only a trial can tell:
some carry a state along the sequence, some count positions by themselves, some build their
attention in their own way.
"""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from ..config import RunConfig
from ..data.packing import Packing
from ..data.plan import wanted
from ..errors import SftError
from ..prompt.tokens import Encoded
from ..text import one_line
from .attention import FLEX, SEGMENTS, watched_windows
from .collate import Layout, collate
from .fused_lora import fuse
from .precision import Precision

FUSED, PACKING, PREFIXES = "fused LoRA", "packing", "prefixes"
"""Among the choices of `run_started`."""
_UNPACKED = "off: rows are not packed"


def decide(
    model: Any,
    config: RunConfig,
    precision: Precision,
    rows: Sequence[Encoded],
    pad_id: int,
    choices: dict[str, str],
) -> Packing:
    """Prepares a model for what the configuration asks for, and returns how rows are packed.

    Args:
        model: With its adapter, its weights on their device.
        config: The run's.
        precision: In which it is run.
        rows: That are trained, of any order.
        pad_id: Token that fills up rows.
        choices: Are told what was chosen and why.

    Raises:
        SftError: `always` was asked for and would train something else.
    """
    for name in (FUSED, PACKING, PREFIXES):
        choices.pop(name, None)  # those of the first start
    if config.method.kind == "lora":
        choices[FUSED] = (
            fuse(model) if config.train.fused_lora else "off: train.fused_lora is false"
        )
    how = wanted(config, [row.input_ids for row in rows])
    if not how.pack:
        choices[PACKING] = "off: data.pack is never"
        choices[PREFIXES] = _UNPACKED
        return how
    trouble = _trouble(model, config, precision, rows, pad_id, share=False)
    if trouble:
        if config.data.pack == "always":
            raise _refusal("data.pack", trouble)
        if config.data.share_prefixes == "always":
            raise _refusal("data.share_prefixes", f"rows cannot be packed: {trouble}")
        choices[PACKING], choices[PREFIXES] = f"off: {trouble}", _UNPACKED
        return Packing()
    choices[PACKING] = "on: rows stand behind one another, none sees another"
    if config.data.share_prefixes == "never":
        choices[PREFIXES] = "off: data.share_prefixes is never"
        return how
    saved = f"{how.saved:.0%}".replace("%", " %")
    few = _few_texts(how)
    if not how.share:
        choices[PREFIXES] = f"off: {few or f'rows have only {saved} in common'}"
        return how
    trouble = _trouble(model, config, precision, rows, pad_id, share=True)
    if trouble:
        if config.data.share_prefixes == "always":
            raise _refusal("data.share_prefixes", trouble)
        choices[PREFIXES] = f"off: {trouble}"
        return Packing(pack=True)
    choices[PREFIXES] = f"on: {saved} of the first epoch's tokens less" + (few and f"; {few}")
    return how


def _few_texts(how: Packing) -> str:
    """Returns why rows of one text are not trained together though that would save much, or ""."""
    if not how.texts:
        return ""
    return (
        f"with rows of one text together a step would hold {how.texts:.1g} texts; "
        f"data.share_prefixes: always would leave out {how.grouped:.0%}".replace("%", " %")
    )


def _refusal(key: str, trouble: str) -> SftError:
    return SftError(
        f"{key}: always cannot be kept",
        trouble,
        f"set {key} to auto or never",
    )


def _trouble(
    model: Any,
    config: RunConfig,
    precision: Precision,
    rows: Sequence[Encoded],
    pad_id: int,
    *,
    share: bool,
) -> str:
    """Returns why packed rows would train something else; "" where they would not.

    Where it returns that, the model's attention is as it was; else it is `SEGMENTS`, on
    a GPU `FLEX` where that serves.
    """
    base = model.get_base_model() if hasattr(model, "peft_config") else model
    before = base.config._attn_implementation
    if config.model.attention not in ("auto", SEGMENTS, FLEX):
        return f"model.attention is {before}"
    on_gpu = next(model.parameters()).device.type == "cuda"
    trouble = ""
    for attention in (FLEX, SEGMENTS) if on_gpu else (SEGMENTS,):
        trouble = _trial(model, config, precision, rows, pad_id, share, attention)
        if not trouble:
            return ""
        base.set_attn_implementation(before)
    return trouble


def _trial(
    model: Any,
    config: RunConfig,
    precision: Precision,
    rows: Sequence[Encoded],
    pad_id: int,
    share: bool,
    attention: str,
) -> str:
    """Returns why one implementation of attention would train something else, which it leaves."""
    base = model.get_base_model() if hasattr(model, "peft_config") else model
    one, other, changed = _trial_rows(base, share)
    packed, padded = Layout(pad_id, pack=True, share=share), Layout(pad_id)
    longest = max(len(row.input_ids) for row in rows)
    with _evaluating(model), precision.arithmetic(), watched_windows() as windows:
        alone = [_logits(model, [row], padded)[0] for row in (one, other)]
        try:
            base.set_attn_implementation(attention)
            together = _logits(model, [one, other], packed)
            beside = _logits(model, [changed, other], packed)
            if attention == FLEX:  # whose kernel may not serve the way back
                _go_back(model, one, packed)
        except (AttributeError, KeyError, RuntimeError, ValueError) as error:
            # Whatever a model's own code makes of it: it is one that cannot be packed.
            raised = f"{type(error).__name__}: {one_line(str(error), 120)}"
            return f"the model's own code does not take packed rows ({raised})"
    off = _distance(torch.cat(together), torch.cat(alone))
    seen = _distance(together[1], beside[1])
    window = getattr(base.config, "sliding_window", None)
    if max(off, seen) > (1e-4 if config.train.precision == "fp32" else 5e-2):  # rounding
        return f"the logits of a packed row are off by {max(off, seen):.2g} of their spread"
    if isinstance(window, int) and window < longest and window not in windows:
        return f"its window of {window:,} positions does not reach the attention"
    return ""


def _go_back(model: Any, row: Encoded, layout: Layout) -> None:
    with torch.enable_grad():
        batch = collate([row], layout).to(next(model.parameters()).device)
        model(**batch.inputs, use_cache=False).logits.float().mean().backward()
    model.zero_grad()


def _trial_rows(base: Any, share: bool) -> tuple[Encoded, Encoded, Encoded]:
    """Returns two rows, with `share` of one beginning, and the first one with another end."""
    vocabulary = base.get_input_embeddings().num_embeddings
    one = [(3 + 7 * n) % vocabulary for n in range(14)]
    other = [(4 + 11 * n) % vocabulary for n in range(11)]
    kept = 6 if share else 0
    return _row(one), _row([*one[:kept], *other[kept:]]), _row([*one[:kept], *one[:kept:-1], 5])


def _row(ids: list[int]) -> Encoded:
    return Encoded(ids, ((1, len(ids)),), 1)


def _logits(model: Any, rows: list[Encoded], layout: Layout) -> list[torch.Tensor]:
    """Returns each row's logits, (length, vocabulary) fp32."""
    batch = collate(rows, layout).to(next(model.parameters()).device)
    logits = model(**batch.inputs, use_cache=False).logits.float()
    if not layout.pack:
        return list(logits)
    segments = [tuple(each) for each in batch.attention_mask.view(-1, 4).tolist()]
    beginnings = {(begin, shared) for _, _, begin, shared in segments if shared}
    return [
        torch.cat([logits[0, begin : begin + shared], logits[0, start : start + length]])
        for start, length, begin, shared in segments
        if (start, length) not in beginnings
    ]


def _distance(one: torch.Tensor, other: torch.Tensor) -> float:
    """Returns how far logits are apart, as a share of their spread."""
    spread = (other - other.mean(-1, keepdim=True)).norm()
    return float((one - other).norm() / spread.clamp_min(1e-12))


@contextmanager
def _evaluating(model: Any) -> Generator[None]:
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(training)
