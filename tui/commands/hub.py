"""`models`, `datasets` and `download`: what the Hub and this machine have."""

import argparse
import asyncio
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ...core.config import RunConfig
from ...core.errors import SftError, UsageError
from ...core.hub import endpoint, facts, local, search
from ...core.hub.client import HubClient
from ...core.hub.datasets import Wanted, split_of
from ...core.hub.download import download as start_download
from ...core.hub.failures import HubError
from ...core.hub.fetch import Request
from ...core.hub_fit import judge, judge_here
from ...core.model_facts import ModelFacts, read_local
from ...core.text import one_line
from ...core.verdict import Verdict
from ..format import UNKNOWN
from .dataset import show as show_dataset
from .progress import follow, teller

_AWAY = ("offline", "unreachable", "timeout", "limit", "server", "refused", "garbled")
"""Kinds of errors after which what is on this machine is still worth showing."""


def models(arguments: argparse.Namespace) -> int:
    """Lists models of the Hub, and those of this machine first."""
    words, own = arguments.query or "", [*local.cached(), *local.in_folder(Path.cwd())]
    page, problem = search.Page[search.ModelRow]([], None), None
    if not arguments.offline:
        page, problem = asyncio.run(_ask(search.models, words, arguments, page))
    here = {model.name: model for model in own}
    trainable = [row.id for row in page.rows if row.not_trainable is None]
    found = asyncio.run(_judged(trainable)) if arguments.fit and not arguments.offline else {}
    rows = [_model(row, here, found.get(row.id)) for row in page.rows]
    shown = {row["id"] for row in rows}
    rest = [m for m in own if m.name not in shown and words.lower() in m.name.lower()]
    # An answer of the Hub says which are newest and most used; without one, these are all.
    known = {model.name: facts for model in rest if (facts := _known(model)) is not None}
    fits = judge_here(known, RunConfig()) if arguments.fit else {}
    own_rows = [_cached(m, known.get(m.name), fits.get(m.name)) for m in rest]
    rows = [*own_rows, *rows][: arguments.limit + len(rest)]
    columns = (*_MODEL_COLUMNS, *(("FIT",) if arguments.fit else ()))
    _print("models", rows, page.next, problem, arguments, columns)
    return 0


def datasets(arguments: argparse.Namespace) -> int:
    """Lists data sets of the Hub, or shows one that is named as owner/name."""
    if arguments.query and "/" in arguments.query:
        return show_dataset(arguments)
    empty = search.Page[search.DatasetRow]([], None)
    page, problem = asyncio.run(_ask(search.datasets, arguments.query or "", arguments, empty))
    if problem is not None:
        raise problem
    rows = [msgspec.to_builtins(row) for row in page.rows]
    _print("datasets", rows, page.next, None, arguments, _DATASET_COLUMNS)
    return 0


def download(arguments: argparse.Namespace) -> int:
    """Brings a model, or a split of a data set, into the Hub's cache."""
    if arguments.dataset:
        wanted = split_of(arguments.id, arguments.config, arguments.split)
        facts.checked_id(wanted.id)
        folder = bring(wanted, as_json=arguments.json)
    else:
        name = facts.checked_id(arguments.id)
        folder = bring(Request(name, revision=arguments.revision), as_json=arguments.json)
        if local.needs_code(Path(folder)):
            print(
                f"{name} brings code of its own, which is never run: it can be trained only where "
                "transformers has that architecture itself",
                file=sys.stderr,
            )
    if not arguments.json:
        print(folder)
    return 0


def bring(request: Request | Wanted, *, as_json: bool = False) -> str:
    """Downloads while telling how it goes, and returns the folder of the snapshot.

    Raises:
        HubError: It failed.
    """
    return asyncio.run(
        follow(start_download(request), as_json=as_json, asks=endpoint.host())
    ).folder


async def _ask(
    ask: Any, words: str, arguments: argparse.Namespace, empty: search.Page[Any]
) -> tuple[search.Page[Any], HubError | None]:
    if arguments.limit < 1:
        raise UsageError("--limit cannot be used", "it must be 1 or more", "leave it out for 25")
    filters = search.Filters(sort=arguments.sort)
    try:
        async with HubClient(teller(arguments)) as client:
            return await ask(client, words, filters, limit=min(arguments.limit, 1000)), None
    except HubError as error:
        if error.kind not in _AWAY:
            raise
        return empty, error


async def _judged(names: list[str]) -> dict[str, Verdict]:
    async with HubClient() as client:
        return await judge(client, names, RunConfig())


def _model(
    row: search.ModelRow, here: dict[str, local.LocalModel], judged: Verdict | None
) -> dict[str, Any]:
    found = here.get(row.id)
    return {
        **{name: getattr(row, name) for name in ("id", "params", "dtype", "license", "gated")},
        **{name: getattr(row, name) for name in ("downloads", "likes", "updated")},
        "chat_template": None,
        "cached": found is not None and found.not_trainable is None,
        "fit": None if judged is None else _fit(judged),
        "not_trainable": row.not_trainable,
    }


def _fit(judged: Verdict) -> str:
    """Returns the verdict in a few words, with what would fit where it does not."""
    mark = {"fits": "✓ fits", "tight": "! tight", "over": "✗ over", "unknown": "? unknown"}
    word = mark[judged.word]
    if judged.instead is not None:
        return f"{word} · {judged.instead.sentence} ✓"
    return f"{word} · {judged.why}" if judged.why else word


def _known(model: local.LocalModel) -> ModelFacts | None:
    """Returns the facts of a model of this machine; None where it has none to be read."""
    if model.kind not in ("cached", "folder") or model.not_trainable is not None:
        return None
    try:
        return read_local(model.folder)
    except SftError:  # it is listed without figures; `fit` says why
        return None


def _cached(
    model: local.LocalModel, known: ModelFacts | None, judged: Verdict | None
) -> dict[str, Any]:
    unknown = dict.fromkeys(("license", "gated", "downloads", "likes", "updated", "chat_template"))
    count = known.parameters if known is not None and not known.packed else None
    why = f"an adapter of {model.base}" if model.kind == "adapter" else model.not_trainable
    return {
        "id": model.name,
        "params": count,
        "dtype": None if known is None else known.dtype,
        **unknown,
        "cached": why is None,
        "fit": None if judged is None else _fit(judged),
        "not_trainable": why,
    }


_MODEL_COLUMNS = ("MODEL", "PARAMS", "DTYPE", "LICENCE", "GATED", "CACHED", "DOWNLOADS", "UPDATED")
_DATASET_COLUMNS = ("DATA SET", "LICENCE", "GATED", "SIZE", "DOWNLOADS", "UPDATED")
_KEYS = {
    "MODEL": "id", "DATA SET": "id", "PARAMS": "params", "DTYPE": "dtype", "LICENCE": "license",
    "GATED": "gated", "CACHED": "cached", "DOWNLOADS": "downloads", "UPDATED": "updated",
    "SIZE": "size", "FIT": "fit",
}  # fmt: skip


def _print(
    name: str,
    rows: list[dict[str, Any]],
    more: str | None,
    problem: HubError | None,
    arguments: argparse.Namespace,
    columns: Iterable[str],
) -> None:
    if problem is not None:
        shown = f"showing {len(rows)} of this machine"
        print(f"{one_line(problem.what)} ({one_line(problem.why)}); {shown}", file=sys.stderr)
        print(f"do: {one_line(problem.remedy)}", file=sys.stderr)
    if arguments.json:
        source = "cache" if problem is not None or arguments.offline else "hub"
        print(json.dumps({name: rows, "source": source, "next": more}))
        return
    if not rows:
        sought = f" for {one_line(arguments.query)!r}" if arguments.query else ""
        print(f"no {name} found{sought}")
        return
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=400)  # nothing may be cut to a guessed width
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        right = column in ("PARAMS", "DOWNLOADS")
        table.add_column(column, no_wrap=True, justify="right" if right else "left")
    for row in rows:
        table.add_row(*(Text(one_line(_cell(column, row))) for column in columns))
    console.print(table)
    if more is not None:
        print(f"the first {len(rows)}; --limit shows more")


def _cell(column: str, row: dict[str, Any]) -> str:
    value = row[_KEYS[column]]
    if column == "PARAMS":
        return parameters(value) if value else row["not_trainable"] or UNKNOWN
    if column in ("GATED", "CACHED"):
        return UNKNOWN if value is None else "yes" if value else "no"
    return UNKNOWN if value is None else f"{value:,}" if isinstance(value, int) else str(value)


def parameters(count: int) -> str:
    """Returns a number of parameters as people write it, such as 4.02B."""
    for size, letter in ((10**12, "T"), (10**9, "B"), (10**6, "M"), (10**3, "K")):
        if count >= size:
            return f"{count / size:.3g}{letter}"
    return str(count)
