"""A draft that two windows change: each keeps what it chose, and undo finds the rest."""

import pytest

from sft_tui.core import config_file, presets
from sft_tui.core.draft import Draft
from sft_tui.core.draft_file import DraftFile
from sft_tui.core.draft_merge import merge


@pytest.fixture
def began():
    new = Draft()
    new.change({"model.name": "acme/m", "data.sources.0.source": "a.jsonl"})
    return new


def test_fields_of_both_windows_stay_and_u_takes_them_back_one_by_one(began):
    here, there = Draft(began.content), Draft(began.content)
    there.set("method.kind", "full")
    here.set("optim.learning_rate", 1e-3)

    made = merge(began.content, here.content, there.content)

    assert made.came == ["method.kind"] and not made.refused and not made.apart
    both = Draft(made.content)
    assert both.value("method.kind") == "full" and both.value("optim.learning_rate") == 1e-3
    assert both.undo() and both.values == there.values
    assert both.undo() and both.values == began.values


def test_what_was_set_back_in_one_window_is_set_back(began):
    began.change({"method.rank": 4, "optim.learning_rate": 1e-3})
    here, there = Draft(began.content), Draft(began.content)
    there.unset("method.rank")
    here.unset("optim.learning_rate")

    made = merge(began.content, here.content, there.content)

    assert not Draft(made.content).chosen("method.rank")
    assert not Draft(made.content).chosen("optim.learning_rate")
    assert made.came == ["method.rank"]


def test_where_both_chose_this_window_stands_and_u_brings_the_others(began):
    here, there = Draft(began.content), Draft(began.content)
    there.set("method.rank", 4)
    here.set("method.rank", 32)

    made = merge(began.content, here.content, there.content)

    both = Draft(made.content)
    assert both.value("method.rank") == 32 and made.refused == ["method.rank"] and not made.came
    assert both.undo() and both.value("method.rank") == 4


def test_a_window_that_changed_nothing_takes_the_others_but_for_its_step(began):
    here, there = Draft(began.content), Draft(began.content)
    here.step, there.step = "review", "configure"
    there.take(config_file.build(preset="demo"), "run-1", lent=presets.values("demo"))

    made = merge(began.content, here.content, there.content)

    both = Draft(made.content)
    assert both.content == there.content.but(step="review")
    assert "model.name" in made.came and both.undo() and both.values == began.values


@pytest.mark.parametrize("copied_from", [None, "run-1"])
@pytest.mark.parametrize("here_takes", [True, False])
def test_another_draft_in_its_place_is_not_mixed_and_u_brings_it(began, here_takes, copied_from):
    here, there = Draft(began.content), Draft(began.content)
    takes, edits = (here, there) if here_takes else (there, here)
    takes.take(config_file.build(preset="demo"), copied_from, lent=presets.values("demo"))
    edits.set("method.rank", 4)

    made = merge(began.content, here.content, there.content)

    both = Draft(made.content)
    assert made.apart and both.values == here.values and both.lent == here.lent
    assert both.undo() and both.values == there.values and both.copied_from == there.copied_from
    assert both.undo() and both.values == began.values


@pytest.mark.parametrize("here_moves", [True, False])
def test_what_was_let_pass_of_rows_is_not_let_pass_of_others(began, here_moves):
    here, there = Draft(began.content), Draft(began.content)
    moves, passes = (here, there) if here_moves else (there, here)
    moves.set("data.sources", [{"source": "b.jsonl"}])
    passes.set("data.ignore_problems", ["empty_answers"])

    made = merge(began.content, here.content, there.content)

    both = Draft(made.content)
    assert both.values["data"]["sources"] == [{"source": "b.jsonl"}]
    assert not both.chosen("data.ignore_problems")


def test_only_what_another_window_wrote_is_news(tmp_path, monkeypatch, began):
    monkeypatch.setenv("SFT_TUI_HOME", str(tmp_path))
    one, other = DraftFile(), DraftFile()
    assert one.look() == (None, "")
    one.write(began.content)
    assert one.look() == (None, "")
    assert other.look() == (began.content, "")
    assert other.look() == (None, "")


def test_a_file_damaged_meanwhile_is_put_aside_and_takes_nothing_away(tmp_path, monkeypatch, began):
    monkeypatch.setenv("SFT_TUI_HOME", str(tmp_path))
    file = DraftFile()
    file.write(began.content)
    (tmp_path / "draft.json").write_bytes(b"{")

    found, told = file.look()

    assert found is None and "kept as" in told
    assert file.seen == began.content
