"""What preview shows of a row is what the model is fed: captured in a real run, per shape."""

import asyncio
import json
import random

import pytest
import torch

from sft_tui.core import events
from sft_tui.core.data.dataset import gather
from sft_tui.core.data.overview import overview
from sft_tui.core.data.preview import preview_row
from sft_tui.core.data.results import PreviewedRow
from sft_tui.core.prompt import tokenizer_cache
from sft_tui.core.sidecar import preview_calls
from sft_tui.core.sidecar.preview_calls import Batch, Row
from sft_tui.core.training.collate import Layout, collate
from sft_tui.core.training.data import prepare
from sft_tui.core.training.loss import SupervisedLoss
from sft_tui.core.training.tokenizer_helper import Quiet
from sft_tui.tui.screens.new.preview.token_lines import items_of, lines_of
from sft_tui.tui.services.sidecar import Sidecar

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

    def spy(self, forward, predicted, **inputs):
        if self._model.training:
            ids, mask = inputs["input_ids"], inputs["attention_mask"]
            labels = torch.full_like(ids, -100)
            labels.view(-1)[predicted.positions + 1] = predicted.targets
            if "position_ids" in inputs:  # packed: which ranges are rows
                for start, length, _, shared in mask.view(-1, 4).tolist():
                    assert not shared
                    row = slice(start, start + length)
                    assert inputs["position_ids"][0, row].tolist() == list(range(length))
                    rows.append((ids[0, row].tolist(), labels[0, row].tolist()))
                return original(self, forward, predicted, **inputs)
            for place, size in enumerate(mask.sum(dim=1).tolist()):
                assert mask[place, :size].all() and (labels[place, size:] == -100).all()
                rows.append((ids[place, :size].tolist(), labels[place, :size].tolist()))
        return original(self, forward, predicted, **inputs)

    monkeypatch.setattr(SupervisedLoss, "__call__", spy)
    return rows


@pytest.mark.parametrize("pack", ["never", "always"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("model", "rows"),
    [("untied", ROWS), pytest.param("demo", 24, marks=[pytest.mark.soak, pytest.mark.e2e])],
)
def test_ids_and_labels_of_rows_are_those_that_are_trained(
    model, rows, shape, pack, tmp_path, configure, train, fed, request
):
    """U29"""
    chance = random.Random(shape)
    path = tmp_path / f"{shape}.jsonl"
    path.write_text("\n".join(json.dumps(SHAPES[shape](chance)) for _ in range(rows)))
    config = configure(
        request.getfixturevalue(model),
        path,
        f"data.sources.0.template={TEMPLATES.get(shape, 'auto')}",
        f"data.max_length={400 if shape == 'alpaca' else 160}",
        "data.ignore_problems=[end_not_trained, prompt_too_long]",
        "data.shuffle=false",
        f"data.pack={pack}",
        "data.share_prefixes=never",
        "data.eval_fraction=0",
        "evaluate.every_steps=null",
        "evaluate.samples=0",
        "train.micro_batch_size=8",
        f"train.gradient_accumulation={rows // 8}",
        "train.max_steps=1",
    )
    outcome = train(config)
    (started,) = outcome.of(events.RunStarted)
    assert started.choices[f"shape of {path}"] == shape

    tokenizer, facts = tokenizer_cache.load(config.model)
    shown = [preview_row(0, row, tokenizer, facts, config.data) for row in range(rows)]
    trained = [row for row in shown if any(label != -100 for label in row.labels[1:])]

    assert len(trained) > rows * 0.8
    wanted = [(row.input_ids, [-100, *row.labels[1:]]) for row in trained]
    assert (fed if pack == "never" else sorted(fed)) == (
        wanted if pack == "never" else sorted(wanted)
    ), "packed micro-batches hold the same rows, divided otherwise"
    added = sum(len(token or "") for token in (facts.bos_token, facts.eos_token))
    for row in shown:
        assert [token.id for token in row.tokens] == row.input_ids
        assert [token.trained for token in row.tokens] == [x != -100 for x in row.labels]
        if not row.cut_tokens:
            whole = "".join(token.text for token in row.tokens)
            assert row.text in whole and len(whole) - len(row.text) <= added


@pytest.fixture
def related(tmp_path):
    """Rows in families of one to four with one text each, most of them longer than the others."""
    rows = [
        {"prompt": f"{_words(random.Random(family), 8, 16)} q{n}", "completion": "yes " * (n + 1)}
        for family, size in enumerate((3, 1, 4, 2, 1, 3, 2, 4))
        for n in range(size)
    ]
    path = tmp_path / "related.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


@pytest.mark.parametrize("sets", [
    ("data.pack=never",),
    ("data.pack=always", "data.share_prefixes=never"),
    ("data.pack=always", "data.share_prefixes=always"),
    ("data.pack=auto", "data.share_prefixes=auto", "train.gradient_accumulation=2"),
], ids=["padded", "packed", "shared", "accumulated"])  # fmt: skip
def test_preview_counts_what_the_steps_tell(sets, untied, related, configure, train):
    """U35"""
    config = configure(untied, related, "data.shuffle=true", "train.micro_batch_size=4",
                       "train.epochs=1", *sets)  # fmt: skip
    steps = train(config).steps

    tokenizer, facts = tokenizer_cache.load(config.model)
    found = overview(gather(config, tokenizer, facts), complete=True)
    packing = found.statistics.packing
    shown = {}
    for row in range(20):
        batch = found.epoch.batch_of(0, row)
        seen = preview_calls.batch(Batch(config, batch.members, packing.layout), print)
        shown[batch.step, batch.place] = seen
    assert len(steps) == found.statistics.steps
    for step in steps:
        mine = [seen for (number, _), seen in shown.items() if number == step.step]
        assert step.tokens == sum(seen.tokens for seen in mine)
        assert step.computed_tokens == sum(seen.computed for seen in mine)
        assert step.supervised_tokens == sum(
            end - begin for seen in mine for row in seen.rows for begin, end in row.trained
        )
        if len(mine) == 1:
            assert step.padding_share == mine[0].padding_share
            assert step.shared_share == mine[0].shared_share
    tokens, computed = (sum(getattr(s, n) for s in steps) for n in ("tokens", "computed_tokens"))
    assert packing.padding_share == pytest.approx(max(1 - tokens / computed, 0), abs=1e-12)
    assert packing.shared_share == pytest.approx(max(1 - computed / tokens, 0), abs=1e-12)
    assert (packing.padding_share > 0) == (packing.layout == "padded")
    assert (packing.shared_share > 0.2) == (packing.layout == "shared")


class _Silent(Quiet):
    """Stands for the run's report."""

    def warn(self, code: str, message: str, remedy: str, row: int | None = None) -> None:
        """Tells nothing."""


def _ids_and_labels(row: PreviewedRow) -> tuple[list[int], list[int]]:
    """Reads ids and labels from the lines that the screen draws; tokens that are cut have none."""
    items = items_of(row)
    lines = [line for line in lines_of(row, items, 76, "ids", "colour") if line]
    lines = [line for line in lines if line[0].item >= 0]  # not the line that says what was cut
    ids: list[int] = []
    labels: list[int] = []
    for _, numbers, marks in zip(*[iter(lines)] * 3, strict=True):
        for number, mark in zip(numbers, marks, strict=True):
            if not items[number.item].cut:
                ids.append(int(number.text))
                labels.append(int(mark.text))
    return ids, labels


@pytest.mark.parametrize("truncate", ["keep_start", "keep_end"])
def test_ids_and_labels_on_the_screen_are_those_of_the_collator(
    truncate, untied, tmp_path, configure
):
    """U29"""
    chance = random.Random(truncate)
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(json.dumps(SHAPES["messages"](chance)) for _ in range(50)))
    config = configure(
        untied,
        path,
        "data.max_length=20",
        f"data.truncate={truncate}",
        "data.ignore_problems=[end_not_trained, prompt_too_long, answer_cut]",
        "data.eval_fraction=0",
        "evaluate.every_steps=null",
    )
    tokenizer, facts = tokenizer_cache.load(config.model)
    trained = prepare(config, tokenizer, facts, _Silent(), {}).train  # type: ignore[arg-type]

    async def asked() -> list[PreviewedRow]:
        sidecar = Sidecar()
        try:
            wanted = [Row(config, 0, number) for number in range(50)]
            return [await sidecar.ask("row", row, PreviewedRow) for row in wanted]
        finally:
            await sidecar.stop()

    rows = asyncio.run(asked())
    assert sum(row.cut_tokens > 0 for row in rows) > 10
    shown = [_ids_and_labels(row) for row in rows]
    shown = [row for row in shown if any(label != -100 for label in row[1][1:])]

    batch = collate(trained, Layout(facts.pad_id))
    trains = torch.full_like(batch.input_ids, -100)
    trains.view(-1)[batch.predicted.positions + 1] = batch.predicted.targets
    assert len(trained) == len(shown) > 30
    for place, (ids, labels) in enumerate(shown):
        size = int(batch.attention_mask[place].sum())
        assert batch.input_ids[place, :size].tolist() == ids
        assert trains[place, 1:size].tolist() == labels[1:]
        assert len(ids) <= 20
