"""What is timed: rows, settings of either side, and how many steps of it."""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sft_tui.core import config_file
from sft_tui.core.config import RunConfig
from sft_tui.core.data.preview import preview_row
from sft_tui.core.prompt import tokenizer_cache

SEED = 7
QUESTIONS = 5
"""About one context, in rows that share their beginnings."""
_WORDS = (
    "the a of and to in on for with from by at over under between old new small large green stone "
    "river bridge harbour market tower school garden museum engine signal valley island forest "
    "keeper teacher miller captain painter farmer builder builds opened closed carried measured "
    "painted repaired flooded moved sold counted every year winter summer morning two seven forty"
).split()

PLAIN = ("data.pack=never", "data.share_prefixes=never", "train.fused_lora=false")
EAGER = ("train.compile=never",)
COMPILED = ("train.compile=always",)


@dataclass(frozen=True)
class Job:
    """One row of the table."""

    name: str
    title: str
    bar: str
    """What the ratio is measured by."""
    ours: tuple[str, ...]
    """Settings besides those that all jobs have."""
    peer: str = "trainer"
    """Which peer: `trainer` is transformers' Trainer with PEFT, `trl` is TRL's SFTTrainer."""
    compiled_peer: bool = False
    contexts: str = "separate"
    """Each row has a context of its own, or `shared`: five rows have one."""
    precision: str = "bf16"
    loss_on: str = "completion"
    micro_batch_size: int = 8
    steps: int = 10
    warmup: int = 2
    """Steps that are not counted: what is compiled is compiled in them."""
    pairs: int = 2
    wall: bool = False
    """Whether what is compared is the time of the whole process, not tokens per second."""


JOBS = (
    Job("eager", "completions, eager against eager", "≥ 1.4×", EAGER, pairs=3),
    Job(
        "compiled", "completions, compiled against compiled", "≥ 1.35×", COMPILED,
        compiled_peer=True, steps=16, warmup=6, pairs=1,
    ),
    Job("default", "as configured by itself", "≥ 2×", ()),
    Job("full", "loss on the whole text, eager", "≥ 1.2×", EAGER, loss_on="full"),
    Job(
        "shared", "two contexts of five questions a step, eager", "≥ 5×",
        (*EAGER, "data.share_prefixes=always"), contexts="shared", micro_batch_size=2 * QUESTIONS,
    ),
    Job(
        "shared-compiled", "the same, ours compiled", "≥ 5×",
        (*COMPILED, "data.share_prefixes=always"), contexts="shared",
        micro_batch_size=2 * QUESTIONS, steps=16, warmup=6,
    ),
    Job(
        "plain", "no trick applies: fp32, one row at once", "≥ 1×", (*EAGER, *PLAIN),
        precision="fp32", micro_batch_size=1, steps=30, warmup=5,
    ),
    Job("trl", "completions, eager against TRL", "–", EAGER, peer="trl", pairs=1),
    Job(
        "wall", "200 steps from start to end", "≤ 0.6×", (), steps=200, pairs=1,
        wall=True,
    ),
)  # fmt: skip


def write_rows(folder: Path, contexts: str, rows: int) -> Path:
    """Writes rows like those of SQuAD: a context of 80 to 180 words, a question, a short answer."""
    chance = random.Random(f"{SEED}/{contexts}")
    path = folder / f"{contexts}.jsonl"
    about = QUESTIONS if contexts == "shared" else 1
    with path.open("w") as file:
        for number in range(rows):
            if number % about == 0:
                context = _sentence(chance, 80, 180)
            row = {
                "context": context,
                "question": _sentence(chance, 8, 14)[:-1] + "?",
                "answers": {"text": [_sentence(chance, 1, 5)[:-1]], "answer_start": [0]},
            }
            file.write(json.dumps(row) + "\n")
    return path


def _sentence(chance: random.Random, least: int, most: int) -> str:
    words = [chance.choice(_WORDS) for _ in range(chance.randint(least, most))]
    return " ".join(words).capitalize() + "."


def configuration(job: Job, data: Path) -> RunConfig:
    """Returns what our side trains."""
    return config_file.build(
        [
            f"data.sources.0.source={data}",
            "data.sources.0.template=alpaca",
            "data.shuffle=false",
            "data.eval_fraction=0",
            f"data.loss_on={job.loss_on}",
            "method.rank=8",
            "method.alpha=32",
            "method.dropout=0",
            'method.target_modules=["*_proj"]',
            "optim.learning_rate=1e-4",
            "optim.schedule=constant",
            "optim.warmup_ratio=0",
            f"train.precision={job.precision}",
            f"train.micro_batch_size={job.micro_batch_size}",
            "train.gradient_accumulation=1",
            f"train.max_steps={job.steps}",
            "evaluate.every_steps=null",
            "evaluate.at_start=false",
            "evaluate.samples=0",
            "save.every_steps=null",
            *job.ours,
        ]
    )


def encoded(config: RunConfig, rows: int) -> list[dict[str, list[int]]]:
    """Returns the rows as our side trains them, which is what the peer is given."""
    tokenizer, facts = tokenizer_cache.load(config.model)
    found = [preview_row(0, row, tokenizer, facts, config.data) for row in range(rows)]
    return [{"input_ids": list(row.input_ids), "labels": list(row.labels)} for row in found]


def tokens_by_step(rows: Sequence[dict[str, list[int]]], job: Job) -> list[int]:
    """Returns how many tokens, without padding, each step of the peer trains, in order."""
    size = job.micro_batch_size
    return [
        sum(len(row["input_ids"]) for row in rows[step * size : (step + 1) * size])
        for step in range(job.steps)
    ]
