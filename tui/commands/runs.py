"""`runs` and `show`: what runs there are, and what one of them did."""

import argparse
import datetime
import json
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ...core import events, run_queue
from ...core.config_file import config_hash
from ...core.errors import UsageError
from ...core.find import find_run
from ...core.health.findings import examine
from ...core.rundir import list_runs, runs_folder
from ...core.summary import Details, Summary, details, summarise
from ...core.text import one_line
from ..format import clock, number, sentences
from ..queue_text import line, waits_for


def runs(arguments: argparse.Namespace) -> int:
    """Lists the runs, newest first."""
    folder = Path(arguments.runs) if arguments.runs else None
    if arguments.limit is not None and arguments.limit < 1:
        raise UsageError("--limit cannot be used", "it must be 1 or more", "leave it out for all")
    found = list_runs(folder)[: arguments.limit]
    summaries = [summarise(run) for run in found]
    if arguments.json:
        print(json.dumps({"runs": msgspec.to_builtins(summaries)}))
        return 0
    if not summaries:
        print(f"no runs in {runs_folder(folder)}; `sft-tui demo` starts one")
        return 0
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=400)  # nothing may be cut to a guessed width
    console.print(_table(summaries, console.width))
    return 0


def _table(summaries: list[Summary], width: int) -> Table:
    """Returns the list; what a narrow terminal has no room for is left out, not cut."""
    words = ("STATUS", "ID", "MODEL", "METHOD")
    figures = ("STEP", "LOSS", "EVAL", "BEST@", "TOK/S")
    dropped = ("MODEL", "METHOD", "BEST@", "TOK/S") if width < 110 else ()
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in (*words, *figures):
        if heading not in dropped:
            justify = "right" if heading in figures else "left"
            table.add_column(heading, no_wrap=True, justify=justify)
    for summary in summaries:
        total = f"/{summary.total_steps}" if summary.total_steps else ""
        cells = (
            summary.status.upper(),
            summary.id,
            Path(summary.model).name if summary.model else "–",
            summary.method or "–",
            "–" if summary.step is None else f"{summary.step}{total}",
            number(summary.loss),
            number(summary.eval_loss),
            "–" if summary.best_step is None else str(summary.best_step),
            f"{summary.tokens_per_s:,.0f}" if summary.tokens_per_s else "–",
        )
        named = zip((*words, *figures), cells, strict=True)
        table.add_row(*(Text(one_line(cell)) for name, cell in named if name not in dropped))
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
    facts += [
        ("folder", summary.path),
        ("model", summary.model or f"– ({found.config_problem})"),
        ("data", summary.data or "–"),
        ("method", summary.method or "–"),
        ("hash", config_hash(found.config) if found.config is not None else "–"),
    ]
    started = history.started
    if started is not None:
        facts += [
            ("rows", f"{started.train_rows} trained, {started.eval_rows} evaluated"),
            ("parameters", f"{started.trainable_params:,} of {started.total_params:,} trained"),
            ("device", f"{started.device}, {started.dtype}, attention {started.attention}"),
            *started.for_speed,
            ("starts", str(history.starts)),
        ]
    if summary.step is not None:
        facts.append(("step", f"{summary.step} of {summary.total_steps or '–'}"))
    if summary.started is not None:
        began = datetime.datetime.fromtimestamp(summary.started)
        facts.append(("started", f"{began:%Y-%m-%d %H:%M:%S}"))
    if summary.elapsed_s is not None:
        facts.append(("trained for", clock(summary.elapsed_s)))
    facts.append(("loss", number(summary.loss)))
    facts += [(f"eval @{event.step}", number(event.loss)) for event in history.evals]
    facts += [("checkpoint", path) for path in found.checkpoints]
    facts.append(("adapter", found.adapter or "–"))
    if history.unreadable:
        facts.append(("damage", f"{history.unreadable} unreadable lines in events.jsonl, skipped"))
    facts += [
        (each.severity, sentences(each.message, each.remedy))
        for each in examine(history, active=found.status.active, config=found.config)
    ]
    return facts
