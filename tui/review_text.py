"""What Review says: the run in rows, the checks before a launch, what changed since a run."""

from typing import TYPE_CHECKING, Any

import msgspec

from ..core import config_file
from ..core.config import Problem, RunConfig
from ..core.data.lints import blocking
from ..core.errors import SftError
from ..core.fields import as_list, as_map, field_at
from ..core.text import one_line
from ..core.typed import shown
from .format import clock, counted, from_home, gib, percent, with_keys

if TYPE_CHECKING:
    from ..core.data.results import Checked, Statistics
    from ..core.measurement import Measured
    from ..core.sidecar.effect_calls import Effects, Fit
    from .services.checks import Checks

MARKS = {"error": "✗", "warning": "!", "info": "i", "ok": "✓", "open": "…"}
_LONGEST_PATH = 44
_FULL_RATE, _HIGHEST_FULL_RATE = 1e-5, 1e-4
_STEP_OF = {"model": "models", "data": "data"}


class Check(msgspec.Struct, frozen=True):
    """One thing that was looked at before a launch.

    `severity` is error, warning, info, ok or open; an error refuses the launch. `id` is what a
    problem of the data is called, by which it can be let pass. `step` and `field` say where it is
    mended.
    """

    severity: str
    text: str
    remedy: str = ""
    id: str = ""
    step: str = ""
    field: str = ""

    def line(self) -> str:
        """Returns it in one line, with its name and what to do."""
        name = f"{self.id}: " if self.id else ""
        remedy = f" – {self.remedy}" if self.remedy else ""
        return one_line(f"{MARKS[self.severity]} {name}{self.text}{remedy}")


def page(
    config: RunConfig,
    checks: "Checks",
    effects: "Effects | None",
    measured: "Measured | None",
    runs_folder: str,
) -> list[tuple[str, str]]:
    """Returns the rows of the page, as (label, text); what is not known is left out or "–"."""
    train = config.train
    found = checks.result.statistics if checks.result is not None else None
    revision = f" @{config.model.revision}" if config.model.revision else ""
    rows = [
        ("Model", f"{short(config.model.name)}{revision} · {train.precision}"),
        ("Method", _method(config, effects)),
        ("Data", _data(config, found)),
        ("Prompts", _prompts(config, checks.result)),
        ("Steps", _steps(config, found, effects)),
        ("Memory", _memory(effects, measured)),
        ("Saves", _saves(config, effects)),
        ("Run", f"in {short(runs_folder)} · device {config.launch.accelerator}"),
        ("Hash", f"{config_file.config_hash(config)}, which show repeats · remote code off"),
    ]
    return [(label, one_line(text)) for label, text in rows]


def _method(config: RunConfig, effects: "Effects | None") -> str:
    method = config.method
    if method.kind == "full":
        text = "all weights"
        if method.freeze:
            text += f" but {', '.join(method.freeze)}"
    else:
        name = "QLoRA (4-bit base)" if config.model.quantisation == "nf4" else "LoRA"
        name += " with DoRA" if method.dora else ""
        on = ", ".join([*method.target_modules, *method.target_parameters])
        text = f"{name} rank {method.rank}, alpha {method.alpha:g} on {on}"
    if effects is None or effects.adapter is None:
        return text
    share = effects.adapter.share
    of = "" if share is None else f" ({percent(share) if share > 0.1 else f'{share * 100:.2g} %'})"
    return f"{text} · {effects.adapter.trainable:,} trained parameters{of}"


def _steps(config: RunConfig, found: "Statistics | None", effects: "Effects | None") -> str:
    train, optim = config.train, config.optim
    ranks = config.launch.ranks
    shared = f" × {ranks} devices" if ranks > 1 else ""
    length = f"{counted(train.epochs, 'epoch')}"
    if train.max_steps is not None:
        length = f"exactly {train.max_steps:,} steps"
    steps = f"{found.steps:,} steps ({length})" if found is not None and found.steps else length
    rate = shown(field_at("optim.learning_rate"), optim.learning_rate)
    seconds = effects.total_s if effects is not None else None
    time = "" if seconds is None else f" · ~{clock(seconds)} at the speed of an earlier run"
    return (
        f"{steps} · {config.rows_per_step} rows a step ({train.micro_batch_size} × "
        f"{train.gradient_accumulation}{shared}) · learning rate {rate} "
        f"{optim.schedule}{time}"
    )


def _memory(effects: "Effects | None", measured: "Measured | None") -> str:
    if measured is not None:
        return f"{_gib(measured.peak_bytes)} measured, {measured.step_s:.1f} s a step"
    if effects is None or effects.memory is None:
        return "–"
    memory = effects.memory
    return (
        f"~{_gib(memory.total)} ({_gib(memory.low)} to {_gib(memory.high)}), "
        f"rows of up to {memory.rows_tokens:,} tokens"
    )


def _gib(size: int) -> str:
    """Returns bytes in GiB, in MiB where they are few: few, but never 0."""
    mib = size / 2**20
    if mib < 10:
        return f"{mib:.1f} MiB"
    return f"{mib:,.0f} MiB" if size < 2**30 else f"{gib(size)} GiB"


def short(path: str) -> str:
    """Returns a path with ~ for the home, its middle left out where it is long."""
    text = from_home(path)
    if len(text) <= _LONGEST_PATH:
        return text
    parent, _, name = text.rpartition("/")
    return f"{parent[: max(_LONGEST_PATH - len(name) - 3, 8)]}…/{name}" if parent else text


def _saves(config: RunConfig, effects: "Effects | None") -> str:
    save = config.save
    saves = "at the end" if save.every_steps is None else f"every {save.every_steps} steps"
    text = f"{saves}, the newest {save.keep} kept"
    disk = effects.disk if effects is not None else None
    if disk is None:
        return text
    free = "" if disk.free is None else f", {_gib(disk.free)} free"
    return f"{text}: up to {_gib(disk.total)}{free}"


def _data(config: RunConfig, found: "Statistics | None") -> str:
    names = ", ".join(short(source.source) for source in config.data.sources)
    if found is None:
        return names
    more = "" if found.complete else " so far"
    return (
        f"{names} · {counted(found.train_rows, 'row')} to train, {found.eval_rows:,} held out{more}"
    )


def _prompts(config: RunConfig, found: "Checked | None") -> str:
    length = f"at most {config.data.max_length:,} tokens a row"
    if found is None:
        return length
    statistics = found.statistics
    templates = ", ".join(dict.fromkeys(source.template for source in statistics.sources))
    share = statistics.trained_share
    trained = "–" if share is None else f"{percent(share)} of the tokens trained"
    return f"{templates} · {trained} · {length}"


def checks_of(
    config: RunConfig | None,
    missing: list[str],
    problems: list[Problem],
    checks: "Checks",
    effects: "Effects | None",
) -> list[Check]:
    """Returns what was looked at, what refuses the launch first."""
    found = [
        Check("error", f"no {name} was chosen", f"choose it on {name.capitalize()}", step=step)
        for name, step in ((name, _STEP_OF[name]) for name in missing)
    ]
    found += [
        Check("error", problem.message, step="configure", field=problem.path)
        for problem in problems
    ]
    if not found:
        found.append(Check("ok", "configuration"))
    if config is not None and not missing:
        found += _of_rate(config)
        found += _of_data(config, checks)
        found += _of_effects(effects) if effects is not None else []
    order = list(MARKS)
    return sorted(found, key=lambda check: order.index(check.severity))


def _of_rate(config: RunConfig) -> list[Check]:
    """Warns of a rate that suits an adapter where all weights are trained."""
    rate = config.optim.learning_rate
    if config.method.kind != "full" or rate <= _HIGHEST_FULL_RATE:
        return []
    field = field_at("optim.learning_rate")
    text = f"a learning rate of {shown(field, rate)} suits LoRA and is high for all weights"
    remedy = f"set optim.learning_rate to {shown(field, _FULL_RATE)}, as the preset full has it"
    return [Check("warning", text, remedy, step="configure", field=field.path)]


def _of_data(config: RunConfig, checks: "Checks") -> list[Check]:
    if checks.error is not None:
        return [_of_failure(checks.error)]
    found: list[Check] = []
    ignored = config.data.ignore_problems
    problems = checks.result.problems if checks.result is not None else []
    stopping = {problem.id for problem in blocking(problems, ignored)}
    for problem in problems:
        severity, remedy = problem.severity, with_keys(problem.remedy)
        if problem.id in ignored and problem.id not in stopping:  # its name was typed: known
            severity, remedy = "info", "let pass in this configuration"
        found.append(Check(severity, problem.message, remedy, id=problem.id, step="preview"))
    seen = checks.result.statistics.rows if checks.result is not None else 0
    if checks.result is not None and checks.result.complete:
        if not stopping:
            found.append(Check("ok", f"{'all ' * (seen > 1)}{counted(seen, 'row')} looked at"))
    elif checks.cancelled:
        ended = f"the look at all rows was ended after {seen:,}"
        found.append(Check("open", ended, "Enter begins it again, and launches after it"))
    else:
        rows = checks.progress.rows or seen
        share = f", {percent(checks.progress.share)}" if checks.progress.rows else ""
        words = checks.progress.words or f"looking at rows: {rows:,}{share}"
        found.append(Check("open", words))
    return found


def _of_effects(effects: "Effects") -> list[Check]:
    """Returns what is to be said of memory and disk; an estimate alone refuses nothing."""
    wrong = effects.adapter_failure
    if wrong is not None:
        text = f"{wrong.what}: {wrong.why}"
        named = wrong.what.partition(":")[0]
        field = named if named.startswith("method.") else "method.target_modules"
        return [Check("error", text, wrong.remedy, step="configure", field=field)]
    found = [_of_fit(fit) for fit in effects.fits]
    longest = effects.memory.rows_tokens if effects.memory is not None else 0
    if effects.context is not None and longest > effects.context:
        found.append(
            Check(
                "warning",
                f"rows have up to {longest:,} tokens, and the model was made for "
                f"{effects.context:,}",
                f"set data.max_length to {effects.context} or less",
                step="configure",
                field="data.max_length",
            )
        )
    disk = effects.disk
    if disk is not None and disk.free is not None:
        if disk.total > disk.free:
            need = f"checkpoints need up to {_gib(disk.total)}, {_gib(disk.free)} are free"
            found.append(
                Check("warning", need, "free space, or lower save.keep", field="save.keep")
            )
        else:
            found.append(Check("ok", "disk"))
    return found


def _of_fit(fit: "Fit") -> Check:
    of = "" if fit.capacity is None else f" of {_gib(fit.capacity)}"
    share = "" if fit.share is None else f": ~{percent(fit.share)}{of}"
    text = f"memory of {fit.device} {fit.word}{share}"
    if fit.word == "fits":
        return Check("ok", text)
    if fit.word == "unknown":
        return Check("info", f"memory unknown: {fit.why}" if fit.why else text)
    instead = f"fits with {fit.instead}" if fit.instead else fit.why
    return Check("warning", text, instead, step="configure", field="train.micro_batch_size")


def _of_failure(error: SftError) -> Check:
    return Check("error", f"{error}", with_keys(error.remedy), step="data")


def changes(config: RunConfig, before: RunConfig) -> list[str]:
    """Returns what differs from another configuration, as "method.rank 8 → 16"."""
    old, new = _flat(config_file.to_raw(before)), _flat(config_file.to_raw(config))
    return [
        one_line(f"{path} {_shown(old.get(path))} → {_shown(new.get(path))}", 120)
        for path in dict.fromkeys([*new, *old])
        if old.get(path) != new.get(path)
    ]


def _flat(value: Any, path: str = "") -> dict[str, Any]:
    """Returns the leaves of a configuration by their dotted paths; lists of values are leaves."""
    if isinstance(value, dict) and value:
        items = as_map(value).items()
    elif path == "data.sources":
        items = enumerate(as_list(value))
    else:
        return {path: value}
    found: dict[str, Any] = {}
    for key, entry in items:
        found |= _flat(entry, f"{path}.{key}" if path else str(key))
    return found


def _shown(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, list):
        return ", ".join(map(str, as_list(value))) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)
