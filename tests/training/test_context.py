"""Rows that are longer than what the model was made for."""

import pytest

from sft_tui.core.errors import SftError

LONG = [("the red fox " * 200, "jumps"), ("over", "a lazy dog")]


def test_a_model_that_can_go_on_is_warned_of(untied, write_rows, configure, train):
    outcome = train(configure(untied, write_rows(LONG), "train.max_steps=1", "data.max_length=700"))
    (warning,) = outcome.warnings("longer_than_context")
    assert "612 tokens, and the model was made for 512" in warning.message
    assert warning.remedy == "set data.max_length to 512 or less"


def test_a_model_with_a_vector_for_each_position_is_refused(gpt2, write_rows, configure, train):
    config = configure(
        gpt2, write_rows(LONG), "data.max_length=700", "method.target_modules=[c_attn]"
    )
    with pytest.raises(SftError) as caught:
        train(config)
    assert "the model was made for 512" in str(caught.value)
    assert caught.value.remedy == "set data.max_length to 512 or less"


def test_rows_that_fit_are_not_spoken_of(untied, write_rows, configure, train):
    rows = write_rows([("the red fox", "jumps"), ("over", "a lazy dog")])
    assert not train(configure(untied, rows, "train.max_steps=1")).warnings("longer_than_context")
