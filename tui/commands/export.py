"""`export`: a run's result to a folder, and from there to the Hub once it was confirmed."""

import argparse
import asyncio
import json
import shutil
import sys
import tempfile
from pathlib import Path

from ...core import export as exports
from ...core.errors import UsageError
from ...core.find import find_run
from ...core.hub import endpoint, push
from ...core.rundir import RunDir, explain_os_error, home, make_folder
from ...core.text import one_line
from .confirm import confirmed
from .progress import follow, teller

_SHOWN_FILES = 20


def export(arguments: argparse.Namespace) -> int:
    """Exports, and pushes where that was asked for and confirmed."""
    _check(arguments)
    run = find_run(arguments.run, Path(arguments.runs) if arguments.runs else None)
    chosen = exports.choose(run, arguments.checkpoint)
    given: str = arguments.to or ""
    if given:
        exports.check_target(Path(given))
    if arguments.push is None:
        _write(run, chosen, Path(given), arguments)
        return 0
    # Before the work: what stands against a push is told at once.
    tell = teller(arguments)
    to = asyncio.run(push.look(arguments.push, public=arguments.public, tell=tell))
    own = None if given else _own_folder(run)
    kept = False
    try:
        folder = _write(run, chosen, own / "export" if own else Path(given), arguments)
        plan = push.plan(folder, to)
        _show(plan, arguments)
        if not confirmed(arguments, plan.to.id, "push", "pushed", "check the lines above"):
            print("nothing was pushed", file=sys.stderr)
            return 1
        kept = True
        _push(folder, arguments)
        kept = False
    finally:
        if own and not kept:
            shutil.rmtree(own, ignore_errors=True)
        elif kept:
            print(f"the export stays in {own or given}", file=sys.stderr)
    return 0


def _check(arguments: argparse.Namespace) -> None:
    if arguments.push is None:
        if arguments.to is None:
            raise UsageError(
                "there is nowhere to export to",
                "neither --to nor --push was given",
                "give a folder with --to, or a repository of the Hub with --push",
            )
        if arguments.public or arguments.yes:
            raise UsageError(
                "--public and --yes cannot be used", "nothing is pushed", "add --push OWNER/NAME"
            )
    else:
        push.checked_target(arguments.push)
    if arguments.to == "":
        raise UsageError("--to cannot be used", "it is empty", "give a folder")


def _own_folder(run: RunDir) -> Path:
    """Makes a folder for an export that nobody keeps."""
    place = home() / "exports"
    try:
        make_folder(place)
        return Path(tempfile.mkdtemp(dir=place, prefix=f"{run.id}-"))
    except OSError as error:
        raise explain_os_error(error, "making a folder for the export") from error


def _write(
    run: RunDir, chosen: exports.Chosen, target: Path, arguments: argparse.Namespace
) -> Path:
    told = exports.export(run, chosen, target, merge=arguments.merge, repo=arguments.push)
    folder = Path(asyncio.run(follow(told, as_json=arguments.json)).folder)
    if arguments.to and not arguments.json:
        print(one_line(str(folder)))
    return folder


def _push(folder: Path, arguments: argparse.Namespace) -> None:
    asked = push.Request(arguments.push, str(folder), arguments.public)
    done = asyncio.run(follow(push.push(asked), as_json=arguments.json, asks=endpoint.host()))
    if not arguments.json:
        where = f"{done.folder} at {done.commit}"
        print(one_line(f"{done.reason}: {where}" if done.reason else where))


def _show(plan: push.Plan, arguments: argparse.Namespace) -> None:
    """Prints what a push would do."""
    to = plan.to
    if arguments.json:
        facts = {
            "event": "plan", "repo": to.id, "url": to.url, "account": to.account,
            "exists": to.exists, "private": to.private, "files": plan.files,
            "bytes": plan.bytes, "overwritten": plan.overwritten, "kept": plan.kept,
        }  # fmt: skip
        print(json.dumps(facts), flush=True)
        return
    lines = [
        ("push to", f"{to.url} as {to.account}"),
        ("repository", "exists" if to.exists else "will be made"),
        ("visible to", "those it is shared with" if to.private else "EVERYBODY"),
        ("files", f"{len(plan.files)}, {plan.bytes:,} bytes"),
        *(("", f"{name}  {size:,}") for name, size in _first(plan.files)),
    ]
    if to.exists and arguments.public and to.private:
        lines.append(("note", "it is private already, and --public does not change that"))
    if plan.overwritten:
        lines.append(("overwrites", ", ".join(plan.overwritten)))
    if plan.kept:
        lines.append(("stay there", f"{len(plan.kept)} other files"))
    lines.append(("note", "README.md shows the prompts and answers that the run sampled"))
    for label, value in lines:
        print(f"{label:<12} {one_line(value)}")


def _first(files: dict[str, int]) -> list[tuple[str, int]]:
    return list(files.items())[:_SHOWN_FILES]
