"""`config`: print a commented configuration, its JSON Schema, or what is wrong with a file."""

import argparse
import json
from pathlib import Path

from ...core import config_file, fields
from ...core.config import ConfigError
from ...core.errors import UsageError
from ...core.text import one_line


def config(arguments: argparse.Namespace) -> int:
    """Prints a configuration, `schema` its schema, `check FILE` its problems."""
    if arguments.action == "schema":
        if arguments.file is not None:
            raise UsageError("`config schema` takes no file", arguments.file, "leave it out")
        print(json.dumps(fields.json_schema(), indent=2))
        return 0
    if arguments.action == "check":
        return _check(arguments)
    built = config_file.build(arguments.sets, arguments.preset)
    print(config_file.to_yaml(built, comments=True), end="")
    return 0


def _check(arguments: argparse.Namespace) -> int:
    if arguments.file is None:
        raise UsageError("there is nothing to check", "no file was given", "name a YAML file")
    path = Path(arguments.file)
    try:
        checked = config_file.load(path, arguments.sets, arguments.preset)
    except ConfigError as error:
        for problem in error.problems:
            line = f"line {problem.line}: " if problem.line else ""
            print(one_line(f"{path}: {line}{problem.message}"))
        return error.exit_code
    print(f"{path}: no problems (hash {config_file.config_hash(checked)})")
    return 0
