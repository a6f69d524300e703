"""The chart: every point counts, gaps stay gaps, and drawing is quick."""

import asyncio
import math
import random
import statistics
import time
from itertools import pairwise

import pytest
from textual.app import App

from sft_tui.core.series import Series
from sft_tui.tui.widgets.chart.axis import (
    LABEL_WIDTH,
    clock_label,
    clock_ticks,
    label,
    labels,
    log_ticks,
    padded,
    ticks,
)
from sft_tui.tui.widgets.chart.braille import Canvas
from sft_tui.tui.widgets.chart.data import TIME, ChartData, Line
from sft_tui.tui.widgets.chart.line_chart import LineChart
from sft_tui.tui.widgets.chart.view import View

NAN = float("nan")
GUTTER = LABEL_WIDTH + 2


def series(*values: float | None) -> Series:
    """Returns a series with the values at 1, 2, 3…"""
    made = Series()
    for x, y in enumerate(values, 1):
        made.append(x, y)
    return made


def chart_of(*values: float | None, **more) -> ChartData:
    """Returns a chart of one metric with the values at 1, 2, 3…"""
    return ChartData("loss", [Line(series(*values))], **more)


def drawn(data: ChartData, width: int = 80, height: int = 20, view: View | None = None):
    """Returns the rows of a chart of that size."""
    return staged(data, lambda chart: None, width, height, view)


def staged(data, act, width: int = 80, height: int = 20, view: View | None = None) -> list[str]:
    """Shows a chart, does something with it, and returns its rows."""
    rows: list[str] = []

    class Stage(App[None]):
        CSS = "LineChart { width: 1fr; height: 1fr; }"

        def compose(self):
            yield LineChart(view, id="chart")

    async def main() -> None:
        app = Stage()
        async with app.run_test(size=(width, height)) as pilot:
            chart = app.query_one(LineChart)
            chart.show(data)
            await pilot.pause()
            act(chart)
            await pilot.pause()
            rows.extend(chart.render_line(y).text for y in range(height))

    asyncio.run(main())
    return rows


def columns_with_dots(rows: list[str]) -> set[int]:
    """Returns the plot columns in which any dot stands."""
    return {
        index - GUTTER
        for row in rows
        for index, character in enumerate(row)
        if 0x2801 <= ord(character) <= 0x28FF
    }


def test_one_spike_among_100000_points_reaches_the_top_row():
    """U41"""
    values = [1.0 + (n % 7) / 100 for n in range(100_000)]
    values[61_803] = 9.0

    rows = drawn(chart_of(*values), 160, 45)

    peak = [index - GUTTER for index, letter in enumerate(rows[1]) if letter not in " │┤"]
    width = 160 - GUTTER - 1
    assert [column for column in peak if column > 0] == [int(0.61803 * width)]


@pytest.mark.parametrize("count", [10, 5_000, 40_000])
def test_every_point_counts_in_the_range_of_its_column(count):
    """U41"""
    chance = random.Random(count)
    xs = sorted(chance.uniform(0, 1000) for _ in range(count))
    made = Series()
    for x in xs:
        made.append(x, chance.gauss(0, 1))
    x0, x1, width = 100.0, 900.0, 77

    found = made.columns(x0, x1, width)

    expected: dict[int, list[float]] = {}
    for x, y in zip(made.xs, made.values.ys, strict=True):
        if x0 <= x <= x1:
            column = min(int((x - x0) / (x1 - x0) * width), width - 1)
            expected.setdefault(column, []).append(y)
    assert [(c, low, high) for c, low, high, _ in found] == [
        (c, min(ys), max(ys)) for c, ys in sorted(expected.items())
    ]
    every = [y for ys in expected.values() for y in ys]
    assert made.bounds(x0, x1) == (min(every), max(every))


@pytest.mark.parametrize("bad", [NAN, math.inf, -math.inf])
def test_a_value_that_is_not_finite_is_a_gap_with_a_cross_at_its_column(bad):
    """U39"""
    values: list[float | None] = [2.0 + n / 100 for n in range(101)]
    values[40:61] = [bad] + [None] * 20

    rows = drawn(chart_of(*values), 80, 20)

    width = 80 - GUTTER - 1
    crosses = [(y, row.index("×") - GUTTER) for y, row in enumerate(rows) if "×" in row]
    column = round(40 / 100 * (2 * width - 1)) // 2
    assert crosses == [(17, column)], "on the bottom row of the plot"
    dots = columns_with_dots(rows)
    end_of_gap = round(61 / 100 * (2 * width - 1)) // 2
    assert not dots & set(range(column + 1, end_of_gap)), "never bridged"
    assert {column - 1, end_of_gap} <= dots


def test_a_gap_among_many_points_is_not_bridged():
    """U39"""
    values: list[float | None] = [2.0] * 4000
    values[1000:2000] = [NAN] + [None] * 999

    rows = drawn(chart_of(*values), 80, 20)

    width = 80 - GUTTER - 1
    assert not columns_with_dots(rows) & set(range(width // 4 + 2, width // 2 - 2))


def test_what_is_not_finite_never_widens_the_axis():
    """U39"""
    assert series(1.0, math.inf, 2.0, -math.inf, NAN).bounds(1, 5) == (1.0, 2.0)


def test_the_legend_counts_what_is_not_finite():
    """U39"""
    chart = LineChart()
    chart.show(chart_of(1.0, NAN, 2.0))
    assert "1 NaN" in chart.legend()

    chart.show(chart_of(1.0, 2.0))
    assert "NaN" not in chart.legend()


def test_only_values_that_are_not_finite_draw_crosses_and_no_line():
    rows = drawn(chart_of(NAN, NAN, NAN))

    assert "".join(rows).count("×") == 3
    assert not columns_with_dots(rows)


def test_the_average_is_corrected_for_its_start_and_goes_on_after_a_gap():
    """U39"""
    values = [3.0, 1.0, 2.0, NAN, 5.0, 4.0]

    average = series(*values).average(0.6)

    finite = [y for y in values if y == y]
    got = [y for y in average.values.ys if y == y]
    for n in range(1, len(finite) + 1):
        weights = [0.6 ** (n - 1 - i) for i in range(n)]
        expected = sum(w * y for w, y in zip(weights, finite, strict=False)) / sum(weights)
        assert got[n - 1] == pytest.approx(expected)
    assert [x for _, x, _ in average.numbers(0, 6)] == [1, 2, 3, 5, 6]


@pytest.mark.parametrize("weight", [0.6, 0.9, 0.97])
def test_the_average_of_many_blocks_is_that_of_single_values(weight):
    chance = random.Random(5)
    values = [NAN if n == 2500 else chance.gauss(2, 1) for n in range(5000)]
    source, total, norm, expected = Series(), 0.0, 0.0, []
    for x, y in enumerate(values):
        source.append(x, y)
        if y == y:
            total, norm = weight * total + (1 - weight) * y, weight * norm + 1 - weight
            expected.append(total / norm)
        if x % 700 == 0:
            source.average(weight)

    assert [y for y in source.average(weight).values.ys if y == y] == pytest.approx(expected)


def test_an_unknown_value_leaves_nothing_and_no_gap():
    """U40"""
    made = series(1.0, None, 2.0)

    assert [y for _, _, y in made.numbers(0, 3)] == [1.0, 2.0]
    assert not made.bad
    assert len(columns_with_dots(drawn(ChartData("loss", [Line(made)])))) > 60, "joined"


def test_superseded_points_are_dots_beside_the_line():
    """U47"""
    lone = series(*[5.0] * 5)
    rows = drawn(chart_of(*[1.0] * 100, superseded=[lone]), 80, 20)

    top = [row for row in rows[:3] if columns_with_dots([row])]
    assert len(top) == 1
    assert len(columns_with_dots(top)) in (4, 5), "single dots, not a joined line"


def test_evaluations_are_marked_and_joined():
    evals = Series()
    for x, y in ((1, 3.0), (50, 2.0), (100, 1.5)):
        evals.append(x, y)

    chart = chart_of(*[1.0] * 100, evals=evals)

    rows = drawn(chart)
    assert "".join(rows).count("◆") == 3
    assert len(columns_with_dots(rows[:10])) > 20


@pytest.mark.parametrize("size", [(1, 1), (5, 3), (12, 3), (14, 4), (20, 5)])
@pytest.mark.parametrize("values", [(), (1.0,), (1.0, NAN, 3.0), (2.0,) * 500])
def test_no_size_is_too_small(size, values):
    """U38"""
    data = chart_of(*values, marks=[(1.0, "C")], cross=1.0)

    assert all(len(row) <= size[0] for row in drawn(data, *size))


def test_an_empty_chart_says_what_it_waits_for():
    rows = drawn(chart_of(empty="No point yet. Now: loading model."))

    assert any("No point yet. Now: loading model." in row for row in rows)


def test_a_single_point_and_a_flat_line_are_drawn_off_the_edges():
    for values in ((2.0,), (2.0,) * 50, (0.0,) * 50):
        rows = drawn(chart_of(*values))
        filled = [y for y, row in enumerate(rows) if columns_with_dots([row])]
        assert len(filled) == 1
        assert 2 < filled[0] < 15


def test_a_higher_value_is_drawn_higher_and_labels_fall_downwards():
    rows = drawn(chart_of(*[float(n) for n in range(1, 101)]))

    left = min(y for y, row in enumerate(rows) if 0 in columns_with_dots([row]))
    right = min(y for y, row in enumerate(rows) if 80 - GUTTER - 2 in columns_with_dots([row]))
    assert right < left
    shown = [float(row[:LABEL_WIDTH]) for row in rows if "┤" in row]
    assert len(shown) >= 3
    assert shown == sorted(shown, reverse=True)


@pytest.mark.parametrize(
    "value",
    [0, 1, -1, 0.5, 1234.5, 9999.9, 12_000, 1.5e-4, -1.5e-4, 3.21e-12, 1e15, -9.87e200, 123_456.7,
     999_999.0, 5e-324],
)  # fmt: skip
def test_a_label_fits_its_place_and_says_the_number(value):
    text = label(value)

    assert len(text) <= LABEL_WIDTH
    units = {"k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
    factor = units.get(text[-1], 1)
    assert float(text.rstrip("kMGT")) * factor == pytest.approx(value, rel=5e-2, abs=1e-320)


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-3, 7), (1e-7, 2e-7), (0, 1e6), (0.999, 1.001)])
def test_ticks_are_round_and_inside(low, high):
    found = ticks(low, high, 5)

    assert 3 <= len(found) <= 13
    distance = found[1] - found[0]
    assert all(low - distance / 1e6 <= value <= high + distance / 1e6 for value in found)
    mantissa = float(f"{distance:e}".split("e")[0])
    assert mantissa == pytest.approx(1) or mantissa in (pytest.approx(2), pytest.approx(5))


def test_steps_have_whole_labels():
    assert all(value == int(value) for value in ticks(0, 3, 20, whole=True))


def test_padding_leaves_room_and_gives_a_flat_line_a_range():
    for low, high in ((1.0, 2.0), (0.0, 0.0), (5.0, 5.0), (-2.0, -2.0)):
        lower, upper = padded(low, high)
        assert lower < low and upper > high


def test_the_topmost_layer_colours_a_cell_and_a_mark_hides_its_dots():
    canvas = Canvas(3, 1)
    canvas.dot(0, 0, 1)
    canvas.dot(1, 3, 3)
    canvas.dot(2, 0, 2)
    canvas.mark(1, 0, "×", 5)
    canvas.dot(99, 99, 1)  # outside: left out

    assert canvas.row(0) == ("⢁× ", bytes([3, 5, 0]))


def test_a_spike_stays_in_sight_at_any_zoom_that_contains_it():
    """U41"""
    values = [1.0 + (n % 7) / 100 for n in range(100_000)]
    values[61_803] = 9.0
    data = chart_of(*values)
    for half in (40_000, 9_000, 700, 60, 6):
        view = View(window=(61_804.0 - half, 61_804.0 + half / 2), follows=False)
        rows = drawn(data, 100, 20, view)
        top = [index - GUTTER for index, letter in enumerate(rows[0]) if letter not in " │┤"]
        width = 100 - GUTTER - 1
        assert [column for column in top if column > 0] == [pytest.approx(width * 2 / 3, abs=1)], (
            half
        )


def test_a_line_goes_on_to_the_edges_of_what_is_seen():
    data = chart_of(*[float(n % 2) for n in range(10)])

    rows = drawn(data, 80, 20, View(window=(4.4, 4.6), follows=False))

    assert len(columns_with_dots(rows)) == 80 - GUTTER - 1


def test_a_held_window_never_moves_and_counts_what_came():
    """U42"""
    view = View(window=(100.0, 200.0), follows=False, held_at=300)
    line = series(*[2.0] * 300)
    data = ChartData("loss", [Line(line)], grows=True)
    said: list[object] = []

    def act(chart: LineChart) -> None:
        said.append((chart.x_range(), chart.badge()))
        for x in range(301, 351):
            line.append(x, 2.0)
        chart.redraw()
        said.append((chart.x_range(), chart.badge()))
        view.follow(350.0)
        said.append((chart.x_range(), chart.badge()))
        line.append(400, 2.0)
        said.append((chart.x_range(), chart.badge()))

    staged(data, act, view=view)
    assert said[0] == ((100.0, 200.0), "step · HELD")
    assert said[1] == ((100.0, 200.0), "step · HELD +50")
    (followed, badge), (later, _) = said[2], said[3]
    assert badge == "step · FOLLOW" and followed[1] >= 350 and followed[0] < 300
    for x0, x1 in (followed, later):
        assert x1 - x0 == pytest.approx(100)
    assert later[1] >= 400, "the view moved with the new point"


def test_new_points_move_what_is_drawn_only_now_and_then():
    """Principle 10: a scale that changes with every point would repaint everything."""
    view = View()
    edges = {view.shown(1.0, float(newest), True) for newest in range(1000, 2000)}

    assert len(edges) < 20
    assert all(x1 - x0 < 2000 * 1.13 for x0, x1 in edges)
    assert view.shown(1.0, 2000.0, False) == (1.0, 2000.0), "an ended run fills the width"


def test_zoom_keeps_the_place_of_the_crosshair_and_never_ends_in_nothing():
    view = View()
    for _ in range(60):
        view.zoom(True, view.window or (0.0, 1000.0), 250.0, 4.0)
        assert view.window
        x0, x1 = view.window
        assert (250 - x0) / (x1 - x0) == pytest.approx(0.25)
    assert view.window[1] - view.window[0] >= 4.0
    for _ in range(10):
        view.zoom(False, view.window or (0.0, 1000.0), 250.0, 4.0)
        view.keep_within(0.0, 1000.0, 1000)
    assert view.window is None and view.follows


def test_a_window_keeps_its_data_when_the_axis_changes():
    """U44"""
    steps, tokens = [float(n) for n in range(1, 101)], [500.0 * n for n in range(1, 101)]
    view = View(window=(20.0, 40.5), follows=False)

    view.along(steps, tokens)
    assert view.window == (pytest.approx(10_000), pytest.approx(20_250))
    view.along(tokens, steps)
    assert view.window == (pytest.approx(20.0), pytest.approx(40.5))


def test_a_logarithmic_scale_says_what_it_hides():
    """U45"""
    said: list[str] = []
    rows = staged(
        chart_of(1000.0, 0.0, 10.0, -3.0, 0.1, 0.0, 0.001),
        lambda chart: said.append(chart.badge()),
        view=View(log=True),
    )

    assert "3 points ≤ 0 hidden" in said[0]
    labels = [float(row[:LABEL_WIDTH].replace("k", "e3")) for row in rows if "┤" in row]
    assert len(labels) >= 3
    ratios = [a / b for a, b in pairwise(labels)]
    assert ratios == pytest.approx([ratios[0]] * len(ratios)), "equal distances are equal factors"


def test_a_logarithmic_scale_without_a_positive_value_stays_linear_and_says_so():
    """U45"""
    said: list[str] = []
    rows = staged(
        chart_of(0.0, -1.0, -2.0), lambda chart: said.append(chart.badge()), view=View(log=True)
    )

    assert "log scale needs positive values" in said[0]
    assert columns_with_dots(rows)


def test_clipping_leaves_outliers_out_of_the_scale_and_marks_them():
    values = [1.0 + (n % 10) / 100 for n in range(500)]
    values[100] = values[300] = 50.0
    values[400] = -50.0
    said: list[str] = []

    rows = staged(chart_of(*values), lambda chart: said.append(chart.badge()), view=View(clip=True))

    assert rows[0].count("▲") == 2 and rows[17].count("▼") == 1
    assert "CLIP 3" in said[0]
    assert max(float(row[:LABEL_WIDTH]) for row in rows if "┤" in row) < 2


def test_the_scale_grows_at_once_and_shrinks_only_when_a_third_of_it_is_free():
    """No flicker: a value that leaves the window does not move everything."""
    line = series(*[5.0, 1.0])
    data, tops = ChartData("loss", [Line(line)]), []
    view = View(window=(1.0, 10.0), follows=False)

    def top(chart: LineChart) -> float:
        assert chart._scale is not None
        return chart._scale.high

    def act(chart: LineChart) -> None:
        tops.append(top(chart))
        line.append(3, 6.0)
        chart.redraw()
        tops.append(top(chart))
        view.window = (2.0, 10.0)
        line.values.ys[2] = 5.0
        chart.redraw()
        tops.append(top(chart))
        line.values.ys[2] = 2.0
        chart.redraw()
        tops.append(top(chart))

    staged(data, act, view=view)
    assert tops[0] == pytest.approx(5.12)
    assert tops[1] == tops[2] == pytest.approx(6.15), "grown at once, and kept"
    assert tops[3] == pytest.approx(2.03)


def test_marks_stand_under_their_place_and_crowded_ones_merge():
    """U46"""
    marks = [(1.0, "C"), (50.0, "E"), (50.2, "C"), (100.0, "P")]
    tall = drawn(chart_of(*[1.0] * 100, marks=marks), 80, 20)
    low = drawn(chart_of(*[1.0] * 100, marks=marks), 80, 11)

    width = 80 - GUTTER - 1
    expected = {0: "C", round(49 / 99 * (2 * width - 1)) // 2: "+", width - 1: "P"}
    for row in (tall[19], low[9]):
        found = {at - GUTTER: row[at] for at in range(GUTTER, 79) if row[at] not in " ─"}
        assert found == expected
    assert tall[19].startswith("  marks")


def test_a_rare_mark_is_seen_among_frequent_ones():
    marks = [(50.0, "E"), (50.1, "L"), (50.2, "C"), (50.3, "E"), (80.0, "L"), (80.0, "!")]

    found = drawn(chart_of(*[1.0] * 100, marks=marks), 80, 20)[19][GUTTER:].split()

    assert found == ["L", "+"]


def test_the_crosshair_stands_behind_the_line_and_on_the_axis():
    rows = drawn(chart_of(*[float(n) for n in range(100)], cross=50.0), 80, 20)

    column = GUTTER + round(49 / 99 * (2 * (80 - GUTTER - 1) - 1)) // 2
    assert [row[column] for row in rows[:18]].count("│") >= 15
    assert rows[18][column] == "┴"
    assert any(0x2800 < ord(row[column]) <= 0x28FF for row in rows), "the line is seen all the same"


def test_time_that_was_left_out_is_marked():
    """U44"""
    rows = drawn(chart_of(*[1.0] * 100, breaks=[50.0], axis=TIME), 80, 20)

    column = GUTTER + round(49 / 99 * (2 * (80 - GUTTER - 1) - 1)) // 2
    assert [row[column] for row in rows[:17]].count("┊") >= 15
    assert "time" in rows[19] and "0:30" in rows[19]


def test_several_lines_keep_apart_without_colour():
    """U65: each has its stroke and its letter."""
    lines = [Line(series(*[float(at)] * 100), name=name) for at, name in enumerate("xyz")]
    chart = LineChart()
    data = ChartData("share", lines)
    chart.show(data)

    rows = drawn(data, 80, 20)

    strokes = {"".join(row[GUTTER:70]) for row in rows if columns_with_dots([row])}
    assert len(strokes) == 3
    assert sorted(letter for row in rows for letter in row if letter in "ABC") == ["A", "B", "C"]
    assert "A x ━  B y ╍  C z ┄" in chart.legend()


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (-3.0, 3.0, [0.001, 0.01, 0.1, 1, 10, 100, 1000]),
        (0.0, 1.0, [1, 2, 5, 10]),
        (0.08, 0.45, [1.5, 2, 2.5]),
    ],
)
def test_logarithmic_ticks_are_round(low, high, expected):
    found = [10**tick for tick in log_ticks(low, high, 8)]

    assert all(any(value == pytest.approx(each) for value in found) for each in expected)
    assert len(found) <= 9 and all(low <= math.log10(value) <= high for value in found)


def test_times_have_ticks_and_labels_of_a_clock():
    assert [clock_label(t) for t in clock_ticks(0, 3000, 6)] == [
        "0:00", "10:00", "20:00", "30:00", "40:00", "50:00",
    ]  # fmt: skip
    assert clock_label(3 * 86_400 + 3600) == "3d 1:00" and clock_label(3725) == "1:02:05"
    assert len(clock_ticks(0, 86_400 * 900, 6)) < 30


@pytest.mark.timing
@pytest.mark.parametrize(
    ("charts", "size", "most_s"), [(1, (160, 45), 0.020), (4, (200, 50), 0.060)]
)
def test_100000_points_each_are_redrawn_in_a_moment(charts, size, most_s):
    """U58: by the processor's time, as others share the machine."""
    values = [2.5 - n / 1e5 + (n * 37 % 101) / 400 for n in range(100_000)]
    line = series(*values)
    data = ChartData("loss", [Line(line, line.average(0.9))], weight=0.9)
    times: list[float] = []

    class Stage(App[None]):
        CSS = f"Screen {{ layout: grid; grid-size: {min(charts, 2)}; }}"

        def compose(self):
            for _ in range(charts):
                yield LineChart()

    async def main() -> None:
        app = Stage()
        async with app.run_test(size=size) as pilot:
            shown = list(app.query(LineChart))
            for chart in shown:
                chart.show(data)
            await pilot.pause()
            for more in range(1, 9):
                line.append(100_000 + more, 1.5 + more / 10)  # all that is seen moves
                line.average(0.9)
                began = time.thread_time()
                for chart in shown:
                    chart.redraw()
                    chart.render_line(0)
                times.append(time.thread_time() - began)

    asyncio.run(main())
    took = statistics.median(times)
    print(f"redraw of {charts} × 100,000 points at {size}: median {took * 1e3:.1f} ms")
    assert took < most_s


def test_only_cells_that_look_different_are_painted_again(monkeypatch):
    """Principle 10: quiet on the wire."""
    asked: list[tuple] = []
    data = chart_of(*[2.0 - n / 100 for n in range(100)], grows=True)

    class Stage(App[None]):
        def compose(self):
            yield LineChart(id="chart")

    async def main() -> None:
        app = Stage()
        async with app.run_test(size=(80, 20)) as pilot:
            chart = app.query_one(LineChart)
            chart.show(data)
            await pilot.pause()
            monkeypatch.setattr(chart, "refresh", lambda *rows: asked.append(rows))
            chart.show(data)
            assert not asked, "nothing changed"
            before = [chart.render_line(y).text for y in range(20)]
            data.lines[0].raw.append(101, 1.5)
            chart.show(data)
            after = [chart.render_line(y).text for y in range(20)]
            differ = {(x, y) for y in range(20) for x in range(80) if before[y][x] != after[y][x]}
            painted = {(x, row.y) for row in asked[0] for x in range(row.x, row.right)}
            assert differ and differ <= painted
            assert len(painted) < 60, "a few cells, not the rows"

    asyncio.run(main())


def test_labels_of_an_axis_differ_however_far_it_is_zoomed_in():
    assert labels([1.3, 1.4]) == ["1.3", "1.4"]
    assert labels([1.3162, 1.31622, 1.31624]) == ["1.3162", "1.31622", "1.31624"]
    assert labels([12_340.2, 12_340.4]) == ["12.34k", ""], "there is no room to tell them apart"
