"""Failures that a user causes, provoked for real: their words in events, `show` and Monitor.

The trainer's own `main` runs in this process; what needs one of its own is in `tests/protocol`.
"""

import shutil
import signal

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import GPTJConfig, GPTJForCausalLM

from sft_tui.core import config_file, events
from sft_tui.core.rundir import RunDir, write_atomic
from sft_tui.core.tail import Tail
from sft_tui.core.training import __main__ as trainer
from sft_tui.core.training import failures
from sft_tui.core.training.report import Report
from tests import told


@pytest.fixture
def fail(new_run, monkeypatch, tmp_path):
    """Runs the trainer's `main` on a configuration; returns the run and how it told its end."""
    monkeypatch.setenv("SFT_TUI_HOME", str(tmp_path / "home"))
    kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def start(config, run: RunDir | None = None) -> tuple[RunDir, events.RunFinished]:
        run = run or new_run()
        write_atomic(run.config, config_file.to_yaml(config).encode())
        assert trainer.main([str(run.path), "config.yaml"]) == 1
        return run, told.failure(run)

    yield start
    for number, handler in kept.items():
        signal.signal(number, handler)


def test_a_rate_that_overflows_names_the_step_and_the_last_good_checkpoint(
    untied, ragged, configure, fail
):
    """The updates of steps 1 to 3 are finite; with the weights of the last no gradient is."""
    steep = configure(
        untied,
        ragged(8),
        "train.max_steps=14",
        "optim.learning_rate=1",
        "optim.schedule=linear",
        "optim.warmup_ratio=0.9",
        "optim.max_grad_norm=null",
        "method.alpha=3e19",
        "method.target_modules=[lm_head]",
        "save.every_steps=1",
        "save.keep=2",
    )
    run, end = fail(steep)
    found = [events.decode(line) for line in Tail(run.events).read(1 << 30)]
    norms = {event.step: event.grad_norm for event in found if isinstance(event, events.Step)}
    assert [step for step, norm in norms.items() if norm < float("inf")] == [1, 2, 3]
    assert "diverged at step 4: " in end.reason and end.step == 8
    assert "checkpoint 2 is the last good one" in end.reason
    saved = [step for step, _ in run.complete_checkpoints()]
    assert saved == [2, 3], "steps that changed nothing push no good checkpoint out"
    assert "remove checkpoints/step-3, then" in end.remedy
    assert f"`sft-tui resume {run.id} --set optim.learning_rate=0.1`" in end.remedy
    assert "goes on from step 2" in end.remedy


def test_a_base_that_is_not_finite_is_blamed_itself(untied, tmp_path, ragged, configure, fail):
    folder = tmp_path / "broken"
    shutil.copytree(untied, folder)
    weights = load_file(folder / "model.safetensors")
    weights["model.layers.1.mlp.up_proj.weight"][3, 5] = float("nan")
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    run, end = fail(configure(folder, ragged(8), "train.max_steps=14"))
    assert "the model's weights are not finite" in end.reason
    assert "layers.1.mlp.up_proj" in end.reason and "learning_rate" not in end.remedy
    found = [events.decode(line) for line in Tail(run.events).read(1 << 30)]
    warned = [event for event in found if isinstance(event, events.Warning_)]
    assert len(warned) == 5 and not any("lower" in event.remedy for event in warned)


@pytest.mark.parametrize("lost", [["model.norm.weight"], ["lm_head.weight"]], ids=str)
def test_a_base_that_lacks_weights_is_refused(untied, tmp_path, ragged, configure, fail, lost):
    folder = tmp_path / "part"
    shutil.copytree(untied, folder)
    weights = load_file(folder / "model.safetensors")
    kept = {name: weight for name, weight in weights.items() if name not in lost}
    save_file(kept, folder / "model.safetensors", {"format": "pt"})
    _, end = fail(configure(folder, ragged(8), "train.max_steps=1"))
    assert "are not complete" in end.reason and lost[0] in end.reason
    assert "would be random" in end.reason


def test_an_attention_that_the_model_lacks_says_which_it_has(
    tokenizer, tmp_path, ragged, configure, fail
):
    config = GPTJConfig(
        vocab_size=len(tokenizer), n_embd=32, n_layer=2, n_head=2, rotary_dim=8, n_positions=512
    )
    GPTJForCausalLM(config).save_pretrained(tmp_path / "gptj")
    tokenizer.save_pretrained(tmp_path / "gptj")
    _, end = fail(
        configure(
            tmp_path / "gptj",
            ragged(4),
            "model.attention=sdpa",
            "method.target_modules=[q_proj]",
            "train.max_steps=1",
        )
    )
    assert "model.attention: sdpa cannot be used" in end.reason
    assert "gptj has no such implementation" in end.reason
    assert "set model.attention to auto, or to eager" in end.remedy


def test_a_data_file_that_went_away_is_named(untied, ragged, configure, fail):
    data = ragged(4)
    config = configure(untied, data, "train.max_steps=1")
    moved = data.rename(data.with_suffix(".away"))
    _, end = fail(config)
    assert str(data) in end.reason and end.remedy
    moved.rename(data)


def test_a_checkpoint_that_was_cut_off_is_named_with_the_one_before(
    untied, ragged, configure, fail, train
):
    config = configure(untied, ragged(8), "train.max_steps=4", "save.every_steps=2")
    run = train(config).run
    path = run.checkpoints / "step-4" / "optimizer.safetensors"
    path.write_bytes(path.read_bytes()[:50])
    _, end = fail(configure(untied, ragged(8), "train.max_steps=6"), run)
    assert "step-4 cannot be resumed" in end.reason
    assert "go on from step-2" in end.remedy


@pytest.mark.parametrize(
    ("error", "is_one"),
    [
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 b"),
            True,
        ),
        (RuntimeError("std::bad_alloc"), True),
        (MemoryError(), True),
        (OSError(12, "Cannot allocate memory"), True),
        (torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."), True),
        (ImportError("x.so: failed to map segment from shared object"), True),
        (ImportError("x.so: cannot create descriptor: Cannot allocate memory"), True),
        (ImportError("x.so: failed to map segment: Operation not permitted"), False),
        (ImportError("x.so: cannot allocate memory in static TLS block"), False),
        (RuntimeError("shapes do not match"), False),
        (ValueError("out of memory"), False),
        (OSError(2, "No such file"), False),
    ],
)
def test_what_is_a_lack_of_memory_and_what_is_not(error, is_one):
    assert failures.is_out_of_memory(error) is is_one


def test_a_package_is_named_by_what_can_be_installed(tmp_path):
    """The loader names an extension alone: its file tells the package."""
    inside = tmp_path / "acme" / "parts"
    inside.mkdir(parents=True)
    for folder in (inside, inside.parent):
        (folder / "__init__.py").touch()
    broken = ImportError("bad magic", name="_rust", path=str(inside / "_rust.abi3.so"))
    missing = ModuleNotFoundError("No module", name="acme.other")
    builtin = ModuleNotFoundError("No module", name="_lzma")
    named = [_explained(tmp_path, error)[1] for error in (broken, missing, builtin)]
    assert ["pip install acme`" in remedy for remedy in named] == [True, True, False]
    assert "_lzma" not in named[2]


def test_memory_that_does_not_do_for_the_imports_is_not_called_a_missing_package(tmp_path):
    error = ImportError("a.so: failed to map segment from shared object", name="_a", path="/a.so")
    reason, remedy = _explained(tmp_path, error)
    assert reason.startswith("out of memory while importing") and "a.so" in reason
    assert "ulimit -v" in remedy and "pip" not in remedy


def _explained(folder, error) -> tuple[str, str]:
    run = RunDir(folder)
    with Report(run) as report:
        return failures.explain(error, run, None, report)
