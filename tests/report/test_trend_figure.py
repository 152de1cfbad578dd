"""The figure of trends at two widths: legible, dated, read across, honest in its title."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from small_models import ATTRIBUTES, DATA

from ivbpr_numba import TVBPR, Features
from ivbpr_numba.questions.refits import Spread, chance_of
from ivbpr_numba.questions.seasons import YEAR, seasons
from ivbpr_numba.questions.trends import Trends
from ivbpr_numba.report.drawing import Picture
from ivbpr_numba.report.item_pictures import ItemPicture
from ivbpr_numba.report.numbers import group_words, signed
from ivbpr_numba.report.trend_axes import season_bands
from ivbpr_numba.report.trend_figure import NARROW, WIDE, trend_figure
from ivbpr_numba.report.trend_words import headline, wrapped

SVG = "{http://www.w3.org/2000/svg}"
START = 1_537_401_600  # 2018-09-20
BLUE, YELLOW = "#edf3f9", "#fbf3e2"


def planted(years: float = 2.02, epochs: int = 16, features: int = 9, seed: int = 0) -> Trends:
    """Feature 0 rises, 1 falls, 2 is highest in June, 3 in December, the others are noise."""
    edges = (START + np.linspace(0, years, epochs + 1) * YEAR).astype(np.int64)
    middle = ((edges[:-1] + edges[1:]) / 2 / YEAR)[:, None]
    rng = np.random.default_rng(seed)
    response = rng.normal(0, 0.05, (epochs, features))
    slow = middle - middle.mean()
    moves = [0.6 * slow, -0.5 * slow, *(0.8 * np.cos(2 * np.pi * (middle - peak)) for peak in (0.45, 0.95))]
    for k, move in enumerate(moves[:features]):
        response[:, k] += move[:, 0]
    change = response - response.mean(axis=0)
    names = [f"product_type_name=Kind {k}" for k in range(features)]
    return Trends(
        "i-tvbpr", edges, np.full(epochs, 300), 484, False, names, ["product_type_name"] * features,
        response, response, response - 0.1, response + 0.1, change, change - 0.1, change + 0.1,
        also=[["department_name=Kind 0", "garment_group_name=Kinds"], *[[]] * (features - 1)],
    )  # fmt: skip


def texts(svg: str) -> list[tuple[float, float, str, float]]:
    """x, y, text, size."""
    drawn = ElementTree.fromstring(svg)
    return [
        (float(t.attrib["x"]), float(t.attrib["y"]), str(t.text), float(t.attrib["font-size"]))
        for t in drawn.iter(f"{SVG}text")
    ]


def pictures(found: Trends) -> dict[str, list[ItemPicture]]:
    return {name: [ItemPicture(f"{name}{n}", b"jpeg", 96, 144) for n in range(4)] for name in found.features}


@pytest.mark.parametrize("narrow", [False, True])
@pytest.mark.parametrize("pictured", [False, True])
@pytest.mark.parametrize("features", [1, 3, 9])
def test_everything_is_legible_and_inside(narrow: bool, pictured: bool, features: int) -> None:
    found = planted(features=features)
    drawing = trend_figure(found, pictures(found) if pictured else None, False, "model.h5", narrow)
    assert drawing.width == (NARROW if narrow else WIDE)
    written = texts(drawing.svg())
    assert min(size for *_, size in written) >= 11
    for x, y, text, size in written:
        assert 0 <= x <= drawing.width and 0 < y < drawing.height, text
        assert x + 0.35 * size * len(text) < drawing.width or x > drawing.width / 2, text
    for part in drawing.parts:
        if isinstance(part, Picture):
            assert part.x >= 0 and part.x + part.width <= drawing.width
            assert part.width / part.height == pytest.approx(96 / 144)


def test_panels_are_read_across_and_each_has_dates() -> None:
    found = planted()
    written = texts(trend_figure(found).svg())
    where = [next((x, y) for x, y, text, _ in written if text == f"Kind {k}") for k in range(9)]
    for k in range(0, 8, 2):
        assert where[k][1] == where[k + 1][1] and where[k][0] < where[k + 1][0]
        assert where[k + 2][1] > where[k][1] and where[k + 2][0] == where[k][0]
    years = [(x, y) for x, y, text, _ in written if text in ("Jan 2019", "2019")]
    assert len(years) == 9 and len({x for x, _ in years}) == 2


def test_numbers_at_the_right_end_are_the_last_changes() -> None:
    found = planted(features=9)
    written = texts(trend_figure(found).svg())
    bold = [text for x, _, text, size in written if size == 12 and text[0] in "+\N{MINUS SIGN}0"]
    assert bold == [signed(value) for value in found.change[-1].tolist()]


def test_the_title_states_what_is_seen() -> None:
    drawing = trend_figure(planted())
    assert drawing.title == (
        "Kind 0 up, Kind 1 down since September 2018; Kind 2 highest in June, Kind 3 highest in December"
    )
    said = " ".join(text for _, _, text, _ in texts(drawing.svg()))
    assert "trend +0.6" in said and "season ±0.8" in said and "on the year before" in said
    assert "also department Kind 0, garment group Kinds" in said and "product type" in said
    assert "_name" not in said
    noise = planted()
    noise = replace(noise, response=np.random.default_rng(1).normal(0, 0.05, noise.response.shape))
    assert trend_figure(noise).title == "The liking of 9 features, September 2018 – September 2020"


def test_the_surest_season_leads() -> None:
    """Kind 2 swings less than kind 3, but with far less left over."""
    found = planted()
    response = found.response.copy()
    response[:, 2] = 0.5 * (response[:, 2] - np.random.default_rng(0).normal(0, 0.05, response.shape)[:, 2])
    title = trend_figure(replace(found, response=response)).title
    assert title.endswith("Kind 2 highest in June, Kind 3 highest in December")


def test_a_season_barely_beyond_the_band_of_refits_makes_no_headline() -> None:
    found = planted()
    told = seasons(found)
    half = np.full(len(found.features), 0.2)
    half[2] = 0.95 * told.season[2]
    sure = replace(found, spread=Spread(8))
    assert headline(sure, replace(told, season_half=half)).endswith("; Kind 3 highest in December")
    assert chance_of(1.0, 8) == pytest.approx(0.05) and chance_of(3.0, 8) < 0.01


def test_a_winter_and_a_summer_make_no_headline() -> None:
    """Two epochs that differ by far more than their bands: it may be the season."""
    found = planted(years=1.5, epochs=3)
    drawing = trend_figure(found)
    assert drawing.title == "The liking of 9 features, September 2018 – March 2020"
    assert "Seasons are not told from trends here: the data span 1.5 years" in drawing.text
    few = trend_figure(planted(epochs=5))
    assert "5 learned epochs in 2.0 years are too few" in few.text and "--epochs 12" in few.text


def test_few_curves_share_axes_and_many_steps_do_not() -> None:
    together = texts(trend_figure(planted(epochs=9, features=4)).svg())
    assert sum(text == "Jan 2019" for *_, text, _ in together) == 1
    apart = texts(trend_figure(planted(epochs=16, features=4)).svg())
    assert sum(text in ("Jan 2019", "2019") for *_, text, _ in apart) == 4


def test_bands_are_the_months_they_say() -> None:
    found = planted()
    bands = season_bands(found.edges)
    days = [
        (str(np.datetime64(a, "s"))[:10], str(np.datetime64(b, "s"))[:10], colour) for a, b, colour in bands
    ]
    assert days == [
        ("2018-12-01", "2019-03-01", BLUE),
        ("2019-06-01", "2019-09-01", YELLOW),
        ("2019-12-01", "2020-03-01", BLUE),
        ("2020-06-01", "2020-09-01", YELLOW),
    ]
    assert season_bands(planted(years=0.8).edges) == [] and season_bands(planted(years=40).edges) == []
    inside = season_bands((START + np.array([90, 800]) * 86_400).astype(np.int64))
    assert inside[0][0] == START + 90 * 86_400  # cut at the first edge
    svg = trend_figure(planted(epochs=9, features=2)).svg()
    assert svg.count(BLUE) == 2 and svg.count(YELLOW) == 2 and "December to February" in svg
    assert "December to February" not in trend_figure(planted(years=0.8)).svg()


def test_the_source_line() -> None:
    said = trend_figure(planted(), source="shop.h5").text
    assert (
        "Source: shop.h5 (i-tvbpr), fitted to 4,800 purchases of 484 users, 2018-09-20 to 2020-09-2" in said
    )


@pytest.mark.parametrize(
    ("group", "words"),
    [
        ("product_type_name", "product type"),
        ("perceived_colour_master_name", "perceived colour master"),
        ("garment", "garment"),
        ("name", "name"),
        ("colour group", "colour group"),
    ],
)
def test_groups_have_human_names(group: str, words: str) -> None:
    assert group_words(group) == words


def test_wrapping_keeps_every_word() -> None:
    text = "one two three four five six seven eight nine ten"
    lines = wrapped(text, 12, 80)
    assert len(lines) > 2 and " ".join(lines) == text
    assert wrapped("", 12, 80) == [] and wrapped("a" * 99, 12, 80) == ["a" * 99]


def test_the_command_draws_narrow(ivbpr: Callable[..., Any], tmp_path: Path) -> None:
    ATTRIBUTES.write(tmp_path / "f.h5")
    TVBPR(epochs=2, iterations=2, eval_every=1, segment_every=1).fit(
        DATA, Features.read(tmp_path / "f.h5"), out=tmp_path / "m.h5"
    )
    done = ivbpr("trends", tmp_path / "m.h5", "--plot", tmp_path / "t.svg", "--narrow")
    assert done.code == 0
    root = ElementTree.parse(tmp_path / "t.svg").getroot()
    assert root.attrib["width"] == "390" or float(root.attrib["width"]) == NARROW
    assert "m.h5 (i-tvbpr)" in "".join(root.itertext())
    done = ivbpr("trends", tmp_path / "m.h5", "--narrow")
    assert done.code == 2 and "--plot" in done.err
