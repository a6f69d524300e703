"""Writes a run's result as others load it: plain PEFT, or plain transformers after a merge."""

import asyncio
import shutil
from pathlib import Path
from typing import Any

import msgspec
import torch
import yaml
from peft import PeftModel
from peft.tuners.lora import LoraLayer
from safetensors.torch import load_file
from torch import nn

from .. import demo
from .. import export as chosen_export
from ..config import ModelConfig, RunConfig
from ..curve_svg import curve_svg
from ..errors import SftError
from ..export import ADAPTER_CONFIG, TRAINED, WEIGHTS, Base, Chosen, Request
from ..history import History, read_history
from ..hub import facts
from ..hub.child import Tell
from ..hub.client import HubClient
from ..hub.progress import Event
from ..model_card import CURVE, Card, Licence, model_card, title_of, until
from ..rundir import RunDir, explain_os_error
from ..verify import ORIGIN, Origin
from .checkpoint import digest_of, restore_trained
from .locate import locate
from .model import load_base
from .tokenizer import load_tokenizer, tokenizer_facts

_SHARD = "4GB"
_NOT_TOKENIZER = ("adapter_", "model", "config.json", "generation_config.json", "README.md")
"""How the names of a result's other files begin."""
_NO_SPACE = ("os error 28", "os error 122")


class Told:
    """Tells the phases of loading as events."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell

    def phase(
        self, name: str, done: int | None = None, total: int | None = None, unit: str | None = None
    ) -> None:
        name = name.replace("_", " ")
        if unit == "bytes":
            event = Event("progress", bytes_done=done or 0, bytes_total=total or 0, reason=name)
        else:
            event = Event("progress", files_done=done or 0, files_total=total or 0, reason=name)
        self._tell(event)


def write(request: Request, tell: Tell) -> Event:
    """Writes everything into the folder of a request.

    Raises:
        SftError: What the user can do something about; the message says what.
    """
    source, place = RunDir(Path(request.run)), Path(request.place)
    told = Told(tell)
    config = chosen_export.config_of(source)
    history = until(read_history(source.events), request.chosen.step)
    base = chosen_export.base_of(config.model, history.started)
    try:
        place.mkdir()
        if request.merge:
            _merged(request.chosen, config, base, place, told)
        else:
            told.phase("copying the adapter")
            _adapter(Path(request.chosen.folder), base, place)
        told.phase("writing the tokenizer")
        tokenizer = _tokenizer(source, config, base, place, told)
        told.phase("writing the model card")
        _describe(request, config, history, base, tokenizer, place, told)
    except OSError as error:
        raise _explained(error) from error
    except SftError:
        raise
    except Exception as error:  # safetensors and tokenizers tell of a full disk in their text alone
        if any(words in str(error) for words in _NO_SPACE):
            raise chosen_export.full(str(error)) from error
        raise
    return Event("done", folder=str(place))


def _explained(error: OSError) -> SftError:
    explained = explain_os_error(error, "exporting")
    return chosen_export.full(explained.why) if "disk is full" in explained.what else explained


def _adapter(adapter: Path, base: Base, place: Path) -> None:
    """Copies the weights, and their configuration with the base under its public name."""
    shutil.copyfile(adapter / WEIGHTS, place / WEIGHTS)
    said: dict[str, Any] = msgspec.json.decode((adapter / ADAPTER_CONFIG).read_bytes())
    said["base_model_name_or_path"] = base.name
    said["revision"] = base.revision
    text = msgspec.json.format(msgspec.json.encode(said), indent=2)
    (place / ADAPTER_CONFIG).write_bytes(text + b"\n")


def pinned(model: ModelConfig, base: Base) -> ModelConfig:
    """Returns the model at the revision that was trained."""
    if not base.on_hub or model.name == "demo" or Path(model.name).is_absolute():
        return model
    return msgspec.structs.replace(model, revision=base.revision)


def _merged(chosen: Chosen, config: RunConfig, base: Base, place: Path, told: Told) -> None:
    """Puts what was trained into the base and saves it in the precision the base is stored in.

    Beside a base in 4 bits, that is the base before it was quantised.
    """
    folder = locate(pinned(config.model, base), told)
    _refuse_quantised(folder, base)
    told.phase("loading the base")
    whole = msgspec.structs.replace(config.model, quantisation="none")
    model: Any = load_base(folder, whole, "stored")
    if chosen.full:
        told.phase("reading the trained weights")
        restore_trained(model, load_file(Path(chosen.folder, TRAINED)))
    else:
        model = _with_adapter(model, Path(chosen.folder), told)
    _mend_generation(model)
    told.phase("writing the weights")
    model.save_pretrained(place, max_shard_size=_SHARD)
    others = (place / "config.json").stat().st_mode
    for weights in place.glob("*.safetensors"):
        weights.chmod(others)  # safetensors writes for this user alone


def _refuse_quantised(folder: str, base: Base) -> None:
    said: dict[str, Any] = msgspec.json.decode(Path(folder, "config.json").read_bytes())
    if said.get("quantization_config"):
        raise SftError(
            "nothing can be merged into this base",
            f"the weights of {base.name} are stored quantised, and a sum would be rounded again",
            "export the adapter alone, without --merge",
        )


def _with_adapter(model: Any, adapter: Path, told: Told) -> Any:
    """Returns a base with an adapter merged into its weights, each sum made in fp32.

    A small update would be lost in the rounding of a bf16 sum.
    """
    untie(model, adapter)
    model = PeftModel.from_pretrained(model, str(adapter))
    layers: list[Any] = [module for module in model.modules() if isinstance(module, LoraLayer)]
    with torch.no_grad():
        for number, layer in enumerate(layers):
            told.phase("merging", number, len(layers), "modules")
            name = getattr(layer, "parameter_name", "weight")  # of fused experts another one
            weight = getattr(layer.get_base_layer(), name)
            stored = weight.dtype
            weight.data = weight.data.float()
            layer.merge()
            weight.data = weight.data.to(stored)
    told.phase("merging", len(layers), len(layers), "modules")
    return model.unload()


def untie(model: Any, adapter: Path) -> None:
    """Gives the head weights of its own where it shares the embedding's and has an adapter."""
    head, embedding = model.get_output_embeddings(), model.get_input_embeddings()
    if head is None or head.weight is not embedding.weight:
        return
    name = next(name for name, module in model.named_modules() if module is head)
    said: dict[str, Any] = msgspec.json.decode((adapter / ADAPTER_CONFIG).read_bytes())
    if name in said["target_modules"]:
        head.weight = nn.Parameter(head.weight.detach().clone(), requires_grad=False)
        model.config.tie_word_embeddings = False


def _mend_generation(model: Any) -> None:
    """Lets settings pass that the base came with and that transformers would not save again."""
    settings = model.generation_config
    try:
        settings.validate(strict=True)
    except ValueError:  # a temperature without sampling, in some published models
        settings.do_sample = True


def _tokenizer(source: RunDir, config: RunConfig, base: Base, place: Path, told: Told) -> Any:
    """Writes the tokenizer with its chat template: the run's own copy where it has one."""
    own = source.model if source.model.is_dir() else source.adapter
    if (own / "tokenizer_config.json").is_file():
        for path in own.iterdir():
            if path.is_file() and not path.name.startswith(_NOT_TOKENIZER):
                shutil.copyfile(path, place / path.name)
        return load_tokenizer(str(own))
    tokenizer = load_tokenizer(locate(pinned(config.model, base), told, tokenizer_only=True))
    tokenizer.save_pretrained(place)
    return tokenizer


def _describe(
    request: Request,
    config: RunConfig,
    history: History,
    base: Base,
    tokenizer: Any,
    place: Path,
    told: Told,
) -> None:
    """Writes where it is from, the model card, the curve and the configuration."""
    known = tokenizer_facts(tokenizer)
    title = title_of(base, Path(request.run).name)
    card = Card(
        title=title,
        config=config,
        history=history,
        step=request.chosen.step,
        base=base,
        merged=request.merge,
        repo=request.repo,
        licence=_licence(config, base, told),
        adds_special=known.adds_bos and not _begins_itself(tokenizer, known.bos_token),
    )
    origin = Origin(
        Path(request.run).name, request.chosen.step, request.merge, weight_digests(place)
    )
    (place / ORIGIN).write_bytes(msgspec.json.encode(origin) + b"\n")
    (place / "README.md").write_text(model_card(card), encoding="utf-8")
    steps = [(float(e.step), _value(e.loss)) for e in history.steps]
    evals = [(float(e.step), _value(e.loss)) for e in history.evals]
    (place / CURVE).write_text(curve_svg(steps, evals), encoding="utf-8")
    text = chosen_export.public_yaml(config)
    (place / "config.yaml").write_text(text, encoding="utf-8")


def weight_digests(folder: Path) -> dict[str, str]:
    """Returns the SHA-256 of each weight file of an export, by name."""
    return {path.name: digest_of(path) for path in sorted(folder.glob("*.safetensors"))}


def _value(value: float | str | None) -> float:
    return float("nan") if value is None else float(value)


def _begins_itself(tokenizer: Any, bos: str | None) -> bool:
    """Says whether the chat template writes the begin token."""
    if not tokenizer.chat_template or bos is None:
        return False
    turns = [{"role": "user", "content": "a"}]
    try:
        return tokenizer.apply_chat_template(turns, tokenize=False).startswith(bos)
    except Exception:  # a template may refuse any conversation; it is then of no use in the card
        return False


def _licence(config: RunConfig, base: Base, told: Told) -> Licence | None:
    """Returns the base's licence: of its own card, else of the Hub's where it can be asked."""
    if config.model.name == "demo":
        return Licence(demo.LICENCE)
    readme = Path(config.model.name) / "README.md"
    if not base.on_hub:
        return _of_card(_front_matter(readme))
    told.phase("asking for the licence of the base")

    async def ask() -> dict[str, Any]:
        async with HubClient() as client:
            repo, _ = await facts.repo(client, base.name)
            return repo.card

    try:
        return _of_card(asyncio.run(ask()))
    except SftError:  # without a connection it stays unknown, and the card says so
        return None


def _front_matter(readme: Path) -> dict[str, Any]:
    try:
        head = readme.read_text("utf-8").split("---\n", 2)
        found = yaml.safe_load(head[1]) if len(head) == 3 and not head[0] else None
    except (OSError, UnicodeDecodeError, yaml.YAMLError):  # none, or not for machines
        return {}
    return found if isinstance(found, dict) else {}


def _of_card(card: dict[str, Any]) -> Licence | None:
    named = [card.get(key) for key in ("license", "license_name", "license_link")]
    licence, name, link = (value if isinstance(value, str) else None for value in named)
    return Licence(licence, name, link) if licence else None
