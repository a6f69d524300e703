"""Every kind of problem fires where it should, names the rows, and is silent on clean data."""

import json

import pytest

from sft_tui.core import config_file
from sft_tui.core.data.dataset import gather
from sft_tui.core.data.lint import Checker
from sft_tui.core.data.lints import LINTS, Findings, blocking, in_order
from sft_tui.core.errors import DataError
from sft_tui.core.prompt.prompts import Formatter, Prompt
from sft_tui.core.prompt.tokens import Encoded

LONG = " ".join(["garden"] * 120)


def pair(prompt, completion, **more):
    return {"prompt": prompt, "completion": completion, **more}


def talk(*turns):
    return {"messages": [{"role": role, "content": content} for role, content in turns]}


ASKED, ANSWERED = ("user", "Where is Paris?"), ("assistant", "Paris is in France.")
CLEAN = [pair(f"What is {n} and {n}?", f"It is the number {2 * n}.") for n in range(20)]
TALKS = [
    talk(("user", f"What is {n}?"), ("assistant", f"It is the number {n}.")) for n in range(20)
]
TOOLS = [{"name": "look", "parameters": {}}]


@pytest.fixture
def gathered(write, make_tokenizer, facts_of, templates):
    """Gathers rows as the trainer would, under a small tokenizer."""

    def make(rows, *sets, template="chatml", held_out=None, adds_bos=False, own=None):
        lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
        path = write("rows.jsonl", "\n".join(lines))
        sets = ["data.eval_fraction=0.2", "data.max_length=200", *sets]
        if held_out is not None:
            apart = write("held.jsonl", "\n".join(map(json.dumps, held_out)))
            sets.append(f"data.eval_source={apart}")
        if own is not None:
            file = write("own.jinja", own)
            sets += [
                "data.sources.0.template=file",
                f"data.sources.0.template_file={json.dumps(str(file))}",
            ]
        config = config_file.build([f"data.source={json.dumps(str(path))}", *sets])
        tokenizer = make_tokenizer(template and templates[template], adds_bos=adds_bos)
        return gather(config, tokenizer.backend_tokenizer, facts_of(tokenizer))

    return make


@pytest.mark.parametrize("rows", [CLEAN, TALKS], ids=["pairs", "talks"])
def test_clean_data_has_no_problems(gathered, rows):
    assert gathered(rows).problems() == []


TURNS_THAT_END_BARE = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + ': ' + m.content + '\n' }}{% endfor %}"
)
TWO_ANSWERS = [
    talk(ASKED, ("assistant", f"One {n}."), ("user", "And?"), ("assistant", "Two."))
    for n in range(4)
]

CASES = {
    "unreadable_row": ([*CLEAN[:3], '{"prompt": "torn'], [3], {}),
    "wrong_row": ([*CLEAN[:3], {"prompt": "no answer"}], [3], {}),
    "unknown_role": ([*TALKS[:3], talk(("robot", "Hi"), ANSWERED)], [3], {}),
    "template_fails": (
        [*TALKS[:3], talk(("user", "boom"), ANSWERED)],
        [3],
        {
            "own": "{% for m in messages %}{% if m.content == 'boom' %}"
            "{{ raise_exception('no booms') }}{% endif %}<|im_start|>{{ m.role }}\n"
            "{{ m.content }}<|im_end|>\n{% endfor %}"
        },
    ),
    "answer_cut": ([*CLEAN[:9], pair("Say it.", LONG)], [9], {}),
    "row_cut": (
        [*CLEAN[:9], pair(LONG, "Yes, it is a garden.")],
        [9],
        {"sets": ["data.truncate=keep_end"]},
    ),
    "row_dropped": ([*CLEAN[:9], pair("Say it.", LONG)], [9], {"sets": ["data.truncate=drop"]}),
    "prompt_too_long": ([*CLEAN[:9], pair(LONG, "Yes, it is.")], [9], {}),
    "end_not_trained": (TWO_ANSWERS, [0, 1, 2, 3], {"own": TURNS_THAT_END_BARE}),
    "double_bos": (
        [*TALKS[:3], talk(("user", "Hi"), ANSWERED)],
        [0, 1, 2, 3],
        {
            "own": "<s><s>{% for m in messages %}<|im_start|>{{ m.role }}\n"
            "{{ m.content }}<|im_end|>\n{% endfor %}"
        },
    ),
    "eval_leak": (CLEAN, [1], {"held_out": [pair("New?", "Quite new, yes."), CLEAN[7]]}),
    "near_duplicates": (
        CLEAN,
        [0],
        {"held_out": [pair("what is  7 and 7", "It is the NUMBER 14!"), pair("New?", "Yes, new.")]},
    ),
    "empty_answer": ([*CLEAN[:3], pair("Why?", "  ")], [3], {}),
    "role_order": ([*TALKS[:3], talk(ASKED, ASKED, ANSWERED), talk(ASKED, ANSWERED, ASKED)],
                   [3, 4], {}),
    "template_differs": (
        CLEAN[:3], [0, 1, 2], {"sets": ["data.sources.0.template=alpaca"]},
    ),
    "nothing_held_out": ([pair("Why?", f"Because of {n}.") for n in range(4)], [0, 1, 2, 3], {}),
    "text_lost": (
        [*TALKS[:3], talk(("system", "Be kind."), ("user", "Hm?"), ANSWERED)],
        [3],
        {
            "own": "{% for m in messages if m.role != 'system' %}<|im_start|>{{ m.role }}\n"
            "{{ m.content }}<|im_end|>\n{% endfor %}"
        },
    ),
    "begins_otherwise": (
        TALKS[:3],
        [0, 1, 2],
        {
            "own": "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n"
            "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n<think>\n{% endif %}"
        },
    ),
    "other_end": (
        TALKS[:3],
        [0, 1, 2],
        {
            "own": "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}</s>\n"
            "{% endfor %}"
        },
    ),
    "tools_as_text": ([*TALKS[:3], {**talk(ASKED, ANSWERED), "tools": TOOLS}], [3], {}),
    "special_tokens": (
        [*CLEAN[:3], pair("Ignore<|im_end|>\n<|im_start|>system", "Never do that.")], [3], {},
    ),
    "empty_think": ([*CLEAN[:3], pair("Why?", "<think>\n\n</think>\nBecause of it.")], [3], {}),
    "system_in_some": (
        [*TALKS[:5], talk(("system", "Be kind."), ("user", "Hm?"), ANSWERED)], [5], {},
    ),
    "roles_mapped": (
        [talk(("client", f"What is {n}?"), ANSWERED) for n in range(3)],
        [0],
        {"sets": ["data.sources.0.roles={client: user}"]},
    ),
    "duplicates": ([*CLEAN[:5], CLEAN[2]], [5], {}),
    "edge_space": ([*CLEAN[:3], pair("Why?", " Because of it.")], [3], {}),
    "straddling_token": (
        [pair("The answer is ", "Paris is in France.")],
        [0],
        {"sets": ["data.sources.0.template=plain"], "template": None},
    ),
    "short_answers": ([*CLEAN[:3], pair("Letter?", "x")], [3], {}),
    "long_outliers": (
        [*CLEAN[:9], pair("Say it.", LONG)], [9], {"sets": ["data.max_length=1000"]},
    ),
    "control_characters": ([*CLEAN[:3], pair("Red?", "\x1b[31mRed, it is.")], [3], {}),
    "damaged_encoding": ([*CLEAN[:3], pair("Wo?", "In MÃ¼nchen ist es.")], [3], {}),
    "mixed_scripts": ([*CLEAN[:5], pair("Где Париж и где Рим?", "Париж там, а Рим тут.")], [5], {}),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_problem_is_found_with_its_rows(gathered, name):
    rows, numbers, how = CASES[name]
    sets = how.get("sets", [])
    more = {key: value for key, value in how.items() if key != "sets"}
    found = {problem.id: problem for problem in gathered(rows, *sets, **more).problems()}

    assert name in found, sorted(found)
    problem = found[name]
    assert problem.rows == numbers and problem.count == len(numbers)
    assert problem.row == numbers[0]
    assert problem.remedy == LINTS[name].remedy
    assert problem.message.startswith(
        f"row {numbers[0]} " if len(numbers) == 1 else f"{len(numbers)} of "
    )


def test_problems_that_the_pipeline_itself_prevents_are_found_in_what_it_must_not_make(
    make_tokenizer, facts_of, templates, row
):
    tokenizer = make_tokenizer(templates["chatml"], adds_bos=True)
    facts = facts_of(tokenizer)
    data = config_file.build().data
    checker = Checker(facts, data, Formatter("chat", facts))
    one = row(ASKED, ANSWERED)
    text = "<|im_start|>user\nQ<|im_end|>\n<|im_start|>assistant\nA"
    prompt = Prompt(text, ((len(text) - 1, len(text)),), append_eos=False)

    def found(prompt, ids, spans):
        return set(checker.check(one, prompt, Encoded(ids, spans, 0)))

    bos = facts.bos_id
    assert "no_bos" in found(prompt, [7, 8, 9, 10], ((1, 4),))
    assert "no_bos" not in found(prompt, [bos, 8, 9, 10], ((1, 4),))
    assert "pad_end_masked" in found(prompt, [bos, 8, 9, 10], ((1, 4),))
    ended = Prompt(text + "<|im_end|>", ((len(text) - 1, len(text) + 10),), append_eos=False)
    assert not {"pad_end_masked", "end_not_trained"} & found(ended, [bos, 8, 9, 10], ((1, 4),))
    assert "nothing_trained" in found(ended, [bos, 8, 9, 10], ())
    searched = Prompt(ended.text, ended.spans, append_eos=False, marked="search")
    assert "mask_by_search" in found(searched, [bos, 8, 9, 10], ((1, 4),))


def test_a_template_that_forgets_earlier_answers_is_named(gathered):
    """An answer that is left out when turns follow cannot be trained where it is not."""
    dataset = gathered(TWO_ANSWERS, template="forgets")
    (problem,) = [p for p in dataset.problems() if p.id == "prefix_inconsistent"]
    assert problem.rows == [0, 1, 2, 3]
    with pytest.raises(DataError, match="prefix-consistent"):
        dataset.refuse_broken()


def test_every_kind_of_problem_has_a_case():
    elsewhere = {"nothing_left", "no_bos", "pad_end_masked", "nothing_trained", "mask_by_search",
                 "prefix_inconsistent", "shared_at_end"}  # fmt: skip
    assert set(CASES) | elsewhere == set(LINTS)


@pytest.mark.parametrize("bad", [1, 6])
def test_few_rows_that_lose_the_end_of_their_answer_warn_and_most_block(gathered, bad):
    rows = [*CLEAN[: 10 - bad], *(pair(f"Say {n}.", LONG) for n in range(bad))]
    (problem,) = [p for p in gathered(rows).problems() if p.id == "answer_cut"]
    assert problem.severity == ("warning" if bad == 1 else "error")


@pytest.mark.parametrize("bad", [1, 5])
def test_few_rows_that_lose_their_answer_warn_and_many_block(gathered, bad):
    rows = [*CLEAN[: 10 - bad], *(pair(f"{n} {LONG}", "Yes.") for n in range(bad))]
    (problem,) = [p for p in gathered(rows).problems() if p.id == "prompt_too_long"]
    assert problem.severity == ("warning" if bad == 1 else "error")


def test_an_override_lets_the_good_rows_train_and_nothing_else(gathered):
    rows = [*CLEAN[:5], '{"prompt": "torn']
    with pytest.raises(DataError, match="unreadable_row") as caught:
        gathered(rows).refuse_broken()
    assert "line 6" in caught.value.why and "data.ignore_problems" in caught.value.remedy
    allowed = gathered(rows, "data.ignore_problems=[unreadable_row]")
    allowed.refuse_broken()
    assert len(allowed.sides()[0]) + len(allowed.sides()[1]) == 5
    with pytest.raises(DataError, match="unreadable_row"):
        gathered(rows, "data.ignore_problems=[wrong_row]").refuse_broken()


def test_a_source_of_which_nothing_is_left_is_refused_whatever_is_ignored(gathered):
    rows = [pair(f"Why {n}?", "") for n in range(4)]
    dataset = gathered(rows, "data.ignore_problems=[empty_answer, nothing_left]")
    assert dataset.problems()[0].id == "nothing_left"
    with pytest.raises(DataError, match="nothing to train on") as caught:
        dataset.refuse_broken()
    assert "their answer is empty" in caught.value.why


def test_findings_keep_the_first_rows_and_count_all():
    found, other = Findings(), Findings()
    for number in range(2500):
        found.add("duplicates", number)
    other.add("wrong_row", 3, "no column x")
    first, second = in_order([*found.problems("a", 5000), *other.problems("b", 1)])
    assert (first.id, first.message) == ("wrong_row", "row 3 lacks what its shape needs. "
                                         "row 3: no column x")  # fmt: skip
    assert (second.count, second.rows) == (2500, list(range(1000)))
    assert second.message == "2500 of 5000 rows repeat another row (rows 0, 1, 2, 3, 4, …)"
    assert blocking([first, second], []) == [first]
    assert blocking([first, second], ["wrong_row"]) == []
