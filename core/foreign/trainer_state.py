"""Runs of transformers' Trainer, from the `trainer_state.json` of their output folder."""

import json
import re
from pathlib import Path
from typing import Any

from ..errors import SftError
from ..fields import as_list, as_map
from ..regular import read_small
from ..subject import Subject
from . import names

FILE = "trainer_state.json"
_CHECKPOINT = re.compile(r"checkpoint-(\d+)")
_MOST_BYTES = 1 << 28


def find(path: Path) -> Path | None:
    """Returns the state of an output folder that tells most: the newest one."""
    if path.name == FILE and path.is_file():
        return path
    found = [(-1, path / FILE)] if (path / FILE).is_file() else []
    for folder in path.glob("checkpoint-*"):
        match = _CHECKPOINT.fullmatch(folder.name)
        if match and (folder / FILE).is_file():
            found.append((int(match[1]), folder / FILE))
    return max(found, key=lambda each: (each[1].stat().st_mtime_ns, each[0]))[1] if found else None


def read(path: Path, file: Path) -> Subject:
    """Returns what the Trainer told; it keeps no times, and nothing of steps it did again.

    Raises:
        SftError: The file is not what it should be.
        OSError: It cannot be read.
    """
    state = _json(file)
    if not isinstance(state.get("log_history"), list):
        raise SftError(
            f"{file} cannot be read",
            "it has no list log_history, as the Trainer of transformers writes it",
            "name another folder",
        )
    subject = Subject(path.name, str(path), "transformers")
    for entry in map(as_map, as_list(state["log_history"])):
        step = names.number(entry.get("step"))
        if step is not None and 0 <= step < 2**53:
            names.add(subject.curves, entry, int(step))
    told = {key: state.get(key) for key in ("num_train_epochs", "train_batch_size")}
    for folder in (file.parent, path):
        for name in ("adapter_config.json", "config.json"):
            if (folder / name).is_file():
                known = _json(folder / name)
                if name == "adapter_config.json":
                    told = {**known, **told}
                else:
                    told.setdefault("_name_or_path", known.get("_name_or_path"))
    kept = names.settings(told)
    subject.config = {key: kept[key] for key in kept if "." in key}
    done, end = names.number(state.get("global_step")), names.number(state.get("max_steps"))
    if done is not None and end and done >= end:
        subject.status = "finished"
    return subject


def _json(file: Path) -> dict[str, Any]:
    try:
        return as_map(json.loads(read_small(file, _MOST_BYTES)))
    except (ValueError, RecursionError) as error:
        raise SftError(
            f"{file} cannot be read", f"it is not valid JSON ({error})", "name another folder"
        ) from error
