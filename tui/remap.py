"""Keys of the user's own choice, from the settings: which can be taken, and why others not."""

from dataclasses import replace

from textual.binding import Binding, InvalidBinding

from .keys import FORBIDDEN, KEYS, Key

_MODES = {"runs", "monitor", "compare", "play", "export", "system"}


def remap(chosen: dict[str, str]) -> tuple[dict[str, Key], list[str]]:
    """Gives actions other keys.

    Args:
        chosen: Keys, separated by commas, by the id of the action: `{"runs.open": "o"}`.

    Returns:
        The changed keys by id, and why each of the others was refused.
    """
    declared = {key.id: key for key in KEYS}
    changed: dict[str, Key] = {}
    refused: list[str] = []
    for action, text in chosen.items():
        names = _names(text)
        if action not in declared:
            refused.append(f"{action} is no action")
        elif not names or FORBIDDEN.issuperset(names):
            refused.append(f"{text!r} cannot be the key of {action}: terminals take it themselves")
        else:
            shown = text.split(",")[0].strip()
            changed[action] = replace(declared[action], keys=names, shown=shown)
    while (clash := _clash(declared | changed, changed)) is not None:
        action, other = clash  # without it others may clash with the key that it has again
        shown = changed.pop(action).shown
        refused.append(f"{shown!r} cannot be the key of {action}: it is that of {other}")
    return changed, refused


def _names(text: str) -> tuple[str, ...]:
    """Returns Textual's names of keys as a user writes them: `]` is right_square_bracket."""
    try:
        return tuple(each.key for each in Binding.make_bindings([Binding(text, "any")]))
    except InvalidBinding:
        return ()


def _clash(every: dict[str, Key], changed: dict[str, Key]) -> tuple[str, str] | None:
    for action, key in reversed(changed.items()):
        for other in every.values():
            if other.id != action and _together(key, other) and set(key.keys) & set(other.keys):
                return action, other.id
    return None


def _together(key: Key, other: Key) -> bool:
    """Returns whether two keys work at the same time."""
    scopes = {key.scope, other.scope}
    return len(scopes) == 1 or "app" in scopes or ("step" in scopes and not scopes & _MODES)
