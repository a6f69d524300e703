"""Values of fields as people read and type them, and what was probably meant by a wrong one."""

import re
from typing import Any

from . import yaml12
from .fields import Field, accepts, as_list, as_map

_NOTHING = ("", "null", "none", "~", "-", "–")
_WORDS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_GROUPED = re.compile(r"[+-]?\d{1,3}([ ,_]\d{3})+")


class NotTaken(ValueError):
    """A text that is no value of a field; the message is for the one who typed it."""


def shown(field: Field, value: Any, *, unit: bool = True) -> str:
    """Returns a value as a list shows it: short, with its unit unless that is left out."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, int):
        return f"{value:,} {_unit(field.unit, value)}" if field.unit and unit else f"{value:,}"
    if isinstance(value, str):
        return value
    if field.kind == "list" and all(isinstance(item, (str, int, float)) for item in value):
        return ", ".join(_number(v) if isinstance(v, float) else str(v) for v in value) or "none"
    return yaml12.dump_value(value) if value else "none"


def _unit(plural: str, value: int) -> str:
    if value != 1:
        return plural
    return plural.removesuffix("es") if plural.endswith("ches") else plural.removesuffix("s")


def editable(field: Field, value: Any) -> str:
    """Returns a value as it stands in the box where it is edited, which has one line."""
    if value is None:
        return ""
    if isinstance(value, float):
        return _number(value)
    if field.kind in ("list", "map"):
        return yaml12.dump_value(value)
    return str(value).replace("\\", "\\\\").replace("\n", "\\n")


def taken(field: Field, text: str) -> Any:
    """Returns the value that a text stands for.

    Raises:
        NotTaken: It is none of this field; says what is and, where it can be told, what was meant.
    """
    text = text.strip()
    if field.nullable and text.lower() in _NOTHING:
        return None
    try:
        value = _read(field, text)
    except ValueError as error:
        raise NotTaken(_refusal(field, text, f" ({error})" if str(error) else "")) from error
    if not accepts(field, value):
        raise NotTaken(_refusal(field, text))
    return value


def _read(field: Field, text: str) -> Any:
    if field.kind in ("str", "choice"):
        return re.sub(r"\\([\\n])", lambda found: "\n" if found[1] == "n" else "\\", text)
    if field.kind == "bool":
        return _WORDS.get(text.lower(), text)
    if field.kind in ("int", "float"):
        plain = re.sub("[ ,_]", "", text) if _GROUPED.fullmatch(text) else text
        try:
            return int(plain) if field.kind == "int" else float(plain)
        except ValueError:
            return text  # which is refused
    return _yaml(field, text)


def _yaml(field: Field, text: str) -> Any:
    """Reads a list or a map on one line; a list needs no brackets where its items are plain."""
    if field.kind == "list" and not text.startswith(("[", "-")):
        items = [item.strip() for item in text.split(",") if item.strip()]
        return [_item(item) for item in items]
    if field.kind == "map" and not text.startswith("{"):
        text = f"{{{text}}}"
    try:
        value = yaml12.scalar_of(text)
    except ValueError as error:
        hint = """quote what begins with *, as in ["*_proj"]""" if "*" in text else "no valid YAML"
        raise ValueError(hint) from error
    kept = as_list(value) if field.kind == "list" else as_map(value)
    return kept if isinstance(value, type(kept)) else value


def _item(text: str) -> Any:
    try:
        return yaml12.scalar_of(text)
    except ValueError:  # such as *_proj, which YAML would take for an alias
        return text


def _refusal(field: Field, text: str, why: str = "") -> str:
    wanted = "not be empty" if not text and field.kind == "str" else f"be {field.expected()}"
    guess = _meant(field, text)
    hint = f" – did you mean {guess}?" if guess else ""
    return f"{field.label} must {wanted}; you typed {text or 'nothing'}{why}{hint}"


def _meant(field: Field, text: str) -> str | None:
    """Returns the likeliest valid text near a wrong one."""
    if field.kind not in ("int", "float"):
        return None
    candidates = [text.replace(",", ".")]
    percent = text.removesuffix("%").strip()
    if percent != text:
        candidates.append(percent and _percent(percent))
    if found := re.fullmatch(r"([\d.]+)[eE]\+?(\d+)", text):
        candidates.append(f"{found[1]}e-{found[2]}")  # the sign of the exponent left out
    if found := re.fullmatch(r"([\d.]+)\s*[kK]", text):
        candidates += [str(round(float(found[1]) * 1024)), str(round(float(found[1]) * 1000))]
    candidates.append(text.removeprefix("-"))
    candidates.append(text.split()[0] if text.split() else "")
    for candidate in candidates:
        value = _as_number(field, candidate)
        if value is not None and candidate != text and accepts(field, value):
            return _number(value) if isinstance(value, float) else str(value)
    whole = _as_number(field, text)
    return str(whole) if whole is not None and accepts(field, whole) else None


def _percent(text: str) -> str:
    try:
        return str(float(text.replace(",", ".")) / 100)
    except ValueError:
        return ""


def _as_number(field: Field, text: str) -> float | int | None:
    try:
        value = float(text)
    except ValueError:
        return None
    if field.kind == "int":
        return int(value) if value.is_integer() else None
    return value


def _number(value: float) -> str:
    """Returns a number as short as it can be: 2e-4, 0.05, 32."""
    text = f"{value:g}"
    plain = repr(value) if float(text) != value else text
    if value and (abs(value) < 0.01 or abs(value) >= 1e6) and "e" not in plain:
        plain = f"{value:e}"
    if "e" in plain:
        digits, _, exponent = plain.partition("e")
        digits = digits.rstrip("0").rstrip(".") if "." in digits else digits
        return f"{digits}e{int(exponent)}"
    return plain.removesuffix(".0")
