"""What people type for a field: taken as they mean it, or refused with bounds and a guess."""

import pytest

from sft_tui.core.fields import declared, field_at
from sft_tui.core.typed import NotTaken, editable, shown, taken

EVERY = pytest.mark.parametrize("field", declared(), ids=lambda field: field.path)


@EVERY
def test_every_default_is_taken_back_as_it_is_shown_for_editing(field):
    if field.path == "data.sources":
        return  # its items are structs; `data.sources.0.*` are the fields of one
    default = list(field.default) if isinstance(field.default, tuple) else field.default
    assert taken(field, editable(field, field.default)) == default


@pytest.mark.parametrize(
    ("path", "text", "value"),
    [
        ("optim.learning_rate", "2e-4", 2e-4),
        ("data.max_length", "2,048", 2048),
        ("data.max_length", "2 048", 2048),
        ("train.max_steps", "", None),
        ("train.max_steps", "null", None),
        ("train.max_steps", "none", None),
        ("method.alpha", "16", 16.0),
        ("evaluate.at_start", "no", False),
        ("method.target_modules", "*_proj, lm_head", ["*_proj", "lm_head"]),
        ("method.target_modules", '["*_proj"]', ["*_proj"]),
        ("method.exclude_modules", "", []),
        ("optim.betas", "[0.9, 0.95]", [0.9, 0.95]),
        ("optim.betas", "0.9, 0.95", [0.9, 0.95]),
        ("data.sources.0.columns", "{prompt: ask}", {"prompt": "ask"}),
        ("data.sources.0.columns", "prompt: ask", {"prompt": "ask"}),
        ("data.sources.0.system", r"Be\nkind \\ now", "Be\nkind \\ now"),
    ],
)
def test_a_value_is_taken_as_it_is_meant(path, text, value):
    assert taken(field_at(path), text) == value


def test_text_with_line_breaks_is_edited_on_one_line_and_comes_back():
    field, text = field_at("data.sources.0.system"), "one\n\ttwo \\n three\\"
    assert "\n" not in editable(field, text) and taken(field, editable(field, text)) == text


@pytest.mark.parametrize(
    ("path", "text", "said"),
    [
        (
            "optim.learning_rate",
            "2e4",
            "Learning rate must be a number > 0 and ≤ 1; you typed 2e4 – did you mean 2e-4?",
        ),
        ("method.rank", "16.0", "you typed 16.0 – did you mean 16?"),
        ("method.rank", "-8", "did you mean 8?"),
        ("method.rank", "4097", "≥ 1 and ≤ 4096; you typed 4097"),
        ("data.max_length", "2k", "did you mean 2048?"),
        ("method.dropout", "0,05", "did you mean 0.05?"),
        ("method.dropout", "5 %", "did you mean 0.05?"),
        ("train.max_steps", "1e3", "did you mean 1000?"),
        ("method.rank", "abc", "you typed abc"),
        ("model.name", "", "must not be empty"),
        ("optim.learning_rate", "nan", "you typed nan"),
        ("optim.betas", "[0.9]", "a list of 2"),
        ("method.target_modules", "[*_proj]", "quote what begins with *"),
        ("data.sources.0.columns", "{prompt: [", "no valid YAML"),
        ("evaluate.at_start", "perhaps", "true or false"),
    ],
)
def test_what_is_no_value_is_refused_with_bounds_and_a_guess(path, text, said):
    with pytest.raises(NotTaken) as refused:
        taken(field_at(path), text)
    assert said in str(refused.value)


def test_a_guess_is_never_out_of_bounds():
    with pytest.raises(NotTaken) as refused:
        taken(field_at("optim.learning_rate"), "7")
    assert "did you mean" not in str(refused.value)


@pytest.mark.parametrize(
    ("path", "value", "text"),
    [
        ("optim.learning_rate", 2e-4, "2e-4"),
        ("optim.learning_rate", 1.5e-4, "1.5e-4"),
        ("optim.learning_rate", 0.1 + 0.2, "0.30000000000000004"),
        ("optim.eps", 1e-8, "1e-8"),
        ("method.alpha", 32.0, "32"),
        ("data.max_length", 1024, "1,024 tokens"),
        ("save.keep", 1, "1 checkpoint"),
        ("train.gradient_accumulation", 1, "1 micro-batch"),
        ("train.max_steps", None, "none"),
        ("data.shuffle", True, "yes"),
        ("method.target_modules", ["a", "*b"], "a, *b"),
        ("method.exclude_modules", [], "none"),
        ("optim.betas", (0.9, 0.999), "0.9, 0.999"),
        ("data.sources.0.columns", {"prompt": "a"}, "{prompt: a}"),
    ],
)
def test_values_are_shown_short_and_with_their_unit(path, value, text):
    assert shown(field_at(path), value) == text
