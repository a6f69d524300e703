"""An export with the logits of its checkpoint is told from one without, and from a damaged one."""

import json
import pickle
import shutil
from pathlib import Path

import msgspec
import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from sft_tui.core import config_file
from sft_tui.core import export as exports
from sft_tui.core import verify as verification
from sft_tui.core.errors import SftError, UsageError
from sft_tui.core.training import export, verify

WEIGHTS = "adapter_model.safetensors"


def silent(event) -> None:
    """Nobody listens."""


@pytest.fixture
def exported(train, ragged, configure, tmp_path):
    """Trains a few steps and exports them; returns the export's folder."""

    def make(base: Path, *sets: str, merge: bool = False, step: int | None = None) -> Path:
        config = configure(base, ragged(12), "train.max_steps=4", "save.every_steps=2", *sets)
        run = train(config).run
        run.config.write_text(config_file.to_yaml(config))
        folder = run.checkpoints / f"step-{step or 4}"
        chosen = exports.Chosen(str(folder), step or 4)
        place = tmp_path / "export"
        export.write(exports.Request(str(run.path), chosen, merge, str(place)), silent)
        return place

    return make


def checked(folder: Path, base: Path | None = None) -> verification.Verdict:
    """Verifies an export whose run lies beside it."""
    looked = verification.look(folder, folder.parent, str(base) if base else None)
    done = verify.verify(looked.request, silent)
    return verification.verdict(looked, json.loads(json.dumps(done.answer)))


@pytest.mark.parametrize(
    ("kind", "merge", "sets"),
    [
        ("untied", False, ()),
        ("untied", True, ("method.dora=true",)),
        ("tied", True, ('method.target_modules=["q_proj", "lm_head"]',)),
        ("gpt2", True, ('method.target_modules=["c_attn", "c_fc"]',)),
        ("untied", True, ("method.kind=full", "optim.learning_rate=0.001")),
    ],
)
def test_an_export_has_the_logits_of_its_checkpoint(exported, request, kind, merge, sets):
    found = checked(exported(request.getfixturevalue(kind), *sets, merge=merge))
    assert found.ok and found.measured.difference is not None
    assert found.measured.difference < verification.BOUND and found.measured.rounding is None
    assert (found.run, found.step, found.form) == ("run-0", 4, "model" if merge else "adapter")
    said = " ".join(verification.in_words(found))
    assert "4 rows of 24 fixed tokens" in said and "step 4 of run-0" in said and "1e-05" in said
    assert said.endswith("It is what was trained.")


@pytest.mark.parametrize("kind", ["lora", "full"])
def test_what_a_coarser_precision_does_is_told_apart_from_a_fault(exported, untied, tmp_path, kind):
    base = tmp_path / "bf16"
    AutoModelForCausalLM.from_pretrained(untied, dtype=torch.bfloat16).save_pretrained(base)
    AutoTokenizer.from_pretrained(untied).save_pretrained(base)
    found = checked(exported(base, f"method.kind={kind}", merge=True))
    measured = found.measured
    assert found.ok and measured.dtype == "bf16"
    assert measured.difference < verification.BOUND < measured.rounding < 0.05
    assert "in bf16, the precision of its files" in " ".join(verification.in_words(found))


@pytest.mark.parametrize("merge", [False, True])
def test_weights_that_are_not_those_of_the_checkpoint_are_found(exported, untied, merge):
    place = exported(untied, merge=merge)
    path = place / ("model.safetensors" if merge else WEIGHTS)
    tensors = load_file(path)
    name = next(n for n in tensors if "q_proj" in n and ("lora_B" in n or merge))
    tensors[name] = tensors[name] * 1.01
    save_file(tensors, path, {"format": "pt"})
    found = checked(place)
    assert not found.ok and found.measured.difference > verification.BOUND
    assert "NOT what was trained" in verification.in_words(found)[-1]
    assert not verification.as_json(found)["ok"]


@pytest.mark.parametrize("merge", [False, True])
@pytest.mark.parametrize("here", [True, False])
def test_bits_that_no_logit_shows_are_found(exported, untied, merge, here):
    place = exported(untied, merge=merge)
    path = place / ("model.safetensors" if merge else WEIGHTS)
    content = bytearray(path.read_bytes())
    content[-4] ^= 1  # the last bit of the last weight, and that of another
    content[-44] ^= 1
    path.write_bytes(content)
    if not here:
        shutil.rmtree(place.parent / "run-0")
    found = checked(place, base=untied)
    assert not found.ok and found.measured.changed == [path.name]
    assert not here or found.measured.difference < verification.BOUND
    assert f"{path.name} changed since it was exported" in verification.in_words(found)[-1]
    assert not verification.as_json(found)["ok"]


def test_an_export_without_checksums_is_held_against_its_checkpoint_alone(exported, untied):
    place = exported(untied)
    known = json.loads((place / verification.ORIGIN).read_bytes())
    assert set(known.pop("sha256")) == {WEIGHTS}
    (place / verification.ORIGIN).write_text(json.dumps(known))
    found = checked(place)
    assert found.ok and found.measured.changed == []


def test_an_export_is_held_against_its_own_step(exported, untied):
    place = exported(untied, step=2)
    assert checked(place).ok
    newer = msgspec.json.decode((place / verification.ORIGIN).read_bytes()) | {"step": 4}
    (place / verification.ORIGIN).write_text(json.dumps(newer))
    assert not checked(place).ok


def test_without_its_run_only_the_loading_is_checked_and_said_so(exported, untied):
    place = exported(untied)
    shutil.rmtree(place.parent / "run-0")
    with pytest.raises(SftError) as caught:
        checked(place)
    assert "--base" in caught.value.remedy
    found = checked(place, base=untied)
    assert found.ok and found.measured.difference is None
    said = verification.in_words(found)[-1]
    assert "Only that was checked" in said and "run-0 is not in" in said
    assert verification.as_json(found)["compared"] is False


@pytest.mark.parametrize("name", ["baseline (2)", "[größe]\u001b[31m"])
def test_a_run_is_found_by_any_name_that_a_folder_may_have(exported, untied, name):
    place = exported(untied)
    (place.parent / "run-0").rename(place.parent / name)
    origin = json.loads((place / "export.json").read_text())
    (place / "export.json").write_text(json.dumps({**origin, "run": name}))
    found = checked(place)
    assert found.ok and found.measured.difference is not None
    said = " ".join(verification.in_words(found))
    assert name.partition("\u001b")[0] in said and said.isprintable()


def test_a_checkpoint_that_was_removed_is_told(exported, untied):
    place = exported(untied, step=2)
    shutil.rmtree(place.parent / "run-0" / "checkpoints" / "step-2")
    assert "no checkpoint of step 2" in checked(place).why_not


def test_an_adapter_of_others_is_loaded_and_not_compared(untied, tmp_path):
    model = AutoModelForCausalLM.from_pretrained(untied)
    settings = LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM")
    get_peft_model(model, settings).save_pretrained(tmp_path / "other")
    AutoTokenizer.from_pretrained(untied).save_pretrained(tmp_path / "other")
    found = checked(tmp_path / "other")
    assert found.ok and "it has no export.json" in found.why_not


def _cut(folder: Path) -> None:
    path = folder / WEIGHTS
    path.write_bytes(path.read_bytes()[:-40])


def _pickled(folder: Path) -> None:
    (folder / "training_args.bin").write_bytes(pickle.dumps({}))


def _pickled_by_another_name(folder: Path) -> None:
    torch.save({}, folder / "more.safetensors")


def _renamed(folder: Path) -> None:
    tensors = load_file(folder / WEIGHTS)
    save_file({n.replace("q_proj", "z_proj"): t for n, t in tensors.items()}, folder / WEIGHTS)


def _not_finite(folder: Path) -> None:
    tensors = load_file(folder / WEIGHTS)
    name = next(n for n in tensors if "lora_B" in n)
    tensors[name] = torch.full_like(tensors[name], float("nan"))
    save_file(tensors, folder / WEIGHTS)


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (_cut, "its header names"),
        (_pickled, "training_args.bin is pickled"),
        (_pickled_by_another_name, "more.safetensors is pickled"),
        (_renamed, "missing adapter keys"),
        (_not_finite, "not finite"),
        (lambda f: (f / WEIGHTS).unlink(), "it has no adapter_model"),
        (lambda f: (f / "tokenizer.json").write_text("{"), "cannot be loaded"),
        (lambda f: (f / "tokenizer.json").unlink(), "it has no tokenizer.json"),
        (lambda f: (f / "adapter_config.json").write_text("[]"), "no JSON object"),
        (lambda f: (f / "adapter_config.json").write_text('{"peft_type": "IA3"}'), "only LORA"),
        (lambda f: (f / "export.json").write_text('{"run": 1}'), "export.json cannot be read"),
        (
            lambda f: (f / "export.json").write_text('{"run": "../x", "step": 1, "merged": false}'),
            "names no run",
        ),
        *(
            (
                lambda f, run=run: (f / "export.json").write_text(
                    json.dumps({"run": run, "step": 1, "merged": False})
                ),
                "names no run",
            )
            for run in ("", ".", "..", "a/b", "a\0b", "a" * 256)
        ),
    ],
)
def test_a_damaged_adapter_gets_one_clear_message(exported, untied, harm, words):
    place = exported(untied)
    harm(place)
    with pytest.raises(SftError) as caught:
        checked(place)
    said = caught.value
    assert words in f"{said.what} {said.why}" and said.remedy and str(place) in said.what


def test_a_damaged_model_gets_one_clear_message(exported, untied):
    place = exported(untied, merge=True)
    settings = place / "config.json"
    own = json.loads(settings.read_text())
    settings.write_text(json.dumps({**own, "auto_map": {"AutoModelForCausalLM": "x.Y"}}))
    with pytest.raises(SftError, match="never run"):
        checked(place)
    settings.write_text(json.dumps(own))
    tensors = load_file(place / "model.safetensors")
    del tensors["model.norm.weight"]
    save_file(tensors, place / "model.safetensors", {"format": "pt"})
    with pytest.raises(SftError, match=r"holds no model\.norm\.weight"):
        checked(place)
    settings.unlink()
    with pytest.raises(SftError, match="no adapter and no model"):
        checked(place)
    with pytest.raises(UsageError, match="there is no such folder"):
        checked(place / "absent")
