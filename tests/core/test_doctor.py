"""What the doctor says of optional packages and of the terminal, and whom it names."""

import getpass
import importlib.metadata

import pytest

from sft_tui.core import doctor, terminal


def only(monkeypatch, **installed: str) -> None:
    """Makes these the only packages of this Python."""

    def version(name: str) -> str:
        if name not in installed:
            raise importlib.metadata.PackageNotFoundError(name)
        return installed[name]

    monkeypatch.setattr(importlib.metadata, "version", version)


def test_missing_optional_packages_are_no_fault_and_named_with_what_brings_them(monkeypatch):
    only(monkeypatch, wandb="0.30.0", **{"mlflow-skinny": "3.17.2"})
    check = doctor._optional()

    assert check.state == "ok"
    assert check.found == (
        "wandb 0.30.0, mlflow 3.17.2, not installed: tensorboard, trackio, bitsandbytes"
    )
    assert check.remedy == "" and "pip install 'sft-tui[tensorboard,trackio,qlora]'" in check.note
    assert doctor.report([check]).count("do:") == 0 and "note: pip install" in doctor.report(
        [check]
    )


def test_where_all_are_there_nothing_is_asked_for(monkeypatch):
    names = ("wandb", "tensorboard", "trackio", "mlflow", "bitsandbytes")
    only(monkeypatch, **dict.fromkeys(names, "1.0"))

    assert doctor._optional().note == ""
    assert "not installed" not in doctor._optional().found


@pytest.fixture
def tmux(tmp_path, monkeypatch):
    """A tmux that says what the test wants; None is one that fails."""

    def says(text: str | None) -> None:
        script = tmp_path / "tmux"
        script.write_text("#!/bin/sh\n" + ("exit 1\n" if text is None else f"echo '{text}'\n"))
        script.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
        monkeypatch.setenv("TMUX", "/tmp/x,1,0")

    return says


@pytest.mark.parametrize(
    ("text", "state", "told"),
    [
        ("3.4 500", "warn", "tmux 3.4, escape-time 500 ms: so long Esc is held back"),
        ("3.5a 10", "ok", "tmux 3.5a, escape-time 10 ms"),
        (None, "warn", "does not answer"),
        ("\033[31m3.4", "warn", "does not answer"),
    ],
)
def test_a_tmux_that_holds_back_escape_is_told_with_what_mends_it(tmux, text, state, told):
    tmux(text)
    check = doctor.looks()["tmux"]()

    assert (check.state, check.found) == (state, told)
    assert bool(check.remedy) == (state == "warn")


def test_outside_of_tmux_nothing_is_said_of_it(monkeypatch):
    monkeypatch.delenv("TMUX", raising=False)

    assert "tmux" not in doctor.looks()


@pytest.mark.parametrize(
    ("environ", "found", "mends"),
    [
        ({"TERM": "xterm-256color", "COLORTERM": "truecolor"}, "truecolor", ""),
        ({"TERM": "xterm-256color"}, "256, by TERM and COLORTERM", "COLORTERM=truecolor"),
        ({"TERM": "xterm"}, "16, by TERM and COLORTERM", "COLORTERM=truecolor"),
        ({"TERM": "xterm", "NO_COLOR": ""}, "none: NO_COLOR is set", ""),
    ],
)
def test_colours_are_told_as_the_environment_promises_them(monkeypatch, environ, found, mends):
    for name in ("TERM", "COLORTERM", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    check = doctor.looks()["colours"]()

    assert check.state == "ok" and check.found == found and mends in check.note


def test_a_small_terminal_is_told_and_none_is_no_fault(monkeypatch):
    monkeypatch.setattr(terminal, "size", lambda: (60, 18))
    check = doctor.looks()["size"]()
    assert check.state == "warn" and check.found == "60×18" and "80×24" in check.remedy

    monkeypatch.setattr(terminal, "size", lambda: None)
    assert doctor.looks()["size"]().state == "ok"


def test_characters_are_shown_to_be_looked_at(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("LC_ALL", "C")
    check = doctor.looks()["characters"]()
    assert check.state == "warn" and "UTF-8" in check.remedy

    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    check = doctor.looks()["characters"]()
    assert check.state == "ok" and "⣀⡠⠔⠊⠉" in check.found and not check.remedy


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("/home/ada/runs: writable", "~/runs: writable"),
        ("/home/ada", "~"),
        ("/home/adam/x and ada's", "/home/adam/x and ada's"),
        ("/data/ada/runs", "/data/USER/runs"),
        ("hf_abcdefghijklmnop was refused", "hf_*** was refused"),
    ],
)
def test_what_is_found_names_nobody(monkeypatch, text, told):
    monkeypatch.setenv("HOME", "/home/ada")
    monkeypatch.setattr(getpass, "getuser", lambda: "ada")
    monkeypatch.setattr(doctor, "_torch", lambda: doctor.Check("torch", "ok", text, text))
    check = doctor.looks()["torch"]()

    assert check.found == check.remedy == told
