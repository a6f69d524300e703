"""A tiny model and data for real trainer processes, and the command line to steer them."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from sft_tui.core import config_file, control, events, process
from sft_tui.core.config import RunConfig
from sft_tui.core.rundir import RunDir, list_runs
from sft_tui.core.status import status_of
from sft_tui.core.tail import Tail

CLI = Path(sys.executable).with_name("sft-tui")

# In a process of its own: the tests themselves never import torch.
BUILD = """
import sys
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

letters = sorted(pre_tokenizers.ByteLevel.alphabet())
vocabulary = {token: index for index, token in enumerate(["<pad>", "<eos>", *letters])}
raw = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
raw.decoder = decoders.ByteLevel()
tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="<eos>", pad_token="<pad>")
torch.manual_seed(0)
model = LlamaForCausalLM(
    LlamaConfig(
        vocab_size=300,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        eos_token_id=1,
        pad_token_id=0,
    )
)
model.save_pretrained(sys.argv[1])
tokenizer.save_pretrained(sys.argv[1])
"""


@dataclass
class Tiny:
    """The folder of a 2-layer model and a file of 64 rows."""

    model: Path
    data: Path

    def config(self, *sets: str) -> RunConfig:
        """Returns a configuration that trains without an end, many steps a second."""
        base = [
            f"model.name={self.model}",
            f"data.source={self.data}",
            "data.max_length=320",
            "method.rank=4",
            "optim.schedule=constant",
            "optim.warmup_ratio=0",
            "train.max_steps=100000",
            "train.micro_batch_size=2",
            "train.gradient_accumulation=1",
            "train.precision=fp32",
            "evaluate.every_steps=null",
            "evaluate.at_start=false",
            "evaluate.samples=0",
            "save.every_steps=20",
            "save.keep=3",
            "launch.accelerator=cpu",
        ]
        return config_file.build([*base, *sets])

    def config_file(self, folder: Path, *sets: str) -> Path:
        """Writes that configuration into `folder` and returns the file."""
        path = folder / "run.yaml"
        path.write_text(config_file.to_yaml(self.config(*sets)))
        return path


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    folder = tmp_path_factory.mktemp("tiny")
    model, data = folder / "model", folder / "rows.jsonl"
    subprocess.run([sys.executable, "-P", "-c", BUILD, model], check=True, capture_output=True)
    rows = [{"prompt": f"What is {n} plus {n}?", "completion": str(2 * n)} for n in range(64)]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Tiny(model, data)


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model this small is slower on two threads."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture(autouse=True)
def sft_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A home of its own for each test; what still trains in it at the end is killed."""
    folder = tmp_path / "home"
    monkeypatch.setenv("SFT_TUI_HOME", str(folder))
    yield folder
    monkeypatch.setenv("SFT_TUI_HOME", str(folder))
    for run in list_runs():
        record = run.process_record()
        if record is not None and process.alive(record):
            os.killpg(record.pid, signal.SIGKILL)


def sft(*arguments: object, timeout: float = 60, **options) -> subprocess.CompletedProcess[str]:
    """Runs `sft-tui` to its end, without a terminal."""
    return subprocess.run(
        [CLI, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        **options,
    )


def until(
    true: Callable[[], object], timeout_s: float = 120.0, trains: RunDir | None = None
) -> object:
    """Waits until `true()` is; returns what it gave. Fails at once when `trains` has ended."""
    deadline = time.monotonic() + timeout_s
    while not (found := true()):
        assert time.monotonic() < deadline, "it did not happen in time"
        if trains is not None:
            state = status_of(trains)
            assert state.active, f"the run is {state.word}: {state.reason}"
        time.sleep(0.02)
    return found


def told(run: RunDir) -> list[events.Event]:
    """Returns every whole event of a run."""
    return [event for line in Tail(run.events).read(1 << 30) if (event := events.decode(line))]


def last_step(run: RunDir) -> int:
    """Returns the number of the last step told, 0 before the first."""
    steps = [event.step for event in told(run) if isinstance(event, events.Step)]
    return steps[-1] if steps else 0


def answers(run: RunDir, request: str) -> list[str]:
    """Returns the outcomes that a command got, in order."""
    return [
        event.outcome
        for event in told(run)
        if isinstance(event, events.Control) and event.id == request
    ]


def the_request(run: RunDir) -> str:
    """Returns the id of the last command that was asked."""
    return [control.decode(line) for line in Tail(run.control).read()][-1].id


@pytest.fixture
def cli():
    """The helpers above as one object, as test files import nothing from each other."""
    from types import SimpleNamespace

    return SimpleNamespace(
        path=CLI, sft=sft, until=until, told=told, last_step=last_step, answers=answers,
        the_request=the_request,
    )  # fmt: skip
