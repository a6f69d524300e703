"""`datasets OWNER/NAME`: one data set of the Hub, its splits, shape and first rows."""

import argparse
import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from itertools import islice
from typing import Any

from ...core.data.row_files import RawRow, read_rows
from ...core.data.shapes import Shape, detect
from ...core.hub import facts, tokens, viewer
from ...core.hub.client import HubClient
from ...core.hub.datasets import HubDataset, here
from ...core.hub.endpoint import host_of
from ...core.hub.failures import HubError, gated
from ...core.text import one_line
from .progress import teller

_ROWS = 3
_STREAM_S = 60
_CACHE = "cache"
_NO_PREVIEW = ("missing", "refused", "server", "garbled")
"""Kinds of errors of the Dataset Viewer after which the rows themselves may still be had."""
_Shown = tuple[facts.Repo, list[viewer.Split], viewer.FirstRows, str]
"""A data set, its splits, first rows, and where these are from."""


def show(arguments: argparse.Namespace) -> int:
    """Prints what the Hub knows of a data set, without downloading it."""
    name = facts.checked_id(arguments.query)
    try:
        found, splits, first, source = asyncio.run(_ask(name, teller(arguments)))
    except HubError as error:
        own = here(name)
        if error.kind != "offline" or not own:
            raise
        found, splits, first, source = _cached(own)
    shape = detect(first.rows, {}, "auto") if first.rows else None
    if arguments.json:
        print(json.dumps(_as_json(found, splits, first, shape, source)))
        return 0
    size = sum(file.size for file in found.files)
    files = f"{len(found.files)} files{' here' if source == _CACHE else ''}"
    print(f"{name} · {files}, {size / 2**20:,.1f} MiB · commit {found.commit[:7]}")
    for split in splits:
        print(f"  config {one_line(split.config)}, split {one_line(split.split)}")
    print(f"shape: {shape.name} ({shape.certainty}: {one_line(shape.reason)})" if shape else
          "shape: not recognised; `data.sources.0.columns` names the columns by role")  # fmt: skip
    for number, (row, cut) in enumerate(zip(first.rows[:_ROWS], first.cut, strict=False)):
        print(f"row {number} ({source}{', cut: ' + one_line(', '.join(cut)) if cut else ''})")
        for column, value in row.items():
            print(
                f"  {one_line(column, 40)}: {one_line(json.dumps(value, ensure_ascii=False), 160)}"
            )
    return 0


async def _ask(name: str, tell: Callable[[str], None] | None) -> _Shown:
    async with HubClient(tell) as client:
        found, _ = await facts.repo(client, name, kind="dataset")
        scripts = [file.path for file in found.files if file.path == f"{name.split('/')[1]}.py"]
        if scripts:
            raise HubError(
                "local",
                f"{name} cannot be read",
                f"it needs its own Python script {scripts[0]}, which is never run",
                "choose a copy of it with data files, such as parquet",
            )
        try:
            splits = await viewer.splits(client, name)
            first = await viewer.first_rows(client, name, splits[0].config, splits[0].split)
        except (HubError, IndexError) as error:
            if isinstance(error, HubError) and error.kind not in _NO_PREVIEW:
                raise
            if found.gated:
                signed_in = tokens.read() is not None
                page = facts.page(name, "dataset")
                raise gated(page, client.endpoint, signed_in=signed_in) from error
            if tell is not None:
                tell(f"reading the first rows from {host_of(client.endpoint)} …")
            rows = await asyncio.to_thread(_stream, name)
            return found, [], viewer.FirstRows(rows, [[] for _ in rows]), "streamed"
        return found, splits, first, "Dataset Viewer"


def _cached(own: list[HubDataset]) -> _Shown:
    """Returns what is on this machine of a data set, which the Hub is not asked about."""
    first = own[0]
    splits = [viewer.Split(part.config or "default", name) for part in own for name in part.here()]
    paths = {path for part in own for name in part.here() for path in part.paths(name)}
    files = [facts.File(path.name, path.stat().st_size, None) for path in sorted(paths)]
    raw = read_rows(first.id, first.here()[0], config=first.config)
    with closing(raw):
        found = [row.fields for row in islice(raw, _ROWS) if isinstance(row, RawRow)]
    rows = json.loads(json.dumps(found, default=str))  # a cell may be a date or bytes
    repo = facts.Repo(first.id, "dataset", first.commit, False, files, {})
    return repo, splits, viewer.FirstRows(rows, [[] for _ in rows]), _CACHE


def _stream(name: str) -> list[dict[str, Any]]:
    """Reads the first rows by the library `datasets`, in a child process."""
    command = [sys.executable, "-P", "-m", "sft_tui.core.training.dataset_peek", name, "train"]
    try:
        done = subprocess.run(
            [*command, str(_ROWS)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_STREAM_S,
        )
        why = done.stdout.strip() or one_line(done.stderr[-300:])
    except subprocess.TimeoutExpired:
        done, why = None, f"no row came in {_STREAM_S} s"
    if done is None or done.returncode:
        raise HubError(
            "local", f"the first rows of {name} cannot be shown", one_line(why, 300),
            "`sft-tui download --dataset` brings a split",
        )  # fmt: skip
    return json.loads(done.stdout)


def _as_json(
    found: facts.Repo,
    splits: list[viewer.Split],
    first: viewer.FirstRows,
    shape: Shape | None,
    source: str,
) -> dict[str, Any]:
    return {
        "id": found.id,
        "commit": found.commit,
        "gated": None if source == _CACHE else found.gated,
        "bytes": sum(file.size for file in found.files),
        "splits": [{"config": split.config, "split": split.split} for split in splits],
        "shape": shape.name if shape else None,
        "certainty": shape.certainty if shape else None,
        "rows": first.rows[:_ROWS],
        "cut": first.cut[:_ROWS],
        "source": source,
    }
