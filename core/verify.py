"""Whether an export is what was trained: looked at here, loaded and compared by a child process.

An export says in `export.json` which run and step it is of; where that run is still here, its
logits are compared with those of the checkpoint itself.
"""

from contextlib import aclosing
from pathlib import Path
from typing import Any, Literal

import msgspec

from . import export as exports
from .errors import SftError, UsageError
from .export import ADAPTER_CONFIG, WEIGHTS, Chosen
from .hub import child, local
from .preflight import refuse_forbidden
from .regular import open_regular, read_small
from .rundir import RunDir, runs_folder
from .safetensors_header import json_object
from .text import one_line

ORIGIN = "export.json"
BOUND = 1e-5
"""The largest difference of logits in fp32, as a share of the largest logit."""
_LONGEST_NAME = 255
"""How many bytes the name of a folder may have."""
_PICKLED = {".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle"}
_PICKLE_STARTS = (b"PK\x03\x04", *(b"\x80" + bytes([protocol]) for protocol in range(2, 6)))
_AGAIN = "export again with `sft-tui export`, or copy the folder again from where it is whole"


class Origin(msgspec.Struct, frozen=True):
    """What an export is of. It says nothing of this machine."""

    run: str
    step: int
    merged: bool
    sha256: dict[str, str] = {}
    """What its weight files were when they were written, by name; exports of before told none."""


class Request(msgspec.Struct, frozen=True):
    """What the child process loads and compares."""

    folder: str
    adapter: bool
    """Whether the folder holds an adapter; else it holds a whole model."""
    run: str | None
    """The folder of the run that it came from, where it is still here."""
    chosen: Chosen | None
    """The checkpoint that it came from, where it is still here."""
    base: str | None
    """The base in place of the one that the run or the adapter names."""
    sha256: dict[str, str] = {}
    """What the weight files were when they were exported, by name, where that is known."""


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """What the child process found. Differences are shares of the largest logit.

    `difference` is from the weights of the checkpoint, put into the precision of the export's
    files; `rounding` is how far that precision alone takes the logits. Both are None where
    nothing was compared.
    """

    rows: int
    tokens: int
    """Of each row."""
    dtype: str
    difference: float | None = None
    rounding: float | None = None
    changed: list[str] = []
    """Weight files that are not, to the bit, what was exported."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of an export after it was loaded."""

    folder: str
    form: Literal["adapter", "model"]
    run: str | None
    step: int | None
    measured: Measured
    why_not: str = ""
    """Why nothing was compared; "" where it was."""

    @property
    def ok(self) -> bool:
        """Whether it is what was trained, as far as that could be told."""
        found = self.measured.difference
        return not self.measured.changed and (found is None or found <= BOUND)


class Looked(msgspec.Struct, frozen=True):
    """A folder that can be loaded, as far as its files tell."""

    request: Request
    origin: Origin | None
    why_not: str


def look(folder: Path, runs: Path | None = None, base: str | None = None) -> Looked:
    """Returns what is to be loaded and compared; reads no weights.

    Args:
        folder: The export.
        runs: The folder of the runs; None for the usual one.
        base: A folder or Hub id in place of the base that is named by the run or the adapter.

    Raises:
        UsageError: There is no such folder.
        SftError: It is damaged, or not what transformers and PEFT save.
    """
    if not folder.is_dir():
        raise UsageError(
            f"{folder} cannot be verified",
            "it is no folder" if folder.exists() else "there is no such folder",
            "give a folder that `sft-tui export` wrote",
        )
    folder = folder.absolute()
    refuse_forbidden(folder)
    _refuse_pickled(folder)
    adapter = (folder / ADAPTER_CONFIG).is_file()
    if adapter:
        _refuse_unusable_adapter(folder)
    else:
        _refuse_unusable_model(folder)
    origin = _origin(folder)
    run, chosen, why_not = _source(origin, runs)
    found = str(run.path) if run else None
    digests = origin.sha256 if origin else {}
    return Looked(Request(str(folder), adapter, found, chosen, base, digests), origin, why_not)


async def verify(looked: Looked) -> child.Events:
    """Loads and compares in a child process; the last event is `done`, for `verdict`.

    Raises:
        HubError: It cannot be loaded, or its logits are not finite.
    """
    work = child.events(
        "sft_tui.core.training.verify_helper",
        looked.request,
        "the verification",
        "a model needs 4 bytes of memory for each parameter here: free some, then verify again",
    )
    async with aclosing(work) as told:
        async for event in told:
            yield event


def verdict(looked: Looked, answer: dict[str, Any] | None) -> Verdict:
    """Returns what is known after the child process answered."""
    origin = looked.origin
    return Verdict(
        folder=looked.request.folder,
        form="adapter" if looked.request.adapter else "model",
        run=origin.run if origin else None,
        step=origin.step if origin else None,
        measured=msgspec.convert(answer, Measured),
        why_not=looked.why_not,
    )


def in_words(found: Verdict) -> list[str]:
    """Returns what was done and found, a sentence each."""
    measured = found.measured
    how = (
        "adapter over its base with PEFT" if found.form == "adapter" else "model with transformers"
    )
    lines = [f"Loaded the {how} alone, in fp32."]
    changed = ""
    if measured.changed:
        names = one_line(", ".join(measured.changed), 200)
        changed = f"{names} changed since it was exported, as SHA-256 tells"
    rows = f"{measured.rows} rows of {measured.tokens} fixed tokens"
    if measured.difference is None:
        lines += [
            f"Its logits for {rows} are finite.",
            f"Only that was checked, and not whether it is what was trained: {found.why_not}.",
        ]
        return [*lines, f"It is NOT what was exported: {changed}; {_AGAIN}."] if changed else lines
    whose = f"those of step {found.step} of {one_line(found.run or '', 80)}"
    if measured.dtype != "fp32":
        whose += f" in {measured.dtype}, the precision of its files"
    lines += [
        f"Compared its logits for {rows} with {whose}.",
        f"Largest difference {measured.difference:.2g} of the largest logit; the bound is "
        f"{BOUND:.0e}.",
    ]
    if measured.rounding is not None:
        lines.append(
            f"The precision {measured.dtype} itself takes the logits {measured.rounding:.2g} away "
            "from the trained weights in fp32."
        )
    if found.ok:
        return [*lines, "It is what was trained."]
    why = changed or "its files were changed, or the run was"
    return [*lines, f"It is NOT what was trained: {why}; {_AGAIN}."]


def as_json(found: Verdict) -> dict[str, Any]:
    """Returns a verdict for a program."""
    return {
        "folder": found.folder,
        "ok": found.ok,
        "form": found.form,
        "run": found.run,
        "step": found.step,
        "compared": found.measured.difference is not None,
        "why_not": found.why_not or None,
        **msgspec.to_builtins(found.measured),
        "bound": BOUND,
    }


def _refuse_pickled(folder: Path) -> None:
    for path in sorted(folder.iterdir()):
        pickled = path.suffix.lower() in _PICKLED
        if path.suffix == ".safetensors" and path.is_file():
            with open_regular(path) as file:
                pickled = file.read(4).startswith(_PICKLE_STARTS)
        if pickled:
            raise SftError(
                f"{folder} is not verified",
                f"{path.name} is pickled: loading such a file can run any code",
                "only safetensors are loaded: remove that file, or have the weights saved again "
                "with save_pretrained",
            )


def _refuse_unusable_adapter(folder: Path) -> None:
    try:
        said = json_object(read_small(folder / ADAPTER_CONFIG))
    except OSError as error:
        raise _damaged(folder, f"{ADAPTER_CONFIG}: {error.strerror or error}") from error
    if said is None:
        raise _damaged(folder, f"{ADAPTER_CONFIG} is no JSON object")
    if said.get("peft_type") != "LORA":
        kind = one_line(str(said.get("peft_type")), 40)
        raise SftError(
            f"{folder} cannot be verified",
            f"its {ADAPTER_CONFIG} names the kind {kind}, and only LORA is trained here",
            "give a folder that `sft-tui export` wrote",
        )
    if not (folder / WEIGHTS).is_file():
        raise _damaged(folder, f"it has no {WEIGHTS}")
    if (why := local.damaged(folder)) is not None:
        raise _damaged(folder, why)


def _refuse_unusable_model(folder: Path) -> None:
    if not (folder / "config.json").is_file():
        raise SftError(
            f"{folder} cannot be verified",
            f"it has neither {ADAPTER_CONFIG} nor config.json: it is no adapter and no model",
            "give a folder that `sft-tui export` wrote",
        )
    if local.needs_code(folder):
        raise SftError(
            f"{folder} is not verified",
            "its config.json names Python code of its own, which is never run",
            "give a folder that `sft-tui export` wrote",
        )
    if (why := local.why_unusable(folder)) is not None:
        raise _damaged(folder, why)


def _damaged(folder: Path, why: str) -> SftError:
    return SftError(f"{folder} is damaged", one_line(why, 300), _AGAIN)


def _origin(folder: Path) -> Origin | None:
    """Returns what an export says of itself; None where it says nothing."""
    path = folder / ORIGIN
    if not path.exists():
        return None
    try:
        found = msgspec.json.decode(read_small(path), type=Origin)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _damaged(folder, f"{ORIGIN} cannot be read: {error}") from error
    if not _names_a_folder(found.run):
        raise _damaged(folder, f"{ORIGIN} names no run: {found.run!r}")
    return found


def _names_a_folder(name: str) -> bool:
    """Tells whether a name stays in the folder of runs: a copied run may have any such name."""
    apart = name in ("", ".", "..") or "/" in name or "\0" in name
    return not apart and len(name.encode()) <= _LONGEST_NAME


def _source(origin: Origin | None, runs: Path | None) -> tuple[RunDir | None, Chosen | None, str]:
    """Returns the run and the checkpoint that an export came from, or why there is none."""
    if origin is None:
        return None, None, f"it has no {ORIGIN}, which would name its run"
    run = RunDir(runs_folder(runs) / origin.run)
    if not run.events.exists():
        return None, None, f"its run {one_line(origin.run, 80)} is not in {run.path.parent}"
    kept = dict(run.complete_checkpoints()).get(origin.step)
    if kept is not None:
        return run, Chosen(str(kept), origin.step), ""
    try:
        result = exports.choose(run, None)
    except SftError:  # no result: then there is nothing to compare with
        result = None
    if result is not None and result.step == origin.step:
        return run, result, ""
    return run, None, f"no checkpoint of step {origin.step} of {one_line(origin.run, 80)} is kept"
