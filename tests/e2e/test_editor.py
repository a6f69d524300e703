"""The draft in an editor of a real terminal."""

import pytest

from tests.e2e.terminal import CLI, Terminal

pytestmark = pytest.mark.e2e


@pytest.fixture
def terminal(tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "draft.json").write_text('{"step": "configure"}')
    terminal = Terminal(tmp_path, tmp_path / "home", 100, 30)
    yield terminal
    terminal.close()


def test_an_invalid_text_does_not_replace_the_draft(terminal, tmp_path):
    """U25"""
    script = tmp_path / "editor"
    script.write_text(
        "#!/bin/sh\necho EDITING >&2\nread key\nsed -i 's/rank: 16/rank: '$key'/' \"$1\"\n"
    )
    script.chmod(0o755)
    terminal.begin("env", f"VISUAL={script}", CLI)
    terminal.sees("No runs yet")
    terminal.keys("2")
    terminal.sees("[Configure]", "Rank")
    terminal.keys("e")
    terminal.sees("EDITING")
    terminal.types("0")
    terminal.keys("Enter")
    terminal.sees("The text has 1 problem", "method.rank must be a whole number")
    assert "rank" not in (tmp_path / "home" / "draft.json").read_text()
    terminal.keys("Escape")
    terminal.sees("[Configure]", "The text is kept")
    terminal.keys("q", "q")
    terminal.until(lambda: "sft-tui" not in terminal.screen() or "$" in terminal.screen(), "shell")


def test_a_valid_text_becomes_the_draft_and_ctrl_c_ends_the_editor_alone(terminal, tmp_path):
    script = tmp_path / "editor"
    script.write_text(
        "#!/bin/sh\ntrap 'exit 3' INT\necho EDITING >&2\nread key\n"
        "sed -i 's/rank: 16/rank: '$key'/' \"$1\"\n"
    )
    script.chmod(0o755)
    terminal.begin("env", f"VISUAL={script}", CLI)
    terminal.sees("No runs yet")
    terminal.keys("2")
    terminal.sees("[Configure]", "Rank")
    terminal.keys("e")
    terminal.sees("EDITING")
    terminal.keys("C-c")
    terminal.sees("the editor ended with")
    terminal.keys("e")
    terminal.sees("EDITING")
    terminal.types("8")
    terminal.keys("Enter")
    terminal.sees("The draft is as the text says.")
    draft = tmp_path / "home" / "draft.json"
    terminal.until(lambda: '"rank":8' in draft.read_text(), "the draft on the disk")
