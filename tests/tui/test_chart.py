"""The chart: every point counts, gaps stay gaps, and drawing is quick."""

import asyncio
import math
import random
import statistics
import time

import pytest
from textual.app import App

from sft_tui.tui.widgets.chart.axis import LABEL_WIDTH, label, padded, ticks
from sft_tui.tui.widgets.chart.braille import Canvas
from sft_tui.tui.widgets.chart.line_chart import ChartData, LineChart
from sft_tui.tui.widgets.chart.series import Series, Smoothed

NAN = float("nan")
GUTTER = LABEL_WIDTH + 2


def series(*values: float | None) -> Series:
    """Returns a series with the values at 1, 2, 3…"""
    made = Series()
    for x, y in enumerate(values, 1):
        made.append(x, y)
    return made


def smoothed(source: Series, weight: float = 0.9) -> Smoothed:
    made = Smoothed(source, weight)
    made.catch_up()
    return made


def drawn(data: ChartData, width: int = 80, height: int = 20) -> list[str]:
    """Returns the rows of a chart of that size."""
    rows: list[str] = []

    class Stage(App[None]):
        CSS = "LineChart { width: 1fr; height: 1fr; }"

        def compose(self):
            yield LineChart(id="chart")

    async def main() -> None:
        app = Stage()
        async with app.run_test(size=(width, height)) as pilot:
            chart = app.query_one(LineChart)
            chart.show(data)
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

    rows = drawn(ChartData("loss", series(*values)), 160, 45)

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
    for x, y in zip(made.xs, made.ys, strict=True):
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

    rows = drawn(ChartData("loss", series(*values)), 80, 20)

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

    rows = drawn(ChartData("loss", series(*values)), 80, 20)

    width = 80 - GUTTER - 1
    assert not columns_with_dots(rows) & set(range(width // 4 + 2, width // 2 - 2))


def test_what_is_not_finite_never_widens_the_axis():
    """U39"""
    assert series(1.0, math.inf, 2.0, -math.inf, NAN).bounds(1, 5) == (1.0, 2.0)


def test_the_legend_counts_what_is_not_finite():
    """U39"""
    chart = LineChart()
    chart.show(ChartData("loss", series(1.0, NAN, 2.0)))
    assert "1 NaN" in chart.legend()

    chart.show(ChartData("loss", series(1.0, 2.0)))
    assert "NaN" not in chart.legend()


def test_only_values_that_are_not_finite_draw_crosses_and_no_line():
    rows = drawn(ChartData("loss", series(NAN, NAN, NAN)))

    assert "".join(rows).count("×") == 3
    assert not columns_with_dots(rows)


def test_the_average_is_corrected_for_its_start_and_goes_on_after_a_gap():
    """U39"""
    values = [3.0, 1.0, 2.0, NAN, 5.0, 4.0]

    average = smoothed(series(*values), 0.6)

    finite = [y for y in values if y == y]
    for n in range(1, len(finite) + 1):
        weights = [0.6 ** (n - 1 - i) for i in range(n)]
        expected = sum(w * y for w, y in zip(weights, finite, strict=False)) / sum(weights)
        assert average.ys[n - 1] == pytest.approx(expected)
    assert list(average.xs) == [1, 2, 3, 5, 6]


def test_the_average_takes_only_what_is_new():
    source = series(3.0, 1.0)
    average = smoothed(source)
    source.append(3, 2.0)
    average.catch_up()
    average.catch_up()

    assert len(average) == 3
    assert list(average.ys) == list(smoothed(source).ys)


def test_an_unknown_value_leaves_nothing_and_no_gap():
    """U40"""
    made = series(1.0, None, 2.0)

    assert list(made.ys) == [1.0, 2.0]
    assert not made.bad
    assert made.starts == {0}


def test_superseded_points_are_dots_beside_the_line():
    """U47"""
    lone = series(*[5.0] * 5)
    rows = drawn(ChartData("loss", series(*[1.0] * 100), superseded=lone), 80, 20)

    top = [row for row in rows[:3] if columns_with_dots([row])]
    assert len(top) == 1
    assert len(columns_with_dots(top)) in (4, 5), "single dots, not a joined line"


def test_evaluations_are_marked_and_joined():
    evals = Series()
    for x, y in ((1, 3.0), (50, 2.0), (100, 1.5)):
        evals.append(x, y)

    chart = ChartData("loss", series(*[1.0] * 100), evals=evals)

    rows = drawn(chart)
    assert "".join(rows).count("◆") == 3
    assert len(columns_with_dots(rows[:10])) > 20


@pytest.mark.parametrize("size", [(1, 1), (5, 3), (12, 3), (14, 4), (20, 5)])
@pytest.mark.parametrize("values", [(), (1.0,), (1.0, NAN, 3.0), (2.0,) * 500])
def test_no_size_is_too_small(size, values):
    """U38"""
    data = ChartData("loss", series(*values))

    assert all(len(row) <= size[0] for row in drawn(data, *size))


def test_an_empty_chart_says_what_it_waits_for():
    rows = drawn(ChartData("loss", Series(), empty="No point yet. Now: loading model."))

    assert any("No point yet. Now: loading model." in row for row in rows)


def test_a_single_point_and_a_flat_line_are_drawn_off_the_edges():
    for values in ((2.0,), (2.0,) * 50, (0.0,) * 50):
        rows = drawn(ChartData("loss", series(*values)))
        filled = [y for y, row in enumerate(rows) if columns_with_dots([row])]
        assert len(filled) == 1
        assert 2 < filled[0] < 15


def test_a_higher_value_is_drawn_higher_and_labels_fall_downwards():
    rows = drawn(ChartData("loss", series(*[float(n) for n in range(1, 101)])))

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

    assert canvas.row(0) == [("⢁", 3), ("×", 5), (" ", 0)]


@pytest.mark.timing
def test_100000_points_are_redrawn_in_a_moment():
    """U58: at most 20 ms at 160×45 on an idle core; twice that here."""
    values = [2.5 - n / 1e5 + (n * 37 % 101) / 400 for n in range(100_000)]
    data = ChartData("loss", series(*values))
    data.ema = smoothed(data.raw)
    times: list[float] = []

    class Stage(App[None]):
        def compose(self):
            yield LineChart(id="chart")

    async def main() -> None:
        app = Stage()
        async with app.run_test(size=(160, 45)):
            chart = app.query_one(LineChart)
            chart.show(data)
            for _ in range(5):
                chart.redraw()
                began = time.perf_counter()
                chart.render_line(0)
                times.append(time.perf_counter() - began)

    asyncio.run(main())
    print(f"redraw of 100,000 points: median {statistics.median(times) * 1e3:.1f} ms")
    assert statistics.median(times) < 0.040


def test_only_rows_that_look_different_are_painted_again(monkeypatch):
    """Principle 10: quiet on the wire."""
    asked: list[tuple] = []
    data = ChartData("loss", series(*[2.0 - n / 100 for n in range(100)]))

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
            data.raw.append(101, 1.5)
            chart.show(data)
            after = [chart.render_line(y).text for y in range(20)]
            assert {row.y for row in asked[0]} == {y for y in range(20) if before[y] != after[y]}

    asyncio.run(main())
    assert 0 < len(asked[0]) < 20
