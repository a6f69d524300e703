"""What is wrong between values that are each valid alone, which no type can say."""

import difflib

from .config import MethodConfig, Problem, RunConfig, SourceConfig
from .data import columns, lints, rows


def _check_source(path: str, source: SourceConfig) -> list[Problem]:
    """Returns names in a source that mean nothing: roles of columns and of turns, paths."""
    problems: list[Problem] = []
    for role, column in source.columns.items():
        if role not in columns.ROLES:
            known = ", ".join(columns.ROLES)
            problems.append(
                Problem(
                    f"{path}.columns", f"{path}.columns: {role!r} is no role; there are {known}"
                )
            )
        try:
            columns.parse(column)
        except ValueError as error:
            problems.append(Problem(f"{path}.columns", f"{path}.columns.{role}: {error}"))
    for name, role in source.roles.items():
        if role not in rows.ROLES:
            known = ", ".join(rows.ROLES)
            problems.append(
                Problem(
                    f"{path}.roles", f"{path}.roles.{name} must be one of {known}; got {role!r}"
                )
            )
    return problems


def _check_launch(config: RunConfig) -> list[Problem]:
    """Returns what several devices cannot do."""
    launch = config.launch
    problems: list[Problem] = []
    if len(set(launch.device_ids)) < len(launch.device_ids):
        ids = ", ".join(map(str, launch.device_ids))
        problems.append(Problem("launch.device_ids", f"launch.device_ids names a GPU twice: {ids}"))
    if launch.device_ids and launch.devices not in (1, len(launch.device_ids)):
        problems.append(
            Problem(
                "launch.devices",
                f"launch.devices is {launch.devices}, but launch.device_ids names "
                f"{len(launch.device_ids)} GPUs: set one of them alone",
                others=("launch.device_ids",),
            )
        )
    if launch.device_ids and launch.accelerator in ("cpu", "mps"):
        problems.append(
            Problem(
                "launch.device_ids",
                f"launch.device_ids names GPUs, but launch.accelerator is {launch.accelerator}: "
                "leave launch.device_ids out, or set launch.accelerator to cuda",
                others=("launch.accelerator",),
            )
        )
    if launch.accelerator == "mps" and launch.ranks > 1:
        problems.append(
            Problem(
                "launch.devices",
                f"launch.devices is {launch.ranks}, and launch.accelerator mps has one device: "
                "set launch.devices to 1",
                others=("launch.accelerator",),
            )
        )
    if launch.strategy == "fsdp" and launch.ranks > 1:
        problems += _check_sharded(config)
    return problems


def _check_sharded(config: RunConfig) -> list[Problem]:
    """Returns what cannot be split over devices."""
    unable = {
        "model.quantisation": (config.model.quantisation, "nf4", "weights in 4 bits"),
        "optim.name": (config.optim.name, "adamw_8bit", "moments in 8 bits"),
        "train.precision": (config.train.precision, "fp16", "the loss scale of fp16"),
    }
    return [
        Problem(
            path,
            f"{path}: {value} and launch.strategy: fsdp do not go together: {what} cannot be "
            "shared between devices here; set launch.strategy to ddp",
            others=("launch.strategy",),
        )
        for path, (value, refused, what) in unable.items()
        if value == refused
    ]


def _check_method(config: RunConfig) -> list[Problem]:
    """Returns choices of what is trained that exclude each other."""
    method = config.method
    problems = _check_full(method) if method.kind == "full" else _check_lora(method)
    if config.model.quantisation == "nf4":
        if method.kind == "full":
            problems.append(
                _clash(
                    "model.quantisation",
                    "method.kind",
                    "model.quantisation is nf4, and weights in 4 bits cannot be trained as "
                    "method.kind full would: set model.quantisation to none, or method.kind to "
                    "lora",
                )
            )
        elif method.init in ("pissa", "olora"):
            problems.append(
                _clash(
                    "method.init",
                    "model.quantisation",
                    f"method.init {method.init} changes the weights that it starts from, which "
                    "model.quantisation nf4 would round away: set method.init to default, or "
                    "model.quantisation to none",
                )
            )
    return problems


def _check_full(method: MethodConfig) -> list[Problem]:
    """Returns what only an adapter has, where there is none."""
    plain = MethodConfig()
    return [
        _clash(
            f"method.{key}",
            "method.kind",
            f"method.{key} is of an adapter, and method.kind full has none: leave method.{key} "
            "out, or set method.kind to lora",
        )
        for key in ("target_parameters", "rslora", "dora", "init")
        if getattr(method, key) != getattr(plain, key)
    ]


def _check_lora(method: MethodConfig) -> list[Problem]:
    """Returns what does nothing for an adapter, and what PEFT cannot do."""
    problems: list[Problem] = []
    if method.freeze:
        problems.append(
            _clash(
                "method.freeze",
                "method.kind",
                "method.freeze does nothing while method.kind is lora, which freezes all weights: "
                "leave method.freeze out, or set method.kind to full",
            )
        )
    if method.init == "orthogonal" and method.rank % 2:
        problems.append(
            _clash(
                "method.rank",
                "method.init",
                f"method.init orthogonal halves the rank, and method.rank {method.rank} is odd: "
                "set an even method.rank, or method.init to default",
            )
        )
    if not method.target_parameters:
        return problems
    for key, value, plain in (
        ("dropout", method.dropout, 0),
        ("dora", method.dora, "false"),
        ("init", method.init not in ("default", "gaussian"), "default"),
    ):
        if value:
            problems.append(
                _clash(
                    f"method.{key}",
                    "method.target_parameters",
                    f"method.{key} cannot be had with method.target_parameters, which PEFT adds "
                    f"to whole weights: set method.{key} to {plain}, or leave "
                    "method.target_parameters out",
                )
            )
    return problems


def _clash(path: str, other: str, message: str) -> Problem:
    return Problem(path, message, others=(other,))


def cross_check(config: RunConfig) -> list[Problem]:
    """Returns what is wrong between fields that are each valid alone."""
    problems = _check_launch(config)
    for name in config.data.ignore_problems:
        if name not in lints.LINTS:
            close = difflib.get_close_matches(name, lints.LINTS, n=1)
            hint = f"; the nearest is {close[0]}" if close else ""
            problems.append(
                Problem(
                    "data.ignore_problems",
                    f"data.ignore_problems: there is no problem {name!r}{hint}",
                )
            )
    if config.data.empty_answers == "text" and not config.data.empty_answer_text:
        problems.append(
            Problem(
                "data.empty_answer_text",
                "data.empty_answers is `text`, but data.empty_answer_text is empty: "
                "set the text, or set data.empty_answers to `drop`",
                others=("data.empty_answers",),
            )
        )
    if config.data.share_prefixes == "always" and config.data.pack == "never":
        problems.append(
            _clash(
                "data.share_prefixes",
                "data.pack",
                "data.share_prefixes: always needs packed rows, but data.pack is never: "
                "set data.pack to auto, or data.share_prefixes to auto or never",
            )
        )
    problems += _check_method(config)
    for beta in config.optim.betas:
        if not 0 <= beta < 1:
            problems.append(
                Problem("optim.betas", f"optim.betas must each be in [0, 1); got {beta:g}")
            )
    for index, source in enumerate(config.data.sources):
        problems += _check_source(f"data.sources.{index}", source)
        if (source.template == "file") != (source.template_file is not None):
            path = f"data.sources.{index}.template_file"
            problems.append(
                Problem(
                    path,
                    f"{path} and `template: file` belong together: set both, or neither",
                    others=(f"data.sources.{index}.template",),
                )
            )
    if (
        config.data.eval_source is None
        and config.data.eval_split is None
        and config.data.eval_fraction == 0
    ):
        asked = config.evaluate.every_steps
        if asked is not None:
            problems.append(
                Problem(
                    "data.eval_fraction",
                    f"evaluate.every_steps is {asked}, but data.eval_fraction is 0 and "
                    "data.eval_source is null: set one of them, or evaluate.every_steps to null",
                    others=("evaluate.every_steps",),
                )
            )
    return problems
