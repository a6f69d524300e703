"""Where answers stand in what a chat template makes, and what a template may not do."""

import json
import string

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sft_tui.core.data.rows import Message, Row
from sft_tui.core.errors import DataError
from sft_tui.core.prompt.prompts import Formatter, TokenizerFacts

END = "<|im_end|>"
MARKERS = ("<s>", "</s>", "<|im_start|>", END, "<|stop|>")
EACH = "{% for m in messages %}"
HEAD = "<|im_start|>{{ m.role }}{{ '\n' }}"
ASK = "{% if add_generation_prompt %}<|im_start|>assistant{{ '\n' }}{% endif %}"
THINK = ASK.replace("{{ '\n' }}{% endif %}", "{{ '\n<think>\n' }}{% endif %}")
CHATML = EACH + HEAD + "{{ m.content }}<|im_end|>{{ '\n' }}{% endfor %}" + ASK
TRIMMED = CHATML.replace("m.content", "m.content | trim")
NO_PROMPT = CHATML.removesuffix(ASK)
FORGETS_THOUGHTS = CHATML.replace(
    "{{ m.content }}",
    "{% if loop.last %}{{ m.content }}"
    "{% else %}{{ m.content.split('</think>')[-1].lstrip('\n') }}{% endif %}",
)
ASKS_TO_THINK = FORGETS_THOUGHTS.removesuffix(ASK) + THINK
THINKS_WHEN_LAST = CHATML.replace(
    "{{ m.content }}",
    "{% if loop.last and m.role == 'assistant' %}{{ '<think>\n</think>\n' }}{% endif %}"
    "{{ m.content }}",
)
STOPS_WHEN_LAST = CHATML.replace(
    "<|im_end|>",
    "{% if loop.last and m.role == 'assistant' %}<|stop|>{% else %}<|im_end|>{% endif %}",
)
ASKS_ALWAYS = NO_PROMPT + "<|im_start|>assistant{{ '\n' }}"
MOVES_SYSTEM = (
    EACH
    + "{% if m.role == 'user' %}[INST] {% if loop.last and messages[0].role == 'system' %}"
    + "{{ messages[0].content }}{{ '\n\n' }}{% endif %}{{ m.content }} [/INST]"
    + "{% elif m.role == 'assistant' %} {{ m.content }}</s>{% endif %}{% endfor %}"
)
ONE = (("user", "Where is Paris?"), ("assistant", "In France."))
TWO = (*ONE, ("user", "And the tower?"), ("assistant", "In Paris."))
THOUGHT = (
    ONE[0],
    ("assistant", "<think>\nhm\n</think>\n\nIn France."),
    TWO[2],
    ("assistant", "<think>\nso\n</think>\n\nIn Paris."),
)
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
CALL = {"type": "function", "function": {"name": "look", "arguments": {"at": "Bern"}}}
WITH_CALL = (
    Message("user", "Where?"),
    Message("assistant", "", {"tool_calls": [CALL]}),
    Message("tool", "There."),
    Message("assistant", "There."),
)
CALL_TEXT = '<tool_call>\n{"name": "look", "arguments": {"at": "Bern"}}\n</tool_call>'


def facts(template=None, *, eos="</s>", markers=MARKERS):
    return TokenizerFacts(
        bos_token="<s>",
        bos_id=0,
        eos_token=eos,
        eos_id=1,
        pad_id=1,
        adds_bos=False,
        chat_template=template,
        markers=markers,
        special_tokens={"bos_token": "<s>", "eos_token": eos},
    )


def chat(template):
    return Formatter("chat", facts(template))


def row_of(turns, tools=(), **options):
    turns = tuple(turn if isinstance(turn, Message) else Message(*turn) for turn in turns)
    return Row(7, "rows.jsonl", turns, None, "", "group", tuple(tools), **options)


def said(prompt):
    return [prompt.text[start:end] for start, end in prompt.spans]


@pytest.mark.parametrize(
    ("template", "turns", "expected"),
    [
        (CHATML, TWO, ["In France." + END, "In Paris." + END]),
        (TRIMMED, [ONE[0], ("assistant", " \n In France. \n")], ["In France." + END]),
        (CHATML, [ONE[0], ("assistant", " \n In France. \n")], [" \n In France. \n" + END]),
        (NO_PROMPT, TWO, ["In France." + END, "In Paris." + END]),
        (ASKS_ALWAYS, TWO, ["In France." + END, "In Paris." + END]),
        (STOPS_WHEN_LAST, TWO, ["In France." + END, "In Paris.<|stop|>"]),
        (FORGETS_THOUGHTS, THOUGHT, ["In France." + END, THOUGHT[3][1] + END]),
        (ASKS_TO_THINK, THOUGHT, ["In France." + END, "so\n</think>\n\nIn Paris." + END]),
        (ASKS_TO_THINK, TWO, ["In France." + END, "In Paris." + END]),
        (THINKS_WHEN_LAST, TWO, ["In France." + END, "<think>\n</think>\nIn Paris." + END]),
        (MOVES_SYSTEM, TWO, [" In France.</s>", " In Paris.</s>"]),
        (MOVES_SYSTEM, (("system", "Rules."), *TWO), [" In France.</s>", " In Paris.</s>"]),
        (CHATML, [ONE[0], ("assistant", "")], [END]),
        (NO_PROMPT, [ONE[0], ("assistant", "")], [END]),
        (NO_PROMPT, [ONE[0], ("assistant", "  In France.")], ["  In France." + END]),
        (NO_PROMPT.replace("m.content", "m.content | upper"), ONE, ["IN FRANCE." + END]),
        (CHATML, [("assistant", "Hello."), *ONE], ["Hello." + END, "In France." + END]),
    ],
)
def test_an_answer_reaches_from_its_header_to_its_end_marker(template, turns, expected):
    prompt = chat(template).render(row_of(turns))
    assert said(prompt) == expected
    assert prompt.marked == "prefix" and not prompt.append_eos


@pytest.mark.parametrize(
    "template",
    [
        "{{ messages | map(attribute='content') | sort | join(' ') }}",
        NO_PROMPT.replace("m.content", "m.content | reverse"),
        CHATML.replace("messages", "messages | reverse"),
        EACH + "{% if m.role == 'user' or loop.last %}{{ m.content }}</s>{% endif %}{% endfor %}",
    ],
    ids=["sorted", "mirrored", "reversed", "forgetful"],
)
def test_a_template_in_which_answers_cannot_be_found_is_named_with_the_row(template):
    with pytest.raises(DataError, match=r"row 7 of rows\.jsonl.*not prefix-consistent"):
        chat(template).render(row_of(TWO))


def test_a_marker_that_opens_the_next_turn_is_no_end_of_the_answer_before():
    headed = EACH + "<|im_start|>{{ m.content }}{% endfor %}"
    prompt = chat(headed).render(row_of(TWO))
    assert said(prompt) == ["In France.", "In Paris."] and prompt.append_eos


GENERATION = EACH + HEAD + "{% generation %}{{ m.content }}{% endgeneration %}"


@pytest.mark.parametrize(
    ("tail", "expected"),
    [
        ("<|im_end|>{{ '\n' }}", END),
        ("{{ '\n' }}<|im_end|>", ""),
        ("{% if not loop.last %}<|im_end|>{% endif %}", ""),
    ],
    ids=["behind", "not right behind", "between turns only"],
)
def test_marks_are_widened_over_the_end_marker_right_behind_them(tail, expected):
    only = GENERATION.replace("{% generation %}{{ m.content }}{% endgeneration %}", "{% if m.role "
        "== 'assistant' %}{% generation %}{{ m.content }}{% endgeneration %}{% else %}"
        "{{ m.content }}{% endif %}")  # fmt: skip
    prompt = chat(only + tail + "{% endfor %}").render(row_of(TWO))
    assert said(prompt) == ["In France." + expected, "In Paris." + expected]
    assert prompt.marked == "generation"


def test_two_marks_of_one_answer_are_one_span():
    two = (
        EACH
        + HEAD
        + "{% if m.role == 'assistant' %}{% generation %}{{ m.content }}{% endgeneration %}"
        + "{% generation %}<|im_end|>{% endgeneration %}{% else %}{{ m.content }}{% endif %}"
        + "{{ '\n' }}{% endfor %}"
    )
    assert said(chat(two).render(row_of(TWO))) == ["In France." + END, "In Paris." + END]


WORDS = st.text(
    st.one_of(
        st.characters(exclude_categories=["Cs"]),
        st.sampled_from("{}%#<>|\n\r\t _[]'\"\x00\x1b\u202e\ue000"),
    ),
    max_size=40,
)
CONTENTS = st.one_of(
    WORDS,
    st.sampled_from(
        ["{{ 7*7 }}", "{% raise %}", "__class__", "{# no #}", "{{ messages }}", "a</think>b", END]
    ),
)
QUICK = settings(max_examples=60, deadline=None, database=None, derandomize=True)
FORMATTERS = {
    name: chat(template)
    for name, template in [("chatml", CHATML), ("trimmed", TRIMMED), ("none", NO_PROMPT)]
}


@pytest.mark.parametrize("name", FORMATTERS)
@QUICK
@given(contents=st.lists(CONTENTS, min_size=2, max_size=6))
def test_whatever_rows_say_stands_in_the_text_and_answers_are_marked_exactly(name, contents):
    turns = [(("user", "assistant")[i % 2], content) for i, content in enumerate(contents)]
    text, spans = "", []
    for role, content in turns:
        content = content.strip() if name == "trimmed" else content
        text += f"<|im_start|>{role}\n"
        if role == "assistant":
            spans.append((len(text), len(text) + len(content) + len(END)))
        text += f"{content}{END}\n"
    prompt = FORMATTERS[name].render(row_of(turns))
    assert prompt.text == text
    assert prompt.spans == tuple(spans)


@pytest.mark.parametrize("template", ["chatml", "plain", "alpaca"])
@QUICK
@given(question=CONTENTS, answer=CONTENTS)
def test_own_formats_keep_every_character_and_mark_the_answer(template, question, answer):
    prompt = Formatter(template, facts()).render(
        row_of([("user", question), ("assistant", answer)])
    )
    (span,) = prompt.spans
    assert prompt.text[slice(*span)] == answer + (END if template == "chatml" else "")
    assert question in prompt.text[: span[0]]


@QUICK
@given(contents=st.lists(CONTENTS.filter(str.strip), min_size=4, max_size=4), seen=st.booleans())
def test_what_was_learnt_from_earlier_rows_changes_nothing(contents, seen):
    turns = [(role, content) for (role, _), content in zip(TWO, contents, strict=True)]
    for template in (CHATML, TRIMMED, THINKS_WHEN_LAST, MOVES_SYSTEM):
        formatter = chat(template)
        if seen:
            formatter.render(row_of(TWO))
        assert formatter.render(row_of(turns)) == chat(template).render(row_of(turns))


def test_a_template_file_renders_as_a_chat_template():
    own = Formatter("file", facts(), template_text=TRIMMED)
    assert own.render(row_of(TWO)) == chat(TRIMMED).render(row_of(TWO))
    assert own.template == "file"


@pytest.mark.parametrize("template", ["alpaca", "plain", "chatml"])
def test_formats_without_tools_say_so(template):
    assert Formatter(template, facts()).tools_as_text


KNOWS_CALLS = "{% for c in m.tool_calls or [] %}{{ c.function | tojson }}{% endfor %}"
KNOWS_TOOLS = "{{ tools | tojson if tools }}"


@pytest.mark.parametrize(
    ("template", "as_text"),
    [
        (KNOWS_TOOLS + CHATML.replace("{{ m.content }}", "{{ m.content }}" + KNOWS_CALLS), False),
        (KNOWS_TOOLS + CHATML, True),
        (CHATML.replace("{{ m.content }}", "{{ m.content }}" + KNOWS_CALLS), True),
        (CHATML, True),
    ],
    ids=["knows both", "knows tools", "knows calls", "knows none"],
)
def test_the_half_of_tools_that_a_template_lacks_is_written_as_json(template, as_text):
    formatter = chat(template)
    prompt = formatter.render(row_of(WITH_CALL, [TOOL]))
    first, second = said(prompt)
    assert formatter.tools_as_text == as_text and second == "There." + END
    knows_calls = KNOWS_CALLS in template
    assert first == (json.dumps(CALL["function"]) if knows_calls else CALL_TEXT) + END
    before = prompt.text[: prompt.spans[0][0]]
    assert before.count('"name": "look"') == 1
    assert ("<|im_start|>system" in before) != (KNOWS_TOOLS in template)


def test_definitions_join_the_system_message_that_a_row_has():
    prompt = Formatter("chatml", facts()).render(
        row_of([Message("system", "Be brief."), *WITH_CALL], [TOOL])
    )
    assert prompt.text.startswith("<|im_start|>system\nBe brief.\n\n")
    assert prompt.text.count("<|im_start|>system") == 1 and json.dumps(TOOL) in prompt.text


def test_what_is_said_beside_a_call_comes_before_it():
    turns = [Message("user", "Where?"), Message("assistant", "Let me see.", {"tool_calls": [CALL]})]
    prompt = Formatter("chatml", facts()).render(row_of(turns))
    assert said(prompt) == [f"Let me see.\n{CALL_TEXT}{END}"]


@pytest.mark.parametrize("tools", [[], [TOOL]], ids=["undefined", "defined"])
def test_a_template_that_claims_calls_and_drops_them_is_refused_with_the_turn(tools):
    liar = KNOWS_TOOLS + CHATML + "{% if messages[0].tool_calls %}{% endif %}"
    with pytest.raises(DataError, match=r"row 7.*drops the tool call 'look' of turn 2"):
        chat(liar).render(row_of(WITH_CALL, tools))


def test_thoughts_given_apart_are_part_of_the_answer():
    apart = CHATML.replace(
        "{{ m.content }}",
        "{% if m.reasoning_content %}<think>{{ m.reasoning_content }}</think>{% endif %}"
        "{{ m.content }}",
    )
    turns = [Message("user", "Where?"), Message("assistant", "There.", {"thinking": "Hm."})]
    assert said(chat(apart).render(row_of(turns))) == [f"<think>Hm.</think>There.{END}"]


def test_a_plain_row_is_its_texts_with_an_end_token_after_each_answer():
    prompt = Formatter("plain", facts()).render(row_of(TWO))
    assert prompt.text == "Where is Paris?In France.</s>And the tower?In Paris."
    assert said(prompt) == ["In France.</s>", "In Paris."] and prompt.append_eos


def test_own_chatml_asks_for_an_end_token_where_its_end_is_no_token():
    assert not Formatter("chatml", facts()).render(row_of(ONE)).append_eos
    assert Formatter("chatml", facts(markers=("</s>",))).render(row_of(ONE)).append_eos


@pytest.mark.parametrize("template", ["auto", "chat", "alpaca", "chatml", "plain"])
def test_a_row_of_text_is_one_answer_that_no_template_wraps(template):
    text = "{{ 7*7 }} Once upon a time.\n"
    row = row_of([("assistant", text)], text=True)
    prompt = Formatter(template, facts(CHATML)).render(row)
    assert (prompt.text, prompt.spans) == (text, ((0, len(text)),))
    assert prompt.append_eos and prompt.marked == "whole"


@pytest.mark.parametrize(
    ("turns", "tools"),
    [(ONE, []), (TWO, []), ((("system", "Be brief."), *ONE), []), (ONE, [TOOL])],
    ids=["question", "conversation", "system", "tools"],
)
def test_auto_without_a_chat_template_takes_one_format_for_all_conversations(turns, tools):
    formatter = Formatter("auto", facts(), conversations=True)
    assert formatter.template == "chatml"
    assert formatter.render(row_of(turns, tools)).text.startswith("<|im_start|>")


def test_auto_without_a_chat_template_takes_alpaca_for_questions():
    formatter = Formatter("auto", facts())
    assert formatter.template == "alpaca"
    assert "### Response" in formatter.render(row_of(ONE)).text


def test_rows_with_tools_take_the_template_for_them():
    """As transformers chooses among named templates."""
    own = msgspec.structs.replace(facts(CHATML), tool_template="{{ tools | tojson }}" + CHATML)
    formatter = Formatter("auto", own)
    assert formatter.template == "chat"
    assert formatter.render(row_of(ONE)).text.startswith("<|im_start|>")
    assert formatter.render(row_of(ONE, [TOOL])).text.startswith('[{"type": "function"')


def test_marks_inside_each_other_are_refused():
    own = CHATML.replace(
        "{{ m.content }}",
        "{% generation %}a{% generation %}{{ m.content }}{% endgeneration %}{% endgeneration %}",
    )
    with pytest.raises(DataError, match="stand inside each other"):
        chat(own).render(row_of(ONE))


@pytest.mark.parametrize(
    ("template", "turns", "lost"),
    [
        (CHATML, TWO, False),
        (CHATML, (("user", "  a\t\n"), ("assistant", " b ")), False),
        (TRIMMED, (("user", "  a\t\n"), ("assistant", " b ")), False),
        (CHATML.replace("{% for m in messages %}",
                        "{% for m in messages if m.role != 'system' %}"),
         (("system", "Be brief."), *ONE), True),
        (CHATML.replace("m.content", "m.content | tojson"), (("user", 'a "b"\n'), ONE[1]), False),
        (CHATML.replace("m.content", "(m.content[:8] if m.role == 'user' else m.content)"),
         ONE, True),
    ],
    ids=["plain", "blanks", "trimmed", "no system", "escaped", "shortened"],
)  # fmt: skip
def test_text_that_a_template_leaves_out_is_noticed(template, turns, lost):
    assert chat(template).render(row_of(turns)).lost is lost


@pytest.mark.parametrize(
    ("template", "otherwise"),
    [(CHATML, False), (NO_PROMPT, False), (ASKS_TO_THINK, True), (TRIMMED, False)],
)
def test_a_generation_prompt_that_no_row_has_is_noticed(template, otherwise):
    assert chat(template).begins_otherwise is otherwise


def test_alpaca_refuses_definitions_of_tools():
    with pytest.raises(DataError, match=r"row 7.*no place for its tools"):
        Formatter("alpaca", facts()).render(row_of(ONE, [TOOL]))


def test_a_row_costs_no_more_than_its_one_render_once_its_shape_is_known():
    """Counts renders, not microseconds: other work on the machine cannot fail it."""
    formatter = chat(CHATML)
    formatter.render(row_of(TWO))
    count = 0
    real = formatter._chat._chat.render

    def counted(*args, **kwargs):
        nonlocal count
        count += 1
        return real(*args, **kwargs)

    formatter._chat._chat.render = counted
    for letter in string.ascii_letters:
        formatter.render(row_of([(role, content + letter) for role, content in TWO]))
    assert count == len(string.ascii_letters)


@pytest.mark.parametrize(
    ("template", "first", "second"),
    [
        (NO_PROMPT + THINK, "Paris.", "<think>\nhm\n</think>Paris."),
        (EACH + "{{ m.role }}: {{ m.content }}{{ '\n' }}{% endfor %}", "Yes." + END, "Paris."),
    ],
    ids=["begins as the prompt ends", "ends with a marker"],
)
def test_an_odd_answer_is_marked_alike_before_and_after_others(template, first, second):
    warm = chat(template)
    warm.render(row_of([ONE[0], ("assistant", first)]))
    row = row_of([ONE[0], ("assistant", second)])
    assert warm.render(row) == chat(template).render(row)


def test_a_default_system_prompt_before_a_first_answer_is_not_the_answers(
    make_tokenizer, facts_of, row
):
    """A conversation that the assistant begins, under a template that puts words before it."""
    template = (
        "{% if messages and messages[0].role != 'system' %}"
        "<|im_start|>system\nBe kind.<|im_end|>\n{% endif %}{% for m in messages %}"
        "<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    facts = facts_of(make_tokenizer(template))
    turns = (("assistant", "I begin."), ("user", "Well?"), ("assistant", "I end."))
    prompt = Formatter("chat", facts).render(row(*turns))
    said = [prompt.text[start:end] for start, end in prompt.spans]
    assert said == ["I begin.<|im_end|>", "I end.<|im_end|>"]
