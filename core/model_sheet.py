"""What is worth knowing of a model before it is chosen: what it is, and whether it fits here.

Reads a configuration and headers, of this machine or handed in; never a weight, never the Hub.
"""

import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from . import demo, gguf
from .config import ModelConfig, RunConfig
from .errors import SftError
from .fields import as_map
from .fit import Device, estimate
from .hardware import memories
from .hub import local
from .model_facts import ModelFacts, from_headers, read_local
from .preflight import local_model
from .regular import read_small
from .safetensors_header import json_object
from .sheet import Sheet
from .verdict import verdict

_LIMIT_BYTES = 16 << 20
_CAUSAL = re.compile(r"^MODEL_FOR_CAUSAL_LM_MAPPING_NAMES = OrderedDict\(\n(.*?)^\)", re.S | re.M)


def of_headers(
    name: str, model_config: dict[str, Any], headers: list[dict[str, Any]], config: RunConfig
) -> Sheet:
    """Returns the sheet of a model whose config.json and headers were read elsewhere.

    Args:
        name: Names it in errors.
        model_config: Its config.json, parsed.
        headers: Of its safetensors files.
        config: The run that it is to fit.

    Raises:
        SftError: The headers are none.
    """
    facts = from_headers(headers, model_config, name)
    return _sheet(facts, config, None, _why_refused(model_config))


def of_this_machine(config: RunConfig) -> Sheet:
    """Returns the sheet of a run's model, which is on this machine.

    Raises:
        SftError: It is not, or its files cannot be read.
    """
    folder = _folder(config.model)
    if folder is None:
        return Sheet(why="its weights are unpacked when it is first used")
    said = json_object(read_small(folder / "config.json", _LIMIT_BYTES)) or {}
    return _sheet(read_local(folder), config, _has_template(folder), _why_refused(said))


def _folder(model: ModelConfig) -> Path | None:
    """Returns the folder with a model's safetensors; None where they are still to be made."""
    if model.name == "demo":
        folder = demo.converted_folder()
        if not (folder / "model.safetensors").is_file():
            return local.snapshot(demo.HUB_ID)
        return folder
    if gguf.is_gguf(model.name):
        folder = gguf.converted_folder(gguf.checked(model.name))
        return folder if (folder / "model.safetensors").is_file() else None
    folder = local_model(model.name) or local.snapshot(model.name, model.revision)
    if folder is None:
        raise SftError(
            f"{model.name} is not on this machine", "it is not in the Hub's cache", "download it"
        )
    return folder


def _sheet(facts: ModelFacts, config: RunConfig, template: bool | None, refused: str) -> Sheet:
    memory = memories(config.launch.accelerator)[0]
    device: Device = "cuda" if memory.is_gpu else "cpu"
    guess = estimate(facts, config, device=device, rows_tokens=config.data.max_length)
    found = verdict(guess, memory.capacity_bytes)
    instead = found.instead
    return Sheet(
        params=None if facts.packed else facts.parameters,
        dtype=facts.dtype,
        architecture=facts.architecture,
        layers=facts.layers,
        context=facts.context,
        chat_template=template,
        refused=refused,
        word=found.word,
        why=found.why,
        total=None if guess.unknown else guess.total,
        spread=guess.spread,
        capacity=memory.capacity_bytes,
        parts={} if guess.unknown else guess.parts,
        instead=instead.sentence if instead else "",
        overrides=instead.overrides if instead else {},
        instead_total=instead.total if instead else None,
    )


def _has_template(folder: Path) -> bool | None:
    if any(folder.glob("chat_template.*")):
        return True
    try:
        said = json_object(read_small(folder / "tokenizer_config.json", _LIMIT_BYTES))
    except OSError:  # it has none
        return None
    return bool(as_map(said).get("chat_template"))


def _why_refused(model_config: dict[str, Any]) -> str:
    """Returns why transformers cannot load a model without running code that it brings."""
    kind = model_config.get("model_type")
    if not isinstance(kind, str) or not _generating() or kind in _generating():
        return ""
    if isinstance(model_config.get("auto_map"), dict):
        return (
            f"it needs its own Python code: transformers has no class for its type {kind}, and "
            "code of a repository is never run here"
        )
    return f"transformers has no class that generates text for its type {kind}"


@cache
def _generating() -> frozenset[str]:
    """Returns the model types that transformers itself has a text-generating class for.

    They are read from the text of its table: importing it would take seconds. Empty where that
    table is not found.
    """
    spec = find_spec("transformers")
    if spec is None or spec.origin is None:
        return frozenset()
    table = Path(spec.origin).parent / "models" / "auto" / "modeling_auto.py"
    try:
        found = _CAUSAL.search(table.read_text(encoding="utf-8"))
    except OSError:  # another layout: the trainer will tell
        return frozenset()
    return frozenset(re.findall(r'\("([^"]+)",', found[1])) if found else frozenset()
