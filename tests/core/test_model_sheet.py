"""What is known of a model before it is chosen, of files alone."""

import json

import pytest

from sft_tui.core import config_file, model_sheet
from sft_tui.core.errors import SftError
from sft_tui.core.hardware import Memory
from tests.loopback_hub import samples


@pytest.fixture
def memory(monkeypatch):
    """Gives the machine a memory of some GiB."""

    def set_to(gib: float) -> None:
        found = [Memory("this host", round(gib * 2**30), is_gpu=False)]
        monkeypatch.setattr(model_sheet, "memories", lambda accelerator: found)

    return set_to


@pytest.fixture
def model(tmp_path):
    samples.save_model(tmp_path / "model")
    return tmp_path / "model"


def run(model, *sets):
    return config_file.build([f"model.name={model}", *sets])


def test_a_folder_is_told_with_its_parts_and_whether_it_fits(model, memory):
    memory(8)
    sheet = model_sheet.of_this_machine(run(model))
    assert (sheet.params, sheet.dtype, sheet.layers, sheet.context) == (26912, "F32", 2, 512)
    assert sheet.architecture == "LlamaForCausalLM" and sheet.chat_template
    assert sheet.word == "fits" and sum(sheet.parts.values()) == sheet.total
    assert not sheet.refused and not sheet.instead


def test_one_that_is_over_says_what_would_fit(model, memory):
    memory(1)
    sheet = model_sheet.of_this_machine(
        run(model, "train.micro_batch_size=256", "train.loss_chunk=null")
    )
    assert sheet.word == "over" and sheet.instead.startswith("micro-batches of ")
    assert sheet.instead_total < 2**30 < sheet.total
    assert "train.micro_batch_size" in sheet.overrides


def test_headers_from_elsewhere_give_the_same_as_files(model, memory):
    memory(8)
    from sft_tui.core.model_facts import read_header

    config = json.loads((model / "config.json").read_text())
    header = read_header(model / "model.safetensors")
    there = model_sheet.of_headers("acme/tiny", config, [header], run(model))
    here = model_sheet.of_this_machine(run(model))
    assert (there.total, there.word, there.params) == (here.total, here.word, here.params)


@pytest.mark.parametrize(
    ("said", "refused"),
    [
        ({"model_type": "llama", "auto_map": {"AutoConfig": "x.Y"}}, ""),
        ({"model_type": "own", "auto_map": {"AutoConfig": "x.Y"}}, "code of a repository is never"),
        ({"model_type": "t5"}, "no class that generates text for its type t5"),
        ({"model_type": ["llama"]}, ""),
        ({}, ""),
    ],
)
def test_a_model_is_refused_where_transformers_has_no_class_of_its_own(said, refused, model):
    header = {"w": {"dtype": "F32", "shape": [2, 2]}}
    sheet = model_sheet.of_headers("acme/x", said, [header], run(model))
    assert refused in sheet.refused and bool(refused) == bool(sheet.refused)


def test_the_table_of_classes_is_that_of_transformers():
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES as names

    assert model_sheet._generating() == set(names)


def test_what_is_not_whole_is_told(model, tmp_path, monkeypatch):
    (model / "model.safetensors").write_bytes(b"\xff" * 20)
    with pytest.raises(SftError, match=r"model\.safetensors"):
        model_sheet.of_this_machine(run(model))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "none"))
    with pytest.raises(SftError, match="acme/none is not on this machine"):
        model_sheet.of_this_machine(run("acme/none"))
    monkeypatch.setenv("SFT_TUI_HOME", str(tmp_path / "home"))
    assert "first used" in model_sheet.of_this_machine(run("demo")).why
