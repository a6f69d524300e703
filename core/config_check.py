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


def cross_check(config: RunConfig) -> list[Problem]:
    """Returns what is wrong between fields that are each valid alone."""
    problems: list[Problem] = []
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
