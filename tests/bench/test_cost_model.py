"""The cost model counts what others count, agrees with published rows, and scales as it must."""

from dataclasses import replace

import pytest

from tests.bench.cost_model import (
    H100,
    LLAMA_8B,
    LLAMA_70B,
    PUBLISHED,
    QWEN_7B,
    QWEN_32B,
    Job,
    flops_per_token,
    gathering_s,
    memory_gib,
    tokens_per_s,
)


@pytest.mark.parametrize(
    ("model", "parameters"),
    [(LLAMA_8B, 8.030e9), (QWEN_7B, 7.616e9), (QWEN_32B, 32.76e9), (LLAMA_70B, 70.55e9)],
    ids=lambda each: getattr(each, "name", ""),
)
def test_a_model_has_as_many_parameters_as_its_card_says(model, parameters):
    assert model.multiplied + 2 * model.head == pytest.approx(parameters, rel=1e-3)


def test_training_all_weights_takes_six_flops_a_weight_and_an_adapter_four():
    weights = LLAMA_8B.multiplied + LLAMA_8B.head
    short = Job(LLAMA_8B, length=1, rank=1)
    assert flops_per_token(replace(short, kind="full")) == pytest.approx(6 * weights, rel=1e-3)
    assert flops_per_token(short) == pytest.approx(4 * weights, rel=1e-3)


def test_attention_grows_with_the_row_and_checkpointing_repeats_the_layers_alone():
    short, long = Job(LLAMA_8B, length=2048), Job(LLAMA_8B, length=4096)
    more = flops_per_token(long) - flops_per_token(short)
    assert more == pytest.approx(3.5 * 2 * 2048 * 4096 * 32)
    again = flops_per_token(replace(long, checkpointing=True)) - flops_per_token(long)
    assert again == pytest.approx(2 * LLAMA_8B.multiplied + 2 * 4096 * 4096 * 32)


@pytest.mark.parametrize("row", PUBLISHED, ids=lambda row: f"{row.job.model.name} {row.gpus}")
def test_published_speeds_are_met(row):
    bound = 0.03 if row.calibrates else 0.15
    if row.job.kind == "qlora":  # unpacking costs more there than its bytes alone
        bound = 0.3
    assert row.predicted == pytest.approx(row.tokens_per_s, rel=bound)


@pytest.mark.parametrize("row", [row for row in PUBLISHED if row.gib], ids=lambda row: row.job.kind)
def test_published_memory_is_met_within_the_range_that_fit_states(row):
    assert memory_gib(row.job, loss_share=1 / 8) == pytest.approx(row.gib, rel=0.3)


def test_fsdp_divides_memory_and_brings_every_weight_twice():
    job = Job(QWEN_32B, length=4096, checkpointing=True)
    size = 2 * (QWEN_32B.multiplied + 2 * QWEN_32B.head)
    assert gathering_s(job, H100, 1) == 0
    assert gathering_s(job, H100, 2) == pytest.approx(2 * size / 2 / 450e9)
    assert memory_gib(job, 8, "fsdp") < memory_gib(job, 2, "fsdp") < memory_gib(job)


def test_a_slow_network_binds_fsdp_and_leaves_ddp_alone():
    slow = replace(H100, network=1e9)
    job = replace(PUBLISHED[4].job, accumulation=4)
    alone = tokens_per_s(job, slow)
    assert tokens_per_s(job, slow, 16, "ddp") > 0.9 * alone
    assert tokens_per_s(job, slow, 16, "fsdp") < 0.5 * alone
