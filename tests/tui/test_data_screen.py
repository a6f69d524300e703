"""Data: every source is listed, mapped and shown as it comes out, and nothing holds up a key."""

import asyncio
import gc
import gzip
import json
import os
import time

import pytest
from textual.widgets import Input

from sft_tui.core import config_file
from sft_tui.core.data import found
from sft_tui.tui.screens.dialogs import Ask
from sft_tui.tui.screens.new.data import looks
from sft_tui.tui.screens.new.data.columns_editor import ColumnsEditor
from sft_tui.tui.screens.new.data.splits_dialog import SplitsDialog
from sft_tui.tui.screens.new.preview.screen import PreviewScreen

SIZES = [(80, 24), (160, 45)]
QA = [{"question": f"Where is {n}?", "answer": f"There, {n}."} for n in range(5)]
NESTED = [
    {"ask": {"q": f"What is {n}?"}, "answers": {"text": [f"It is {n}.", "no"]}} for n in range(4)
]
SHAPES = {
    "alpaca": {"instruction": "Add 1.", "output": "Two."},
    "squad": {"context": "Bern.", "question": "Where?", "answers": {"text": ["Bern."]}},
    "prompt_completion": {"prompt": "Where is Bern?", "completion": "In Switzerland."},
    "messages": {"messages": [{"role": "user", "content": "Hi"},
                              {"role": "assistant", "content": "Hello"}]},
    "sharegpt": {"conversations": [{"from": "human", "value": "Hi"},
                                   {"from": "gpt", "value": "Hello"}]},
    "text": {"text": "Once upon a time."},
}  # fmt: skip


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The folder that the application is started in."""
    place = tmp_path / "work"
    place.mkdir()
    monkeypatch.chdir(place)
    monkeypatch.setattr("sft_tui.tui.screens.new.data.looks.LOOK_PAUSE_S", 0.02)
    monkeypatch.setattr("sft_tui.tui.screens.new.data.looks.CHECK_PAUSE_S", 0.02)
    return place


def write(path, rows) -> str:
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows))
    return str(path)


def source_of(eyes) -> dict:
    return eyes.app.drafts.draft.value("data.sources.0")


async def mapping(eyes) -> None:
    """Shows the mapping, which is a tab of its own on a narrow screen."""
    if eyes.app.size.width < 100:
        await eyes.press("tab")


async def typed(eyes, text: str) -> None:
    for letter in text:
        names = {".": "full_stop", "/": "slash", "[": "left_square_bracket", " ": "space",
                 "]": "right_square_bracket", "%": "percent_sign", ":": "colon"}  # fmt: skip
        await eyes.press(names.get(letter, letter))


@pytest.mark.parametrize("size", SIZES)
def test_enter_takes_the_only_file_and_goes_on(drive, folder, size):
    """U2"""
    path = write(folder / "support.jsonl", QA)

    async def scenario(eyes):
        await eyes.press("enter")  # before anything was read
        await eyes.until(lambda: isinstance(eyes.app.screen, PreviewScreen), why="Preview")
        assert source_of(eyes)["source"] == path
        assert eyes.app.drafts.draft.missing() == ["model"]
        assert eyes.app.drafts.draft.values == {"data": {"sources": [{"source": path}]}}
        await eyes.press("less_than_sign")
        await eyes.sees("✓", "support.jsonl")
        await eyes.until(lambda: found.recent(), why="a path used lately")

    drive(scenario, size, mode="data")
    assert [each.source for each in found.recent()] == [path]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_is_mapped_without_a_key(drive, folder, shape, size):
    """U19"""
    write(folder / "rows.jsonl", [SHAPES[shape]] * 3)

    async def scenario(eyes):
        await mapping(eyes)
        await eyes.sees(f"{shape} (sure: ", "all 3 rows can be used", "train · 3 rows · seed 42")
        await eyes.sees("5 % of the rows", "row 0 1 of 3 looked at")

    drive(scenario, size, mode="data")


@pytest.mark.parametrize("size", SIZES)
def test_a_bad_row_is_told_with_line_and_column_and_the_others_load(drive, folder, size):
    """U18"""
    write(folder / "rows.jsonl", [QA[0], '{"question": "a" "answer": "b"}', QA[1]])

    async def scenario(eyes):
        await eyes.sees("1 of 3 rows: row 1 (line 2, column 18)")
        await mapping(eyes)
        await eyes.sees("1 of all 3 rows cannot be used", "Where is 0?")
        await eyes.press("right_square_bracket", "right_square_bracket")
        await eyes.sees("row 2", "Where is 1?")
        await eyes.press("w")
        await eyes.sees("Rows with a problem: 1")
        await eyes.press("enter")
        await eyes.sees("row 1 2 of 3 looked at")
        await eyes.press("left_square_bracket")
        await eyes.sees("row 0 1 of 3")

    drive(scenario, size, mode="data")


def test_a_bad_row_far_behind_is_found_by_the_pass_over_all(drive, folder):
    write(folder / "rows.jsonl", [*QA * 60, "no json", *QA])

    async def scenario(eyes):
        await eyes.sees("1 of all 306 rows cannot be used", "row 300 (line 301, column 1)")
        assert " w Problems " in eyes.footer
        await eyes.press("w", "enter")
        assert "row 300 (line 301" in eyes.notice

    drive(scenario, mode="data")


@pytest.mark.parametrize("size", SIZES)
def test_data_that_nobody_knows_stays_until_its_columns_are_chosen(drive, folder, size):
    """U20"""
    write(folder / "rows.jsonl", NESTED)

    async def scenario(eyes):
        await eyes.press("enter")
        await eyes.sees("no column looks like a question and an answer (columns: ask, answers)")
        await eyes.sees("Press c")
        assert eyes.app.drafts.draft.missing() == ["model", "data"]
        await eyes.press("c")
        await eyes.sees(
            "Roles prompt_completion", "no shape recognised", "answers.text[0]", "100 %"
        )
        await eyes.press("enter")
        await typed(eyes, "ask.q")
        await eyes.press("enter")
        await eyes.sees("it has no column", "0 of 4 rows")
        await eyes.press("enter")
        await typed(eyes, "answers.t")
        await eyes.press("down", "enter")
        await eyes.sees("What is 0?", "It is 0.", "4 of 4 rows can be used")
        await eyes.press("right_square_bracket")
        await eyes.sees("Result of row 1", "It is 1.")
        await eyes.press("escape")
        await eyes.until(lambda: len(eyes.app.screen_stack) == 1)
        await eyes.press("enter")
        await eyes.until(lambda: isinstance(eyes.app.screen, PreviewScreen), why="Preview")
        assert source_of(eyes)["columns"] == {"prompt": "ask.q", "completion": "answers.text[0]"}
        assert source_of(eyes)["shape"] == "prompt_completion"
        eyes.app.drafts.undo()
        assert eyes.app.drafts.draft.missing() == ["model", "data"]

    drive(scenario, size, mode="data")


def test_columns_of_known_data_can_be_changed_and_taken_back(drive, folder):
    write(folder / "rows.jsonl", [{**row, "short": f"S{n}"} for n, row in enumerate(QA)])

    async def scenario(eyes):
        await eyes.press("c")
        await eyes.sees("prompt_completion", "answer (detected)")
        await eyes.press("j", "enter")
        await typed(eyes, "short")
        await eyes.press("enter")
        await eyes.sees("assistant S0")
        await eyes.press("j", "d")
        await eyes.press("k", "k", "j", "d")
        await eyes.sees("assistant There, 0.")
        await eyes.press("s")
        await eyes.sees("Shape of the rows")
        await eyes.press("G", "down", "down", "enter")
        await eyes.press("u")
        await eyes.sees("prompt_completion", "assistant There, 0.")
        await eyes.press("escape")
        assert eyes.app.drafts.draft.missing() == ["model", "data"], "nothing was changed"

    drive(scenario, mode="data")


def test_a_shape_can_be_set_and_a_path_typed(drive, folder):
    write(folder / "rows.jsonl", NESTED)

    async def scenario(eyes):
        await eyes.press("c")
        await eyes.sees("no shape recognised")
        await eyes.press("s")
        await eyes.press("up", "enter")  # text is the last
        await eyes.sees("Roles text")
        await eyes.press("enter")
        await typed(eyes, "answers.text[1]")
        await eyes.sees("as typed")
        await eyes.press("enter")
        await eyes.sees("text no", "4 of 4 rows")
        await eyes.press("enter")
        await typed(eyes, "[[")
        await eyes.press("enter")
        await eyes.sees("No path is like that")
        await eyes.press("escape", "escape")
        await eyes.until(lambda: len(eyes.app.screen_stack) == 1)
        assert source_of(eyes)["shape"] == "text"
        assert source_of(eyes)["columns"] == {"text": "answers.text[1]"}

    drive(scenario, mode="data")


def test_a_list_that_is_not_there_yet_says_what_it_waits_for(drive, folder, monkeypatch):
    write(folder / "rows.jsonl", QA)
    held = asyncio.Event()
    refresh = looks.Looks.refresh

    async def later(self):
        await held.wait()
        await refresh(self)

    monkeypatch.setattr(looks.Looks, "refresh", later)

    async def scenario(eyes):
        await eyes.sees("[Data]", "Looking for data: files of this folder")
        held.set()
        await eyes.sees("rows.jsonl")
        assert "Looking for data" not in eyes.text()

    drive(scenario, (80, 24), mode="data")


def test_columns_with_which_no_row_can_be_used_are_not_left_unsaid(drive, folder):
    write(folder / "rows.jsonl", [{"question": "Where?", "answer": "Here.", "n": {"k": [1]}}] * 3)

    async def scenario(eyes):
        await eyes.press("c")
        await eyes.sees("3 of 3 rows")
        await eyes.press("enter")
        await typed(eyes, "n.k")
        await eyes.press("enter")
        await eyes.press("escape")
        await eyes.sees("0 of 3 rows", "No row can be used so.", "Esc leaves it so", "d detected")
        await eyes.press("k", "k", "d")
        await eyes.sees("3 of 3 rows", "Enter choose")
        await eyes.press("escape")
        await eyes.until(lambda: len(eyes.app.screen_stack) == 1, why="the screen")

    drive(scenario, (80, 24), mode="data")


def test_roles_of_turns_are_said_in_the_editor(drive, folder):
    turns = [{"role": "client", "content": "Hi"}, {"role": "bot", "content": "Hello"}]
    write(folder / "rows.jsonl", [{"messages": turns}] * 3)

    async def scenario(eyes):
        await eyes.press("enter")
        await eyes.sees("None of the rows can be used", "unknown roles: client, bot")
        await eyes.press("c")
        for lines, role in ((4, 1), (1, 2)):
            await eyes.press(*["j"] * lines, "enter")
            await eyes.sees("are the …")
            await eyes.press(*["down"] * role, "enter")
            await eyes.until(lambda: isinstance(eyes.app.screen, ColumnsEditor))
        await eyes.sees("user Hi", "assistant Hello", "3 of 3 rows")
        await eyes.press("escape")
        assert source_of(eyes)["roles"] == {"client": "user", "bot": "assistant"}
        await eyes.sees("client → user · bot → assistant")

    drive(scenario, mode="data")


@pytest.mark.parametrize("size", SIZES)
def test_splits_take_a_part_a_share_a_split_or_a_file(drive, folder, size):
    (folder / "both").mkdir()
    for name, count in (("train", 5), ("test", 2)):
        write(folder / "both" / f"{name}.jsonl", QA[:count])
    held = write(folder / "zheld.jsonl", QA[:3])

    async def answer(eyes, train, evaluation):
        await eyes.press("s")
        await eyes.until(lambda: isinstance(eyes.app.screen, SplitsDialog), why="the dialog")
        for box, text in (("#splits-train", train), ("#splits-eval", evaluation)):
            eyes.app.screen.query_one(box, Input).value = text
        await eyes.press("tab", "enter")

    async def scenario(eyes):
        await eyes.sees("both")
        await eyes.press("j")
        await answer(eyes, "train[:4]", "10 %")
        draft = eyes.app.drafts.draft
        assert source_of(eyes)["source"] == str(folder / "both")
        assert source_of(eyes)["split"] == "train[:4]"
        assert draft.value("data.eval_fraction") == 0.1
        await mapping(eyes)
        await eyes.sees("train[:4] · 4 rows", "10 % of the rows, about 1")
        await answer(eyes, "train", "test")
        assert draft.value("data.eval_split") == "test"
        assert draft.value("data.eval_fraction") == 0
        await eyes.sees("eval split test")
        await answer(eyes, "train", "zheld.jsonl")
        assert (draft.value("data.eval_source"), draft.value("data.eval_split")) == (held, None)
        await eyes.sees("eval split zheld.jsonl")
        await answer(eyes, "train", "none")
        await eyes.sees("eval split none")
        assert draft.problems() == []
        for train, evaluation, why in (
            ("dev", "5 %", "there is no split 'dev'"),
            ("train[", "5 %", "cannot be understood"),
            ("train", "120 %", "not between 0 and 100"),
            ("train", "gone.jsonl", "no share, no split and no file"),
        ):
            await answer(eyes, train, evaluation)
            await eyes.sees(why)
            assert isinstance(eyes.app.screen, SplitsDialog), "it stays open"
            await eyes.press("escape")
        assert draft.value("data.sources.0.split") == "train"

    drive(scenario, size, mode="data")


def test_evaluation_data_that_is_not_there_keeps_enter_from_going_on(drive, folder):
    path = write(folder / "rows.jsonl", QA)

    async def scenario(eyes):
        eyes.app.drafts.change(
            {"data.sources": [{"source": path}], "data.eval_source": str(folder / "gone.jsonl")}
        )
        await eyes.sees("✗ evaluation:", "no such file")
        await eyes.press("enter")
        await eyes.sees("Press s to choose.")
        assert not isinstance(eyes.app.screen, PreviewScreen)

    drive(scenario, mode="data")


def test_another_source_takes_its_own_settings_and_drops_the_others_evaluation(drive, folder):
    write(folder / "a.jsonl", QA)

    async def scenario(eyes):
        eyes.app.drafts.take(config_file.build(preset="demo"))
        await eyes.sees("✓ demo", "a.jsonl")
        await eyes.press("g", "enter")
        await eyes.until(lambda: isinstance(eyes.app.screen, PreviewScreen), why="Preview")
        assert source_of(eyes)["template"] == "auto"
        assert eyes.app.drafts.draft.value("data.eval_source") is None

    drive(scenario, mode="data")


def test_a_second_source_joins_the_mix_and_leaves_it(drive, folder):
    first, second = write(folder / "a.jsonl", QA), write(folder / "b.jsonl", QA)

    async def scenario(eyes):
        await eyes.sees("b.jsonl", "Where is 0?")
        await eyes.press("a", "j", "a")
        await eyes.sees("The data is a.jsonl + b.jsonl now.")
        sources = eyes.app.drafts.draft.value("data.sources")
        assert [each["source"] for each in sources] == [first, second]
        await eyes.press("a")
        await eyes.sees("The data is a.jsonl now.")

    drive(scenario, mode="data")


@pytest.mark.parametrize("size", SIZES)
def test_the_weight_of_a_source_of_several_is_set_by_a_key(drive, folder, size):
    write(folder / "a.jsonl", QA), write(folder / "b.jsonl", QA)

    async def scenario(eyes):
        await eyes.sees("b.jsonl")
        await eyes.press("a", "W")
        assert not isinstance(eyes.app.screen, Ask), "one source is no mix"
        await eyes.press("j", "a", "W")
        await eyes.sees("How often do the rows of b.jsonl come", "Now 1.")
        await eyes.press("0", "enter")
        await eyes.sees("Weight must be a number > 0")
        await eyes.press("backspace", *"0.5", "enter")
        await eyes.sees("The weight of b.jsonl is 0.5 now.")
        sources = eyes.app.drafts.draft.value("data.sources")
        assert [each["weight"] for each in sources] == [1.0, 0.5]
        await mapping(eyes)
        await eyes.sees("one of 2 · weight 0.5")
        eyes.app.show_step("configure")
        await eyes.press("A")
        eyes.app.screen.focus_field("data.sources")
        await eyes.sees("2 sources: a.jsonl, b.jsonl")

    drive(scenario, size, mode="data")


@pytest.mark.parametrize("size", SIZES)
def test_a_path_can_be_typed(drive, folder, tmp_path, size):
    path = write(tmp_path / "elsewhere.jsonl", QA)

    async def scenario(eyes):
        await eyes.sees("demo")
        await eyes.press("slash")
        await typed(eyes, "../elsewhere.jsonl")
        assert eyes.app.screen.sources.words.value == "../elsewhere.jsonl", "digits and letters"
        await eyes.press("enter")
        await eyes.sees("▸ elsewhere.jsonl")
        await eyes.press("enter")
        await eyes.until(lambda: isinstance(eyes.app.screen, PreviewScreen), why="Preview")
        assert source_of(eyes)["source"] == path
        await eyes.press("less_than_sign", "slash")
        await typed(eyes, "gone.jsonl")
        await eyes.press("enter", "enter")
        await eyes.sees("there is no such file")
        await eyes.press("slash", "a", "escape")
        await eyes.press("2")
        assert eyes.app.screen.scope == "data", "Esc gives the keys back"

    drive(scenario, size, mode="data")


def test_formats_and_saved_folders_are_listed_with_rows(drive, folder):
    datasets = pytest.importorskip("datasets")
    rows = datasets.Dataset.from_list(QA)
    rows.to_parquet(folder / "a.parquet")
    rows.save_to_disk(folder / "saved")
    (folder / "b.csv").write_text("question,answer\nWhere?,There.\n")
    (folder / "c.jsonl.gz").write_bytes(gzip.compress(json.dumps(QA[0]).encode()))
    write(folder / "d.json", [json.dumps(QA)])

    async def scenario(eyes):
        for name, count in (("a.parquet", 5), ("b.csv", 1), ("c.jsonl.gz", 1), ("d.json", 5),
                            ("saved", 5), ("demo", 240)):  # fmt: skip
            listed = lambda n=name, c=count: any(n in r and f" {c} " in r for r in eyes.rows())  # noqa: E731
            await eyes.until(listed, why=name)

    drive(scenario, (160, 45), mode="data")


def test_local_data_works_offline(drive, folder, monkeypatch):
    """U5"""
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    write(folder / "rows.jsonl", QA)

    async def scenario(eyes):
        await eyes.sees("Where is 0?")
        await eyes.press("t")
        await eyes.sees("r asks again, t shows files")
        assert len(eyes.app.screen_stack) == 1, "no modal"
        await eyes.press("t")
        await eyes.sees("rows.jsonl", "Where is 0?")
        await eyes.press("enter")
        await eyes.until(lambda: isinstance(eyes.app.screen, PreviewScreen), why="Preview")

    drive(scenario, mode="data")


@pytest.mark.timing
def test_a_large_file_never_holds_up_a_key(drive, folder):
    """The longest wait between a key and its effect stays below 50 ms of the loop's own work."""
    write(folder / "large.jsonl", QA * 10_000)
    write(folder / "small.jsonl", QA)
    longest = [0.0]

    async def tick():
        while True:
            before = time.thread_time()
            await asyncio.sleep(0.002)
            longest[0] = max(longest[0], time.thread_time() - before)

    async def scenario(eyes):
        await eyes.sees("large.jsonl")
        await eyes.pilot.pause(0.3)
        gc.collect()
        gc.freeze()  # what other tests left is not this screen's to sweep up
        ticking = asyncio.create_task(tick())
        for _ in range(6):
            await eyes.press("j", "k")
            await asyncio.sleep(0.05)
        await eyes.sees("all 50,000 rows can be used", within_s=20)
        await eyes.press("right_square_bracket", "tab", "j", "k")
        ticking.cancel()
        gc.unfreeze()
        await eyes.sees("50,000")

    for _ in range(
        3
    ):  # what others do on the machine only makes it longer: one that holds is enough
        longest[0] = 0.0
        drive(scenario, mode="data", real_time=True)
        if longest[0] < 0.05:
            break
    assert longest[0] < 0.05


HOSTILE = {
    "\x1b[31m[red]x[]red]\n.jsonl": QA,
    "deep.jsonl": ['{"question": ' + "[" * 3000 + "]" * 3000 + ', "answer": "b"}', QA[0]],
    "nul.jsonl": [{"question": "a\0b [bold]c[/] \x1b]0;title\x07", "answer": "\x9b31mred\u202e"}],
    "cell.jsonl": [{"question": "x" * 1_000_000, "answer": "[/]"}],
    "names.jsonl": [{"[/b]": 1, "\x1b[2J": "2", "": 3}],
}


@pytest.mark.parametrize("size", SIZES)
def test_hostile_names_and_cells_are_plain_text(drive, folder, size):
    """U57"""
    for name, rows in HOSTILE.items():
        write(folder / name, rows)
    os.mkfifo(folder / "pipe.jsonl")
    (folder / os.fsdecode(b"not-utf8-\xff.jsonl")).write_text("{}")

    async def scenario(eyes):
        await eyes.sees("cell.jsonl", "deep.jsonl", "nul.jsonl", "[red]x[]red] .jsonl")
        assert "pipe" not in eyes.text()
        for _ in range(9):
            await eyes.pilot.pause(0.1)
            screen = eyes.app.screen
            if screen.check_action("columns", ()) and screen.looked and screen.looked.paths:
                await eyes.press("c")
                await eyes.pilot.pause()
                await eyes.press("escape")
                await eyes.until(lambda: len(eyes.app.screen_stack) == 1)
            assert "\x1b" not in eyes.text() and "\0" not in eyes.text()
            assert eyes.app.screen.describe()
            await eyes.press("j")
        assert eyes.app.is_running
        assert "failed" not in eyes.notice.lower()

    drive(scenario, size, mode="data")


def test_a_file_that_cannot_be_read_or_goes_away_is_told(drive, folder):
    write(folder / "a.jsonl", QA)
    (folder / "b.parquet").write_bytes(b"no parquet at all")
    (folder / "c.json").write_text('{"version https": 1}')

    async def scenario(eyes):
        await eyes.sees("✗ problem", "Where is 0?")
        (folder / "a.jsonl").unlink()
        await eyes.press("r")
        await eyes.sees("it is not a sound parquet")
        assert "a.jsonl" not in eyes.text()
        await eyes.press("enter")
        assert "cannot be read" in eyes.notice
        (folder / "b.parquet").unlink()
        await eyes.press("c", "s", "a", "w")
        await eyes.press("escape")

    drive(scenario, mode="data")


def test_the_current_folder_may_be_gone(drive, folder):
    async def scenario(eyes):
        await eyes.sees("the current folder cannot be listed", "type a path with /")

    folder.rmdir()
    drive(scenario, mode="data")


@pytest.mark.parametrize("size", [(20, 5), (40, 12), (60, 18)])
def test_a_small_screen_does_not_crash(drive, folder, size):
    write(folder / "rows.jsonl", QA)

    async def scenario(eyes):
        await eyes.pilot.pause(0.5)
        for key in ("tab", "c", "enter", "escape", "escape", "s", "escape", "j", "slash", "escape"):
            await eyes.press(key)
        assert eyes.app.is_running

    drive(scenario, size, mode="data")
