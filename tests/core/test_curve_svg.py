"""The curve is well-formed, its points lie where its ticks say, and gaps stay gaps."""

import math
from xml.etree import ElementTree

import pytest

from sft_tui.core.curve_svg import curve_svg
from tests.drawn import SVG, lines, scale


def drawn(*curves, **more):
    return ElementTree.fromstring(curve_svg(*curves, **more))


@pytest.mark.parametrize(
    "curve",
    [
        [(1, 2.5), (2, 1.25), (3, 0.5)],
        [(100, 1e-4), (5000, 3e-4)],
        [(1, 700.0), (1_000_000, 3.0)],
        [(7, 1.0), (8, 1.0)],
    ],
)
def test_points_lie_where_the_ticks_say(curve):
    root = drawn(curve, [])
    x, y = scale(root, "x"), scale(root, "y")
    (line,) = lines(root, "train")
    high = max(loss for _, loss in curve) - min(loss for _, loss in curve) or 1.0
    for (px, py), (step, loss) in zip(line, curve, strict=True):
        assert x(px) == pytest.approx(step, abs=curve[-1][0] / 300)
        assert y(py) == pytest.approx(loss, abs=high / 100)
        assert 0 <= px <= 760 and 0 <= py <= 380


def test_values_that_are_not_finite_leave_gaps():
    curve = [(1, 3.0), (2, 2.0), (3, math.nan), (4, math.inf), (5, 1.0), (6, 0.9), (7, math.nan)]
    root = drawn(curve, [(0, 3.0), (3, math.nan), (6, 1.0)])
    assert [len(line) for line in lines(root, "train")] == [2, 2]
    dots = [dot for dot in root.iter(f"{SVG}circle") if dot.attrib["class"] == "evaluation"]
    assert len(dots) == 2 and not lines(root, "evaluation")
    assert "nan" not in ElementTree.tostring(root).decode().lower()


def test_a_long_curve_is_thinned_and_keeps_its_gap_and_its_ends():
    curve = [(step, 1 + step / 50_000) for step in range(1, 50_001)]
    curve[25_000] = (25_001, math.nan)
    found = lines(drawn(curve, []), "train")
    assert len(found) == 2 and 900 <= sum(map(len, found)) <= 1100


@pytest.mark.parametrize("curve", [[], [(1, math.nan)]])
def test_a_run_without_a_finite_loss_is_a_picture_that_says_so(curve):
    assert "no finite loss" in ElementTree.tostring(drawn(curve, [])).decode()


def test_steps_have_whole_numbers_and_titles_are_text():
    root = drawn([(1, 1.0), (2, 0.5), (3, 0.4)], [], title="<b>&x")
    ticks = [text.text for text in root.iter(f"{SVG}text") if text.get("class") == "x"]
    assert all(float(tick or "x").is_integer() for tick in ticks)
    assert root.findtext(f"{SVG}title") == "<b>&x"
    names = {text.text for text in root.iter(f"{SVG}text")}
    assert {"training", "step", "loss"} <= names and "evaluation" not in names
