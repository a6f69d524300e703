import gzip
import json
import random
from collections import Counter

import pytest

from sft_tui.core.config import DataConfig, SourceConfig
from sft_tui.core.data.rows import Row, split
from sft_tui.core.data.sources import load
from sft_tui.core.errors import DataError

TURNS = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
ALPACA = {"instruction": "Add.", "input": "1 and 2", "output": "3"}


@pytest.fixture
def read(write):
    """Loads rows from a list of objects, or from a named file's content."""

    def make(content, name="rows.jsonl", data=None, **source):
        if isinstance(content, list):
            content = "\n".join(json.dumps(entry) for entry in content)
        path = write(name, content)
        return load(SourceConfig(source=str(path), **source), DataConfig(**(data or {})))

    return make


def squad(*answers, context="Paris is in France.", question="Where is Paris?"):
    texts = {"text": list(answers), "answer_start": [0] * len(answers)}
    return {"context": context, "question": question, "answers": texts}


def turns(row):
    return [(turn.role, turn.content) for turn in row.messages]


def grouped(sizes):
    """Rows of as many groups as there are sizes."""
    groups = [f"group {place}" for place, size in enumerate(sizes) for _ in range(size)]
    return [Row(number, "s", (), None, "", group) for number, group in enumerate(groups, 1)]


def test_an_alpaca_row_is_a_question_of_instruction_and_input(read):
    loaded = read([ALPACA])
    (row,) = loaded.rows
    assert loaded.shape == "alpaca"
    assert (row.instruction, row.input) == ("Add.", "1 and 2")
    assert turns(row) == [("user", "Add.\n\n1 and 2"), ("assistant", "3")]


def test_an_alpaca_row_needs_no_input(read):
    (row,) = read([{"instruction": "Greet.", "output": "Hi"}]).rows
    assert turns(row) == [("user", "Greet."), ("assistant", "Hi")]


def test_a_squad_row_takes_context_question_and_first_answer(read):
    loaded = read([squad("France", "in France")])
    (row,) = loaded.rows
    assert loaded.shape == "squad"
    assert (row.instruction, row.input) == ("Paris is in France.", "Where is Paris?")
    assert turns(row)[-1] == ("assistant", "France")


@pytest.mark.parametrize(
    ("prompt", "completion"),
    [("prompt", "completion"), ("question", "answer"), ("query", "response")],
)
def test_prompt_and_completion_are_known_by_their_usual_names(read, prompt, completion):
    loaded = read([{prompt: "Hi", completion: "Hello"}])
    assert loaded.shape == "prompt_completion"
    assert turns(loaded.rows[0]) == [("user", "Hi"), ("assistant", "Hello")]


def test_a_conversation_keeps_its_turns(read):
    conversation = [{"role": "system", "content": "Be kind."}, *TURNS, *TURNS]
    loaded = read([{"messages": conversation}])
    assert loaded.shape == "messages"
    assert turns(loaded.rows[0]) == [(turn["role"], turn["content"]) for turn in conversation]


def test_the_configured_system_message_is_put_only_where_there_is_none(read):
    own = [{"role": "system", "content": "Own."}, *TURNS]
    first, second = read([{"messages": own}, {"messages": TURNS}], system="Configured.").rows
    assert turns(first)[0] == ("system", "Own.")
    assert turns(second)[0] == ("system", "Configured.")
    (row,) = read([{**ALPACA, "system": "Own."}], system="Configured.").rows
    assert [turn for turn in turns(row) if turn[0] == "system"] == [("system", "Own.")]


def test_text_of_the_data_is_left_as_it_is(read):
    odd = "  {x} \x1b[31m\u202e<b>&amp;\r\n"
    (row,) = read([{"prompt": odd, "completion": odd}]).rows
    assert turns(row) == [("user", odd), ("assistant", odd)]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("rows.jsonl", b'{"prompt": "a, b", "completion": "c\\nd"}\n\n'),
        ("rows.JSONL", b'{"prompt": "a, b", "completion": "c\\nd"}\r\n'),
        ("rows.json", b'[{"prompt": "a, b", "completion": "c\\nd"}]'),
        ("rows.json", b'{"version": 1, "data": [{"prompt": "a, b", "completion": "c\\nd"}]}'),
        ("rows.csv", b'prompt,completion\n"a, b","c\nd"\n'),
        ("rows.jsonl", b'[{"prompt": "a, b", "completion": "c\\nd"}]'),
        ("rows.jsonl", b'[\n {"prompt": "a, b",\n  "completion": "c\\nd"}\n]\n'),
        ("rows.csv", b'prompt;completion\n"a, b";"c\nd"\n'),
        ("rows.tsv", b'prompt\tcompletion\na, b\t"c\nd"\n'),
        ("rows.csv", b'\xef\xbb\xbfprompt,completion\r\n"a, b","c\nd"\r\n'),
        ("rows.jsonl.gz", gzip.compress(b'{"prompt": "a, b", "completion": "c\\nd"}', mtime=0)),
        ("rows.csv.gz", gzip.compress(b'prompt,completion\n"a, b","c\nd"\n', mtime=0)),
    ],
)
def test_every_file_format_gives_the_same_row(read, name, content):
    (row,) = read(content, name).rows
    assert turns(row) == [("user", "a, b"), ("assistant", "c\nd")]


def test_a_line_separator_inside_a_string_does_not_cut_the_row(read):
    content = '{"prompt": "a\u2028b", "completion": "c\x85d"}\n'
    (row,) = read(content).rows
    assert turns(row) == [("user", "a\u2028b"), ("assistant", "c\x85d")]


def test_a_csv_field_may_be_as_long_as_a_book(read):
    text = "x" * 200_000
    (row,) = read(f"prompt,completion\n{text},b\n", "rows.csv").rows
    assert turns(row)[0] == ("user", text)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("rows.jsonl", ""),
        ("rows.jsonl", "\n\n"),
        ("rows.json", ""),
        ("rows.json", "[]"),
        ("rows.csv", ""),
        ("rows.csv", "prompt,completion\n"),
        ("rows.jsonl.gz", gzip.compress(b"", mtime=0)),
    ],
)
def test_a_file_without_rows_is_refused(read, name, content):
    with pytest.raises(DataError, match="no rows"):
        read(content, name)


@pytest.mark.parametrize(
    ("name", "content", "place"),
    [
        ("rows.jsonl", '{"text": "a"}\n\n{"text": tru}\n', "line 3, column 10"),
        ("rows.jsonl", '{"text": "a"}\n{"text": "torn', "line 2, column 10"),
        ("rows.json", '[{"text": "a"},\n {"text": }]', "line 2, column 11"),
        ("rows.jsonl", '{"text": "a"}\n[1]\n', "line 2"),
        ("rows.json", '[{"text": "a"}, 7]', "row 1"),
    ],
)
def test_damaged_json_names_its_place(read, name, content, place):
    with pytest.raises(DataError) as caught:
        read(content, name)
    assert place in f"{caught.value.what} {caught.value.why}"


def test_json_lines_named_json_are_read_as_lines(read):
    loaded = read('{"text": "a"}\n{"text": "b"}\n', "rows.json")
    assert [turns(row)[0][1] for row in loaded.rows] == ["a", "b"]


def damaged_gzip():
    packed = bytearray(gzip.compress(json.dumps(ALPACA).encode() * 50))
    packed[12:24] = bytes(byte ^ 255 for byte in packed[12:24])
    return bytes(packed)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("rows.jsonl", b'{"prompt": "\xff"}'),
        ("rows.jsonl.gz", b"not gzip"),
        ("rows.jsonl.gz", gzip.compress(b'{"prompt": "x"}' * 50, mtime=0)[:-12]),
        ("rows.jsonl.gz", damaged_gzip()),
        ("rows.jsonl", b"[" * 100_000),
        ("rows.jsonl", b'{"prompt": ' + b"9" * 5000 + b"}"),
        ("rows.json", b"7"),
        ("rows.json", b'{"prompt": "x"}'),
        ("rows.parquet", b"PAR1"),
        ("rows", b"x"),
    ],
    ids=[
        "latin",
        "not gzip",
        "short gzip",
        "damaged gzip",
        "deep",
        "huge number",
        "no list",
        "one row",
        "parquet",
        "no ending",
    ],
)
def test_a_file_that_cannot_be_read_is_named_and_never_a_crash(read, name, content):
    with pytest.raises(DataError, match=name):
        read(content, name)


def test_a_file_that_is_not_there_is_named(tmp_path):
    for path in (tmp_path / "gone.csv", tmp_path):
        with pytest.raises(DataError, match=str(path)):
            load(SourceConfig(source=str(path)), DataConfig())


def test_a_shape_that_is_not_recognised_lists_the_columns(read):
    with pytest.raises(DataError) as caught:
        read([{"left": "a", "right": "b"}])
    assert "left, right" in caught.value.why and "columns" in caught.value.remedy


@pytest.mark.parametrize(
    ("rows", "shape", "missing"),
    [
        ([ALPACA, {"instruction": "a", "reply": "b"}], "alpaca", "output"),
        ([squad("a"), {"context": "a", "answers": {"text": ["a"]}}], "squad", "question"),
        ([squad("a"), {"context": "a", "question": "b"}], "squad", "answers"),
        ([squad("a"), {**squad("a"), "answers": {"other": "a"}}], "squad", "answers"),
        ([{"prompt": "a", "completion": "b"}, {"prompt": "a"}], "auto", "completion"),
        ([{"prompt": "a", "completion": "b"}, {"prompt": ["a"], "answer": "b"}], "auto", "prompt"),
        ([ALPACA, {**ALPACA, "output": None}], "alpaca", "output"),
        ([{"messages": TURNS}, {"text": "a"}], "messages", "messages"),
    ],
)
def test_a_row_without_what_its_shape_needs_is_named_with_its_columns(read, rows, shape, missing):
    with pytest.raises(DataError) as caught:
        read(rows, shape=shape)
    assert "row 1 " in caught.value.what
    assert missing in caught.value.why
    assert ", ".join(rows[1]) in caught.value.why


@pytest.mark.parametrize(
    ("conversation", "why"),
    [
        ([], "is empty"),
        (7, "not a list of turns"),
        ("no list", "not a list of turns"),
        (["Hi"], "turn 1"),
        ([{"role": "robot", "content": "a"}], "robot"),
        ([TURNS[0], {"role": "assistant", "content": None}], "turn 2"),
        ([TURNS[0]], "assistant"),
    ],
)
def test_a_conversation_that_cannot_be_trained_on_names_row_and_turn(read, conversation, why):
    with pytest.raises(DataError) as caught:
        read([{"messages": TURNS}, {"messages": conversation}])
    assert "row 1 " in caught.value.what and why in caught.value.why


def test_half_of_a_surrogate_pair_is_refused_with_its_row(read):
    """JSON may hold it; no tokenizer takes it."""
    broken = '{"prompt": "a\\ud800", "completion": "b"}'
    with pytest.raises(DataError, match="row 1 "):
        read('{"prompt": "a", "completion": "b"}\n' + broken)


@pytest.mark.parametrize("nothing", [(), ("",), ("  \n",)])
def test_rows_without_an_answer_are_dropped_and_told(read, nothing):
    loaded = read([squad("France"), squad(*nothing), squad("Paris")])
    assert [row.number for row in loaded.rows] == [0, 2]
    assert loaded.dropped == [1]


def test_rows_without_an_answer_are_answered_with_the_configured_text(read):
    data = {"empty_answers": "text", "empty_answer_text": "It does not say."}
    loaded = read([squad(), squad("France")], data=data)
    assert [turns(row)[-1][1] for row in loaded.rows] == ["It does not say.", "France"]
    assert loaded.dropped == []


def test_columns_are_read_under_the_names_given_to_them(read):
    columns = {"prompt": "frage", "completion": "antwort"}
    loaded = read("frage,antwort,prompt\nHi,Hello,other\n", "rows.csv", columns=columns)
    assert loaded.shape == "prompt_completion"
    assert turns(loaded.rows[0]) == [("user", "Hi"), ("assistant", "Hello")]


def test_a_named_column_that_a_row_lacks_is_told_with_the_row(read):
    columns = {"prompt": "q", "completion": "a"}
    with pytest.raises(DataError) as caught:
        read([{"q": "x", "a": "y"}, {"q": "x", "b": "y"}], columns=columns)
    assert "row 1 " in caught.value.what and "no column a" in caught.value.why


def test_rows_with_one_context_are_one_group(read):
    first, second, other = read(
        [squad("a"), squad("b", question="Who?"), squad("c", context="Rome is old.")]
    ).rows
    assert first.group == second.group != other.group


def test_a_shared_system_message_does_not_make_conversations_one_group(read):
    asked = [
        {"messages": [{"role": "user", "content": f"question {n}"}, TURNS[1]]} for n in range(20)
    ]
    groups = {row.group for row in read(asked, system="Be kind.").rows}
    assert len(groups) == 20


def test_no_group_straddles_the_split():
    train, held_out = split(grouped([5] * 40), 0.2, seed=1)
    assert train and held_out
    assert not {row.group for row in train} & {row.group for row in held_out}
    assert len(train) + len(held_out) == 200


def test_the_split_does_not_depend_on_the_order_of_rows():
    rows = grouped([3] * 50)
    shuffled = random.Random(0).sample(rows, len(rows))
    numbers = [{row.number for row in split(order, 0.1, seed=1)[1]} for order in (rows, shuffled)]
    assert numbers[0] == numbers[1]


def test_another_seed_holds_out_other_rows():
    rows = grouped([1] * 100)
    assert split(rows, 0.2, seed=1)[1] != split(rows, 0.2, seed=2)[1]


@pytest.mark.parametrize("fraction", [0.05, 0.2, 0.5])
def test_the_split_holds_out_about_the_fraction(fraction):
    sizes = [1 + number % 4 for number in range(200)]
    rows = grouped(sizes)
    held_out = split(rows, fraction, seed=3)[1]
    assert abs(len(held_out) - fraction * len(rows)) <= max(sizes)


def test_one_large_group_does_not_take_the_training_rows_away():
    rows = grouped([90, *[1] * 10])
    assert min(len(split(rows, 0.05, seed)[0]) for seed in range(20)) >= 90


def test_both_sides_keep_the_order_of_the_file():
    for side in split(grouped([1] * 100), 0.3, seed=1):
        assert [row.number for row in side] == sorted(row.number for row in side)


@pytest.mark.parametrize(("fraction", "groups"), [(0.0, 9), (0.5, 1)])
def test_nothing_is_held_out_of_one_group_or_at_no_fraction(fraction, groups):
    rows = grouped([2] * groups)
    assert split(rows, fraction, seed=1) == (rows, [])


@pytest.mark.parametrize("fraction", [0.001, 0.999])
def test_neither_side_is_empty_where_there_are_two_groups(fraction):
    train, held_out = split(grouped([1, 1]), fraction, seed=1)
    assert len(train) == len(held_out) == 1


@pytest.fixture(scope="module")
def demo():
    data = DataConfig(empty_answers="text", empty_answer_text="-")
    return {name: load(SourceConfig(source=name), data).rows for name in ("demo", "demo:heldout")}


def test_the_demo_has_240_rows_to_train_and_60_to_hold_out(demo):
    assert [len(rows) for rows in demo.values()] == [240, 60]


def test_no_passage_of_the_demo_is_both_trained_and_held_out(demo):
    train, held_out = ({row.instruction for row in rows} for rows in demo.values())
    assert not train & held_out


def test_the_demo_asks_no_question_of_a_passage_twice(demo):
    asked = Counter((row.instruction, row.input) for rows in demo.values() for row in rows)
    assert asked.most_common(1)[0][1] == 1


def test_the_answers_of_the_demo_stand_in_their_passages(demo):
    answers = [
        (row.messages[-1].content, row.instruction) for rows in demo.values() for row in rows
    ]
    given = [(answer, passage) for answer, passage in answers if answer != "-"]
    assert len(given) > len(answers) * 0.8
    assert [answer for answer, passage in given if answer not in passage] == []
