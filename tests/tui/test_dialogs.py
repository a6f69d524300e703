"""Dialogs whose answer depends on a disk: no key waits for it, and no answer comes too late."""

import threading

import pytest
from textual.events import Paste
from textual.widgets import Input

from sft_tui.tui.screens.dialogs import Ask


@pytest.fixture
def disk():
    """What a check waits for, at most for some seconds."""
    answers = threading.Event()
    yield answers
    answers.set()


def asking(eyes, disk: threading.Event, taken: list[str | None]) -> None:
    def check(text: str) -> str | None:
        assert disk.wait(20)
        return "Nothing is there." if text == "no" else None

    eyes.app.push_screen(Ask("Which folder?", check), taken.append)


def test_a_text_is_taken_when_the_disk_answers(drive, disk):
    taken: list[str | None] = []

    async def scenario(eyes):
        asking(eyes, disk, taken)
        await eyes.press("n", "o", "enter")
        await eyes.sees("The disk does not answer yet. Esc leaves.")
        await eyes.press("w")
        assert eyes.app.screen.query_one(Input).value == "now" and not taken
        disk.set()
        await eyes.sees("Nothing is there.")
        await eyes.press("enter")
        await eyes.until(lambda: taken == ["now"], why="the answer")

    drive(scenario)


def test_what_was_left_meanwhile_is_not_taken(drive, disk):
    taken: list[str | None] = []

    async def scenario(eyes):
        asking(eyes, disk, taken)
        await eyes.press("y", "enter")
        await eyes.sees("The disk does not answer yet. Esc leaves.")
        await eyes.press("escape")
        await eyes.until(lambda: taken == [None], why="the end of the dialog")
        disk.set()
        await eyes.pilot.pause(0.2)
        assert taken == [None]

    drive(scenario)


def test_the_box_and_a_refusal_are_in_sight_on_a_low_screen(drive):
    detail = "\n".join(f"What follows, number {n}." for n in range(20))

    async def scenario(eyes):
        eyes.app.push_screen(Ask("Delete it? " * 6, lambda _: "Type it. " * 12, detail))
        await eyes.sees("Delete it?", "number 0", "Enter take it")
        await eyes.press(*"zzz")
        await eyes.sees("zzz")
        await eyes.press("enter")
        await eyes.sees(("Type it. " * 12).strip(), "zzz")
        await eyes.press(*["down"] * 20)
        await eyes.sees("number 19", "zzz")

    drive(scenario, (40, 12))


def test_all_lines_of_a_pasted_text_are_taken(drive):
    async def scenario(eyes):
        eyes.app.push_screen(Ask("Note?", lambda _: None))
        await eyes.pilot.pause()
        eyes.app.post_message(Paste("one\ntwo\r\n\nthree\n"))
        box = eyes.app.screen.query_one(Input)
        await eyes.until(lambda: box.value == "one two three", why="the whole text")

    drive(scenario)
