"""The estimate adds up, moves the right way with every setting, and says what would fit."""

import pytest

from sft_tui.core import config_file
from sft_tui.core.fit import estimate
from sft_tui.core.model_facts import from_headers
from sft_tui.core.verdict import TIGHT, verdict, ways_out

GIB = 1 << 30


def header(hidden=2048, wide=8192, keys=512, layers=16, vocabulary=128256):
    """A header of Llama-3.2-1B's shapes, or of others."""
    shapes = {
        "self_attn.q_proj": [hidden, hidden],
        "self_attn.k_proj": [keys, hidden],
        "self_attn.v_proj": [keys, hidden],
        "self_attn.o_proj": [hidden, hidden],
        "mlp.gate_proj": [wide, hidden],
        "mlp.up_proj": [wide, hidden],
        "mlp.down_proj": [hidden, wide],
        "input_layernorm": [hidden],
        "post_attention_layernorm": [hidden],
    }
    found = {"model.embed_tokens.weight": {"dtype": "BF16", "shape": [vocabulary, hidden]}}
    for layer in range(layers):
        for name, shape in shapes.items():
            found[f"model.layers.{layer}.{name}.weight"] = {"dtype": "BF16", "shape": shape}
    return found


CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": 2048,
    "intermediate_size": 8192,
    "num_hidden_layers": 16,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
    "tie_word_embeddings": True,
    "rms_norm_eps": 1e-5,
}
LORA_PARAMETERS = 11_272_192
PARAMETERS = 1_235_812_352  # of the model card's 1.24 billion, without the last norm


@pytest.fixture(scope="module")
def facts():
    return from_headers([header()], CONFIG, "Llama-3.2-1B")


def run(*sets):
    """A configuration whose head takes all trained positions at once."""
    return config_file.build(["train.loss_chunk=null", *sets])


def test_weights_adapter_gradients_and_moments_follow_from_the_parameters(facts):
    told = estimate(facts, run(), rows_tokens=512)
    assert told.trainable == LORA_PARAMETERS
    assert told.weights == pytest.approx(2 * PARAMETERS, rel=1e-4)
    assert told.adapter == told.gradients == 4 * LORA_PARAMETERS
    assert told.optimizer == 8 * LORA_PARAMETERS
    assert told.total == sum(told.parts.values())
    assert told.low < told.total < told.high
    fp32 = estimate(facts, run("train.precision=fp32"), rows_tokens=512)
    assert fp32.weights == 2 * told.weights


def test_a_tied_head_that_is_stored_all_the_same_counts_once(facts):
    stored = {**header(), "lm_head.weight": {"dtype": "BF16", "shape": [128256, 2048]}}
    twice = from_headers([stored], CONFIG, "stored")
    assert estimate(twice, run()).weights == estimate(facts, run()).weights


def test_activations_and_head_grow_with_rows_and_length(facts):
    one = estimate(facts, run("train.micro_batch_size=2"), rows_tokens=256, padded=False)
    more = estimate(facts, run("train.micro_batch_size=4"), rows_tokens=256, padded=False)
    longer = estimate(facts, run("train.micro_batch_size=2"), rows_tokens=512, padded=False)
    for other in (more, longer):
        assert other.activations == pytest.approx(2 * one.activations, rel=1e-6)
        assert other.head == pytest.approx(2 * one.head, rel=1e-6)
        assert other.weights == one.weights and other.runtime == one.runtime


def test_ranks_on_a_cpu_share_its_memory_and_shares_save_most_of_a_gpu(facts):
    sets = ("method.kind=full", "launch.devices=4")
    for kind in ("cpu", "cuda"):
        one = estimate(facts, run("method.kind=full"), device=kind)
        ddp = estimate(facts, run(*sets), device=kind)
        fsdp = estimate(facts, run(*sets, "launch.strategy=fsdp"), device=kind)
        assert ddp.total == one.total * (4 if kind == "cpu" else 1)
        assert fsdp.gradients * 4 == ddp.gradients and fsdp.optimizer * 4 == ddp.optimizer
        assert fsdp.activations == ddp.activations
        assert ddp.weights / 4 < fsdp.weights < ddp.weights / 2
        assert fsdp.total == sum(fsdp.parts.values()) < ddp.total


def test_the_longest_row_is_max_length_where_nothing_is_said(facts):
    told = estimate(facts, run("data.max_length=300"))
    assert told.parts == estimate(facts, run(), rows_tokens=300).parts


def test_the_head_counts_supervised_positions_only(facts):
    whole = estimate(facts, run(), rows_tokens=512)
    few = estimate(facts, run(), rows_tokens=512, supervised_tokens=4 * 51)
    assert few.head == pytest.approx(whole.head / 10, rel=0.01)
    # What the last layer's backward pass needs then counts instead, and is far less.
    assert whole.activations <= few.activations < 1.2 * whole.activations


def test_checkpointing_keeps_the_inputs_of_layers_and_one_layer_whole(facts):
    whole = estimate(facts, run(), rows_tokens=1024)
    lean = estimate(facts, run(), rows_tokens=1024, checkpointing=True)
    inputs = 4 * 1024 * 2048 * 2 * 16
    assert inputs < lean.activations < whole.activations / 4
    assert lean.head == whole.head


def test_cuda_holds_less_than_glibc_for_the_same_tensors(facts):
    there, here = (estimate(facts, run(), device=device) for device in ("cuda", "cpu"))
    assert there.activations < here.activations and there.head < here.head


def test_qlora_keeps_decoder_weights_in_4_bits_and_the_rest_in_bf16(facts):
    told = estimate(facts, run(), kind="qlora", device="cuda")
    embedding = 128256 * 2048
    assert told.weights == pytest.approx(
        embedding * 2 + (PARAMETERS - embedding) * 4.127 / 8, rel=1e-3
    )
    assert told.trainable == LORA_PARAMETERS


def test_full_fine_tuning_trains_every_parameter_in_fp32(facts):
    told = estimate(facts, run("train.precision=fp32"), kind="full")
    assert told.trainable == pytest.approx(PARAMETERS, rel=1e-4)
    assert (told.weights, told.gradients) == (4 * told.trainable,) * 2
    assert (told.adapter, told.optimizer) == (0, 8 * told.trainable)


def test_kind_and_checkpointing_are_those_of_the_configuration(facts):
    for sets, kind in (
        ([], "lora"),
        (["model.quantisation=nf4"], "qlora"),
        (["method.kind=full"], "full"),
    ):
        told, asked = estimate(facts, run(*sets)), estimate(facts, run(), kind=kind)
        assert told.basis.kind == kind and told.parts == asked.parts
    lean = estimate(facts, run("train.gradient_checkpointing=true"))
    assert lean.parts == estimate(facts, run(), checkpointing=True).parts
    assert lean.activations < estimate(facts, run()).activations


def test_fp16_counts_two_bytes_and_8_bit_moments_one(facts):
    assert estimate(facts, run("train.precision=fp16")).parts == estimate(facts, run()).parts
    narrow = estimate(facts, run("optim.name=adamw_8bit"))
    assert narrow.optimizer == pytest.approx(2 * LORA_PARAMETERS, rel=0.02)
    assert estimate(facts, run("optim.name=adam")).optimizer == 8 * LORA_PARAMETERS


def test_dora_trains_a_size_for_each_output(facts):
    outputs = 16 * (2048 + 512 + 512 + 2048 + 8192 + 8192 + 2048)
    assert estimate(facts, run("method.dora=true")).trainable == LORA_PARAMETERS + outputs


def test_frozen_modules_have_neither_gradients_nor_moments(facts):
    whole = estimate(facts, run("method.kind=full"))
    embedding, layer = 128256 * 2048, 60_821_504
    for pattern, frozen in (
        ("embed_tokens", embedding),
        ("lm_head", embedding),  # tied
        ("model.layers.3", layer),
        ("model.layers.*", 16 * layer),
        ("layers", 16 * layer),
    ):
        told = estimate(facts, run("method.kind=full", f"method.freeze=['{pattern}']"))
        assert told.trainable == whole.trainable - frozen, pattern
        assert told.gradients == 4 * told.trainable and told.optimizer == 8 * told.trainable
        assert told.weights == whole.weights - 2 * frozen, "no copy in bf16 of what is frozen"


def test_all_weights_that_do_not_fit_may_as_an_adapter(facts):
    least = estimate(facts, run("method.kind=full", "train.micro_batch_size=1"))
    _, instead = remedy(facts, least.total // 4, "method.kind=full", device="cpu")
    assert instead.overrides["method.kind"] == "lora"
    changed = run("method.kind=full", *(f"{k}={v}" for k, v in instead.overrides.items()))
    assert estimate(facts, changed).basis.kind == "lora"


def test_dropout_eager_attention_and_padding_keep_more(facts):
    plain = estimate(facts, run(), rows_tokens=1024, padded=False).activations
    for sets, padded in (
        (["method.dropout=0.1"], False),
        (["model.attention=eager"], False),
        (["data.pack=never"], True),
    ):
        assert estimate(facts, run(*sets), rows_tokens=1024, padded=padded).activations > plain
    assert estimate(facts, run(), rows_tokens=1024, padded=True).activations == plain, "packed"


def test_fused_adapters_and_a_head_in_pieces_keep_less(facts):
    told = estimate(facts, run(), rows_tokens=1024)
    apart = estimate(facts, run("train.fused_lora=false"), rows_tokens=1024)
    assert told.activations < 0.7 * apart.activations
    pieces = estimate(facts, run("train.loss_chunk=512"), rows_tokens=1024)
    assert pieces.head * 8 == told.head


@pytest.mark.parametrize("missing", ["hidden_size", "num_hidden_layers", "vocab_size"])
def test_sizes_that_are_not_told_make_it_unknown_and_are_named(missing):
    config = {key: value for key, value in CONFIG.items() if key != missing}
    told = estimate(from_headers([header()], config, "x"), run())
    assert told.total == 0 and missing in told.unknown
    found = verdict(told, 100 * GIB)
    assert (found.word, found.share, found.instead) == ("unknown", None, None)
    assert missing in found.why


def test_packed_weights_without_a_word_on_how_are_unknown_with_it_estimated():
    packed = header()
    for name, entry in packed.items():
        if name.endswith("_proj.weight"):
            out, inputs = entry["shape"]
            packed[name] = {"dtype": "U8", "shape": [out * inputs // 2, 1]}
    silent = estimate(from_headers([packed], CONFIG, "x"), run())
    assert "packed" in silent.unknown
    said = {**CONFIG, "quantization_config": {"quant_method": "bitsandbytes"}}
    told = estimate(from_headers([packed], said, "x"), run())
    assert told.trainable == LORA_PARAMETERS
    assert told.weights < estimate(from_headers([header()], CONFIG, "x"), run()).weights / 1.5


def test_patterns_that_name_nothing_make_it_unknown(facts):
    told = estimate(facts, run("method.target_modules=[q_prj]"))
    assert "target_modules" in told.unknown


def test_the_word_follows_the_share_of_the_memory(facts):
    told = estimate(facts, run())
    words = [verdict(told, round(told.total / share)).word for share in (0.84, 0.86, 0.99, 1.01)]
    assert words == ["fits", "tight", "tight", "over"]
    assert verdict(told, None).word == "unknown"


def remedy(facts, capacity, *sets, device="cuda", **options):
    told = estimate(facts, run(*sets), device=device, **options)
    found = verdict(told, capacity)
    assert found.word == "over"
    return told, found.instead


def test_a_shorter_micro_batch_is_tried_first_and_keeps_the_rows_of_a_step(facts):
    told = estimate(facts, run("train.micro_batch_size=16"), device="cuda")
    _, instead = remedy(facts, told.total // 2, "train.micro_batch_size=16")
    assert instead.overrides == {
        "train.micro_batch_size": "4",
        "train.gradient_accumulation": "16",
    }
    assert "micro-batches of 4" in instead.sentence
    changed = run("train.micro_batch_size=4", "train.gradient_accumulation=16")
    assert instead.total == estimate(facts, changed, device="cuda").total < TIGHT * told.total / 2


def test_then_checkpointing_then_a_shorter_length_then_4_bits(facts):
    least = estimate(facts, run("train.micro_batch_size=1"), device="cuda")
    lean = estimate(facts, run("train.micro_batch_size=1"), device="cuda", checkpointing=True)

    _, first = remedy(facts, round(lean.total / 0.84))
    assert first.overrides["train.gradient_checkpointing"] == "true"
    assert not {"data.max_length", "model.quantisation"} & set(first.overrides)
    assert first.total < least.total

    short = estimate(
        facts, run("train.micro_batch_size=1"), device="cuda", rows_tokens=256, checkpointing=True
    )
    _, second = remedy(facts, round(short.total / 0.84))
    assert second.overrides["data.max_length"] == "256"
    assert "model.quantisation" not in second.overrides

    _, third = remedy(facts, round(short.total / 0.9))
    assert third.overrides["model.quantisation"] == "nf4"
    assert "QLoRA" in third.sentence


def test_nothing_is_promised_where_nothing_fits(facts):
    told = estimate(facts, run())
    found = verdict(told, 200 << 20)
    assert found.word == "over" and found.instead is None
    assert found.why


def test_the_overrides_are_keys_that_a_configuration_takes(facts):
    told = estimate(facts, run("train.micro_batch_size=16"))
    found = verdict(told, told.total // 2)
    changed = run(*(f"{key}={value}" for key, value in found.instead.overrides.items()))
    assert estimate(facts, changed).total == found.instead.total


def test_a_run_that_did_not_fit_is_told_each_change_that_does_alone(facts):
    told = estimate(facts, run("train.micro_batch_size=16"), rows_tokens=1024, device="cuda")
    ways = ways_out(told.basis, 0.6)
    words = [way.sentence for way in ways]
    assert words == [
        "micro-batches of 4 with accumulation 16",
        "gradient checkpointing",
        "rows of at most 256 tokens",
    ]
    assert all(way.total < TIGHT * 0.6 * told.total for way in ways)
    milder = estimate(facts, run("train.micro_batch_size=8"), rows_tokens=1024, device="cuda")
    assert milder.total > TIGHT * 0.6 * told.total, "half of the rows would not have done"


def test_where_no_change_does_alone_all_that_must_are_told_together(facts):
    told = estimate(facts, run("train.micro_batch_size=8"), rows_tokens=1024, device="cuda")
    share = 3.2 * GIB / told.total
    (way,) = ways_out(told.basis, share)
    assert set(way.overrides) > {"train.micro_batch_size", "train.gradient_checkpointing"}
    assert ways_out(told.basis, 0.01) == []
