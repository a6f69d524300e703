"""`fit` prints parts and a verdict, exits by it, and refuses what it cannot read in words."""

import json
import struct
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from gguf import GGUFWriter

from sft_tui.core.errors import SftError
from sft_tui.core.hardware import Memory
from sft_tui.tui import cli
from sft_tui.tui.commands import fit as command

CLI = Path(sys.executable).with_name("sft-tui")
GIB = 1 << 30
CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "vocab_size": 1000,
    "tie_word_embeddings": True,
}
HEADER = {
    "model.embed_tokens.weight": {"dtype": "BF16", "shape": [1000, 64]},
    "model.layers.0.self_attn.q_proj.weight": {"dtype": "BF16", "shape": [64, 64]},
}


@pytest.fixture(autouse=True)
def sft_home(tmp_path, monkeypatch):
    monkeypatch.setenv("SFT_TUI_HOME", str(tmp_path / "home"))


@pytest.fixture
def model(tmp_path):
    """A model that is nothing but its header."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(CONFIG))
    header = json.dumps(HEADER).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    return folder


@pytest.fixture
def machine(monkeypatch):
    """Sets the memories that this machine has."""

    def has(*found: Memory):
        monkeypatch.setattr(command, "memories", lambda accelerator: list(found))

    return has


def sft(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [CLI, *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False
    )


def test_a_model_that_fits_ends_with_0_and_shows_every_part(model, machine, capsys):
    machine(Memory("this host", 8 * GIB, False))
    assert cli.main(["fit", str(model)]) == 0
    printed = capsys.readouterr().out
    for word in ("weights", "adapter", "gradients", "optimizer", "activations", "head", "runtime"):
        assert f"  {word}" in printed
    assert "~" in printed and "±20 %" in printed
    assert "LlamaForCausalLM" in printed and "2,048 trained parameters" in printed
    assert "✓ this host: fits" in printed and "of 8.00 GiB" in printed


def test_one_that_is_over_ends_with_1_and_shows_what_would_fit(model, machine, capsys):
    machine(Memory("GPU 0 A", 3 * GIB // 2, True))
    sets = ["--set", "train.micro_batch_size=256", "--set", "train.loss_chunk=null"]
    code = cli.main(["fit", str(model), *sets])
    printed = capsys.readouterr().out
    assert code == 1
    assert "✗ GPU 0 A: over" in printed
    assert "fits with micro-batches of" in printed
    assert "--set train.micro_batch_size=" in printed


def test_one_gpu_that_is_large_enough_is_enough(model, machine, capsys):
    machine(Memory("GPU 0 small", GIB // 2, True), Memory("GPU 1 large", 80 * GIB, True))
    assert cli.main(["fit", str(model)]) == 0
    printed = capsys.readouterr().out
    assert "✗ GPU 0 small: over" in printed and "✓ GPU 1 large: fits" in printed


def test_json_is_one_document_with_parts_range_and_devices(model, machine, capsys):
    machine(Memory("GPU 0", 80 * GIB, True))
    assert cli.main(["fit", str(model), "--json", "--kind", "qlora", "--checkpointing"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["total"] == sum(told["parts"].values())
    assert told["low"] < told["total"] < told["high"]
    assert (told["kind"], told["device"], told["trainable"]) == ("qlora", "cuda", 2048)
    assert told["devices"][0]["word"] == "fits" and told["devices"][0]["capacity"] == 80 * GIB
    assert told["measured"] is None


def test_what_is_unknown_is_null_and_ends_with_1(model, machine, capsys):
    machine(Memory("this host", 8 * GIB, False))
    (model / "config.json").write_text("{}")
    assert cli.main(["fit", str(model), "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["parts"] is told["total"] is told["trainable"] is None
    assert told["devices"][0]["word"] == "unknown" and "hidden_size" in told["devices"][0]["why"]
    assert cli.main(["fit", str(model)]) == 1
    printed = capsys.readouterr().out
    assert "? this host: unknown: " in printed
    assert " 0 trained" not in printed and "0.00 GiB" not in printed


@pytest.mark.parametrize(
    ("pack", "size", "trained", "said"),
    [
        ("never", (2, 30, 60), 23, "micro-batch 2 × 30 tokens, 23 of 60 trained"),
        ("always", (3, 16, 36), 18, "micro-batch 3 rows in one sequence, 18 of 36 trained"),
    ],
)
def test_a_configuration_is_taken_with_the_largest_micro_batch_of_its_data(
    pack, size, trained, said, model, machine, monkeypatch, tmp_path, capsys
):
    machine(Memory("this host", 8 * GIB, False))
    # In file order: (10 20) (30 16) (8 12); packed, a step is divided anew: (30) (20 10) (16 12 8).
    lengths = (10, 20, 30, 16, 8, 12)
    rows = [SimpleNamespace(input_ids=[0] * length, trained=length // 2) for length in lengths]
    dataset = SimpleNamespace(
        refuse_broken=lambda: [],
        sides=lambda: (range(len(lengths)), []),
        picked=lambda places: [rows[place] for place in places],
    )
    monkeypatch.setattr("sft_tui.core.data.dataset.gather", lambda *arguments, **named: dataset)
    monkeypatch.setattr("sft_tui.core.prompt.tokenizer_cache.load", lambda model: (None, None))
    path = tmp_path / "run.yaml"
    path.write_text(
        f"model: {{name: {model}}}\ntrain: {{micro_batch_size: 2}}\n"
        f"data: {{pack: {pack}, share_prefixes: never, shuffle: false}}\n"
    )

    assert cli.main(["fit", str(path), "--json"]) == 0
    longest = json.loads(capsys.readouterr().out)["longest"]
    assert (longest["rows"], longest["tokens"], longest["computed_tokens"]) == size
    assert longest["supervised_tokens"] == trained
    assert (longest["padded"], longest["packed"]) == (pack == "never", pack != "never")
    assert cli.main(["fit", str(path)]) == 0
    assert said in capsys.readouterr().out


@pytest.mark.parametrize("content", [b"", b"\xff" * 100, struct.pack("<Q", 2) + b"[]"])
def test_a_file_that_is_no_safetensors_is_refused_without_a_traceback(model, content):
    (model / "model.safetensors").write_bytes(content)
    done = sft("fit", model)
    assert done.returncode == 1
    lines = [line.partition(": ")[0] for line in done.stderr.splitlines()]
    assert lines == ["error", "why", "do"]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["nobody/has-this"], 1),
        (["gone.yaml"], 2),
        (["demo", "--set", "train.micro_batch_size=0"], 2),
        (["demo", "--kind", "full", "--set", "method.dora=true"], 2),
        (["demo", "--kind", "half"], 2),
        ([], 2),
    ],
)
def test_bad_usage_is_refused_in_words(arguments, code):
    done = sft("fit", *arguments)
    assert done.returncode == code, done.stderr
    assert done.stderr.startswith("error: ") and "Traceback" not in done.stderr


def test_kind_and_checkpointing_change_the_configuration(model, machine, capsys, monkeypatch):
    machine(Memory("this host", 8 * GIB, False))
    seen = []

    def measured(config):
        seen.append(config)
        raise SftError("the run could not be measured", "a test", "none")

    monkeypatch.setattr(command, "measure", measured)
    asked = ["fit", str(model), "--measure", "--kind", "qlora", "--checkpointing"]
    assert cli.main(asked) == 1
    (config,) = seen
    assert (config.method.kind, config.model.quantisation) == ("lora", "nf4")
    assert config.train.gradient_checkpointing
    full = ["fit", str(model), "--kind", "full", "--set", "train.precision=fp32"]
    assert cli.main([*full, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["kind"] == "full" and told["trainable"] == 1000 * 64 + 64 * 64
    assert cli.main(["fit", str(model), "--set", "method.kind=full", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["kind"] == "full", "as configured"


def test_an_adapter_names_its_base(tmp_path):
    (tmp_path / "adapter_config.json").write_text('{"base_model_name_or_path": "acme/base"}')
    done = sft("fit", tmp_path)
    assert done.returncode == 1 and done.stderr.splitlines() == [
        f"error: {tmp_path} is an adapter, not a model",
        "why: it holds what was trained on acme/base, and not the base",
        "do: give its base, acme/base",
    ]


def test_a_gguf_file_that_is_no_model_is_refused_at_once_and_a_conversion_is_told(tmp_path):
    path = tmp_path / "m.gguf"
    for whole in (False, True):
        writer = GGUFWriter(path, "mamba9")
        if whole:
            writer.add_block_count(1)
            writer.add_embedding_length(8)
            writer.add_token_list(["a"])
        writer.add_tensor("t", np.ones((4, 8), np.float32))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        done = sft("fit", path)
        assert done.returncode == 1
        told, *error = done.stderr.splitlines()
        if whole:
            assert told == f"Converting {path} into safetensors, once: it may take minutes."
            assert error[0] == f"error: the model {path} cannot be converted"
            assert "architecture mamba9" in error[1]
        else:
            assert told == f"error: the model {path} cannot be converted"
            assert "no mamba9.block_count" in error[0]
