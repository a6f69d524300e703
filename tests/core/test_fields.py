import json
import math

import pytest

from sft_tui.core.config import RunConfig
from sft_tui.core.config_file import to_raw
from sft_tui.core.fields import check_raw, declared, json_schema, nearest

FIELDS = {field.path: field for field in declared()}
EVERY = pytest.mark.parametrize("field", FIELDS.values(), ids=FIELDS)


def nested(path, value):
    """The plain configuration in which only `path` is set."""
    for part in reversed(path.split(".")):
        value = [value] if part == "0" else {part: value}
    return value


def problems(path, value):
    return [problem.message for problem in check_raw(nested(path, value))]


@EVERY
def test_every_field_has_a_sentence_of_help(field):
    assert len(field.help.split()) > 1
    assert field.help.endswith(".")


@EVERY
def test_every_default_passes_its_own_check(field):
    default = [to_raw(item) for item in field.default] if field.path.endswith("sources") else None
    assert problems(field.path, field.default if default is None else default) == []


def test_the_whole_default_configuration_passes_the_check():
    assert check_raw(to_raw(RunConfig())) == []


@EVERY
def test_null_is_taken_exactly_where_it_is_declared(field):
    assert (problems(field.path, None) == []) == field.nullable


@EVERY
def test_a_value_of_the_wrong_type_is_refused_with_what_is_expected(field):
    (message,) = problems(field.path, {"x": []})
    assert field.path in message and field.expected() in message


@pytest.mark.parametrize("field", [f for f in FIELDS.values() if f.choices], ids=lambda f: f.path)
def test_a_choice_that_is_not_declared_is_refused_with_all_that_are(field):
    (message,) = problems(field.path, "somethingelse")
    assert all(choice in message for choice in field.choices)
    assert all(problems(field.path, choice) == [] for choice in field.choices)


@pytest.mark.parametrize("path", [field.path for field in FIELDS.values() if field.kind == "float"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf], ids=str)
def test_a_number_that_is_not_finite_is_refused(path, value):
    assert problems(path, value) != []


@pytest.mark.parametrize(
    ("path", "value", "bound"),
    [
        ("method.rank", 0, "≥ 1"),
        ("method.alpha", 0, "> 0"),
        ("method.dropout", 1, "< 1"),
        ("optim.learning_rate", 2, "≤ 1"),
        ("optim.max_grad_norm", 0, "> 0"),
        ("train.max_steps", 0, "≥ 1"),
        ("data.max_length", 7, "≥ 8"),
        ("train.seed", 2**32, "< 4294967296"),
        ("method.target_modules", [], "1 or more"),
        ("optim.betas", [0.9], "of 2"),
    ],
)
def test_a_value_out_of_bounds_is_refused_with_the_bound(path, value, bound):
    (message,) = problems(path, value)
    assert bound in message


@pytest.mark.parametrize("value", [1.5, "8", True, 8.0])
def test_a_whole_number_is_nothing_else(value):
    assert problems("method.rank", value) != []


def test_every_problem_is_found_and_not_only_the_first():
    raw = {"method": {"rank": 0, "rnk": 1}, "optim": 3, "data": {"sources": [7, {"shape": "x"}]}}
    assert [problem.path for problem in check_raw(raw)] == [
        "method.rank",
        "method.rnk",
        "optim",
        "data.sources.0",
        "data.sources.1.shape",
    ]


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("method.rnk", "method.rank"),
        ("optim.lr", "optim.learning_rate"),
        ("lr", "optim.learning_rate"),
        ("train.learning_rate", "optim.learning_rate"),
        ("data.max_lenght", "data.max_length"),
        ("data.sources.0.shap", "data.sources.0.shape"),
        ("modle", "model"),
    ],
)
def test_an_unknown_key_names_the_nearest(wrong, right):
    (message,) = problems(wrong, 1)
    assert message.startswith(f"{wrong} is not a key") and message.endswith(f" {right}")


def test_nothing_is_named_for_a_key_like_no_other():
    assert nearest("xyzzyplugh", list(FIELDS)) is None


def test_choices_keep_the_order_of_their_declaration():
    assert FIELDS["data.truncate"].choices == ("drop", "keep_start", "keep_end")


def test_the_json_schema_explains_every_field():
    text = json.dumps(json_schema(), ensure_ascii=False)
    missing = [
        path
        for path, field in FIELDS.items()
        if json.dumps(field.help, ensure_ascii=False) not in text
    ]
    assert missing == []
