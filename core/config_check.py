"""What is wrong between values that are each valid alone, which no type can say."""

import difflib

from .config import Problem, RunConfig, SourceConfig
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
                f"launch.device_ids names GPUs, but launch.accelerator is {launch.accelerator}",
                others=("launch.accelerator",),
            )
        )
    if launch.accelerator == "mps" and launch.ranks > 1:
        problems.append(
            Problem("launch.devices", "launch.accelerator: mps has one device; set devices to 1")
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
