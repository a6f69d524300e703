"""Presets: each is valid, can be trained today, and says by path what it sets."""

import pytest

from sft_tui.core import config_file, presets
from sft_tui.core.draft import Draft
from sft_tui.core.errors import UsageError


@pytest.mark.parametrize("name", presets.names())
def test_what_a_preset_sets_by_path_is_what_it_sets_on_the_command_line(name):
    draft = Draft()
    draft.change({"model.name": "demo", "data.sources.0.source": "demo"})
    assert not draft.change(presets.values(name)) and not draft.problems()
    assert draft.config() == config_file.build(preset=name)


def test_a_preset_of_lora_sets_back_what_another_changed():
    draft = Draft()
    draft.change(presets.values("lora-light"))
    draft.change(presets.values("lora-balanced"))
    assert draft.value("method.target_modules") == ["*_proj"] and draft.value("method.rank") == 16


def test_alpha_is_twice_the_rank_in_presets_that_set_it():
    for name in presets.names():
        found = presets.values(name)
        if "method.alpha" in found and name != "seed":  # NeMo's alpha is 32 at any rank
            assert found["method.alpha"] == 2 * found["method.rank"], name


def test_methods_set_back_what_another_changed():
    draft = Draft()
    for name in ("full", "qlora", "lora-balanced", "full", "lora-light"):
        draft.change(presets.values(name))
        assert not draft.problems(), name
    assert draft.value("method.kind") == "lora" and draft.value("model.quantisation") == "none"
    assert draft.value("train.gradient_checkpointing") is False


def test_there_is_no_preset_of_any_other_name():
    with pytest.raises(UsageError, match="no preset"):
        presets.values("qlora-8bit")
