"""Themes: readable by number, chosen by the terminal, switched without losing anything."""

import json

import pytest
from textual.color import Color

from sft_tui.core.terminal import colours
from sft_tui.tui.theme import DARK, GLYPHS, LIGHT, SIXTEEN, THEMES, theme_for
from sft_tui.tui.widgets.chart.line_chart import LineChart


def luminance(color: str) -> float:
    """Returns the relative luminance of WCAG 2."""

    def linear(part: int) -> float:
        share = part / 255
        return share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4

    r, g, b = Color.parse(color).rgb
    return 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b)


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [DARK, LIGHT], ids=lambda theme: theme.name)
def test_text_is_readable_on_background_and_panel(theme):
    more = theme.variables
    texts = [theme.foreground, theme.secondary, theme.success, theme.warning, theme.error]
    for text in [*texts, more["muted"], more["info"]]:
        for behind in (theme.background, theme.panel):
            assert contrast(text, behind) >= 5.1, (text, behind)
    assert contrast(more["mask-trained"], more["mask-trained-background"]) >= 5.1
    assert contrast(more["block-cursor-foreground"], more["block-cursor-background"]) >= 4.6
    for name in ("mask-special", "mask-cut"):
        assert contrast(more[name], theme.background) >= 5.1


@pytest.mark.parametrize("theme", [DARK, LIGHT], ids=lambda theme: theme.name)
def test_lines_stand_out_from_the_background(theme):
    more = theme.variables
    for name in ("chart-ema", "chart-eval", "border"):
        assert contrast(more[name], theme.background) >= (5.0 if theme.dark else 4.5), name
    assert contrast(more["chart-raw"], theme.background) >= 3.0


def test_the_themes_define_the_same_variables():
    assert set(DARK.variables) == set(LIGHT.variables) <= set(SIXTEEN.variables)


@pytest.mark.parametrize(
    ("environ", "theme"),
    [
        ({"TERM": "xterm-256color"}, DARK),
        ({"TERM": "xterm", "COLORTERM": "truecolor"}, DARK),
        ({"TERM": "xterm"}, SIXTEEN),
        ({"TERM": "linux"}, SIXTEEN),
        ({"TERM": "xterm-256color", "NO_COLOR": "1"}, SIXTEEN),
        ({"TERM": "xterm-256color", "COLORFGBG": "0;15"}, LIGHT),
    ],
)
def test_the_terminal_chooses_unless_the_user_does(environ, theme):
    assert theme_for("auto", colours(environ), environ) is theme
    assert theme_for("light", "256", environ) is LIGHT
    assert theme_for("dark", "16", environ) is SIXTEEN


async def choose(eyes, words: str) -> None:
    await eyes.press("colon", *words, "enter")


def background_of(eyes) -> str:
    """Returns the colour behind the first cell of the body."""
    strip = eyes.app.screen._compositor.render_strips()[2]
    return next(segment.style.bgcolor.name for segment in strip if segment.style)


def test_another_theme_comes_at_once_and_nothing_else_changes(watch, living_run, steady_host):
    async def scenario(eyes):
        await eyes.sees("50 %", "2.0 GiB in use")
        await eyes.press("m", "s", "b", "tab")
        before, focused = eyes.rows()[1:-2], eyes.app.screen.focused
        dark = background_of(eyes)
        await choose(eyes, "theme light")
        await eyes.until(lambda: background_of(eyes) == LIGHT.background.lower(), why="light")
        assert dark == DARK.background.lower()
        assert eyes.rows()[1:-2] == before and eyes.app.screen.focused is focused
        await choose(eyes, "colour 16")
        await eyes.until(lambda: background_of(eyes) == "default", why="the terminal's colours")
        assert eyes.rows()[1:-2] == before
        await choose(eyes, "theme dark")
        await choose(eyes, "colour promise")
        await eyes.until(lambda: background_of(eyes) == dark, why="dark")

    watch(scenario, living_run)


def chart_colours(eyes) -> set[str]:
    chart = eyes.app.screen.query_one(LineChart)
    return {
        segment.style.color.name
        for y in range(chart.size.height)
        for segment in chart.render_line(y)
        if segment.style and segment.style.color
    }


def test_the_chart_follows_the_theme(watch, living_run):
    async def scenario(eyes):
        assert DARK.variables["chart-ema"].lower() in chart_colours(eyes)
        eyes.app.choose(theme="light")
        await eyes.until(lambda: LIGHT.variables["chart-ema"].lower() in chart_colours(eyes))
        assert DARK.variables["chart-ema"].lower() not in chart_colours(eyes)

    watch(scenario, living_run)


def test_what_was_chosen_holds_the_next_time(drive, home):
    async def choose_light(eyes):
        await choose(eyes, "theme light")

    async def is_light(eyes):
        assert eyes.app.theme == LIGHT.name

    drive(choose_light)
    assert json.loads((home / "settings.json").read_text())["theme"] == "light"
    drive(is_light)


def test_a_damaged_file_is_put_aside_and_said(drive, home):
    home.mkdir()
    (home / "settings.json").write_text('{"theme": "pin')

    async def scenario(eyes):
        await eyes.sees("The settings could not be read", "kept as")
        assert eyes.app.theme == DARK.name

    drive(scenario, (160, 45))
    (kept,) = home.glob("settings-*.json")
    assert kept.read_text() == '{"theme": "pin'
    assert not (home / "settings.json").exists()


def test_settings_that_cannot_be_saved_are_said_and_hold_for_now(drive, home, monkeypatch):
    def refuse(path, data):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("sft_tui.core.rundir.write_atomic", refuse)
    monkeypatch.setattr("sft_tui.tui.shared_app.SETTINGS_S", 0.05)

    async def scenario(eyes):
        await choose(eyes, "theme light")
        await eyes.sees("cannot be written: Permission denied")
        assert eyes.app.theme == LIGHT.name

    drive(scenario)


@pytest.mark.parametrize("mode", ["runs", "monitor", "review"])
def test_without_colour_words_and_glyphs_are_the_same(drive, living_run, monkeypatch, mode):
    """U65"""
    seen: list[list[str]] = []
    monkeypatch.setattr("sft_tui.tui.services.run_feed.HARDWARE_S", 3600.0)

    async def scenario(eyes):
        await eyes.sees("EMA 1.376" if mode == "monitor" else "RUNNING" if mode == "runs" else "✗")
        await eyes.pilot.pause()
        seen.append(eyes.rows()[2:-1])
        if len(seen) == 2:
            colours = {
                segment.style.color.triplet if segment.style.color.triplet else None
                for strip in eyes.app.screen._compositor.render_strips()
                for segment in strip
                if segment.style and segment.style.color
            }
            assert colours <= {None}

    drive(scenario, (80, 24), mode=mode)
    monkeypatch.setenv("NO_COLOR", "1")
    drive(scenario, (80, 24), mode=mode)
    strict = [[row.translate(str.maketrans("═║╔╗╚╝", "─│╭╮╰╯")) for row in rows] for rows in seen]
    assert strict[0][:6] == strict[1][:6]


def test_without_colour_the_cursor_row_is_reversed(drive, living_run, monkeypatch):
    """U65"""
    monkeypatch.setenv("NO_COLOR", "1")

    async def scenario(eyes):
        await eyes.sees("RUNNING")
        (row,) = [
            strip
            for strip in eyes.app.screen._compositor.render_strips()
            if "▸" in "".join(segment.text for segment in strip)
        ]
        name = next(segment for segment in row if "RUNNING" in segment.text)
        assert name.style.reverse and name.style.bold
        assert "╔" in eyes.text(), "the focused panel has a double border"

    drive(scenario)


def test_without_colour_the_series_differ_in_weight_and_marks(watch, record, monkeypatch):
    """U65"""
    from sft_tui.core import events

    monkeypatch.setenv("NO_COLOR", "1")
    run = record.living(record.trained())
    record.add(run, events.Eval(step=40, loss=1.25, elapsed_s=1.0))

    async def scenario(eyes):
        await eyes.sees("eval ◆")
        box = eyes.app.screen.query_one(LineChart).content_region
        strips = eyes.app.screen._compositor.render_strips()[box.y : box.bottom]
        styles = {
            bool(segment.style and segment.style.bold)
            for strip in strips
            for segment in strip.crop(box.x, box.right)
            if any(0x2800 < ord(char) <= 0x28FF for char in segment.text)
        }
        assert styles == {True, False}, "raw is thin, the average bold"
        assert "◆" in "\n".join(row for row in eyes.rows() if "│" in row)

    watch(scenario, run)


def test_every_status_has_a_glyph_of_its_own_or_a_word():
    words = [f"{glyph} {word}" for word, glyph in GLYPHS.items()]
    assert len(set(words)) == len(GLYPHS) and all(GLYPHS.values())
    assert len(THEMES) == len({theme.name for theme in THEMES}) == 3


@pytest.mark.parametrize("step", ["configure", "review"])
def test_texts_of_new_follow_the_theme(drive, step):
    def drawn(eyes) -> set[str]:
        strips = eyes.app.screen._compositor.render_strips()
        colours = {part.style.color for strip in strips for part in strip if part.style}
        return {colour.get_truecolor().hex for colour in colours if colour}

    async def scenario(eyes):
        eyes.app.show_step(step)
        dark = eyes.app.theme_variables["error" if step == "review" else "muted"]
        await eyes.until(lambda: dark.lower() in drawn(eyes), why="the dark theme")
        eyes.app.choose(theme="light")
        await eyes.until(lambda: dark.lower() not in drawn(eyes), why="the light theme")

    drive(scenario, (160, 45))
