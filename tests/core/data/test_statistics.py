"""Statistics against independent counts: brute force, and what a run itself reports."""

import itertools
import json
import random

import pytest

from sft_tui.core import config_file
from sft_tui.core.data import packing
from sft_tui.core.data.dataset import Dataset, gather
from sft_tui.core.data.overview import overview
from sft_tui.core.data.plan import BatchPlan, repeated, wanted
from sft_tui.core.data.statistics import fill, statistics


@pytest.fixture
def gathered(write, make_tokenizer, facts_of, templates):
    def make(sources, *sets):
        named = []
        for index, (rows, more) in enumerate(sources):
            path = write(f"rows{index}.jsonl", "\n".join(map(json.dumps, rows)))
            named.append({"source": str(path), **more})
        config = config_file.build([f"data.sources={json.dumps(named)}", *sets])
        tokenizer = make_tokenizer(templates["chatml"])
        return gather(config, tokenizer.backend_tokenizer, facts_of(tokenizer))

    return make


def rows(count, seed=0, words=30):
    chance = random.Random(seed)
    return [
        {
            "prompt": f"Question {seed}.{number}: " + "why " * chance.randint(1, words),
            "completion": "so " * chance.randint(1, words) + "it is.",
        }
        for number in range(count)
    ]


ABOUT = ["data.eval_fraction=0", "evaluate.every_steps=null", "data.pack=auto",
         "data.share_prefixes=auto", "train.micro_batch_size=4",
         "train.gradient_accumulation=8"]  # fmt: skip


def about(texts=6, questions=4, *, first):
    """Rows with several questions about each text, which stands first or last in the prompt."""
    found = []
    for text in range(texts):
        words = " ".join(f"w{text}.{n}" for n in range(40))
        for question in range(questions):
            asked = f"What is {question} in {text}?"
            order = (words, asked) if first else (asked, words)
            found.append({"instruction": order[0], "input": order[1], "output": f"It is {text}."})
    random.Random(0).shuffle(found)
    return found


def test_amounts_are_those_of_the_encoded_rows(gathered):
    dataset = gathered([(rows(60), {})], "data.max_length=120", "data.eval_fraction=0.1")
    train, apart = dataset.sides()
    every = dataset.parts[0].encoded
    found = statistics(dataset, complete=True)

    assert (found.rows, found.train_rows, found.eval_rows) == (60, len(train), len(apart))
    assert len(train) + len(apart) + found.dropped_rows == 60
    ids = [part.encoded[index].input_ids for part, index in train]
    labels = [part.encoded[index].labels for part, index in train]
    assert found.tokens == sum(map(len, ids))
    trained = sum(label != -100 for row in labels for label in row[1:])
    assert found.trained_share == trained / found.tokens
    whole = sorted(len(row.input_ids) + row.cut_tokens for row in every)
    assert found.lengths.max == whole[-1] and found.lengths.p50 in whole[29:31]
    assert sum(length <= found.lengths.p95 for length in whole) in (57, 58)
    assert found.cut_rows == sum(length > 120 for length in whole) > 0
    assert sum(length <= found.suggested_max_length for length in whole) >= 59
    edges, counts = found.lengths.histogram.edges, found.lengths.histogram.counts
    assert counts == [
        sum(low <= length < high for length in whole) for low, high in itertools.pairwise(edges)
    ]
    assert sum(counts) == 60


def test_padding_is_that_of_the_trainers_micro_batches(gathered):
    """U35"""
    dataset = gathered(
        [(rows(50), {})], "train.micro_batch_size=4", "train.gradient_accumulation=2",
        "data.eval_fraction=0.1", "train.epochs=3", "data.pack=never",
    )  # fmt: skip
    train, _ = dataset.sides()
    sizes = [len(part.encoded[index].input_ids) for part, index in train]
    order = list(range(len(sizes)))
    random.Random("42/0").shuffle(order)
    batches = [order[start : start + 4] for start in range(0, len(order), 4)]
    computed = sum(len(batch) * max(sizes[i] for i in batch) for batch in batches)
    found = statistics(dataset, complete=True)
    assert found.packing.padding_share == pytest.approx(1 - sum(sizes) / computed)
    assert found.packing.padding_share_without == found.packing.padding_share
    assert (found.packing.layout, found.packing.on_trial) == ("padded", False)
    assert found.steps == 3 * -(-len(sizes) // 8)


@pytest.mark.parametrize("sets", [["data.pack=never"], ["data.pack=always", *ABOUT[-2:]]])
def test_every_trained_row_is_found_in_its_micro_batch(gathered, sets):
    dataset = gathered(
        [(about(first=True), {}), (rows(9), {})], "data.eval_fraction=0.2",
        "train.micro_batch_size=4", "train.gradient_accumulation=2", *sets,
    )  # fmt: skip
    train, _ = dataset.sides()
    ids = [row.input_ids for row in dataset.picked(train)]
    plan = BatchPlan.packed(dataset.config, ids, wanted(dataset.config, ids))
    epoch = overview(dataset, complete=True).epoch
    place = {id(part): n for n, part in enumerate(dataset.parts)}
    named = [(place[id(part)], part.numbers[index]) for part, index in train]
    for step in range(1, plan.steps_per_epoch + 1):
        for number, batch in enumerate(plan.micro_batches(step), start=1):
            for row in batch:
                found = epoch.batch_of(*named[row])
                assert (found.step, found.place) == (step, number)
                assert found.members == [named[each] for each in batch]
    assert epoch.batch_of(0, 999) is None


@pytest.mark.parametrize("seed", range(5))
def test_packing_is_never_worse_than_first_fit_and_never_over_full(seed):
    chance = random.Random(seed)
    sizes = [chance.randint(1, 100) for _ in range(300)]
    rooms: list[int] = []
    for size in sizes:  # first fit in file order
        place = next((i for i, room in enumerate(rooms) if room >= size), None)
        if place is None:
            rooms.append(100 - size)
        else:
            rooms[place] -= size
    found = fill(sizes, 100)
    assert sum(sizes) / (len(rooms) * 100) <= found <= 1


def test_packing_fills_exactly_what_can_be_filled():
    assert fill([50, 50, 30, 70, 100], 100) == 1.0
    assert fill([60, 60], 100) == 0.6
    assert fill([], 100) is None


def test_the_shares_are_those_of_the_trainers_plan(gathered):
    """U35"""
    for sets, layout in ((ABOUT, "shared"), ([*ABOUT, "data.share_prefixes=never"], "packed")):
        dataset = gathered([(about(first=True), {})], *sets)
        ids = [row.input_ids for row in dataset.picked(dataset.sides()[0])]
        plan = BatchPlan.packed(dataset.config, ids, wanted(dataset.config, ids))
        computed = sum(
            packing.computed([ids[row] for row in batch], share=layout == "shared")
            for step in range(1, plan.steps_per_epoch + 1)
            for batch in plan.micro_batches(step)
        )
        found = statistics(dataset, complete=True).packing
        assert (found.layout, found.on_trial, found.padding_share) == (layout, True, 0)
        assert found.shared_share == pytest.approx(1 - computed / sum(map(len, ids)))
        assert (found.shared_share > 0.5) == (layout == "shared")
        assert found.other_order_share is None


def test_what_rows_of_one_text_would_share_is_told_where_a_step_would_hold_few(gathered):
    few = [*ABOUT, "train.gradient_accumulation=2"]
    found = statistics(gathered([(about(first=True), {})], *few), complete=True).packing
    many = statistics(gathered([(about(first=True), {})], *ABOUT), complete=True).packing
    assert many.grouped_share is None
    assert found.grouped_share == pytest.approx(many.shared_share, abs=0.05)
    assert found.shared_share < many.shared_share / 2


def test_a_text_behind_the_questions_about_it_is_told_with_what_would_help(gathered):
    alone = [{"prompt": f"How many are {n}" + f" and {n * n}" * n, "completion": "Some."}
             for n in range(5)]  # fmt: skip
    dataset = gathered([(alone, {}), (about(first=False), {})], *ABOUT)
    found = statistics(dataset, complete=True)
    assert found.packing.layout == "packed" and found.packing.other_order_share > 0.5
    (late,) = [problem for problem in found.problems if problem.id == "shared_at_end"]
    assert (late.severity, late.count, late.source) == ("info", 24, dataset.parts[1].name)
    swapped = {"instruction": "input", "input": "instruction"}
    assert "swap instruction and input with data.sources.1.columns" in late.remedy

    helped = gathered([(alone, {}), (about(first=False), {"columns": swapped})], *ABOUT)
    found = statistics(helped, complete=True)
    assert found.packing.layout == "shared"
    assert found.packing.shared_share > 0.5 and found.packing.other_order_share is None
    assert "shared_at_end" not in {problem.id for problem in found.problems}


@pytest.mark.parametrize("sets", [["data.pack=never"], ["data.share_prefixes=never"]])
def test_nobody_is_told_of_an_order_who_does_not_want_to_share(gathered, sets):
    dataset = gathered([(about(first=False), {})], *ABOUT, *sets)
    found = statistics(dataset, complete=True)
    assert found.packing.other_order_share is None
    assert "shared_at_end" not in {problem.id for problem in found.problems}


def test_sources_are_counted_apart_and_weights_repeat_or_thin_them_out(gathered):
    dataset = gathered(
        [(rows(20, 1), {"weight": 2.0}), (rows(40, 2), {"weight": 0.25, "template": "alpaca"})],
        "data.eval_fraction=0", "evaluate.every_steps=null",
    )  # fmt: skip
    train, _ = dataset.sides()
    first, second = dataset.parts
    assert sum(part is first for part, _ in train) == 40
    assert sum(part is second for part, _ in train) == 10
    found = statistics(dataset, complete=True)
    assert [(s.rows, s.kept, s.template, s.weight) for s in found.sources] == [
        (20, 20, "chat", 2.0), (40, 40, "alpaca", 0.25),
    ]  # fmt: skip
    assert found.sources[0].tokens == sum(len(row.input_ids) for row in first.encoded)


def test_a_question_of_two_sources_stays_on_one_side(gathered):
    """The same question in two data sets must not be trained in one and asked in the other."""
    mixed = [(rows(200, 1), {}), (rows(200, 1)[:40], {"template": "chatml"})]
    dataset = gathered(mixed, "data.eval_fraction=0.2")
    train, apart = dataset.sides()
    groups = [{part.groups[index] for part, index in side} for side in (train, apart)]
    assert apart and not groups[0] & groups[1]
    assert 70 < len(train) / 4 + len(apart) < 150
    assert not {p.id for p in dataset.problems()} & {"eval_leak", "near_duplicates"}


def test_sources_of_one_file_and_the_evaluation_are_told_apart(gathered, tmp_path):
    same = rows(20, 1)
    dataset = gathered(
        [(same, {}), (same, {})], f"data.eval_source={tmp_path / 'rows0.jsonl'}",
        "data.sources.1.source=" + str(tmp_path / "rows0.jsonl"),
    )  # fmt: skip
    names = [part.name.rpartition("/")[2] for part in dataset.parts]
    assert names == ["rows0.jsonl", "rows0.jsonl (2)", "rows0.jsonl (evaluation)"]
    (leak,) = [p for p in dataset.problems() if p.id == "eval_leak"]
    assert leak.message.startswith("20 of 20 rows are in the evaluation and trained too")


def test_a_weight_gives_each_row_its_share_and_is_the_same_every_time():
    assert repeated(4, 1.0, 0) == [0, 1, 2, 3]
    assert repeated(3, 2.0, 0) == [0, 0, 1, 1, 2, 2]
    half = repeated(1000, 0.5, 7)
    assert len(half) == len(set(half)) == 500 and half == repeated(1000, 0.5, 7)
    assert half != repeated(1000, 0.5, 8)
    assert repeated(3, 0.01, 0) != [] == repeated(0, 0.5, 0)


def test_every_row_is_trained_once_an_epoch():
    plan = BatchPlan(23, 4, 2, seed=1, shuffle=True)
    for epoch in range(2):
        steps = range(epoch * plan.steps_per_epoch + 1, (epoch + 1) * plan.steps_per_epoch + 1)
        seen = [row for step in steps for batch in plan.micro_batches(step) for row in batch]
        assert sorted(seen) == list(range(23))


def test_an_evaluation_split_of_the_same_folder_is_used(write, make_tokenizer, facts_of, templates):
    for name, count in (("train", 8), ("test", 4)):
        write(f"{name}.jsonl", "\n".join(map(json.dumps, rows(count, seed=count))))
    folder = write("x", "").parent
    (folder / "x").unlink()
    config = config_file.build([f"data.source={folder}", "data.eval_split=test[:3]"])
    tokenizer = make_tokenizer(templates["chatml"])
    dataset = gather(config, tokenizer.backend_tokenizer, facts_of(tokenizer))
    train, apart = dataset.sides()
    assert (len(train), len(apart)) == (8, 3)


def test_nothing_gathered_gives_unknowns_instead_of_zeros():
    found = statistics(Dataset(config_file.build()), complete=False)
    assert (found.rows, found.lengths, found.trained_share, found.steps) == (0, None, None, None)
    assert found.packing.fill is found.packing.padding_share_without is None
