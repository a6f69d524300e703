"""`runs` and `show`: what runs there are, and what one of them did."""

import argparse
import datetime
import json
from pathlib import Path

import msgspec
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ...core import events, run_queue
from ...core.changed import changes
from ...core.config_file import config_hash
from ...core.errors import UsageError
from ...core.find import find_run
from ...core.health.findings import examine
from ...core.rundir import list_runs, runs_folder
from ...core.status import ACTIVE
from ...core.summary import Details, details, is_resuming, summarise
from ...core.text import one_line, thousands
from ..format import clock, number, sentences
from ..plain import earlier
from ..queue_text import line, waits_for


def runs(arguments: argparse.Namespace) -> int:
    """Lists the runs, active ones first, each kind from the newest on."""
    folder = Path(arguments.runs) if arguments.runs else None
    if arguments.limit is not None and arguments.limit < 1:
        raise UsageError("--limit cannot be used", "it must be 1 or more", "leave it out for all")
    found = list_runs(folder)[: arguments.limit]
    if arguments.json:
        print(json.dumps({"runs": msgspec.to_builtins([summarise(run) for run in found])}))
        return 0
    if not found:
        print(f"no runs in {runs_folder(folder)}; `sft-tui demo` starts one")
        return 0
    console = Console(highlight=False)
    rows = [_cells(details(run)) for run in found]
    rows.sort(key=lambda cells: cells["STATUS"].lower() not in ACTIVE)
    if console.is_terminal:
        headings = [each for each in _HEADINGS if console.width >= 110 or each not in _DROPPED]
        _fit_names(rows, headings, console.width)
    else:
        headings = _HEADINGS
        # Nothing is cut to a guessed width.
        console = Console(highlight=False, width=sum(_widths(rows, headings)))
    console.print(_table(rows, headings))
    return 0


_FIGURES = ("STEP", "LOSS", "EVAL", "BEST@", "TOK/S")
_HEADINGS = ["STATUS", "ID", "MODEL", "METHOD", *_FIGURES]
_DROPPED = ("MODEL", "METHOD", "BEST@", "TOK/S")
"""What a narrow terminal has no room for, and is left out, not cut."""
_GAP = 2
_SHORTEST = 20


def _cells(found: Details) -> dict[str, str]:
    """Returns what the list tells of a run, by heading.

    Of one that is started again it is where it goes on from, or how far it was where that is not
    known.
    """
    summary, history = found.summary, found.history
    step = summary.step
    if step is None and history.started is not None:
        step = history.step
    row = len(history.steps) if step is None else history.steps.after(step)
    total = f"/{summary.total_steps}" if summary.total_steps else ""
    cells = {
        "STATUS": summary.status.upper(),
        "ID": summary.id,
        "MODEL": Path(summary.model).name if summary.model else "–",
        "METHOD": summary.method or "–",
        "STEP": "–" if step is None else f"{step}{total}",
        "LOSS": number(history.steps[row - 1].loss if row else None),
        "EVAL": number(summary.eval_loss),
        "BEST@": "–" if summary.best_step is None else str(summary.best_step),
        "TOK/S": f"{summary.tokens_per_s:,.0f}" if summary.tokens_per_s else "–",
    }
    return {heading: one_line(cell) for heading, cell in cells.items()}


def _widths(rows: list[dict[str, str]], headings: list[str]) -> list[int]:
    """Returns how wide each column is, with the gap behind it."""
    return [max(cell_len(row[each]) for row in [*rows, {each: each}]) + _GAP for each in headings]


def _fit_names(rows: list[dict[str, str]], headings: list[str], width: int) -> None:
    """Cuts long names in the middle, so that a terminal has room for the columns beside them."""
    for heading in ("ID", "MODEL"):
        if heading not in headings:
            continue
        over = sum(_widths(rows, headings)) - _GAP - width
        longest = max(cell_len(row[heading]) for row in rows)
        room = max(longest - over, _SHORTEST)
        for row in rows:
            name = row[heading]
            if over > 0 and len(name) > room:
                row[heading] = f"{name[: room - 8]}…{name[-7:]}"


def _table(rows: list[dict[str, str]], headings: list[str]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        justify = "right" if heading in _FIGURES else "left"
        table.add_column(heading, no_wrap=True, justify=justify)
    for row in rows:
        table.add_row(*(Text(row[heading]) for heading in headings))
    return table


def show(arguments: argparse.Namespace) -> int:
    """Tells everything about one run, or what something in the queue waits for."""
    try:
        run = find_run(arguments.run, Path(arguments.runs) if arguments.runs else None)
    except UsageError as error:
        if (entry := _queued(arguments.run)) is None:
            raise error
        return _show_waiting(entry, as_json=arguments.json)
    found = details(run)
    if arguments.json:
        print(json.dumps(events.spell_non_finite(_as_json(found))))
        return 0
    for label, value in _facts(found):
        print(f"{label:<12} {one_line(value)}")
    return 0


def _queued(text: str) -> run_queue.Waiting | None:
    try:
        return run_queue.find(text)
    except UsageError:
        return None


def _show_waiting(entry: run_queue.Waiting, *, as_json: bool) -> int:
    why, remedy = waits_for(entry)
    if as_json:
        told = {"id": entry.id, "path": None, "status": "waiting", "reason": why, "remedy": remedy,
                "added": entry.t, "runs": entry.folder, "config": entry.config}  # fmt: skip
        print(json.dumps(told))
        return 0
    added = datetime.datetime.fromtimestamp(entry.t)
    facts = [
        ("run", entry.id),
        ("status", "WAITING in the queue: it is no run yet, and its id leads to the run later"),
        ("why", why),
        ("do", remedy),
        ("trains", line(entry)),
        ("runs in", entry.folder),
        ("added", f"{added:%Y-%m-%d %H:%M:%S}"),
    ]
    for label, value in facts:
        print(f"{label:<12} {one_line(value)}")
    return 0


def _as_json(found: Details) -> dict[str, object]:
    history = found.history
    return {
        **msgspec.to_builtins(found.summary),
        "phase": found.status.phase,
        "run_started": msgspec.to_builtins(history.started),
        "evals": msgspec.to_builtins(history.evals),
        "samples": msgspec.to_builtins(history.samples),
        "controls": msgspec.to_builtins(history.controls),
        "checkpoints": found.checkpoints,
        "adapter": found.adapter,
        "unreadable_lines": history.unreadable,
        "superseded_steps": len(history.superseded),
        "config": msgspec.to_builtins(found.config),
        "config_hash": config_hash(found.config) if found.config is not None else None,
    }


def _facts(found: Details) -> list[tuple[str, str]]:
    summary, history = found.summary, found.history
    state = summary.status.upper() + (f" ({found.status.phase})" if found.status.phase else "")
    facts = [("run", summary.id), ("status", state)]
    for label, value in (("why", summary.reason), ("do", summary.remedy)):
        if value:
            facts.append((label, value))
    if summary.note:
        facts.append(("note", summary.note))
    facts += [
        ("folder", summary.path),
        ("model", summary.model or f"– ({found.config_problem})"),
        ("data", summary.data or "–"),
        ("method", summary.method or "–"),
        ("hash", config_hash(found.config) if found.config is not None else "–"),
    ]
    started = history.started
    if started is not None:
        trained, evaluated = thousands(started.train_rows), thousands(started.eval_rows)
        share = f"{thousands(started.trainable_params)} of {thousands(started.total_params)}"
        facts += [
            ("rows", f"{trained} trained, {evaluated} evaluated"),
            ("parameters", f"{share} trained"),
            ("device", f"{started.device}, {started.dtype}, attention {started.attention}"),
            *started.for_speed,
            ("starts", str(history.starts)),
        ]
    if is_resuming(found.status, history):
        goes = "goes on from the last checkpoint" if found.checkpoints else "begins anew at step 0"
        facts.append(("before", f"{earlier(history)}; it {goes}"))
    if summary.step is not None:
        facts.append(("step", f"{summary.step} of {summary.total_steps or '–'}"))
    if summary.started is not None:
        began = datetime.datetime.fromtimestamp(summary.started)
        facts.append(("started", f"{began:%Y-%m-%d %H:%M:%S}"))
    if history.steps:
        facts.append(("trained for", clock(summary.elapsed_s)))
    facts.append(("loss", number(summary.loss)))
    facts += [(f"eval @{event.step}", number(event.loss)) for event in history.evals]
    facts += [("checkpoint", path) for path in found.checkpoints]
    facts.append(("adapter", found.adapter or "–"))
    facts += [("changed", str(change)) for change in changes(history)]
    facts += [
        (
            "notice" if each.severity == "note" else each.severity,
            sentences(each.message, each.remedy),
        )
        for each in examine(history, active=found.status.active, config=found.config)
    ]
    return facts
