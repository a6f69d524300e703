"""The draft in the user's own editor: taken whole, or refused with every line and kept."""

import contextlib
import stat

import pytest

from sft_tui.tui.app import SftApp
from sft_tui.tui.screens.new.configure.yaml_editor import Wrong


@pytest.fixture
def editor(tmp_path, monkeypatch):
    """Sets $EDITOR to a script; it gets the file as its last argument."""
    monkeypatch.setattr(SftApp, "suspend", lambda self: contextlib.nullcontext())
    monkeypatch.delenv("VISUAL", raising=False)

    def script(body: str, *arguments: str) -> None:
        path = tmp_path / "an editor"
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("EDITOR", " ".join([f"'{path}'", *arguments]))

    return script


def on(drive, step, scenario, size=(120, 36)):
    async def whole(eyes):
        eyes.app.show_step(step)
        await eyes.pilot.pause()
        await scenario(eyes)

    drive(whole, size, mode="new")


@pytest.mark.parametrize("step", ["models", "data", "preview", "configure", "review"])
def test_the_draft_is_edited_on_every_step(drive, editor, step):
    editor("sed -i 's/rank: 16/rank: 8/' \"$1\"")

    async def scenario(eyes):
        eyes.app.drafts.set("model.name", "acme/m")
        await eyes.press("e")
        await eyes.sees("The draft is as the text says.")
        draft = eyes.app.drafts.draft
        assert draft.value("method.rank") == 8 and draft.value("model.name") == "acme/m"
        assert draft.missing() == ["data"]
        assert draft.undo() and draft.value("method.rank") == 16

    on(drive, step, scenario)


def test_the_editor_sees_comments_and_its_arguments_without_a_shell(drive, editor, tmp_path):
    editor(f"echo \"$1\" > '{tmp_path}/first'; cp \"$2\" '{tmp_path}/text'", "'$(touch pwned); x'")

    async def scenario(eyes):
        await eyes.press("e")
        await eyes.sees("Nothing was changed in the editor.")

    on(drive, "configure", scenario)
    assert (tmp_path / "first").read_text() == "$(touch pwned); x\n"
    text = (tmp_path / "text").read_text()
    assert "# Peak learning rate. [> 0 and ≤ 1]" in text and "rank: 16" in text


@pytest.mark.parametrize("size", [(80, 24), (160, 45)])
def test_an_invalid_text_does_not_replace_the_draft_and_is_kept(drive, editor, size):
    """U25"""

    async def scenario(eyes):
        eyes.app.drafts.set("save.keep", 5)
        before = eyes.app.drafts.draft.content
        editor("sed -i 's/rank: 16/rank: -3\\n  rnk: 4/' \"$1\"")
        await eyes.press("e")
        await eyes.sees("The text has 2 problems; the draft is as it was.")
        await eyes.sees("method.rank must be a whole number")
        await eyes.sees("method.rnk is not a key")
        assert "✗ line " in eyes.text()
        assert eyes.app.drafts.draft.content == before
        await eyes.press("escape")
        await eyes.sees("The text is kept: e opens it again.")
        editor("sed -i 's/rank: -3/rank: 4/' \"$1\"")  # the text of before, half mended
        await eyes.press("e")
        await eyes.sees("The text has 1 problem")
        editor("sed -i '/rnk/d' \"$1\"")
        await eyes.press("enter")
        await eyes.sees("The draft is as the text says.")
        draft = eyes.app.drafts.draft
        assert draft.value("method.rank") == 4 and draft.value("save.keep") == 5

    on(drive, "configure", scenario, size)


def test_a_refused_text_can_be_thrown_away(drive, editor):
    async def scenario(eyes):
        editor("echo 'model: [' > \"$1\"")
        await eyes.press("e")
        await eyes.sees("The text has 1 problem", "line 2, column 1")
        await eyes.press("D")
        await eyes.sees("The text was thrown away")
        editor("true")
        await eyes.press("e")
        await eyes.sees("Nothing was changed in the editor.")

    on(drive, "configure", scenario)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("/no/such/editor", "/no/such/editor cannot be started"),
        ("'unbalanced", "$EDITOR is no command"),
        ("false", "the editor ended with 1: so nothing was taken"),
    ],
)
def test_an_editor_that_fails_is_told_and_changes_nothing(
    drive, editor, monkeypatch, command, said
):
    monkeypatch.setenv("EDITOR", command)

    async def scenario(eyes):
        before = eyes.app.drafts.draft.content
        await eyes.press("e")
        await eyes.sees(said)
        assert eyes.app.drafts.draft.content == before

    on(drive, "configure", scenario)


def test_visual_comes_first_then_editor_then_what_is_there(monkeypatch):
    from sft_tui.core.errors import UsageError
    from sft_tui.tui import editor

    monkeypatch.setenv("VISUAL", "code --wait")
    monkeypatch.setenv("EDITOR", "ed")
    assert editor.command() == ["code", "--wait"]
    monkeypatch.setenv("VISUAL", " ")
    assert editor.command() == ["ed"]
    monkeypatch.delenv("EDITOR")
    monkeypatch.setattr(editor.shutil, "which", lambda name: name == "nano")
    assert editor.command() == ["nano"]
    monkeypatch.setattr(editor.shutil, "which", lambda name: None)
    with pytest.raises(UsageError, match="no editor"):
        editor.command()


@pytest.mark.parametrize("body", ["printf '\\377\\376' > \"$1\"", 'rm "$1"'])
def test_what_is_no_text_is_told(drive, editor, body):
    editor(body)

    async def scenario(eyes):
        await eyes.press("e")
        await eyes.sees("what the editor left cannot be read")

    on(drive, "configure", scenario)


def test_a_terminal_that_cannot_be_lent_is_told(drive, monkeypatch):
    monkeypatch.setenv("EDITOR", "true")

    async def scenario(eyes):
        await eyes.press("e")
        await eyes.sees("the editor cannot be opened here")
        assert not isinstance(eyes.app.screen, Wrong)

    on(drive, "configure", scenario)
