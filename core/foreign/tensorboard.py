"""Runs in TensorBoard's event files, whoever wrote them.

Field numbers are those of tensorflow/core/util/event.proto and framework/summary.proto.
"""

import json
import struct
from pathlib import Path
from typing import Any

from ..fields import as_map
from ..subject import Curve, Subject
from . import names, wire

_PATTERN = "events.out.tfevents.*"
_ARGUMENTS = "args/text_summary"
"""Where transformers writes its arguments, as JSON."""
_START = 1
_FLOATS = (1, 2)
"""The types float and double of a tensor (tensorflow/core/framework/types.proto)."""


def find(path: Path) -> list[Path]:
    """Returns the event files of a run in their order: of a folder, or the one file."""
    if path.is_file():
        return [path] if path.match(_PATTERN) else []
    return sorted(file for file in path.glob(_PATTERN) if file.is_file())


def folders(path: Path) -> list[Path]:
    """Returns the folders below one that hold event files."""
    return sorted({file.parent for file in path.glob(f"**/{_PATTERN}") if file.is_file()})


def read(path: Path, files: list[Path]) -> Subject:
    """Returns the scalars that mean what this project's metrics mean.

    Their times leave out what lies between the last event of a start and the first of the next.

    Raises:
        OSError: A file cannot be read.
    """
    subject = Subject(path.name, str(path), "TensorBoard", by_clock=True)
    began: float | None = None
    last = paused = 0.0
    for file in files:
        starts = True  # each start writes a file of its own
        for record in wire.tf_records(file):
            try:
                at, step, values, restarts = _event(record)
            except (ValueError, struct.error):
                subject.damaged += 1
                continue
            began = at if began is None else began
            if (starts or restarts) and last:
                paused += max(at - last, 0.0)
            starts, last = False, max(at, last)
            if restarts:
                for curve in subject.curves.values():
                    curve.cut_from(step)
            for value in values:
                _take(subject, value, step, at - began - paused)
    return subject


def _event(record: bytes) -> tuple[float, int, list[bytes], bool]:
    """Returns when an event was told, its step, its values, and whether a start begins."""
    at, step, values, restarts = 0.0, 0, list[bytes](), False
    for number, value in wire.fields(record):
        if number == 1:
            at = wire.real(value)
        elif number == 2 and isinstance(value, int):
            step = value if value < 2**63 else 0
        elif number == 5 and isinstance(value, bytes):
            values += wire.parts(value, 1)
        elif number == 7 and isinstance(value, bytes):
            restarts = (1, _START) in wire.fields(value)
    return at, step, values, restarts


def _take(subject: Subject, value: bytes, step: int, seconds: float) -> None:
    tag, told = "", None
    tensor = b""
    try:
        for number, part in wire.fields(value):
            if number == 1 and isinstance(part, bytes):
                tag = part.decode("utf-8", "replace")
            elif number == 2:
                told = wire.real(part)
            elif number == 8 and isinstance(part, bytes):
                tensor = part
        if tag == _ARGUMENTS:
            subject.config = names.settings(_arguments(tensor))
        elif tensor and tag.lower() in names.METRIC_OF:
            told = _scalar(tensor)
    except (ValueError, struct.error):
        subject.damaged += 1
        return
    metric = names.METRIC_OF.get(tag.lower())
    if metric is not None and told is not None:
        subject.curves.setdefault(metric, Curve()).add(step, told, None, seconds)


def _scalar(tensor: bytes) -> float | None:
    """Returns the number of a tensor that holds one, as TensorFlow 2 writes scalars."""
    held = dict(wire.fields(tensor))
    if held.get(1) not in _FLOATS:
        return None
    return next((wire.real(held[number]) for number in (4, 5, 6) if number in held), None)


def _arguments(tensor: bytes) -> dict[str, Any]:
    text = b"".join(wire.parts(tensor, 8))
    try:
        return as_map(json.loads(text))
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
