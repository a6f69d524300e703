"""Export: what is chosen, what is written for real, and what is said where it cannot be."""

import json
import os
import random
import struct
from pathlib import Path

import pytest

from sft_tui.core import config_file, events
from sft_tui.core.rundir import RunDir
from sft_tui.tui.screens.dialogs import Confirm
from tests.loopback_hub import LoopbackHub

SIZES = [(80, 24), (160, 45)]
TOKEN = "hf_alicetoken12345"


def save_adapter(folder: Path) -> None:
    """Writes a LoRA of rank 2 on the query projections of the tiny model, as PEFT saves it."""
    dice, header, content = random.Random(0), {}, b""
    for layer in range(2):
        for half, shape in (("A", [2, 32]), ("B", [32, 2])):
            name = f"base_model.model.model.layers.{layer}.self_attn.q_proj.lora_{half}.weight"
            data = struct.pack("<64f", *(dice.uniform(-0.5, 0.5) for _ in range(64)))
            span = [len(content), len(content) + len(data)]
            header[name] = {"dtype": "F32", "shape": shape, "data_offsets": span}
            content += data
    head = json.dumps(header).encode()
    folder.mkdir(parents=True, exist_ok=True)
    whole = struct.pack("<Q", len(head)) + head + content
    (folder / "adapter_model.safetensors").write_bytes(whole)
    settings = {
        "peft_type": "LORA", "task_type": "CAUSAL_LM", "r": 2, "lora_alpha": 4,
        "target_modules": ["q_proj"], "base_model_name_or_path": "x",
    }  # fmt: skip
    (folder / "adapter_config.json").write_text(json.dumps(settings))


@pytest.fixture
def user(tmp_path, monkeypatch) -> Path:
    """A home of the user's own, where exports go."""
    folder = tmp_path / "user"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    return folder


@pytest.fixture
def run(record, user, model) -> RunDir:
    """A finished run with two checkpoints, the first of which evaluated better, and a result."""
    run = record.trained(steps=40, total=40)
    config = config_file.build([f"model.name={model}", "data.source=acme/chat", "method.rank=2"])
    run.config.write_text(config_file.to_yaml(config))
    for step, loss in ((30, 1.2), (40, 1.4)):
        save_adapter(run.checkpoints / f"step-{step}")
        record.add(run, events.Eval(step=step, loss=loss))
    save_adapter(run.adapter)
    record.add(run, events.RunFinished(status="finished", step=40))
    return record.dead(run)


@pytest.fixture
def opened(drive, run):
    """Runs a scenario on Export, reached from Runs."""

    def start(scenario, size=(120, 36)) -> None:
        async def whole(eyes):
            await eyes.sees("FINISHED")
            await eyes.press("E")
            await eyes.sees("Checkpoint", "Same as")
            await scenario(eyes)

        drive(whole, size)

    return start


@pytest.mark.parametrize("size", SIZES)
def test_the_choices_and_the_size_are_seen_before_anything_is_written(opened, user, run, size):
    async def scenario(eyes):
        await eyes.sees("result: step 40, evaluation loss 1.4", "(1 of 5)", "(•) adapter")
        await eyes.sees(f"~/exports/{run.id}", "KiB of weights", "free", "not pushed")
        said = "".join(f"sft-tui export {run.id} --to {user}/exports/{run.id}".split())
        # A long path is wrapped.
        await eyes.until(lambda: said in "".join(eyes.flow().split()), why=said)
        await eyes.press("space")
        await eyes.sees("best: step 30, evaluation loss 1.2", "--checkpoint best")
        await eyes.press("j", "space")
        await eyes.sees("(•) merged with its base", f"~/exports/{run.id}-merged", "--merge")
        for shown in ("Enter Export", "space Change", "T Token", "q Back"):
            assert shown in eyes.footer
        assert "Verify" not in eyes.footer and not list(user.iterdir())

    opened(scenario, size)


def test_what_was_exported_is_pushed_after_a_second_yes_and_verified(
    opened, user, run, tmp_path, monkeypatch
):
    root = tmp_path / "hub"
    with LoopbackHub(root, {TOKEN: "alice"}) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        from huggingface_hub import constants

        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        screens = []

        async def scenario(eyes):
            await eyes.press("j", "j", "j", "space", *"alice/tuned", "enter")
            await eyes.sees("Hub alice/tuned", "Seen by", "--push alice/tuned")
            await eyes.press("enter")
            await eyes.sees("Push to alice/tuned?", "as alice", "Seen by those it is", within_s=60)
            assert isinstance(eyes.app.screen, Confirm) and not (root / "models/alice").exists()
            screens.append(eyes.text())
            await eyes.press("enter")
            await eyes.sees("Pushed: ", "PeftModel.from_pretrained(base, result)", within_s=60)
            screens.append(eyes.text())
            await eyes.press("v")
            await eyes.sees("It is what was trained.", within_s=60)
            screens.append(eyes.text())
            await eyes.press("i")
            await eyes.sees("In words", "Checkpoint: result: step 40")

        opened(scenario)
    place = user / "exports" / run.id
    assert (place / "adapter_model.safetensors").exists()
    assert (root / "models/alice/tuned/adapter_model.safetensors").exists()
    assert not any(TOKEN in text for text in screens)
    assert [path.name for path in place.parent.iterdir()] == [run.id]


@pytest.mark.parametrize("by", ["escape", "exit"])
def test_an_export_that_is_cancelled_leaves_nothing(opened, user, by):
    async def scenario(eyes):
        await eyes.press("enter")
        await eyes.sees("Esc cancels it", "Esc Cancel")
        assert list((user / "exports").iterdir())
        if by == "escape":
            await eyes.press("escape")
            await eyes.sees("Exporting was cancelled; nothing of it was left behind")
            assert eyes.app.current_mode == "export"

    opened(scenario)
    assert not list((user / "exports").iterdir())


def test_what_stands_against_an_export_is_said(opened, user, run, monkeypatch):
    async def scenario(eyes):
        (user / "full").mkdir()
        (user / "full" / "x").touch()
        await eyes.press("j", "j", "space", "ctrl+u", *str(user / "full"), "enter")
        await eyes.sees("it is not empty")
        await eyes.press(*["backspace"] * 4, *"new", "enter")
        await eyes.sees("~/new")
        await eyes.press("j", "space", *"tuned", "enter")
        await eyes.sees("it must be owner/name")
        await eyes.press("escape")
        monkeypatch.setattr("sft_tui.tui.screens.export_lines.free_bytes", lambda place: 10)
        await eyes.press("enter")
        assert "There is no room for it" in eyes.notice and "0.0 KiB are free" in eyes.notice

    opened(scenario)
    assert not (user / "new").exists()


def test_a_push_that_nobody_may_do_is_told_before_the_work(opened, user, monkeypatch):
    monkeypatch.delenv("HF_TOKEN", raising=False)

    async def scenario(eyes):
        await eyes.press("j", "j", "j", "space", *"alice/tuned", "enter", "enter")
        await eyes.sees("Nobody is signed in to the Hub", "Do: sign in", "T Token")

    opened(scenario)
    assert not (user / "exports").exists()


def test_an_export_that_fails_says_why_and_leaves_nothing(opened, run, user):
    (run.adapter / "adapter_config.json").write_text("{")

    async def scenario(eyes):
        await eyes.press("enter")
        await eyes.sees("✗", "Do: ", within_s=60)
        assert "Enter Export" in eyes.footer

    opened(scenario)
    assert not list((user / "exports").iterdir())


@pytest.mark.parametrize("size", SIZES)
def test_a_run_with_nothing_to_export_says_what_to_do(drive, record, user, size):
    record.dead(record.finished())

    async def scenario(eyes):
        await eyes.sees("FINISHED")
        await eyes.press("E")
        await eyes.sees("has no result", "Train anew with its config.yaml", "q Back")
        assert "Enter" not in eyes.footer
        await eyes.press("q")
        assert eyes.app.current_mode == "runs"

    drive(scenario, size)


def test_monitor_offers_it_once_the_run_has_ended(watch, run, record):
    async def scenario(eyes):
        await eyes.press("E")
        await eyes.sees("Checkpoint", "result: step 40")

    watch(scenario, run)
    living = record.living(record.trained("20260101-030405-other-0c01"))

    async def alive(eyes):
        await eyes.press("E")
        assert eyes.app.current_mode == "monitor"

    watch(alive, living)


def test_every_footer_entry_of_export_does_something(opened, monkeypatch):
    monkeypatch.setattr("sft_tui.tui.screens.export_lines.free_bytes", lambda place: 0)

    async def scenario(eyes):
        for key, shown in (("enter", "no room"), ("space", "best: step 30"), ("T", "Token of")):
            await eyes.press(key)
            await eyes.sees(shown)
        await eyes.press("escape", "question_mark")
        await eyes.sees("Export", "Write what is chosen", "Sign in to the Hub")
        await eyes.press("escape", "y")
        await eyes.until(lambda: "opied" in eyes.notice or "sft-tui export" in eyes.notice)

    opened(scenario)
    assert os.environ.get("HF_TOKEN") is None
