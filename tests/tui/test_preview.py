"""Preview: rows as they are trained, what is wrong with them, and keys that never wait."""

import asyncio
import contextlib
import json
import os
import signal
import time

import pytest
from rich.cells import cell_len
from textual.widgets import Input

from sft_tui.tui.screens.dialogs import Ask
from sft_tui.tui.screens.new.preview.template_picker import TemplatePicker

SIZES = [(80, 24), (160, 45)]


def talk(question, answer, system="", **more):
    turns = [{"role": "user", "content": question}, {"role": "assistant", "content": answer} | more]
    return {"messages": [{"role": "system", "content": system}, *turns] if system else turns}


def talks(count, words=4):
    return [talk(f"Question {n}? " + "why " * (n % words), f"Answer {n}.") for n in range(count)]


@pytest.fixture
def preview(drive, home, model, tmp_path):
    """Runs a scenario on Preview, once the first row and, if asked for, all rows were seen."""

    def run(rows, scenario, size=(120, 36), *, whole=True, **values):
        path = tmp_path / "rows.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))

        async def main(eyes):
            chosen = {"model.name": str(model), "data.sources.0.source": str(path)}
            chosen |= {key.replace("__", "."): value for key, value in values.items()}
            assert not eyes.app.drafts.change(chosen)
            eyes.app.show_step("preview")
            await eyes.pilot.pause()
            eyes.desk = eyes.app.screen._desk
            eyes.view = eyes.app.screen.query_one("#tokens")
            await eyes.until(lambda: eyes.desk.shown or eyes.desk.trouble, 15, "a row")
            if whole:
                await eyes.until(lambda: not eyes.app.checks.running, 20, "all rows")
            await eyes.pilot.pause()
            await scenario(eyes)

        drive(main, size)

    return run


async def pressed(eyes, *keys) -> None:
    """Presses keys and waits for the row that they ask for."""
    await eyes.press(*keys)
    await eyes.app.workers.wait_for_complete()
    await eyes.pilot.pause()


def panel(eyes) -> list[str]:
    """Returns the rows of the screen inside the panel of the row, without its border."""
    region = eyes.app.screen.query_one("#row").content_region
    rows = eyes.rows()[region.y : region.bottom]
    return [row[region.x : region.x + region.width] for row in rows]


@pytest.mark.parametrize("size", SIZES)
def test_a_row_is_shown_with_what_is_trained_and_what_all_rows_amount_to(preview, size):
    async def scenario(eyes):
        await eyes.sees("Row 0 of 0–39", "▌Answer 0.<|im_end|>▐", "Question 0?", "view: text")
        assert "end of turn trained <|im_end|>" in eyes.notice
        assert "(" in eyes.notice and "% of" not in eyes.notice
        await eyes.sees("Statistics all 40 rows", "Problems")
        await pressed(eyes, "right_square_bracket", "right_square_bracket", "left_square_bracket")
        await eyes.sees("Row 1 of 0–39", "▌Answer 1.<|im_end|>▐")
        await pressed(eyes, "v")
        await eyes.sees("view: tokens", "Question·1?", "▌Answer·1.<|im_end|>▐↵", "user↵")
        await pressed(eyes, "v")
        await eyes.sees("view: ids", "-100", "257")
        await pressed(eyes, "v")
        await eyes.sees("view: raw", '"role": "user"', "line 2", "shape messages")
        assert "▌" in eyes.row_with('"messages"')
        await pressed(eyes, "v")
        await eyes.sees("view: text", "▌trained▐ context special ✂ cut")

    preview(talks(40), scenario, size)


def test_without_colours_the_legend_names_none(preview, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")

    async def scenario(eyes):
        await eyes.sees("▌trained▐ context ✂ cut, struck through", "Problems ✓ none")

    preview(talks(4), scenario, (80, 24))


def test_the_cursor_says_in_words_what_a_token_is_and_why(preview):
    rows = [talk("Why?", "So.", system="Be brief."), talk("Why?", "So.", weight=0)]

    async def scenario(eyes):
        await eyes.sees("Token 0 “<|im_start|>” id 257 · special · not trained", "system turn 1")
        place = {token.text: n for n, token in enumerate(eyes.desk.shown.tokens)}
        for text, said in (
            ("W", "not trained: context · user turn 1"),
            ("S", "TRAINED: it is said by the assistant · assistant turn 1"),
            ("<|im_end|>", "special · TRAINED: it ends or belongs to an answer"),
        ):
            eyes.view.go_to(place[text])
            await eyes.sees(said)
        at = eyes.view.cursor
        await eyes.press("h", "h", "left", "l")
        assert eyes.view.cursor == at - 2
        await eyes.press("k", "up", "down")
        assert eyes.view.cursor < at - 2
        await eyes.press("G")
        assert eyes.view.cursor == eyes.view.items - 1
        await eyes.press("g")
        assert eyes.view.cursor == 0
        await pressed(eyes, "right_square_bracket")
        assert "nothing is trained, so left out" in eyes.notice
        eyes.view.go_to([token.text for token in eyes.desk.shown.tokens].index("S"))
        await eyes.sees("this answer is context, its weight is 0")

    preview(rows, scenario)


def test_brackets_stand_without_colour_and_carets_are_pure_ascii(preview, monkeypatch):
    """U30"""
    monkeypatch.setenv("NO_COLOR", "1")
    rows = [talk("Größe 日本? \U0001f600", "Schön\tso e\u0301.\nJa."), *talks(5)]

    async def scenario(eyes):
        for view in ("text", "tokens", "ids"):
            assert eyes.desk.view == view
            for keys in ((), ("m",)):  # colour and brackets, brackets alone
                await pressed(eyes, *keys)
                assert "▌" in eyes.text().partition("trained▐")[0], view
            await pressed(eyes, "m")
            inside = panel(eyes)
            assert "".join(inside).isascii(), inside
            assert "^" in "".join(inside[:-3]) or view == "ids"
            await pressed(eyes, "m", "v")
        await pressed(eyes, "m", "m")
        assert "".join(panel(eyes)).isascii()

    preview(rows, scenario)


@pytest.mark.parametrize(("truncate", "first"), [("keep_start", False), ("keep_end", True)])
def test_a_cut_row_shows_where_it_was_cut_and_what_is_lost(preview, truncate, first):
    """U31"""

    async def scenario(eyes):
        row = eyes.desk.shown
        lost = f"✂ cut here: {row.cut_tokens} tokens lost, {row.cut_trained} were trained"
        await eyes.sees(lost)
        assert row.cut_tokens == len(row.cut) > 0
        lines = eyes.rows()
        cut = next(n for n, line in enumerate(lines) if lost in line)
        trained = next(n for n, line in enumerate(lines) if "▌" in line and n > 2)
        assert (cut < trained) is first
        assert ("end of turn trained" in eyes.notice) is first
        eyes.view.go_to(row.cut_at)
        await eyes.sees("CUT by data.max_length")

    preview(
        [talk("Why so? " * 6, "Because it is. " * 6), *talks(3)], scenario,
        data__max_length=100, data__truncate=truncate,
    )  # fmt: skip


async def jumped(eyes, id) -> None:
    """Goes to a problem by keys and lets Enter show its first row."""
    screen = eyes.app.screen
    names = [problem.id for problem in eyes.app.checks.result.problems]
    assert id in names, names
    await eyes.press("w", "g")
    await eyes.press(*["j"] * names.index(id))
    assert id in eyes.notice and "Do: " in eyes.notice
    await pressed(eyes, "enter")
    assert screen.focused is eyes.view


def test_each_problem_has_its_id_and_enter_goes_to_a_row_that_has_it(preview, tmp_path):
    """U32"""
    rows = talks(30)
    rows[11] = talk("Which?", "None.", weight=0)
    for number in (20, 22, 24):
        rows[number] = rows[3]
    apart = tmp_path / "apart.jsonl"
    apart.write_text(json.dumps(talk("New?", "Yes.")) + "\n" + json.dumps(rows[5]) + "\n")

    async def scenario(eyes):
        await jumped(eyes, "nothing_trained")
        assert eyes.desk.row == 11
        await jumped(eyes, "duplicates")
        assert eyes.desk.row == 20
        await eyes.sees("duplicates 1/3")
        await pressed(eyes, "right_square_bracket")
        assert eyes.desk.row == 22
        await pressed(eyes, "right_square_bracket", "right_square_bracket")
        assert eyes.desk.row == 24 and "no row with duplicates behind" in eyes.notice
        await pressed(eyes, "left_square_bracket")
        assert eyes.desk.row == 22
        await pressed(eyes, "escape", "right_square_bracket")
        assert eyes.desk.row == 23
        await jumped(eyes, "eval_leak")
        assert (eyes.desk.source, eyes.desk.row) == (1, 1)
        await eyes.sees("held out", "source 2/2 apart.jsonl", "Question 5?")

    preview(rows, scenario, (160, 45), data__eval_source=str(apart))


def test_a_doubled_begin_token_has_its_id_too(preview):
    """U32"""
    rows = [{"prompt": f"Q{n}", "completion": f"A{n}"} for n in range(8)]
    rows.append({"prompt": "<|endoftext|><|endoftext|>Q", "completion": "A"})

    async def scenario(eyes):
        await jumped(eyes, "double_bos")
        assert eyes.desk.row == 8

    preview(rows, scenario, data__sources__0__template="plain")


def test_an_end_of_turn_that_is_not_trained_is_said_of_the_row_and_of_all(preview, tmp_path):
    """U32"""
    own = tmp_path / "own.jinja"
    own.write_text(
        "{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}{{ m.content }}"
        "{% endgeneration %}\n{% else %}{{ m.content }}\n{% endif %}{% endfor %}"
    )
    rows = [{"messages": row["messages"] * 2} for row in talks(6)]

    async def scenario(eyes):
        await jumped(eyes, "end_not_trained")
        assert eyes.desk.row == 0 and "end of turn NOT trained" in eyes.notice

    preview(
        rows, scenario,
        data__sources__0__template="file", data__sources__0__template_file=str(own),
    )  # fmt: skip


def test_statistics_say_what_they_cover_and_esc_ends_the_pass(preview):
    """U33"""

    async def scenario(eyes):
        checks = eyes.app.checks
        await eyes.until(lambda: checks.result, 20, "a sample")
        await eyes.sees("sample of", "pass at")
        assert checks.running and not checks.result.complete
        assert "end_pass" not in [key.name for key in eyes.app.screen.offered()]
        await eyes.press("tab")
        assert "Esc End" in eyes.footer
        await eyes.press("escape")
        await eyes.sees("ended, r goes on", "r begins it again")
        assert "r All rows" in eyes.footer
        assert not checks.running and eyes.app.current_mode == "preview"
        await eyes.press("r")
        await eyes.sees("Statistics all 15,000 rows", within_s=30)
        await eyes.press("escape", "escape")
        assert eyes.app.current_mode == "runs"


def test_esc_on_the_row_leaves_the_pass_alone(preview):
    async def scenario(eyes):
        checks = eyes.app.checks
        await eyes.until(lambda: checks.result, 20, "a sample")
        await eyes.press("escape")
        assert eyes.app.current_mode == "runs" and checks.running and not checks.cancelled

    preview(talks(15_000), scenario, whole=False)

    preview(talks(15_000), scenario, whole=False)


def test_another_template_shows_the_same_row_and_other_problems(preview):
    """U34"""

    async def scenario(eyes):
        await pressed(eyes, "number_sign")
        assert isinstance(eyes.app.screen, Ask)
        eyes.app.screen.query_one(Input).value = "99"
        await eyes.press("enter")
        await eyes.sees("Give a number, 0 to 11; you typed 99")
        eyes.app.screen.query_one(Input).value = "7"
        await pressed(eyes, "enter")
        await eyes.sees("Row 7 of 0–11", "▌Answer 7.<|im_end|>▐")
        before = len(eyes.app.checks.result.problems)
        await eyes.press("t")
        assert isinstance(eyes.app.screen, TemplatePicker)
        await eyes.sees("chat (auto)", "✓ fits 12 of 12 rows", "ends <|im_end|>")
        await eyes.press("j")
        await eyes.sees("▸ alpaca", "### Response:")
        await eyes.press("j", "j")
        await eyes.sees("▸ plain")
        await eyes.press("enter")
        checks = eyes.app.checks
        await eyes.until(
            lambda: checks.settled and checks.config.data.sources[0].template == "plain",
            20, "a new pass",
        )  # fmt: skip
        await eyes.sees("Row 7 of 0–11", "▌Answer 7.<|im_end|>▐", "template_differs")
        assert eyes.desk.shown.template == "plain" and "im_start" not in "".join(panel(eyes)[:5])
        assert len(eyes.app.checks.result.problems) != before
        assert eyes.app.drafts.draft.value("data.sources.0.template") == "plain"

    preview(talks(12), scenario, (160, 45))


def test_a_template_file_is_made_edited_and_its_faults_have_a_line(preview, tmp_path, monkeypatch):
    path = tmp_path / "own.jinja"
    script = tmp_path / "editor.sh"
    script.write_text("#!/bin/sh\nsed -i 's/im_start/im_begin/g' \"$1\"\n")
    script.chmod(0o755)
    monkeypatch.setenv("EDITOR", str(script))

    async def scenario(eyes):
        eyes.app.suspend = contextlib.nullcontext
        await eyes.press("t")
        await eyes.sees("▸ chat", "Enter asks for the file")
        await eyes.press("j", "j", "j", "j", "enter")
        assert isinstance(eyes.app.screen, Ask)
        eyes.app.screen.query_one(Input).value = str(tmp_path / "nowhere" / "x.jinja")
        await eyes.press("enter")
        await eyes.sees("There is no folder")
        eyes.app.screen.query_one(Input).value = str(path)
        await pressed(eyes, "enter")
        await eyes.sees("<|im_begin|>user", "▌Answer 0.<|im_end|>▐")
        assert eyes.desk.shown.mask_from == "generation"
        path.write_text("{% for m in messages %}\n{{ m.content | strp }}\n{% endfor %}")
        await pressed(eyes, "r")
        await eyes.sees("line 2", "strp")
        script.write_text("#!/bin/sh\nexit 3\n")
        await pressed(eyes, "E")
        await eyes.until(lambda: "line 2" in eyes.notice or "ended with 3" in eyes.notice)

    preview(talks(6), scenario, (160, 45))


def test_a_micro_batch_shows_its_rows_and_its_padding(preview):
    """U35"""

    async def scenario(eyes):
        await pressed(eyes, "b")
        batch = eyes.desk.shown
        tokens = [row.tokens for row in batch.rows]
        share = 1 - sum(tokens) / (len(tokens) * max(tokens))
        assert len(tokens) == 4 and batch.found.padding_share == pytest.approx(share) and share
        assert f"{share * 100:.0f} % of it is padding" in eyes.notice
        await eyes.sees(f"padding ({share * 100:.0f} %)", *(f"row {r.row}:" for r in batch.rows))
        other = batch.rows[0 if batch.rows[0].row != eyes.desk.row else 1].row
        await eyes.press("g")
        await eyes.press(*["j"] * [row.row for row in batch.rows].index(other))
        await pressed(eyes, "enter")
        await eyes.sees(f"Row {other} of", "view: text")

    preview(talks(40, words=9), scenario, **WHOLE, data__pack="never")


WHOLE = {"data__eval_fraction": 0.0, "evaluate__every_steps": None}


def questions(texts, each):
    """Rows with several questions about one text, which stands first, and a row alone."""
    words = "the ferry leaves the old harbour at noon with mail and eggs for the islands".split()
    found = [{"instruction": "Say hello.", "input": "", "output": "Hello."}]
    for text in range(texts):
        about = " ".join([*words[text:], *words[:text]])
        for n in range(each):
            asked = {"input": f"What is number {n} of it?", "output": "It is " + "so " * n}
            found.append({"instruction": f"{text}: {about}", **asked})
    return found


@pytest.mark.parametrize("size", SIZES)
def test_rows_of_a_micro_batch_branch_off_a_beginning_that_is_shown_once(preview, size):
    """U35"""

    async def scenario(eyes):
        await pressed(eyes, "right_square_bracket", "b")
        batch = eyes.desk.shown
        rows = [(row.source, row.row) for row in batch.rows]
        family = next(each for each in batch.found.beginnings if each.shared)
        members = batch.rows[family.first : family.first + family.rows]
        assert family.rows >= 3 and (eyes.desk.source, eyes.desk.row) in rows
        assert batch.found.tokens - batch.found.computed == sum(
            (each.rows - 1) * each.shared for each in batch.found.beginnings
        )
        share = f"{batch.found.shared_share * 100:.0f} %"
        assert f"if the model allows; nothing of it is padding, {share} is computed" in eyes.notice
        eyes.view.scroll_home(animate=False)
        eyes.view.go_to(family.first)
        first = members[0]
        await eyes.sees(
            f"{family.rows} rows begin with the same {family.shared} tokens, computed once",
            f"├ row {first.row}: {first.tokens - family.shared} more, "
            f"{sum(b - a for a, b in first.trained)} trained",
        )
        lines = ["".join(piece.text for piece in line) for line in eyes.view.lines]
        bars = [line for line in lines if set(line) <= set("─█│ ") and line]
        beginning = next(n for n, line in enumerate(lines) if "rows begin with" in line) + 1
        below = [
            line for line in lines[beginning + 1 : beginning + 2 + 2 * family.rows] if line in bars
        ]
        assert len(below) == family.rows
        for line in below:  # a branch begins below the end of what it shares
            edge = min(line.index(mark) for mark in "─█" if mark in line)
            assert abs(edge - len(lines[beginning])) <= 1
        found = batch.found
        assert (
            f"{found.tokens:,} tokens at {found.computed:,} positions ({share} shared)" in lines[-1]
        )
        words = eyes.app.screen.describe()
        assert f"begin with the same {family.shared} tokens: rows {first.row} (" in words
        await eyes.press("j")
        await pressed(eyes, "enter")
        assert eyes.desk.row == members[1].row and eyes.desk.view == "text"

    asked = {"data__pack": "auto", "data__share_prefixes": "auto", "train__micro_batch_size": 6}
    preview(questions(4, 5), scenario, size, **WHOLE, **asked)


def test_packed_rows_have_no_padding_and_carets_draw_them_in_ascii(preview):
    async def scenario(eyes):
        await pressed(eyes, "b")
        found = eyes.desk.shown.found
        assert found.computed == found.tokens and not found.padding_share
        assert "4 rows in one sequence; nothing of it is padding." in eyes.notice
        await eyes.sees(f"{found.computed:,} positions, no padding", "padding none", "packing on")
        assert "padding," not in "".join(eyes.rows())
        await pressed(eyes, "m", "m")
        assert all(row.isascii() for row in panel(eyes))

    sets = {"data__pack": "always", "data__share_prefixes": "never"}
    preview(talks(40, words=9), scenario, **WHOLE, **sets)


def test_rows_come_in_other_orders_from_several_sources(preview, tmp_path):
    other = tmp_path / "other.jsonl"
    other.write_text("".join(json.dumps(row) + "\n" for row in talks(5)))
    rows = talks(30)
    rows[17] = talk("Long? " * 30, "Yes.")

    async def scenario(eyes):
        await pressed(eyes, "o")
        assert eyes.desk.row == 17
        await eyes.sees("longest 1/30")
        await pressed(eyes, "o")
        assert eyes.desk.row == 17
        await eyes.sees("least trained 1/30")
        await pressed(eyes, "o")  # no problem: that order is passed over
        await eyes.sees("held out 1/")
        assert eyes.app.checks.result.sources[0].side(eyes.desk.row) == 2
        await pressed(eyes, "o")
        assert eyes.desk.row == 0
        await pressed(eyes, "left_square_bracket")
        assert "no row of this source before" in eyes.notice
        await pressed(eyes, "s")
        await eyes.sees("Row 0 of 0–4", "source 2/2 other.jsonl")
        await pressed(eyes, "asterisk")
        assert 0 <= eyes.desk.row < 5

    sources = [{"source": str(tmp_path / "rows.jsonl")}, {"source": str(other)}]
    preview(rows, scenario, (160, 45), data__sources=sources)


def test_hostile_text_is_drawn_where_it_stands_and_nothing_else(preview):
    """U57"""
    bad = (
        "\x1b[31mred\x1b]0;title\x07 \x9b2J \x00\x08\x7f [bold red]x[/] [/oops] \u202egnp\u202c "
        "日本語の文 \U0001f468\u200d\U0001f469\u200d\U0001f467 \u2764\ufe0f e\u0301 "
        "\u0e01\u0e33 \ufdfd \t\r\n tab\ttab \u2028 \ufeff end " + "w" * 300 + "長" * 200
    )

    async def scenario(eyes):
        forbidden = {chr(n) for n in (*range(32), *range(127, 160))} | set("\u202e\u200d\u2028")
        for _ in range(4):
            for _ in range(3):
                text = eyes.text().replace("\n", "")
                assert not forbidden & set(text)
                assert all(cell_len(row) == 80 for row in eyes.rows())
                await pressed(eyes, "m")
            await pressed(eyes, "v")
        await pressed(eyes, "v")
        await eyes.press("pagedown", "pagedown", "G", "i")
        assert all(cell_len(row) == 80 for row in eyes.rows())

    preview([talk(bad, bad), *talks(4)], scenario, (80, 24))


def test_a_row_that_cannot_be_used_says_why_and_others_can_be_reached(preview, tmp_path):
    """U18"""

    async def scenario(eyes):
        (tmp_path / "rows.jsonl").write_text(
            json.dumps(talks(1)[0]) + '\n{"messages": [}\n' + json.dumps(talks(3)[2]) + "\n"
        )
        await pressed(eyes, "r", "right_square_bracket")
        await eyes.sees("row 1 of", "unreadable_row", "line 2, column 15")
        await pressed(eyes, "v", "v", "v")
        await eyes.sees("this row cannot be read")
        await pressed(eyes, "v", "right_square_bracket")
        await eyes.sees("Answer 2.<|im_end|>▐")

    preview(talks(3), scenario)


def test_a_helper_that_is_killed_is_told_and_the_next_row_comes(preview):
    async def scenario(eyes):
        eyes.app.checks.cancel()
        os.kill(eyes.app.sidecar.pid, signal.SIGSTOP)
        await eyes.press("right_square_bracket")
        await asyncio.sleep(0.1)
        os.kill(eyes.app.sidecar.pid, signal.SIGKILL)
        await eyes.sees("the helper process ended before it answered", "try again")
        await pressed(eyes, "right_square_bracket")
        await eyes.sees("Row 2", "▌Answer 2.<|im_end|>▐")

    preview(talks(9), scenario)


def test_what_is_missing_is_said_with_the_key_and_the_file_can_be_read_without_a_model(preview):
    async def scenario(eyes):
        eyes.app.drafts.unset("model.name")
        await eyes.sees("No model was chosen yet", "Press < twice", '"role": "user"')
        await pressed(eyes, "right_square_bracket")
        await eyes.sees("Row 1", "Question 1?")
        offered = {key.name for key in eyes.app.screen.offered()}
        assert not {"template", "batch", "view", "mask"} & offered and "next_row" in offered
        eyes.app.drafts.unset("data.sources")
        await eyes.sees("No data was chosen yet. Press < to choose it")
        assert not {"next_row", "order"} & {key.name for key in eyes.app.screen.offered()}

    preview(talks(4), scenario, (80, 24))


def test_the_file_is_shown_while_a_tokenizer_is_loaded(drive, home, warm_model, tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(talks(1)[0]) + "\n")

    async def scenario(eyes):
        chosen = {"model.name": str(warm_model[0]), "data.sources.0.source": str(path)}
        assert not eyes.app.drafts.change(chosen)
        eyes.app.show_step("preview")
        await eyes.sees("Loading the tokenizer of", '"content": "Question 0? "')

    drive(scenario, (160, 45))


def test_the_panels_can_be_described_in_words(preview):
    """U68"""

    async def scenario(eyes):
        screen = eyes.app.screen
        assert "Row 0 of" in screen.describe() and "End of turn trained" in screen.describe()
        await eyes.press("tab")
        assert "Statistics of all rows: " in screen.describe() and "1,024" in screen.describe()
        await eyes.press("tab")
        assert "duplicates: " in screen.describe() and "Do: " in screen.describe()
        await eyes.press("escape")
        assert screen.focused is eyes.view

    preview([*talks(6), talks(1)[0]], scenario, (80, 24))


def best(work, times=15) -> float:
    """Returns the seconds of this thread that a piece of work takes: others use the machine too."""
    took = []
    for number in range(times):
        began = time.thread_time()
        work(number)
        took.append(time.thread_time() - began)
    return min(took)


@pytest.mark.timing
def test_a_row_of_4096_tokens_is_drawn_in_30_ms(preview):
    async def scenario(eyes):
        screen, view = eyes.app.screen, eyes.view
        assert len(eyes.desk.shown.tokens) > 4096
        height = view.size.height

        def seen():
            for line in range(height):
                view.render_line(line)

        def drawn(_):
            screen._row_panel.draw(new=True)
            seen()

        def moved(number):
            view.go_to(2000 + number)
            seen()

        for form in ("text", "tokens", "ids"):
            eyes.desk.view = form
            row, cursor = best(drawn), best(moved)
            print(f"{form}: row {row * 1e3:.1f} ms, cursor {cursor * 1e3:.1f} ms")
            assert row < 0.03 and cursor < 0.03

    preview([talk("why " * 520, "so it is. " * 210), *talks(2)], scenario, (160, 45),
            data__max_length=8192)  # fmt: skip


@pytest.mark.timing
def test_rows_of_a_large_file_follow_each_other_at_once_wherever(preview):
    async def scenario(eyes):
        eyes.app.checks.cancel()
        for start in (10, 25_000, 49_900):
            eyes.app.screen._go(0, start)
            await eyes.until(lambda: eyes.desk.shown.row == start, 10)  # noqa: B023
            took = []
            for number in range(start + 1, start + 11):
                began = time.perf_counter()
                await eyes.pilot.press("right_square_bracket")
                while eyes.desk.shown.row != number:
                    await asyncio.sleep(0.001)
                took.append(time.perf_counter() - began)
            print(f"row {start}: median {sorted(took)[5] * 1e3:.0f} ms, most {max(took) * 1e3:.0f}")
            assert sorted(took)[5] < 0.1

    preview(talks(50_000), scenario, whole=False)


def test_the_smallest_screens_do_not_fail(preview):
    async def scenario(eyes):
        for size in ((60, 18), (40, 12), (20, 5), (1, 1), (120, 36)):
            await eyes.pilot.resize_terminal(*size)
            await pressed(eyes, "l", "j", "tab", "j", "tab", "j", "tab", "v")
        await eyes.sees("Statistics all 5 rows")

    preview(talks(5), scenario, (20, 5))
