"""Shapes are recognised with a reason, columns are found by path, turns come into one form."""

import json

import pytest

from sft_tui.core.config import DataConfig, SourceConfig
from sft_tui.core.data.columns import Missing, look_up, parse
from sft_tui.core.data.rows import Left, Row
from sft_tui.core.data.sources import Source
from sft_tui.core.errors import DataError

TURNS = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
SHARED = [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]
CALL = {"name": "look", "arguments": {"city": "Paris"}}
CALLED = {"type": "function", "function": CALL}


@pytest.fixture
def source(write):
    def make(rows, **config):
        path = write("rows.jsonl", "\n".join(map(json.dumps, rows)))
        data = DataConfig(**config.pop("data", {}))
        return Source(SourceConfig(source=str(path), **config), data)

    return make


def turns(row):
    assert isinstance(row, Row), row
    return [(turn.role, turn.content) for turn in row.messages]


PAIR = [("user", "Hi"), ("assistant", "Hello")]
KNOWN = [
    ("alpaca", "sure", {"instruction": "Hi", "input": "", "output": "Hello"}),
    ("alpaca", "sure", {"instruction": "Hi", "response": "Hello", "category": "chat"}),
    ("squad", "sure", {"context": "Hi", "question": "", "answers": {"text": ["Hello"]}, "id": 7}),
    ("squad", "sure", {"context": "Hi", "question": "", "answer": "Hello"}),
    ("prompt_completion", "sure", {"prompt": "Hi", "completion": "Hello"}),
    ("prompt_completion", "sure", {"question": "Hi", "answer": "Hello", "level": 3}),
    ("prompt_completion", "sure", {"query": "Hi", "response": "Hello"}),
    ("prompt_completion", "sure", {"problem": "Hi", "solution": "Hello"}),
    ("prompt_completion", "sure", {"input": "Hi", "output": "Hello"}),
    ("prompt_completion", "likely", {"question": "Hi", "answer": "Hello", "solution": "No"}),
    ("messages", "sure", {"messages": TURNS}),
    ("messages", "sure", {"conversations": TURNS, "id": "x"}),
    ("messages", "likely", {"log": TURNS}),
    ("messages", "sure", {"prompt": TURNS[:1], "completion": TURNS[1:]}),
    ("messages", "likely", {"conversations": ["Hi", "Hello"], "source": "x"}),
    ("messages", "likely", {"conversation": [{"input": "Hi", "output": "Hello"}]}),
    ("prompt_completion", "likely", {"prompt": "Hi", "chosen": "Hello", "rejected": "No"}),
    ("sharegpt", "sure", {"conversations": SHARED}),
    ("sharegpt", "likely", {"dialogs": SHARED, "system": ""}),
]


@pytest.mark.parametrize(("shape", "certainty", "row"), KNOWN, ids=lambda value: str(value)[:40])
def test_every_shape_is_recognised_without_a_word(source, shape, certainty, row):
    """U19"""
    found = source([row])
    if "prompt" in row and isinstance(row["prompt"], list):
        certainty = "likely"  # the turns stand in a column that usually holds text
    assert (found.shape.name, found.shape.certainty) == (shape, certainty)
    assert any(name in found.shape.reason for name in row)
    assert turns(next(iter(found))) == PAIR


def test_a_context_beside_an_instruction_is_its_input(source):
    row = {"instruction": "When?", "context": "In 1889.", "response": "1889", "category": "qa"}
    (made,) = list(source([row]))
    assert turns(made) == [("user", "When?\n\nIn 1889."), ("assistant", "1889")]


@pytest.mark.parametrize(("row", "certainty"), [({"text": "x"}, "sure"),
                                                ({"text": "x", "url": "y"}, "likely"),
                                                ({"content": "x", "id": 1}, "likely")])  # fmt: skip
def test_plain_text_is_one_part_that_no_template_wraps(source, row, certainty):
    found = source([row])
    (made,) = list(found)
    assert (found.shape.name, found.shape.certainty) == ("text", certainty)
    assert made.text and turns(made) == [("assistant", "x")]


def test_a_shape_that_is_asked_for_is_taken_with_its_usual_columns(source):
    found = source([{"query": "Hi", "response": "Hello", "text": "no"}], shape="text")
    assert (found.shape.name, found.shape.certainty) == ("text", "chosen")
    assert turns(next(iter(found))) == [("assistant", "no")]


def test_a_first_row_that_is_damaged_does_not_hide_the_shape(source, write):
    path = write("rows.jsonl", '{"torn\n{"prompt": "Hi", "completion": "Hello"}\n')
    found = Source(SourceConfig(source=str(path)), DataConfig())
    bad, good = list(found)
    assert isinstance(bad, Left) and (bad.number, bad.id) == (0, "unreadable_row")
    assert "line 1" in bad.place
    assert good.number == 1 and turns(good) == PAIR


def test_a_file_of_which_no_row_can_be_read_is_refused(write):
    path = write("rows.jsonl", "hello\nworld\n")
    with pytest.raises(DataError, match="cannot be read") as caught:
        Source(SourceConfig(source=str(path)), DataConfig())
    assert "line 1" in caught.value.why


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("a", {"b": [1, {"c": "x"}], "d.e": "y"}),
        ("a.b[1].c", "x"),
        ("a.b[-2]", 1),
        ("a.b[9]", None),
        ("f.g", "dotted name"),
        ("n.deep[0].x", None),
    ],
)
def test_a_path_reaches_into_nested_columns(path, value):
    """U20"""
    row = {"a": {"b": [1, {"c": "x"}], "d.e": "y"}, "f.g": "dotted name", "n": None}
    assert look_up(row, path) == value


@pytest.mark.parametrize("path", ["b", "a.x", "a.b.c", "a[0]", "f"])
def test_a_path_that_a_row_does_not_have_is_missing(path):
    with pytest.raises(Missing):
        look_up({"a": {"b": [1]}, "f.g": 1}, path)


@pytest.mark.parametrize("path", ["", "[0]", "a..b", "a[x]", "a.", "a[0]b"])
def test_what_is_no_path_is_refused(path):
    with pytest.raises(ValueError, match="not a path"):
        parse(path)


def test_nested_columns_are_read_by_role(source):
    rows = [{"q": {"text": "Hi"}, "answers": {"text": ["Hello", "x"]}},
            {"q": {"text": "Hi"}, "answers": {"text": []}}]  # fmt: skip
    columns = {"prompt": "q.text", "completion": "answers.text[0]"}
    first, second = list(source(rows, columns=columns))
    assert turns(first) == PAIR
    assert isinstance(second, Left) and second.id == "empty_answer"


@pytest.mark.parametrize(
    ("spoken", "role"),
    [("human", "user"), ("user", "user"), ("gpt", "assistant"), ("assistant", "assistant"),
     ("system", "system"), ("observation", "tool"), ("tool", "tool")],
)  # fmt: skip
def test_sharegpt_roles_have_their_meaning(source, spoken, role):
    row = {"conversations": [{"from": spoken, "value": "x"}, *SHARED]}
    assert turns(next(iter(source([row]))))[0] == (role, "x")


def test_an_unknown_role_offers_a_map_and_the_map_mends_it(source):
    rows = [{"messages": TURNS}, {"messages": [{"role": "robot", "content": "x"}, *TURNS]}]
    _, left = list(source(rows))
    assert isinstance(left, Left) and left.id == "unknown_role"
    assert 'data.sources.0.roles={"robot": user}' in left.why
    _, mended = list(source(rows, roles={"robot": "system"}))
    assert turns(mended)[0] == ("system", "x")
    _, wrong = list(source(rows, roles={"robot": "machine"}))
    assert wrong.id == "unknown_role" and "'machine'" in wrong.why


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "ab"),
        ([{"text": "a"}, "b"], "ab"),
    ],
)
def test_content_in_parts_is_joined(source, content, text):
    row = {"messages": [{"role": "user", "content": content}, TURNS[1]]}
    assert turns(next(iter(source([row]))))[0] == ("user", text)


@pytest.mark.parametrize(
    "content", [[{"type": "image_url", "image_url": {"url": "x"}}], 7, {"text": "x"}, None]
)
def test_content_that_is_no_text_is_named_with_its_turn(source, content):
    rows = [{"messages": TURNS}, {"messages": [{"role": "user", "content": content}, TURNS[1]]}]
    _, left = list(source(rows))
    assert isinstance(left, Left) and left.id == "wrong_row" and "turn 1" in left.why


@pytest.mark.parametrize(
    "value",
    [
        json.dumps(CALL),
        json.dumps([CALL]),
        json.dumps({**CALL, "arguments": '{"city": "Paris"}'}),
    ],
)  # fmt: skip
def test_a_sharegpt_function_call_becomes_a_call_of_the_assistant(source, value):
    called = [SHARED[0], {"from": "function_call", "value": value},
              {"from": "observation", "value": "sunny"}, SHARED[1]]  # fmt: skip
    (row,) = list(source([{"conversations": called, "tools": json.dumps([{"name": "look"}])}]))
    assert [turn.role for turn in row.messages] == ["user", "assistant", "tool", "assistant"]
    assert row.messages[1].extra["tool_calls"] == [CALLED]
    assert row.tools == ({"type": "function", "function": {"name": "look"}},)


def test_openai_calls_keep_their_ids_and_their_arguments_become_a_map(source):
    call = {"id": "c1", "type": "function",
            "function": {"name": "look", "arguments": '{"city": "Paris"}'}}  # fmt: skip
    said = [TURNS[0], {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c1", "content": "sunny"}, TURNS[1]]  # fmt: skip
    (row,) = list(source([{"messages": said}]))
    assert row.messages[1].as_dict() == {
        "role": "assistant", "content": "", "tool_calls": [{"id": "c1", **CALLED}],
    }  # fmt: skip
    assert row.messages[2].extra == {"tool_call_id": "c1"}


@pytest.mark.parametrize(
    "calls", [[CALLED], CALLED, json.dumps([CALLED]), json.dumps(CALLED), CALL, [CALL]]
)
def test_calls_of_any_form_become_a_list_of_calls(source, calls):
    said = [TURNS[0], {"role": "assistant", "content": "", "tool_calls": calls}]
    (row,) = list(source([{"messages": said}]))
    assert row.messages[1].extra == {"tool_calls": [CALLED]}


@pytest.mark.parametrize("calls", ["x", 7, {"function": "x"}, ["x"], [None], {"a": 1}, True])
def test_calls_that_are_none_are_named_with_their_turn_and_others_kept(source, calls):
    bad = [TURNS[0], {"role": "assistant", "content": "ok", "tool_calls": calls}]
    left, good = list(source([{"messages": bad}, {"messages": TURNS}]))
    assert isinstance(left, Left) and left.id == "wrong_row" and "turn 2" in left.why
    assert turns(good) == PAIR


@pytest.mark.parametrize("calls", [None, [], ""])
def test_no_calls_are_no_calls(source, calls):
    said = [TURNS[0], {**TURNS[1], "tool_calls": calls}]
    (row,) = list(source([{"messages": said}]))
    assert turns(row) == PAIR and row.messages[1].extra == {}


@pytest.mark.parametrize(
    ("columns", "why"),
    [
        ({"context": "c"}, "reads no context"),
        ({"system": "nope"}, "none of its first rows has 'nope'"),
        ({"prompt": "q.x[0]", "completion": "answer"}, "none of its first rows has 'q.x[0]'"),
    ],
)
def test_a_mapped_column_that_nobody_has_or_reads_is_refused(source, columns, why):
    with pytest.raises(DataError, match="not as configured") as caught:
        source([{"question": "Hi", "answer": "Hello", "c": "x"}], columns=columns)
    assert why in caught.value.why


def test_columns_that_are_not_trained_on_are_told(source):
    row = {"question": "Which?", "answer": "2", "choices": ["a", "b"], "subject": "x"}
    assert source([row]).unused == ["choices", "subject"]
    assert source([{"q": {"a": 1, "b": 2}, "answer": "x"}],
                  columns={"prompt": "q.a", "completion": "answer"}).unused == []  # fmt: skip


@pytest.mark.parametrize(
    ("row", "shape"),
    [
        ({"Question": "Hi", "ANSWER": "Hello"}, "prompt_completion"),
        ({"Instruction": "Hi", "Input": "", "Output": "Hello"}, "alpaca"),
        ({"Messages": TURNS}, "messages"),
    ],
)
def test_capitals_in_column_names_do_not_matter(source, row, shape):
    found = source([row])
    assert (found.shape.name, found.shape.certainty) == (shape, "likely")
    assert [turns(row) for row in found] == [PAIR]


def test_names_that_differ_in_capitals_alone_are_not_guessed(source):
    with pytest.raises(DataError, match="not recognised"):
        source([{"Question": "Hi", "QUESTION": "Ho", "Answer": "Hello"}])


@pytest.mark.parametrize("said", [None, "", "Let me look."])
def test_the_older_function_call_of_openai_is_a_tool_call(source, said):
    called = {"role": "assistant", "content": said, "function_call": CALL}
    told = [TURNS[0], called, {"role": "function", "name": "look", "content": "20"}, TURNS[1]]
    (row,) = source([{"messages": told}])
    assert row.messages[1].extra == {"tool_calls": [CALLED]}
    assert [turn.role for turn in row.messages] == ["user", "assistant", "tool", "assistant"]


def test_arguments_may_be_called_parameters_and_anything_else_is_refused(source):
    call = {"name": "look", "parameters": {"city": "Paris"}}
    good = [TURNS[0], {"role": "assistant", "content": "", "tool_calls": [call]}]
    bad = [
        TURNS[0],
        {"role": "assistant", "content": "", "tool_calls": [{"name": "f", "args": {}}]},
    ]
    row, left = source([{"messages": good}, {"messages": bad}])
    assert row.messages[1].extra == {"tool_calls": [CALLED]}
    assert left.id == "wrong_row" and "function call with args" in left.why


@pytest.mark.parametrize("key", ["reasoning_content", "reasoning", "thinking"])
def test_reasoning_is_read_under_its_names(source, key):
    (row,) = source([{"messages": [TURNS[0], {**TURNS[1], key: "Hm."}]}])
    assert row.messages[1].extra == {"reasoning_content": "Hm."}


def test_keys_of_turns_that_are_not_read_are_told(source):
    found = source([{"messages": [TURNS[0], {**TURNS[1], "score": 3}]}])
    assert found.unused == ["messages[].score"]


@pytest.mark.parametrize("turns_", [TURNS, SHARED], ids=["openai", "sharegpt"])
def test_a_line_that_is_a_list_of_turns_is_a_conversation(source, turns_):
    found = source([turns_, turns_])
    assert found.shape.name == ("messages" if turns_ is TURNS else "sharegpt")
    assert [turns(row) for row in found] == [PAIR, PAIR]


def test_turns_as_rows_are_no_texts(source, write):
    path = write("rows.json", json.dumps(TURNS))
    with pytest.raises(DataError, match="not recognised"):
        Source(SourceConfig(source=str(path)), DataConfig())


@pytest.mark.parametrize(
    "row",
    [
        {"question": "Hi", "response": [TURNS[1]]},
        {"prompt": [TURNS[0]], "completion": "Hello"},
        {"prompt": [TURNS[0]], "completion": [TURNS[1]]},
    ],
)
def test_text_beside_turns_is_half_of_the_conversation(source, row):
    found = source([row])
    assert [turns(row) for row in found] == [PAIR] and found.unused == []


def test_conversations_as_json_text_are_read(source):
    for key, talk in (("messages", TURNS), ("conversations", SHARED)):
        assert [turns(row) for row in source([{key: json.dumps(talk)}])] == [PAIR]


@pytest.mark.parametrize(
    "stray",
    [
        {"instruction": "x", "output": "y"},
        {"question": "Hi", "answer": "Hello", "messages": TURNS},
        {"question": "Hi", "answer": TURNS},
        {"text": "x"},
    ],
)
def test_a_stray_row_does_not_decide_for_all(source, stray):
    rows = [{"question": "Hi", "answer": "Hello"}] * 12
    found = source([*rows[:3], stray, *rows[3:]])
    assert found.shape.name == "prompt_completion" and found.shape.certainty == "likely"
    assert "12 of the first 13 rows" in found.shape.reason
    good = [turns(row) for row in found if isinstance(row, Row)]
    assert good.count(PAIR) >= 12


@pytest.mark.parametrize("value", ["not json", "{}", "[]", '{"arguments": {}}', "[1]"])
def test_a_function_call_without_a_name_is_named_with_its_turn(source, value):
    bad = [SHARED[0], {"from": "function_call", "value": value}, SHARED[1]]
    _, left = list(source([{"conversations": SHARED}, {"conversations": bad}]))
    assert isinstance(left, Left) and "turn 2" in left.why


def test_a_conversation_whose_last_answer_is_empty_is_left_out_and_said(source):
    quiet = [TURNS[0], {"role": "assistant", "content": " "}]
    _, left = list(source([{"messages": TURNS}, {"messages": quiet}]))
    assert (left.number, left.id) == (1, "empty_answer")
