"""It learns: eight rows by heart, answered greedily and ended by the end token."""

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from sft_tui.core import events
from sft_tui.core.training import samples
from tests.training import zoo

ROWS = [
    ("the red fox", "jumps over"),
    ("a lazy dog", "birds sing in the garden"),
    ("seven", "why"),
    ("nobody knows", "rivers run west and nobody knows why"),
    ("rivers", "old"),
    ("small birds sing", "in the old garden"),
    ("over the west", "fox"),
    ("why", "seven small birds"),
]


LEARNERS = {
    "llama": {"tie_word_embeddings": False},
    "llama, tied": {"tie_word_embeddings": True},
    "qwen3": {},
    "gemma3": {},
    "gemma2": {"final_logit_softcapping": 30.0, "attn_logit_softcapping": 50.0},  # as Google's
    "gpt2": {},
    "mixtral": {},
}


@pytest.mark.parametrize(
    "name",
    [
        name if name.startswith("llama") else pytest.param(name, marks=pytest.mark.soak)
        for name in LEARNERS
    ],
)
def test_eight_rows_are_learnt_by_heart_and_answers_stop_at_the_end_token(
    name, saved, write_rows, configure, train
):
    # The head is frozen: its weights must be wide enough for a probability near one.
    kind = name.partition(",")[0]
    folder = saved(kind, initializer_range=0.25, **LEARNERS[name])
    config = configure(
        folder,
        write_rows(ROWS),
        f"method.target_modules={zoo.KINDS[kind][2]}",
        "method.rank=16",
        "method.alpha=32",
        "data.shuffle=true",
        "optim.schedule=cosine",
        "optim.warmup_ratio=0.05",
        "train.micro_batch_size=4",
        "train.gradient_accumulation=2",
        "train.max_steps=80",
        "evaluate.samples=8",
        "evaluate.sample_max_tokens=40",
    )

    outcome = train(config)

    assert outcome.losses[0] > 3
    assert outcome.losses[-1] < 0.05
    told = {0: [], 80: []}
    for sample in outcome.of(events.Sample):
        told[sample.step].append(sample)
    assert [sample.expected for sample in told[80]] == [answer for _, answer in ROWS]
    assert [sample.text for sample in told[80]] == [answer for _, answer in ROWS]
    assert all(sample.finished for sample in told[80])
    for sample, (prompt, answer) in zip(told[80], ROWS, strict=True):
        assert prompt in sample.prompt
        assert answer not in sample.prompt
    assert not any(sample.text == sample.expected for sample in told[0])

    # The saved adapter answers the same in plain PEFT, from the tokenizer's own chat template.
    base = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    plain = PeftModel.from_pretrained(base, outcome.run.adapter).eval()
    saved = AutoTokenizer.from_pretrained(outcome.run.adapter)
    for prompt, answer in ROWS:
        asked = [{"role": "user", "content": prompt}]
        given = saved.apply_chat_template(asked, add_generation_prompt=True, tokenize=False)
        ids = saved(given, return_tensors="pt").input_ids
        output = plain.generate(input_ids=ids, max_new_tokens=40, do_sample=False)
        new = output[0, ids.shape[1] :].tolist()
        assert new[-1] == saved.eos_token_id
        assert saved.decode(new, skip_special_tokens=True) == answer


def test_an_answer_that_is_cut_does_not_count_as_finished(write_rows, untied, configure, train):
    config = configure(
        untied,
        write_rows(ROWS),
        "train.max_steps=1",
        "evaluate.samples=2",
        "evaluate.sample_max_tokens=1",
        "optim.learning_rate=1e-9",
    )
    told = train(config).of(events.Sample)
    assert len(told) == 4
    assert not any(sample.finished for sample in told)


def test_samples_are_spread_over_the_rows_and_never_more_than_there_are():
    rows = [f"row {index}" for index in range(10)]

    class Row:
        answer_start = 1

        def __init__(self, name):
            self.name = name

    chosen = samples.choose([Row(name) for name in rows], 3)
    assert [row.name for row in chosen] == ["row 0", "row 3", "row 6"]
    assert len(samples.choose([Row("a"), Row("b")], 5)) == 2
    assert samples.choose([], 4) == []
