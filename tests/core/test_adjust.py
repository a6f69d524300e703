"""Values go up and down in steps that make sense, and never out of bounds."""

import pytest

from sft_tui.core.adjust import around, neighbour
from sft_tui.core.fields import accepts, declared, field_at

NUMBERS = [field for field in declared() if field.kind in ("int", "float")]


@pytest.mark.parametrize(
    ("path", "value", "below", "above"),
    [
        ("method.rank", 16, 8, 32),
        ("method.rank", 24, 16, 32),
        ("method.rank", 1, None, 2),
        ("method.rank", 4096, 2048, None),
        ("method.alpha", 32.0, 16.0, 64.0),
        ("optim.learning_rate", 2e-4, 1e-4, 5e-4),
        ("optim.learning_rate", 3e-4, 2e-4, 5e-4),
        ("optim.learning_rate", 1.0, 0.5, None),
        ("method.dropout", 0.0, None, 0.01),
        ("method.dropout", 0.01, 0.0, 0.02),
        ("optim.eps", 1e-8, 5e-9, 2e-8),
        ("evaluate.every_steps", 50, 20, 100),
        ("evaluate.every_steps", None, 50, 50),
        ("train.max_steps", None, 100, 100),
        ("train.epochs", 1, None, 2),
        ("optim.schedule", "wsd", "cosine", "constant"),
        ("data.shuffle", True, False, False),
        ("model.name", "x", None, None),
    ],
)
def test_a_key_takes_the_next_sensible_value(path, value, below, above):
    field = field_at(path)
    assert neighbour(field, value, -1) == below
    assert neighbour(field, value, 1) == above


@pytest.mark.parametrize("field", NUMBERS, ids=lambda field: field.path)
def test_every_number_can_be_made_larger_and_smaller_within_its_bounds(field):
    for way in (1, -1):
        value, seen = field.default, []
        while value is not None and len(seen) < 70:
            assert accepts(field, value) or value is None
            seen.append(value)
            value = neighbour(field, value, way)
        assert len(seen) == len(set(seen)), "no value comes twice"
    assert neighbour(field, field.default, 1) is not None


def test_the_values_around_one_are_in_order():
    assert around(field_at("method.rank"), 16) == [4, 8, 16, 32, 64]
    assert around(field_at("method.rank"), 1) == [1, 2, 4]
    assert around(field_at("optim.schedule"), "linear") == ["constant", "linear", "cosine", "wsd"]
    assert around(field_at("train.max_steps"), None) == []
