"""`preview`: what a configuration would train on, row by row or as a whole."""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from ...core import config_file
from ...core.config import RunConfig
from ...core.data.lints import blocking
from ...core.data.wanted import missing
from ...core.errors import UsageError
from ...core.prompt import tokenizer_cache
from ...core.text import one_line
from ..preview_text import ascii_lines, row_lines, statistics_lines

_SAMPLE_AFTER_S = 0.8


def preview(arguments: argparse.Namespace) -> int:
    """Prints one row as it is trained, or statistics of all rows.

    Returns:
        1 when a problem blocks the launch, else 0.
    """
    config = _configuration(arguments)
    for wanted in missing(config):
        if not arguments.json:
            print(f"Downloading {wanted.id}, split {wanted.split}, once.", file=sys.stderr)
        from .hub import bring  # with what draws tables

        bring(wanted)
    if arguments.stats:
        return _statistics(config, arguments)
    sources = config.data.sources
    if not 0 <= arguments.source < len(sources):
        raise UsageError(
            f"there is no source {arguments.source}",
            f"the configuration has {len(sources)}, counted from 0",
            "leave --source out for the first",
        )
    from ...core.data.preview import preview_row  # with what tokenises: 60 ms

    tokenizer, facts = tokenizer_cache.load(config.model, _tell(arguments))
    row = preview_row(int(arguments.source), arguments.row, tokenizer, facts, config.data)
    if arguments.json:
        _print_json(row)
    else:
        lines = ascii_lines(row) if arguments.ascii else row_lines(row, colour=_colour())
        print("\n".join(lines))
    return int(bool(blocking(row.problems, config.data.ignore_problems)))


def _configuration(arguments: argparse.Namespace) -> RunConfig:
    """Reads a configuration; a data file in its place is tried with the recommended one."""
    if arguments.config is None:
        return config_file.build(arguments.sets, arguments.preset)
    path = Path(arguments.config)
    if path.suffix.lower() in (".yaml", ".yml"):
        return config_file.load(path, arguments.sets, arguments.preset)
    source = json.dumps(arguments.config)  # quoted: a path may hold what YAML reads otherwise
    return config_file.build([f"data.source={source}", *arguments.sets], arguments.preset)


def _statistics(config: RunConfig, arguments: argparse.Namespace) -> int:
    from ...core.data.dataset import Dataset, gather
    from ...core.data.part_cache import PartCache
    from ...core.data.statistics import statistics

    tokenizer, facts = tokenizer_cache.load(config.model, _tell(arguments))
    began = time.monotonic()
    told = [0]
    live = not arguments.json and sys.stderr.isatty()

    def progress(dataset: Dataset, share: float) -> None:
        spent = time.monotonic() - began
        if spent < _SAMPLE_AFTER_S + told[0]:
            return
        told[0] += 1
        rows = sum(part.rows for part in dataset.parts)
        if told[0] == 1 and not arguments.json:
            print(f"After the first {rows:,} rows:", file=sys.stderr)
            print("\n".join(statistics_lines(statistics(dataset, complete=False))), file=sys.stderr)
        if live:
            print(f"\r{rows:,} rows, {share:.0%} of the files ", end="", file=sys.stderr)

    dataset = gather(config, tokenizer, facts, progress, cache=PartCache(tokenizer, facts))
    if live and told[0]:
        print(file=sys.stderr)
    result = statistics(dataset, complete=True)
    if arguments.json:
        _print_json(result)
    else:
        print("\n".join(statistics_lines(result)))
    return int(bool(blocking(result.problems, config.data.ignore_problems)))


def _tell(arguments: argparse.Namespace) -> Callable[[str], None] | None:
    """Programs that read JSON are told nothing that they did not ask for."""
    if arguments.json:
        return None
    return lambda text: print(one_line(text), file=sys.stderr)


def _print_json(value: object) -> None:
    # In ASCII: a terminal obeys control characters beyond it too.
    print(json.dumps(msgspec.to_builtins(value)))


def _colour() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")
