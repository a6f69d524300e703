"""Review: all that will happen, the gate before the launch, and the command that does the same."""

import os
import shlex
import sys
from functools import partial
from pathlib import Path

import pytest
from textual.widgets import Input

from sft_tui.core import config_file, launch
from sft_tui.core.rundir import RunDir
from sft_tui.core.sidecar.effect_calls import Effects, Memory
from sft_tui.tui import review_text

GOOD = [{"question": f"Where is city {n}?", "answer": f"In land {n}."} for n in range(40)]


@pytest.fixture
def drafted(on_review):
    """Runs a scenario on Review once all rows were looked at."""
    return partial(on_review, settled=True)


@pytest.mark.parametrize("size", [(80, 24), (160, 45)])
def test_everything_that_will_happen_is_on_one_page(drafted, started, size):
    """U27"""

    async def scenario(eyes):
        await eyes.sees(
            "Ready to launch", "rank 16, alpha 32", "38 rows to train, 2 held out",
            "at most 1,024 tokens a row", "3 steps (1 epoch)", "16 rows a step (4 × 4)",
            "✓ configuration", "✓ all 40 rows looked at", "✓ memory of", "✓ disk",
            "trained parameters", "Same as", "sft-tui train",
        )  # fmt: skip
        told = eyes.app.screen.describe()
        assert "LoRA rank 16" in told and "all 40 rows looked at" in told, "U68"
        assert not started
        await eyes.press("enter")
        await eyes.until(lambda: started)
        await eyes.sees("▌3 Monitor▐")

    drafted(GOOD, scenario, size)


def test_the_shown_command_trains_the_same_configuration(drafted, started):
    """U27"""

    async def scenario(eyes):
        await eyes.sees("Same as")
        command = shlex.split(eyes.app.screen.command())
        assert command[:2] == ["sft-tui", "train"]
        config = config_file.load(Path(command[2]))
        await eyes.sees(f"Hash {config_file.config_hash(config)}")
        await eyes.press("enter")
        await eyes.until(lambda: started)
        ((_, launched),) = started
        assert config_file.config_hash(config) == config_file.config_hash(launched)
        eyes.app.show_step("review")
        assert not eyes.app.drafts.set("method.rank", 5)
        await eyes.until(
            lambda: config_file.load(Path(command[2])).method.rank == 5, why="the file"
        )

    drafted(GOOD, scenario, **{"train.max_steps": 7})


def test_an_error_refuses_the_launch_until_its_name_is_typed(drafted, started):
    """U26"""
    rows = [*GOOD, {"question": "Who?", "answer": {"deep": 1}}]

    async def scenario(eyes):
        await eyes.sees("Not ready: 1 to mend", "✗ wrong_row: row 40 lacks")
        (refused,) = [c for c in eyes.app.screen.checks() if c.severity == "error"]
        await eyes.press("enter")
        await eyes.sees("[Preview]", "Row 40", "wrong_row")
        assert not started
        eyes.app.show_step("review")
        await eyes.press("a")
        eyes.app.screen.query_one(Input).value = "whatever"
        await eyes.press("enter")
        await eyes.sees(f"Type one or more of: {refused.id}")
        eyes.app.screen.query_one(Input).value = refused.id
        await eyes.press("enter")
        await eyes.sees("Ready to launch", "let pass in this configuration")
        await eyes.press("enter")
        await eyes.until(lambda: started)
        assert started[0][1].data.ignore_problems == [refused.id]

    drafted(rows, scenario)


def test_names_may_be_typed_together_and_each_counts_once(drafted):
    rows = [*GOOD, {"question": "Who?", "answer": {"deep": 1}}]

    async def scenario(eyes):
        await eyes.sees("Not ready: 1 to mend")
        await eyes.press("a")
        eyes.app.screen.query_one(Input).value = "wrong_row, nonsense"
        await eyes.press("enter")
        await eyes.sees("you typed 'nonsense'")
        eyes.app.screen.query_one(Input).value = " wrong_row,wrong_row wrong_row"
        await eyes.press("enter")
        await eyes.sees("Ready to launch", "let pass in this configuration")
        assert eyes.app.screen.draft.value("data.ignore_problems") == ["wrong_row"]

    drafted(rows, scenario)


def test_warnings_are_shown_once_more_before_the_launch(drafted, started):
    rows = [*GOOD, {"question": "Who? " * 40, "answer": "A. " * 20}]

    async def scenario(eyes):
        await eyes.sees("Ready to launch", "! ")
        await eyes.press("enter")
        await eyes.sees("Launch with", "Enter yes")
        await eyes.press("escape")
        assert not started
        await eyes.press("enter", "enter")
        await eyes.until(lambda: started)

    drafted(rows, scenario, **{"data.max_length": 128})


def test_fields_that_do_not_go_together_refuse_and_lead_to_configure(drafted, started):
    async def scenario(eyes):
        await eyes.sees("Not ready: 1 to mend", "evaluate.every_steps")
        await eyes.press("enter")
        await eyes.sees("[Configure]", "Not launched: evaluate.every_steps is 50")
        assert not started

    drafted(GOOD, scenario, **{"data.eval_fraction": 0.0})


def test_data_that_cannot_be_read_refuses_with_the_reason(drafted, started):
    async def scenario(eyes):
        await eyes.sees("Not ready: 1 to mend", "blob")
        await eyes.press("enter")
        await eyes.sees("[Data]", "Not launched: ")
        assert not started

    drafted([{"id": 1, "blob": 2}], scenario)


def test_what_changed_since_the_last_run_is_said(drafted, record):
    record.dead(record.finished())

    async def scenario(eyes):
        await eyes.sees(
            "Changed", "method.rank 8 → 16", " more, since 20260102-030405-tiny-rows-0a01"
        )

    drafted(GOOD, scenario)


def test_the_configuration_is_saved_where_one_says_and_nothing_is_overwritten(
    drafted, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.yaml").write_text("mine")

    async def scenario(eyes):
        await eyes.press("s")
        for name, said in (
            ("there.yaml", "exists"),
            ("", "Type the name"),
            ("no/such/x.yaml", "cannot be written"),
        ):
            eyes.app.screen.query_one(Input).value = name
            await eyes.press("enter")
            await eyes.sees(said)
        eyes.app.screen.query_one(Input).value = "new.yaml"
        await eyes.press("enter")
        await eyes.sees("Saved.", "sft-tui train new.yaml")
        assert config_file.load(Path("new.yaml")) == eyes.app.drafts.draft.config()

    drafted(GOOD, scenario)
    assert (tmp_path / "there.yaml").read_text() == "mine"


def test_a_trainer_that_dies_before_its_first_event_is_told_with_code_and_last_line(
    drive, home, monkeypatch, tmp_path
):
    """U28"""
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "if 'sft_tui.core.training' in sys.orig_argv:\n"
        "    sys.stderr.write('ModuleNotFoundError: flash_attn\\n')\n"
        "    sys.stderr.flush()\n"
        "    import os; os._exit(7)\n"
    )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *sys.path[:0]]))
    config = config_file.build(preset="demo")
    monkeypatch.setattr("sft_tui.core.preflight.check", lambda config: None)

    async def scenario(eyes):
        eyes.app.start_run(lambda: launch.start(config))
        await eyes.sees(
            "The trainer ended (code 7) before its first event", "flash_attn", within_s=5
        )

    drive(scenario)
    (run,) = (home / "runs").iterdir()
    assert not RunDir(run).events.exists()


def test_a_run_whose_disk_has_no_room_is_told_and_its_folder_is_taken_back(drive, record):
    run = record.folder()

    class Full:
        pid = 0

        def poll(self):
            return launch.EXIT_FULL

    async def scenario(eyes):
        eyes.app.start_run(lambda: launch.Trainer(run, Full(), first=True))
        await eyes.sees("did not start", "disk is full", within_s=5)

    drive(scenario)
    assert not run.path.exists()


def test_rows_longer_than_the_models_context_are_warned_of():
    memory = Memory({"weights": 1}, 1, 1, 1, rows_tokens=673)
    effects = Effects(rows_per_step=1, memory=memory, context=512)
    (check,) = review_text._of_effects(effects)
    assert check.line() == (
        "! rows have up to 673 tokens, and the model was made for 512 – set data.max_length to 512 "
        "or less"
    )
    assert (check.step, check.field) == ("configure", "data.max_length")
    fitting = Effects(rows_per_step=1, memory=memory, context=1024)
    assert review_text._of_effects(fitting) == []


def test_a_rate_for_adapters_is_warned_of_where_all_weights_are_trained():
    build = config_file.build
    (check,) = review_text._of_rate(build(["method.kind=full"]))
    assert check.severity == "warning" and check.field == "optim.learning_rate"
    assert "2e-4 suits LoRA" in check.text and "to 1e-5" in check.remedy
    assert review_text._of_rate(build(preset="full")) == []
    assert review_text._of_rate(build([])) == []
