"""The draft: only what was chosen, undone step by step, and never lost."""

import json

import pytest

from sft_tui.core import config_file, draft_file, presets
from sft_tui.core.config import ConfigError
from sft_tui.core.draft import Draft


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("SFT_TUI_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_a_new_draft_lacks_model_and_data_and_says_so():
    new = Draft()

    assert new.missing() == ["model", "data"]
    with pytest.raises(ConfigError, match="no model was chosen; no data was chosen"):
        new.config()
    assert new.value("method.rank") == 16 and not new.chosen("method.rank")


def test_what_was_chosen_is_the_configuration_and_the_rest_is_default():
    new = Draft()
    assert not new.set("model.name", "acme/m")
    assert new.missing() == ["data"]
    assert not new.change({"data.sources.0.source": "rows.jsonl", "data.sources.0.shape": "text"})

    assert new.values == {
        "model": {"name": "acme/m"},
        "data": {"sources": [{"source": "rows.jsonl", "shape": "text"}]},
    }
    assert new.value("data.sources.0.template") == "auto"
    wanted = config_file.build(
        ["model.name=acme/m", "data.source=rows.jsonl", "data.sources.0.shape=text"]
    )
    assert config_file.to_raw(new.config())["method"] == config_file.to_raw(wanted)["method"]
    assert new.config().data.sources[0].shape == "text"


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("method.rank", 0, "method.rank must be a whole number ≥ 1 and ≤ 4096; got 0"),
        ("method.exclude_modules", [""], "must be a list, each text, none empty; got ['']"),
        ("method.target_modules", [], "must be a list of 1 or more, each text, none empty"),
        ("launch.device_ids", [-1], "must be a list, each a whole number ≥ 0; got [-1]"),
        ("train", 3, "train is not a key but holds some: train.epochs is the first"),
        ("optim.lr", 1.0, "the nearest is optim.learning_rate"),
        ("train.precision", "bf15", "one of bf16, fp16, fp32"),
        ("data.sources.3.source", "x", "there are 1 sources"),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(path, value, said):
    new = Draft()
    new.set("data.sources.0.source", "a.jsonl")
    before = new.content

    (problem,) = new.set(path, value)

    assert said in problem.message
    assert new.content == before


def test_fields_that_do_not_go_together_are_told_and_not_refused():
    new = Draft()

    assert not new.set("data.eval_fraction", 0.0)

    (problem,) = new.problems()
    assert "evaluate.every_steps" in problem.message and "data.eval_fraction" in problem.message


def test_unset_goes_back_to_the_default_and_undo_takes_back_each_change():
    new = Draft()
    new.set("method.rank", 8)
    new.change({"method.rank": 4, "method.alpha": 8.0})
    new.unset("method.rank")
    assert new.value("method.rank") == 16 and not new.chosen("method.rank")
    new.unset("method.rank")  # already so: nothing to undo

    told = []
    while new.undo():
        told.append((new.value("method.rank"), new.value("method.alpha")))
    assert told == [(4, 8.0), (8, 32.0), (16, 32.0)]


def test_taking_a_run_in_place_of_the_draft_can_be_undone():
    new = Draft()
    new.set("model.name", "mine")
    demo = config_file.build(preset="demo")
    new.take(demo, copied_from="run-1")
    assert new.copied_from == "run-1" and new.config() == demo
    assert new.chosen("model.name") and not new.chosen("optim.schedule")
    assert new.undo() and new.value("model.name") == "mine"


def test_any_configuration_comes_back_as_it_was_taken():
    sets = ["model.name=a/b", "data.source=x.jsonl", "data.sources.0.columns={prompt: q}"]
    config = config_file.build([*sets, "optim.max_grad_norm=null", "train.precision=fp32"])
    new = Draft()
    new.take(config)
    assert new.config() == config
    assert new.values["optim"] == {"max_grad_norm": None}


def test_the_draft_comes_back_with_step_and_changes(home):
    new = Draft()
    new.set("method.rank", 8)
    new.step = "configure"
    draft_file.DraftFile().write(new.content)

    again, told = draft_file.load()

    assert not told and again.step == "configure" and again.values == {"method": {"rank": 8}}
    assert again.undo() and not again.chosen("method.rank")


@pytest.mark.parametrize("content", [b"{not json", b'{"values": 3}', b"\xff\xfe", b""])
def test_a_damaged_draft_is_put_aside_and_not_lost(home, content):
    home.mkdir()
    (home / "draft.json").write_bytes(content)

    again, told = draft_file.load()

    assert again.missing() == ["model", "data"] and "kept as" in told
    (aside,) = home.glob("draft-*.json")
    assert aside.read_bytes() == content and str(aside) in told


@pytest.mark.parametrize(
    "values",
    [
        {"model": 3, "method": {"rank": 4}},
        {"lora": {"rank": 2}, "method": {"rank": 4, "rnk": 1}},
        {"data": {"sources": 7}, "method": {"rank": 4}},
        {"data": {"sources": [4]}, "method": {"rank": 4}},
        {"data": {"sources": [{"source": 4}]}, "method": {"rank": 4}},
    ],
)
def test_keys_that_mean_nothing_are_left_out_and_told(home, values):
    home.mkdir()
    content = {"step": "nowhere", "values": values}
    (home / "draft.json").write_text(json.dumps(content))

    again, told = draft_file.load()

    assert told.startswith("Left out of the draft: ")
    assert again.value("method.rank") == 4 and again.step == "models"
    assert not again.problems()
    assert not again.set("model.name", "x")


def test_a_home_that_cannot_be_written_is_told(home):
    home.write_text("a file")

    with pytest.raises(Exception, match="cannot be written"):
        draft_file.DraftFile().write(Draft().content)


def test_a_field_follows_another_until_it_is_something_else():
    new = Draft()
    assert new.followers("method.rank", 8) == {"method.alpha": 16.0}
    new.set("method.alpha", 20.0)
    assert new.followers("method.rank", 8) == {}
    assert new.followers("train.epochs", 3) == {} and new.followers("model.name", "x") == {}


def test_values_can_be_chosen_and_forgotten_as_one_change():
    new = Draft()
    new.change({"method.rank": 8, "optim.eps": 1e-6})
    new.change({"train.epochs": 2}, unset=["method.rank", "optim.eps", "save.keep"])
    assert new.values.get("train") == {"epochs": 2} and not new.chosen("method.rank")
    assert new.can_undo and new.undo()
    assert new.value("method.rank") == 8 and new.value("optim.eps") == 1e-6
    assert new.undo() and not new.can_undo


def test_a_list_of_sources_is_refused_for_what_is_wrong_within():
    new = Draft()
    (problem,) = new.set("data.sources", [{"source": "a"}, {"source": 4}])
    assert problem.path == "data.sources.1.source" and new.values == {}


def test_a_conflict_names_the_other_field():
    new = Draft()
    new.set("data.eval_fraction", 0.0)
    (problem,) = new.problems()
    assert (problem.path, problem.others) == ("data.eval_fraction", ("evaluate.every_steps",))


def demo_draft() -> Draft:
    new = Draft()
    new.take(config_file.build(preset="demo"), lent=presets.values("demo"))
    return new


def test_the_demos_settings_leave_with_its_model_and_stay_where_they_were_chosen():
    new = demo_draft()
    new.set("optim.learning_rate", 1e-3)

    new.set("model.name", "acme/m")

    got = {path: new.value(path) for path in presets.values("demo")}
    assert got["method.rank"] == 16 and got["train.max_steps"] is None
    assert got["data.max_length"] == 1024 and got["optim.learning_rate"] == 1e-3
    assert got["data.eval_source"] == "demo:heldout", "it is about the rows, which stay"
    assert new.undo() and new.value("train.max_steps") == 26, "one change, undone as one"


def test_what_the_demo_says_of_its_rows_leaves_with_them():
    new = demo_draft()
    new.set("model.name", "acme/m")

    new.change({"data.sources": [{"source": "rows.jsonl"}], "data.empty_answers": "drop"})

    assert new.values["data"] == {
        "sources": [{"source": "rows.jsonl"}], "empty_answers": "drop"
    }  # fmt: skip
    assert new.lent == []


def test_a_refused_model_takes_nothing_away():
    new = demo_draft()
    before = new.content
    assert new.set("model.name", "") and new.content == before


def test_settings_that_were_chosen_stay_though_they_are_as_the_demos():
    new = Draft()
    new.change({"model.name": "demo", "method.rank": 8, "train.max_steps": 26})
    new.set("model.name", "acme/m")
    assert new.value("method.rank") == 8 and new.value("train.max_steps") == 26


def test_undoing_the_demo_forgets_what_it_lent(home):
    new = Draft()
    new.set("method.rank", 8)
    new.take(config_file.build(preset="demo"), "run-1", lent=presets.values("demo"))
    draft_file.DraftFile().write(new.content)
    again, _ = draft_file.load()

    assert again.undo() and again.copied_from is None
    again.set("model.name", "acme/m")

    assert again.value("method.rank") == 8


def test_what_an_editor_made_of_the_demo_is_lent_no_longer_where_it_was_changed():
    new = demo_draft()
    raw = config_file.to_raw(new.config())
    raw["method"]["rank"] = 32
    config, _ = config_file.check(raw)
    assert config is not None and new.rewrite(config)
    new.set("model.name", "acme/m")
    assert new.value("method.rank") == 32 and new.value("train.max_steps") is None


def test_what_was_let_pass_is_judged_anew_with_other_rows():
    new = Draft()
    new.change({"data.sources.0.source": "a.jsonl", "data.ignore_problems": ["wrong_row"]})
    new.set("model.name", "demo")
    new.set("data.sources.0.weight", 2.0)
    assert new.value("data.ignore_problems") == ["wrong_row"]
    new.set("data.sources.0.source", "b.jsonl")
    assert new.value("data.ignore_problems") == []
    assert new.undo() and new.value("data.ignore_problems") == ["wrong_row"]
