"""GGUF files are converted whole or refused with the true cause, in words."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from gguf import GGUFWriter
from tokenizers import pre_tokenizers

from sft_tui.core.config import ModelConfig
from sft_tui.core.errors import SftError
from sft_tui.core.training.locate import locate

WIDE = 32
WORDS = ["<eos>", *sorted(pre_tokenizers.ByteLevel.alphabet()), "th"]
SHAPES = {
    "token_embd": (len(WORDS), WIDE),
    "output_norm": (WIDE,),
    **{f"blk.0.attn_{name}": (WIDE, WIDE) for name in ("q", "k", "v", "output")},
    **{f"blk.0.ffn_{name}": (64, WIDE) for name in ("gate", "up")},
    "blk.0.ffn_down": (WIDE, 64),
    "blk.0.attn_norm": (WIDE,),
    "blk.0.ffn_norm": (WIDE,),
}


@pytest.fixture
def put(tmp_path, monkeypatch):
    """Writes a GGUF file of a one-layer model."""
    monkeypatch.setenv("SFT_TUI_HOME", str(tmp_path / "home"))

    def write(architecture="llama", tokenizer="gpt2", wide=WIDE, without=""):
        writer = GGUFWriter(tmp_path / "m.gguf", architecture)
        writer.add_context_length(64)
        writer.add_block_count(1)
        writer.add_embedding_length(wide)
        writer.add_feed_forward_length(64)
        writer.add_head_count(4)
        writer.add_head_count_kv(4)
        writer.add_layer_norm_rms_eps(1e-5)
        writer.add_vocab_size(len(WORDS))
        writer.add_tokenizer_model(tokenizer)
        writer.add_token_list(WORDS)
        writer.add_token_types([3] + [1] * (len(WORDS) - 1))
        writer.add_token_merges(["t h"])
        writer.add_eos_token_id(0)
        for name, shape in SHAPES.items():
            if name != without:
                writer.add_tensor(f"{name}.weight", np.ones(shape, np.float32))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return str(tmp_path / "m.gguf")

    return write


class Told:
    """A report that keeps what it is told."""

    def __init__(self) -> None:
        self.phases: list[tuple] = []

    def phase(self, *told) -> None:
        self.phases.append(told)


def test_a_whole_file_is_converted_and_tells_its_stages(put):
    told = Told()
    locate(ModelConfig(name=put()), told)
    assert [done for _, done, *_ in told.phases] == [0, 1, 2, 3]
    assert {unit for *_, unit in told.phases} == {"stages of converting the GGUF model"}


def test_two_who_want_the_same_file_convert_it_once(put):
    model, told = ModelConfig(name=put()), [Told(), Told()]
    with ThreadPoolExecutor() as both:
        first, second = both.map(lambda one: locate(model, one), told)
    assert first == second
    assert sorted(len(one.phases) for one in told) == [2, 4], "one waited and took what was made"


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"architecture": "mamba9"}, "architecture mamba9 is not supported"),
        ({"tokenizer": "weird"}, "stating tokenizer 'weird'"),
        ({"wide": 64}, "tensors have other shapes than its header says, such as "),
        ({"without": "blk.0.attn_q"}, "1 tensors are missing, such as model.layers.0.self_attn.q"),
    ],
)
def test_what_cannot_be_converted_says_the_true_cause(put, facts, why, tmp_path):
    with pytest.raises(SftError, match="cannot be converted") as caught:
        locate(ModelConfig(name=put(**facts)), Told())
    assert why in caught.value.why and "transformers" in caught.value.remedy
    assert not list((tmp_path / "home").rglob("*.safetensors"))
