"""Effects of a configuration: each part is known or says why not, and nothing is guessed."""

import msgspec
import pytest

from sft_tui.core import config_file, effects
from sft_tui.core.effects import effects_of
from sft_tui.core.hardware import Memory
from sft_tui.core.sidecar.effect_calls import Rows, Wanted
from tests.loopback_hub import samples


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "tiny"
    samples.save_model(folder)
    return folder


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("SFT_TUI_HOME", str(tmp_path / "home"))
    effects._facts.clear()
    return tmp_path


def asked(*sets, **more):
    return Wanted(config=config_file.build(list(sets)), **more)


def test_nothing_is_said_of_a_model_that_nobody_chose():
    found = effects_of(asked(has_model=False, rows=Rows(train=33, tokens=9, longest=9)))

    assert found.rows_per_step == 16 and found.steps_per_epoch == 3
    assert found.adapter is None and found.memory is None and found.fits == []
    assert found.failure is None


def test_without_counted_rows_steps_and_time_are_unknown(model):
    found = effects_of(asked(f"model.name={model}"))

    assert found.steps is None and found.epoch_s is None and found.total_s is None
    assert found.adapter.layers == 14 and found.disk.kept == 3


def test_a_fixed_number_of_steps_is_known_without_rows(model):
    found = effects_of(asked(f"model.name={model}", "train.max_steps=7"))

    assert found.steps == 7 and found.steps_per_epoch is None
    assert found.disk.kept == 1, "one checkpoint, at the end"


def test_memory_follows_the_longest_row_and_what_is_trained_of_it(model):
    name = f"model.name={model}"
    whole = effects_of(asked(name)).memory
    short = effects_of(asked(name, rows=Rows(9, 999, longest=64, trained_share=0.5))).memory

    assert whole.rows_tokens == 1024 and short.rows_tokens == 64
    assert short.total < whole.total and sum(short.parts.values()) == short.total
    assert short.low < short.total < short.high


@pytest.mark.parametrize(
    ("capacity", "word"), [(1 << 40, "fits"), (None, "unknown"), (600 << 20, "over")]
)
def test_each_device_gets_a_word(model, monkeypatch, capacity, word):
    devices = [Memory("GPU 0 big", 1 << 40, True), Memory("GPU 1", capacity, True)]
    monkeypatch.setattr(effects, "memories", lambda accelerator: devices)

    fits = effects_of(asked(f"model.name={model}")).fits

    assert [fit.word for fit in fits] == ["fits", word]
    assert (fits[1].why != "") == (word != "fits")


def test_what_would_fit_says_whether_it_can_be_set_today(model, monkeypatch):
    monkeypatch.setattr(effects, "memories", lambda accelerator: [Memory("host", 760 << 20, False)])

    (fit,) = effects_of(asked(f"model.name={model}", "train.micro_batch_size=64")).fits

    assert fit.word == "over" and "micro-batches of" in fit.instead
    assert fit.settable == ("train.gradient_checkpointing" not in fit.overrides)


def test_patterns_that_match_nothing_say_what_the_model_has(model):
    found = effects_of(asked(f"model.name={model}", "method.target_modules=[q_prj]"))

    assert found.adapter is None and found.memory is None and found.failure is None
    assert "'q_prj' matches no module" in found.adapter_failure.what
    assert "q_proj" in found.adapter_failure.remedy
    assert found.fits[0].word == "unknown" and found.fits[0].why


@pytest.mark.parametrize("pattern", ["embed_tokens", "*norm", "model"])
def test_a_module_that_lora_cannot_adapt_is_told_from_the_headers(model, pattern):
    failure = effects_of(
        asked(f"model.name={model}", f'method.target_modules=["{pattern}"]')
    ).adapter_failure

    assert f"{pattern!r} names no module that LoRA can adapt" in failure.what
    assert "is there, but LoRA adapts linear layers alone" in failure.why


def test_a_model_that_is_nowhere_says_why_and_the_rest_is_told(place):
    found = effects_of(asked(f"model.name={place / 'gone'}", "train.max_steps=3"))

    assert "is not a model" in found.failure.what and found.steps == 3
    assert found.fits[0].word == "unknown" and "is not a model" in found.fits[0].why


def test_the_hub_is_asked_once_for_a_model_and_not_for_every_change(monkeypatch, model):
    facts = effects.facts_of(config_file.build([f"model.name={model}"]).model)
    calls = []

    def ask(wanted, tell=None):
        calls.append(wanted.name)
        return facts

    monkeypatch.setattr(effects, "facts_of", ask)
    for rank in (4, 8):
        found = effects_of(asked("model.name=acme/elsewhere", f"method.rank={rank}"))
        assert found.adapter.trainable == rank * sum(
            layer.inputs + layer.outputs
            for layer in effects.adapted_strictly(facts, asked().config.method)
        )
    assert calls == ["acme/elsewhere"]


def test_a_hub_that_cannot_be_reached_says_so():
    found = effects_of(asked("model.name=acme/elsewhere"))

    assert found.failure is not None and found.failure.what == "the Hub is not reachable"
    again = effects_of(asked("model.name=acme/elsewhere"))
    assert again.failure == found.failure


def test_effects_survive_the_way_to_the_screen(model):
    found = effects_of(asked(f"model.name={model}", rows=Rows(9, 99, 9)))

    assert msgspec.json.decode(msgspec.json.encode(found), type=type(found)) == found


def test_a_pattern_for_experts_is_refused_where_there_are_none(model):
    found = effects_of(asked(f"model.name={model}", "method.target_parameters=[gate_up_proj]"))

    wrong = found.adapter_failure
    assert "method.target_parameters: 'gate_up_proj' matches nothing" in wrong.what
    assert "no mixture" in wrong.why and wrong.remedy == "set method.target_parameters to []"


def test_how_long_rows_may_be_is_told(model):
    assert effects_of(asked(f"model.name={model}")).context == 512


@pytest.mark.parametrize("devices", ["launch.devices=3", "launch.device_ids=[1, 4, 6]"])
def test_rows_of_a_step_count_all_devices(devices):
    sets = ("train.micro_batch_size=2", "train.gradient_accumulation=5")
    rows = Rows(train=61, tokens=9, longest=9)
    found = effects_of(asked(*sets, devices, rows=rows, has_model=False))
    assert (found.rows_per_step, found.steps_per_epoch) == (30, 3)
