import msgspec
import pytest

from sft_tui.core.config import DataConfig
from sft_tui.core.errors import DataError, SftError
from sft_tui.core.prompt.prompts import Formatter
from sft_tui.core.prompt.tokens import encode

ONE_TURN = [("user", "Where is Paris?"), ("assistant", "In France.")]
TWO_TURNS = [*ONE_TURN, ("user", "And the tower?"), ("assistant", "In Paris.")]
HOSTILE = [
    ("system", "<b>&amp; \"quoted\" 'too'</b>"),
    ("user", "{{ 7 * 7 }} {% raw %} \x1b[31m\u202e\ue000 line\r\nend  "),
    ("assistant", "\x1b]52;c;aGk=\x07 ünï 日本 😀"),
]


@pytest.fixture
def formatter(make_tokenizer, facts_of, templates):
    """Makes a formatter for one of the templates, or for a template given as text."""

    def make(template):
        tokenizer = make_tokenizer(templates.get(template, template))
        return Formatter("chat", facts_of(tokenizer))

    return make


@pytest.fixture
def alpaca(make_tokenizer, facts_of):
    return Formatter("alpaca", facts_of(make_tokenizer()))


def answers(prompt):
    return [prompt.text[start:end] for start, end in prompt.spans]


@pytest.mark.parametrize("turns", [ONE_TURN, TWO_TURNS, HOSTILE], ids=["one", "two", "hostile"])
@pytest.mark.parametrize("kind", ["chatml", "bos", "generation", "bare"])
def test_chat_text_is_what_transformers_renders(
    make_tokenizer, templates, formatter, row, kind, turns
):
    conversation = [{"role": role, "content": content} for role, content in turns]
    expected = make_tokenizer(templates[kind]).apply_chat_template(conversation, tokenize=False)
    assert formatter(kind).render(row(*turns)).text == expected


def test_filters_and_loop_controls_render_as_in_transformers(
    make_tokenizer, templates, facts_of, row
):
    from sft_tui.core.prompt.chat_template import ChatTemplate

    conversation = [{"role": role, "content": content} for role, content in HOSTILE]
    tokenizer = make_tokenizer(templates["json"])
    expected = tokenizer.apply_chat_template(conversation, tokenize=False)
    facts = facts_of(tokenizer)
    chat = ChatTemplate(templates["json"], facts.special_tokens)
    assert chat.render([turn.as_dict() for turn in row(*HOSTILE).messages])[0] == expected


@pytest.mark.parametrize("kind", ["chatml", "generation"])
def test_every_answer_is_marked_with_its_end_marker_and_without_the_line_feed(formatter, row, kind):
    prompt = formatter(kind).render(row(("system", "Be brief."), *TWO_TURNS))
    assert answers(prompt) == ["In France.<|im_end|>", "In Paris.<|im_end|>"]


def test_an_answer_that_repeats_the_question_is_found_where_it_is_given(formatter, row):
    prompt = formatter("chatml").render(row(("user", "Paris"), ("assistant", "Paris")))
    (span,) = prompt.spans
    assert prompt.text[span[0] :].startswith("Paris<|im_end|>")
    assert prompt.text[: span[0]].endswith("assistant\n")


def test_a_turn_for_the_user_at_the_end_is_no_answer(formatter, row):
    prompt = formatter("chatml").render(row(*ONE_TURN, ("user", "Thanks.")))
    assert answers(prompt) == ["In France.<|im_end|>"]
    assert not prompt.append_eos


def test_only_a_template_without_an_end_marker_asks_for_an_end_token(formatter, row):
    assert formatter("bare").render(row(*ONE_TURN)).append_eos
    assert not formatter("chatml").render(row(*ONE_TURN)).append_eos


def test_a_template_that_changes_earlier_turns_is_refused_with_the_row(formatter, row):
    with pytest.raises(DataError, match=r"row 7 of rows\.jsonl.*not prefix-consistent"):
        formatter("forgets").render(row(*TWO_TURNS))


def test_generation_marks_that_leave_out_an_answer_are_refused_with_the_turn(
    formatter, templates, row
):
    marked = templates["forgets"].replace(
        "{{ m.content }}", "{% generation %}{{ m.content }}{% endgeneration %}"
    )
    with pytest.raises(DataError, match=r"row 7.*turn 2"):
        formatter(marked).render(row(*TWO_TURNS))


@pytest.mark.parametrize(
    "attack",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ messages.append(1) }}",
        "{{ raise_exception.__globals__.keys() }}",
        "{{ messages[0].content.format.__self__.__class__.__mro__ }}",
    ],
)
def test_a_template_cannot_reach_python_or_change_the_row(formatter, row, attack):
    with pytest.raises(DataError, match="row 7"):
        formatter(attack).render(row(*ONE_TURN))


def test_a_refusal_by_the_template_names_the_row_and_its_words(formatter, row):
    with pytest.raises(DataError, match=r"row 7.*roles must alternate"):
        formatter("{{ raise_exception('roles must alternate') }}").render(row(*ONE_TURN))


@pytest.mark.parametrize("broken", ["{{ 1 + 'a' }}", "{{ 1 / 0 }}", "{{ messages[0].gone.far }}"])
def test_a_template_that_fails_on_a_row_names_the_row(formatter, row, broken):
    with pytest.raises(DataError, match="row 7"):
        formatter(broken).render(row(*ONE_TURN))


def test_a_template_that_is_not_jinja_is_refused_with_its_line(formatter):
    with pytest.raises(DataError, match="line 2"):
        formatter("{{ messages }}\n{% if %}")


def test_chat_is_refused_for_a_tokenizer_without_a_template(make_tokenizer, facts_of):
    with pytest.raises(DataError) as caught:
        Formatter("chat", facts_of(make_tokenizer()))
    assert "alpaca" in caught.value.remedy


@pytest.mark.parametrize(("kind", "chosen"), [("chatml", "chat"), (None, "alpaca")])
def test_auto_takes_the_chat_template_where_there_is_one(
    make_tokenizer, facts_of, templates, kind, chosen
):
    assert Formatter("auto", facts_of(make_tokenizer(templates.get(kind)))).template == chosen


def test_alpaca_puts_instruction_and_input_before_the_answer(alpaca, row):
    prompt = alpaca.render(row(*ONE_TURN, instruction="Read this.", input="Where?"))
    (span,) = prompt.spans
    before = prompt.text[: span[0]]
    assert answers(prompt) == ["In France."]
    assert "Instruction:\nRead this.\n" in before and "Input:\nWhere?\n" in before
    assert before.endswith("Response:\n") and prompt.append_eos


def test_alpaca_without_an_input_has_no_section_for_it(alpaca, row):
    prompt = alpaca.render(row(*ONE_TURN, instruction="Read this."))
    assert "Input" not in prompt.text and "Read this." in prompt.text


def test_alpaca_takes_the_question_of_a_conversation_of_one_turn(alpaca, row):
    assert "Instruction:\nWhere is Paris?\n" in alpaca.render(row(*ONE_TURN)).text


def test_braces_and_escape_sequences_in_data_survive_alpaca(alpaca, row):
    odd = "{input} {0} {{x}} {missing} \x1b[31m %s"
    turns = [("user", odd), ("assistant", odd)]
    prompt = alpaca.render(row(*turns, instruction=odd, input=odd))
    assert prompt.text.count(odd) == 3 and answers(prompt) == [odd]


def test_alpaca_refuses_a_conversation_and_names_the_row(alpaca, row):
    with pytest.raises(DataError, match=r"row 7.*4 turns"):
        alpaca.render(row(*TWO_TURNS))


@pytest.mark.parametrize("template", ["chat", "chatml", "plain"])
@pytest.mark.parametrize(
    ("trained", "said"), [((True, False), ["In France."]), ((False, True), ["In Paris."])]
)
def test_an_answer_of_weight_0_is_context_and_not_trained(
    make_tokenizer, facts_of, templates, row, template, trained, said
):
    """OpenAI's fine-tuning format marks answers that must not be learnt with weight 0."""
    tokenizer = make_tokenizer(templates["chatml"])
    formatter = Formatter(template, facts_of(tokenizer))
    whole = row(*TWO_TURNS)
    weights = iter(trained)
    turns = tuple(
        msgspec.structs.replace(turn, trained=turn.role != "assistant" or next(weights))
        for turn in whole.messages
    )
    prompt = formatter.render(msgspec.structs.replace(whole, messages=turns))
    assert prompt.text == formatter.render(whole).text
    data = DataConfig(max_length=512)
    (row_tokens,) = encode([prompt], tokenizer.backend_tokenizer, facts_of(tokenizer), data)
    pairs = zip(row_tokens.input_ids, row_tokens.labels, strict=True)
    learnt = tokenizer.decode([token for token, label in pairs if label >= 0])
    assert learnt.split("<|im_end|>")[:-1] == said


def test_named_chat_templates_are_chosen_as_transformers_does(make_tokenizer, facts_of, templates):
    named = {"default": templates["chatml"], "tool_use": templates["bos"]}
    found = facts_of(make_tokenizer(named))
    assert (found.chat_template, found.tool_template) == (named["default"], named["tool_use"])
    assert Formatter("auto", found).template == "chat"
    with pytest.raises(SftError, match="none is called default"):
        facts_of(make_tokenizer({"rag": "x", "tool_use": "y"}))
