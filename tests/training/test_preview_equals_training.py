"""What preview shows of a row is what the model is fed: captured in a real run, per shape."""

import json
import random

import pytest

from sft_tui.core import events
from sft_tui.core.data.preview import preview_row
from sft_tui.core.prompt import tokenizer_cache
from sft_tui.core.training.loss import SupervisedLoss

ROWS = 200


def _words(chance, low, high):
    words = (
        "the red fox jumps over a lazy dog while seven small birds sing <b> é 火 \\n {x}".split()
    )
    return " ".join(chance.choice(words) for _ in range(chance.randint(low, high)))


def _talk(chance, names, keys):
    turns = []
    for _ in range(chance.randint(1, 3)):
        turns += [(names[0], _words(chance, 1, 8)), (names[1], _words(chance, 1, 8))]
    return [dict(zip(keys, turn, strict=True)) for turn in turns]


SHAPES = {
    "alpaca": lambda c: {
        "instruction": _words(c, 1, 9), "input": _words(c, 0, 6), "output": _words(c, 1, 60),
    },
    "squad": lambda c: {
        "context": _words(c, 5, 30), "question": _words(c, 2, 6),
        "answers": {"text": [_words(c, 1, 3)], "answer_start": [0]},
    },
    "prompt_completion": lambda c: {
        "question": _words(c, 1, 9) + " ", "answer": _words(c, 1, 9),
    },
    "messages": lambda c: {"messages": _talk(c, ("user", "assistant"), ("role", "content"))},
    "sharegpt": lambda c: {"conversations": _talk(c, ("human", "gpt"), ("from", "value"))},
    "text": lambda c: {"text": _words(c, 2, 40)},
}  # fmt: skip
TEMPLATES = {"alpaca": "alpaca", "prompt_completion": "plain", "sharegpt": "chatml"}


@pytest.fixture
def fed(monkeypatch):
    """What the loss was asked to train, row by row: (input_ids, labels) without padding."""
    rows: list[tuple[list[int], list[int]]] = []
    original = SupervisedLoss.__call__

    def spy(self, forward, **inputs):
        if self._model.training:
            for ids, mask, labels in zip(
                inputs["input_ids"], inputs["attention_mask"], inputs["labels"], strict=True
            ):
                size = int(mask.sum())
                assert mask[:size].all() and (labels[size:] == -100).all()
                rows.append((ids[:size].tolist(), labels[:size].tolist()))
        return original(self, forward, **inputs)

    monkeypatch.setattr(SupervisedLoss, "__call__", spy)
    return rows


@pytest.mark.parametrize("shape", SHAPES)
def test_ids_and_labels_of_200_rows_are_those_that_are_trained(
    shape, untied, tmp_path, configure, train, fed
):
    """U29"""
    chance = random.Random(shape)
    path = tmp_path / f"{shape}.jsonl"
    path.write_text("\n".join(json.dumps(SHAPES[shape](chance)) for _ in range(ROWS)))
    config = configure(
        untied,
        path,
        f"data.sources.0.template={TEMPLATES.get(shape, 'auto')}",
        f"data.max_length={400 if shape == 'alpaca' else 160}",
        "data.ignore_problems=[end_not_trained, prompt_too_long]",
        "data.shuffle=false",
        "data.eval_fraction=0",
        "evaluate.every_steps=null",
        "evaluate.samples=0",
        "train.micro_batch_size=8",
        "train.gradient_accumulation=25",
        "train.max_steps=1",
    )
    outcome = train(config)
    (started,) = outcome.of(events.RunStarted)
    assert started.choices[f"shape of {path}"] == shape

    tokenizer, facts = tokenizer_cache.load(config.model)
    shown = [preview_row(0, row, tokenizer, facts, config.data) for row in range(ROWS)]
    trained = [row for row in shown if any(label != -100 for label in row.labels[1:])]

    assert len(trained) > ROWS * 0.8
    assert [(row.input_ids, row.labels) for row in trained] == fed
    for row in shown:
        assert [token.id for token in row.tokens] == row.input_ids
        assert [token.trained for token in row.tokens] == [x != -100 for x in row.labels]
        if not row.cut_tokens:
            whole = "".join(token.text for token in row.tokens)
            assert row.text in whole and len(whole) - len(row.text) <= len("<s></s>")
