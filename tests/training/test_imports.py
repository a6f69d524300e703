"""A run does not import what it does not use."""

import gc
import json
import sys

import pytest

from sft_tui.core import config_file
from sft_tui.core.training.imports import leave_out_unused, quick_imports


@pytest.fixture
def left_out(monkeypatch):
    """Returns whether bitsandbytes cannot be imported any more after a configuration was seen."""

    def ask(*sets):
        modules = {name: module for name, module in sys.modules.items() if name != "bitsandbytes"}
        monkeypatch.setattr(sys, "modules", modules)
        leave_out_unused(config_file.build(["data.source=demo", *sets]))
        return "bitsandbytes" in modules

    return ask


@pytest.mark.parametrize(
    ("sets", "expected"),
    [
        ([], True),
        (["method.kind=full"], True),
        (["model.quantisation=nf4"], False),
        (["optim.name=adamw_8bit"], False),
    ],
    ids=str,
)
def test_bitsandbytes_is_imported_where_the_run_uses_it(sets, expected, left_out):
    assert left_out("model.name=demo", *sets) is expected


def test_a_base_of_quantised_weights_needs_it(left_out, untied, tmp_path):
    assert left_out(f"model.name={untied}")
    config = json.loads((untied / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "bitsandbytes", "load_in_4bit": True}
    quantised = tmp_path / "quantised"
    quantised.mkdir()
    (quantised / "config.json").write_text(json.dumps(config))
    (quantised / "model.safetensors").touch()
    assert not left_out(f"model.name={quantised}")


def test_a_model_that_is_not_here_yet_may_need_it(left_out):
    assert not left_out("model.name=acme/never-downloaded")


def test_garbage_is_looked_for_again_after_the_imports():
    with pytest.raises(ImportError), quick_imports():
        assert not gc.isenabled()
        raise ImportError
    assert gc.isenabled()
