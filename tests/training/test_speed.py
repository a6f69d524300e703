"""Packed rows, shared beginnings and the fused adapter train what the plain path trains."""

from pathlib import Path
from typing import Any

import pytest
import torch

from sft_tui.core import events
from sft_tui.core.errors import SftError
from sft_tui.core.prompt.tokens import Encoded
from sft_tui.core.training import attention_cpu, attention_flex
from sft_tui.core.training.attention import FLEX
from sft_tui.core.training.collate import Layout, collate
from tests.training import zoo

PACKED = ("llama", "qwen3", "gemma3", "gemma2", "gpt2", "mixtral", "qwen3_moe", "opt")
APART = {  # and why packing would train something else
    "qwen3_next": "off by",
    "mamba2": "off by",
    "gpt_oss": "s_aux",
    "bloom": "own code does not take packed rows (ValueError: too many values to unpack",
}
PLAIN = (
    "data.pack=never",
    "data.share_prefixes=never",
    "train.fused_lora=false",
    "train.loss_chunk=null",
)
FAST = ("data.pack=always", "data.share_prefixes=always", "train.fused_lora=true")
SETS = ("train.gradient_accumulation=2", "train.max_steps=3", "optim.learning_rate=3e-3")


@pytest.fixture
def saved(tokenizer, tmp_path):
    """Saves a model of one kind with the tokenizer."""

    def make(kind: str) -> Path:
        folder = tmp_path / kind
        zoo.build(kind, tokenizer).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        return folder

    return make


@pytest.fixture
def related(write_rows):
    """Rows whose prompts share more than a window, in families of one to four."""
    rows: list[tuple[str, str]] = []
    for family, size in enumerate((3, 1, 4, 2, 1, 3, 2)):
        words = " ".join(f"w{(family * 7 + n) % 23}" for n in range(9))
        rows += [(f"{words} q{n}", f"a{n} " * (1 + (family + n) % 4)) for n in range(size)]
    return write_rows(rows)


def same(fast: Any, plain: Any, tolerance: float = 1e-5) -> None:
    assert fast.losses == pytest.approx(plain.losses, abs=tolerance, rel=0)
    norms = [[step.grad_norm for step in run.steps] for run in (fast, plain)]
    assert norms[0] == pytest.approx(norms[1], rel=10 * tolerance)
    for name, weight in plain.adapter.items():
        torch.testing.assert_close(fast.adapter[name], weight, atol=3e-4, rtol=0)


@pytest.mark.parametrize("loss_on", ["completion", "full"])
@pytest.mark.parametrize("kind", PACKED)
def test_packed_shared_and_fused_steps_equal_plain_ones(
    kind, loss_on, saved, related, configure, train
):
    folder, targets = saved(kind), f"method.target_modules={zoo.KINDS[kind][2]}"
    sets = (targets, *SETS, f"data.loss_on={loss_on}", "data.shuffle=false",
            "train.micro_batch_size=4")  # fmt: skip
    plain = train(configure(folder, related, *sets, *PLAIN))
    packed = train(configure(folder, related, *sets, *PLAIN, "data.pack=always"))
    fast = train(configure(folder, related, *sets, *FAST, "train.loss_chunk=16"))

    same(packed, plain)
    same(fast, plain)
    assert [step.padding_share for step in packed.steps] == [0.0] * 3
    assert min(step.shared_share for step in fast.steps) > 0.15
    assert [step.tokens for step in fast.steps] == [step.tokens for step in plain.steps]
    (started,) = fast.of(events.RunStarted)
    assert started.attention == "segments"


@pytest.mark.parametrize("kind", ["llama", "gemma3", "gemma2", "gpt2"])
def test_flex_attention_keeps_packed_rows_of_a_model_apart(kind, tokenizer, monkeypatch):
    """What GPUs take; forward alone, as torch has no way back for it on a CPU."""
    asked: list[int] = []
    monkeypatch.setattr(attention_flex, "serves", lambda query, _: not asked.append(len(query)))
    monkeypatch.setattr(attention_cpu, "serves", lambda *_: False)
    model = zoo.build(kind, tokenizer).eval()
    rows = [Encoded([5, 6, 7, *ends], ((1, 3 + len(ends)),), 1) for ends in ([8] * 9, [9, 4])]
    packed, padded = (collate(rows, Layout(0, pack=pack, share=pack)) for pack in (True, False))
    with torch.no_grad():
        alone = model(**padded.inputs).logits
        model.set_attn_implementation(FLEX)
        together = model(**packed.inputs, use_cache=False).logits[0]

    assert len(asked) == model.config.num_hidden_layers
    torch.testing.assert_close(together[:12], alone[0], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(together[12:], alone[1, 3:5], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", APART)
def test_models_that_would_mix_packed_rows_are_told_apart(kind, saved, related, configure, train):
    folder, targets = saved(kind), f"method.target_modules={zoo.KINDS[kind][2]}"
    sets = (targets, *SETS)
    plain = train(configure(folder, related, *sets, "data.pack=never"))
    auto = train(configure(folder, related, *sets))
    (started,) = auto.of(events.RunStarted)
    assert APART[kind] in started.choices["packing"]
    assert auto.losses == plain.losses
    with pytest.raises(SftError, match=r"data\.pack: always cannot be kept") as refused:
        train(configure(folder, related, *sets, "data.pack=always"))
    assert APART[kind] in refused.value.why
    assert started.choices["prefixes"] == "off: rows are not packed"
    with pytest.raises(SftError, match=r"data\.share_prefixes: always cannot be kept") as refused:
        train(configure(folder, related, *sets, "data.share_prefixes=always"))
    assert APART[kind] in refused.value.why
