"""Monitor's charts under keys: any metric, any axis, any part of it, and one crosshair for all."""

import pytest

from sft_tui.core import events
from sft_tui.tui.widgets.chart.drawing import GUTTER


def told_run(record, *, paused: bool = False):
    """A living run of 60 steps with everything that gets a mark; one hour of pause after 40."""
    run = record.folder()
    began = 1_700_000_000.0
    started = events.RunStarted(run_id=run.id, total_steps=100, device="cuda", dtype="bf16")
    record.add(run, events.Phase(name="loading_model"), started, t=began)

    def steps(first: int, last: int, later: float = 0.0) -> None:
        for n in range(first, last + 1):
            step = events.Step(
                step=n, loss=4 / n, learning_rate=2e-4 if n < 25 else 1e-4, grad_norm=0.5,
                tokens=500, step_s=2.0, data_wait_s=0.25, padding_share=0.125, elapsed_s=2.0 * n,
                tokens_per_s=250, memory_bytes=1 << 30, t=began + later + 2 * n,
            )  # fmt: skip
            record.add(run, step)

    steps(1, 20)
    record.add(run, events.Eval(step=20, loss=1.25, elapsed_s=1.0), t=began + 40)
    saved = events.Checkpoint(step=20, path="p", bytes=3 << 20, elapsed_s=0.1)
    record.add(run, saved, t=began + 41)
    steps(21, 24)
    change = events.Control(
        id="a", command="set", by="ada", outcome="done", key="learning_rate", old=2e-4, new=1e-4,
        step=24,
    )  # fmt: skip
    record.add(run, change, t=began + 50)
    steps(25, 40)
    record.add(run, events.Warning_(code="w", message="odd", step=30), t=began + 80)
    later = 3600.0 if paused else 0.0
    if paused:
        record.add(run, events.RunFinished(status="paused", step=40), t=began + 81)
        record.add(run, events.Phase(name="loading_model"), t=began + later + 82)
        started = events.RunStarted(run_id=run.id, total_steps=100, resumed_from_step=40)
        record.add(run, started, events.Phase(name="training"), t=began + later + 83)
    steps(41, 60, later)
    return record.living(run)


def title(eyes) -> str:
    return str(eyes.app.screen.chart.border_title)


def badge(eyes) -> str:
    return str(eyes.app.screen.chart.border_subtitle)


def seen(eyes) -> tuple[float, float]:
    return eyes.app.screen.chart.x_range()


def test_every_metric_that_has_a_value_comes_by_key(watch, record):
    async def scenario(eyes):
        titles = [title(eyes).split("  ")[0]]
        for _ in range(7):
            await eyes.press("m")
            titles.append(title(eyes).split("  ")[0])
        assert titles == [
            "loss", "learning rate", "grad norm", "tok/s", "step seconds", "data wait seconds",
            "memory GiB", "padding %",
        ]  # fmt: skip
        await eyes.press("m")
        assert title(eyes).startswith("tokens a step"), "what is not told is left out"

    watch(scenario, told_run(record), (160, 45))


def test_others_of_the_same_unit_are_drawn_over_a_metric(watch, record):
    async def scenario(eyes):
        assert not eyes.app.screen.check_action("overlay", ())
        await eyes.press(*"mmmm", "M")
        await eyes.sees("s  A step seconds ━  B data wait seconds ╍", "Overlay: step seconds")
        chart = eyes.app.screen.chart
        text = "".join(chart.render_line(y).text for y in range(chart.size.height))
        assert text.count("A") == text.count("B") == 1
        await eyes.press("M")
        await eyes.sees("step seconds  raw ─")

    watch(scenario, told_run(record))


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (160, 45)])
def test_the_crosshair_tells_all_of_a_step_on_every_chart(watch, record, size):
    """U43"""

    async def scenario(eyes):
        await eyes.press("left")
        await eyes.sees("step 60 · loss 0.06667 · EMA 0.0", "30k tok · ", "(+0:02:00) · lr")
        border = next(row for row in eyes.rows() if "╭" in row or "┏" in row or "┌" in row)
        assert "step 60 · loss 0.06667 · EMA 0.08476 · eval – · " in border, "whole, not cut"
        screen = eyes.app.screen
        screen._cross_at(19)
        await eyes.pilot.pause()
        await eyes.sees("step 20 · loss 0.2", "eval 1.25", "10k tok", "lr 0.0002")
        await eyes.sees("E evaluation 1.25 · C checkpoint 20 (3.0 MiB)")
        charts = [screen.chart, *screen.query("LineChart.small")]
        for chart in charts if size == (160, 45) else charts[:1]:
            rows = [chart.render_line(y).text for y in range(chart.size.height)]
            assert any("│" in row[GUTTER:] for row in rows) or "┴" in "".join(rows)
        if size == (160, 45):
            assert str(screen.query_one("#small-0").border_title) == "lr  2e-4"
        await eyes.press("y")
        assert eyes.app.clipboard.startswith("step 20 · loss 0.2")
        await eyes.press("escape")
        assert title(eyes).startswith("loss  raw ─") and eyes.app.current_mode == "monitor"
        assert "step 20 ·" not in eyes.notice
        await eyes.press("y")
        assert eyes.app.clipboard == str(screen._run.path)

    watch(scenario, told_run(record), size)


def test_arrows_move_the_crosshair_by_samples_and_capitals_by_ten(watch, record):
    async def scenario(eyes):
        screen = eyes.app.screen
        await eyes.press("h")
        assert screen._view.cross == 59
        for keys, row in ((("left",), 58), (("h",), 57), (("H",), 47), (("L", "l", "right"), 59)):
            await eyes.press(*keys)
            assert screen._view.cross == row
        await eyes.press(*"HHHHHHHH")
        assert screen._view.cross == 0
        await eyes.press("tab", "tab", "l")
        assert screen._view.cross == 1, "also from another panel"

    watch(scenario, told_run(record))


def test_the_axis_goes_by_step_tokens_and_time_without_the_pause(watch, record):
    """U44"""

    async def scenario(eyes):
        chart = eyes.app.screen.chart

        def text() -> str:
            return "\n".join(chart.render_line(y).text for y in range(chart.size.height))

        await eyes.press("+", "left")
        x0, x1 = seen(eyes)
        await eyes.press("a")
        await eyes.sees("Axis: tokens.")
        assert seen(eyes) == (pytest.approx(500 * x0), pytest.approx(500 * x1))
        assert " tokens" in text() and "┊" not in text()
        assert title(eyes).startswith("step 60"), "the crosshair keeps its place"
        await eyes.press("a", "0")
        low, high = seen(eyes)
        assert (low, high) == (pytest.approx(2), pytest.approx(120, rel=0.1)), "no empty hour"
        assert text().count("┊") >= 5 and "1:00" in text()
        await eyes.press("a")
        assert badge(eyes).startswith("step")

    watch(scenario, told_run(record, paused=True))


def test_a_window_holds_while_data_arrive_and_follows_again(watch, record):
    """U42"""
    run = told_run(record)

    async def scenario(eyes):
        await eyes.press("+", "less_than_sign", "less_than_sign")
        held = seen(eyes)
        assert held[1] < 60 and "HELD" in badge(eyes)
        more = [events.Step(step=n, loss=1.0, tokens=5, step_s=2.0) for n in range(61, 81)]
        record.add(run, *more)
        await eyes.sees("step 80/100", "HELD +20")
        assert seen(eyes) == held
        await eyes.press("f")
        await eyes.sees("FOLLOW")
        x0, x1 = seen(eyes)
        assert x1 >= 80 and x1 - x0 == pytest.approx(held[1] - held[0])
        record.add(run, *(events.Step(step=n, loss=1.0, step_s=2.0) for n in range(81, 91)))
        await eyes.sees("step 90/100")
        later = seen(eyes)
        assert later[1] >= 90 and later[1] - later[0] == pytest.approx(x1 - x0)
        await eyes.press("0")
        assert seen(eyes)[0] == 1 and seen(eyes)[1] >= 90

    watch(scenario, run)


def test_a_logarithmic_scale_and_clipping_are_said(watch, record):
    """U45"""
    run = told_run(record)
    zeros = [events.Step(step=n, loss=0.0, tokens=5, step_s=2.0) for n in range(61, 64)]
    record.add(run, *zeros)

    async def scenario(eyes):
        await eyes.press("s", "s", "o")
        await eyes.sees("Scale: logarithmic.", "log · 3 points ≤ 0 hidden")
        await eyes.press("p")
        await eyes.sees("CLIP ", "Clipped to the 1st to 99th percentile.")
        await eyes.press("o", "p")
        await eyes.sees("Not clipped.")
        assert badge(eyes).startswith("step")

    watch(scenario, run)


def test_marks_are_visited_in_order(watch, record):
    """U46"""

    async def scenario(eyes):
        chart = eyes.app.screen.chart
        under = chart.render_line(chart.size.height - 1).text
        assert [letter for letter in under[GUTTER:] if letter != " "] == ["+", "L", "!", "+"]
        told = [
            ("step 20 ", "E evaluation 1.25 · C checkpoint 20"),
            ("step 24 ", "L lr 0.0002 → 0.0001 by ada, step 24"),
            ("step 30 ", "! warning: odd"),
            ("step 40 ", "P paused · R resumed from step 40"),
        ]
        for key, expected in (("full_stop", told), ("comma", told[-2::-1])):
            for step, words in expected:
                await eyes.press(key)
                assert step in title(eyes), key
                assert words in eyes.notice
        await eyes.press("comma")
        assert "step 20 " in title(eyes), "there is none before"

    watch(scenario, told_run(record, paused=True), (160, 45))


def test_a_stop_is_marked_and_superseded_steps_are_dotted_on_every_metric(watch, record):
    """U46, U47"""
    run = told_run(record)
    record.add(run, events.RunFinished(status="stopped", step=60))
    record.add(run, events.Phase(name="loading_model"))
    record.add(run, events.RunStarted(run_id=run.id, total_steps=100, resumed_from_step=20))
    record.add(run, *(events.Step(step=n, loss=9.0, step_s=2.0) for n in range(21, 31)))

    async def scenario(eyes):
        marks = [mark.letter for mark in eyes.app.screen._model.curves.marks]
        assert marks == ["E", "C", "!", "S", "R"], "a change that was undone is none"
        await eyes.sees("superseded ┄", "step 30/100")
        assert len(eyes.app.screen._model.history.evals) == 1
        await eyes.press("m")
        await eyes.sees("learning rate  raw ─", "superseded ┄")
        assert seen(eyes)[1] >= 60, "what was done again stays in sight"

    watch(scenario, run)


def test_enter_swaps_a_small_chart_with_the_large_one(watch, record):
    async def scenario(eyes):
        screen = eyes.app.screen
        await eyes.press(*["tab"] * 4)
        assert screen.focused.id == "small-1" and "Enter Swap" in eyes.footer
        assert "m Metric" in eyes.footer
        await eyes.press("enter")
        await eyes.sees("grad norm  raw ─", "Chart: grad norm.")
        assert str(screen.query_one("#small-1").border_title).startswith("loss  0.06667")
        await eyes.press("enter")
        assert title(eyes).startswith("loss")

    watch(scenario, told_run(record))


def test_no_key_of_the_charts_fails_before_the_first_step(watch, record):
    run = record.living(record.folder())
    record.add(run, events.Phase(name="loading_model"))
    keys = ["m", "M", "o", "s", "a", "p", "+", "-", "<", ">", "0", "f", "left", "L", ".", ","]

    async def scenario(eyes):
        for key in keys * 2:
            await eyes.press(key)
        await eyes.sees("No point yet; the first comes after step 1.")
        record.add(
            run, events.RunStarted(run_id=run.id, total_steps=9), events.Step(step=1, loss=2.0)
        )
        await eyes.sees("step 1/9")
        for key in keys:
            await eyes.press(key)
        assert eyes.app.is_running

    watch(scenario, run)


@pytest.mark.parametrize("size", [(80, 24), (120, 36), (160, 45)])
def test_news_leave_the_readout_of_the_crosshair_alone(watch, living_run, record, size):
    async def scenario(eyes):
        await eyes.sees("step 40/100")
        await eyes.press("left")
        await eyes.sees("step 40 · loss 1.316 · EMA 1.376 · eval –")
        record.add(living_run, events.Eval(step=40, loss=1.25, elapsed_s=1.0))
        record.checkpoint(living_run, 40)
        told = "step 40 · loss 1.316 · EMA 1.376 · eval 1.25 "
        await eyes.until(lambda: told in title(eyes))
        await eyes.until(lambda: told in eyes.notice)
        marks = "lr 0.0002 · E evaluation 1.25 · C checkpoint 40"
        await eyes.until(lambda: marks in eyes.notice)
        await eyes.press("m")
        await eyes.sees("Chart: learning rate.")
        await eyes.press("left")
        await eyes.until(lambda: "learning rate 0.0002" in eyes.notice)
        await eyes.press("escape")
        record.add(living_run, events.Eval(step=40, loss=1.2, elapsed_s=1.0))
        await eyes.until(lambda: "Evaluation after step 40: loss 1.2" in eyes.notice)

    watch(scenario, living_run, size)
