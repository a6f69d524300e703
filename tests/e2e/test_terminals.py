"""Terminals of several kinds, driven through tmux: keys arrive, and all that is drawn can be."""

import getpass
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sft_tui.core import config_file, events
from sft_tui.core.rundir import RunDir
from sft_tui.tui.keys import FORBIDDEN, KEYS
from tests.e2e.terminal import CLI, Terminal

PROBE = """
import sys
from textual.app import App

class Probe(App):
    ENABLE_COMMAND_PALETTE = False

    def on_mount(self):
        self.note("ready")

    def on_key(self, event):
        self.note(event.key)

    def note(self, text):
        with open(sys.argv[1], "a") as file:
            file.write(text + "\\n")

Probe().run()
"""
NAMES = {
    "enter": "Enter", "escape": "Escape", "tab": "Tab", "shift+tab": "BTab", "pageup": "PgUp",
    "pagedown": "PgDn", "home": "Home", "end": "End", "left": "Left", "right": "Right",
    "up": "Up", "down": "Down", "space": "Space", "f1": "F1", "f2": "F2", "f5": "F5",
    "shift+left": "S-Left", "shift+right": "S-Right", "colon": ":", "question_mark": "?",
    "greater_than_sign": ">", "less_than_sign": "<", "left_square_bracket": "[",
    "right_square_bracket": "]", "slash": "/", "comma": ",", "full_stop": ".", "plus": "+",
    "minus": "-", "number_sign": "#", "asterisk": "*", "equals_sign": "=",
}  # fmt: skip
"""What tmux calls a key, by what the application calls it."""
EVERYWHERE = ("left", "right", "up", "down", "space", "comma", "full_stop", "plus", "minus",
              "number_sign", "asterisk", "slash", *"0123456789", *"abcdefghijklmnopqrstuvwxyz",
              *"BDEHJKLMNORTG")  # fmt: skip


@pytest.fixture
def terminal(tmp_path):
    opened = Terminal(tmp_path, tmp_path / "home", 100, 30)
    yield opened
    opened.close()


def in_tmux(key: str) -> str:
    if key.startswith("ctrl+"):
        return f"C-{key[5:]}"
    return NAMES.get(key, key)


def test_keys_stay_in_order_after_the_process_stood_still(terminal):
    terminal.begin(CLI)
    terminal.sees("Runs")
    (app,) = terminal.children()
    threads = app.num_threads()
    stops = 6
    for _ in range(stops):
        app.suspend()
        terminal.sees("Stopped")
        terminal.types("fg")
        terminal.tmux("send-keys", "Enter")
        terminal.until(lambda: "Stopped" not in terminal.screen(), "the application")
        terminal.sees("2 New", "Welcome", "? Help")
    # Threads that look at the disk come and go; one more reader for each stop would stay.
    terminal.until(lambda: app.num_threads() < threads + stops, "no reader for each stop")
    time.sleep(1)  # what is typed while the terminal is taken back is dropped
    terminal.tmux("send-keys", ":")
    terminal.sees("Commands", "a setting")
    terminal.types("the quick brown fox jumps over the lazy dog, then the next one")
    terminal.sees("the quick brown fox jumps over the lazy dog, then the next one")


def test_every_key_arrives_in_tmux(terminal, tmp_path):
    """U62"""
    log = tmp_path / "keys"
    declared = {each for key in KEYS for each in key.keys} - FORBIDDEN
    keys = sorted(declared | set(EVERYWHERE))
    terminal.begin("env", "TERM=tmux-256color", sys.executable, "-c", PROBE, log)
    terminal.until(lambda: log.exists(), "the probe")

    for key in keys:
        terminal.tmux("send-keys", in_tmux(key))
        terminal.until(lambda: log.read_text().split()[-1] == key, f"{key} arriving")  # noqa: B023

    assert log.read_text().split()[1:] == keys


def ended_run(home: Path) -> RunDir:
    run = RunDir(home / "runs" / "20260102-030405-tiny-rows-0a01")
    run.path.mkdir(parents=True)
    run.config.write_text(config_file.to_yaml(config_file.build(preset="demo")))
    told: list[events.Event] = [
        events.RunStarted(run_id=run.id, total_steps=9, train_rows=9, device="cpu", dtype="bf16"),
        *(
            events.Step(
                step=n, loss=1 + 2 / n, learning_rate=1e-4, grad_norm=0.5, tokens=9, step_s=0.1
            )
            for n in range(1, 10)
        ),
        events.Eval(step=9, loss=1.5, elapsed_s=1.0),
        events.RunFinished(status="finished", step=9),
    ]
    for event in told:
        event.t = 1_700_000_000.0
    run.events.write_bytes(b"".join(map(events.encode, told)))
    return run


@pytest.mark.parametrize(
    "environ",
    [
        ("TERM=linux",),
        pytest.param(("LC_ALL=", "LANG=C"), marks=pytest.mark.soak),
        pytest.param(("LC_ALL=C",), marks=pytest.mark.soak),
    ],
    ids=" ".join,
)
def test_a_terminal_without_other_glyphs_gets_ascii(terminal, tmp_path, environ):
    """U66"""
    ended_run(tmp_path / "home")
    terminal.begin("env", *environ, CLI)
    terminal.sees("+ FINISHED", "[1 Runs]")
    for keys, texts in (
        (("Enter",), ("[3 Monitor]", "loss 1.222")),
        (("?",), ("Help", "Earlier lines of the tab")),
        (("Escape",), ("Log Samples Config",)),
        ((":",), ("Commands", "Next metric")),
        (("Escape",), ("Log Samples Config",)),  # Esc and a key at once would be Alt and that key
        (("2",), ("[2 New]",)),
    ):
        terminal.keys(*keys)
        terminal.sees(*texts)
        assert terminal.screen().isascii(), {c for c in terminal.screen() if ord(c) > 127}


@pytest.mark.skipif(os.environ.get("NO_COLOR") is not None, reason="tests colours")
@pytest.mark.parametrize(
    ("environ", "bits"), [(("TERM=screen",), "16"), (("TERM=tmux-256color",), "256")]
)
def test_the_colours_are_those_that_the_terminal_has(terminal, tmp_path, environ, bits):
    ended_run(tmp_path / "home")
    terminal.begin("env", "-u", "COLORTERM", *environ, CLI)
    terminal.sees("FINISHED")

    coloured = terminal.tmux("capture-pane", "-p", "-e")

    assert ("38;5;" in coloured or "48;5;" in coloured) == (bits == "256")
    assert "38;2;" not in coloured


def test_system_and_the_doctor_agree_item_by_item(terminal, tmp_path):
    """U70"""
    said, copied = tmp_path / "doctor.json", tmp_path / "home" / "copied.txt"
    run = f"HF_HUB_OFFLINE=1 HF_TOKEN=hf_abcdefghijklmnop {CLI}"
    terminal.begin("sh", "-c", f"{run} doctor --json > {said}; {run}")
    terminal.sees("No runs yet", within_s=60)
    terminal.keys("6")
    terminal.sees("▌6 System▐", "y copies the report", within_s=60)
    terminal.keys("y")
    terminal.until(copied.exists, "the report")

    def plain(text: str) -> list[str]:
        """Numbers such as of free memory change; padding is of no matter."""
        return re.sub(r"[0-9.]+", "0", text).split()

    checks, report = json.loads(said.read_text())["checks"], copied.read_text()
    marks = {"ok": "✓", "warn": "!", "fail": "✗"}
    expected = [
        f"{marks[each['state']]} {each['name']} {each['found']}"
        + (f" do: {each['remedy']}" if each["remedy"] else "")
        + (f" note: {each['note']}" if each["note"] else "")
        for each in checks
    ]
    assert plain(report) == plain(" ".join(expected))
    names = {each["name"]: each["found"] for each in checks}
    assert names["size"] == "100×30" and "escape-time" in names["tmux"]
    assert "hf_abc" not in report + said.read_text()
    assert not re.search(rf"/{re.escape(getpass.getuser())}\b", report)


def test_the_application_ends_with_a_terminal_that_sends_no_signal(tmp_path):
    """As where it was started by what made no session for it: else it would read for ever."""
    leader, follower = os.openpty()
    given = {**os.environ, "TERM": "xterm-256color", "SFT_TUI_HOME": str(tmp_path)}
    application = subprocess.Popen(
        [CLI], stdin=follower, stdout=follower, stderr=follower, env=given, start_new_session=True
    )
    os.close(follower)
    drawn = b""
    while b"Welcome" not in drawn:
        drawn += os.read(leader, 4096)
    os.close(leader)
    assert application.wait(10) == 129
