"""Runs side by side: what differs, what is ranked, and what is left out of it."""

import csv
import io
import json
import math

import pytest

from sft_tui.core import compare, config_file, events
from sft_tui.core.compare import Comparison
from sft_tui.core.errors import UsageError
from sft_tui.core.rundir import RunDir
from sft_tui.tui.cli import main


@pytest.fixture
def trained(tmp_path, monkeypatch):
    """Writes a finished run: its evaluations by step, the hash of their rows, its settings."""
    monkeypatch.setenv("SFT_TUI_HOME", str(tmp_path))

    def write(letter, evals, *sets, rows="e1", steps=4, loss=lambda step: 3.0 / step):
        run = RunDir(tmp_path / "runs" / f"20260101-000000-tiny-000{letter}")
        run.path.mkdir(parents=True)
        run.config.write_text(config_file.to_yaml(config_file.build([*sets, "model.name=demo"])))
        told = [
            events.RunStarted(run_id=run.id, total_steps=steps, eval_hash=rows, data_hash="d1"),
            *(events.Step(step=n, loss=loss(n), tokens=100, step_s=0.5, elapsed_s=n * 2.0,
                          learning_rate=1e-4) for n in range(1, steps + 1)),
            *(events.Eval(step=step, loss=value) for step, value in evals.items()),
            events.RunFinished(status="finished", step=steps),
        ]  # fmt: skip
        run.events.write_bytes(b"".join(map(events.encode, told)))
        return run

    return write


def subjects(*runs):
    return [compare.of_folder(run) for run in runs]


def test_only_keys_in_which_runs_differ_are_told(trained):
    one = trained("a", {2: 1.0}, "method.rank=16")
    two = trained("b", {2: 1.1}, "method.rank=8", "optim.learning_rate=1e-4")

    differing, compared = Comparison(subjects(one, two)).differences()

    assert [(each.field, each.shown(0), each.shown(1)) for each in differing] == [
        ("method.rank", "16", "8"),
        ("optim.learning_rate", "0.0002", "0.0001"),
    ]
    assert compared == len(config_file.flat(config_file.build())) + 2


def test_a_key_that_one_run_does_not_tell_is_no_difference(trained):
    one, two = subjects(trained("a", {2: 1.0}), trained("b", {2: 1.0}))
    two.config = {"method.rank": 8, "train.epochs": 1.0, "output_dir": "x"}

    differing, _ = Comparison([one, two]).differences()

    assert [(each.field, each.values) for each in differing] == [("method.rank", {0: 16, 1: 8})]


def test_runs_are_ranked_by_their_best_evaluation_of_the_same_rows(trained):
    runs = subjects(
        trained("a", {0: 3.0, 2: 1.2, 4: 1.3}), trained("b", {0: 3.0, 4: 1.1}),
        trained("c", {4: 0.5}, rows="e2"), trained("d", {}), trained("e", {4: math.nan}),
    )  # fmt: skip
    comparison = Comparison(runs)

    assert comparison.ranking() == [1, 0]
    assert runs[0].best == (1.2, 2)
    assert comparison.notes() == [
        "C was evaluated on other rows: it is not ranked.",
        "D has no evaluation loss: it is not ranked.",
        "E has no evaluation loss: it is not ranked.",
    ]
    differing, _ = comparison.differences()
    assert [(each.field, each.values) for each in differing] == [
        ("evaluated rows", {0: "e1", 1: "e1", 2: "e2", 3: "e1", 4: "e1"})
    ]
    assert Comparison(runs, baseline=2).ranking() == [2]


def test_equal_results_share_a_rank(trained):
    losses = (1.2, 1.1, 1.2, 1.1, 1.3)
    runs = subjects(*(trained(name, {4: loss}) for name, loss in zip("abcde", losses, strict=True)))

    assert Comparison(runs).ranks() == {0: 3, 1: 1, 2: 3, 3: 1, 4: 5}


def test_a_run_is_held_against_the_baseline_after_the_last_step_both_evaluated(trained):
    runs = subjects(
        trained("a", {2: 1.25, 4: 1.0}), trained("b", {2: 1.5, 3: 0.9, 4: math.nan}),
        trained("c", {3: 1.0}), trained("d", {2: 1.0}, rows="e2"),
    )  # fmt: skip
    comparison = Comparison(runs)

    assert comparison.gap(1) == (2, pytest.approx(0.25))
    assert comparison.gap(0) is comparison.gap(2) is comparison.gap(3) is None
    assert Comparison(runs, baseline=1).gap(0) == (2, pytest.approx(-0.25))


def test_runs_are_not_held_against_each_other_before_they_trained(trained):
    runs = subjects(trained("a", {0: 4.0, 8: 1.5}), trained("b", {0: 4.0, 13: 1.0}))

    assert Comparison(runs).gap(1) is None


def test_steps_and_evaluations_that_were_done_again_are_left_out(trained):
    run = trained("a", {4: 0.1})
    with run.events.open("ab") as file:
        for event in (
            events.Phase(name="training"), events.RunStarted(run_id="x", resumed_from_step=2),
            events.Step(step=3, loss=7.0, tokens=50, elapsed_s=5.5), events.Eval(step=3, loss=1.0),
        ):  # fmt: skip
            file.write(events.encode(event))

    [found] = subjects(run)

    loss, evaluated = found.curves["loss"], found.curves["eval_loss"]
    assert list(zip(loss.step, loss.value, strict=True)) == [(1, 3.0), (2, 1.5), (3, 7.0)]
    assert list(loss.tokens) == [100, 200, 250] and list(loss.seconds) == [2.0, 4.0, 5.5]
    assert found.best == (1.0, 3)
    assert (list(evaluated.tokens), list(evaluated.seconds)) == ([250], [5.5])


def test_speed_is_that_of_all_steps(trained):
    assert subjects(trained("a", {}))[0].tokens_per_s == pytest.approx(200)


@pytest.mark.parametrize("count", [0, 1, 7])
def test_two_to_six_runs_are_compared(trained, count):
    trained("a", {})
    with pytest.raises(UsageError, match=r"two to 6"):
        compare.load(["000a"] * count)


def test_a_run_that_is_named_twice_is_refused(trained):
    run = trained("a", {})
    with pytest.raises(UsageError, match="named twice"):
        compare.load(["000a", str(run.path)])


def test_the_command_tells_ranks_differences_and_what_is_left_out(trained, tmp_path, capsys):
    trained("a", {0: 3.0, 4: 1.2}, "method.rank=8")
    trained("b", {4: 1.1})
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "trainer_state.json").write_text(
        json.dumps({"log_history": [{"step": 4, "eval_loss": 0.5}], "num_train_epochs": 1})
    )

    assert main(["compare", "000a", "000b", str(tmp_path / "out")]) == 0

    rows = [row.split() for row in capsys.readouterr().out.splitlines()]
    assert rows[1][2:] == ["FINISHED", "2", "1.2", "4", "–", "4", "200"]
    assert rows[2][2:] == ["FINISHED", "1", "1.1", "4", "−0.100", "@4", "4", "200"]
    assert rows[3] == ["C", "out", "transformers", "–", "0.5", "4", "–", "4", "–"]
    assert ["method.rank", "8", "16", "–"] in rows
    assert rows[-1][:6] == ["C", "does", "not", "tell", "which", "rows"]


def test_json_and_csv_hold_every_point_and_nothing_that_is_not_known(trained, tmp_path, capsys):
    trained("a", {0: 3.0, 4: 1.2}, loss=lambda step: math.nan if step == 2 else 1.0)
    (tmp_path / "trainer_state.json").write_text('{"log_history": [{"step": 4, "loss": 0.5}]}')
    table = tmp_path / "curves.csv"
    command = ["compare", "latest", str(tmp_path / "trainer_state.json"), "--csv", str(table)]

    assert main([*command, "--json"]) == 0

    told = json.loads(capsys.readouterr().out)
    one, two = told["runs"]
    assert one["curves"]["loss"]["value"] == [1.0, "NaN", 1.0, 1.0]
    assert one["curves"]["eval_loss"] == {
        "step": [0, 4], "tokens": [0, 400], "seconds": [0, 8], "value": [3.0, 1.2],
    }  # fmt: skip
    assert (one["rank"], one["best"], one["to_baseline"]) == (1, {"loss": 1.2, "step": 4}, None)
    assert two["curves"]["loss"] == {"step": [4], "tokens": None, "seconds": None, "value": [0.5]}
    assert (two["best"], two["rank"], two["status"]) == (None, None, None)
    rows = list(csv.DictReader(io.StringIO(table.read_text())))
    assert [row["step"] for row in rows] == ["0", "1", "2", "3", "4", "4"]
    assert rows[0]["eval_loss"] == "3" and rows[0]["loss"] == ""
    assert (rows[2]["loss"], rows[2]["tokens"], rows[2]["seconds"]) == ("NaN", "200", "4.000")
    assert (rows[5]["loss"], rows[5]["tokens"], rows[5]["learning_rate"]) == ("0.5", "", "")

    assert main(command) == 2, "it exists already"
    assert "name another file" in capsys.readouterr().err


def test_tokens_and_seconds_are_unknown_once_steps_do_not_tell_them(trained):
    run = trained("a", {4: 1.2})
    with run.events.open("ab") as file:
        file.write(events.encode(events.Step(step=5, loss=1.0, step_s=0.5)))

    [found] = subjects(run)

    assert found.tokens_per_s == 200, "of the steps that tell both"
    assert {found.curves[name].tokens for name in ("loss", "eval_loss")} == {None}
    rows = list(csv.DictReader(io.StringIO(compare.as_csv([found]))))
    assert rows[4]["loss"] == "1"
    assert {(row["tokens"], row["seconds"]) for row in rows} == {("", "")}


def test_what_was_changed_while_a_run_trained_is_noted(trained, capsys):
    trained("a", {4: 1.2})
    run = trained("b", {4: 1.1})
    told = ((1, "learning_rate", 0.002), (2, "max_steps", 4), (3, "learning_rate", 0.001))
    with run.events.open("ab") as file:
        for step, key, old in told:
            changed = events.Control(
                id="a", command="set", by="ada", outcome="done", key=key, old=old, new=old / 2,
                step=step,
            )  # fmt: skip
            file.write(events.encode(changed))

    assert main(["compare", "000a", "000b"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == (
        "While B trained, optim.learning_rate was changed at steps 1, 3 and train.max_steps was "
        "changed at step 2; differences tell of its start."
    )
    assert main(["compare", "000a", "000b", "--json"]) == 0
    one, two = json.loads(capsys.readouterr().out)["runs"]
    assert one["changed"] == []
    assert two["changed"][0] == {
        "step": 1, "setting": "optim.learning_rate", "old": "0.002", "new": "0.001",
    }  # fmt: skip
