"""`fit`: does a configuration, or a model, fit the memory of this machine."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import msgspec

from ...core import config_file
from ...core.config import RunConfig
from ...core.fit import Device, Estimate, estimate
from ...core.hardware import Memory, memories
from ...core.measurement import Measured, measure
from ...core.model_facts import ModelFacts, facts_of
from ...core.text import one_line
from ...core.verdict import Verdict, verdict
from ..format import percent

_MARKS = {"fits": "✓", "tight": "!", "over": "✗", "unknown": "?"}
_KINDS = {
    "lora": ("method.kind=lora", "model.quantisation=none"),
    "qlora": ("method.kind=lora", "model.quantisation=nf4"),
    "full": ("method.kind=full", "model.quantisation=none"),
}
"""What --kind changes in a configuration."""
_OF_THE_RUN = "the largest of the run"
_ABOUT = {
    "weights": "of the base",
    "adapter": "LoRA in fp32",
    "gradients": "",
    "optimizer": "Adam's two moments",
    "activations": "what layers keep for the backward pass",
    "head": "logits and their gradients, where tokens are trained",
    "runtime": "Python, torch and their libraries",
}


class Largest(msgspec.Struct, frozen=True):
    """The micro-batch that needs most.

    `tokens` are those of the longest row, `computed_tokens` the positions that go through the
    model: rows × tokens where rows are padded.
    """

    rows: int
    tokens: int
    computed_tokens: int
    supervised_tokens: int | None
    padded: bool
    packed: bool
    origin: str


def fit(arguments: argparse.Namespace) -> int:
    """Prints the estimate by part and the verdict; returns 0 when the run fits or is tight."""
    config, has_data = _configuration(arguments)
    facts = facts_of(config.model, None if arguments.json else _say)
    devices = memories(config.launch.accelerator)
    measured = measure(config) if arguments.measure else None
    largest = _largest(config, has_data, measured, arguments)
    device: Device = "cuda" if devices[0].is_gpu else "cpu"
    train = msgspec.structs.replace(config.train, micro_batch_size=largest.rows)
    guess = estimate(
        facts,
        msgspec.structs.replace(config, train=train),
        device=device,
        rows_tokens=-(-largest.computed_tokens // largest.rows),
        supervised_tokens=largest.supervised_tokens,
        padded=largest.padded,
    )
    verdicts = [(memory, verdict(guess, memory.capacity_bytes)) for memory in devices]
    if arguments.json:
        print(json.dumps(_as_json(config, guess, largest, verdicts, measured)))
    else:
        lines = [*_head_lines(config, facts, guess, largest), *_part_lines(guess, measured)]
        print("\n".join([*lines, *(line for entry in verdicts for line in _verdict_lines(*entry))]))
    return int(not any(found.word in ("fits", "tight") for _, found in verdicts))


def _say(sentence: str) -> None:
    print(one_line(sentence), file=sys.stderr, flush=True)


def _configuration(arguments: argparse.Namespace) -> tuple[RunConfig, bool]:
    """Returns the configuration, and whether it names the data; a model alone does not."""
    path = Path(arguments.config)
    sets = [*arguments.sets, *_KINDS.get(arguments.kind, ())]
    if arguments.checkpointing:
        sets.append("train.gradient_checkpointing=true")
    if path.suffix.lower() in (".yaml", ".yml"):
        return config_file.load(path, sets, arguments.preset), True
    name = f"model.name={json.dumps(arguments.config)}"  # quoted: YAML reads some names otherwise
    return config_file.build([name, *sets], arguments.preset), False


def _largest(
    config: RunConfig, has_data: bool, measured: Measured | None, arguments: argparse.Namespace
) -> Largest:
    """Returns the largest micro-batch: as measured, of the plan, or as large as allowed."""
    size, length = config.train.micro_batch_size, config.data.max_length
    if measured is not None:
        return Largest(
            measured.rows,
            measured.longest_tokens,
            measured.computed_tokens,
            measured.supervised_tokens,
            measured.padded,
            measured.packed,
            _OF_THE_RUN,
        )
    if not has_data:
        origin = "data.max_length, all trained"
        return Largest(size, length, size * length, None, size > 1, False, origin)
    from ...core.data.dataset import gather  # with what tokenises: 60 ms
    from ...core.data.part_cache import PartCache
    from ...core.data.plan import largest, planned
    from ...core.prompt import tokenizer_cache

    if not arguments.json:
        _say("Reading the rows.")
    tokenizer, facts = tokenizer_cache.load(config.model)
    dataset = gather(config, tokenizer, facts, cache=PartCache(tokenizer, facts))
    dataset.refuse_broken()
    rows = dataset.picked(dataset.sides()[0])
    ids = [row.input_ids for row in rows]
    plan = planned(config, ids)
    steps = config.train.max_steps or config.train.epochs * plan.steps_per_epoch
    chosen = largest(plan, ids, steps)
    lengths = [len(ids[index]) for index in chosen]
    computed = plan.packing.computed([ids[index] for index in chosen])
    return Largest(
        len(chosen),
        max(lengths),
        computed,
        min(sum(rows[index].trained for index in chosen), computed),
        not plan.packing.pack and min(lengths) < max(lengths),
        plan.packing.pack,
        _OF_THE_RUN,
    )


def _head_lines(
    config: RunConfig, facts: ModelFacts, guess: Estimate, largest: Largest
) -> list[str]:
    name = one_line(config.model.name, 60)
    count = "" if facts.packed else f" · {facts.parameters / 1e6:,.1f}M parameters"
    layers = f" · {facts.layers} layers" if facts.layers else ""
    context = f" · context {facts.context:,}" if facts.context else ""
    architecture = one_line(facts.architecture or "unknown architecture", 40)
    positions = largest.computed_tokens
    trained = positions if largest.supervised_tokens is None else largest.supervised_tokens
    form = f"{largest.rows} × {largest.tokens:,} tokens"
    if largest.packed:
        form = f"{largest.rows} rows in one sequence"
    kind = {"lora": "LoRA", "qlora": "QLoRA", "full": "full fine-tuning"}[guess.basis.kind]
    rank = "" if guess.basis.kind == "full" else f" rank {config.method.rank}"
    size = "" if guess.unknown else f" · {guess.trainable:,} trained parameters"
    return [
        f"{name} · {architecture}{count}{layers}{context}",
        f"{kind}{rank}, {config.train.precision}{size}",
        f"micro-batch {form}, {trained:,} of {positions:,} trained ({largest.origin})",
    ]


def _part_lines(guess: Estimate, measured: Measured | None) -> list[str]:
    if guess.unknown:
        return []
    lines = [f"  {part:<12} {_gib(size):>9}  {_ABOUT[part]}" for part, size in guess.parts.items()]
    around = f"(±{guess.spread * 100:.0f} %: {_gib(guess.low)} to {_gib(guess.high)})"
    lines.append(f"  {'total':<12} {'~' + _gib(guess.total):>9}  {around}".rstrip())
    if measured is not None:
        off = guess.total / measured.peak_bytes - 1
        lines.append(
            f"  {'measured':<12} {_gib(measured.peak_bytes):>9}  {measured.step_s:.1f} s a step; "
            f"the estimate is {off * 100:+.0f} % of it"
        )
        if measured.baseline_bytes:
            lines.append(
                f"  {'':<12} {_gib(measured.above_baseline_bytes):>9}  of it above the "
                f"{_gib(measured.baseline_bytes)} before the model was loaded"
            )
    return lines


def _verdict_lines(memory: Memory, found: Verdict) -> list[str]:
    of = "" if memory.capacity_bytes is None else f" of {_gib(memory.capacity_bytes)}"
    share = "" if found.share is None else f" ~{percent(found.share)}{of}"
    why = f": {one_line(found.why, 200)}" if found.why else ""
    lines = [f"{_MARKS[found.word]} {one_line(memory.name, 40)}: {found.word}{share}{why}"]
    if found.instead is not None:
        sets = " ".join(f"--set {key}={value}" for key, value in found.instead.overrides.items())
        lines.append(f"  fits with {found.instead.sentence}: ~{_gib(found.instead.total)}")
        lines.append(f"  do: {sets}")
    return lines


def _gib(size: int) -> str:
    """Returns bytes in GiB with two digits, as small models need them."""
    return f"{size / 2**30:.2f} GiB"


def _as_json(
    config: RunConfig,
    guess: Estimate,
    largest: Largest,
    verdicts: list[tuple[Memory, Verdict]],
    measured: Measured | None,
) -> dict[str, Any]:
    known = not guess.unknown
    return {
        "model": config.model.name,
        "kind": guess.basis.kind,
        "device": guess.basis.device,
        "trainable": guess.trainable if known else None,
        "longest": msgspec.to_builtins(largest),
        "parts": guess.parts if known else None,
        "total": guess.total if known else None,
        "low": guess.low if known else None,
        "high": guess.high if known else None,
        "devices": [
            {
                "name": memory.name,
                "capacity": memory.capacity_bytes,
                "word": found.word,
                "share": found.share,
                "why": found.why or None,
                "instead": msgspec.to_builtins(found.instead),
            }
            for memory, found in verdicts
        ],
        "measured": msgspec.to_builtins(measured),
    }
