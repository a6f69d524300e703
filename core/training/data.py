"""The data of a run: gathered, refused where it is broken, and hashed."""

import hashlib
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain

from tokenizers import Tokenizer

from ..config import RunConfig
from ..data.dataset import Dataset, gather
from ..data.part_cache import PartCache
from ..data.wanted import at_commits, commits, missing
from ..prompt.prompts import TokenizerFacts
from ..prompt.tokens import Encoded
from .dataset_helper import bring
from .report import Report, downloads


@dataclass
class Prepared:
    """What is trained on and evaluated on, after every row that trains nothing was left out."""

    train: Sequence[Encoded]
    evaluation: Sequence[Encoded]
    data_hash: str
    eval_hash: str | None
    choices: dict[str, str] = field(default_factory=dict[str, str])


def bring_data(config: RunConfig, report: Report, chosen: dict[str, str]) -> dict[str, str]:
    """Downloads what data sets of the Hub are not here, and returns the commits to train.

    Args:
        config: The run's configuration.
        report: Told of downloads.
        chosen: The choices of the run's first start, whose commits are kept.
    """
    for wanted in missing(at_commits(config, chosen)):
        bring(wanted, downloads(report))
    return commits(config, chosen)


def prepare(
    config: RunConfig,
    tokenizer: Tokenizer,
    facts: TokenizerFacts,
    report: Report,
    chosen: dict[str, str],
) -> Prepared:
    """Reads, formats, tokenises and checks the data of a run. Problems become warnings.

    Args:
        config: The run's configuration.
        tokenizer: The model's, without padding and truncation.
        facts: What is special about it.
        report: Told how far it is, and of problems.
        chosen: The commits of data sets of the Hub, which are here.

    Raises:
        DataError: A source cannot be read or formatted, nothing in it would be trained, or it
            has a problem that blocks the launch.
    """

    def tell(dataset: Dataset, share: float) -> None:
        report.phase("preparing_data", round(share * 100), 100, "%")

    choices = dict(chosen)
    cache = PartCache(tokenizer, facts)
    dataset = gather(at_commits(config, chosen), tokenizer, facts, tell, cache=cache)
    for problem in dataset.refuse_broken():
        passed = problem.severity == "warning" and problem.id in config.data.ignore_problems
        if problem.severity != "info" and not passed:
            report.warn(problem.id, problem.message, problem.remedy, problem.row)
    for part in dataset.parts:
        choices[f"shape of {part.name}"] = part.shape.name
        choices[f"template of {part.name}"] = part.template
    train, held_out = map(dataset.picked, dataset.sides())
    return Prepared(train, held_out, _hash(train), _hash(held_out) if held_out else None, choices)


def _hash(rows: Sequence[Encoded]) -> str:
    """Returns a digest of all tokens and of which of them are trained."""
    digest = hashlib.sha256()
    for row in rows:
        edges = [len(row.input_ids), len(row.spans), *chain.from_iterable(row.spans)]
        digest.update(array("q", edges).tobytes())
        digest.update(array("i", row.input_ids).tobytes())
    return digest.hexdigest()[:16]
