"""The command line: clear refusals, exit codes, JSON, and what Ctrl+C means."""

import fcntl
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path

import msgspec
import pytest
from tokenizers import Tokenizer, models

import sft_tui.core
from sft_tui.core import config_file, control, events, presets, process, run_queue
from sft_tui.core.rundir import RunDir, list_runs
from sft_tui.core.tail import Tail
from sft_tui.tui import cli

CLI = Path(sys.executable).with_name("sft-tui")
RUN_KEYS = {
    "id", "path", "status", "model", "data", "method", "step", "total_steps", "loss", "eval_loss",
    "best_step", "tokens_per_s", "started", "elapsed_s", "reason", "remedy", "health",
}  # fmt: skip


@pytest.fixture(autouse=True)
def sft_home(tmp_path, monkeypatch):
    """A home of its own; what still trains in it at the end is killed."""
    folder = tmp_path / "home"
    monkeypatch.setenv("SFT_TUI_HOME", str(folder))
    yield folder
    for run in list_runs(folder / "runs"):
        record = run.process_record()
        if record is not None and record.pid != os.getpid() and process.alive(record):
            os.killpg(record.pid, signal.SIGKILL)


def sft(*arguments: object, **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [CLI, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        **options,
    )


def refused(done: subprocess.CompletedProcess[str], code: int) -> tuple[str, str, str]:
    """Checks the form of a refusal; returns what, why and what to do."""
    assert "Traceback" not in done.stdout + done.stderr
    assert done.returncode == code, done.stdout + done.stderr
    lines = done.stderr.splitlines()
    assert [line.partition(": ")[0] for line in lines] == ["error", "why", "do"], done.stderr
    what, why, remedy = (line.partition(": ")[2] for line in lines)
    assert what and why and remedy
    return what, why, remedy


def recorded(
    folder: Path, *told: events.Event, dead: bool = True, name: str = "20260101-000000-tiny-0001"
) -> RunDir:
    """A run as it lies on the disk; its trainer is gone, or is this process."""
    path = folder / "runs" / name
    path.mkdir(parents=True)
    run = RunDir(path)
    run.config.write_text(config_file.to_yaml(config_file.build()))
    record = process.this_process("local", ["x"], {})
    if dead:
        record = msgspec.structs.replace(record, start_time=1.0)
    run.process.write_bytes(msgspec.json.encode(record))
    with run.events.open("ab") as file:
        for event in told:
            event.t = time.time()
            file.write(events.encode(event))
    return run


def story() -> list[events.Event]:
    return [
        events.Phase(name="loading_model"),
        events.RunStarted(run_id="r", total_steps=10, train_rows=8),
        events.Eval(step=0, loss=3.0),
        events.Phase(name="training"),
        events.Step(step=1, loss=2.5, tokens=40, step_s=0.5, elapsed_s=1.0),
        events.Step(step=2, loss=float("nan"), tokens=40, step_s=0.5, elapsed_s=1.5),
        events.Warning_(code="non_finite", message="step 2 was skipped", remedy="lower it"),
    ]


# --- usage


def test_version():
    done = sft("--version")

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"sft-tui {sft_tui.core.__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["frobnicate"],
        ["train", "--frobnicate"],
        ["stop"],
        ["demo", "--steps", "many"],
        ["demo", "--steps", "0"],
        ["set", "latest", "learning_rate=fast"],
        ["set", "latest", "momentum=1"],
        ["set", "latest", "learning_rate=2"],
        ["set", "latest", "max_steps=0"],
        ["set", "latest", "save_every_steps=1.5"],
        ["extend", "latest", "learning_rate=1"],
        ["extend", "latest", "epochs"],
        ["config", "--preset", "recomended"],
        ["config", "--set", "method.rnak=8"],
        ["config", "check"],
        ["train"],
        ["train", "/nowhere/run.yaml"],
        ["config", "check", "/nowhere/run.yaml"],
        ["show", "latest"],
        ["watch"],
        ["resume", "./nothing"],
    ],
    ids=" ".join,
)
def test_bad_usage_is_refused_in_three_lines_with_exit_code_2(arguments, sft_home):
    refused(sft(*arguments), 2)

    assert not sft_home.exists(), "nothing was written"


def test_a_misspelt_name_is_answered_with_the_nearest():
    assert "method.rank" in sft("config", "--set", "method.rnak=8").stderr
    assert "recommended" in sft("config", "--preset", "recomended").stderr


def test_show_says_what_was_chosen_to_be_faster_and_why(sft_home):
    off = "off: about 40 s of steps would not pay for it"
    chosen = {"packing": "on: rows stand behind one another", "compile": off, "shape of x": "qa"}
    recorded(sft_home, events.RunStarted(run_id="r", choices=chosen))

    lines = sft("show", "latest").stdout.splitlines()
    assert f"compile      {off}" in lines
    assert "packing      on: rows stand behind one another" in lines
    assert not [line for line in lines if "shape of" in line]


def test_what_a_run_does_not_tell_of_its_start_is_a_dash_and_no_zero(sft_home):
    recorded(sft_home, events.RunStarted(run_id="r"))

    lines = sft("show", "latest").stdout.splitlines()
    assert "rows         – trained, – evaluated" in lines
    assert "parameters   – of – trained" in lines


def test_times_and_counts_that_no_event_tells_are_a_dash_and_no_zero(sft_home, tmp_path):
    recorded(sft_home, events.Step(step=1, loss=1.0), events.RunFinished(status="stopped"))

    shown = sft("show", "latest").stdout
    assert "trained for  –" in shown.splitlines()
    assert "at step" not in shown and "no checkpoint is there" in shown
    page = tmp_path / "run.html"
    assert sft("report", "latest", "--to", str(page)).returncode == 0
    assert re.search(r">Starts</t.>\s*<td>–</td>", page.read_text())


def test_runs_at_work_are_listed_before_newer_ones_that_ended(sft_home):
    step = events.Step(step=1, loss=2.5, tokens=40, step_s=0.5, elapsed_s=1.0)
    at_work = recorded(sft_home, events.RunStarted(run_id="r"), step, dead=False)
    ended = recorded(sft_home, *story(), name="20260102-000000-tiny-0002")
    other = recorded(sft_home, *story(), name="20260103-000000-tiny-0003")

    _, *lines = sft("runs").stdout.splitlines()
    assert [line.split()[1] for line in lines] == [at_work.id, other.id, ended.id]


def test_a_refusal_with_json_is_one_document_too():
    done = sft("show", "latest", "--json")

    assert done.returncode == 2
    assert set(json.loads(done.stdout)) == {"error", "why", "remedy"}


def test_debug_shows_the_traceback_that_is_hidden_otherwise():
    assert "Traceback" in sft("show", "latest", "--debug").stderr


def test_a_reader_that_leaves_early_is_no_error(sft_home):
    recorded(sft_home, *story())
    done = subprocess.run(
        f"{CLI} config | head -n 1", shell=True, capture_output=True, text=True, timeout=20
    )

    assert done.stderr == ""


# --- configurations


@pytest.mark.parametrize("command", [["train"], ["config", "check"]])
def test_bad_yaml_is_refused_with_line_and_column(tmp_path, command, sft_home):
    (tmp_path / "run.yaml").write_text("model:\n  name: demo\nmethod: {rank: 8\ntrain: 1\n")

    what, why, _ = refused(sft(*command, tmp_path / "run.yaml"), 2)

    assert str(tmp_path / "run.yaml") in what
    assert re.search(r"line 4, column 1\b|line 4, column 6\b", why)
    assert not sft_home.exists()


def test_a_bad_value_is_refused_with_its_line_before_anything_starts(tmp_path, sft_home):
    (tmp_path / "run.yaml").write_text("method:\n  rank: 0\noptim: {learning_rate: fast}\n")

    _, why, _ = refused(sft("train", tmp_path / "run.yaml"), 2)

    assert "line 2: " in why and "method.rank" in why
    assert "line 3: " in why and "optim.learning_rate" in why
    assert not sft_home.exists()


def test_check_lists_every_problem_with_its_line(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text("method:\n  rank: 0\n\noptim:\n  learning_rat: 1e-5\ntrain: {seed: x}\n")

    done = sft("config", "check", path)

    assert done.returncode == 2
    lines = done.stdout.splitlines()
    assert len(lines) == 3
    assert all(line.startswith(f"{path}: line ") for line in lines)
    found = {int(re.search(r"line (\d+)", line)[1]): line for line in lines}
    assert sorted(found) == [2, 5, 6]
    assert "learning_rate" in found[5], "the nearest known key is named"


def test_check_accepts_what_config_prints(tmp_path):
    (tmp_path / "run.yaml").write_text(sft("config", "--preset", "demo").stdout)

    done = sft("config", "check", tmp_path / "run.yaml")

    assert (done.returncode, done.stderr) == (0, "")
    assert config_file.config_hash(config_file.build(preset="demo")) in done.stdout


@pytest.mark.parametrize("sets", [[], ["method.rank=3", "optim.max_grad_norm=null"]])
def test_a_printed_configuration_reads_back_as_the_same(sets):
    done = sft("config", *(part for entry in sets for part in ("--set", entry)))

    assert done.returncode == 0
    assert config_file.parse(done.stdout) == config_file.build(sets)
    assert len([line for line in done.stdout.splitlines() if line.strip().startswith("#")]) > 30


def test_the_schema_is_json_and_names_every_group():
    schema = json.loads(sft("config", "schema").stdout)

    text = json.dumps(schema)
    for group in ("model", "data", "method", "optim", "train", "evaluate", "save", "launch"):
        assert f'"{group}"' in text


# --- lists


def test_runs_as_json_has_the_documented_keys(sft_home):
    run = recorded(sft_home, *story(), events.RunFinished(status="failed", reason="x"))

    done = sft("runs", "--json")

    assert (done.returncode, done.stderr) == (0, "")
    document = json.loads(done.stdout)
    assert set(document) == {"runs"}
    (found,) = document["runs"]
    assert set(found) >= RUN_KEYS
    assert (found["id"], found["path"], found["status"]) == (run.id, str(run.path), "failed")
    assert (found["step"], found["total_steps"]) == (2, 10)
    assert found["loss"] is None, "a loss that is not finite is null: JSON has no NaN"
    assert found["eval_loss"] == 3.0
    assert found["tokens_per_s"] == 80
    (told,) = [each for each in found["health"] if each["severity"] == "error"]
    assert set(told) == {"rule", "severity", "message", "remedy"}
    assert told["rule"] == "nan" and "NaN at step 2" in told["message"] and told["remedy"]


def test_runs_without_any_run(sft_home):
    assert json.loads(sft("runs", "--json").stdout) == {"runs": []}
    done = sft("runs")
    assert done.returncode == 0
    assert "demo" in done.stdout


def test_a_damaged_run_is_listed_beside_the_others(sft_home):
    good = recorded(sft_home, *story())
    bad = sft_home / "runs" / "20260202-000000-bad-0002"
    bad.mkdir()
    (bad / "config.yaml").write_text("model: [\n")
    (bad / "events.jsonl").write_bytes(b"\x00\xff{\n")
    (sft_home / "runs" / "20260203-000000-empty-0003").mkdir()

    document = json.loads(sft("runs", "--json").stdout)
    table = sft("runs")

    assert [run["id"][:8] for run in document["runs"]] == ["20260203", "20260202", "20260101"]
    assert table.returncode == 0
    assert good.id in table.stdout and bad.name in table.stdout
    assert sft("show", "bad-0002").returncode == 0


def test_the_table_of_runs_cuts_nothing_and_has_no_escape_byte(sft_home, monkeypatch):
    run = recorded(sft_home, *story())
    model = "a-model-with-a-name-that-is-longer-than-the-rest-of-the-line-0.5B-Instruct"
    run.config.write_text(config_file.to_yaml(config_file.build([f"model.name=me/{model}"])))

    done = sft("runs", env={k: v for k, v in os.environ.items() if k != "COLUMNS"})

    assert run.id in done.stdout and model in done.stdout
    assert "CRASHED" in done.stdout and "2/10" in done.stdout
    assert "…" not in done.stdout
    assert "\x1b" not in done.stdout
    assert len(done.stdout.splitlines()) == 2

    # On a terminal a name is cut before the columns beside it.
    long = run.path.rename(run.path.with_name(f"20260101-000000-{'x' * 170}-0001"))
    assert long.name in sft("runs").stdout
    monkeypatch.setenv("COLUMNS", "120")
    terminal = Terminal("runs")
    assert terminal.end() == 0
    lines = [line.rstrip() for line in terminal.text.splitlines() if "CRASHED" in line]
    assert len(lines) == 1 and len(lines[0]) <= 120
    assert re.search(r"^CRASHED +20260101-0\S*…\S*-0001 ", lines[0]) and " LoRA r16 " in lines[0]
    assert re.search(r" 2/10 .* 80$", lines[0]), lines


def test_show_as_json_has_the_documented_keys_and_the_story(sft_home):
    run = recorded(sft_home, *story())
    with run.events.open("ab") as file:
        file.write(b"garbage\n" + events.encode(events.Phase(name="saving")))

    done = sft("show", "latest", "--json")

    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert set(found) >= RUN_KEYS | {"phase", "evals", "samples", "controls", "checkpoints"}
    assert found["status"] == "crashed"
    assert [event["loss"] for event in found["evals"]] == [3.0]
    assert found["unreadable_lines"] == 1
    assert found["config"]["method"]["rank"] == 16
    assert found["run_started"]["train_rows"] == 8


def test_show_of_what_waits_says_for_what_and_of_a_problem_what_it_is(sft_home):
    text = config_file.to_yaml(config_file.build(["launch.accelerator=cpu"], "demo"))
    where = {"folder": str(sft_home / "runs"), "config": text}
    ids = [f"20260101-00000{place}-demo-000{place}" for place in range(3)]
    entries = [run_queue.Waiting(id=each, t=time.time(), **where) for each in ids]
    entries[2] = msgspec.structs.replace(entries[2], problem="the data file is gone")
    for entry in entries:
        run_queue.write(entry)

    said = sft("show", ids[1]).stdout
    assert f"it waits for the CPU to be free of other trainers, and for {ids[0]}" in said
    assert "WAITING" in said and f"`sft-tui queue remove {ids[1]}` takes it out" in said
    told = json.loads(sft("show", "0002", "--json").stdout)
    assert (told["status"], told["reason"]) == ("waiting", "the data file is gone")
    _, why, do = refused(sft("watch", ids[1], "--plain"), 2)
    assert "it waits in the queue" in why and f"`sft-tui show {ids[1]}`" in do


def test_json_never_holds_nan(sft_home):
    told = [*story(), events.Eval(step=2, loss=float("nan"), perplexity=float("inf"))]
    recorded(sft_home, *told)

    def refuse(text):
        raise AssertionError(f"{text} is not JSON")

    for command in (["runs", "--json"], ["show", "latest", "--json"]):
        json.loads(sft(*command).stdout, parse_constant=refuse)


def test_another_folder_of_runs_is_used_where_it_is_named(sft_home, tmp_path):
    run = recorded(tmp_path / "other", *story())

    document = json.loads(sft("runs", "--json", "--runs", tmp_path / "other" / "runs").stdout)

    assert [found["id"] for found in document["runs"]] == [run.id]


# --- steering without a trainer


def test_the_folder_of_the_settings_is_used_unless_one_is_named(sft_home, tmp_path):
    sft_home.mkdir(exist_ok=True)
    file = sft_home / "settings.json"
    file.write_text(json.dumps({"runs": str(tmp_path / "theirs")}))
    assert f"no runs in {tmp_path / 'theirs'};" in sft("runs").stdout
    assert f"no runs in {tmp_path / 'mine'};" in sft("runs", "--runs", tmp_path / "mine").stdout

    file.write_text('{"runs": 3')
    done = sft("runs")
    assert done.returncode == 0 and f"no runs in {sft_home / 'runs'};" in done.stdout
    assert "note: The settings cannot be read" in done.stderr and file.exists()


@pytest.mark.parametrize(
    "command",
    [
        ["stop", "latest"],
        ["pause", "latest"],
        ["checkpoint", "latest"],
        ["evaluate", "latest"],
        ["sample", "latest"],
        ["dump", "latest"],
        ["set", "latest", "learning_rate=1e-5"],
    ],
    ids=" ".join,
)
def test_a_run_without_a_trainer_cannot_be_steered(sft_home, command):
    run = recorded(sft_home, *story())

    _, why, remedy = refused(sft(*command), 1)

    assert "crashed" in why and "resume" in remedy
    assert not run.control.exists()


def test_a_crashed_run_cannot_be_killed_and_a_finished_one_not_resumed(sft_home):
    run = recorded(sft_home, *story())
    refused(sft("kill", "latest"), 1)
    closed = subprocess.run(
        ["sh", "-c", f"{CLI} delete latest <&-"], capture_output=True, text=True, timeout=60
    )
    assert closed.returncode == 2 and "Traceback" not in closed.stderr
    assert "there is no terminal to ask on" in closed.stderr
    with run.events.open("ab") as file:
        file.write(events.encode(events.RunFinished(status="finished")))

    what, why, remedy = refused(sft("resume", "latest"), 1)

    assert "finished" in what and "2 steps are done" in why
    assert f"`sft-tui extend {run.id} max_steps=4`" in remedy
    for end in ("max_steps=2", "epochs=1"):
        done = sft("extend", "latest", end, "--detach")
        assert done.returncode == 2 and "the run has 10 steps" in done.stderr
    assert run.configs() == [run.config]


UNASKED = "taken unasked: there is no terminal to ask on"


@pytest.mark.parametrize(
    ("command", "changed", "key", "value"),
    [
        (["extend", "max_steps=19"], "train.max_steps: 10 → 19", "max_steps", 19),
        (["extend", "epochs=30"], "train.epochs: 1 → 30", "epochs", 30),
        (["resume", "--set", "train.max_steps=9"], "train.max_steps: 10 → 9", "max_steps", 9),
    ],
    ids=lambda part: part if isinstance(part, str) else "",
)
def test_a_finished_run_goes_on_with_more_steps_and_shows_what_changed_first(
    hanging, sft_home, command, changed, key, value
):
    run = recorded(sft_home, *story(), events.RunFinished(status="finished"))
    name, *rest = command

    done = sft(name, "latest", *rest, "--detach")

    assert (done.returncode, done.stdout.strip()) == (0, str(run.path))
    assert done.stderr.splitlines() == [changed, UNASKED]
    before, after = (config_file.load(path).train for path in run.configs())
    assert getattr(before, key) != value == getattr(after, key)


def test_a_stopped_run_is_extended_from_the_end_that_clients_gave_it_and_not_to_less(
    hanging, sft_home
):
    moved = events.Control(
        id="a", command="set", by="ada", key="max_steps", old=10, new=40, outcome="done"
    )
    run = recorded(sft_home, *story(), moved, events.RunFinished(status="stopped"))

    what, why, remedy = refused(sft("extend", "latest", "max_steps=30"), 2)

    assert "30 steps" in what and "the run has 40 steps" in why
    assert f"`sft-tui resume {run.id} --set train.max_steps=30`" in remedy
    assert run.configs() == [run.config]
    done = sft("extend", "latest", "max_steps=50", "--detach")
    assert done.stderr.splitlines() == ["train.max_steps: 40 → 50", UNASKED]
    assert not run.control.exists(), "the configuration tells it"


@pytest.mark.parametrize("end", ["stopped", "finished"])
def test_an_end_that_clients_moved_goes_back_to_what_the_configuration_says(hanging, sft_home, end):
    moved = events.Control(
        id="a", command="set", by="ada", key="max_steps", old=10, new=4, outcome="done"
    )
    run = recorded(sft_home, *story(), moved, events.RunFinished(status=end, step=4))
    run.config.write_text(config_file.to_yaml(config_file.build(["train.max_steps=10"], "demo")))

    done = sft("extend", "latest", "max_steps=10", "--detach")

    assert (done.returncode, done.stderr) == (0, f"train.max_steps: 4 → 10\n{UNASKED}\n")
    (asked,) = map(control.decode, Tail(run.control).read())
    assert (asked.command, asked.values) == ("set", {"max_steps": 10})

    def outcomes() -> list[str]:
        told = [events.decode(line) for line in Tail(run.events).read(1 << 20)]
        return [e.outcome for e in told if isinstance(e, events.Control) and e.id == asked.id]

    deadline = time.monotonic() + 10
    while not outcomes() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert outcomes() == ["accepted"], "it is not one of an earlier start"


def test_on_a_terminal_what_changed_is_asked_before_it_is_taken(hanging, sft_home):
    run = recorded(sft_home, *story())
    change = ["resume", "latest", "--set", "optim.learning_rate=1e-5", "--detach"]
    terminal = Terminal(*change)
    terminal.read_until("optim.learning_rate: 0.0002 → 1.0e-05")
    terminal.read_until("Go on with what changed?")
    terminal.type("\r")
    assert terminal.end() == 1
    assert run.configs() == [run.config], "nothing was started"

    terminal = Terminal(*change)
    terminal.read_until("Go on with what changed?")
    terminal.type("y\r")
    assert terminal.end() == 0
    assert config_file.load(run.configs()[1]).optim.learning_rate == 1e-5


def test_a_run_whose_checkpoints_are_gone_begins_anew_only_where_the_user_agrees(hanging, sft_home):
    saved = events.Checkpoint(step=2, path="checkpoints/step-2", bytes=9, elapsed_s=0.1)
    run = recorded(sft_home, *story(), saved)

    for more in ([], ["--json"]):
        done = sft("resume", "latest", "--detach", *more)
        assert done.returncode == 2 and "step-2 was saved" in done.stderr + done.stdout
        assert "begin anew at step 0" in done.stderr + done.stdout
    terminal = Terminal("resume", "latest", "--detach")
    terminal.read_until("Its checkpoints are gone")
    terminal.read_until("Begin anew at step 0?")
    terminal.type("\r")
    assert terminal.end() == 1 and run.configs() == [run.config], "nothing was started"
    done = sft("resume", "latest", "--yes", "--detach")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_change_that_no_configuration_takes_is_refused_by_its_name(sft_home):
    run = recorded(sft_home, *story())
    _, why, _ = refused(sft("resume", "latest", "--set", "train.max_step=9"), 2)
    assert "train.max_steps" in why
    assert run.configs() == [run.config]


def test_a_command_to_a_trainer_that_stands_still_says_so(sft_home, stranger):
    run = recorded(sft_home, *story(), dead=False)
    record = run.process_record()
    record.pid, record.start_time = stranger, process.start_time(stranger)
    run.process.write_bytes(msgspec.json.encode(record))
    os.kill(stranger, signal.SIGSTOP)
    asking = subprocess.Popen([CLI, "stop", "latest"], stderr=subprocess.PIPE, text=True)
    try:
        said = asking.stderr.readline()
        assert said.startswith("not done yet: its process is halted") and "-CONT" in said
    finally:
        asking.kill()
        asking.communicate()


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (["set", "latest", "save_every_steps=null"], {"save_every_steps": None}),
        (["set", "latest", "eval_every_steps=5"], {"eval_every_steps": 5}),
        (["set", "latest", "max_steps=50"], {"max_steps": 50}),
        (["extend", "latest", "epochs=2"], {"epochs": 2}),
        (["evaluate", "latest"], {}),
        (["pause", "latest"], {}),
    ],
    ids=lambda part: " ".join(part) if isinstance(part, list) else "",
)
def test_a_running_trainer_is_asked_with_the_value(sft_home, command, told):
    run = recorded(sft_home, *story(), dead=False)
    asking = subprocess.Popen([CLI, *command], stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 10
        while not (lines := Tail(run.control).read()):
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        asking.kill()
        asking.wait()
    request = control.decode(lines[0])
    assert (request.command, request.values) == (command[0], told)


def test_an_answer_is_waited_for_and_a_refusal_exits_with_1(sft_home):
    run = recorded(sft_home, *story(), dead=False)
    asking = subprocess.Popen(
        [CLI, "sample", "latest"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 10
    while not (lines := Tail(run.control).read()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    request = control.decode(lines[0])
    with run.events.open("ab") as file:
        for outcome, reason in (("accepted", None), ("refused", "no space")):
            answer = events.Control(
                id=request.id, command="sample", by="me", outcome=outcome, step=2, reason=reason
            )
            file.write(events.encode(answer))
    out, err = asking.communicate(timeout=10)

    assert (asking.returncode, err) == (1, "")
    asked, *answers = out.splitlines()
    assert "into Play" in asked and f"`sft-tui show {run.id} --json`" in asked
    assert answers == ["sample accepted at step 2", "sample refused: no space"]


# --- a folder that cannot be written


@pytest.fixture
def read_only(sft_home):
    """Makes the home unwritable: mounted read-only, for root does not mind modes."""
    mounted = []

    def make() -> None:
        sft_home.mkdir(exist_ok=True)
        bind = ["mount", "--bind", str(sft_home), str(sft_home)]
        if subprocess.run(bind, capture_output=True).returncode:
            for path in [*sft_home.rglob("*"), sft_home]:
                path.chmod(path.stat().st_mode & 0o555)
            return
        mounted.append(True)
        remount = ["mount", "-o", "remount,bind,ro", str(sft_home)]
        subprocess.run(remount, check=True)

    yield make
    if mounted:
        subprocess.run(["umount", "-l", str(sft_home)], check=True)
    else:
        for path in [sft_home, *sft_home.rglob("*")]:
            path.chmod(0o700)


DENIED = "Read-only file system|Permission denied"


def test_train_in_a_read_only_home_is_refused(read_only, tmp_path, sft_home):
    (tmp_path / "run.yaml").write_text("{}\n")
    read_only()

    what, why, remedy = refused(sft("train", tmp_path / "run.yaml"), 1)

    assert str(sft_home / "runs") in what
    assert re.search(DENIED, why)
    assert "SFT_TUI_HOME" in remedy


def test_resume_of_a_read_only_run_is_refused(read_only, sft_home):
    run = recorded(sft_home, *story())
    read_only()

    _, why, _ = refused(sft("resume", "latest"), 1)

    assert re.search(DENIED, why)
    assert run.configs() == [run.config]


def test_stop_of_a_read_only_run_is_refused_and_watching_it_works(read_only, sft_home):
    recorded(sft_home, *story(), dead=False)
    read_only()

    what, why, remedy = refused(sft("stop", "latest"), 1)

    assert "stop" in what
    assert re.search(DENIED, why)
    assert "watch" in remedy
    assert sft("show", "latest").returncode == 0
    assert json.loads(sft("runs", "--json").stdout)["runs"][0]["status"] == "running"


def test_a_full_disk_refuses_a_start(mount_disk, tmp_path, monkeypatch):
    (tmp_path / "run.yaml").write_text("{}\n")
    place = mount_disk("16k")
    monkeypatch.setenv("SFT_TUI_HOME", str(place))
    with (
        open(place / "filler", "wb", buffering=0) as filler,
        pytest.raises(OSError, match="No space"),
    ):
        while True:
            filler.write(b"x" * 4096)
    done = sft("train", tmp_path / "run.yaml")

    _, why, remedy = refused(done, 1)
    assert "No space left" in why
    assert remedy


# --- data and models that cannot be trained on: found by the trainer


def bare_model(folder: Path) -> Path:
    """What of a model is read before its weights are: a tokenizer, and names of files."""
    folder.mkdir()
    vocabulary = {"<pad>": 0, "<eos>": 1, "a": 2, " ": 3}
    Tokenizer(models.BPE(vocab=vocabulary, merges=[])).save(str(folder / "tokenizer.json"))
    kind = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": "<eos>",
        "pad_token": "<pad>",
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(kind))
    (folder / "config.json").write_text(json.dumps({"model_type": "llama"}))
    (folder / "model.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{}")
    return folder


@pytest.fixture(scope="module")
def failures(tmp_path_factory):
    """Four runs that cannot train, started at once: importing torch takes seconds."""
    folder = tmp_path_factory.mktemp("failures")
    model = bare_model(folder / "model")
    no_weights = bare_model(folder / "pickled")
    (no_weights / "model.safetensors").rename(no_weights / "pytorch_model.bin")
    (folder / "good.jsonl").write_text('{"prompt": "a", "completion": "a"}\n' * 4)
    (folder / "empty.jsonl").write_text("")
    (folder / "torn.jsonl").write_text(
        '{"prompt": "a", "completion": "a"}\n{"prompt": "a", "text": "a"}\n'
    )
    cases = {
        "missing": (model, "missing.jsonl"),
        "empty": (model, "empty.jsonl"),
        "columns": (model, "torn.jsonl"),
        "weights": (no_weights, "good.jsonl"),
    }
    started = {}
    for name, (weights, data) in cases.items():
        (folder / f"{name}.yaml").write_text(
            f"model: {{name: {weights}}}\ndata: {{source: {data}}}"
        )
        started[name] = subprocess.Popen(
            [CLI, "train", folder / f"{name}.yaml"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "SFT_TUI_HOME": str(folder / f"home-{name}")},
        )
    done = {}
    for name, child in started.items():
        out, err = child.communicate(timeout=90)
        done[name] = subprocess.CompletedProcess(child.args, child.returncode, out, err)
    return done


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("missing", ("missing.jsonl", "no such file", "a folder of them")),
        ("empty", ("empty.jsonl", "is empty", "choose a file")),
        ("columns", ("row 1", "no column completion", "text")),
        ("weights", ("pickled", "no safetensors", "pytorch_model.bin", "save_pretrained")),
    ],
)
def test_what_cannot_be_trained_is_told_in_three_lines_and_exits_with_1(failures, case, words):
    told = " ".join(refused(failures[case], 1))

    assert not [word for word in words if word not in told], told


@pytest.mark.parametrize("case", ["missing", "empty", "columns", "weights"])
def test_what_cannot_be_trained_is_told_without_a_traceback_or_an_escape(failures, case):
    done = failures[case]

    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    assert "\x1b" not in done.stdout + done.stderr


# --- Ctrl+C while it trains


@pytest.fixture
def hanging(tmp_path, monkeypatch):
    """Trainers hang where they would import torch; returns a configuration to train."""
    (tmp_path / "stubs").mkdir()
    (tmp_path / "stubs" / "torch.py").write_text("import time\ntime.sleep(120)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "stubs"), prepend=os.pathsep)
    (tmp_path / "run.yaml").write_text("{}\n")
    return tmp_path / "run.yaml"


class Terminal:
    """`sft-tui` on a pseudo-terminal of its own."""

    def __init__(self, *arguments: object) -> None:
        self.master, slave = pty.openpty()
        self.text = ""

        def take_terminal() -> None:
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        self.child = subprocess.Popen(
            [CLI, *map(str, arguments)],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=take_terminal,
        )
        os.close(slave)

    def read_until(self, words: str, timeout_s: float = 60) -> None:
        deadline = time.monotonic() + timeout_s
        while words not in self.text:
            assert time.monotonic() < deadline, f"{words!r} did not come: {self.text!r}"
            self._read(0.1)

    def _read(self, timeout_s: float) -> bool:
        if not select.select([self.master], [], [], timeout_s)[0]:
            return False
        try:
            block = os.read(self.master, 4096)
        except OSError:  # the child closed its side
            return False
        self.text += block.decode()
        return bool(block)

    def type(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def end(self) -> int:
        code = self.child.wait(60)
        while self._read(0.1):
            pass
        os.close(self.master)
        return code


def trainer_lives() -> bool:
    (run,) = list_runs()
    return process.alive(run.process_record()) is True


def test_ctrl_c_asks_and_d_detaches_from_a_trainer_that_goes_on(hanging):
    terminal = Terminal("train", hanging)
    terminal.read_until("loading model")
    terminal.type("\x03")
    terminal.read_until("d detach")
    assert terminal.child.poll() is None
    assert trainer_lives()

    terminal.type("d\n")

    assert terminal.end() == 130
    assert f"sft-tui watch {list_runs()[0].id}" in terminal.text
    assert "Traceback" not in terminal.text
    assert "\x1b" not in terminal.text
    assert trainer_lives()
    assert not list_runs()[0].control.exists(), "nothing was asked of it"


def test_ctrl_c_as_soon_as_the_run_is_named_asks_too(hanging):
    terminal = Terminal("train", hanging)
    terminal.read_until("PREPARING")
    terminal.type("\x03")
    terminal.read_until("d detach")
    terminal.type("d\n")

    assert terminal.end() == 130
    assert f"sft-tui watch {list_runs()[0].id}" in terminal.text


def test_ctrl_c_twice_detaches(hanging):
    terminal = Terminal("train", hanging)
    terminal.read_until("loading model")
    terminal.type("\x03")
    terminal.read_until("d detach")
    terminal.type("\x03")

    assert terminal.end() == 130
    assert "Traceback" not in terminal.text
    assert trainer_lives()


def test_ctrl_c_and_enter_keeps_watching_and_s_asks_to_stop(hanging):
    terminal = Terminal("train", hanging)
    terminal.read_until("loading model")
    terminal.type("\x03")
    terminal.read_until("keep watching: ")
    terminal.text = ""
    terminal.type("\n")
    time.sleep(0.3)
    assert terminal.child.poll() is None
    assert not list_runs()[0].control.exists()

    terminal.type("\x03")
    terminal.read_until("keep watching: ")
    terminal.type("s\n")
    terminal.read_until("stop asked")

    assert terminal.child.poll() is None, "it follows until the run has stopped"
    (line,) = Tail(list_runs()[0].control).read()
    assert control.decode(line).command == "stop"
    terminal.child.kill()
    terminal.end()


def test_an_interrupt_off_a_terminal_detaches(hanging):
    following = subprocess.Popen(
        [CLI, "train", hanging],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert following.stdout.readline().startswith("PREPARING")
    time.sleep(0.2)
    following.send_signal(signal.SIGINT)
    _, err = following.communicate(timeout=10)

    assert following.returncode == 130
    assert err.startswith("detached; ") and len(err.splitlines()) == 1
    assert trainer_lives()


def test_a_detached_start_prints_where_the_run_lies(hanging):
    done = sft("train", hanging, "--detach", "--json")

    assert (done.returncode, done.stderr) == (0, "")
    (run,) = list_runs()
    assert json.loads(done.stdout) == {"run": run.id, "path": str(run.path)}
    assert trainer_lives()


def test_kill_ends_a_trainer_and_says_what_stays(hanging):
    sft("train", hanging, "--detach")

    done = sft("kill", "latest")

    assert (done.returncode, done.stderr) == (0, "")
    assert re.match(r"killed pid \d+; there is no checkpoint yet: sft-tui resume ", done.stdout)
    assert not trainer_lives()


def test_the_doctor_reports_a_torch_that_cannot_be_imported(tmp_path, monkeypatch):
    (tmp_path / "torch.py").write_text("raise ImportError('libcudart is missing')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv("HF_TOKEN", "hf_abcdefghijklmnop")

    done = sft("doctor", "--json")

    assert done.returncode == 1
    document = json.loads(done.stdout)
    checks = {check["name"]: check for check in document["checks"]}
    assert document["ok"] is False
    assert checks["torch"]["state"] == "fail"
    assert "libcudart is missing" in checks["torch"]["found"]
    assert checks["runs folder"]["state"] == "ok"
    assert checks["optional"]["state"] == "ok"
    assert all(bool(check["remedy"]) == (check["state"] != "ok") for check in checks.values())
    assert "hf_abcdefghijklmnop" not in done.stdout + done.stderr


@pytest.mark.parametrize("columns", [60, 80])
def test_help_is_no_wider_than_the_terminal(monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    parser = cli.build_parser()
    (commands,) = (each for each in parser._actions if isinstance(each.choices, dict))
    assert len(commands.choices) > 20
    for each in (parser, *commands.choices.values()):
        lines = each.format_help().splitlines()
        assert max(map(len, lines)) <= columns, each.prog


def test_help_names_every_preset():
    told = "".join(sft("config", "--help").stdout.split())  # lines break at hyphens too
    assert f"startingpoint:{','.join(presets.names())}--set" in told


def test_standard_error_in_a_file_is_refused_where_the_screen_would_stay_empty():
    near, far = pty.openpty()
    try:
        done = subprocess.run(
            [CLI],
            stdin=far,
            stdout=far,
            stderr=subprocess.PIPE,
            env={**os.environ, "TERM": "xterm-256color"},
            text=True,
            timeout=30,
        )
    finally:
        os.close(near)
        os.close(far)
    assert done.returncode == 2
    assert "it needs a terminal for input, output and errors" in done.stderr
