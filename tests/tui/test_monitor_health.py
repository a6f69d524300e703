"""The health of a run on Monitor: what is wrong, what to do, and what was taken note of."""

import math

import msgspec
import pytest

from sft_tui.core import events
from sft_tui.core.health.findings import Finding
from sft_tui.core.health.table import RULES
from sft_tui.tui.keys import of_scope
from sft_tui.tui.screens import health_lines as lines
from sft_tui.tui.screens.monitor import MonitorScreen
from sft_tui.tui.screens.monitor_health import HealthList
from sft_tui.tui.services.health_board import HealthBoard
from tests.tui.conftest import train_step


@pytest.fixture
def ill_run(record):
    """NaN at step 35 after checkpoint 30, and a loss of 9 at step 33."""
    run = record.living(record.trained(losses={33: 9.0, 35: math.nan}.items()))
    record.checkpoint(run, 30)
    return run


def found(rule: str, step: int = 0, severity: str = "warning") -> Finding:
    return Finding(rule=rule, severity=severity, message="m", remedy="r", key="x s", step=step)


@pytest.mark.parametrize("size", [(80, 24), (120, 36), (160, 45)])
def test_what_is_wrong_is_seen_without_a_key(watch, ill_run, size):
    async def scenario(eyes):
        await eyes.sees("✗ Loss became NaN at step 35", "w Health")
        if size[0] > 80:
            await eyes.sees("✗ 1 error, 1 warning", "! Loss jumped to 9 at step 33", "clip 0 %")
        else:
            await eyes.sees("+1 (w)")

    watch(scenario, ill_run, size)


def test_a_run_that_is_well_says_so(watch, living_run):
    async def scenario(eyes):
        await eyes.sees("✓ healthy")
        assert "w Health" not in eyes.footer
        await eyes.press("w")
        assert isinstance(eyes.app.screen, MonitorScreen)

    watch(scenario, living_run)


def test_the_list_says_what_to_do_and_space_takes_note(watch, ill_run):
    async def scenario(eyes):
        await eyes.press("w")
        await eyes.sees(
            "stop and resume from 30 with a lower learning rate",
            "If it happens again, lower the learning rate (now 0.0002).  [x l]",
        )
        await eyes.press("space")
        await eyes.sees("Last good checkpoint: 30.  (acknowledged)")
        await eyes.press("escape")
        await eyes.sees("! 1 warning, 1 acknowledged")
        await eyes.press("w", "space", "escape")
        await eyes.sees("✗ 1 error, 1 warning")

    watch(scenario, ill_run)


def test_the_list_tells_when_each_rule_fires(watch, ill_run):
    async def scenario(eyes):
        await eyes.press("w", "i")
        await eyes.sees("gradient norm 0 for 10 steps", "more than 50 % of the last 50 steps")
        await eyes.press("i")
        await eyes.sees("Loss became NaN at step 35")
        assert isinstance(eyes.app.screen, HealthList)

    watch(scenario, ill_run)


def test_space_on_the_panel_takes_note_of_one_after_the_other(watch, ill_run):
    async def scenario(eyes):
        await eyes.press("tab", "tab")
        assert "space Acknowledge" in eyes.footer
        await eyes.press("space")
        await eyes.sees("Acknowledged for this window: nan.", "! 1 warning, 1 acknowledged")
        await eyes.press("space")
        await eyes.sees("✓ healthy, 2 acknowledged")
        assert "space Acknowledge" not in eyes.footer
        await eyes.press("i")
        await eyes.sees("Error nan: Loss became NaN at step 35", "Rules:")

    watch(scenario, ill_run)


def test_a_finding_that_comes_while_it_is_watched_is_said(watch, living_run, record):
    async def scenario(eyes):
        await eyes.sees("✓ healthy")
        record.add(living_run, train_step(41, math.inf))
        await eyes.sees("» Loss became infinite at step 41", "w shows what to do", "✗ 1 error")

    watch(scenario, living_run)


def test_findings_are_in_the_order_in_which_they_came_newest_first():
    board = HealthBoard()
    board.update([found("old")])
    assert board.update([found("late", severity="error"), found("old")]) == board.findings[:1]
    assert [each.rule for each in board.findings] == ["late", "old"]
    assert [each.rule for each in board.open] == ["late", "old"]


def test_what_was_acknowledged_is_told_again_when_it_fires_again():
    board = HealthBoard()
    board.update([found("spike", 5)])
    board.acknowledge(board.findings[0])
    board.update([found("spike", 5)])
    assert not board.open
    board.update([])
    board.update([found("spike", 5)])
    assert board.open
    board.acknowledge(board.findings[0])
    board.update([found("spike", 9)])
    assert board.open, "another step is another jump"


def test_the_key_of_every_rule_is_one_of_monitors_or_of_the_control_menu():
    known = {key for each in (*of_scope("monitor"), *of_scope("app")) for key in each.keys}
    menu = set("celmpsdk")
    for name, rule in RULES.items():
        first, *second = rule.key.split()
        assert first in known and not (set(second) - menu), name


def test_a_trainers_warning_stands_among_the_findings(watch, living_run, record):
    record.add(living_run, events.Warning_(code="odd", message="it is odd", remedy="look"))

    async def scenario(eyes):
        await eyes.sees("! 1 warning", "! it is odd")

    watch(scenario, living_run)


@pytest.mark.parametrize("size", [(60, 18), (40, 12)])
def test_narrow_screens_use_their_rows_for_health_and_further_facts(watch, ill_run, size):
    async def scenario(eyes):
        await eyes.sees("Health ✗ Loss became NaN", "ckpt 30")
        assert "at step 35" in eyes.flow() and "+1 (w)" in eyes.flow()
        assert all(len(row.rstrip()) <= size[0] for row in eyes.rows())
        await eyes.sees("disk", "checkpoint 30 saved")
        assert sum(not row.strip() for row in eyes.rows()) <= 1
        await eyes.press("w")
        await eyes.sees("stop and resume")

    watch(scenario, ill_run, size)


@pytest.mark.parametrize("size", [(60, 18), (40, 12)])
def test_narrow_screens_keep_cause_remedy_and_keys_of_a_failure(watch, crashed_run, size):
    async def scenario(eyes):
        await eyes.sees("CRASHED: the trainer", "Do: R continues from step 30", "E Export")
        assert ("no rule fired" in eyes.text()) == (size[1] > 12)
        assert eyes.rows()[-2].startswith(" »")

    watch(scenario, crashed_run, size)


@pytest.mark.parametrize("size", [(60, 18), (40, 12)])
def test_narrow_screens_say_that_a_run_is_well(watch, living_run, size):
    async def scenario(eyes):
        await eyes.sees("Health ✓ healthy", "no checkpoint yet")

    watch(scenario, living_run, size)


def test_findings_are_wrapped_over_the_rows_that_there_are():
    board = HealthBoard()
    long = "Loss jumped to 9 at step 33, far above the usual 1.348, and was back after 1 step"
    board.update([msgspec.structs.replace(found(f"r{at}", at), message=long) for at in range(3)])

    def drawn(rows: int) -> list[str]:
        return lines.panel(board, (None, None, None), (36, rows + 2), {}).plain.split("\n")[1:-1]

    assert not any("…" in row for row in drawn(9)) and all(drawn(9))
    assert sum("…" in row for row in drawn(7)) == 1, "only the last has less than it needs"
    assert all(drawn(7)) and len(drawn(7)) == 7
    assert [row[0] for row in drawn(3)] == ["!"] * 3
    assert drawn(2)[-1] == "  … w shows all"
