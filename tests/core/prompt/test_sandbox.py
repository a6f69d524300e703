"""What a chat template may not do: reach out, run on, or fail without naming its line."""

import time

import pytest

from sft_tui.core.data.rows import Message, Row
from sft_tui.core.errors import DataError
from sft_tui.core.prompt.prompts import Formatter, TokenizerFacts

ONE = (("user", "Where is Paris?"), ("assistant", "In France."))
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role ~ '\n' ~ m.content | trim }}<|im_end|>{{ '\n' }}"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant{{ '\n' }}{% endif %}"
)


def facts(template=None):
    return TokenizerFacts(
        bos_token="<s>",
        bos_id=0,
        eos_token="</s>",
        eos_id=1,
        pad_id=1,
        adds_bos=False,
        chat_template=template,
        markers=("<s>", "</s>", "<|im_start|>", "<|im_end|>"),
        special_tokens={},
    )


def chat(template):
    return Formatter("chat", facts(template))


def row_of(turns):
    turns = tuple(Message(*turn) for turn in turns)
    return Row(7, "rows.jsonl", turns, None, "", "group")


@pytest.mark.parametrize(
    "attack",
    [
        "{% include '/etc/passwd' %}",
        "{% import '/etc/passwd' as x %}",
        "{% extends '/etc/passwd' %}",
        "{{ cycler.__init__.__globals__ }}{{ cycler.__init__.__globals__.os.getcwd() }}",
        "{{ messages[0].__class__.__mro__ }}{{ ().__class__.__bases__[0].__subclasses__() }}",
        "{{ messages.clear() }}",
        "{{ messages[0].update(role='x') }}",
        "{{ tojson.__globals__ }}",
        "{{ self._TemplateReference__context.environment.globals.keys() }}",
        "{{ raise_exception | attr('__globals__') }}{{ 1 / 0 }}",
    ],
)
def test_a_template_reaches_neither_files_nor_python(attack):
    with pytest.raises(DataError, match="row 7"):
        chat(attack).render(row_of(ONE))


@pytest.mark.parametrize(
    "greedy",
    [
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{% for a in range(10 ** 9) %}x{% endfor %}",
        "{{ 'a' * 10 ** 10 }}",
        "{{ [0] * 10 ** 10 }}",
        "{{ 9 ** 9 ** 9 }}",
        "{{ 'a'.ljust(10 ** 12) }}",
        "{{ 'a' | center(99999999999) }}",
        "{{ '%99999999999d' % 1 }}",
        "{{ '%99999999999d' | format(1) }}",
        "{{ '{:>99999999999}'.format(1) }}",
        "{% set n = namespace(t='ab') %}{% for i in range(60) %}"
        "{% set n.t = n.t + n.t %}{% endfor %}",
        "{% set n = namespace(t='ab') %}{% for i in range(60) %}"
        "{% set n.t = n.t ~ n.t %}{% endfor %}",
        "{% for i in range(99999) %}{{ 'a' * 9999 }}{% endfor %}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    ],
)
def test_a_template_that_would_never_end_or_fill_memory_is_stopped(greedy):
    begun = time.monotonic()
    with pytest.raises(DataError, match="row 7"):
        chat(greedy).render(row_of(ONE))
    assert time.monotonic() - begun < 5


def test_a_long_conversation_stays_within_the_budget():
    assert len(chat(CHATML).render(row_of(ONE * 50)).spans) == 50


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("\n\n{{ messages | tojsn }}", r"line 3: No filter named 'tojsn'.*Did you mean 'tojson'"),
        (
            "\n{% if x %}{{ 1 if x is defned }}{% endif %}",
            r"line 2: No test named 'defned'.*'defined'",
        ),
        ("\n{% for %}", "line 2"),
        ("{% block %}", "line 1"),
    ],
)
def test_a_template_file_with_a_mistake_is_refused_with_line_and_guess(text, why):
    with pytest.raises(DataError, match=why) as caught:
        Formatter("file", facts(), template_text=text)
    assert "file" in caught.value.remedy


def test_a_fault_on_a_row_names_the_line_of_the_template():
    with pytest.raises(DataError, match=r"row 7.*line 3: .*no attribute 'gone'"):
        chat("\n\n{{ messages[0].gone.far }}").render(row_of(ONE))


@pytest.mark.timing
@pytest.mark.parametrize(
    "template",
    [
        "{% set ns = namespace(x=3) %}{% for i in range(60) %}{% set ns.x = ns.x * ns.x %}"
        "{% endfor %}",
        "{% set ns = namespace(x=3) %}{% for i in range(60) %}{% set ns.x = ns.x ** 3 %}"
        "{% endfor %}",
        '{{ "{:>1000000000}".format(1) }}',
        '{{ "{:>{n}}".format(1, n=1000000000) }}',
    ],
)
def test_a_number_that_grows_without_end_is_stopped_before_it_costs_anything(template):
    import tracemalloc

    began = time.monotonic()
    tracemalloc.start()
    with pytest.raises(DataError, match=r"too large a number|a width over|a number over"):
        chat(template).render(row_of(ONE))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert time.monotonic() - began < 2 and peak < 20 << 20
