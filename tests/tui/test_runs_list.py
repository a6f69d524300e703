"""Runs as a list: filter, order, marks and health, at two sizes, while the rows go on changing."""

import pytest

from sft_tui.core import config_file, events
from sft_tui.core.compare import MOST
from sft_tui.core.notes import write_note
from sft_tui.core.summary import summarise

SIZES = [(80, 24), (160, 45)]


@pytest.fixture
def some(record):
    """Three runs that ended and one at work; the newest first is 0d04, 0c03, 0b02, 0a01."""
    for number, (name, loss) in enumerate([("0a01", 1.5), ("0b02", None), ("0c03", 1.2)], 1):
        run = record.dead(record.trained(f"2026010{number}-030405-tiny-rows-{name}", steps=3))
        if loss is not None:
            record.add(run, events.Eval(step=3, loss=loss))
        record.add(run, events.RunFinished(status="stopped" if loss else "paused", step=3))
    write_note(run, "rank too high?", None)
    return record.living(record.trained("20260104-030405-other-0d04"))


def order(eyes) -> list[str]:
    table = eyes.app.screen.table
    return [str(row.key.value)[-4:] for row in table.ordered_rows]


@pytest.mark.parametrize("size", SIZES)
def test_a_filter_leaves_the_runs_that_have_its_words_and_esc_brings_all_back(drive, some, size):
    async def scenario(eyes):
        await eyes.sees("Runs · 4 · 1 active")
        await eyes.press("slash", *"tiny", "space", *"HIGH")
        await eyes.sees("EDIT", "1 match “tiny HIGH”")
        assert order(eyes) == ["0c03"]
        await eyes.press("enter")
        assert eyes.app.screen.selected.id.endswith("0c03")
        await eyes.sees("Note: rank too high?")
        await eyes.press("escape")
        await eyes.until(lambda: len(order(eyes)) == 4)
        assert eyes.app.screen.selected.id.endswith("0c03"), "the cursor stays on its run"
        await eyes.press("slash", *"paused", "escape")
        assert len(order(eyes)) == 4

    drive(scenario, size)


def test_a_filter_that_fits_nothing_says_how_to_leave_it(drive, some):
    async def scenario(eyes):
        await eyes.sees("Runs · 4")
        await eyes.press("slash", *"qwn", "enter")
        await eyes.sees("No run matches “qwn”. Esc clears the filter.")
        assert "Enter Open" not in eyes.footer and "Mark" not in eyes.footer
        await eyes.press("escape")
        await eyes.sees("0a01", "Enter Open")
        await eyes.press("j")
        assert eyes.app.screen.selected is not None

    drive(scenario)


def test_each_order_is_named_and_what_is_unknown_comes_last(drive, some):
    async def scenario(eyes):
        await eyes.sees("order: newest first")
        assert order(eyes) == ["0d04", "0c03", "0b02", "0a01"]
        await eyes.press("G", "o")
        await eyes.sees("order: evaluation")
        assert order(eyes) == ["0d04", "0c03", "0a01", "0b02"], "at work on top, unknown last"
        assert eyes.app.screen.selected.id.endswith("0a01"), "the cursor stays on its run"
        for name in ("loss", "speed", "name", "newest"):
            await eyes.press("o")
            await eyes.sees(f"order: {name}")
            assert order(eyes)[0] == "0d04" and len(order(eyes)) == 4

    drive(scenario)


@pytest.mark.parametrize("size", SIZES)
def test_marks_stay_through_refreshes_filters_and_orders(drive, some, record, size):
    """U13"""

    async def scenario(eyes):
        await eyes.sees("Runs · 4")
        await eyes.press("space", "down", "space")
        await eyes.sees("2 marked", "Compare(2)")
        record.add(some, events.Step(step=41, loss=0.7777, tokens=5, step_s=0.5))
        record.finished("20260109-030405-new-0e05", steps=3)
        await eyes.sees("Runs · 5")
        await eyes.press("o", "slash", *"tiny", "enter")
        await eyes.sees("3 match")
        marked = [row for row in eyes.rows() if "●" in row]
        assert ["0b02" in row for row in marked] == [True], "0d04 is marked and hidden"
        await eyes.press("escape")
        await eyes.until(lambda: sum("●" in row for row in eyes.rows()) == 2)
        await eyes.press("escape")
        await eyes.until(lambda: "●" not in eyes.text() and "marked" not in eyes.text())

    drive(scenario, size)


def test_marked_runs_are_compared_in_the_order_of_their_marks(drive, some):
    async def scenario(eyes):
        await eyes.sees("Runs · 4")
        await eyes.press("G", "space", "c")
        assert "space marks another" in eyes.notice and eyes.app.current_mode == "runs"
        await eyes.press("g", "space", "c")
        await eyes.until(lambda: eyes.app.current_mode == "compare")
        assert [path.name[-4:] for path in eyes.app.compared] == ["0a01", "0d04"]

    drive(scenario)


def test_compare_takes_the_marked_runs_where_nothing_is_compared_yet(drive, some):
    async def scenario(eyes):
        await eyes.sees("Runs · 4")
        await eyes.press("G", "space", "4")
        await eyes.sees("Nothing to compare yet", "Space marks several")
        await eyes.press("1", "g", "space", "4")
        await eyes.until(lambda: len(eyes.app.compared) == 2)
        await eyes.press("1", "j", "space", "4")
        await eyes.until(lambda: eyes.app.current_mode == "compare")
        assert [path.name[-4:] for path in eyes.app.compared] == ["0a01", "0d04"]

    drive(scenario)


def test_more_marks_than_compare_holds_are_refused_in_words(drive, record):
    for number in range(MOST + 1):
        record.dead(record.finished(f"2026010{number + 1}-030405-tiny-0a0{number}", steps=2))

    async def scenario(eyes):
        await eyes.sees(f"Runs · {MOST + 1}")
        await eyes.press(*["space"] * (MOST + 1), "c")
        assert f"Compare holds {MOST} runs, and {MOST + 1} are marked" in eyes.notice

    drive(scenario)


def test_a_mark_goes_with_its_run(drive, some):
    async def scenario(eyes):
        await eyes.sees("Runs · 4")
        await eyes.press("space")
        await eyes.sees("1 marked")
        some.path.rename(some.path.with_name(".gone"))
        await eyes.sees("Runs · 3")
        assert "marked" not in eyes.text() and eyes.app.screen.marked == 0

    drive(scenario)


@pytest.mark.parametrize("size", SIZES)
def test_the_row_and_the_details_tell_a_runs_health(drive, record, size):
    record.dead(record.finished("20260101-030405-well-0a01", steps=40))
    record.living(record.trained("20260102-030405-sick-0b02", losses={40: float("nan")}.items()))
    record.living(record.trained("20260103-030405-none-0c03", steps=0))

    async def scenario(eyes):
        await eyes.sees("OK?", "Runs · 3")
        assert " ✗1 " in eyes.row_with("0b02") and " ✓ " in eyes.row_with("0a01")
        assert "✓" not in eyes.row_with("PREPARING") or "✗" not in eyes.row_with("PREPARING")
        await eyes.press("j")
        await eyes.sees("✗ Loss became NaN at step 40.")

    drive(scenario, size)


def test_the_note_has_a_column_where_there_is_room(drive, some):
    async def scenario(eyes):
        await eyes.sees("NOTE")
        assert "rank too " in eyes.row_with("0c03")
        await eyes.press("j", "i")
        await eyes.sees("Note: rank too high?")

    drive(scenario, (160, 45))


@pytest.mark.parametrize(
    ("sets", "named"),
    [
        (["method.rank=16"], "LoRA r16"),
        (["method.rank=4", "model.quantisation=nf4"], "QLoRA r4"),
        (["method.kind=full"], "full"),
    ],
)
def test_the_method_is_what_the_configuration_says(record, sets, named):
    run = record.folder()
    run.config.write_text(config_file.to_yaml(config_file.build(sets)))
    assert summarise(run).method == named
