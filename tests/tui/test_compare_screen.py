"""Compare: curves, differences and answers of several runs on one screen."""

import csv
import json
import math

import pytest
from rich.cells import cell_len
from textual.widgets import Input

from sft_tui.core import config_file, events
from sft_tui.tui.cli import main
from sft_tui.tui.format import short_number

SIZES = [(80, 24), (160, 45)]
NAMES = [f"2026010{n}-030405-tiny-rows-0a0{n}" for n in range(1, 7)]


@pytest.fixture
def runs(record):
    """Makes finished runs: by letter what is set, its evaluations, and their rows."""

    def make(*wanted):
        found = []
        for name, (sets, evals, rows) in zip(NAMES, wanted, strict=False):
            run = record.folder(name)
            config = config_file.build([*sets, "model.name=demo"])
            run.config.write_text(config_file.to_yaml(config))
            told = [events.RunStarted(run_id=name, total_steps=40, eval_hash=rows, data_hash="d")]
            told += [
                events.Step(step=n, loss=1 + 2 / n, learning_rate=1e-4, tokens=500, step_s=0.5,
                            grad_norm=0.5, tokens_per_s=1000, elapsed_s=n / 2)
                for n in range(1, 41)
            ]  # fmt: skip
            told += [events.Eval(step=step, loss=loss) for step, loss in evals.items()]
            answer = f"It is {len(found)} metres tall."
            told.append(
                events.Sample(step=40, prompt_id=0, prompt="How tall is it?", text=answer,
                              finished=len(found) != 1)
            )  # fmt: skip
            record.add(run, *told, events.RunFinished(status="finished", step=40))
            found.append(record.dead(run).path)
        return found

    return make


@pytest.fixture
def two(runs):
    return runs(
        (["method.rank=16"], {20: 1.4, 40: 1.2}, "e1"),
        (["method.rank=8", "optim.learning_rate=1e-4"], {20: 1.5, 40: 1.1}, "e1"),
    )


@pytest.mark.parametrize("size", [(60, 18), (120, 36)])
def test_figures_are_whole_however_small_or_large_and_below_their_heads(compare, runs, size):
    folders = runs(
        ([], {20: 1.294e-05}, "e1"), ([], {20: 1.294e06}, "e1"), ([], {20: 0.7609}, "e1")
    )
    wide = folders[2].with_name("a run-漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字")
    folders[2].rename(wide)

    async def scenario(eyes):
        await eyes.press("Tab") if size[0] < 80 else None
        await eyes.sees("1.3e-5", "1.29e6", "0.7609")
        told = ("@STEP", "1.3e-5", "1.29e6", "0.7609")
        rows = [row for row in eyes.text().splitlines() if any(each in row for each in told)]
        ends = {cell_len(row.rstrip(" │")) for row in rows}
        assert len(rows) == 4 and len(ends) == 1, rows

    compare(scenario, [*folders[:2], wide], size)


@pytest.fixture
def compare(drive):
    """Runs a scenario on Compare once all runs were read."""

    def run(scenario, folders, size=(120, 36), **options):
        async def whole(eyes):
            eyes.app.compare_runs(folders)
            await eyes.until(lambda: eyes.app.current_mode == "compare")
            screen = eyes.app.screen
            await eyes.until(lambda: len(screen._found) + len(screen._problems) == len(folders))
            await eyes.pilot.pause()
            await scenario(eyes)

        drive(whole, size, **options)

    return run


@pytest.mark.parametrize("size", SIZES)
def test_two_runs_are_drawn_ranked_and_held_against_each_other(compare, two, size):
    async def scenario(eyes):
        assert "evaluation loss  A ━  B ╍" in eyes.rows()[1]
        first, second = eyes.row_with("tiny-rows-0a01"), eyes.row_with("tiny-rows-0a02")
        assert first.split()[-5:-1] == ["✓", "2.", "1.2", "40"]
        assert second.split()[-5:-1] == ["✓", "1.", "1.1", "40"]
        await eyes.sees("At step 40: B −0.100 to A.", "Speed: A 1,000, B 1,000 tok/s.")
        region = eyes.app.screen.chart.content_region
        drawn = "".join(row[region.x : region.right] for row in eyes.rows()[2 : region.bottom])
        assert drawn.count("A") == drawn.count("B") == 1, "each letter stands at its line's end"

    compare(scenario, two, size)


@pytest.mark.parametrize("size", SIZES)
def test_only_what_differs_is_listed(compare, two, size):
    async def scenario(eyes):
        await eyes.press("v")
        await eyes.sees("Differences only (2 of")
        assert eyes.row_with("method.rank").split()[1:4] == ["method.rank", "16", "8"]
        assert eyes.row_with("FIELD").split()[1:6] == ["FIELD", "A", "0a01", "B", "0a02"]
        assert "train.seed" not in eyes.text()

    compare(scenario, two, size)


@pytest.mark.parametrize("size", SIZES)
def test_a_run_evaluated_on_other_rows_is_marked_and_not_ranked(compare, runs, size):
    folders = runs(([], {40: 1.2}, "e1"), ([], {40: 0.3}, "e2"), ([], {}, "e1"))

    async def scenario(eyes):
        assert "B ⚠ not ranked ┈" in eyes.rows()[1]
        assert eyes.row_with("rows-0a02").split()[-4:-1] == ["–", "0.3", "40"]
        assert eyes.row_with("rows-0a03").split()[-4:-1] == ["–", "–", "–"]
        await eyes.press("i")
        await eyes.sees("B was evaluated on other rows: it is not ranked.")
        await eyes.sees("C has no evaluation loss: it is not ranked.", "Dotted, as not ranked: B.")
        await eyes.press("escape", "v")
        assert "⚠ e2" in eyes.row_with("evaluated rows")

    compare(scenario, folders, size)


def test_answers_stand_beside_each_other_with_how_they_stopped(compare, two):
    async def scenario(eyes):
        await eyes.press("v", "v")
        await eyes.sees("Prompt 1 of 1: How tall is it?", "It is 0 metres tall.", "length !")
        await eyes.sees("Δ 1 of 5 words differ from A")
        marked = [
            segment.text
            for strip in eyes.app.screen._compositor.render_strips()
            for segment in strip
            if segment.style and segment.style.underline and segment.text.strip()
        ]
        assert marked == ["1"]

    compare(scenario, two, (80, 24))


def test_metric_axis_and_scale_change_what_is_drawn(compare, two):
    async def scenario(eyes):
        await eyes.press("m")
        assert "training loss" in eyes.rows()[1] and "EMA 0.9" in eyes.rows()[1]
        await eyes.press("s")
        assert "EMA 0.97" in eyes.rows()[1]
        for word in ("tokens", "time", "step"):
            await eyes.press("a")
            assert eyes.app.screen.chart.badge() == word
        await eyes.press("o")
        assert eyes.app.screen.chart.badge().startswith("log")
        await eyes.press("m")
        assert "learning rate" in eyes.rows()[1]

    compare(scenario, two)


def test_the_crosshair_tells_every_run_at_the_same_step(compare, two):
    async def scenario(eyes):
        await eyes.press("left", "left")
        assert "step 20   evaluation loss:  A 1.4  B 1.5" in eyes.rows()[1]
        await eyes.press("escape")
        assert "A ━" in eyes.rows()[1] and eyes.app.current_mode == "compare"
        await eyes.press("m", "plus")
        assert "Step 20.5 to 40." in eyes.notice
        await eyes.press("0")
        assert "(all)" in eyes.notice

    compare(scenario, two)


@pytest.mark.parametrize("size", [(80, 24), (120, 36), (160, 45)])
def test_the_crosshair_tells_of_which_step_a_value_is_and_all_of_five_runs(compare, runs, size):
    first = ([], {20: 1.4321, 40: 1.2345}, "e1")
    others = [([], {10: 1.5321, 40: 1.1234}, "e1")] * 4

    async def scenario(eyes):
        await eyes.press("left", "left")
        told = "  ".join(["A 1.432", *(f"{letter} 1.532@10" for letter in "BCDE")])
        assert told in eyes.rows()[1] and told.replace("  ", " ") in eyes.notice

    compare(scenario, runs(first, *others), size)


def test_another_baseline_turns_the_differences_round(compare, two):
    async def scenario(eyes):
        await eyes.press("tab", "j", "B")
        await eyes.sees("At step 40: A +0.100 to B.", "Baseline: B.")
        assert "▸ B" in eyes.row_with("rows-0a02")

    compare(scenario, two)


def test_a_line_is_hidden_and_shown_again_and_keeps_its_letter(compare, two):
    async def scenario(eyes):
        await eyes.press("tab", "space")
        await eyes.sees("A is not drawn.")
        assert "A ━" not in eyes.rows()[1] and "B ╍" in eyes.rows()[1]
        await eyes.press("space")
        assert "A ━  B ╍" in eyes.rows()[1]

    compare(scenario, two)


def test_a_run_leaves_the_comparison_and_one_of_others_joins_it(compare, two, tmp_path):
    log = [{"step": 40, "eval_loss": 0.7}, {"step": 40, "loss": math.pi}]
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "trainer_state.json").write_text(json.dumps({"log_history": log}))

    async def scenario(eyes):
        await eyes.press("tab", "D")
        await eyes.sees("is no longer compared; its files stay.")
        await eyes.until(lambda: eyes.row_with("A ━ tiny-rows-0a02"))
        await eyes.press("O", *"/nowhere", "enter")
        await eyes.sees("There is nothing at /nowhere")
        await eyes.press(*["backspace"] * 7, *str(tmp_path / "out")[1:], "enter")
        await eyes.sees("B ┈ out", "B does not tell which rows", "Added: out.")
        assert eyes.row_with("B ┈ out").split()[-4:-1] == ["–", "0.7", "40"]
        await eyes.press("m")
        await eyes.sees("training loss  A ━  B ╍")

    compare(scenario, two, (160, 45))
    assert all(folder.exists() for folder in two)


def test_what_is_no_run_is_said_and_the_others_are_compared(compare, two, tmp_path):
    (tmp_path / "runs").mkdir()

    async def scenario(eyes):
        await eyes.sees("neither a run of sft-tui nor one of")
        assert "evaluation loss  A ━" in eyes.rows()[1]

    compare(scenario, [*two, tmp_path / "runs"], (160, 45))


def test_every_point_is_written_to_a_file_of_ones_choice(compare, two, tmp_path):
    target = tmp_path / "curves.csv"

    async def scenario(eyes):
        await eyes.press("E", *str(target), "enter")
        await eyes.sees(f"Written: {target}")
        await eyes.press("E", *str(target), "enter")
        await eyes.sees("exists: choose another name.")

    compare(scenario, two, (160, 45))
    rows = list(csv.DictReader(target.open()))
    assert len(rows) == 80
    assert {row["eval_loss"] for row in rows if row["step"] == "40"} == {"1.2", "1.1"}


def test_a_run_that_trains_grows_on_the_screen(compare, record, two, monkeypatch):
    monkeypatch.setattr("sft_tui.tui.services.compare_feed.POLL_S", 0.1)
    run = record.living(record.trained(steps=20))

    async def scenario(eyes):
        assert "▶" in eyes.row_with("C ┄")
        record.add(run, events.Eval(step=20, loss=1.05))
        await eyes.until(lambda: "1.05" in eyes.row_with("C ┈"))

    compare(scenario, [*two, run.path])


@pytest.mark.parametrize("size", SIZES)
def test_equal_results_share_a_rank(compare, runs, capsys, size):
    folders = runs(([], {40: 1.2}, "e"), ([], {40: 1.1}, "e"), ([], {40: 1.1}, "e"))

    async def scenario(eyes):
        shown = [eyes.row_with(f"rows-0a0{n} ") for n in (1, 2, 3)]
        assert [" 3. " in shown[0], " 1. " in shown[1], " 1. " in shown[2]] == [True] * 3
        await eyes.press("i")
        await eyes.sees("rank 3 of 3", "rank 1 of 3")
        assert "rank 2 of 3" not in eyes.flow()

    compare(scenario, folders, size)
    assert main(["compare", *map(str, folders)]) == 0
    assert "  2  " not in capsys.readouterr().out


@pytest.mark.parametrize("size", SIZES)
def test_without_runs_it_says_how_to_choose_some(drive, size):
    async def scenario(eyes):
        await eyes.sees("takes the run under the cursor")
        assert "O Add" in eyes.footer and "B Baseline" not in eyes.footer
        shown = [each.id for each in eyes.app.screen.query(".panel") if each.region.area]
        assert shown == ["nothing"], "no box is empty"

    drive(scenario, size, mode="compare")


def test_enter_watches_the_run_under_the_cursor(compare, two):
    async def scenario(eyes):
        await eyes.press("tab", "j", "enter")
        await eyes.until(lambda: eyes.app.current_mode == "monitor")
        assert eyes.app.watched.path == two[1]
        await eyes.press("4")
        await eyes.sees("A ━ tiny-rows-0a01")

    compare(scenario, two)


@pytest.mark.parametrize("size", SIZES)
def test_runs_are_taken_from_the_list_and_shown_from_the_second_on(two, drive, size):
    async def scenario(eyes):
        await eyes.sees("Runs · 2")
        await eyes.press("c")
        await eyes.sees("is to be compared: c takes another run")
        await eyes.press("c")
        assert eyes.app.current_mode == "runs" and len(eyes.app.compared) == 1
        await eyes.press("j", "c")
        await eyes.until(lambda: eyes.app.current_mode == "compare")
        await eyes.until(lambda: len(eyes.app.screen._found) == 2)
        assert sorted(eyes.app.compared) == sorted(two)

    drive(scenario, size)


def test_a_seventh_run_is_refused_where_it_would_be_added(compare, runs):
    from sft_tui.core.compare import MOST

    async def scenario(eyes):
        await eyes.press("O")
        await eyes.sees(f"Compare holds {MOST} runs: D takes one away.")
        assert not eyes.app.screen.query(Input)

    compare(scenario, runs(*[([], {40: 1.0}, "e")] * MOST), (160, 45))


def test_a_seventh_run_is_refused_in_words(runs, drive):
    from sft_tui.core.compare import MOST

    folders = runs(*[([], {40: 1.0}, "e")] * MOST)

    async def scenario(eyes):
        await eyes.sees(f"Runs · {MOST}")
        eyes.app.compared = [folders[0].with_name(f"other-{n}") for n in range(MOST)]
        await eyes.press("c")
        await eyes.sees(f"Compare holds {MOST} runs")
        assert eyes.app.current_mode == "runs"

    drive(scenario)


@pytest.mark.parametrize(
    ("value", "narrow", "wide"),
    [
        (1.294e-05, "1.3e-5", "1.29e-5"), (1_294_000.0, "1.29e6", "1.294e6"),
        (0.0001234, "1.2e-4", "1.23e-4"), (0.00123, "0.0012", "0.00123"),
        (0.7609, "0.7609", "0.7609"), (0.0, "0", "0"),
        (1e300, "1e+300", "1e+300"), (math.nan, "NaN", "NaN"),
        (-math.inf, "-inf", "-inf"), (None, "–", "–"),
    ],
)  # fmt: skip
def test_a_loss_has_the_digits_that_a_column_has_room_for(value, narrow, wide):
    assert (short_number(value, 6), short_number(value, 7)) == (narrow, wide)
