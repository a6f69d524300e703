"""What System shows: pure functions from checks and settings to lines and sentences."""

from collections.abc import Mapping, Sequence
from typing import Any

from ...core.doctor import FAIL, MARKS, OK, WARN, Check
from ...core.text import one_line
from ..format import from_home, sentences
from ..services.settings import Setting, Settings
from ..widgets.notice import wrapped
from ..widgets.pieces import Line, Piece

_KINDS = {OK: "good", WARN: "warn", FAIL: "bad"}
_NAME = 13
_LABEL, _VALUE = 14, 9
_ABOUT = 3
"""Lines that the longest help and the values take at 80 columns."""
CURVE = "⣀⣀⡠⠔⠒⠉⠉⠒⠢⣀⡠⠊"
"""Shows at once what glyphs draw curves with."""

Looked = Mapping[str, Check | str]
"""What was found by its name; a text says that it is still looked for, and how that goes."""


def check_lines(looked: Looked, width: int) -> list[Line]:
    """Returns a line for each check, and below it what mends it; items in their order."""
    lines: list[Line] = []
    for item, (name, check) in enumerate(looked.items()):
        label = f"{name:<{_NAME}}"
        if isinstance(check, str):
            said = one_line(check, max(width - _NAME - 2, 8))
            lines.append([Piece(f"◌ {label}", "muted", item), Piece(said, "muted", item)])
            continue
        room = max(width - _NAME - 2, 8)
        found = one_line(check.found)
        told = [one_line(found, room)] if check.state == OK else wrapped(found, room)
        mark = Piece(f"{MARKS[check.state]} ", _KINDS[check.state], item)
        lines.append([mark, Piece(label, "strong", item), Piece(told[0], "", item)])
        indent = " " * (_NAME + 2)
        lines += [[Piece(indent + more, "", item)] for more in told[1:]]
        kind = "muted" if check.state == OK else "info"
        if besides := one_line(_besides(check)):
            lines += [[Piece(indent + more, kind, item)] for more in wrapped(besides, room)]
    return lines


def _besides(check: Check) -> str:
    """Returns what mends a check, or what else there is; "" where there is nothing."""
    return f"Fix: {check.remedy}" if check.remedy else f"Note: {check.note}" if check.note else ""


def check_title(looked: Looked) -> str:
    """Returns how many checks came out how, or how far they are."""
    checks = [check for check in looked.values() if isinstance(check, Check)]
    if len(checks) < len(looked):
        return f"System check   {len(checks)} of {len(looked)}"
    counts = [sum(check.state == state for check in checks) for state in MARKS]
    return f"System check   {counts[0]} ✓  {counts[1]} !  {counts[2]} ✗"


def details(check: Check) -> str:
    """Returns the whole of a check in sentences."""
    word = {OK: "passed", WARN: "wants a look", FAIL: "failed"}[check.state]
    said = [f"{MARKS[check.state]} {check.name}: {word}.", one_line(check.found)]
    if besides := _besides(check):
        said.append(one_line(besides))
    return "\n\n".join(said)


def in_words(looked: Looked) -> str:
    """Returns all checks in sentences, what wants a look first."""
    checks = [check for check in looked.values() if isinstance(check, Check)]
    bad = [check for check in checks if check.state != OK]
    said = [
        sentences(f"{check.name}: {one_line(check.found)}", f"Fix: {check.remedy}") for check in bad
    ]
    passed = sum(check.state == OK for check in checks)
    counts = f"{passed} of {len(looked)} checks passed, {len(bad)} want a look."
    left = len(looked) - len(checks)
    well = ", ".join(check.name for check in checks if check.state == OK)
    still = f" {left} are still looked at." if left else ""
    return "\n".join([counts + still, *said, f"Passed: {well or 'none yet'}."])


def value(setting: Setting, chosen: Settings) -> str:
    """Returns a setting's value as it is shown."""
    now: Any = getattr(chosen, setting.name)
    if setting.words is None:
        return one_line(from_home(now)) if now else setting.usual
    return setting.words[now] if isinstance(now, bool) else str(now)


def setting_lines(
    every: Sequence[Setting], chosen: Settings, here: int, now: Mapping[str, str], width: int
) -> list[Line]:
    """Returns a row for each setting, and below them what the one under the cursor means.

    Args:
        every: The settings.
        chosen: Their values.
        here: The item that the cursor stands on.
        now: What typed ones amount to at the moment, by their names.
        width: Of a line.
    """
    lines: list[Line] = []
    for item, setting in enumerate(every):
        own = getattr(chosen, setting.name) == getattr(Settings(), setting.name)
        shown = value(setting, chosen)
        head = f"{' ' if own else '*'} {setting.label:<{_LABEL}}"
        row = [Piece(head, "", item), Piece(f"{shown:<{_VALUE}} ", "strong", item)]
        words = setting.words
        means = words[getattr(chosen, setting.name)] if words else now.get(setting.name, "")
        room = width - sum(len(piece.text) for piece in row)
        if means != shown and room > 4:
            row.append(Piece(one_line(means, room), "muted", item))
        lines.append(row)
    lines.append([])
    about = _about(every[max(here, 0)], chosen, width)
    return lines + about + [[]] * (_ABOUT - len(about))  # the panel keeps its height


def _about(setting: Setting, chosen: Settings, width: int) -> list[Line]:
    """Returns what a setting means, its values or how it is typed, and when it holds."""
    lines: list[Line] = [[Piece(each, "info")] for each in wrapped(setting.help, width)]
    if setting.words is None:
        return [*lines, [Piece("Enter types it; it holds at once.", "muted")]]
    at = getattr(chosen, setting.name)
    row: Line = []
    for choice, words in setting.words.items():
        name = words if isinstance(choice, bool) else str(choice)
        row.append(Piece(f"‹{name}›" if choice == at else f" {name} ", "strong" * (choice == at)))
    holds = "from the next start" if setting.later else "at once"
    row.append(Piece(f"   ← → choose; it holds {holds}.", "muted"))
    if setting.name == "glyphs":
        row.append(Piece(f"   {CURVE}", "good"))
    if setting.name in ("theme", "colour"):
        row += [Piece(f"  {MARKS[state]}", kind) for state, kind in _KINDS.items()]
    return [*lines, row]


def settings_in_words(every: Sequence[Setting], chosen: Settings, here: int) -> str:
    """Returns the setting under the cursor, and all values, in sentences."""
    setting = every[max(here, 0)]
    values = "; ".join(f"{each.label} {value(each, chosen)}" for each in every)
    return f"{setting.label} is {value(setting, chosen)}. {setting.help}\n\nSettings: {values}."
