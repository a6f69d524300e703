"""A run in plain lines: one per change, no escape codes, an exit code that tells the end."""

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import msgspec
import pytest

from sft_tui.core import config_file, events, process
from sft_tui.core.history import History, read_history
from sft_tui.core.rundir import RunDir
from sft_tui.core.status import Status, status_of
from sft_tui.tui import plain
from sft_tui.tui.commands.runs import show
from sft_tui.tui.format import amount, clock, number, time_left

CLI = Path(sys.executable).with_name("sft-tui")
WORDS = (
    "PREPARING RUNNING EVALUATING SAVING PAUSING PAUSED STOPPING STOPPED FINISHED FAILED "
    "CRASHED STALLED UNKNOWN"
).split()


@pytest.fixture(autouse=True)
def sft_home(tmp_path, monkeypatch):
    folder = tmp_path / "home"
    monkeypatch.setenv("SFT_TUI_HOME", str(folder))
    return folder


@pytest.fixture
def run(sft_home) -> RunDir:
    path = sft_home / "runs" / "20260101-000000-tiny-0001"
    path.mkdir(parents=True)
    made = RunDir(path)
    made.config.write_text(config_file.to_yaml(config_file.build()))
    return made


def trainer(run: RunDir, *, dead: bool = False) -> None:
    """Records this process as the trainer, or one that is gone."""
    record = process.this_process("local", ["x"], {})
    if dead:
        record = msgspec.structs.replace(record, start_time=1.0)
    run.process.write_bytes(msgspec.json.encode(record))


def write(run: RunDir, *told: events.Event) -> None:
    with run.events.open("ab") as file:
        for event in told:
            event.t = time.time()
            file.write(events.encode(event))


def trained(run: RunDir, steps: int = 3) -> None:
    write(
        run,
        events.Phase(name="loading_model"),
        events.RunStarted(run_id=run.id, total_steps=40),
        events.Eval(step=0, loss=3.25, rows=4),
        events.Phase(name="training"),
        *(
            events.Step(step=n, loss=3.0 / n, learning_rate=2e-4, tokens=50, step_s=0.5)
            for n in range(1, steps + 1)
        ),
    )


def watch(run: RunDir, *more: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [CLI, "watch", run.id, "--plain", *more],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=20,
        env={**os.environ, **environment},
    )


class Following:
    """A follower in a thread: what it printed, and its last status."""

    def __init__(self, run: RunDir) -> None:
        self.lines: list[str] = []
        self.status: Status | None = None
        self._follower = plain.Follower(run, self.lines.append)
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def _follow(self) -> None:
        self.status = self._follower.follow()

    def until(self, word: str) -> str:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            for line in list(self.lines):
                if word in line:
                    return line
            time.sleep(0.02)
        raise AssertionError(f"{word!r} was not printed: {self.lines}")

    def end(self) -> Status:
        self._thread.join(10)
        assert self.status is not None, "it still follows"
        return self.status


@pytest.mark.parametrize(
    ("status", "code"), [("finished", 0), ("stopped", 0), ("paused", 0), ("failed", 1)]
)
def test_the_exit_code_tells_how_the_run_ended(run, status, code):
    trained(run)
    write(run, events.RunFinished(status=status, reason="because", remedy="do this", step=3))
    trainer(run, dead=True)

    seen = watch(run)

    assert seen.returncode == code
    assert seen.stderr == b""
    (line,) = seen.stdout.decode().splitlines()
    assert line.startswith(status.upper() + " ")
    assert "step 3/40" in line
    assert "because" in line and "do: do this" in line


def test_a_crashed_run_is_told_with_cause_and_remedy_and_exits_with_1(run):
    trained(run)
    run.log.write_text("Killed by the kernel\n")
    (run.checkpoints / "step-2").mkdir(parents=True)
    trainer(run, dead=True)

    seen = watch(run)

    assert seen.returncode == 1
    (line,) = seen.stdout.decode().splitlines()
    assert line.startswith("CRASHED ")
    assert "step 2" in line and "Killed by the kernel" in line and "resume" in line


@pytest.mark.parametrize("term", ["xterm-256color", "dumb"])
def test_plain_output_has_no_escape_byte_whatever_a_run_contains(run, term):
    evil = "\x1b[31mred\x1b[0m \x1b]0;title\x07 \x9b2J\r\n[bold]x[/bold]"
    trained(run)
    write(
        run,
        events.Warning_(code="w", message=evil, remedy=evil),
        events.RunFinished(status="failed", reason=evil, remedy=evil, step=3),
    )
    trainer(run, dead=True)

    seen = watch(run, TERM=term, FORCE_COLOR="1", CLICOLOR_FORCE="1")

    assert not {0x1B, 0x07, 0x0D} & set(seen.stdout + seen.stderr)
    text = seen.stdout.decode()
    assert "\x9b" not in text
    assert "[bold]x[/bold]" in text, "markup is text, not eaten"
    assert len(text.splitlines()) == 1


def test_every_change_is_one_line_whose_first_word_is_the_state(run, monkeypatch):
    monkeypatch.setattr(plain, "POLL_S", 0.02)
    trainer(run)
    write(run, events.Phase(name="loading_model"))
    following = Following(run)
    following.until("PREPARING")
    trained(run)
    following.until("RUNNING")
    write(run, events.Phase(name="evaluating", done=2, total=8, unit="rows"))
    assert "2/8 rows" in following.until("EVALUATING")
    write(run, events.Eval(step=3, loss=1.5), events.Phase(name="saving"))
    following.until("evaluation after step 3: loss 1.5")
    following.until("SAVING")
    write(run, events.Checkpoint(step=3, path="p", bytes=3 << 20, elapsed_s=0.1))
    following.until("checkpoint 3 saved (3.0 MiB)")
    write(run, events.Phase(name="training"), events.Warning_(code="c", message="it is odd"))
    following.until("warning: it is odd")
    write(run, events.Control(id="a", command="stop", by="ada uid 7", outcome="accepted"))
    following.until("STOPPING")
    write(run, events.Control(id="a", command="stop", by="ada uid 7", outcome="done"))
    following.until("stop by ada uid 7: done")
    write(run, events.RunFinished(status="stopped", reason="asked by ada", step=3))

    assert following.end().word == "stopped"
    last = following.lines[-1]
    assert "STOPPED" in last and "at step 3, no checkpoint is there; asked by ada" in last
    assert f"do: `sft-tui resume {run.id}` starts again from step 0" in last
    assert all(line.split()[0] in WORDS for line in following.lines)
    assert not [line for line in following.lines if "\n" in line]
    pairs = zip(following.lines, following.lines[1:], strict=False)
    assert all(line != after for line, after in pairs), "nothing is told twice"


def test_progress_within_one_state_is_not_a_line_per_step(run, monkeypatch):
    monkeypatch.setattr(plain, "POLL_S", 0.01)
    trainer(run)
    trained(run)
    following = Following(run)
    following.until("RUNNING")
    for index in range(4, 34):
        write(run, events.Step(step=index, loss=1.0, step_s=0.1, tokens=5))
        time.sleep(0.01)
    write(run, events.RunFinished(status="finished", step=33))
    following.end()

    assert len([line for line in following.lines if line.startswith("RUNNING")]) == 1
    assert "step 33/40" in following.lines[-1]


def test_what_happened_before_watching_is_not_told_again(run):
    trained(run)
    write(run, events.Warning_(code="c", message="an old warning"))
    write(run, events.RunFinished(status="finished", step=3))
    trainer(run, dead=True)

    lines = watch(run).stdout.decode().splitlines()

    assert len(lines) == 1
    assert "eval 3.25 at 0" in lines[0]


def test_the_child_that_trains_is_reaped_while_it_is_followed(run):
    child = subprocess.Popen(["sleep", "60"])
    record = msgspec.structs.replace(
        process.this_process("local", ["x"], {}),
        pid=child.pid,
        start_time=process.start_time(child.pid),
    )
    run.process.write_bytes(msgspec.json.encode(record))
    trained(run)
    child.kill()

    status = plain.Follower(run, lambda line: None, child.poll).follow()

    assert status.word == "crashed"
    assert not Path(f"/proc/{child.pid}").exists()


def test_watch_with_json_prints_the_events_as_they_stand(run):
    trained(run)
    write(run, events.Step(step=4, loss=float("nan")), events.RunFinished(status="finished"))
    trainer(run, dead=True)

    seen = watch(run, "--json")

    assert seen.returncode == 0
    assert seen.stdout == run.events.read_bytes()
    assert [json.loads(line)["type"] for line in seen.stdout.splitlines()][-1] == "run_finished"


def test_a_run_without_events_yet_is_one_line(run):
    assert plain.progress_line(Status("preparing"), History(), None) == "PREPARING"


@pytest.mark.parametrize("ended", [True, False], ids=["stopped", "crashed"])
def test_figures_of_an_earlier_start_are_said_to_be_so_until_the_next_one_trains(
    run, capsys, ended
):
    trained(run)
    if ended:
        write(run, events.RunFinished(status="stopped", step=3))
    write(run, events.Phase(name="loading_model"))
    trainer(run)
    assert show(argparse.Namespace(run=run.id, runs=None, json=False)) == 0
    said = capsys.readouterr().out
    assert "before       step 3 of 40, loss 1;" in said and "loss         –" in said
    history = read_history(run.events)
    line = plain.progress_line(status_of(run), history, None)
    assert line == "PREPARING  loading model  before: step 3 of 40, loss 1"
    history.add(events.RunStarted(run_id=run.id, total_steps=40, resumed_from_step=2))
    assert "step 2/40" in plain.progress_line(Status("preparing"), history, None)


def test_unknown_numbers_are_dashes_and_those_not_finite_are_named():
    assert number(None) == "–"
    assert number("NaN") == "NaN"
    assert number(float("inf")) == "Infinity"
    assert number(1.23456) == "1.235"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00:00"), (59.6, "0:01:00"), (3661, "1:01:01"), (90000, "25:00:00")]
)
def test_a_span_of_time_is_hours_minutes_and_seconds(seconds, text):
    assert clock(seconds) == text


def test_the_time_left_says_that_it_measures_until_ten_steps():
    history = History()
    history.add(events.RunStarted(run_id="r", total_steps=40))
    for index in range(1, 8):
        history.add(events.Step(step=index, step_s=2.0))
    assert time_left(Status("running"), history, None) == "measuring 7/10"

    for index in range(8, 11):
        history.add(events.Step(step=index, step_s=2.0))
    assert time_left(Status("running"), history, None) == "0:01:00"


@pytest.mark.parametrize("word", ["stopping", "stalled", "finished", "crashed"])
def test_no_time_is_left_where_no_step_is_to_come(word):
    assert time_left(Status(word), History(), None) == "–"


def test_a_download_is_told_in_mebibytes():
    phase = events.Phase(name="downloading", done=3 << 19, total=5 << 20, unit="bytes")
    assert amount(phase) == " 1.5/5.0 MiB"
    assert amount(events.Phase(name="saving")) == amount(None) == ""


def test_a_rule_of_health_is_told_when_it_fires_and_when_it_is_over(run, monkeypatch):
    monkeypatch.setattr(plain, "QUIET_S", 0.0)
    told: list[str] = []
    trainer(run)
    trained(run, 30)
    write(run, events.Step(step=31, loss=float("nan"), tokens=50, step_s=0.5))
    follower = plain.Follower(run, told.append)

    def look() -> list[str]:
        told.clear()
        follower._read()
        follower._tell_health(status_of(run))
        return [line for line in told if "health" in line]

    (nan,) = look()
    assert nan.startswith("RUNNING health: error nan: Loss became NaN at step 31.")
    assert "lower learning rate" in nan and not look()
    write(run, *(events.Step(step=n, loss=1.0, tokens=50, step_s=0.5) for n in range(32, 232)))
    assert "RUNNING health: nan is over" in look()
