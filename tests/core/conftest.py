"""What several tests of the core share: files, rows, and a small tokenizer made in code."""

import pytest

from sft_tui.core.data.rows import Message, Row

SENTENCES = (
    "Where is Paris? Paris is in France.",
    "The answer is Paris. The tower is old.",
    "### Instruction: ### Input: ### Response: Paris",
)
SPECIAL = ("<s>", "</s>", "<|im_start|>", "<|im_end|>")


@pytest.fixture
def write(tmp_path):
    """Writes a file of text or bytes and returns its path."""

    def to(name, content):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return to


@pytest.fixture
def row():
    """Makes a row from (role, content) turns."""

    def make(*turns, number=7, instruction=None, input=""):
        messages = tuple(Message(role, content) for role, content in turns)
        return Row(number, "rows.jsonl", messages, instruction, input, "group")

    return make


@pytest.fixture(scope="session")
def make_tokenizer():
    """Makes a byte-level BPE tokenizer whose padding token is its end token."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    def make(chat_template=None, *, adds_bos=False, eos="<|im_end|>"):
        backend = Tokenizer(models.BPE())
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        backend.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=400,
            special_tokens=list(SPECIAL),
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        backend.train_from_iterator(SENTENCES * 20, trainer)
        if adds_bos:
            backend.post_processor = processors.TemplateProcessing(
                single="<s> $A", special_tokens=[("<s>", backend.token_to_id("<s>"))]
            )
        return PreTrainedTokenizerFast(
            tokenizer_object=backend,
            bos_token="<s>",
            eos_token=eos,
            pad_token=eos,
            chat_template=chat_template,
        )

    return make


@pytest.fixture(scope="session")
def templates():
    """Chat templates by kind; all but `bare` end a turn with a marker and a line feed."""
    head = "<|im_start|>{{ m.role }}{{ '\n' }}"
    ask = "{% if add_generation_prompt %}<|im_start|>assistant{{ '\n' }}{% endif %}"
    each = "{% for m in messages %}"
    chatml = each + head + "{{ m.content }}<|im_end|>{{ '\n' }}{% endfor %}" + ask
    return {
        "chatml": chatml,
        "bos": "{{ bos_token }}" + chatml,
        "generation": each
        + head
        + "{% if m.role == 'assistant' %}"
        + "{% generation %}{{ m.content }}<|im_end|>{% endgeneration %}{{ '\n' }}"
        + "{% else %}{{ m.content }}<|im_end|>{{ '\n' }}{% endif %}{% endfor %}"
        + ask,
        "json": each
        + "{% if m.role == 'system' %}{% continue %}{% endif %}{{ m | tojson }}<|im_end|>{{ '\n' }}"
        + "{% endfor %}",
        "bare": each
        + "{% if m.role == 'user' %}Q: {{ m.content }} A: {% else %}{{ m.content }}{% endif %}"
        + "{% endfor %}",
        "forgets": each
        + "{% if m.role == 'user' or loop.last %}"
        + head
        + "{{ m.content }}<|im_end|>{{ '\n' }}{% endif %}{% endfor %}"
        + ask,
    }


@pytest.fixture(scope="session")
def facts_of():
    """What formatting needs to know of a tokenizer, gathered as the trainer gathers it."""
    from sft_tui.core.training.tokenizer import tokenizer_facts

    return tokenizer_facts
