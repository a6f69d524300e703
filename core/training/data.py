"""Rows to token ids and labels for a run, and the order in which they are trained."""

import hashlib
import math
import random
from array import array
from dataclasses import dataclass, field

from tokenizers import Tokenizer

from ..config import DataConfig, RunConfig, SourceConfig
from ..errors import DataError
from ..prompts import Formatter, TokenizerFacts
from ..rows import Row, split
from ..sources import Loaded, load
from ..tokens import Encoded, encode
from .report import Report

_BLOCK = 1000


@dataclass
class Prepared:
    """What is trained on and evaluated on, after every row that trains nothing was left out."""

    train: list[Encoded]
    evaluation: list[Encoded]
    data_hash: str
    eval_hash: str | None
    choices: dict[str, str] = field(default_factory=dict[str, str])


def prepare(
    config: RunConfig, tokenizer: Tokenizer, facts: TokenizerFacts, report: Report
) -> Prepared:
    """Reads, formats and tokenises the data of a run.

    Raises:
        DataError: A source cannot be read or formatted, or nothing in it would be trained.
    """
    choices: dict[str, str] = {}
    train: list[Encoded] = []
    held_out: list[Encoded] = []
    for source in config.data.sources:
        loaded = load(source, config.data)
        _warn_dropped(loaded, source, report)
        rows, apart = loaded.rows, list[Row]()
        if config.data.eval_source is None:
            rows, apart = split(rows, config.data.eval_fraction, config.train.seed)
        formatter = Formatter(source.template, facts)
        choices[f"shape of {source.source}"] = loaded.shape
        choices[f"template of {source.source}"] = formatter.template
        train += _encode_rows(rows, formatter, tokenizer, facts, config.data, report)
        held_out += _encode_rows(apart, formatter, tokenizer, facts, config.data, report)
    if config.data.eval_source is not None:
        first = config.data.sources[0]
        source = SourceConfig(
            source=config.data.eval_source,
            shape=first.shape,
            columns=first.columns,
            template=first.template,
            system=first.system,
        )
        loaded = load(source, config.data)
        _warn_dropped(loaded, source, report)
        formatter = Formatter(source.template, facts)
        held_out = _encode_rows(loaded.rows, formatter, tokenizer, facts, config.data, report)
    if not train:
        raise DataError(
            "there is nothing to train on",
            "every row was left out: no row has a trained token after truncation",
            "raise data.max_length, or check the answers and the template of the data",
        )
    return Prepared(train, held_out, _hash(train), _hash(held_out) if held_out else None, choices)


def _encode_rows(
    rows: list[Row],
    formatter: Formatter,
    tokenizer: Tokenizer,
    facts: TokenizerFacts,
    data: DataConfig,
    report: Report,
) -> list[Encoded]:
    kept: list[Encoded] = []
    cut: list[int] = []
    too_long: list[int] = []
    untrained: list[int] = []
    for start in range(0, len(rows), _BLOCK):
        block = rows[start : start + _BLOCK]
        report.phase("preparing_data", start, len(rows), "rows")
        encoded = encode([formatter.render(row) for row in block], tokenizer, facts, data)
        for row, result in zip(block, encoded, strict=True):
            if result.cut_tokens and data.truncate == "drop":
                too_long.append(row.number)
            elif result.trained == 0:
                untrained.append(row.number)
            else:
                kept.append(result)
                if result.cut_tokens:
                    cut.append(row.number)
    limit = f"data.max_length {data.max_length}"
    _warn(report, "cut_rows", cut, f"cut at {limit}", f"raise {limit}")
    _warn(report, "long_rows", too_long, f"dropped, longer than {limit}", f"raise {limit}")
    _warn(
        report,
        "untrained_rows",
        untrained,
        f"dropped, nothing of them is trained within {limit}",
        "raise data.max_length, or check their answers",
    )
    return kept


def _warn_dropped(loaded: Loaded, source: SourceConfig, report: Report) -> None:
    _warn(
        report,
        "empty_answers",
        loaded.dropped,
        f"of {source.source} dropped, without an answer",
        "set data.empty_answers to `text` to train a fixed answer for them",
    )


def _warn(report: Report, code: str, numbers: list[int], what: str, remedy: str) -> None:
    if numbers:
        shown = ", ".join(map(str, numbers[:5])) + (", …" if len(numbers) > 5 else "")
        message = f"{len(numbers)} rows {what} (rows {shown})"
        report.warn(code, message, remedy, numbers[0])


def _hash(rows: list[Encoded]) -> str:
    digest = hashlib.sha256()
    for row in rows:
        digest.update(array("q", [len(row.input_ids), *row.input_ids, *row.labels]).tobytes())
    return digest.hexdigest()[:16]


class BatchPlan:
    """Which rows every step trains: a pure function of seed and step, so resuming needs no state.

    Example: 10 rows, micro-batches of 2, accumulation 2 give 3 steps an epoch, with 2, 2 and 1
    micro-batches.
    """

    def __init__(
        self, rows: int, micro_batch_size: int, accumulation: int, seed: int, shuffle: bool
    ) -> None:
        self.rows = rows
        self.micro_batch_size = micro_batch_size
        self.rows_per_step = micro_batch_size * accumulation
        self.steps_per_epoch = math.ceil(rows / self.rows_per_step)
        self._seed = seed
        self._shuffle = shuffle
        self._order: tuple[int, list[int]] | None = None

    def micro_batches(self, step: int) -> list[list[int]]:
        """Returns the row indices of each micro-batch of a step; steps count from 1."""
        epoch, place = divmod(step - 1, self.steps_per_epoch)
        order = self._epoch_order(epoch)
        mine = order[place * self.rows_per_step : (place + 1) * self.rows_per_step]
        size = self.micro_batch_size
        return [mine[start : start + size] for start in range(0, len(mine), size)]

    def _epoch_order(self, epoch: int) -> list[int]:
        if self._order is None or self._order[0] != epoch:
            order = list(range(self.rows))
            if self._shuffle:
                random.Random(f"{self._seed}/{epoch}").shuffle(order)
            self._order = (epoch, order)
        return self._order[1]
