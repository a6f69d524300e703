"""What the Hub tells of a repository beyond its files, computed from the files themselves.

Knows the formats of cards, configs and weights, and nothing of HTTP. A file that cannot be read
is as good as absent: the Hub lists repositories with broken files too.
"""

import json
import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from .repos import HubFile, Repo, Tree, sha1

_LIBRARIES = {"safetensors": ".safetensors", "gguf": ".gguf", "pytorch": ".bin"}
_FORMATS = {"json": (".jsonl", ".json"), "csv": (".csv",), "parquet": (".parquet",)}


def card(tree: Tree) -> dict[str, Any]:
    """Returns the YAML that heads a README."""
    text = tree.files["README.md"].place.read_text("utf-8") if "README.md" in tree.files else ""
    parts = text.split("---\n", 2)
    try:
        found = yaml.safe_load(parts[1]) if len(parts) == 3 and not parts[0] else None
    except yaml.YAMLError:
        found = None
    return found if isinstance(found, dict) else {}


def read_json(tree: Tree, path: str) -> dict[str, Any]:
    """Returns a JSON object of a repository; an empty one for what is none."""
    try:
        found = json.loads(tree.files[path].place.read_text("utf-8"))
    except (KeyError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def safetensors_header(file: HubFile) -> dict[str, Any]:
    """Returns the header of a safetensors file.

    Raises:
        ValueError: It has none.
    """
    with file.place.open("rb") as source:
        length = int.from_bytes(source.read(8), "little")
        if not 0 < length <= file.size:
            raise ValueError(f"{file.path} has no safetensors header")
        return json.loads(source.read(length))


def safetensors(tree: Tree) -> dict[str, Any] | None:
    """Returns the parameters by dtype of the files that `transformers` would load."""
    index = read_json(tree, "model.safetensors.index.json").get("weight_map", {})
    counts: Counter[str] = Counter()
    for path in sorted({*index.values()} or {"model.safetensors"}):
        try:
            header = safetensors_header(tree.files[path])
        except (KeyError, ValueError):
            return None
        header.pop("__metadata__", None)
        for tensor in header.values():
            counts[tensor["dtype"]] += math.prod(tensor["shape"])
    return {"parameters": dict(counts), "total": counts.total()}


def gguf(tree: Tree) -> dict[str, Any] | None:
    """Returns the parameters and the architecture that the first GGUF file states."""
    place = next((f.place for path, f in tree.files.items() if path.endswith(".gguf")), None)
    if place is None:
        return None
    from gguf import GGUFReader  # 0.3 s: only repositories with such a file pay it

    try:
        reader = GGUFReader(place)
    except (ValueError, IndexError):
        return None
    architecture = reader.get_field("general.architecture")
    return {
        "total": int(sum(tensor.n_elements for tensor in reader.tensors)),
        "architecture": architecture.contents() if architecture else None,
    }


def config(tree: Tree) -> dict[str, Any]:
    """Returns the part of the configuration files that the Hub shows."""
    whole = read_json(tree, "config.json")
    names = ("architectures", "model_type", "auto_map", "quantization_config")
    shown = {name: whole[name] for name in names if name in whole}
    tokenizer = read_json(tree, "tokenizer_config.json")
    names = ("bos_token", "chat_template", "eos_token", "pad_token", "unk_token")
    if facts := {name: tokenizer[name] for name in names if name in tokenizer}:
        shown["tokenizer_config"] = facts
    if template := tree.files.get("chat_template.jinja"):
        shown["chat_template_jinja"] = template.place.read_text("utf-8")
    if adapter := read_json(tree, "adapter_config.json"):
        names = ("base_model_name_or_path", "task_type", "peft_type")
        shown["peft"] = {name: adapter.get(name) for name in names}
    return shown


def _listed(value: Any) -> list[str]:
    return [str(each) for each in (value if isinstance(value, list) else [value] if value else [])]


def tags(repo: Repo, tree: Tree) -> list[str]:
    """Returns stated tags and those that the Hub derives from the card and the files."""
    stated, head, shown = repo.facts(), card(tree), config(tree)
    found = [*stated["tags"], *_listed(head.get("tags")), *_listed(head.get("language"))]
    found += [f"license:{name}" for name in _listed(head.get("license"))]
    if repo.kind == "datasets":
        for name in ("task_categories", "size_categories"):
            found += [f"{name}:{value}" for value in _listed(head.get(name))]
        endings = {Path(path).suffix for path in tree.files if path.count("/") < 2}
        found += [f"format:{name}" for name, own in _FORMATS.items() if endings & {*own}]
        return sorted({*found})
    found += [name for name, end in _LIBRARIES.items() if any(p.endswith(end) for p in tree.files)]
    found += [f"base_model:{name}" for name in _listed(head.get("base_model"))]
    found += _listed(shown.get("model_type")) + _listed(library(repo, tree))
    found += _listed(stated["pipeline_tag"] or head.get("pipeline_tag"))
    found += ["conversational"] if "chat_template" in json.dumps(shown) else []
    found += ["custom_code"] if "auto_map" in shown else []
    return sorted({*found})


def library(repo: Repo, tree: Tree) -> str | None:
    derived = {"adapter_config.json": "peft", "config.json": "transformers"}
    guesses = (name for path, name in derived.items() if path in tree.files)
    return repo.facts()["library_name"] or card(tree).get("library_name") or next(guesses, None)


def lfs(file: HubFile, oid_key: str) -> dict[str, Any]:
    """Returns the LFS part of a row; tree rows call the sha256 `oid`, siblings `sha256`."""
    if file.sha256 is None:
        return {}
    return {"lfs": {oid_key: file.sha256, "size": file.size, "pointerSize": file.pointer}}


def siblings(tree: Tree, blobs: bool = False) -> list[dict[str, Any]]:
    if not blobs:
        return [{"rfilename": path} for path in tree.files]
    return [
        {"rfilename": path, "size": file.size, "blobId": file.oid, **lfs(file, "sha256")}
        for path, file in tree.files.items()
    ]


Property = Callable[[Repo, Tree], Any]


def _stated(name: str) -> Property:
    return lambda repo, _tree: repo.facts()[name]


_BOTH: dict[str, Property] = {
    **{
        name: _stated(name)
        for name in ("disabled", "downloads", "gated", "lastModified", "likes", "private")
    },
    "author": lambda repo, _: repo.org,
    "cardData": lambda _, tree: card(tree),
    "createdAt": lambda repo, _: repo.facts().get("createdAt", repo.facts()["lastModified"]),
    "downloadsAllTime": _stated("downloads"),
    "resourceGroup": lambda *_: None,
    "sha": lambda _, tree: tree.commit,
    "siblings": lambda _, tree: siblings(tree),
    "tags": tags,
    "trendingScore": _stated("trendingScore"),
    "usedStorage": lambda _, tree: sum(file.size for file in tree.files.values()),
}

PROPERTIES: dict[str, dict[str, Property]] = {
    "models": {
        **_BOTH,
        "config": lambda _, tree: config(tree),
        "gguf": lambda _, tree: gguf(tree),
        "library_name": library,
        "pipeline_tag": lambda repo, tree: (
            repo.facts()["pipeline_tag"] or card(tree).get("pipeline_tag")
        ),
        "safetensors": lambda _, tree: safetensors(tree),
        # What the Hub can tell and nobody here can.
        **{
            name: lambda *_: None
            for name in (
                *("baseModels", "childrenModelCount", "evalResults", "inference", "mask_token"),
                *("inferenceProviderMapping", "model-index", "spaces", "transformersInfo"),
                "widgetData",
            )
        },
    },
    "datasets": {
        **_BOTH,
        **{name: lambda *_: None for name in ("citation", "mainSize", "paperswithcode_id")},
        "description": lambda _, tree: card(tree).get("description"),
    },
}
"""What may be asked for by `expand`, and how it is computed."""


def describe(repo: Repo, tree: Tree, names: list[str]) -> dict[str, Any]:
    """Returns the named properties that have a value, with those that every answer has."""
    wanted = {name: PROPERTIES[repo.kind][name](repo, tree) for name in names}
    found = {name: value for name, value in wanted.items() if value is not None}
    alias = {"modelId": repo.id} if repo.kind == "models" else {}
    return {"_id": sha1(repo.id.encode())[:24], "id": repo.id, **alias, **found}
