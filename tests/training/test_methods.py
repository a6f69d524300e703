"""Each method trains what it says, from the base on, and its result loads elsewhere as it was."""

import json
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from transformers import (
    AutoModelForCausalLM,
    BitsAndBytesConfig,
    MixtralConfig,
    MixtralForCausalLM,
)

from sft_tui.core import config_file, export
from sft_tui.core.config import MethodConfig
from sft_tui.core.errors import SftError
from sft_tui.core.training.export import write
from sft_tui.core.training.method import attach_lora
from sft_tui.core.training.model import load_base

IDS = torch.arange(5, 35).view(2, 15)
EXPERTS = "method.target_parameters=['gate_up_proj', 'model.layers.*.experts.down_proj']"
NF4 = "model.quantisation=nf4"
GPT2 = "method.target_modules=[c_attn, c_fc]"

METHODS = [
    ("untied", []),
    ("untied", ["method.rslora=true"]),
    ("untied", ["method.dora=true"]),
    ("untied", ["method.init=gaussian"]),
    ("untied", ["method.init=orthogonal"]),
    ("untied", ["method.init=pissa"]),
    ("untied", ["method.init=olora"]),
    ("tied", ["method.init=pissa", "method.dora=true", "method.rslora=true"]),
    ("gpt2", [GPT2, "method.init=olora"]),
    ("gpt2", [GPT2, "method.dora=true"]),
    ("moe", [EXPERTS]),
    ("moe", [EXPERTS, "method.rslora=true"]),
    ("untied", [NF4]),
    ("untied", [NF4, "method.dora=true"]),
    ("untied", [NF4, "method.init=orthogonal"]),
    ("gpt2", [NF4, GPT2]),
]
NAMES = ["-".join([b, *(s.split("=")[-1].strip("[]'") for s in sets)]) for b, sets in METHODS]


@pytest.fixture(scope="session")
def moe(tokenizer, tmp_path_factory) -> Path:
    """A saved Mixtral: its experts are fused parameters."""
    torch.manual_seed(0)
    config = MixtralConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        num_local_experts=4,
        initializer_range=0.08,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    folder = tmp_path_factory.mktemp("moe")
    MixtralForCausalLM(config).float().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def logits(model) -> torch.Tensor:
    """In training mode, where nothing is dropped: bitsandbytes packs weights anew in eval mode."""
    with torch.no_grad():
        return model.train()(IDS).logits


def plain_base(folder: Path, sets: list[str] = ()):
    options = {}
    if NF4 in sets:
        kind = {"bnb_4bit_quant_type": "nf4", "bnb_4bit_compute_dtype": torch.float32}
        options["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_use_double_quant=True, **kind
        )
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, **options)


@pytest.mark.parametrize(("base", "sets"), METHODS, ids=NAMES)
def test_adapter_starts_at_the_base_moves_alone_and_loads_in_plain_peft(
    base, sets, request, ragged, configure, train, adapted, tmp_path
):
    folder = request.getfixturevalue(base)
    config = configure(folder, ragged(12), "train.max_steps=3", *sets)
    started = attach_lora(load_base(str(folder), config.model, "fp32"), config.method)
    before = logits(plain_base(folder, sets))
    torch.testing.assert_close(logits(started), before, atol=1e-5, rtol=0)

    outcome = train(config)

    (model,) = adapted
    trained = logits(model)
    assert (trained - before).abs().max() > 0.01, "training changed nothing"
    for name, value in model.state_dict().items():
        moved = not torch.equal(value, model.before[name])
        assert moved == ("lora_" in name), name
    plain = PeftModel.from_pretrained(plain_base(folder, sets), outcome.run.adapter)
    torch.testing.assert_close(logits(plain), trained, atol=1e-5, rtol=0)
    if NF4 in sets:
        return
    merged = exported(outcome.run, config, tmp_path, merge=True)
    torch.testing.assert_close(logits(merged), trained, atol=1e-5, rtol=0)


def exported(run, config, tmp_path, *, merge: bool, checkpoint: str | None = "last"):
    """Exports a checkpoint as the command does, and loads it in plain transformers."""
    run.config.write_text(config_file.to_yaml(config))
    chosen = export.choose(run, checkpoint)
    place = tmp_path / "export"
    write(export.Request(str(run.path), chosen, merge or chosen.full, str(place)), lambda e: None)
    return AutoModelForCausalLM.from_pretrained(place, dtype="auto")


def test_an_adapter_beside_4_bits_is_merged_into_the_base_before_it_was_quantised(
    untied, ragged, configure, train, tmp_path
):
    config = configure(untied, ragged(8), NF4, "train.max_steps=3")
    run = train(config).run
    expected = PeftModel.from_pretrained(plain_base(untied), run.adapter)
    merged = exported(run, config, tmp_path, merge=True)
    assert not hasattr(merged.config, "quantization_config")
    torch.testing.assert_close(logits(merged), logits(expected), atol=1e-5, rtol=0)
    assert "beside the base in 4 bits" in (tmp_path / "export" / "README.md").read_text()


def test_nothing_is_merged_into_a_base_that_is_stored_quantised(
    untied, ragged, configure, train, tmp_path
):
    config = configure(untied, ragged(8), "train.max_steps=1")
    run = train(config).run
    stored = json.loads((untied / "config.json").read_text())
    quantised = tmp_path / "quantised"
    quantised.mkdir()
    for path in untied.iterdir():
        (quantised / path.name).write_bytes(path.read_bytes())
    told = {**stored, "quantization_config": {"quant_method": "bitsandbytes"}}
    (quantised / "config.json").write_text(json.dumps(told))
    other = configure(quantised, ragged(8), "train.max_steps=1")
    with pytest.raises(SftError, match="stored quantised") as caught:
        exported(run, other, tmp_path, merge=True)
    assert "without --merge" in caught.value.remedy


def test_frozen_weights_in_4_bits_stay_through_an_evaluation(
    untied, ragged, configure, train, adapted
):
    sets = ("data.eval_fraction=0.2", "evaluate.every_steps=1", "train.max_steps=3")
    looked = train(configure(untied, ragged(12), NF4, *sets))
    model = adapted[0]
    layer = model.base_model.model.model.layers[0].mlp.down_proj.base_layer
    assert layer.weight.dtype == torch.uint8
    for name, value in model.state_dict().items():
        if "lora_" not in name:
            assert torch.equal(value, model.before[name]), name
    unseen = ("data.eval_fraction=0.2", "train.max_steps=3", "evaluate.at_start=false")
    blind = train(configure(untied, ragged(12), NF4, *unseen))
    assert looked.losses == blind.losses


@pytest.mark.parametrize("init", ["pissa", "olora"])
def test_starts_from_weights_are_pefts(untied, init):
    ours = attach_lora(plain_base(untied), MethodConfig(rank=4, alpha=8, init=init))
    names = [f"{p}_proj" for p in ("q", "k", "v", "o", "gate", "up", "down")]
    settings = LoraConfig(r=4, lora_alpha=8, target_modules=names, init_lora_weights=init)
    theirs = get_peft_model(plain_base(untied), settings)
    for (name, mine), (_, other) in zip(ours.named_modules(), theirs.named_modules(), strict=True):
        if hasattr(mine, "base_layer"):
            for weight in ("base_layer.weight", "lora_A.default.weight", "lora_B.default.weight"):
                torch.testing.assert_close(
                    mine.get_parameter(weight).data, other.get_parameter(weight).data,
                    atol=1e-5, rtol=0, msg=f"{name}.{weight}",
                )  # fmt: skip


def test_an_orthogonal_start_has_parts_whose_product_is_zero(untied):
    model = attach_lora(load_base_bf16(untied), MethodConfig(rank=4, init="orthogonal"))
    layer = model.base_model.model.model.layers[0].self_attn.q_proj
    a, b = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    assert a.dtype == torch.float32 and torch.linalg.matrix_rank(a) == 2
    assert a.abs().max() > 0.01 and b.abs().max() > 0.01
    assert (b @ a).abs().max() < 1e-6


def load_base_bf16(folder: Path):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)


def test_what_is_saved_of_pissa_is_plain_lora_of_twice_the_rank(untied, ragged, configure, train):
    config = configure(untied, ragged(8), "method.init=pissa", "train.max_steps=2")
    outcome = train(config)
    said = json.loads((outcome.run.adapter / "adapter_config.json").read_text())
    assert (said["init_lora_weights"], said["r"], said["lora_alpha"]) == (True, 8, 16)
    sizes = {weight.shape[0] for name, weight in outcome.adapter.items() if "lora_A" in name}
    assert sizes == {8}


@pytest.mark.parametrize("method", ["method.init=pissa", "method.dora=true", EXPERTS])
def test_a_resumed_run_ends_as_one_that_never_stopped(
    method, request, ragged, configure, train, crash_after
):
    folder = request.getfixturevalue("moe" if method == EXPERTS else "untied")
    sets = (method, "train.max_steps=4", "save.every_steps=2")
    config = configure(folder, ragged(8), *sets)
    whole = train(config).adapter
    died = crash_after(config, 3)
    resumed = train(config, run=died).adapter
    assert whole.keys() == resumed.keys()
    for name, weight in whole.items():
        assert torch.equal(weight, resumed[name]), name


@pytest.mark.parametrize(
    ("base", "sets", "words"),
    [
        ("untied", ["method.init=pissa", "method.rank=33"], "no more directions"),
        ("tied", ["method.init=olora", "method.target_modules=['*_proj', lm_head]"], "embedding's"),
    ],
)
def test_a_start_that_the_weights_cannot_give_is_refused(
    base, sets, words, request, ragged, configure, train
):
    with pytest.raises(SftError, match=words) as caught:
        train(configure(request.getfixturevalue(base), ragged(4), *sets))
    assert "method.init to default" in caught.value.remedy


def test_experts_that_no_pattern_reaches_are_told(moe, ragged, configure, train):
    none = train(configure(moe, ragged(4), "train.max_steps=1"))
    (warning,) = none.warnings("experts_not_trained")
    assert "gate_up_proj" in warning.message
    assert "[gate_up_proj, down_proj]" in warning.remedy
    half = train(configure(moe, ragged(4), "method.target_parameters=[gate_up_proj]",
                           "train.max_steps=1"))  # fmt: skip
    (warning,) = half.warnings("experts_not_trained")
    assert "[down_proj]" in warning.remedy
    both = train(configure(moe, ragged(4), EXPERTS, "train.max_steps=1"))
    assert not both.warnings("experts_not_trained")


FREEZE = "method.freeze=[embed_tokens, 'model.layers.0', 'model.layers.*.mlp']"


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_full_trains_fp32_weights_that_plain_transformers_loads(
    precision, tied, ragged, configure, train, adapted, tmp_path
):
    sets = ("method.kind=full", f"train.precision={precision}", "optim.learning_rate=1e-3")
    config = configure(tied, ragged(12), "train.max_steps=3", *sets)
    outcome = train(config)
    (model,) = adapted
    trained = logits(model)
    assert (trained - logits(plain_base(tied))).abs().max() > 0.01
    for name, parameter in model.named_parameters():
        assert parameter.dtype == torch.float32, name
        assert not torch.equal(parameter, model.before[name]), name
        rounded = parameter.to(torch.bfloat16).float()
        assert not torch.equal(parameter, rounded), "weights are rounded to what a step computes in"
    plain = AutoModelForCausalLM.from_pretrained(outcome.run.model, dtype="auto")
    assert torch.equal(logits(plain), trained)
    assert plain.config.tie_word_embeddings
    assert plain.get_input_embeddings().weight is plain.get_output_embeddings().weight
    assert not outcome.run.adapter.exists()
    whole = exported(outcome.run, config, tmp_path, merge=False)
    assert torch.equal(logits(whole), trained)
    assert "All weights by" in (tmp_path / "export" / "README.md").read_text()


def test_full_computes_in_bf16_under_autocast(tied, ragged, configure, train):
    sets = ("method.kind=full", "train.max_steps=2", "optim.learning_rate=1e-3")
    narrow = train(configure(tied, ragged(8), "train.precision=bf16", *sets)).losses
    wide = train(configure(tied, ragged(8), *sets)).losses
    assert narrow != wide
    assert narrow == pytest.approx(wide, rel=0.01)


def test_frozen_modules_of_a_full_run_stay_bit_identical(untied, ragged, configure, train, adapted):
    sets = ("method.kind=full", FREEZE, "train.max_steps=3", "optim.learning_rate=1e-3")
    outcome = train(configure(untied, ragged(8), *sets))
    (model,) = adapted
    for name, parameter in model.named_parameters():
        frozen = "embed_tokens" in name or "layers.0." in name or ".mlp." in name
        assert torch.equal(parameter, model.before[name]) == frozen, name
        assert parameter.requires_grad != frozen
    kept = load_file(outcome.run.checkpoints / "step-3" / "trained.safetensors")
    assert "model.layers.1.self_attn.q_proj.weight" in kept
    assert not [name for name in kept if "embed_tokens" in name or ".mlp." in name]


def test_a_checkpoint_of_a_full_run_is_exported_over_the_base(
    tied, ragged, configure, train, adapted, tmp_path
):
    sets = ("method.kind=full", FREEZE, "save.every_steps=2", "train.max_steps=4")
    config = configure(tied, ragged(8), "optim.learning_rate=1e-3", *sets)
    run = train(config).run
    kept = load_file(run.checkpoints / "step-2" / "trained.safetensors")
    model = exported(run, config, tmp_path, merge=False, checkpoint="2")
    found = dict(model.named_parameters())
    for name, weight in kept.items():
        assert torch.equal(found[name], weight), name
    names = {path.name for path in (tmp_path / "export").iterdir()}
    assert "trained.safetensors" not in names and "tokenizer.json" in names


def test_a_frozen_pattern_without_a_match_is_refused(untied, ragged, configure, train):
    with pytest.raises(SftError, match=r"method\.freeze: 'embed_token'") as caught:
        train(configure(untied, ragged(4), "method.kind=full", "method.freeze=[embed_token]"))
    assert "embed_tokens" in caught.value.remedy
    with pytest.raises(SftError, match="nothing to train"):
        train(configure(untied, ragged(4), "method.kind=full", "method.freeze=['*']"))
