"""Values in plain maps and lists, found by dotted paths such as `data.sources.0.source`."""

from typing import Any

from .fields import as_list, as_map


def value_at(raw: dict[str, Any], path: str) -> Any:
    """Returns the value of a key in plain maps and lists, None where it is not there."""
    place: Any = raw
    for part in path.split("."):
        if isinstance(place, list):
            items = as_list(place)
            place = items[int(part)] if int(part) < len(items) else None
        else:
            place = as_map(place).get(part)
    return place


def forget(values: dict[str, Any], path: str) -> None:
    """Takes a key away where it is."""
    *parents, last = path.split(".")
    holder = value_at(values, ".".join(parents))
    if isinstance(holder, dict):
        as_map(holder).pop(last, None)


def remove(values: dict[str, Any], path: str) -> None:
    """Takes away a key, or the nearest group or list above it that is no such thing."""
    *parents, last = path.split(".")
    place: Any = values
    for part in parents:
        if isinstance(place, list):
            place = as_list(place)[int(part)]
        elif isinstance(as_map(place).get(part), (dict, list)):
            place = place[part]
        else:
            last = part
            break
    if isinstance(place, list):
        del place[int(last)]
    else:
        place.pop(last, None)


def difference(raw: dict[str, Any], default: dict[str, Any]) -> dict[str, Any]:
    """Returns the keys of a map of groups, or of one group, that are not as the default."""
    out: dict[str, Any] = {}
    for key, value in raw.items():
        if isinstance(default[key], dict) and isinstance(value, dict) and default[key]:
            inner = difference(as_map(value), as_map(default[key]))
            if inner:
                out[key] = inner
        elif value != default[key]:
            out[key] = value
    return out
