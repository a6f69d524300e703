"""First rows of a data set without downloading it: the Hub's Dataset Viewer.

See https://huggingface.co/docs/dataset-viewer. Cells that it cut are named, so that nobody takes
a cut text for the whole.
"""

from typing import Any, cast

import msgspec

from .client import HubClient
from .facts import page
from .failures import HubError

_HUB, _VIEWER = "https://huggingface.co", "https://datasets-server.huggingface.co"


class Split(msgspec.Struct, frozen=True):
    """A split of a config of a data set."""

    config: str
    split: str


class FirstRows(msgspec.Struct, frozen=True):
    """The first rows; `cut` names the cells that are not whole, by row."""

    rows: list[dict[str, Any]]
    cut: list[list[str]]


def base(endpoint: str) -> str:
    """Returns where the viewer of a Hub is: on a host of its own for the public one."""
    return _VIEWER if endpoint == _HUB else endpoint


async def splits(client: HubClient, id: str) -> list[Split]:
    """Returns the configs and splits of a data set, the default config first.

    Raises:
        HubError: The viewer does not have it.
    """
    answer = await client.json(
        f"{base(client.endpoint)}/splits", {"dataset": id}, repo=page(id, "dataset")
    )
    entries = _list(answer.value, "splits", id)
    try:
        return msgspec.convert(entries, list[Split])
    except msgspec.ValidationError as error:
        raise _strange(id) from error


async def first_rows(client: HubClient, id: str, config: str, split: str) -> FirstRows:
    """Returns the first rows of a split.

    Raises:
        HubError: The viewer does not have them.
    """
    params = {"dataset": id, "config": config, "split": split}
    answer = await client.json(
        f"{base(client.endpoint)}/first-rows", params, repo=page(id, "dataset")
    )
    rows: list[dict[str, Any]] = []
    cut: list[list[str]] = []
    for entry in _list(answer.value, "rows", id):
        fields = cast(dict[str, Any], entry) if isinstance(entry, dict) else {}
        row, names = fields.get("row"), fields.get("truncated_cells")
        if not isinstance(row, dict):
            raise _strange(id)
        rows.append(cast(dict[str, Any], row))
        cut.append([str(name) for name in cast(list[Any], names)] if names else [])
    return FirstRows(rows, cut)


def _list(value: Any, key: str, id: str) -> list[Any]:
    found = cast(dict[str, Any], value).get(key) if isinstance(value, dict) else None
    if not isinstance(found, list):
        raise _strange(id)
    return cast(list[Any], found)


def _strange(id: str) -> HubError:
    return HubError(
        "garbled",
        f"the first rows of {id} cannot be shown",
        "the Dataset Viewer answered in another form",
        "`sft-tui preview` downloads the split and shows them",
    )
