"""Estimates lie within a fifth of what two real steps take, and measuring leaves nothing behind."""

import os
from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from sft_tui.core.data import packing
from sft_tui.core.data.dataset import gather
from sft_tui.core.data.plan import largest, planned
from sft_tui.core.errors import SftError
from sft_tui.core.fit import estimate
from sft_tui.core.measurement import measure
from sft_tui.core.model_facts import facts_of
from sft_tui.core.training.tokenizer import tokenizer_facts

WORD = " a"


@pytest.fixture(autouse=True)
def sft_home(tmp_path, monkeypatch):
    monkeypatch.setenv("SFT_TUI_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture(scope="module")
def small(tokenizer, tmp_path_factory) -> Path:
    """A Llama of 6.5 million parameters: small, but with more memory in a step than in torch."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=8000,
        hidden_size=256,
        intermediate_size=704,
        num_hidden_layers=6,
        num_attention_heads=8,
        num_key_value_heads=4,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    folder = tmp_path_factory.mktemp("small")
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    ("precision", "length", "batch", "loss_on", "accumulation"),
    [
        ("fp32", 500, 4, "full", 1),
        ("bf16", 1000, 2, "completion", 1),
        pytest.param("bf16", 1000, 2, "full", 1, marks=pytest.mark.soak),
        pytest.param("bf16", 1000, 2, "completion", 4, marks=pytest.mark.soak),
    ],
)
def test_the_estimate_is_within_a_fifth_of_the_measured_peak(
    small, write_rows, configure, precision, length, batch, loss_on, accumulation
):
    half = length // 2
    data = write_rows([("the" + WORD * (half - 8), WORD * half)] * 3 + [("the", "a")])
    config = configure(
        small,
        data,
        f"train.precision={precision}",
        f"train.micro_batch_size={batch}",
        f"train.gradient_accumulation={accumulation}",
        f"data.loss_on={loss_on}",
        "data.sources.0.template=plain",
        "data.ignore_problems=[duplicates]",
        "method.rank=16",
    )

    measured = measure(config)

    told = estimate(
        facts_of(config.model),
        config,
        rows_tokens=measured.longest_tokens,
        supervised_tokens=measured.supervised_tokens,
        padded=measured.padded,
    )
    assert measured.device == "cpu"
    assert measured.rows == batch
    assert measured.longest_tokens == pytest.approx(length, rel=0.05)
    share = measured.supervised_tokens / (min(batch, 3) * measured.longest_tokens)
    assert share == pytest.approx(1 if loss_on == "full" else 0.5, abs=0.05)
    assert measured.padded == (batch == 4)
    assert measured.step_s > 0
    assert measured.baseline_bytes < measured.loading_peak_bytes < measured.peak_bytes
    assert told.total == pytest.approx(measured.peak_bytes, rel=0.2)
    # Without the part that every process has, which is most of so small a run.
    own = told.total - measured.baseline_bytes
    assert own == pytest.approx(measured.above_baseline_bytes, rel=0.3)


@pytest.mark.soak
@pytest.mark.parametrize(
    "sets",
    [
        ["train.precision=fp16"],
        ["train.precision=bf16", "train.gradient_checkpointing=true"],
        ["train.precision=bf16", "model.quantisation=nf4"],
        ["train.precision=fp32", "method.kind=full"],
        ["train.precision=bf16", "method.kind=full"],
        [
            "train.precision=bf16",
            "method.kind=full",
            "optim.name=adamw_8bit",
            "method.freeze=[embed_tokens]",
        ],
    ],
)
def test_the_estimate_of_every_method_is_within_a_fifth_of_the_measured_peak(
    small, write_rows, configure, sets
):
    data = write_rows([("the" + WORD * 242, WORD * 250)] * 3 + [("the", "a")])
    common = ("data.sources.0.template=plain", "data.ignore_problems=[duplicates]")
    config = configure(small, data, "train.gradient_accumulation=2", *common, *sets)
    measured = measure(config)
    told = estimate(
        facts_of(config.model),
        config,
        rows_tokens=measured.longest_tokens,
        supervised_tokens=measured.supervised_tokens,
        padded=measured.padded,
    )
    assert told.total == pytest.approx(measured.peak_bytes, rel=0.2)


def test_measuring_takes_the_largest_micro_batch_and_leaves_no_run_and_no_file(
    small, ragged, configure, tokenizer, sft_home, tmp_path
):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    config = configure(small, ragged(8), "train.gradient_accumulation=3", "data.pack=always",
                       "data.share_prefixes=always", "data.shuffle=true")  # fmt: skip
    before = os.environ.get("TMPDIR")
    os.environ["TMPDIR"] = str(temporary)
    try:
        measured = measure(config)
    finally:
        if before is None:
            del os.environ["TMPDIR"]
        else:
            os.environ["TMPDIR"] = before
    dataset = gather(config, tokenizer.backend_tokenizer, tokenizer_facts(tokenizer))
    rows = list(dataset.picked(dataset.sides()[0]))
    ids = [row.input_ids for row in rows]
    chosen = largest(planned(config, ids), ids, config.train.epochs * 2)
    assert (measured.packed, measured.padded, measured.rows) == (True, False, len(chosen))
    assert measured.computed_tokens == packing.computed([ids[n] for n in chosen], share=True)
    assert measured.supervised_tokens == sum(rows[n].trained for n in chosen)
    assert not (sft_home / "runs").exists()
    assert list(temporary.iterdir()) == []


def test_what_the_trainer_refuses_is_refused_in_its_words(small, ragged, configure):
    config = configure(small, ragged(4), "method.target_modules=[q_prj]")
    with pytest.raises(SftError, match="q_prj") as caught:
        measure(config)
    assert "q_proj" in caught.value.remedy
