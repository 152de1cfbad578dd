"""The learning curve: its points, the best one, and what stopped the fit."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from ivbpr_numba.report.learning_figure import BOTTOM, LEFT, RIGHT, TOP, learning_figure

SVG = "{http://www.w3.org/2000/svg}"


def rows(*values: float | None) -> list[dict[str, float | int | None]]:
    return [{"iteration": 5 * (n + 1), "valid_auc": value} for n, value in enumerate(values)]


def test_the_curve_goes_through_its_points() -> None:
    values = [0.61, 0.7, 0.78, 0.74, 0.75]
    drawing = learning_figure(rows(*values), "bpr-mf", 100, 10)
    assert drawing is not None
    assert drawing.text == "Best 0.7800 at iteration 15; stopped 10 later (patience 10)."
    tree = ElementTree.fromstring(drawing.svg())
    line = next(one for one in tree.iter(f"{SVG}polyline") if one.get("data-name") == "validation AUC")
    points = [tuple(map(float, pair.split(","))) for pair in line.attrib["points"].split()]
    assert points[-1][0] == RIGHT and points[2][1] == min(y for _, y in points)
    slope = (points[1][1] - points[0][1]) / (values[1] - values[0])
    for n, (x, y) in enumerate(points):
        assert x == pytest.approx(LEFT + (RIGHT - LEFT) * 5 * (n + 1) / 25, abs=0.01)
        assert y == pytest.approx(points[0][1] + slope * (values[n] - values[0]), abs=0.02)
        assert TOP <= y <= BOTTOM
    sizes = [float(text.attrib["font-size"]) for text in tree.iter(f"{SVG}text")]
    assert min(sizes) * 390 / 640 >= 7.9  # on a phone the whole figure is two thirds as large


def test_a_fit_that_ran_to_its_end_was_not_stopped() -> None:
    drawing = learning_figure(rows(0.6, 0.7), "vbpr", 10, 30)
    assert drawing is not None and drawing.text.endswith("ran to 10.") and "users" not in drawing.svg()
    of_a_sample = learning_figure(rows(0.6, 0.7), "vbpr", 10, 30, asked=10_000)
    assert of_a_sample is not None and "validation AUC by iteration, 10,000 users" in of_a_sample.svg()
    alone = learning_figure(rows(0.7), "vbpr", 5)
    assert alone is not None and "0.7000 at iteration 5" in alone.text


def test_no_curve_of_nothing() -> None:
    assert learning_figure([], "pop", 0) is None
    assert learning_figure(rows(None, None), "bpr-mf", 10) is None
