"""Brings a split of a Hub data set here. As a process of its own it tells in JSON.

Usage: python -P -m sft_tui.core.training.dataset_helper WANTED, where WANTED is the JSON of a
`Wanted`. Prints the events of a download. The library `datasets` says which files a split has.
"""

import asyncio
import re
import sys
from collections.abc import Callable
from typing import Any

import msgspec
from huggingface_hub import constants

from ..errors import DataError, SftError
from ..hub import facts, tokens
from ..hub.child import run
from ..hub.client import HubClient
from ..hub.datasets import HubDataset, Wanted, keep, known, prefer
from ..hub.failures import HubError, gated
from ..hub.fetch import Request, fetch, literal, unwritable
from ..hub.local import repo_folder
from ..hub.progress import Event, snapshot_done
from ..text import one_line
from .imports import quick_imports

_READ_BY = {"json", "csv", "parquet", "arrow"}
_FILE = re.compile(r"hf://datasets/(?P<id>[^@]+)@(?P<commit>[^/]+)/(?P<path>.+)")


def bring(wanted: Wanted, tell: Callable[[Event], None]) -> HubDataset:
    """Downloads the files of a split and writes down what was found out.

    All splits of a data set are of one commit: another split comes at the commit that is here,
    and with a split that is here already all of them are renewed to the newest. With the Hub
    switched off by HF_HUB_OFFLINE, what is here is as good.

    Raises:
        HubError: The Hub does not give it.
        DataError: It cannot be read here, or has no such split.
        SftError: It cannot be written.
    """
    held = known(wanted.id, wanted.config, wanted.commit)
    here = held.here() if held else []
    if held and wanted.split in here and constants.HF_HUB_OFFLINE:
        return held
    commit = wanted.commit
    if held and here and wanted.split in set(held.splits).difference(here):
        commit = held.commit
    commit = _commit(wanted, commit, here)
    splits = held.splits if held and held.commit == commit else _splits(wanted, commit)
    if wanted.split not in splits:
        raise DataError(
            f"{wanted.id} has no split {wanted.split!r}",
            f"its splits are {', '.join(splits)}",
            "choose one of them",
        )
    again = [split for split in splits if split == wanted.split or split in here]
    paths = tuple(literal(path) for split in again for path in splits[split])
    found = HubDataset(wanted.id, wanted.config, commit, splits)
    keep(found)  # before the files come: it is told at once that this cannot be written
    fetch(Request(wanted.id, "dataset", commit, paths), tell)
    if wanted.commit is None:
        prefer(found)
    return found


def _commit(wanted: Wanted, commit: str | None, here: list[str]) -> str:
    """Asks the Hub for the newest commit, or whether it still has the one that must be had.

    Its failures have better words than those of `datasets`.
    """

    async def ask() -> str:
        async with HubClient() as client:
            found, _ = await facts.repo(
                client, wanted.id, kind="dataset", revision=commit or "main"
            )
            return found.commit

    try:
        return asyncio.run(ask())
    except HubError as error:
        if error.kind == "offline":
            of = f"config {wanted.config}, " if wanted.config else ""
            at = f" at the commit {commit}" if commit else ""
            what = f"{of}split {wanted.split} of {wanted.id}{at} is not on this machine"
            raise HubError(error.kind, what, error.why, error.remedy) from error
        if commit is None or error.kind != "missing":
            raise
        config = f" --config {wanted.config}" if wanted.config else ""
        raise HubError(
            error.kind,
            f"{wanted.id} cannot be had at the commit {commit} any more",
            f"{error.what}: {error.why}",
            f"{error.remedy}, or start a new run, which takes the newest"
            if wanted.commit
            else f"`sft-tui download --dataset {wanted.id}{config} --split {here[0]}` takes the "
            "newest, of all splits that are here",
        ) from error


def _splits(wanted: Wanted, commit: str) -> dict[str, list[str]]:
    """Asks `datasets` for the files of each split at a commit."""
    with quick_imports():  # 2 s, only where something is brought
        import datasets

    try:
        # First, as `datasets` would warn of a cache that cannot be written and go on.
        repo_folder(wanted.id, "dataset").mkdir(parents=True, exist_ok=True)
        builder = datasets.load_dataset_builder(wanted.id, wanted.config, revision=commit)
    except (RuntimeError, ValueError, OSError, ImportError) as error:
        raise _explained(wanted, error) from error
    kind = type(builder).__module__.rpartition(".")[2]
    files: dict[str, Any] = dict(builder.config.data_files or {})
    if kind not in _READ_BY or not files:
        raise DataError(
            f"{wanted.id} cannot be read",
            f"its files are of the kind {kind}",
            f"choose a data set of {', '.join(sorted(_READ_BY))} files",
        )
    splits: dict[str, list[str]] = {}
    for split, addresses in files.items():
        for address in map(str, addresses):
            place = _FILE.fullmatch(address)
            if place is None or (place["id"], place["commit"]) != (wanted.id, commit):
                raise DataError(
                    f"{wanted.id} cannot be read",
                    f"its file {one_line(address, 120)} lies elsewhere",
                    "download it yourself and give its path",
                )
            splits.setdefault(str(split), []).append(place["path"])
    return splits


def _explained(wanted: Wanted, error: Exception) -> SftError:
    """Turns the errors of `datasets` into a message; their text lists configs and splits."""
    if isinstance(error, OSError) and error.errno is not None:
        return unwritable(error, wanted.id)
    text = one_line(str(error), 400)
    if "scripts are no longer supported" in text:
        return DataError(
            f"{wanted.id} cannot be read",
            "it needs its own Python script, which is never run",
            "choose a copy of it with data files, such as parquet",
        )
    if "gated dataset" in text:
        signed_in = tokens.read() is not None
        return gated(facts.page(wanted.id, "dataset"), constants.ENDPOINT, signed_in=signed_in)
    if "Config name is missing" in text or "BuilderConfig" in text:
        return DataError(
            f"{wanted.id} needs a config"
            if wanted.config is None
            else f"{wanted.id} has no config {wanted.config!r}",
            text,
            "name one with --config, or with data.sources.0.config in a configuration",
        )
    return DataError(f"{wanted.id} cannot be read", text, "choose another data set")


def main(arguments: list[str]) -> int:
    """Brings what is asked for and tells how it goes."""
    wanted = msgspec.json.decode(arguments[0], type=Wanted)
    return run(lambda tell: snapshot_done(bring(wanted, tell).folder))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
