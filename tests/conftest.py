"""What tests of every part share: a process that ended, a disk that can be full, and a Hub."""

import ctypes
import gc
import os
import subprocess
import tempfile
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import hypothesis
import msgspec
import pytest

from sft_tui.core import process

# No test speaks to the real Hub or uses what its cache holds: set before its clients are imported,
# for this process and all children.
os.environ["HF_ENDPOINT"] = "http://127.0.0.1:9"
os.environ["HF_HOME"] = tempfile.mkdtemp(prefix="sft-tui-hub-")
for name in ("HF_TOKEN", "HF_HUB_OFFLINE", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
    os.environ.pop(name, None)

# The same examples every time: a failure belongs to the change that caused it.
hypothesis.settings.register_profile("steady", derandomize=True, database=None)
hypothesis.settings.load_profile("steady")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Imports torch, transformers and PEFT without looking for garbage: there is none."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


LONG = ("e2e", "protocol")
"""Folders of tests that take longest."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begins with the longest: at the end only short ones are left for two processes to share.

    A file stays whole: what its tests share is then made by one of the processes.
    """
    items.sort(key=lambda item: item.path.parent.name not in LONG)


@pytest.fixture(scope="session")
def ended_process() -> process.ProcessRecord:
    """The record of a process that lived and ended."""
    child = subprocess.Popen(["sleep", "60"])
    record = msgspec.structs.replace(
        process.this_process("local", ["x"], {}),
        pid=child.pid,
        start_time=process.start_time(child.pid),
    )
    child.kill()
    child.wait()
    return record


@pytest.fixture
def hub(hub_root, tmp_path, monkeypatch):
    """Serves `hub_root`, which a test file gives, as the only Hub that child processes know.

    Its one account is alice's. The Hub's cache is a folder of the test's own, and still empty.
    """
    from tests.loopback_hub import LoopbackHub

    with LoopbackHub(hub_root, {"hf_alicetoken12345": "alice"}) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
        monkeypatch.setenv("SFT_TUI_HOME", str(tmp_path / "home"))
        yield running


@pytest.fixture(scope="session")
def nvml_library(tmp_path_factory) -> Path:
    """A stand-in for NVIDIA's management library; see its source."""
    library = tmp_path_factory.mktemp("nvml") / "libnvidia-ml.so.1"
    source = Path(__file__).parent / "native" / "nvml_stub.c"
    subprocess.run(["gcc", "-shared", "-fPIC", "-w", "-o", library, source], check=True)
    return library


@pytest.fixture
def show_gpus(nvml_library, tmp_path, monkeypatch) -> Callable[..., None]:
    """Makes the stand-in the driver of this process; called with a line for each GPU."""
    import pynvml

    lines = tmp_path / "gpus"
    monkeypatch.setenv("NVML_STUB", str(lines))
    monkeypatch.setattr(pynvml, "nvmlLib", ctypes.CDLL(str(nvml_library)))
    monkeypatch.setattr(pynvml, "_nvmlGetFunctionPointer_cache", {})

    def show(*gpus: str) -> None:
        whole = lines.with_suffix(".new")
        whole.write_text("".join(f"{gpu}\n" for gpu in gpus))
        os.replace(whole, lines)  # it may be read at any moment

    return show


@pytest.fixture
def mount_disk(tmp_path) -> Iterator[Callable[[str], Path]]:
    """Mounts a real file system of a size such as 16m; `make test` asks for the right to."""
    mounted: list[Path] = []

    def mount(size: str) -> Path:
        place = tmp_path / f"disk-{size}"
        place.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(place)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            pytest.fail(f"a full disk needs the right to mount one: {done.stderr.strip()}")
        mounted.append(place)
        return place

    yield mount
    for place in mounted:
        subprocess.run(["umount", "-l", place], check=True)


@pytest.fixture
def stranger() -> Iterator[int]:
    """A process of another session."""
    child = subprocess.Popen(["sleep", "60"], start_new_session=True)
    yield child.pid
    child.kill()
    child.wait()
