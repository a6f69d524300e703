"""A run as one static HTML file for others: what was trained, how it went, what came of it.

Read from the run's directory alone. Paths of this machine are reduced to names, and tokens left
out, as in an export.
"""

import datetime
import json
import math
from pathlib import Path

from . import events
from .changed import changes
from .config_file import build, differences
from .export import Base, base_of, public_config, public_name, public_yaml
from .find import refuse_no_run
from .history import History
from .model_card import loading
from .report_curves import pictures
from .report_page import block, grid, page, paragraph, section, shown, side, table
from .rundir import RunDir
from .summary import Details, details, method_of
from .text import thousands, without_paths
from .yaml12 import dump_value

_MOST_SAMPLES = 32
_UNKNOWN = "–"
Rows = list[tuple[str, str]]


def report(run: RunDir) -> str:
    """Returns the document. What a damaged or young run does not tell is left out or said so.

    Raises:
        UsageError: The folder is that of no run.
    """
    refuse_no_run(run)
    found = details(run)
    base = base_of(found.config.model, found.history.started) if found.config else None
    return page(
        f"{run.id} – report",
        [
            _head(run, found, base),
            section("Result", table(_result(found.history)), _evaluations(found.history)),
            _curves(found.history),
            _samples(found.history),
            _statistics(found),
            section("Health", *_health(found)),
            _use(run, base),
            _changed(found.history),
            _configuration(found),
        ],
    )


def _head(run: RunDir, found: Details, base: Base | None) -> str:
    config, summary, started = found.config, found.summary, found.history.started
    rows: Rows = [("Status", _status(found))]
    if config is not None and base is not None:
        revision = f", revision {base.revision}" if base.revision else ""
        data = ", ".join(public_name(source.source) for source in config.data.sources)
        counts = ""
        if started is not None:
            counts = (
                f": {thousands(started.train_rows)} rows trained, "
                f"{thousands(started.eval_rows)} evaluated"
            )
        rows += [
            ("Model", f"{base.name}{revision}"),
            ("Data", f"{data}{counts}"),
            ("Method", method_of(config)),
        ]
    else:
        rows.append(("Configuration", without_paths(found.config_problem or _UNKNOWN)))
    if summary.started is not None:
        began = datetime.datetime.fromtimestamp(summary.started)
        rows.append(("Started", f"{began:%Y-%m-%d %H:%M}"))
    rows.append(("Trained for", _clock(summary.elapsed_s)))
    if summary.note:
        rows.append(("Note", without_paths(summary.note)))
    return f"<header>\n<h1>{shown(run.id)}</h1>\n{table(rows)}\n</header>"


def _status(found: Details) -> str:
    # Where a run was stopped, its status names a user and a checkpoint of this machine.
    reason = found.status.reason or "" if found.status.word not in ("stopped", "paused") else ""
    why = f": {without_paths(reason)}" if reason else ""
    steps = found.history.total_steps
    done = f" after {found.history.step:,}{f' of {steps:,}' if steps else ''} steps"
    return f"{found.status.word.upper()}{done if found.history.started else ''}{why}"


def _result(history: History) -> Rows:
    last = history.steps[-1] if history.steps else None
    best = history.best_eval
    rows: Rows = [("Last training loss", _number(last.loss if last else None))]
    if best is not None:
        rows.append(("Best evaluation loss", f"{_number(best.loss)} at step {best.step:,}"))
    return rows


def _evaluations(history: History) -> str:
    known, best = history.evals, history.best_eval
    if not known:
        return paragraph("It was not evaluated.", muted=True)
    named = [("first", known[0]), *([("best", best)] if best else []), ("last", known[-1])]
    return table(
        [(name, f"{e.step:,}", _number(e.loss), _number(e.perplexity)) for name, e in named],
        ("evaluation", "step", "loss", "perplexity"),
    )


def _curves(history: History) -> str:
    if not history.steps and not history.evals:
        return section("Curves", paragraph("No step was taken.", muted=True))
    notes: list[str] = []
    if lost := len(history.steps.columns["loss"].bad):
        notes.append(f"{lost:,} steps have a loss that is not finite: the line has gaps there.")
    if redone := sum(map(len, history.superseded)):
        notes.append(f"{redone:,} steps were done again after a resume, and are left out.")
    shown_notes = [paragraph(note, muted=True) for note in notes]
    return section("Curves", grid("charts", pictures(history)), *shown_notes)


def _samples(history: History) -> str:
    base = {sample.prompt_id: sample for sample in history.samples if sample.step == 0}
    tuned = {sample.prompt_id: sample for sample in history.samples if sample.step > 0}
    parts: list[str] = []
    for number in sorted({*base, *tuned})[:_MOST_SAMPLES]:
        after, before = tuned.get(number), base.get(number)
        asked = after or before
        assert asked is not None  # it is of one of the two
        sides = [
            side("Expected", _data(asked.expected)),
            side("Base", _data(before.text if before else None)),
            side(f"Tuned{_ending(after)}", _data(after.text if after else None)),
        ]
        prompt = f"<h3>Prompt</h3>{block(_data(asked.prompt) or '')}"
        parts.append(f'<div class="sample">{prompt}{grid("sides", sides)}</div>')
    told = "Greedy answers to the same prompts before training and after it." if parts else ""
    return section("Samples", paragraph(told) if told else "", *parts)


def _ending(sample: events.Sample | None) -> str:
    if sample is None:
        return ""
    return f" (step {sample.step:,}{'' if sample.finished else ', cut off'})"


def _statistics(found: Details) -> str:
    history, started = found.history, found.history.started
    columns = history.steps.columns
    tokens, speed = columns["tokens"].told(), history.mean_tokens_per_s()
    trained = columns["supervised_tokens"].told()
    rows: Rows = [
        ("Steps", f"{history.step:,} of {history.total_steps or history.step:,}"),
        ("Tokens", f"{sum(tokens):,.0f}" if tokens else _UNKNOWN),
        ("Trained tokens", f"{sum(trained):,.0f}" if trained else _UNKNOWN),
        ("Speed on average", _UNKNOWN if speed is None else f"{speed:,.0f} tokens/s"),
        ("Most memory", _gib(max(columns["memory_bytes"].told(), default=0))),
        ("Starts", _UNKNOWN if started is None else f"{history.starts:,}"),
    ]
    if history.unreadable:
        rows.append(("Damage", f"{history.unreadable:,} unreadable lines in events.jsonl"))
    if started is not None:
        rows += [
            (
                "Trained parameters",
                f"{thousands(started.trainable_params)} of {thousands(started.total_params)}",
            ),
            ("Device", _device(history, started)),
            ("Precision", f"{started.dtype}, attention {started.attention}"),
            *(
                (f"Chosen: {without_paths(name)}", without_paths(why))
                for name, why in started.choices.items()
            ),
            ("Versions", ", ".join(f"{name} {v}" for name, v in started.versions.items())),
        ]
    return section("Statistics", table(rows))


def _device(history: History, started: events.RunStarted) -> str:
    gpus = history.system.gpus if history.system else []
    names = ", ".join(gpu.name for gpu in gpus if gpu.index in started.gpus)
    many = f", {started.world_size} processes" if started.world_size > 1 else ""
    return f"{started.device}{f' ({names})' if names else ''}{many}"


def _health(found: Details) -> list[str]:
    rows = [
        (each["severity"], without_paths(each["message"]), without_paths(each["remedy"]))
        for each in found.summary.health
    ]
    if not rows:
        return [paragraph("Nothing was found.", muted=True)] if found.history.steps else []
    return [table(rows, ("", "what was found", "what helps"))]


def _use(run: RunDir, base: Base | None) -> str:
    whole = run.model.is_dir()
    if base is None or not (whole or run.adapter.is_dir()):
        saved = run.complete_checkpoints()
        how = f"`sft-tui export {run.id} --checkpoint last --to DIR` writes one" if saved else ""
        return section("Use", paragraph(f"There is no result yet{f'; {how}' if how else ''}."))
    folder = run.model if whole else run.adapter
    where = f"{json.dumps(folder.name)}  # this folder of the run, or what was exported of it"
    local = "" if base.on_hub or whole else f"{base.name} is the folder of the base model."
    code = loading(base, where, merged=whole)
    return section("Use", block(code), paragraph(local) if local else "")


def _changed(history: History) -> str:
    rows = [(f"step {step:,}", *values) for step, *values in changes(history)]
    told = "The configuration is what the run was last started with, without these changes."
    parts = (table(rows, ("after", "setting", "from", "to")), paragraph(told, muted=True))
    return section("Changed while it trained", *parts) if rows else ""


def _configuration(found: Details) -> str:
    if found.config is None:
        return ""
    public = public_config(found.config)
    changed = [(key, _value(new), _value(old)) for key, old, new in differences(build(), public)]
    text = _data(public_yaml(found.config)) or ""
    return section(
        "Configuration",
        table(changed, ("differs from the default", "value", "default")),
        "<h3>All of it</h3>",
        block(text),
    )


def _value(value: object) -> str:
    return _UNKNOWN if value is None else _data(dump_value(value)) or ""


def _data(text: str | None) -> str | None:
    """Returns text of data or of a configuration, with ~ for the home."""
    home = str(Path.home())
    return text if text is None or home == "/" else text.replace(home, "~")


def _number(value: events.Number) -> str:
    if value is None:
        return _UNKNOWN
    number = float(value)
    return f"{number:.4g}" if math.isfinite(number) else "not finite"


def _clock(seconds: float | None) -> str:
    return _UNKNOWN if seconds is None else str(datetime.timedelta(seconds=round(seconds)))


def _gib(size: float) -> str:
    return f"{size / 2**30:.2f} GiB" if size > 0 else _UNKNOWN
