"""The frame around every screen, what importing it costs, and pictures of what it holds."""

import json
import subprocess
import sys

import pytest
from syrupy.extensions.single_file import SingleFileSnapshotExtension

from sft_tui.core import events
from sft_tui.tui.widgets import frame_rows

HEAVY = {"torch", "transformers", "datasets", "peft", "accelerate", "numpy"}


class Picture(SingleFileSnapshotExtension):
    """A picture of the screen as SVG."""

    file_extension = "svg"
    _write_mode = "t"  # type: ignore[assignment]


@pytest.fixture
def frozen(monkeypatch):
    """A clock and a host name that never change."""
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setattr(frame_rows.socket, "gethostname", lambda: "gpu-box")
    monkeypatch.setattr("time.strftime", lambda form, *when: "14:22")


@pytest.mark.parametrize("module", ["sft_tui.tui.app", "sft_tui.tui.commands.application"])
def test_the_screens_import_nothing_heavy(module):
    code = (
        f"import {module}, json, sys\n"
        "print(json.dumps([name.partition('.')[0] for name in sys.modules]))"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True
    )

    assert not HEAVY & set(json.loads(done.stdout))


@pytest.mark.parametrize("mode", ["runs", "review", "monitor"])
@pytest.mark.parametrize("size", [(120, 36), (80, 24), (40, 12)])
def test_every_screen_has_modes_notice_and_footer_in_their_places(drive, living_run, mode, size):
    async def scenario(eyes):
        name = {"runs": "▌1 Runs▐", "review": "▌2 New▐", "monitor": "▌3 Monitor▐"}[mode]
        eyes.app.tell("Something happened.")
        await eyes.sees("Something happened.")
        assert name in eyes.rows()[0]
        assert eyes.rows()[0].count("▌") == 1
        assert eyes.notice.startswith(" » Something happened.")
        assert eyes.footer.rstrip().endswith(
            "? Help : Cmd q Leave" if mode == "runs" else "? Help : Cmd q Back"
        )
        assert [len(row) for row in eyes.rows()] == [size[0]] * size[1]

    drive(scenario, size, mode=mode)


def test_the_mode_row_shows_host_and_clock_where_there_is_room(drive, frozen):
    async def scenario(eyes):
        await eyes.sees("gpu-box  14:22")
        await eyes.pilot.resize_terminal(38, 12)
        await eyes.until(lambda: "gpu-box" not in eyes.rows()[0])
        assert eyes.rows()[0].startswith(" sft-tui ▌1 Runs▐ 2  3  4  5  6 ")
        await eyes.pilot.resize_terminal(66, 12)
        await eyes.until(lambda: "3 Monitor  4 Compare" in eyes.rows()[0])

    drive(scenario, (80, 24))


def test_a_notice_stays_until_the_next_and_is_plain_text(drive):
    """U57"""

    async def scenario(eyes):
        eyes.app.tell("[/b] [red]x[/red] \x1b[31mred\x1b]0;title\x07\nnext line")
        await eyes.sees("» [/b] [red]x[/red] red next line")
        await eyes.press("j", "f12", "tab")
        assert "next line" in eyes.notice
        eyes.app.tell("Another.")
        await eyes.sees("» Another.")
        assert "next line" not in eyes.notice

    drive(scenario)


def test_a_host_name_is_plain_text(drive, monkeypatch):
    """U57"""
    monkeypatch.setattr(frame_rows.socket, "gethostname", lambda: "[red]\x1b[31mbox[/]")

    async def scenario(eyes):
        await eyes.sees("[red]box[/]")

    drive(scenario)


def test_a_notice_reaches_the_screen_under_a_question(drive, living_run):
    async def scenario(eyes):
        await eyes.sees("RUNNING")
        await eyes.press("x")
        eyes.app.tell("Something happened.")
        await eyes.press("escape")
        await eyes.sees("» Something happened.")

    drive(scenario, mode="monitor")


def test_monitor_looks_as_it_did(watch, frozen, record, snapshot):
    """U36"""
    run = record.folder("20260102-030405-tiny-rows-0a01")
    told: list[events.Event] = [
        events.RunStarted(run_id=run.id, total_steps=60, train_rows=64, device="cpu", dtype="bf16")
    ]
    for n in range(1, 61):
        loss = float("nan") if n == 24 else 1 + 2 / n**0.5 + (n * 37 % 11) / 50
        told.append(
            events.Step(step=n, loss=loss, learning_rate=2e-4, grad_norm=0.6, tokens=9, step_s=0.1)
        )
        if n % 20 == 0:
            told.append(events.Eval(step=n, loss=1.4 + 1 / n, elapsed_s=1.0))
    told.append(events.System(host="gpu-box", cpu=0.5, memory_used_bytes=2 << 30))
    told.append(events.RunFinished(status="finished", step=60))
    record.add(run, *told, t=1_700_000_000.0)
    pictures: list[str] = []

    async def scenario(eyes):
        await eyes.sees("✓ FINISHED", "1 NaN ×", "recorded")
        pictures.append(eyes.app.export_screenshot())

    watch(scenario, run, (80, 24))
    assert pictures[0] == snapshot(extension_class=Picture)


def test_monitor_without_a_run_says_what_to_press_and_shows_no_empty_panel(drive, record):
    async def scenario(eyes):
        await eyes.sees("No run to watch yet.", "2 Set up a run")
        assert not eyes.app.screen.query_one("#middle").display
        record.living(record.trained())
        await eyes.press("1", "3")
        await eyes.sees("▶ RUNNING", "Events")
        assert eyes.app.screen.query_one("#chart").has_focus

    drive(scenario, (80, 24), mode="monitor")


def test_the_welcome_tells_of_a_draft(drive):
    async def first(eyes):
        await eyes.sees("No runs yet in", "Set up a run")
        eyes.app.drafts.set("method.rank", 8)

    async def later(eyes):
        await eyes.sees("No runs yet in", "Go on with your draft")

    drive(first)
    drive(later)


def test_the_welcome_names_the_folder(drive, home):
    async def scenario(eyes):
        await eyes.sees("No runs yet in", "Set up a run", "Take a YAML file")
        assert str(home / "runs").replace(" ", "") in eyes.flow().replace(" ", "")

    drive(scenario, (160, 45))
