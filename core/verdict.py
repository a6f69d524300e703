"""Fits, tight or over: an estimate against the memory there is, and what would fit instead."""

from dataclasses import dataclass, replace

import msgspec

from .config import TrainConfig
from .fit import Basis, Estimate, estimate_of
from .sheet import Word

TIGHT = 0.85
"""Share of the memory from which a run is tight: estimates may be off by the rest."""
_SHORTEST = 256


class Instead(msgspec.Struct, frozen=True):
    """Changes under which a run fits: as a sentence, as `--set` values, and the total in bytes."""

    sentence: str
    overrides: dict[str, str]
    total: int


@dataclass(frozen=True)
class Verdict:
    """One word, and the reason or the way out where the word is not `fits`."""

    word: Word
    share: float | None = None
    """The estimate as a share of the memory; None when unknown."""
    why: str = ""
    instead: Instead | None = None


def verdict(estimate: Estimate, capacity_bytes: int | None) -> Verdict:
    """Compares an estimate with a memory; when it is over, looks for what would fit.

    Args:
        estimate: Of the run.
        capacity_bytes: All memory of a GPU, or the host's available memory; None when not known.
    """
    if estimate.unknown:
        return Verdict("unknown", why=estimate.unknown)
    if not capacity_bytes:
        return Verdict("unknown", why="the memory of this device cannot be read")
    share = estimate.total / capacity_bytes
    if share < TIGHT:
        return Verdict("fits", share)
    if share <= 1:
        return Verdict("tight", share)
    found = _instead(estimate.basis, capacity_bytes)
    why = "" if found else "no smaller micro-batch, shorter row or 4-bit base fits either"
    return Verdict("over", share, why, found)


def ways_out(basis: Basis, share: float) -> list[Instead]:
    """Returns what makes a run small enough: each change that does alone, else all that must.

    Args:
        basis: Of the run that did not fit.
        share: How much of its memory there was room for.
    """
    room = share * estimate_of(basis).total
    batch, length = basis.config.train.micro_batch_size, basis.rows_tokens
    alone = [
        [_with_rows(basis, rows) for rows in _halvings(batch, 1)[1:]],
        [] if basis.checkpointing else [replace(basis, checkpointing=True)],
        [replace(basis, rows_tokens=tokens) for tokens in _halvings(length, _SHORTEST)[1:]],
    ]
    found: list[Instead] = []
    for changes in alone:
        totals = ((changed, estimate_of(changed).total) for changed in changes)
        fits = next((pair for pair in totals if pair[1] < TIGHT * room), None)
        if fits is not None:
            found.append(_told(basis, *fits))
    together = None if found else _instead(basis, round(room))
    return found or ([together] if together else [])


def _with_rows(basis: Basis, rows: int) -> Basis:
    """Returns micro-batches of another size, in steps that train the same."""
    train = _same_step(basis.config.train, rows)
    config = msgspec.structs.replace(basis.config, train=train)
    return replace(basis, config=config, padded=basis.padded and rows > 1)


def _instead(basis: Basis, capacity_bytes: int) -> Instead | None:
    """Returns the first change that fits: the mildest one, later ones together with earlier.

    A smaller micro-batch with more accumulation trains the same; checkpointing costs a third of
    the speed; a shorter length cuts rows; 4-bit weights change the base.
    """
    kinds = [basis.kind]
    if basis.device == "cuda" and basis.kind != "qlora" and not basis.facts.packed:
        kinds.append("qlora")
    for kind in kinds:
        for length in _halvings(basis.rows_tokens, _SHORTEST):
            for checkpointing in dict.fromkeys((basis.checkpointing, True)):
                for rows in _halvings(basis.config.train.micro_batch_size, 1):
                    changed = replace(
                        _with_rows(basis, rows),
                        kind=kind,
                        rows_tokens=length,
                        checkpointing=checkpointing,
                    )
                    total = estimate_of(changed).total
                    if total < TIGHT * capacity_bytes:
                        return _told(basis, changed, total)
    return None


def _halvings(value: int, least: int) -> list[int]:
    """Returns a value and its halves down to a least one. Example: 6, 1 → [6, 3, 1]."""
    values = [value]
    while values[-1] // 2 >= least:
        values.append(values[-1] // 2)
    return values


def _same_step(train: TrainConfig, rows: int) -> TrainConfig:
    """Returns micro-batches of that many rows, with as many rows in a step, or the next more."""
    step = train.gradient_accumulation * train.micro_batch_size
    return msgspec.structs.replace(
        train, micro_batch_size=rows, gradient_accumulation=-(-step // rows)
    )


def _told(old: Basis, new: Basis, total: int) -> Instead:
    """Puts into words and overrides what differs."""
    words: list[str] = []
    overrides: dict[str, str] = {}
    before, after = old.config.train.micro_batch_size, new.config.train.micro_batch_size
    if after != before:
        more = new.config.train.gradient_accumulation
        words.append(f"micro-batches of {after} with accumulation {more}")
        overrides["train.micro_batch_size"] = str(after)
        overrides["train.gradient_accumulation"] = str(more)
    if new.checkpointing != old.checkpointing:
        words.append("gradient checkpointing")
        overrides["train.gradient_checkpointing"] = "true"
    if new.rows_tokens != old.rows_tokens:
        words.append(f"rows of at most {new.rows_tokens:,} tokens")
        overrides["data.max_length"] = str(new.rows_tokens)
    if new.kind != old.kind:
        words.append("QLoRA, the base in 4 bits")
        overrides["model.quantisation"] = "nf4"
    *most, last = words
    sentence = f"{', '.join(most)} and {last}" if most else last
    return Instead(sentence, overrides, total)
