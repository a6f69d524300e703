"""GGUF files as base models: trained after their weights were turned into safetensors, once."""

import hashlib
from pathlib import Path

from .errors import SftError
from .regular import open_regular
from .rundir import home

_MAGIC = b"GGUF"


def is_gguf(name: str) -> bool:
    """Says whether a model's name is that of a GGUF file."""
    return name.lower().endswith(".gguf")


def checked(name: str) -> Path:
    """Returns the path of a GGUF file.

    Raises:
        SftError: There is none, or it is something else.
    """
    path = Path(name)
    try:
        with open_regular(path) as file:
            magic = file.read(4)
    except OSError as error:
        raise SftError(
            f"the model {path} cannot be read", error.strerror or str(error), "check the path"
        ) from error
    if magic != _MAGIC:
        raise SftError(
            f"{path} is no GGUF file", f"it begins with {magic!r}", "give a file of a model"
        )
    return path


def converted_folder(path: Path) -> Path:
    """Returns the folder of its safetensors, there or not; another one when the file changes."""
    facts = path.stat()
    mark = f"{path.absolute()}\0{facts.st_size}\0{facts.st_mtime_ns}"
    digest = hashlib.sha256(mark.encode()).hexdigest()[:12]
    return home() / "models" / f"{path.stem.lower()}-{digest}"
