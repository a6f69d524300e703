"""Layers are compiled where the run is long enough to gain, and where this machine can."""

import pytest
import torch

from sft_tui.core import config_file, events
from sft_tui.core.errors import SftError
from sft_tui.core.training import compiling


def chosen(outcome) -> str:
    (started,) = outcome.of(events.RunStarted)
    return started.choices["compile"]


@pytest.fixture
def long_run(monkeypatch):
    """Any run is worth it."""
    monkeypatch.setattr(compiling, "_TAKES_S", 0.0)


@pytest.fixture
def compiled(monkeypatch):
    """Counts layers that are asked to compile, and leaves them as they are."""
    asked = []
    monkeypatch.setattr(torch.nn.Module, "compile", lambda layer, **_: asked.append(layer))
    return asked


def test_a_short_run_is_not_compiled_and_says_so(untied, ragged, configure, train, compiled):
    outcome = train(configure(untied, ragged(4), "train.max_steps=1"))
    assert chosen(outcome) == "off: about 0 s of steps would not pay for it"
    assert not compiled


def test_a_long_one_is(untied, ragged, configure, train, compiled, long_run):
    outcome = train(configure(untied, ragged(4), "train.max_steps=1"))
    assert chosen(outcome) == "on: each decoder layer"
    assert len(compiled) == 2
    assert "compiling" in [phase.name for phase in outcome.of(events.Phase)]


def test_what_was_chosen_stays_at_a_resume(
    untied, ragged, configure, train, crash_after, compiled, monkeypatch
):
    config = configure(untied, ragged(4), "train.max_steps=3", "save.every_steps=1")
    run = crash_after(config, 1)
    monkeypatch.setattr(compiling, "_TAKES_S", 0.0)
    assert chosen(train(config, run=run)).startswith("off: about 0 s")
    assert not compiled


def test_without_a_compiler_it_is_off(
    untied, ragged, configure, train, long_run, monkeypatch, tmp_path
):
    monkeypatch.setenv("PATH", str(tmp_path))
    outcome = train(configure(untied, ragged(4), "train.max_steps=1"))
    assert chosen(outcome) == "off: no C++ compiler (g++) is installed"


def test_a_model_that_cannot_be_compiled_is_left_or_refused(
    untied, ragged, configure, train, long_run, monkeypatch
):
    def fail(layer, **_):
        layer._compiled_call_impl = broken

    def broken(*_, **__):
        raise RuntimeError("the graph has a hole")

    monkeypatch.setattr(torch.nn.Module, "compile", fail)
    common = (untied, ragged(4), "train.max_steps=2")
    plain = train(configure(*common, "train.compile=never"))
    auto = train(configure(*common))
    assert chosen(auto) == "off: RuntimeError: the graph has a hole"
    assert auto.losses == plain.losses, "nothing of the trial is left"
    with pytest.raises(SftError, match="the decoder layers cannot be compiled") as refused:
        train(configure(*common, "train.compile=always"))
    assert "a hole" in refused.value.why and "never" in refused.value.remedy


@pytest.mark.parametrize("written", ["true", "false", "always", "auto"])
def test_true_and_false_are_always_and_never(written):
    wanted = {"true": "always", "false": "never"}.get(written, written)
    text = f"model: {{name: demo}}\ndata: {{pack: {written}}}\ntrain: {{compile: {written}}}\n"
    config = config_file.parse(text)
    assert (config.data.pack, config.train.compile) == (wanted, wanted)


@pytest.mark.parametrize(
    ("dtype", "units", "per_thread"),
    [
        (torch.float32, (False, False), 1.6e11),
        (torch.bfloat16, (True, True), 1.12e12),
        (torch.bfloat16, (False, True), 2.4e11),
        (torch.bfloat16, (False, False), 3.2e10),
        (torch.float16, (True, True), 1.6e9),
    ],
)
def test_the_time_ahead_is_reckoned_from_what_the_machine_is(dtype, units, per_thread, monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: units[0])
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: units[1])
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    told = compiling._operations_per_s(dtype, torch.device("cpu"))
    assert told == pytest.approx(3 * per_thread)
