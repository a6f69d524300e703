"""A model with a SentencePiece file and no tokenizer.json gives the ids of SentencePiece itself."""

import json

import pytest
import sentencepiece

from sft_tui.core.config import DataConfig, ModelConfig, SourceConfig
from sft_tui.core.data.preview import preview_row
from sft_tui.core.prompt import tokenizer_cache

ROWS = [
    {"prompt": "Which river runs through Vienna?", "completion": "The Danube runs through it."},
    {"prompt": "Two  spaces,\ttabs\nand lines", "completion": "é, 🙂 and 漢字 are bytes here"},
    {"prompt": "x = {'a': [1, 2]}", "completion": "    return x"},
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A Llama-like model folder whose only tokenizer is a SentencePiece BPE file."""
    path = tmp_path_factory.mktemp("sentencepiece")
    corpus = path / "corpus.txt"
    words = [f"{row['prompt']} {row['completion']}".replace("\n", " ") for row in ROWS]
    corpus.write_text("\n".join(words[:1] * 20 + words[2:] * 20), "utf-8")
    sentencepiece.SentencePieceTrainer.Train(
        input=str(corpus), model_prefix=str(path / "tokenizer"), model_type="bpe",
        vocab_size=330, byte_fallback=True, normalization_rule_name="identity",
        remove_extra_whitespaces=False, minloglevel=2,
    )  # fmt: skip
    settings = {"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>",
                "unk_token": "<unk>", "add_bos_token": True, "legacy": False}  # fmt: skip
    (path / "tokenizer_config.json").write_text(json.dumps(settings))
    (path / "config.json").write_text(json.dumps({"model_type": "llama"}))
    (path / "model.safetensors").touch()
    return path


@pytest.fixture(scope="module")
def loaded(folder, tmp_path_factory):
    """The tokenizer by way of the helper process, as the trainer loads it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SFT_TUI_HOME", str(tmp_path_factory.mktemp("home")))
        return tokenizer_cache.load(ModelConfig(name=str(folder)))


@pytest.mark.parametrize("number", range(len(ROWS)))
def test_ids_are_those_of_sentencepiece_and_the_answer_is_trained(folder, loaded, number, tmp_path):
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    tokenizer, facts = loaded
    source = SourceConfig(source=str(data), template="plain")
    row = preview_row(0, number, tokenizer, facts, DataConfig(sources=[source]))
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))
    text = row.text.removeprefix("<s>").removesuffix("</s>")
    assert row.input_ids == [pieces.bos_id(), *pieces.Encode(text), pieces.eos_id()]
    trained = [token for token, label in zip(row.input_ids, row.labels, strict=True) if label >= 0]
    assert trained[-1] == pieces.eos_id()
    assert pieces.Decode(trained).strip() == ROWS[number]["completion"].strip()
