"""`sft-tui`: the parser, the dispatch, and how failures are shown. No command's work is here.

Only argparse and the command table are imported at start; each command imports what it needs.
"""

import argparse
import importlib
import io
import json
import os
import sys
from collections.abc import Callable
from typing import NoReturn

from ..core import __version__
from ..core.errors import SftError

EXIT_INTERRUPTED = 130

_ORDERS = ("downloads", "likes", "lastModified", "createdAt", "trendingScore")
_RUN_HELP = "an id, a unique part of one, a path, or `latest`"


def main(argv: list[str] | None = None) -> int:
    """Runs one command.

    Returns:
        0 done, 1 the run or check failed, 2 bad usage or configuration, 130 interrupted.
    """
    if sys.stdin is None:  # closed, as by `<&-`: nobody is there to be asked
        sys.stdin = open(os.devnull)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without UTF-8 gets question marks
    arguments = build_parser().parse_args(argv)
    if arguments.runs == "":
        return _show_usage("--runs cannot be used", "it is empty", "give a folder")
    module, _, function = arguments.handler.partition(":")
    try:
        if arguments.runs is None:
            arguments.runs = _runs_of_settings()
        # Each family of commands is imported when one of it runs: --version stays fast.
        command = getattr(importlib.import_module(f".commands.{module}", __package__), function)
        code = command(arguments)
        sys.stdout.flush()  # here, where a full disk can still be told
        return code
    except SftError as error:
        if arguments.debug:
            raise
        _show(error, as_json=getattr(arguments, "json", False))
        return error.exit_code
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader of our output left, as `head` does; nothing more can be said to it.
        _discard_output()
        return 1
    except OSError as error:
        if arguments.debug:
            raise
        _discard_output()  # what stands in its buffer may be what could not be written
        where = f": {error.filename}" if error.filename else ""
        return _show_usage(
            "the command could not be finished",
            f"{error.strerror or error}{where}",
            "check the file or disk; --debug shows where it happened",
            code=1,
        )


def _runs_of_settings() -> str | None:
    """Returns the folder of runs that the settings name; says what is wrong with their file."""
    from .services import settings

    found = settings.load()
    if said := settings.unread(found):
        print(f"note: {said}", file=sys.stderr)
    return found.value.runs or None


def _discard_output() -> None:
    """Lets go of what is still to be printed, so that leaving does not fail on it again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _show_usage(what: str, why: str, remedy: str, code: int = 2) -> int:
    """Prints one failure and returns its exit code."""
    _show(SftError(what, why, remedy), as_json=False)
    return code


def _show(error: SftError, *, as_json: bool) -> None:
    """Prints what, why and what to do, one line each; as JSON too where that was asked for."""
    from ..core.text import one_line

    if as_json:
        print(json.dumps({"error": error.what, "why": error.why, "remedy": error.remedy}))
    for label, text in (("error", error.what), ("why", error.why), ("do", error.remedy)):
        print(f"{label}: {one_line(text)}", file=sys.stderr)


class _Parser(argparse.ArgumentParser):
    """A parser whose usage errors have the form of every other error."""

    def error(self, message: str) -> NoReturn:
        self.exit(
            2,
            f"error: the command line cannot be used\nwhy: {message}\n"
            f"do: `{self.prog} --help` shows what it takes\n",
        )


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser of `sft-tui` and all its subcommands."""
    parser = _Parser(
        prog="sft-tui",
        description="Fine-tune language models in a terminal. Without a command, opens the "
        "application.",
    )
    parser.set_defaults(handler="application:application", command="")
    parser.add_argument("--runs", metavar="DIR", default=None, help="folder of the runs")
    parser.add_argument("--version", action="version", version=f"sft-tui {__version__}")
    common = _Parser(add_help=False)
    # Suppressed defaults: what stands before the command is not overwritten by its own default.
    common.add_argument(
        "--debug",
        action="store_true",
        default=argparse.SUPPRESS,
        help="show tracebacks of failures",
    )
    common.add_argument(
        "--runs", metavar="DIR", default=argparse.SUPPRESS, help="folder of the runs"
    )
    as_json = _Parser(add_help=False)
    as_json.add_argument("--json", action="store_true", help="print JSON and nothing else")
    parser.set_defaults(debug=False)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")

    def command(
        name: str, handler: str, help: str, *, json: bool = False
    ) -> argparse.ArgumentParser:
        parents = [common, as_json] if json else [common]
        added = commands.add_parser(name, help=help, description=help, parents=parents)
        added.set_defaults(handler=handler, command=name)
        return added

    demo = command("demo", "train:demo", "fine-tune the embedded model on the embedded data")
    demo.add_argument("--steps", type=int, metavar="N", help="optimizer steps, 26 by default")
    demo.add_argument("--plain", action="store_true", help="progress lines, no full screen")

    train = command("train", "train:train", "train what a configuration says", json=True)
    train.add_argument("config", metavar="CONFIG.yaml", nargs="?")
    _add_overrides(train)
    train.add_argument("--detach", action="store_true", help="start it and return")

    config = command("config", "config:config", "print, describe or check a configuration")
    config.add_argument("action", nargs="?", choices=["schema", "check"], help="what to do instead")
    config.add_argument("file", metavar="FILE", nargs="?", help="the file that is checked")
    _add_overrides(config)

    preview = command("preview", "preview:preview", "show what will be trained on", json=True)
    preview.add_argument(
        "config", metavar="CONFIG.yaml", nargs="?", help="a configuration, or just a data file"
    )
    which = preview.add_mutually_exclusive_group()
    which.add_argument("--row", type=int, metavar="N", help="its number, from 0; else the first")
    which.add_argument("--stats", action="store_true", help="statistics and problems of all rows")
    preview.add_argument(
        "--ascii", action="store_true", help="mark with a line of ^ trained, . context, x cut"
    )
    preview.add_argument("--source", type=int, metavar="K", default=0, help="which source, from 0")
    _add_overrides(preview)

    _add_hub(command)

    fit = command("fit", "fit:fit", "estimate the memory of a run on this machine", json=True)
    fit.add_argument("config", metavar="CONFIG.yaml|MODEL", help="a configuration, or just a model")
    fit.add_argument("--measure", action="store_true", help="take two real steps and compare")
    fit.add_argument(
        "--kind",
        choices=["lora", "qlora", "full"],
        help="what would be trained; else as configured",
    )
    fit.add_argument(
        "--checkpointing", action="store_true", help="as if train.gradient_checkpointing were true"
    )
    _add_overrides(fit)

    runs = command("runs", "runs:runs", "list the runs", json=True)
    runs.add_argument("--limit", type=int, metavar="N", help="only the newest N")
    show = command("show", "runs:show", "tell everything about one run", json=True)
    show.add_argument("run", metavar="RUN", help=_RUN_HELP)

    note = command("note", "care:note", "show or write the note of a run", json=True)
    note.add_argument("run", metavar="RUN", help=_RUN_HELP)
    note.add_argument("text", metavar="TEXT", nargs="?", help='one line; "" takes the note away')
    delete = command("delete", "care:delete", "delete a run's folder", json=True)
    delete.add_argument("run", metavar="RUN", help=_RUN_HELP)
    delete.add_argument("--yes", action="store_true", help="delete without asking")

    queue = command("queue", "queue:queue", "list, add or remove runs that wait", json=True)
    queue.add_argument("action", nargs="?", choices=["add", "remove", "start"])
    queue.add_argument(
        "what", metavar="CONFIG.yaml|ID", nargs="?", help="what is added, or a part of an id"
    )
    _add_overrides(queue)

    compare = command("compare", "compare:compare", "compare two to six runs", json=True)
    compare.add_argument(
        "run",
        metavar="RUN",
        nargs="*",
        help=f"{_RUN_HELP}, or the folder of a run of transformers, TensorBoard or W&B",
    )
    compare.add_argument("--csv", metavar="FILE", help="write all their curves into a new file")

    watch = command("watch", "watch:watch", "follow a run", json=True)
    watch.add_argument("run", metavar="RUN", nargs="?", help=_RUN_HELP)
    watch.add_argument("--plain", action="store_true", help="one line per change")

    _add_control(command)
    _add_export(command)
    _add_chat(command)

    command("doctor", "doctor:doctor", "check this machine", json=True)
    return parser


def _add_control(command: Callable[..., argparse.ArgumentParser]) -> None:
    for name, sentence in (
        ("stop", "stop after the step, with checkpoint and adapter"),
        ("pause", "save after the step and free the device; `resume` goes on"),
        ("checkpoint", "write a checkpoint after the step"),
        ("evaluate", "evaluate after the step"),
        ("sample", "answer the sample prompts after the step"),
        ("dump", "write the stack traces of all threads into trainer.log"),
    ):
        added = command(name, "control:ask", sentence, json=True)
        added.add_argument("run", metavar="RUN", help=_RUN_HELP)
    change = command("set", "control:change", "change a running run", json=True)
    change.add_argument("run", metavar="RUN", help=_RUN_HELP)
    change.add_argument(
        "assignment",
        metavar="KEY=VALUE",
        help="learning_rate, max_steps, eval_every_steps or save_every_steps",
    )
    extend = command("extend", "control:extend", "train a run for longer", json=True)
    extend.add_argument("run", metavar="RUN", help=_RUN_HELP)
    extend.add_argument(
        "assignment", metavar="max_steps=N|epochs=N", help="the new end of the whole run"
    )
    resume = command(
        "resume", "train:resume", "go on from the newest checkpoint, else from step 0", json=True
    )
    resume.add_argument("run", metavar="RUN", help=_RUN_HELP)
    _add_sets(resume)
    for going_on in (extend, resume):
        going_on.add_argument("--detach", action="store_true", help="start it and return")
        going_on.add_argument("--yes", action="store_true", help="take what changed unasked")
    kill = command("kill", "control:kill", "kill the trainer without saving", json=True)
    kill.add_argument("run", metavar="RUN", help=_RUN_HELP)


def _add_hub(command: Callable[..., argparse.ArgumentParser]) -> None:
    for name, what in (("models", "models"), ("datasets", "data sets")):
        found = command(name, f"hub:{name}", f"search {what} on the Hub", json=True)
        found.add_argument("query", metavar="QUERY", nargs="?", help="parts of the name")
        found.add_argument(
            "--sort",
            default="downloads",
            choices=_ORDERS,
            metavar="ORDER",  # all of them in braces would be wider than a terminal
            help=f"{', '.join(_ORDERS[:-1])} or {_ORDERS[-1]}; downloads by default",
        )
        found.add_argument("--limit", type=int, default=25, metavar="N", help="rows, 25 by default")
        if name == "models":
            found.add_argument("--fit", action="store_true", help="judge each: does it fit here")
            found.add_argument("--offline", action="store_true", help="only those on this machine")
    fetch = command("download", "hub:download", "bring a model or data set here", json=True)
    fetch.add_argument("id", metavar="OWNER/NAME")
    fetch.add_argument("--revision", default="main", help="of a model: branch, tag or commit")
    fetch.add_argument("--dataset", action="store_true", help="a data set, not a model")
    fetch.add_argument("--config", metavar="NAME", help="of a data set: null is its default")
    fetch.add_argument("--split", default="train", help="of a data set, train by default")


def _add_export(command: Callable[..., argparse.ArgumentParser]) -> None:
    export = command("export", "export:export", "write a result to a folder or the Hub", json=True)
    export.add_argument("run", metavar="RUN", help=_RUN_HELP)
    export.add_argument("--to", metavar="DIR", help="a folder that does not exist yet")
    export.add_argument(
        "--checkpoint", metavar="last|best|STEP", help="a checkpoint in place of the result"
    )
    export.add_argument("--merge", action="store_true", help="whole weights, not the adapter")
    export.add_argument("--push", metavar="OWNER/NAME", help="a repository on the Hub")
    export.add_argument("--public", action="store_true", help="visible to all; else private")
    export.add_argument("--yes", action="store_true", help="push without asking")
    report = command("report", "report:report", "write a run as one HTML file", json=True)
    report.add_argument("run", metavar="RUN", help=_RUN_HELP)
    report.add_argument("--to", metavar="FILE.html", required=True, help="the file")
    report.add_argument("--force", action="store_true", help="replace a file that is there")
    verify = command("verify", "verify:verify", "load an export and compare its logits", json=True)
    verify.add_argument("folder", metavar="DIR", help="what `export` wrote")
    verify.add_argument(
        "--base", metavar="FOLDER|OWNER/NAME", help="the base, where it is not found by its name"
    )


def _add_chat(command: Callable[..., argparse.ArgumentParser]) -> None:
    chat = command("chat", "chat:chat", "ask a run's model, and its base beside it", json=True)
    chat.add_argument("run", metavar="RUN", help=_RUN_HELP)
    chat.add_argument(
        "--checkpoint", metavar="last|best|STEP", help="whose weights answer; else the newest"
    )
    chat.add_argument("--base", action="store_true", help="let the base answer as well")
    chat.add_argument("--prompt", metavar="TEXT", help="ask this and leave; else line by line")
    chat.add_argument("--max-tokens", type=int, metavar="N", help="of an answer, 256 by default")
    chat.add_argument(
        "--temperature", type=float, default=0.0, metavar="T", help="0, the default, is greedy"
    )
    chat.add_argument("--device", choices=["auto", "cpu"], default="auto", help="else the run's")
    chat.add_argument("--force", action="store_true", help="load it where memory is short")


def _add_overrides(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--preset",
        metavar="NAME",
        help="starting point: recommended, demo, smoke, lora-light, lora-balanced, qlora, full, "
        "seed",
    )
    _add_sets(parser)


def _add_sets(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--set",
        dest="sets",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="override one key, such as method.rank=8",
    )


if __name__ == "__main__":
    sys.exit(main())
