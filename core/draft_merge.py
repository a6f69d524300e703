"""What becomes of a draft that two windows changed: each keeps what it chose.

It is merged by key against the draft that both began with. Where one of them took another draft in
its place, as a copy of a run, keys of both together would be a run that nobody chose: then this
window's stands, and the other is the one that undo brings back.
"""

from typing import Any

import msgspec

from .draft import LET_PASS, Content, State, over_defaults, sources_of
from .fields import as_map, check_raw
from .raw_values import forget, value_at

_NONE = object()


class Merged(msgspec.Struct, kw_only=True, frozen=True):
    """A draft of two windows, and what is to be said of it."""

    content: Content
    came: list[str] = []
    """Paths that are now as the other window chose them."""
    refused: list[str] = []
    """Paths that both chose: this window's stand, undo brings the other's."""
    apart: bool = False
    """Whether this window's draft stands as a whole, and undo brings the other's."""


def merge(seen: Content, ours: Content, theirs: Content) -> Merged:
    """Returns the other window's draft with what was changed here on top.

    Args:
        seen: What both began with.
        ours: The draft of this window; its step stays.
        theirs: What the file holds now.
    """
    if ours.state() == theirs.state():
        return Merged(content=ours.but(before=theirs.before))
    state, came, refused = _by_key(seen, ours, theirs)
    if ours.state() == seen.state():
        return Merged(content=ours.but(theirs.state(), before=theirs.before), came=came)
    before = [*theirs.before, theirs.state()]
    if _replaced(seen, ours) or _replaced(seen, theirs) or check_raw(over_defaults(state.values)):
        return Merged(content=ours.but(before=before), apart=True)
    if state.values == theirs.values:
        before = theirs.before
    return Merged(content=ours.but(state, before=before), came=came, refused=refused)


def _by_key(seen: State, ours: State, theirs: State) -> tuple[State, list[str], list[str]]:
    old, own, other = _leaves(seen.values), _leaves(ours.values), _leaves(theirs.values)
    values: dict[str, Any] = {}
    lent: list[str] = []
    paths = list(dict.fromkeys([*other, *own, *old]))
    for path in paths:
        changed = own.get(path, _NONE) != old.get(path, _NONE)
        chosen, by = (own, ours) if changed else (other, theirs)
        if path in chosen:
            _put(values, path, chosen[path])
            lent += [path] if path in by.lent else []
    _let_pass(values, ours.values, theirs.values)
    new = _leaves(values)
    came = [path for path in paths if new.get(path, _NONE) != own.get(path, _NONE)]
    refused = [
        path
        for path in paths
        if other.get(path, _NONE) not in (old.get(path, _NONE), new.get(path, _NONE))
    ]
    copied = theirs.copied_from if ours.copied_from == seen.copied_from else ours.copied_from
    return State(values=values, copied_from=copied, lent=lent), came, refused


def _let_pass(values: dict[str, Any], *sides: dict[str, Any]) -> None:
    """Keeps that problems were let pass only as it was said where these rows are from."""
    own = [side for side in sides if sources_of(side) == sources_of(values)]
    if len(own) == 1:
        forget(values, LET_PASS)
        if (passed := value_at(own[0], LET_PASS)) is not None:
            _put(values, LET_PASS, passed)


def _leaves(values: dict[str, Any], above: str = "") -> dict[str, Any]:
    """Returns what is not a group, by path; a list is one value."""
    out: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            out |= _leaves(as_map(value), f"{above}{key}.")
        else:
            out[f"{above}{key}"] = value
    return out


def _put(values: dict[str, Any], path: str, value: Any) -> None:
    *parents, last = path.split(".")
    for part in parents:
        values = values.setdefault(part, {})
    values[last] = value


def _replaced(old: State, new: State) -> bool:
    """Returns whether another draft took the place of one, rather than other values."""
    if new.copied_from != old.copied_from:
        return bool(old.values)
    pairs = [
        (value_at(old.values, "model.name"), value_at(new.values, "model.name")),
        (sources_of(old.values), sources_of(new.values)),
    ]
    return any(was for was, _ in pairs) and all(was != now for was, now in pairs)
