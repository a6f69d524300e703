"""A push on a terminal goes on only for the repository's own name."""

import argparse
import io

import pytest

from sft_tui.core.errors import UsageError
from sft_tui.core.hub.push import Destination, Plan
from sft_tui.tui.commands import export
from sft_tui.tui.commands.confirm import confirmed

PLAN = Plan(
    Destination("alice/x", "http://hub/alice/x", "alice", True, False, {"README.md": 3, "a": 1}),
    {"README.md": 5, "model.safetensors": 7},
)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("typed", "goes_on"),
    [("alice/x\n", True), ("alice/y\n", False), ("y\n", False), ("\n", False), ("", False)],
)
def test_only_the_word_itself_confirms(monkeypatch, typed, goes_on):
    monkeypatch.setattr("sys.stdin", Terminal(typed))
    arguments = argparse.Namespace(yes=False, json=False)
    assert confirmed(arguments, "alice/x", "push", "pushed", "look") == goes_on


def test_json_is_never_asked(monkeypatch):
    monkeypatch.setattr("sys.stdin", Terminal("alice/x\n"))
    with pytest.raises(UsageError, match="nothing was pushed"):
        confirmed(argparse.Namespace(yes=False, json=True), "alice/x", "push", "pushed", "look")


def test_the_dry_run_says_who_will_see_it_and_what_is_replaced(capsys):
    export._show(PLAN, argparse.Namespace(json=False, public=False))
    said = capsys.readouterr().out
    assert "EVERYBODY" in said and "overwrites   README.md" in said and "1 other files" in said
    assert "2, 12 bytes" in said
