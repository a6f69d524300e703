"""Exports load where others load them, with the logits of the trained model."""

import json
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer, GPT2LMHeadModel

from sft_tui.core import config_file
from sft_tui.core.export import Chosen, Request
from sft_tui.core.training.export import write

TEXT = torch.arange(5, 35).view(2, 15)


@pytest.fixture
def exported(train, ragged, configure, tmp_path, monkeypatch):
    """Trains some steps and exports; returns the run, the folder and the trained logits."""

    def make(base: Path, *sets: str, merge: bool = False, step: int | None = None, **more):
        sets = ("train.max_steps=4", "evaluate.samples=1", "evaluate.every_steps=2", *sets)
        config = configure(base, ragged(24), "data.eval_fraction=0.2", *sets)
        outcome = train(config)
        run = outcome.run
        run.config.write_text(config_file.to_yaml(config))
        chosen = run.adapter if step is None else run.checkpoints / f"step-{step}"
        place = tmp_path / "export"
        told = []
        request = Request(str(run.path), Chosen(str(chosen), step or 4), merge, str(place), **more)
        done = write(request, told.append)
        assert done.event == "done" and told and all(e.event == "progress" for e in told)
        model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
        trained = PeftModel.from_pretrained(model, str(chosen))
        return run, place, logits(trained)

    return make


def logits(model) -> torch.Tensor:
    with torch.no_grad():
        return model.eval()(TEXT).logits


def changed(base: Path, found: torch.Tensor) -> float:
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    return (logits(model) - found).abs().max().item()


def test_an_adapter_loads_in_plain_peft_with_the_logits_of_the_trained_model(exported, untied):
    run, place, expected = exported(untied)
    model = AutoModelForCausalLM.from_pretrained(untied)
    found = logits(PeftModel.from_pretrained(model, str(place)))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    assert changed(untied, found) > 0.01
    assert {path.name for path in place.iterdir()} == {
        "adapter_config.json", "adapter_model.safetensors", "tokenizer.json",
        "tokenizer_config.json", "chat_template.jinja", "README.md", "curve.svg", "config.yaml",
        "export.json",
    }  # fmt: skip
    weights = "adapter_model.safetensors"
    assert (place / weights).read_bytes() == (run.adapter / weights).read_bytes()
    assert AutoTokenizer.from_pretrained(place).chat_template


@pytest.mark.parametrize("kind", ["untied", "tied", "gpt2"])
def test_merged_weights_load_in_plain_transformers(exported, request, kind):
    base = request.getfixturevalue(kind)
    sets = ('method.target_modules=["c_attn", "c_fc"]',) if kind == "gpt2" else ()
    _, place, expected = exported(base, *sets, merge=True)
    model = AutoModelForCausalLM.from_pretrained(place, dtype="auto")
    torch.testing.assert_close(logits(model), expected, atol=1e-5, rtol=0)
    assert changed(base, expected) > 0.01
    assert isinstance(model, GPT2LMHeadModel) == (kind == "gpt2")
    assert not list(place.glob("adapter*")) and list(place.glob("model*.safetensors"))
    assert AutoTokenizer.from_pretrained(place).chat_template
    modes = {path.stat().st_mode for path in place.glob("*.*")}
    assert len(modes) == 1, "whoever may read one file may read all"


def test_a_head_that_shares_its_weights_is_merged_without_the_embedding(exported, tied):
    sets = ('method.target_modules=["q_proj", "lm_head"]',)
    _, place, expected = exported(tied, *sets, merge=True)
    model = AutoModelForCausalLM.from_pretrained(place, dtype="auto")
    torch.testing.assert_close(logits(model), expected, atol=1e-5, rtol=0)


def test_a_bf16_base_is_merged_in_fp32_and_stays_bf16(exported, untied, tmp_path):
    base = tmp_path / "bf16"
    AutoModelForCausalLM.from_pretrained(untied, dtype=torch.bfloat16).save_pretrained(base)
    AutoTokenizer.from_pretrained(untied).save_pretrained(base)
    run, place, _ = exported(base, merge=True)
    name = "model.layers.0.self_attn.q_proj"
    before, after = (load_file(folder / "model.safetensors") for folder in (base, place))
    adapter = load_file(run.adapter / "adapter_model.safetensors")
    pair = (adapter[f"base_model.model.{name}.lora_{half}.weight"] for half in "BA")
    down, up = pair
    expected = before[f"{name}.weight"].float() + 2.0 * (down @ up)  # alpha 8, rank 4
    assert after[f"{name}.weight"].dtype == torch.bfloat16
    assert torch.equal(after[f"{name}.weight"], expected.to(torch.bfloat16))


def test_a_checkpoint_is_exported_with_the_story_until_its_step(exported, untied):
    _, place, expected = exported(untied, "save.every_steps=2", step=2)
    model = AutoModelForCausalLM.from_pretrained(untied)
    found = logits(PeftModel.from_pretrained(model, str(place)))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    card = (place / "README.md").read_text()
    assert "after 2 of 4 steps" in card and "| last | 2 |" in card and "| 4 |" not in card
    assert not (place / "optimizer.safetensors").exists()


def test_nothing_of_this_machine_is_in_an_export(exported, untied, tmp_path):
    run, place, _ = exported(untied)
    data = config_file.load(run.config).data.sources[0].source
    for path in place.iterdir():
        content = path.read_bytes().decode("utf-8", "replace")
        for private in (str(tmp_path), str(untied), str(Path(data).parent), str(Path.home())):
            assert private not in content, path.name
    said = json.loads((place / "adapter_config.json").read_text())
    assert said["base_model_name_or_path"] == untied.name
    assert "source: rows.jsonl" in (place / "config.yaml").read_text()


@pytest.mark.parametrize("merge", [False, True])
def test_the_snippet_of_the_card_runs_as_it_stands(exported, untied, merge, monkeypatch, capsys):
    _, place, _ = exported(untied, merge=merge)
    card = (place / "README.md").read_text()
    code = card.partition("```python\n")[2].partition("```")[0]
    assert ("PeftModel" in code) != merge and "apply_chat_template" in code
    if not merge:  # the base is a folder: named alone, so that it must lie there
        (place / untied.name).symlink_to(untied)
    monkeypatch.chdir(place)
    exec(code, {})
    assert capsys.readouterr().out


def test_the_prompt_of_the_snippet_has_one_begin_token(exported, untied, monkeypatch):
    _, place, _ = exported(untied)
    code = (place / "README.md").read_text().partition("```python\n")[2].partition("answer =")[0]
    imports, _, rest = code.partition("base =")
    names: dict = {}
    monkeypatch.chdir(place)
    exec(imports + rest.partition("result)\n")[2], names)
    ids, bos = names["inputs"]["input_ids"][0].tolist(), names["tokenizer"].bos_token_id
    assert ids[0] == bos and ids.count(bos) == 1


def test_a_full_disk_is_told_without_a_word_of_resuming(exported, untied, mount_disk):
    from sft_tui.core.errors import DiskFull

    run, _, _ = exported(untied)
    disk = mount_disk("64k")
    request = Request(str(run.path), Chosen(str(run.adapter), 4), True, str(disk / "export"))
    with pytest.raises(DiskFull) as caught:
        write(request, lambda event: None)
    assert "resume" not in caught.value.remedy and "exporting" in caught.value.what
