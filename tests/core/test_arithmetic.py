"""Operations of a token, and peaks of the GPUs whose data sheets are known."""

import pytest

from sft_tui.core.arithmetic import flops_per_token, peak_flops


@pytest.mark.parametrize(
    ("gpu", "peak"),
    [
        ("NVIDIA H100 80GB HBM3", 989e12),
        ("NVIDIA H100 PCIe", 756e12),
        ("NVIDIA A100-SXM4-80GB", 312e12),
        ("NVIDIA GeForce RTX 4090", 165e12),
        ("NVIDIA L40S", 362e12),
        ("NVIDIA L4", 121e12),
        ("NVIDIA A10G", 70e12),
        ("NVIDIA A1000", None),
        ("NVIDIA GeForce RTX 4090D", None),
        ("", None),
    ],
)
def test_a_gpu_is_known_by_whole_words_of_its_name(gpu, peak):
    assert peak_flops(gpu, "bf16") == peak_flops(gpu, "fp16") == peak
    assert peak_flops(gpu, "fp32") is None


def test_a_weight_takes_four_operations_and_six_where_it_is_trained():
    assert flops_per_token(0, 100) == 400
    assert flops_per_token(100, 100) == 600
    assert flops_per_token(3, 100) == 406
