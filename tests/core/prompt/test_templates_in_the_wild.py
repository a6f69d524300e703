"""Chat templates of public models, as two packages carry them, against transformers.

The oracle for the answers knows nothing of our code: each content occurs once, and what stands
before and behind it in the answer is written down here for each model.
"""

import importlib.util
import json
import re
from dataclasses import dataclass
from pathlib import Path

import jinja2
import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from sft_tui.core import demo
from sft_tui.core.config import DataConfig
from sft_tui.core.data.rows import Message, Row
from sft_tui.core.errors import DataError
from sft_tui.core.prompt.prompts import Formatter
from sft_tui.core.prompt.tokens import encode
from sft_tui.core.training.tokenizer import tokenizer_facts

TURNS = (
    ("user", "First question?"),
    ("assistant", "First answer."),
    ("user", "Second question?"),
    ("assistant", "Second answer."),
)
SYSTEM = ("system", "Short rules.")
IM_END, EOT, DEEPSEEK = "<|im_end|>", "<|eot_id|>", "<｜end▁of▁sentence｜>"
NO_THOUGHT = "<think>\n\n</think>\n\n"
SPECIAL = re.compile(r"<[|｜][^<>'\"\s{}]{1,40}[|｜]>|</?s>|<(?:start|end)_of_turn>|<\|?turn\|?>")


def _folder(package):
    found = importlib.util.find_spec(package)
    assert found, f"{package} is not installed; see the Makefile for the packages of the tests"
    return Path(found.origin).parent


def _collect():
    found = {}
    families = _folder("xinference") / "model" / "llm" / "llm_family.json"
    for family in json.loads(families.read_text()):
        text = family.get("chat_template")
        if text and text not in found.values():
            found[family["model_name"]] = text
    for file in sorted((_folder("trl") / "chat_templates").glob("*.jinja")):
        found[f"{file.stem}.jinja"] = file.read_text()
    return found


TEMPLATES = _collect()


@dataclass(frozen=True)
class Known:
    """What the answers of a model look like: around each content, and around the last one's."""

    end: str
    lead: str = ""
    last_end: str | None = None
    last_lead: str | None = None
    marked: str = "prefix"

    def expected(self, text, contents):
        """Returns the spans, each content found by itself."""
        spans = []
        for content in contents:
            last = content is contents[-1]
            lead = self.last_lead if last and self.last_lead is not None else self.lead
            end = self.last_end if last and self.last_end is not None else self.end
            assert text.count(content) == 1
            start = text.index(content)
            spans.append((start - len(lead), start + len(content) + len(end)))
            assert text[slice(*spans[-1])] == lead + content + end
        return tuple(spans)


KNOWN = {
    "llama-2-chat": Known(" </s>", " "),
    "llama-3-instruct": Known(EOT),
    "llama-3.1-instruct": Known(EOT),
    "llama3_2.jinja": Known(EOT),
    "llama3_training.jinja": Known(EOT, marked="generation"),
    "qwen-chat": Known(IM_END),
    "qwen1.5-chat": Known(IM_END),
    "qwen2.5-instruct": Known(IM_END),
    "qwen2.5-coder-instruct": Known(IM_END),
    "qwen2_5_training.jinja": Known(IM_END, "\n", marked="generation"),
    "qwen3.jinja": Known(IM_END, last_lead=NO_THOUGHT),
    "qwen3_instruct_2507.jinja": Known(IM_END),
    "qwen3_training.jinja": Known(IM_END, NO_THOUGHT, marked="generation"),
    "qwen3_6.jinja": Known(IM_END, last_lead="\n</think>\n\n"),
    "gemma-it": Known("<end_of_turn>"),
    "gemma3.jinja": Known("<end_of_turn>"),
    "gemma4.jinja": Known("<turn|>"),
    "gemma_training.jinja": Known("<end_of_turn>", marked="generation"),
    "mistral-instruct-v0.1": Known("</s>", " "),
    "mistral-instruct-v0.3": Known("</s>", " "),
    "mistral-nemo-instruct": Known("</s>"),
    "phi-3-mini-128k-instruct": Known("<|end|>", last_end="<|end|>\n<|endoftext|>"),
    "phi3_5.jinja": Known("<|end|>", last_end="<|end|>\n</s>"),
    "phi3_training.jinja": Known("<|end|>", last_end="<|end|>\n</s>", marked="generation"),
    "deepseek-chat": Known(DEEPSEEK, " "),
    "deepseek-v2-chat-0628": Known(DEEPSEEK),
    "deepseek-v2.5": Known(DEEPSEEK),
    "deepseek-coder-instruct": Known("\n<|EOT|>"),
    "deepseekv3.jinja": Known(DEEPSEEK),
    "deepseek_r1_distill.jinja": Known(DEEPSEEK),
    "deepseekv3_training.jinja": Known(DEEPSEEK, "<｜Assistant｜>", marked="generation"),
    "Yi-chat": Known(IM_END),
    "Yi-1.5-chat": Known(IM_END),
    "glm4-chat": Known("", "\n"),
    "codegeex4": Known(""),
    "glm4moe.jinja": Known("", "\n<think></think>\n"),
    "internlm2-chat": Known(IM_END),
    "openhermes-2.5": Known(IM_END),
    "orion-chat": Known("</s>"),
    "minicpm-2b-sft-bf16": Known(""),
    "codeshell-chat": Known("|<end>|"),
    "c4ai-command-r-v01": Known("<|END_OF_TURN_TOKEN|>"),
    "cohere2.jinja": Known("<|END_RESPONSE|><|END_OF_TURN_TOKEN|>"),
    "cohere_training.jinja": Known("<|END_OF_TURN_TOKEN|>", marked="generation"),
    "lfm2.jinja": Known(IM_END),
    "nemotron_3_nano.jinja": Known(IM_END, "<think></think>"),
    "gptoss.jinja": Known("<|end|>", "<|channel|>final<|message|>", "<|return|>"),
    "gptoss_training.jinja": Known(
        "<|end|>",
        "<|start|>assistant<|channel|>final<|message|>",
        "<|return|>",
        marked="generation",
    ),
}

UNCLEAR = {
    # Made for lists of texts and images: they pass over a content that is text.
    "idefics3.jinja": "turn 2",
    "smolvlm.jinja": "turn 2",
    "idefics3_training.jinja": "turn 2",
    "smolvlm_training.jinja": "turn 2",
}
NOT_JINJA = {"Starling-LM"}

TOOLS = (
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "Weather of a town.",
            "parameters": {
                "type": "object",
                "properties": {"town": {"type": "string", "description": "Its name"}},
                "required": ["town"],
            },
        },
    },
)
CALL = {
    "type": "function",
    "id": "abcdefgh1",
    "function": {"name": "get_weather", "arguments": {"town": "Bern"}},
}
WITH_CALL = (
    Message("user", "How is Bern?"),
    Message("assistant", "", {"tool_calls": [CALL]}),
    Message("tool", "21 degrees", {"name": "get_weather", "tool_call_id": "abcdefgh1"}),
    Message("assistant", "It is mild."),
    Message("user", "Thanks, and?"),
    Message("assistant", "Nothing."),
)
JSON_CALL = '<tool_call>\n{"name": "get_weather", "arguments": {"town": "Bern"}}\n</tool_call>'
CALLS = {
    "llama-3.1-instruct": '{"name": "get_weather", "parameters": {"town": "Bern"}}' + EOT,
    "qwen2.5-instruct": JSON_CALL + IM_END,
    "qwen3.jinja": JSON_CALL + IM_END,
    "qwen3_training.jinja": NO_THOUGHT + JSON_CALL + IM_END,
    "qwen3_6.jinja": "<tool_call>\n<function=get_weather>\n<parameter=town>\nBern\n</parameter>\n"
    "</function>\n</tool_call>" + IM_END,
    "mistral-nemo-instruct": '[TOOL_CALLS][{"name": "get_weather", "arguments": {"town": "Bern"}, '
    '"id": "abcdefgh1"}]</s>',
    "lfm2_v2.jinja": "<|tool_call_start|>[get_weather(town='Bern')]<|tool_call_end|>" + IM_END,
    "glm4moe.jinja": "\n<think></think>\n<tool_call>get_weather\n<arg_key>town</arg_key>\n"
    "<arg_value>Bern</arg_value>\n</tool_call>",
    "gptoss.jinja": " to=functions.get_weather<|channel|>commentary json<|message|>"
    '{"town": "Bern"}<|call|>',
}


@pytest.fixture(scope="module")
def loaded():
    """Makes a byte tokenizer in which the markers of a template are special, once for each."""
    made = {}

    def load(name, template=None):
        if name not in made:
            template = template or TEMPLATES[name]
            letters = sorted(pre_tokenizers.ByteLevel.alphabet())
            backend = Tokenizer(models.BPE({c: i for i, c in enumerate(letters)}, []))
            backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
            backend.decoder = decoders.ByteLevel()
            known = KNOWN.get(name)
            ends = [known.end.strip()] if known and " " not in known.end.strip() else []
            found = sorted({*SPECIAL.findall(template), "<s>", "</s>", *filter(None, ends)})
            backend.add_special_tokens(found)
            made[name] = PreTrainedTokenizerFast(
                tokenizer_object=backend,
                bos_token="<s>",
                eos_token=DEEPSEEK if "deepseek" in name else "</s>",
                pad_token="</s>",
                chat_template=template,
            )
        return made[name]

    return load


def _row(turns):
    return Row(3, "rows.jsonl", tuple(Message(*turn) for turn in turns), None, "", "group")


def _render(tokenizer, row):
    return Formatter("chat", tokenizer_facts(tokenizer)).render(row)


def _as_transformers(tokenizer, row, **options):
    turns = [turn.as_dict() for turn in row.messages]
    return tokenizer.apply_chat_template(turns, tools=list(row.tools) or None, **options)


def _trained(tokenizer, prompt):
    """The texts whose tokens are trained, and all ids, without an end token added by us."""
    facts = tokenizer_facts(tokenizer)
    (encoded,) = encode([prompt], tokenizer.backend_tokenizer, facts, DataConfig(max_length=100000))
    ids = encoded.input_ids[: len(encoded.input_ids) - prompt.append_eos]
    texts = [tokenizer.decode(ids[start:end]) for start, end in encoded.spans]
    return [text for text in texts if text], ids


@pytest.mark.parametrize("name", KNOWN)
def test_a_known_template_trains_its_answers_with_their_ends_and_nothing_else(loaded, name):
    tokenizer, row, known = loaded(name), _row(TURNS), KNOWN[name]
    prompt = _render(tokenizer, row)
    assert prompt.text == _as_transformers(tokenizer, row, tokenize=False)
    assert prompt.spans == known.expected(prompt.text, ["First answer.", "Second answer."])
    assert prompt.marked == known.marked
    trained, ids = _trained(tokenizer, prompt)
    assert ids == _as_transformers(tokenizer, row, tokenize=True)["input_ids"]
    assert trained == [prompt.text[start:end] for start, end in prompt.spans]


@pytest.mark.parametrize("name", KNOWN)
def test_a_second_row_of_the_same_shape_is_marked_as_the_first_was(loaded, name):
    formatter = Formatter("chat", tokenizer_facts(loaded(name)))
    formatter.render(_row(TURNS))
    other = [(role, content.replace("t", "tt")) for role, content in TURNS]
    prompt = formatter.render(_row(other))
    contents = [content for role, content in other if role == "assistant"]
    assert prompt.spans == KNOWN[name].expected(prompt.text, contents)


@pytest.mark.parametrize("name", TEMPLATES)
def test_every_template_with_a_system_message_is_as_in_transformers_or_refused(loaded, name):
    row = _row((SYSTEM, *TURNS))
    tokenizer = loaded(name)
    try:
        expected = _as_transformers(tokenizer, row, tokenize=False)
    except (jinja2.TemplateError, TypeError, ValueError):  # transformers refuses it
        expected = None
    if expected is None or name in UNCLEAR:
        with pytest.raises(DataError, match=r"row 3 of rows\.jsonl|template cannot be used"):
            _render(tokenizer, row)
        return
    prompt = _render(tokenizer, row)
    assert prompt.text == expected
    said = [prompt.text[start:end] for start, end in prompt.spans]
    assert ["First answer." in said[0], "Second answer." in said[-1]] == [True, True]
    assert len(said) == 2 and not any("question" in text or "rules" in text for text in said)
    assert sum(a < b for (_, a), (b, _) in zip(prompt.spans, prompt.spans[1:], strict=False)) == 1


@pytest.mark.parametrize("name", UNCLEAR)
def test_a_template_that_hides_where_answers_are_is_named_with_the_turn(loaded, name):
    with pytest.raises(DataError, match=rf"row 3 of rows\.jsonl.*{UNCLEAR[name]}"):
        _render(loaded(name), _row(TURNS))


@pytest.mark.parametrize("name", NOT_JINJA)
def test_a_public_template_that_is_no_jinja_is_named_with_its_line(loaded, name):
    with pytest.raises(DataError, match="line 1"):
        _render(loaded(name), _row(TURNS))


@pytest.mark.parametrize("name", ["mistral-instruct-v0.1", "gemma-it"])
def test_a_template_that_wants_turns_to_alternate_refuses_others_in_its_own_words(loaded, name):
    row = _row((TURNS[0], TURNS[0], TURNS[1]))
    with pytest.raises(DataError, match=r"row 3 of rows\.jsonl.*alternate"):
        _render(loaded(name), row)


@pytest.mark.parametrize("name", CALLS)
def test_tool_calls_are_trained_in_the_words_of_the_template(loaded, name):
    tokenizer = loaded(name)
    row = Row(3, "rows.jsonl", WITH_CALL, None, "", "group", TOOLS)
    prompt = _render(tokenizer, row)
    assert prompt.text == _as_transformers(tokenizer, row, tokenize=False)
    said = [prompt.text[start:end] for start, end in prompt.spans]
    assert said[0] == CALLS[name]
    assert "It is mild." in said[1] and "Nothing." in said[2] and len(said) == 3
    assert not any("degrees" in text or "Thanks" in text for text in said)


@pytest.mark.parametrize("name", ["llama-3-instruct", "openhermes-2.5"])
def test_a_template_that_knows_no_tools_gets_them_as_json(loaded, name):
    prompt = _render(loaded(name), Row(3, "rows.jsonl", WITH_CALL, None, "", "group", TOOLS))
    start, end = prompt.spans[0]
    assert prompt.text[start:end] == JSON_CALL + KNOWN[name].end
    assert json.dumps(TOOLS[0]) in prompt.text[:start]


THOUGHTS = (
    TURNS[0],
    ("assistant", "<think>\nold thought\n</think>\n\nFirst answer."),
    TURNS[2],
    ("assistant", "<think>\nnew thought\n</think>\n\nSecond answer."),
)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("qwen3.jinja", "<think>\nnew thought\n</think>\n\nSecond answer.<|im_end|>"),
        ("qwen3_6.jinja", "new thought\n</think>\n\nSecond answer.<|im_end|>"),
        ("deepseek_r1_distill.jinja", f"\n\nSecond answer.{DEEPSEEK}"),
    ],
)
def test_where_earlier_thoughts_are_dropped_the_rest_of_the_answer_is_trained(loaded, name, said):
    tokenizer = loaded(name)
    prompt = _render(tokenizer, _row(THOUGHTS))
    assert prompt.text == _as_transformers(tokenizer, _row(THOUGHTS), tokenize=False)
    answers = [prompt.text[start:end] for start, end in prompt.spans]
    assert answers[0].strip() == f"First answer.{KNOWN[name].end}" and answers[1] == said


def test_the_embedded_model_trains_its_answers_with_their_ends(loaded):
    from gguf import GGUFReader

    field = GGUFReader(str(demo.gguf_file())).fields["tokenizer.chat_template"]
    tokenizer = loaded("smollm2", bytes(field.parts[-1]).decode())
    prompt = _render(tokenizer, _row(TURNS))
    assert prompt.text == _as_transformers(tokenizer, _row(TURNS), tokenize=False)
    assert prompt.spans == Known(IM_END).expected(prompt.text, ["First answer.", "Second answer."])
