"""What can be refused before a trainer is started: files, folders and packages that are not there.

Looks, and reads nothing large: whether the rows themselves can be trained is the trainer's check.
"""

import os
from pathlib import Path

from . import gpus
from .config import ModelConfig, RunConfig
from .data import files
from .errors import SftError
from .gguf import checked, converted_folder, is_gguf, refuse_unusable
from .hub import local
from .hub.facts import checked_id
from .regular import rights, user
from .track import packages


def check(config: RunConfig) -> None:
    """Refuses a configuration whose data files, local model or tracker are not there.

    Raises:
        SftError: What is missing, and what to give instead.
    """
    gpus.choose(config.launch)
    check_inputs(config)


def check_inputs(config: RunConfig) -> None:
    """As `check`, but for the devices, which may be free by the time that they are needed.

    Raises:
        SftError: What is missing, and what to give instead.
    """
    packages.refuse_missing(config.track.kind)
    for source in config.data.sources:
        files.check(source.source)
    if config.data.eval_source is not None:
        files.check(config.data.eval_source)
    _refuse_revision(config.model)
    if is_gguf(config.model.name):
        path = checked(config.model.name)
        if not (converted_folder(path) / "model.safetensors").is_file():
            refuse_unusable(path)
    elif config.model.name != "demo":
        folder = local_model(config.model.name)
        if folder is None:
            checked_id(config.model.name)
        else:
            refuse_damaged(folder)
            refuse_without_tokenizer(folder)


def _refuse_revision(model: ModelConfig) -> None:
    """A local model has no revisions: what would be trained is not what was asked for."""
    if model.revision is None:
        return
    if model.name == "demo" or is_gguf(model.name) or local_model(model.name) is not None:
        raise SftError(
            f"model.revision is {model.revision!r}, which means nothing here",
            f"{model.name} is a model on this machine, and only those of the Hub have revisions",
            "leave model.revision out",
        )


def local_model(name: str) -> Path | None:
    """Returns the folder of a local model, checked; None for `demo` and Hub ids.

    Raises:
        SftError: The folder is not a model that can be trained.
    """
    path = Path(name)
    if name == "demo" or not (path.is_absolute() or path.exists()):
        return None
    if not (path / "config.json").is_file():
        if (path / "adapter_config.json").is_file():
            raise adapter_refused(str(path), local.base_of(path))
        raise SftError(
            f"{path} is not a model",
            "it has no config.json" if path.is_dir() else "there is no such folder",
            "give a folder saved by transformers, a Hub id, or `demo`",
        )
    if not any(path.glob("*.safetensors")):
        others = ", ".join(sorted(p.name for p in path.glob("*.bin"))[:3])
        raise SftError(
            f"the model in {path} cannot be loaded",
            "it has no safetensors" + (f", only {others}" if others else ""),
            "save it again with transformers' save_pretrained, which writes safetensors",
        )
    return path


def adapter_refused(name: str, base: str | None) -> SftError:
    """Returns the message for an adapter in the place of a model."""
    return SftError(
        f"{name} is an adapter, not a model",
        f"it holds what was trained on {base or 'a base that it does not name'}, and not the base",
        f"give its base, {base}" if base else "give the model that it was trained on",
    )


def refuse_damaged(folder: Path) -> None:
    """Refuses a model's folder with a weight file that is cut off, or that may not be read.

    Raises:
        SftError: Which file, and what it lacks.
    """
    refuse_forbidden(folder)
    damage = local.damaged(folder)
    if damage is not None:
        raise SftError(
            f"the model in {folder} cannot be loaded",
            damage,
            "copy that file again (`git lfs pull` in a Git clone), or save it again",
        )


def refuse_forbidden(folder: Path) -> None:
    """Refuses a model's folder with a weight file that this process has no right to read.

    Raises:
        SftError: Which file, whose it is, and how it is opened to you.
    """
    path = local.forbidden(folder)
    if path is None:
        return
    owner = path.stat().st_uid
    if owner == os.geteuid():
        remedy = f"give yourself the right: chmod u+r {path}"
    else:
        remedy = f"ask {user(owner)} for the right: chmod a+r {path}; or give a copy that is yours"
    raise SftError(f"the model in {folder} may not be read", f"{path.name}: {rights(path)}", remedy)


def refuse_without_tokenizer(folder: Path) -> None:
    """Refuses a model's folder whose tokenizer is missing or damaged.

    Raises:
        SftError: What it lacks.
    """
    lack = local.tokenizer_lack(folder)
    if lack is not None:
        raise tokenizer_refused(str(folder), lack)


def tokenizer_refused(name: str, why: str) -> SftError:
    """Returns the message for a model whose tokenizer cannot be loaded."""
    return SftError(
        f"the tokenizer of {name} cannot be loaded",
        why,
        "put its tokenizer.json and tokenizer_config.json into the folder: copy them from where "
        "the model is from, or save them with the tokenizer's save_pretrained",
    )
