"""LoRA: what is trained, what stays, and that plain PEFT loads the result."""

import json
import shutil

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from sft_tui.core.config import MethodConfig, ModelConfig
from sft_tui.core.errors import SftError
from sft_tui.core.training.method import attach_lora, match_modules
from sft_tui.core.training.model import load_base
from sft_tui.core.training.tokenizer import load_tokenizer

IDS = torch.tensor([[7, 50, 61, 72, 33, 101, 42, 90]])


def base_of(folder):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def logits(model):
    with torch.no_grad():
        return model(input_ids=IDS).logits


@pytest.mark.parametrize("kind", ["untied", "tied", "gpt2"])
def test_adapted_model_equals_the_base_before_the_first_step(kind, request):
    folder = request.getfixturevalue(kind)
    target = "c_attn" if kind == "gpt2" else "*_proj"
    before = logits(base_of(folder))

    model = attach_lora(base_of(folder), MethodConfig(target_modules=[target]))

    assert torch.equal(logits(model.eval()), before)
    assert any(p.requires_grad for p in model.parameters())


def test_frozen_weights_stay_and_every_adapter_weight_moves(
    untied, ragged, configure, train, adapted
):
    data = ragged(8)
    for steps in (1, 2):
        train(configure(untied, data, f"train.max_steps={steps}", "train.micro_batch_size=4"))
    one, two = adapted

    for model in adapted:
        for name, value in model.state_dict().items():
            if "lora_" not in name:
                assert torch.equal(value, model.before[name]), name
    names = [name for name in two.before if "lora_" in name]
    assert len(names) == 2 * 7 * 2, "two layers, seven projections, A and B"
    for name in names:
        model = one if "lora_B" in name else two
        assert not torch.equal(model.state_dict()[name], model.before[name]), name
    # Exactly the adapters ask for gradients, and B starts at zero.
    for name, parameter in two.named_parameters():
        assert parameter.requires_grad == ("lora_" in name), name
    assert not any(two.before[name].any() for name in names if "lora_B" in name)


@pytest.mark.parametrize("kind", ["untied", "tied", "gpt2"])
def test_saved_adapter_loads_in_plain_peft_with_equal_logits(
    kind, request, ragged, configure, train, adapted, tokenizer
):
    folder = request.getfixturevalue(kind)
    target = "c_attn, c_fc" if kind == "gpt2" else "'*_proj'"
    config = configure(folder, ragged(8), f"method.target_modules=[{target}]", "train.max_steps=3")

    run = train(config).run

    plain = PeftModel.from_pretrained(base_of(folder), run.adapter).eval()
    trained = logits(adapted[0].eval())
    assert torch.equal(logits(plain), trained)
    assert (trained - logits(base_of(folder))).abs().max() > 0.01, "training changed nothing"
    saved = AutoTokenizer.from_pretrained(run.adapter)
    assert saved.chat_template == tokenizer.chat_template
    text = "the red fox</s>\n<|assistant|>"
    assert saved(text).input_ids == tokenizer(text).input_ids
    assert saved.pad_token_id == tokenizer.eos_token_id


def test_saved_adapter_states_what_was_configured(tied, ragged, configure, train):
    config = configure(tied, ragged(4), "method.rank=3", "method.alpha=7.5", "train.max_steps=1")
    run = train(config).run
    told = json.loads((run.adapter / "adapter_config.json").read_text())
    assert (told["r"], told["lora_alpha"], told["base_model_name_or_path"]) == (3, 7.5, str(tied))
    assert told["task_type"] == "CAUSAL_LM"
    names = told["target_modules"]
    assert len(names) > 7 and names == sorted(names), "the same file of each process"
    assert all("lora_" in name for name in load_file(run.adapter / "adapter_model.safetensors"))


def test_adapters_are_fp32_over_a_bf16_base(tied, ragged, configure, train, adapted):
    config = configure(tied, ragged(4), "train.precision=bf16", "train.max_steps=2")

    outcome = train(config)

    for name, parameter in adapted[0].named_parameters():
        expected = torch.float32 if "lora_" in name else torch.bfloat16
        assert parameter.dtype == expected, name
    assert {weight.dtype for weight in outcome.adapter.values()} == {torch.float32}
    assert all(0 < loss < 20 for loss in outcome.losses)


def test_scale_is_alpha_over_rank(untied):
    model = attach_lora(base_of(untied), MethodConfig(rank=4, alpha=6))
    layer = model.base_model.model.model.layers[0].self_attn.q_proj
    with torch.no_grad():
        layer.lora_B["default"].weight.normal_()
    x = torch.randn(1, 3, 64)
    update = x @ layer.lora_A["default"].weight.T @ layer.lora_B["default"].weight.T * 6 / 4
    torch.testing.assert_close(layer(x), layer.base_layer(x) + update)


@pytest.fixture(scope="module")
def llama(untied):
    return base_of(untied)


PROJECTIONS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


@pytest.mark.parametrize(
    ("targets", "excluded", "expected"),
    [
        (["q_proj"], [], ["0.self_attn.q_proj", "1.self_attn.q_proj"]),
        (["model.layers.1.self_attn.q_proj"], [], ["1.self_attn.q_proj"]),
        (["model.layers.0.*_proj"], ["model.*.mlp.*"], [f"0.self_attn.{p}" for p in "qkvo"]),
        (["*.v_proj"], ["model.layers.0.*"], ["1.self_attn.v_proj"]),
        (["*_proj"], PROJECTIONS[1:], ["0.self_attn.q_proj", "1.self_attn.q_proj"]),
        (["q_proj", "*q_proj"], [], ["0.self_attn.q_proj", "1.self_attn.q_proj"]),
    ],
)
def test_patterns_name_modules_by_leaf_or_by_whole_path(llama, targets, excluded, expected):
    found = match_modules(llama, targets, excluded)
    short = [name.removeprefix("model.layers.").removesuffix("_proj") for name in found]
    assert sorted(short) == sorted(name.removesuffix("_proj") for name in expected)


def test_a_star_matches_all_projections_and_not_the_head(llama):
    found = match_modules(llama, ["*_proj"], [])
    assert sorted(name.rpartition(".")[2] for name in found) == sorted(PROJECTIONS * 2)
    assert "lm_head" in match_modules(llama, ["*"], [])


@pytest.mark.parametrize(
    ("pattern", "near"),
    [
        ("proj", "_proj"),  # a leaf is matched whole, not by its end
        ("layers.0.*", "*.layers.0.*"),  # a path is anchored at its start
        ("layers.0", "*.layers.0.*"),
        ("model.layers.*.q_pro", "model.layers.*.q_proj"),  # and at its end
        ("model.layer.1.self_atn.*", "model.layers.1.self_attn.*"),
        ("qproj", "q_proj"),
        ("Q_PROJ", "q_proj"),
        ("q.proj", ""),  # a dot is a dot
        ("?_proj", "_proj"),  # only * is special
    ],
)
def test_a_pattern_without_a_match_is_refused_with_near_misses(llama, pattern, near):
    for targets, excluded in (([pattern], []), (["*_proj"], [pattern])):
        with pytest.raises(SftError) as caught:
            match_modules(llama, targets, excluded)
        error = caught.value
        assert repr(pattern) in str(error)
        key = "method.exclude_modules" if excluded else "method.target_modules"
        assert key in str(error)
        assert near in error.remedy
        assert "did you mean" in error.remedy


@pytest.mark.parametrize(
    ("pattern", "there"),
    [
        ("embed_tokens", "model.embed_tokens"),
        ("*norm", "model.layers.0.input_layernorm"),
        ("model", "model"),
    ],
)
def test_a_module_that_lora_cannot_adapt_is_said_to_be_there(llama, pattern, there):
    for targets, excluded in (([pattern], []), (["*_proj"], [pattern])):
        with pytest.raises(SftError) as caught:
            match_modules(llama, targets, excluded)
        assert f"{pattern!r} names no module that LoRA can adapt" in caught.value.what
        assert caught.value.why == f"{there} is there, but LoRA adapts linear layers alone"
        assert "q_proj" in caught.value.remedy and "did you mean" not in caught.value.remedy
        inner = "model.* names what is in it; or" in caught.value.remedy
        assert inner == (pattern == "model")


def test_excluding_everything_is_refused(llama):
    with pytest.raises(SftError, match="no module is left"):
        match_modules(llama, ["q_proj"], ["*.q_proj"])


def test_modules_that_are_adapted_are_those_that_match(make_llama):
    # Many modules and one layer left out: PEFT shortens long lists, which must not reach it.
    base = make_llama(num_hidden_layers=5)
    excluded = ["model.layers.3.*", "up_proj"]
    expected = match_modules(base, ["*_proj"], excluded)
    assert len(expected) == 4 * 6

    model = attach_lora(base, MethodConfig(target_modules=["*_proj"], exclude_modules=excluded))

    prefix = "base_model.model."
    hit = [n.removeprefix(prefix) for n, m in model.named_modules() if hasattr(m, "base_layer")]
    assert sorted(hit) == sorted(expected)


def test_conv1d_is_matched_and_trained(gpt2, ragged, configure, train, adapted):
    outcome = train(
        configure(gpt2, ragged(8), "method.target_modules=[c_attn]", "train.max_steps=6")
    )
    names = sorted(outcome.adapter)
    assert [n for n in names if "lora_A" in n and n.count("attn.c_attn")] == [
        f"base_model.model.transformer.h.{layer}.attn.c_attn.lora_A.weight" for layer in (0, 1)
    ]
    assert len(names) == 4
    for name, weight in outcome.adapter.items():
        assert weight.shape == ((4, 64) if "lora_A" in name else (192, 4))
        key = name.replace(".weight", ".default.weight")
        assert not torch.equal(weight, adapted[0].before[key]), name


def test_a_pattern_that_matches_nothing_ends_the_run_before_training(
    untied, ragged, configure, train
):
    config = configure(untied, ragged(4), "method.target_modules=[q_prj]")
    with pytest.raises(SftError) as caught:
        train(config)
    assert "q_proj" in caught.value.remedy


def test_base_is_loaded_in_the_precision_that_is_asked_for(untied):
    for precision, dtype in (("bf16", torch.bfloat16), ("fp32", torch.float32)):
        base = load_base(str(untied), ModelConfig(name=str(untied)), precision)
        assert {p.dtype for p in base.parameters()} == {dtype}


@pytest.mark.parametrize("key", ["intermediate_size", "vocab_size"])
def test_weights_that_contradict_the_configuration_are_named_with_both_shapes(
    untied, tmp_path, key
):
    folder = tmp_path / "model"
    shutil.copytree(untied, folder)
    config = json.loads((folder / "config.json").read_text())
    had = config[key]
    (folder / "config.json").write_text(json.dumps({**config, key: had + 16}))
    with pytest.raises(SftError) as caught:
        load_base(str(folder), ModelConfig(name=str(folder)), "fp32")
    error = caught.value
    assert "not those of its config.json" in error.what and "save_pretrained" in error.remedy
    assert str(had) in error.why and str(had + 16) in error.why and ".weight has" in error.why


def test_a_tokenizer_that_transformers_cannot_load_has_its_own_remedy(untied, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(untied, folder)
    (folder / "tokenizer.json").write_text('{"model": {"type": "of another kind"}}')
    with pytest.raises(SftError) as caught:
        load_tokenizer(str(folder))
    assert "tokenizer of" in caught.value.what and "tokenizer.json" in caught.value.remedy
    assert "causal" not in caught.value.remedy


@pytest.mark.parametrize("left", ["vocab.json", "vocab.txt", "tokenizer.model"])
def test_a_tokenizer_json_that_is_gone_is_told_without_the_words_of_a_library(
    untied, tmp_path, left
):
    folder = shutil.copytree(untied, tmp_path / "model")
    (folder / "tokenizer.json").unlink()
    (folder / left).write_text("{}")
    with pytest.raises(SftError) as caught:
        load_tokenizer(str(folder))
    assert caught.value.why.startswith("it has no tokenizer.json, and none can be made")
    assert "copy them from where the model is from" in caught.value.remedy
