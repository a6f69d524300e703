import msgspec
import pytest

from sft_tui.core import presets
from sft_tui.core.config import ConfigError, DataConfig, RunConfig, SourceConfig
from sft_tui.core.config_file import build, config_hash, load, parse, to_yaml
from sft_tui.core.errors import UsageError
from sft_tui.core.fields import declared


def problems(text, **options):
    with pytest.raises(ConfigError) as caught:
        parse(text, **options)
    return caught.value.problems


def with_system(system):
    return RunConfig(data=DataConfig(sources=[SourceConfig(system=system)]))


@pytest.mark.parametrize("comments", [False, True], ids=["bare", "commented"])
@pytest.mark.parametrize("preset", presets.names())
def test_every_preset_survives_yaml(preset, comments):
    config = build(preset=preset)
    assert parse(to_yaml(config, comments=comments)) == config


@pytest.mark.parametrize("comments", [False, True], ids=["bare", "commented"])
def test_several_sources_with_columns_survive_yaml(comments):
    sources = [
        SourceConfig(source="/a.csv", columns={"prompt": "q: 1", "completion": "no"}),
        SourceConfig(source="/b.json", template="chat"),
    ]
    config = RunConfig(data=DataConfig(sources=sources))
    assert parse(to_yaml(config, comments=comments)) == config


@pytest.mark.parametrize(
    "text",
    [
        "no",
        "null",
        "~",
        "1e-5",
        "0o17",
        "12",
        "1_000",
        "2024-01-01",
        "",
        " a ",
        "two\nlines\n\nand\ttabs",
        "# x: [y, {z",
        'it\'s "quoted"',
        "é\u2028日😀",
        "\x1b[31m",
        "\x85",
        "x" * 500 + " " + "y" * 500,
    ],
)
def test_any_text_survives_yaml_as_text(text):
    config = with_system(text)
    assert parse(to_yaml(config)) == config


def test_comments_carry_the_help_of_every_field():
    text = to_yaml(RunConfig(), comments=True)
    assert [field.path for field in declared() if field.help not in text] == []


def test_a_preset_is_the_start_and_the_file_overrides_it():
    config = parse("method: {rank: 5}", preset="demo")
    assert config.method.rank == 5
    assert config.train == build(preset="demo").train != RunConfig().train


def test_an_unknown_preset_names_the_nearest():
    with pytest.raises(UsageError) as caught:
        build(preset="dmo")
    assert "demo" in caught.value.remedy


def test_a_change_to_one_preset_does_not_reach_the_next_use():
    build(preset="demo", sets=["data.source=x", "method.rank=99"])
    assert build(preset="demo").method.rank != 99


def test_an_empty_text_is_the_default_configuration():
    assert parse("") == parse("# only a comment\n") == RunConfig()


@pytest.mark.parametrize("number", ["1e-5", "1E-5", "1.0e-5", "0.00001", ".00001"])
def test_every_spelling_of_a_number_is_a_number(number):
    assert parse(f"optim: {{learning_rate: {number}}}").optim.learning_rate == 1e-5


@pytest.mark.parametrize("word", ["no", "yes", "on", "off", "y"])
def test_words_that_older_yaml_reads_as_truth_stay_text(word):
    assert parse(f"model: {{name: {word}}}").model.name == word
    assert problems(f"data: {{shuffle: {word}}}")[0].path == "data.shuffle"


@pytest.mark.parametrize(("spelling", "value"), [("010", 10), ("0o10", 8), ("0x10", 16)])
def test_whole_numbers_follow_yaml_1_2(spelling, value):
    assert parse(f"train: {{seed: {spelling}}}").train.seed == value


def test_not_a_number_is_refused():
    (problem,) = problems("method:\n  alpha: .nan\n")
    assert (problem.path, problem.line) == ("method.alpha", 2)


@pytest.mark.parametrize(
    ("text", "right"),
    [("method:\n  rnk: 8\n", "method.rank"), ("optim:\n  lr: 1e-5\n", "optim.learning_rate")],
)
def test_an_unknown_key_names_the_nearest_and_its_line(text, right):
    (problem,) = problems(text)
    assert right in problem.message
    assert problem.line == 2


def test_all_problems_are_told_with_their_lines():
    text = (
        "method:\n"
        "  rank: 0\n"
        "  rnk: 8\n"
        "data:\n"
        "  sources:\n"
        "    - source: a\n"
        "    - source: b\n"
        "      shape: round\n"
        "oprim: {}\n"
    )
    found = {problem.path: problem.line for problem in problems(text)}
    assert found == {"method.rank": 2, "method.rnk": 3, "data.sources.1.shape": 8, "oprim": 9}


def test_the_error_as_text_names_file_lines_and_keys(write):
    path = write("run.yaml", "method:\n  rank: 0\n  alpha: -1\n")
    with pytest.raises(ConfigError) as caught:
        load(path)
    text = str(caught.value)
    assert all(part in text for part in (str(path), "line 2", "line 3", "method.alpha"))


def test_a_key_that_stands_twice_names_both_lines():
    (problem,) = problems("method:\n  rank: 8\n  alpha: 8\n  rank: 9\n")
    assert problem.line == 4
    assert "line 2" in problem.message and "method.rank" in problem.message


def test_the_same_key_in_two_sources_is_no_double():
    config = parse("data:\n  sources:\n    - source: /a.csv\n    - source: /b.csv\n")
    assert [source.source for source in config.data.sources] == ["/a.csv", "/b.csv"]


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [("method:\n\trank: 8\n", 2, 1), ("model: {name: x\n", 2, 1), ("a: 1\nb: c: d\n", 2, 5)],
)
def test_a_syntax_error_names_line_and_column(text, line, column):
    with pytest.raises(UsageError) as caught:
        parse(text)
    assert f"line {line}, column {column}" in caught.value.why


@pytest.mark.parametrize(
    "text",
    [
        "- 1\n",
        "text",
        "a: 1\n---\nb: 2\n",
        "a: !!python/object/apply:os.system [ls]\n",
        "? [1, 2]\n: 3\n",
        "1: 2\n",
        "data: {1: 2}\n",
        "model: null\n",
        "data: {sources: null}\n",
        "data: {sources: x}\n",
        "model: {name: \x00}\n",
        "a: &a [*a]\n",
        "train: {seed: !!int x}\n",
        "model: {name: ~nosuchuser/x}\n",
        "model: {name: " + "x" * 3000 + "}\n",
    ],
    ids=lambda text: text[:30],
)
def test_any_other_text_is_a_usage_error_and_never_a_crash(text, tmp_path):
    """A name that is no path of this machine may also simply be taken as a name."""
    if "name: ~" in text or "xxx" in text:
        assert parse(text, folder=tmp_path).model.name
    else:
        with pytest.raises(UsageError):
            parse(text, folder=tmp_path)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ("{sources: [{columns: {banana: x}}]}", "'banana' is no role"),
        ('{sources: [{columns: {prompt: "a["}}]}', "not a path"),
        ('{sources: [{columns: {prompt: ""}}]}', "not a path"),
        ("{sources: [{roles: {bot: machine}}]}", "must be one of"),
        ("{ignore_problems: [eval_leek]}", "the nearest is eval_leak"),
    ],
)
def test_names_that_mean_nothing_are_refused(write, data, why):
    with pytest.raises(ConfigError) as caught:
        load(write("run.yaml", f"data: {data}"))
    assert why in caught.value.why


def test_a_file_that_cannot_be_read_says_why(tmp_path, write):
    with pytest.raises(UsageError, match="No such file"):
        load(tmp_path / "gone.yaml")
    with pytest.raises(UsageError, match=r"not UTF-8 text \(byte 15"):
        load(write("latin.yaml", b"model: {name: \xff}"))


@pytest.mark.parametrize(
    ("text", "fields", "remedy"),
    [
        (
            "data: {empty_answers: text}",
            ("data.empty_answers", "data.empty_answer_text"),
            "set data.empty_answers to `drop`",
        ),
        (
            "data: {eval_fraction: 0}",
            ("evaluate.every_steps", "data.eval_fraction", "data.eval_source"),
            "evaluate.every_steps to null",
        ),
        (
            "data: {pack: never, share_prefixes: always}",
            ("data.share_prefixes", "data.pack"),
            "set data.pack to auto",
        ),
    ],
)
def test_fields_that_contradict_each_other_are_named_with_a_remedy(text, fields, remedy):
    (problem,) = problems(text)
    assert all(field in problem.message for field in fields)
    assert remedy in problem.message


@pytest.mark.parametrize(
    "text",
    [
        "data: {empty_answers: text, empty_answer_text: none}",
        "data: {eval_fraction: 0}\nevaluate: {every_steps: null}",
        "data: {eval_fraction: 0, eval_source: 'demo:heldout'}",
    ],
)
def test_the_remedies_are_accepted(text):
    assert parse(text) != RunConfig()


@pytest.mark.parametrize("betas", ["[1.0, 0.9]", "[0.9, -0.1]", "[.nan, 0.9]"])
def test_betas_outside_their_range_are_refused(betas):
    assert {problem.path for problem in problems(f"optim: {{betas: {betas}}}")} == {"optim.betas"}


@pytest.mark.parametrize(
    ("entry", "path", "value"),
    [
        ("method.rank=4", "method.rank", 4),
        ("optim.learning_rate=1e-5", "optim.learning_rate", 1e-5),
        ("data.shuffle=false", "data.shuffle", False),
        ("train.max_steps=7", "train.max_steps", 7),
        ("evaluate.every_steps=null", "evaluate.every_steps", None),
        ("method.target_modules=[q_proj, v_proj]", "method.target_modules", ["q_proj", "v_proj"]),
        ("data.empty_answer_text=a=b", "data.empty_answer_text", "a=b"),
        ("data.source=demo:heldout", "data.sources.0.source", "demo:heldout"),
        ("data.sources.0.shape=squad", "data.sources.0.shape", "squad"),
        ("data.sources.0.columns={prompt: q}", "data.sources.0.columns", {"prompt": "q"}),
    ],
)
def test_set_overrides_one_key(entry, path, value):
    found = msgspec.to_builtins(build(sets=[entry]))
    for part in path.split("."):
        found = found[int(part)] if part.isdigit() else found[part]
    assert found == value


def test_set_wins_over_the_file_and_the_last_set_wins():
    sets = ["method.rank=4", "method.rank=5"]
    assert parse("method: {rank: 8, alpha: 3}", sets=sets).method == (
        parse("method: {rank: 5, alpha: 3}").method
    )


def test_set_reaches_the_second_source_and_leaves_the_first():
    text = "data: {sources: [{source: /a.csv}, {source: /b.csv}]}"
    first, second = parse(text, sets=["data.sources.1.shape=squad"]).data.sources
    assert (first.shape, second.shape) == ("auto", "squad")


def test_set_of_a_source_key_keeps_a_source_given_in_short():
    config = parse("data: {source: /a.csv}", sets=["data.sources.0.shape=squad"])
    assert config.data.sources == [SourceConfig(source="/a.csv", shape="squad")]


def test_the_short_source_of_a_set_keeps_the_other_keys_of_the_one_source():
    text = "data: {sources: [{source: /a.csv, shape: squad}]}"
    config = parse(text, sets=["data.source=/b.csv"])
    assert config.data.sources == [SourceConfig(source="/b.csv", shape="squad")]


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("method.rank", "key=value"),
        ("=4", "key=value"),
        ("method.rnk=4", "method.rank"),
        ("lr=1", "optim.learning_rate"),
        ("optim.learning_rate=fast", "a number"),
        ("optim.learning_rate=", "a number"),
        ("method.target_modules=[a", "not valid YAML"),
        ("data.sources.3.shape=squad", "1 source"),
        ("data.sources.x.shape=squad", "not a key"),
    ],
)
def test_a_set_that_cannot_be_used_says_why(entry, said):
    (problem,) = problems("", sets=[entry])
    assert said in problem.message


def test_a_problem_of_a_set_blames_no_line_of_the_file():
    (problem,) = problems("method:\n  rank: 8\n", sets=["method.rank=0"])
    assert problem.line is None


def test_short_and_long_form_of_the_sources_together_are_refused():
    (problem,) = problems("data:\n  source: demo\n  sources:\n    - source: demo\n")
    assert "not both" in problem.message and problem.line == 2


def test_relative_paths_are_relative_to_the_file(tmp_path):
    folder = tmp_path / "configs"
    folder.mkdir()
    (folder / "models").mkdir()
    path = folder / "run.yaml"
    path.write_text(
        "model: {name: models}\n"
        "data: {sources: [{source: rows.csv}, {source: ../up.json}], eval_source: held.jsonl}\n"
    )
    config = load(path)
    assert config.model.name == str(folder / "models")
    assert [source.source for source in config.data.sources] == [
        str(folder / "rows.csv"),
        str(tmp_path / "up.json"),
    ]
    assert config.data.eval_source == str(folder / "held.jsonl")


def test_the_short_source_of_a_file_is_relative_to_it_too(write, tmp_path):
    config = load(write("run.yaml", "data: {source: rows.csv}"))
    assert config.data.sources[0].source == str(tmp_path / "rows.csv")


def test_a_path_of_a_set_is_relative_to_where_the_command_runs(write, tmp_path, monkeypatch):
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    config = load(write("run.yaml", "{}"), sets=["data.source=rows.csv"])
    assert config.data.sources[0].source == str(here / "rows.csv")


@pytest.mark.parametrize("name", ["demo", "HuggingFaceTB/SmolLM2-135M"])
def test_names_that_are_no_paths_stay_names(name, tmp_path):
    (tmp_path / "demo").mkdir()
    assert parse(f"model: {{name: {name}}}", folder=tmp_path).model.name == name


def test_a_resolved_configuration_means_the_same_from_another_folder(write, tmp_path):
    config = load(write("run.yaml", "data: {source: rows.csv, eval_source: 'demo:heldout'}"))
    other = tmp_path / "other"
    other.mkdir()
    (other / "again.yaml").write_text(to_yaml(config))
    assert load(other / "again.yaml") == config


def test_hashes_are_equal_exactly_when_configurations_are():
    assert config_hash(build(sets=["method.rank=16"])) == config_hash(RunConfig())
    assert config_hash(build(sets=["method.rank=17"])) != config_hash(RunConfig())


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: 1\nb: " + "9" * 5000, "line 2, column 4: the value cannot be read as a whole number"),
        ("a: !!int x", "line 1, column 4: the value cannot be read as a whole number"),
        ("a: !!timestamp 2001-99-99", "the value cannot be read as a timestamp"),
        ("a: \x00", "character 4 cannot stand in YAML (U+0000)"),
        ("[" * 5000, "it is nested too deeply"),
    ],
)
def test_what_yaml_cannot_hold_is_told_in_plain_words(text, told):
    with pytest.raises(UsageError) as failure:
        parse(text)
    assert told in str(failure.value)
