"""Tokenizers as the trainer has them, without transformers: made once per model, kept as a file.

A helper process loads the tokenizer exactly as the trainer does and writes what formatting needs;
afterwards a preview starts in a moment. Knows nothing of how transformers builds a tokenizer.
"""

import hashlib
import importlib.metadata
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
from tokenizers import Tokenizer

from .. import demo
from ..config import ModelConfig
from ..errors import SftError
from ..gguf import checked, converted_folder, is_gguf, refuse_unusable
from ..hub.local import snapshot
from ..preflight import local_model
from ..rundir import home, write_own
from ..text import one_line
from .prompt import TokenizerFacts

_PARTS = ("tokenizer*", "*.model", "vocab*", "merges*", "special_tokens*", "added_tokens*",
          "chat_template*", "config.json")  # fmt: skip
"""Files of a model folder that make its tokenizer what it is."""
_WEIGHTS = "model.safetensors"


_newest: "dict[Path, tuple[Tokenizer, TokenizerFacts]]" = {}
"""The tokenizer that was loaded last: a large one takes half a second to read."""


class Cached(msgspec.Struct, frozen=True):
    """A tokenizer in a file: `backend` is the text of a tokenizer.json."""

    facts: TokenizerFacts
    backend: str


def load(
    model: ModelConfig, tell: Callable[[str], None] | None = None
) -> tuple[Tokenizer, TokenizerFacts]:
    """Returns a model's tokenizer, from the cache or by way of the helper process.

    Args:
        model: The model.
        tell: Told in a sentence what takes seconds now.

    Raises:
        SftError: The model has no tokenizer that can be used; the message is the trainer's.
    """
    path = _path(model)
    if path in _newest:
        return _newest[path]
    found = _read(path)
    if found is None:
        unconverted = _unconverted(model)
        if unconverted is not None:
            refuse_unusable(unconverted)
        if tell is not None:
            tell(
                f"Converting {model.name} into safetensors, once: it may take minutes."
                if unconverted is not None
                else f"Loading the tokenizer of {model.name} for the first time: some seconds."
            )
        _make(model)
        path = _path(model)  # a demo model that was converted meanwhile has files of its own
        found = _read(path)
    if found is None:
        raise SftError(
            f"the tokenizer of {model.name} cannot be used",
            f"{path} could not be written or read",
            "check that SFT_TUI_HOME can be written",
        )
    tokenizer = Tokenizer.from_str(found.backend)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    _newest.clear()
    _newest[path] = tokenizer, found.facts
    return tokenizer, found.facts


def is_made(model: ModelConfig) -> bool:
    """Returns whether `load` needs no helper process.

    Raises:
        SftError: A file or folder that is named is no model.
    """
    return _path(model).is_file()


def keep(model: ModelConfig, tokenizer: Tokenizer, facts: TokenizerFacts) -> None:
    """Writes a tokenizer into the cache.

    Raises:
        SftError: The folder cannot be written.
    """
    write_own(_path(model), msgspec.json.encode(Cached(facts, tokenizer.to_str())))


def folder_of(model: ModelConfig) -> Path | None:
    """Returns where a model lies on this machine, whole or not; None where it never was.

    Raises:
        SftError: A file or folder that is named is no model.
    """
    if model.name == "demo":
        return demo.converted_folder()
    if is_gguf(model.name):
        return converted_folder(checked(model.name))
    return local_model(model.name) or snapshot(model.name, model.revision)


def _path(model: ModelConfig) -> Path:
    """Returns the file of a model's tokenizer; another one whenever a file of the model changes."""
    folder = folder_of(model)
    marks: list[object] = [model.name, model.revision, importlib.metadata.version("transformers")]
    if folder is not None:
        files = {file for pattern in _PARTS for file in folder.glob(pattern)}
        for file in sorted(files):
            facts = file.stat()
            marks.append([file.name, facts.st_size, facts.st_mtime_ns])
    digest = hashlib.sha256(json.dumps(marks).encode()).hexdigest()[:24]
    return home() / "tokenizers" / f"{digest}.json"


def _read(path: Path) -> Cached | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Cached)
    except (FileNotFoundError, NotADirectoryError):  # not made yet
        return None
    except msgspec.DecodeError:  # made by another version
        return None


def _unconverted(model: ModelConfig) -> Path | None:
    """Returns the GGUF file that the helper process will convert; None where there is none."""
    if not is_gguf(model.name):
        return None
    path = checked(model.name)
    return None if (converted_folder(path) / _WEIGHTS).is_file() else path


def _make(model: ModelConfig) -> None:
    """Runs the helper process and passes its message on where it fails."""
    command = [sys.executable, "-P", "-m", "sft_tui.core.training.tokenizer_helper", model.name]
    if model.revision is not None:
        command.append(model.revision)
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        env={**os.environ, "SFT_TUI_HOME": str(home())},
        check=False,
    )
    if done.returncode == 0:
        return
    lines = done.stdout.splitlines()
    if len(lines) == 3 and done.returncode == 2:
        raise SftError(*map(one_line, lines))
    last = [line for line in done.stderr.splitlines() if line.strip()][-1:]
    if done.returncode < 0 or not last:  # as the kernel does where memory is short
        last = [f"the helper process ended with {done.returncode}"]
    raise SftError(
        f"the {'model' if is_gguf(model.name) else 'tokenizer of'} {model.name} cannot be loaded",
        one_line(last[0], 300),
        "check the model's files, and that memory and disk are large enough",
    )
