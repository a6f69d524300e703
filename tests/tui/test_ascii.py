"""ASCII mode: nothing else is drawn, whatever the screen, and nothing moves."""

import pytest
from rich.cells import cell_len
from rich.segment import Segment
from textual.color import Color

from sft_tui.core.terminal import draws_all
from sft_tui.tui.glyphs import AsciiFilter, to_ascii


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        (
            "▌1 Runs▐  ✓ FINISHED  ✗! CRASHED  ‖ PAUSED",
            "[1 Runs]  + FINISHED  x! CRASHED  | PAUSED",
        ),
        ("╭─ loss ──╮│", "+- loss --+|"),
        ("– × ≥ ↵ · → ●", "- x > < . > *"),
        ("━━━──", "===--"),
        ("████░░░░", "####...."),
        ("⠀⠁⣿", " .#"),
        ("Grüße", "Gru?e"),
    ],
)
def test_a_glyph_becomes_what_is_most_like_it(text, plain):
    assert to_ascii(text) == plain


@pytest.mark.parametrize(
    "text",
    ["模型 qwen", "日本", "👩‍👩‍👧 x", "e\u0301te\u0301", "🇩🇪", "\u200b\u00ad", "한글", "ﷺ", "❤️!"],
)
def test_foreign_text_keeps_its_width(text):
    plain = to_ascii(text)

    assert plain.isascii() and len(plain) == cell_len(text)


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("Reading…  ", "Reading..."),
        ("Reading…   |", "Reading... |"),
        ("Reading…──╮", "Reading...+"),
        ("tiny-rows-long-na…  LORA", "tiny-rows-long-...  LORA"),
        ("tiny-ro…0a01", "tiny-...0a01"),
        ("…rows-0a01", "...ws-0a01"),
        ("a … b", "a...b"),
        ("  … w shows all", " ...w shows all"),
        ("loading… (Esc ends it)", "loadi... (Esc ends it)"),
        ("…", "."),
        ("a…", "a."),
    ],
)
def test_an_ellipsis_has_its_dots_within_the_width(text, plain):
    assert to_ascii(text) == plain and len(plain) == cell_len(text)


def test_an_ellipsis_takes_free_cells_of_the_next_segment():
    parts = [Segment("Reading…"), Segment("   "), Segment("│")]
    drawn = AsciiFilter().apply(parts, Color(0, 0, 0))
    assert [each.text for each in drawn] == ["Reading.", ".. ", "|"]


@pytest.mark.parametrize("size", [(80, 24), (160, 45)])
def test_values_and_their_average_are_told_apart(drive, living_run, monkeypatch, size):
    monkeypatch.setenv("TERM", "linux")

    async def scenario(eyes):
        await eyes.sees("EMA 0.9 =", "raw -", "loss 1.3")
        chart = eyes.app.screen.chart
        rows = [row[12:-1] for row in eyes.rows()[chart.region.y + 1 : chart.region.bottom - 4]]
        drawn = "".join(row[: chart.region.right - 14] for row in rows)
        assert "==" in drawn and set(".:") & set(drawn)
        await eyes.press("s", "s")
        await eyes.sees("Average: off.")
        rows = [row[12:-1] for row in eyes.rows()[chart.region.y + 1 : chart.region.bottom - 4]]
        assert "=" not in "".join(row[: chart.region.right - 14] for row in rows)

    drive(scenario, size, mode="monitor", watched=living_run)


def test_more_dots_look_like_more():
    shades = [to_ascii(chr(0x2800 + (1 << dots) - 1)) for dots in range(9)]

    assert shades[0] == " " and shades[8] == "#"
    assert all("." <= shade or shade in "-+#" for shade in shades[1:])


@pytest.mark.parametrize(
    ("environ", "wanted"),
    [
        ({"TERM": "xterm", "LANG": "de_DE.UTF-8"}, False),
        ({"TERM": "xterm", "LANG": "en_US.utf8"}, False),
        ({"TERM": "xterm"}, False),
        ({"TERM": "linux", "LANG": "de_DE.UTF-8"}, True),
        ({"TERM": "xterm", "LANG": "C"}, True),
        ({"TERM": "xterm", "LANG": "C", "LC_CTYPE": "C.UTF-8"}, True),  # as Python sets it
        ({"TERM": "xterm", "LANG": "de_DE.ISO-8859-1"}, True),
        ({"TERM": "xterm", "LANG": "C", "LC_ALL": "C.UTF-8"}, False),
        ({"TERM": "xterm", "LANG": "C.UTF-8", "LC_ALL": "C"}, True),
    ],
)
def test_the_terminal_decides_unless_the_user_does(environ, wanted):
    assert draws_all(environ) is not wanted


MODES = (
    "runs", "monitor", "models", "data", "preview", "configure", "review", "compare", "play",
    "system",
)  # fmt: skip


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("keys", [(), ("question_mark",), ("colon",), ("i",), ("tab", "z")])
def test_everything_drawn_is_ascii(drive, spike_run, monkeypatch, mode, keys):
    """U66"""
    monkeypatch.setenv("TERM", "linux")

    async def scenario(eyes):
        if mode in ("runs", "monitor"):
            await eyes.sees("> RUNNING")
        if mode == "monitor":
            await eyes.sees("loss 1.3")
        await eyes.press(*keys)
        await eyes.pilot.pause()
        assert eyes.text().isascii(), {c for c in eyes.text() if ord(c) > 127}
        assert [len(row) for row in eyes.rows()] == [80] * 24

    drive(scenario, (80, 24), mode=mode)


def test_glyphs_are_switched_at_once_on_every_screen(watch, living_run):
    async def scenario(eyes):
        await eyes.press("1")
        await eyes.sees("▶ RUNNING")
        await eyes.press("colon", *"ascii only", "enter")
        await eyes.until(lambda: eyes.text().isascii(), why="ASCII on Runs")
        await eyes.press("3")
        await eyes.sees("> RUNNING")
        assert eyes.text().isascii()
        await eyes.press("colon", *"fine curves", "enter")
        await eyes.sees("▶ RUNNING", "╭")
        await eyes.press("1")
        await eyes.sees("▶ RUNNING", "╭")

    watch(scenario, living_run)


def test_both_drawings_have_the_same_layout(watch, living_run):
    drawn = str.maketrans(dict.fromkeys(".:-+#", "="))  # an average is not drawn as dots

    async def scenario(eyes):
        before = eyes.rows()
        eyes.app.choose(glyphs="ascii")
        await eyes.until(lambda: eyes.text().isascii())
        rows = [to_ascii(row).translate(drawn) for row in before]
        assert rows[1:-1] == [row.translate(drawn) for row in eyes.rows()][1:-1]

    watch(scenario, living_run)


@pytest.mark.parametrize(
    ("mode", "keys", "words"),
    [
        ("configure", (), ["Left/Right Adjust"]),
        ("configure", ("question_mark",), ["Left/Right Right l", "(Left smaller)", "(also Down)"]),
        ("models", ("f",), ["Left Right change"]),
        ("runs", ("colon",), ["Up Down choose"]),
    ],
)
def test_keys_are_named_in_words_where_arrows_would_be_other_keys(
    drive, monkeypatch, mode, keys, words
):
    monkeypatch.setenv("TERM", "linux")

    async def scenario(eyes):
        if mode == "runs":
            await eyes.sees("No runs yet")
        await eyes.press(*keys)
        await eyes.sees(words[0])
        drawn = str(eyes.app.screen.query("#help-text").first().render()) if len(words) > 1 else ""
        assert all(word in drawn for word in words[1:])

    drive(scenario, (100, 30), mode=mode)


def test_blocks_stand_in_for_dots_and_nothing_moves(watch, living_run, steady_host):
    def dots(eyes) -> bool:
        return any(0x2800 <= ord(each) <= 0x28FF for each in eyes.text())

    async def scenario(eyes):
        before = eyes.rows()
        assert dots(eyes)
        eyes.app.choose(glyphs="blocks")
        await eyes.until(lambda: not dots(eyes), why="blocks")
        assert set("▖▗▄▀▘▝▌▐") & set(eyes.text())
        for row, was in zip(eyes.rows()[1:-2], before[1:-2], strict=True):
            moved = [new for new, old in zip(row, was, strict=True)
                     if new != old and not 0x2800 <= ord(old) <= 0x28FF]  # fmt: skip
            assert not moved, (row, was)

    watch(scenario, living_run)
