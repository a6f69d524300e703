"""Search of models and data sets on the Hub, one request per page.

Sends what the Hub's web pages send; see https://huggingface.co/docs/hub/api. Rows are what the
Hub says of itself: nothing of a repository is read.
"""

from typing import Any, Generic, Literal, TypeVar, cast, get_args

import msgspec

from ..errors import UsageError
from .client import HubClient

Sort = Literal["downloads", "likes", "lastModified", "createdAt", "trendingScore"]
SORTS: tuple[str, ...] = get_args(Sort)

_COMMON = ["downloads", "likes", "gated", "private", "lastModified", "tags"]
_MODEL_FACTS = [*_COMMON, "safetensors", "pipeline_tag", "library_name"]
_DATASET_FACTS = [*_COMMON, "description"]


class Filters(msgspec.Struct, frozen=True):
    """What is asked for besides the words. Sizes are parameters of a model."""

    sort: Sort = "downloads"
    licence: str | None = None
    largest: int | None = None
    gated: bool | None = None
    author: str | None = None
    every_kind: bool = False
    """Also models that are not for text generation or have no safetensors."""


class ModelRow(msgspec.Struct, frozen=True):
    """A model as the list shows it; None where the Hub does not say."""

    id: str
    params: int | None
    dtype: str | None
    license: str | None
    gated: bool
    private: bool
    downloads: int
    likes: int
    updated: str | None
    kind: str | None
    """The Hub's pipeline tag, such as text-generation."""
    not_trainable: str | None
    """Why it cannot be trained here, as far as the list tells."""


class DatasetRow(msgspec.Struct, frozen=True):
    """A data set as the list shows it; None where the Hub does not say."""

    id: str
    license: str | None
    gated: bool
    private: bool
    downloads: int
    likes: int
    updated: str | None
    size: str | None
    """The author's own range, such as 10K<n<100K."""
    formats: list[str]


R = TypeVar("R", ModelRow, DatasetRow)


class Page(msgspec.Struct, Generic[R], frozen=True):
    """A page of a list; `next` is given back to get the page behind it."""

    rows: list[R]
    next: str | None


async def models(
    client: HubClient,
    words: str,
    filters: Filters | None = None,
    *,
    limit: int = 25,
    page: str | None = None,
) -> Page[ModelRow]:
    """Searches models.

    Args:
        client: The connection.
        words: Parts of the id; "" for all.
        filters: What else is asked for.
        limit: Rows of a page, up to 1000.
        page: The `next` of the page before.

    Raises:
        HubError: The Hub gives no list.
    """
    asked = filters or Filters()
    params = _params(words, asked, limit, _MODEL_FACTS)
    wanted = [] if asked.every_kind else ["safetensors"]
    params["filter"] = wanted + ([f"license:{asked.licence}"] if asked.licence else [])
    if not asked.every_kind:
        params["pipeline_tag"] = "text-generation"
    if asked.largest is not None:
        params["num_parameters"] = f"min:0,max:{asked.largest}"
    answer = await client.json(page or "/api/models", None if page else params)
    return Page([model_row(row) for row in _rows(answer.value)], answer.next)


async def datasets(
    client: HubClient,
    words: str,
    filters: Filters | None = None,
    *,
    limit: int = 25,
    page: str | None = None,
) -> Page[DatasetRow]:
    """Searches data sets; arguments and errors as for `models`, of which it has no size."""
    asked = filters or Filters()
    params = _params(words, asked, limit, _DATASET_FACTS)
    if asked.licence:
        params["filter"] = [f"license:{asked.licence}"]
    answer = await client.json(page or "/api/datasets", None if page else params)
    return Page([_dataset(row) for row in _rows(answer.value)], answer.next)


def _params(words: str, asked: Filters, limit: int, facts: list[str]) -> dict[str, Any]:
    if asked.sort not in SORTS:
        raise UsageError(
            f"the list cannot be sorted by {asked.sort}", "the Hub does not", ", ".join(SORTS)
        )
    params: dict[str, Any] = {"limit": limit, "sort": asked.sort, "expand": facts}
    if words.strip():
        params["search"] = words.strip()
    if asked.gated is not None:
        params["gated"] = "true" if asked.gated else "false"
    if asked.author:
        params["author"] = asked.author
    return params


def _rows(value: Any) -> list[dict[str, Any]]:
    rows = value if isinstance(value, list) else []
    return [row for row in rows if isinstance(row, dict) and isinstance(row.get("id"), str)]


def model_row(row: dict[str, Any]) -> ModelRow:
    """Reads what the Hub says of a model, in a list or alone."""
    by_dtype = counts(row)
    tags = tags_of(row)
    library = row.get("library_name")
    return ModelRow(
        id=row["id"],
        params=sum(by_dtype.values()) or None,
        dtype=max(by_dtype, key=by_dtype.__getitem__) if by_dtype else None,
        license=licence_of(tags),
        gated=bool(row.get("gated")),
        private=bool(row.get("private")),
        downloads=_number(row.get("downloads")),
        likes=_number(row.get("likes")),
        updated=_day(row.get("lastModified")),
        kind=kind if isinstance(kind := row.get("pipeline_tag"), str) else None,
        not_trainable=_why_not(by_dtype, tags, library if isinstance(library, str) else ""),
    )


def _dataset(row: dict[str, Any]) -> DatasetRow:
    tags = tags_of(row)
    sizes = [tag.partition(":")[2] for tag in tags if tag.startswith("size_categories:")]
    return DatasetRow(
        id=row["id"],
        license=licence_of(tags),
        gated=bool(row.get("gated")),
        private=bool(row.get("private")),
        downloads=_number(row.get("downloads")),
        likes=_number(row.get("likes")),
        updated=_day(row.get("lastModified")),
        size=sizes[0] if sizes else None,
        formats=[tag.partition(":")[2] for tag in tags if tag.startswith("format:")],
    )


def counts(row: dict[str, Any]) -> dict[str, int]:
    """Returns the parameters of a model by dtype, as the Hub read them from its safetensors."""
    facts = row.get("safetensors")
    found = cast(dict[str, Any], facts).get("parameters") if isinstance(facts, dict) else None
    if not isinstance(found, dict):
        return {}
    every = cast(dict[str, Any], found)
    return {name: count for name, count in every.items() if isinstance(count, int)}


def tags_of(row: dict[str, Any]) -> list[str]:
    """Returns the tags of a repository."""
    tags = row.get("tags")
    every = cast(list[Any], tags) if isinstance(tags, list) else []
    return [tag for tag in every if isinstance(tag, str)]


def licence_of(tags: list[str]) -> str | None:
    """Returns the licence that the tags name."""
    return next((tag.partition(":")[2] for tag in tags if tag.startswith("license:")), None)


def _why_not(by_dtype: dict[str, int], tags: list[str], library: str) -> str | None:
    if library == "peft" or "adapter" in tags:
        return "an adapter, not a base model"
    if not by_dtype:
        return "GGUF only" if "gguf" in tags else "no safetensors"
    return None


def _number(value: Any) -> int:
    return value if isinstance(value, int) else 0


def _day(value: Any) -> str | None:
    """Returns the day of a time as the Hub writes it, such as 2025-08-01T12:00:00.000Z."""
    return value[:10] if isinstance(value, str) and len(value) >= 10 else None
