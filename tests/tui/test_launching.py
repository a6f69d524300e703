"""Enter on Review: nothing is launched that the trainer would refuse, and nothing asks twice."""

import pytest
from textual.widgets import Input

BAD = {"question": "Who?", "answer": {"deep": 1}}
WAITS = "Launches when all rows were looked at"


def good(count):
    return [{"question": f"Where is city {n}?", "answer": f"In land {n}."} for n in range(count)]


async def looked(eyes) -> None:
    await eyes.until(lambda: eyes.app.checks.settled, 30, "the end of the pass")


@pytest.mark.parametrize("size", [(80, 24), (160, 45)])
def test_a_launch_that_was_asked_for_early_waits_for_all_rows_and_needs_no_other_key(
    on_review, started, size
):
    async def scenario(eyes):
        await eyes.press("enter")
        await eyes.sees(f"» {WAITS}", "Esc not yet")
        assert not started and not eyes.app.checks.settled
        assert "Ready to launch" not in eyes.text()
        assert "Esc Not yet" in eyes.footer and "Enter Launch" not in eyes.footer
        await eyes.press("enter")
        await eyes.until(lambda: started, 30, "the launch")
        assert eyes.app.checks.result.complete
        await eyes.sees("▌3 Monitor▐")
        assert len(started) == 1

    on_review(good(4000), scenario, size)


@pytest.mark.parametrize("place", [0, 3000])
def test_a_launch_that_waits_is_refused_by_what_the_pass_finds(on_review, started, place):
    """U26"""
    rows = good(3000)
    rows.insert(place, BAD)

    async def scenario(eyes):
        await eyes.press("enter")
        await eyes.sees("[Preview]", f"Row {place:,} of", "Not launched", within_s=30)
        assert "wrong_row (> > a lets it pass): row" in eyes.notice
        await looked(eyes)
        await eyes.press("greater_than_sign", "greater_than_sign")
        await eyes.sees("Not ready: 1 to mend")
        await eyes.pilot.pause(0.3)
        assert not started and WAITS not in eyes.text(), "nothing is waited for any more"

    on_review(rows, scenario, (160, 45))


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("escape", "Not launched: Esc was pressed"),
        ("less_than_sign", ""),
        ("1", ""),
        ("question_mark", ""),
        ("change", "Not launched: the draft was changed"),
    ],
)
def test_a_launch_that_waits_can_be_withdrawn(on_review, started, how, said):
    async def scenario(eyes):
        await eyes.press("enter")
        await eyes.sees(WAITS)
        if how == "change":
            eyes.app.drafts.set("method.rank", 5)
            await eyes.pilot.pause()
        else:
            await eyes.press(how)
        if said:
            await eyes.sees(said)
        if how == "question_mark":
            await eyes.press("escape")
        eyes.app.show_step("review")
        await eyes.sees("[Review]", "Not launched: ")
        await looked(eyes)
        await eyes.sees("Ready to launch")
        await eyes.pilot.pause(0.5)
        assert not started
        await eyes.press("enter")
        await eyes.until(lambda: started, why="a start")

    on_review(good(3000), scenario)


def test_a_pass_that_was_ended_is_begun_again_by_review_and_nothing_is_ready_before(
    on_review, started
):
    async def scenario(eyes):
        checks = eyes.app.checks
        await eyes.until(lambda: checks.result is not None, 20, "a sample")
        checks.cancel()
        await eyes.sees("ended after", "Enter begins it again")
        assert "Ready to launch" not in eyes.text()
        await eyes.press("less_than_sign")
        await eyes.sees("[Configure]")
        assert not checks.running
        await eyes.press("greater_than_sign")
        await eyes.sees("Ready when all rows were looked at")
        assert checks.running
        checks.cancel()
        await eyes.press("enter")
        await eyes.sees(WAITS)
        await eyes.until(lambda: started, 30, "the launch")
        assert checks.result.complete

    on_review(good(6000), scenario)


def test_files_that_changed_after_the_pass_are_looked_at_before_the_launch(
    on_review, started, tmp_path
):
    async def scenario(eyes):
        await looked(eyes)
        await eyes.sees("Ready to launch")
        with (tmp_path / "rows.jsonl").open("a") as file:
            file.write("{broken\n")
        await eyes.press("enter")
        await eyes.sees("[Preview]", "unreadable_row", "Not launched", within_s=20)
        assert not started

    on_review(good(60), scenario)


def test_modules_that_match_nothing_refuse_a_launch_that_was_asked_for_early(on_review, started):
    async def scenario(eyes):
        await eyes.press("enter")
        await eyes.sees("[Configure]", "Not launched", "no_such_proj", within_s=20)
        assert not started

    on_review(good(60), scenario, **{"method.target_modules": ["no_such_proj"]})


@pytest.mark.parametrize("early", [False, True])
def test_what_was_let_pass_is_not_asked_about_again(on_review, started, early):
    async def scenario(eyes):
        await eyes.sees("Not ready: 1 to mend", within_s=20)
        await looked(eyes)
        await eyes.press("a")
        eyes.app.screen.query_one(Input).value = "wrong_row"
        await eyes.press("enter")
        assert eyes.app.checks.settled, "nothing has to be looked at again"
        if not early:
            await eyes.sees("Ready to launch", "let pass in this configuration")
        await eyes.press("enter")
        await eyes.until(lambda: started, why="a start")
        assert started[0][1].data.ignore_problems == ["wrong_row"]

    on_review([*good(60), BAD], scenario)
