"""Example repositories, built in code within seconds: every kind that a client must tell apart.

The models have random weights and a tokenizer of bytes, so what they say has no meaning.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .repos import FACTS

VOCABULARY = 260
"""256 bytes and four special tokens."""

CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

_QUESTIONS = [
    ("Where is Paris?", "Paris is in France."),
    ("What is two and two?", "Four."),
    ("Which colour has snow?", "Snow is white."),
    ("How do you say hello in Italian?", "Ciao."),
]


def repository(
    root: Path, kind: str, repo_id: str, files: Mapping[str, str | bytes], **facts: Any
) -> Path:
    """Writes a repository with the facts that its `.hub.json` states, and returns its folder."""
    folder = root / kind / repo_id
    for path, content in files.items():
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content if isinstance(content, bytes) else content.encode())
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FACTS).write_text(json.dumps(facts, indent=1))
    return folder


def readme(head: str, text: str = "Made for tests.") -> str:
    return f"---\n{head.strip()}\n---\n\n{text}\n"


def save_tokenizer(folder: Path, chat_template: str | None = CHAT_TEMPLATE) -> None:
    """Writes a byte-level tokenizer of `VOCABULARY` tokens."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    model = models.BPE(vocab={letter: number for number, letter in enumerate(alphabet)}, merges=[])
    backend = Tokenizer(model)
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    special = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|pad|>")
    backend.add_special_tokens([AddedToken(text, special=True) for text in special])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token="<|endoftext|>",
        eos_token="<|im_end|>",
        pad_token="<|pad|>",
        chat_template=chat_template,
    )
    tokenizer.save_pretrained(folder)


def save_model(
    folder: Path,
    family: str = "llama",
    *,
    hidden: int = 32,
    layers: int = 2,
    shard: str = "5GB",
    chat_template: str | None = CHAT_TEMPLATE,
) -> None:
    """Writes a model with random weights, its configuration and its tokenizer.

    Args:
        folder: Is made if it is missing.
        family: `llama` or `qwen2`.
        hidden: A multiple of 8; the weights grow with its square.
        layers: Of the decoder.
        shard: The size above which the weights are cut into several files.
        chat_template: None makes a base model.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.for_model(
        family,
        vocab_size=VOCABULARY,
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        bos_token_id=256,
        eos_token_id=258,
        pad_token_id=259,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(config)
    model.save_pretrained(folder, max_shard_size=shard)
    save_tokenizer(folder, chat_template)


def model(root: Path, repo_id: str, family: str = "llama", head: str = "", **facts: Any) -> Path:
    """Writes a model repository that can be trained: weights, tokenizer and card."""
    card = readme(f"license: apache-2.0\nlibrary_name: transformers\n{head}")
    stated = {"pipeline_tag": "text-generation", **facts}
    folder = repository(root, "models", repo_id, {"README.md": card}, **stated)
    save_model(folder, family)
    return folder


def models(root: Path) -> None:
    """Writes a model of each kind under `alice` and `acme`."""
    model(root, "acme/tiny-llama", downloads=9000, likes=40, trendingScore=7)
    model(root, "acme/tiny-qwen", "qwen2", "language: [en, de]", downloads=5000, likes=90)
    model(root, "acme/gated-llama", gated="manual", downloads=8000, likes=70)
    model(root, "alice/private-llama", private=True)
    sharded = repository(root, "models", "acme/sharded-llama", {}, downloads=300)
    save_model(sharded, hidden=64, layers=4, shard="100KB", chat_template=None)
    _pickled(root)
    _custom_code(root)
    _adapter(root)
    _gguf(root)


def _pickled(root: Path) -> None:
    config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama"}
    files = {"config.json": json.dumps(config), "pytorch_model.bin": b"\x80\x02pickle" * 400}
    repository(
        root, "models", "acme/old-pickled", files, pipeline_tag="text-generation", downloads=70
    )


def _custom_code(root: Path) -> None:
    """Needs `trust_remote_code`; its code tells by a file that it was run."""
    auto_map = {
        "AutoConfig": "configuration_own.OwnConfig",
        "AutoModelForCausalLM": "modeling_own.OwnModel",
    }
    config = {"architectures": ["OwnModel"], "model_type": "own", "auto_map": auto_map}
    code = 'raise RuntimeError("code of a repository was run")\n'
    files = {
        "config.json": json.dumps(config),
        "configuration_own.py": code,
        "modeling_own.py": code,
        "model.safetensors": safetensors_bytes({"own.weight": (8, 4)}),
    }
    repository(root, "models", "acme/custom-code", files, pipeline_tag="text-generation", likes=3)


def _adapter(root: Path) -> None:
    base = "acme/tiny-llama"
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "r": 4,
        "lora_alpha": 8,
        "target_modules": ["q_proj"],
    }
    stem = "base_model.model.model.layers.{}.self_attn.q_proj.lora_{}.weight"
    shapes = {
        stem.format(layer, half): shape
        for layer in range(2)
        for half, shape in (("A", (4, 32)), ("B", (32, 4)))
    }
    files = {
        "README.md": readme(f"library_name: peft\nbase_model: {base}"),
        "adapter_config.json": json.dumps(config),
        "adapter_model.safetensors": safetensors_bytes(shapes),
    }
    repository(root, "models", "alice/tiny-adapter", files, downloads=12)


def _gguf(root: Path) -> None:
    import numpy as np
    from gguf import GGUFWriter

    folder = repository(root, "models", "acme/tiny-gguf", {}, downloads=700)
    writer = GGUFWriter(folder / "tiny-q8.gguf", "llama")
    writer.add_context_length(512)
    writer.add_tensor("token_embd.weight", np.zeros((VOCABULARY, 32), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def safetensors_bytes(shapes: Mapping[str, tuple[int, ...]]) -> bytes:
    """Returns a safetensors file of zeros of the type float32."""
    import numpy as np
    from safetensors.numpy import save

    return save({name: np.zeros(shape, np.float32) for name, shape in shapes.items()})


def chat_rows(count: int) -> list[dict[str, Any]]:
    """Returns rows of one question and its answer each."""
    pairs = (_QUESTIONS[number % len(_QUESTIONS)] for number in range(count))
    return [
        {"messages": [{"role": "user", "content": asked}, {"role": "assistant", "content": said}]}
        for asked, said in pairs
    ]


def jsonl(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def parquet_bytes(rows: list[dict[str, Any]]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows), sink)
    return sink.getvalue().to_pybytes()


def datasets(root: Path) -> None:
    """Writes a data set of each kind under `alice` and `acme`."""
    chat = {
        "README.md": readme("license: mit\ntask_categories: [text-generation]\nlanguage: en"),
        "train.jsonl": jsonl(chat_rows(200)),
        "test.jsonl": jsonl(chat_rows(20)),
    }
    repository(root, "datasets", "acme/chat", chat, downloads=4000, likes=20, trendingScore=5)
    _configured(root)
    table = "instruction,output,score\n" + "".join(f"{q},{a},{len(a)}\n" for q, a in _QUESTIONS)
    repository(root, "datasets", "acme/table", {"table.csv": table}, downloads=90)
    gated = {"train.jsonl": jsonl(chat_rows(8))}
    repository(root, "datasets", "acme/gated-chat", gated, gated="auto", downloads=800)
    repository(root, "datasets", "alice/private-chat", gated, private=True)
    long = {
        "train.jsonl": jsonl([{"text": f"{number} " + "long " * 20_000} for number in range(30)])
    }
    repository(root, "datasets", "acme/long-texts", long, downloads=60)
    script = {"script.py": "raise RuntimeError('a loading script was run')\n"}
    repository(root, "datasets", "acme/script", script, downloads=50)
    repository(root, "datasets", "acme/empty", {"README.md": readme("license: mit")})


def _configured(root: Path) -> None:
    head = """
configs:
- config_name: english
  default: true
  data_files:
  - split: train
    path: english/train-*.parquet
  - split: test
    path: english/test.parquet
- config_name: german
  data_files: german/*.parquet
"""
    english = [{"question": asked, "answer": said} for asked, said in _QUESTIONS]
    german = [{"frage": "Wo liegt Bern?", "antwort": "In der Schweiz."}] * 3
    files = {
        "README.md": readme(head),
        "english/train-00000.parquet": parquet_bytes(english),
        "english/train-00001.parquet": parquet_bytes(english),
        "english/test.parquet": parquet_bytes(english[:1]),
        "german/all.parquet": parquet_bytes(german),
    }
    repository(root, "datasets", "acme/configured", files, downloads=2000, likes=8)


def fill(root: Path) -> None:
    """Writes all examples."""
    models(root)
    datasets(root)
