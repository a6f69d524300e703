"""`compare`: what differs between runs, and which one evaluated best."""

import argparse
import json
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ...core.compare import LETTERS, Comparison, as_csv, as_json, load
from ...core.errors import UsageError
from ...core.events import spell_non_finite
from ...core.rundir import explain_os_error, write_atomic
from ...core.text import one_line
from ..format import UNKNOWN, number, signed


def compare(arguments: argparse.Namespace) -> int:
    """Compares up to six runs; with --csv it writes their curves as well."""
    subjects = load(arguments.run, Path(arguments.runs) if arguments.runs else None)
    comparison = Comparison(subjects)
    if arguments.csv is not None:
        write_new(Path(arguments.csv), as_csv(subjects))
    if arguments.json:
        print(json.dumps(spell_non_finite(as_json(comparison))))
        return 0
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=400)  # nothing may be cut to a guessed width
    console.print(_runs(comparison))
    differing, compared = comparison.differences()
    print(f"\ndifferences only ({len(differing)} of {compared} fields)")
    if differing:
        table = _table("FIELD", *(LETTERS[place] for place in range(len(subjects))))
        for each in differing:
            values = (each.shown(place) for place in range(len(subjects)))
            table.add_row(*(Text(one_line(cell)) for cell in (each.field, *values)))
        console.print(table)
    for note in comparison.notes():
        print(one_line(note))
    return 0


def write_new(path: Path, text: str, remedy: str = "name another file") -> None:
    """Writes a file that does not exist yet; `remedy` says what to do where it does.

    Raises:
        UsageError: It does.
        SftError: It cannot be written.
    """
    try:
        write_atomic(path, text.encode(), exclusive=True)
    except FileExistsError as error:
        raise UsageError(f"{path} cannot be written", "it exists already", remedy) from error
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        failed = error if isinstance(error, OSError) else OSError(0, str(error), str(path))
        raise explain_os_error(failed, "writing the file", path) from error


def _table(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        table.add_column(heading, no_wrap=True)
    return table


def _runs(comparison: Comparison) -> Table:
    table = _table("", "RUN", "STATUS", "RANK", "BEST", "@STEP", "TO A", "STEP", "TOK/S")
    ranks = comparison.ranks()
    for place, subject in enumerate(comparison.subjects):
        best, gap = subject.best, comparison.gap(place)
        cells = (
            LETTERS[place],
            subject.name,
            subject.status.upper() if subject.status else subject.source,
            str(ranks.get(place, UNKNOWN)),
            number(best[0] if best else None),
            str(best[1]) if best else UNKNOWN,
            f"{signed(gap.loss)} @{gap.step}" if gap else UNKNOWN,
            UNKNOWN if subject.steps is None else str(subject.steps),
            f"{subject.tokens_per_s:,.0f}" if subject.tokens_per_s else UNKNOWN,
        )
        table.add_row(*(Text(one_line(cell)) for cell in cells))
    return table
