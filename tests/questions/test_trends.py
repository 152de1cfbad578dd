"""Trends: equation 8 and the identified response, the command, and the figure that shows the data."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from small_models import ATTRIBUTES, DATA, DENSE, NAMES
from small_models import changed as with_parts

from ivbpr_numba import TVBPR, VBPR, EnvironmentProblem, Features, UsageError, load, trends
from ivbpr_numba.answers.explaining import sensitivities
from ivbpr_numba.features.layout import Columns, Group
from ivbpr_numba.models.epochs import epoch_of
from ivbpr_numba.questions.trends import measure
from ivbpr_numba.report.time_axis import time_ticks
from ivbpr_numba.report.trend_figure import few_events, trend_figure

Run = Callable[..., Any]
SVG = "{http://www.w3.org/2000/svg}"
KEYS = [
    *("epoch", "from", "to", "events", "feature", "group", "influence", "response", "low", "high"),
    *("change", "change_low", "change_high", "certain"),
]


def fit(features: Features = ATTRIBUTES, **options: Any) -> TVBPR:
    given = {"epochs": 3, "iterations": 8, "eval_every": 2, "segment_every": 2, **options}
    return TVBPR(**given).fit(DATA, features)


@cache
def example() -> TVBPR:
    """The model that most tests ask, with multipliers other than one; not to be changed."""
    return fit(feature_scaling="idf")


def changed(model: TVBPR, **arrays: np.ndarray) -> TVBPR:
    other = fit(iterations=2)
    return with_parts(other, features=model.features_, parameters=replace(model.parameters_, **arrays))


def mean_of_sensitivities(model: TVBPR, epoch: int, users: np.ndarray) -> np.ndarray:
    assert model.features_ is not None
    now = model.parameters_.at(epoch)
    return np.mean(
        [sensitivities(now, model.features_, now.user_visual[int(u)]).centred for u in users], axis=0
    )


# --- the two figures ---------------------------------------------------------------------------------------


def test_influence_is_equation_8() -> None:
    p, record = example().parameters_, example().features_
    assert record is not None and record.scaling.multiplier.std() > 0
    values = p.embedding.astype(np.float64) * record.scaling.multiplier  # on the file's values
    found = measure(example())
    np.testing.assert_allclose(found.influence, p.weight.astype(np.float64) @ values, rtol=1e-12)
    assert found.features == NAMES and found.groups == ["side", "side", "hue", "hue", "hue"]


@pytest.mark.parametrize("users", ["all", "active"])
def test_response_is_the_mean_sensitivity(users: str) -> None:
    found = measure(example(), users=users)
    train, valid = DATA.train, DATA.valid
    who = np.concatenate([train.users, valid.users])
    epochs = epoch_of(np.concatenate([train.times, valid.times]), example().parameters_.epoch_edges)
    for epoch in range(3):
        rows = np.unique(who[epochs == epoch]) if users == "active" else np.arange(len(DATA.users))
        assert 0 < len(rows) and (users == "all" or len(rows) < len(DATA.users))
        expected = mean_of_sensitivities(example(), epoch, rows)
        np.testing.assert_allclose(found.response[epoch], expected, rtol=1e-9, atol=1e-12)
        assert found.events[epoch] == np.count_nonzero(epochs == epoch)
    assert found.events.sum() == len(train) + len(valid)
    np.testing.assert_allclose(found.change.mean(axis=0), 0, atol=1e-12)


def test_groups_are_centred_and_free_of_a_constant() -> None:
    record = example().features_
    assert record is not None
    found = measure(example())
    constant = np.zeros_like(example().parameters_.bias_drift)
    constant[1, 2:] = 0.7 / record.scaling.multiplier[2:]
    drift = example().parameters_.drift + 0
    drift[2, :, :2] += 0.3 / record.scaling.multiplier[:2]
    other = measure(changed(example(), bias_drift=example().parameters_.bias_drift + constant, drift=drift))
    np.testing.assert_allclose(other.response, found.response, atol=1e-5)
    for group in record.groups:
        part = slice(group.offset, group.offset + group.size)
        total = (found.response[:, part] * record.scaling.mean[part]).sum(axis=1)
        assert np.abs(total).max() < 1e-12 and np.abs(found.response[:, part]).min() > 1e-4


def test_influence_is_not_identified_but_response_is() -> None:
    """θ/c, c E, c ΔE in one visual factor score alike."""
    p, c = example().parameters_, np.ones(40, np.float32)
    c[3] = 8.0
    other = changed(
        example(),
        user_visual=p.user_visual / c,
        embedding=p.embedding * c[:, None],
        drift=p.drift * c[:, None],
    )
    users = [DATA.users[4], DATA.users[31]]
    np.testing.assert_allclose(other.scores(users), example().scores(users), rtol=1e-5, atol=1e-5)
    one, two = measure(example()), measure(other)
    np.testing.assert_allclose(two.response, one.response, atol=1e-6)
    assert np.abs(two.influence - one.influence).max() > 0.1 * np.abs(one.influence).max()


# --- which features, which rows ----------------------------------------------------------------------------


def test_rows_and_dates() -> None:
    rows = trends(example(), ["red", "side=left", "hue=red"])
    assert [row["feature"] for row in rows] == ["hue=red"] * 3 + ["side=left"] * 3
    assert all(list(row) == KEYS for row in rows) and [row["epoch"] for row in rows[:3]] == [0, 1, 2]
    assert trends(example(), "red") == rows[:3]
    assert all(row["low"] is None and row["high"] is None for row in trends(example(), "red", fits=0))
    edges = example().parameters_.epoch_edges
    found = measure(example())
    for (first, last), start, stop in zip(found.dates, edges, edges[1:]):
        seconds = np.array([first, last], dtype="datetime64[s]").astype(np.int64)
        if np.diff(edges).min() < 2 * 86_400:
            assert seconds.tolist() == [start, stop - 1]
    day = 86_400
    halves = replace(found, edges=np.array([day // 2, 10 * day + day // 2, 20 * day, 30 * day + 1]))
    assert halves.dates == [
        ("1970-01-01", "1970-01-11"),
        ("1970-01-12", "1970-01-20"),
        ("1970-01-21", "1970-01-31"),
    ]
    scorer = example().scorer()
    for n, span in enumerate(halves.dates):  # the date given back as --at finds the epoch
        moments = np.array(span, dtype="datetime64[s]").astype(np.int64)
        assert replace(scorer, edges=halves.edges).epochs(moments).tolist() == [n, n]  # type: ignore[type-var]


def test_top_are_those_that_change_most_and_that_enough_items_have() -> None:
    found = measure(example())
    weight = found.events / found.events.sum()
    spread = np.sqrt((weight[:, None] * (found.response - weight @ found.response) ** 2).sum(axis=0))
    order = [NAMES[k] for k in np.argsort(-spread, kind="stable")]
    assert measure(example(), top=2).features == order[:2]
    assert measure(example(), [order[4]], top=2).features == [order[4], *order[:2]]
    assert measure(example(), [order[0]], top=1).features == order[:1]
    rare = changed(example())
    assert rare.features_ is not None
    mean = rare.features_.scaling.mean + 0
    mean[NAMES.index(order[0])] = 4.4 / len(DATA.items)
    rare.features_ = replace(rare.features_, scaling=replace(rare.features_.scaling, mean=mean))
    assert order[0] not in measure(rare, top=99).features
    assert measure(rare, [order[0]]).features == [order[0]]
    dense = measure(fit(DENSE), top=3)
    assert len(dense.features) == 3 and dense.groups == ["dense"] * 3


def test_the_feature_file_is_not_needed(tmp_path: Path) -> None:
    ATTRIBUTES.write(tmp_path / "f.h5")
    TVBPR(epochs=2, iterations=2, eval_every=1, segment_every=1).fit(
        DATA, Features.read(tmp_path / "f.h5"), out=tmp_path / "m.h5"
    )
    (tmp_path / "f.h5").unlink()
    assert len(trends(load(tmp_path / "m.h5"))) == 2 * len(NAMES)


def test_names_are_found_as_people_type_them() -> None:
    columns = Columns(["a=x", "a=y", "b=x", "5"], [Group("a", 0, 2, True), Group("b", 2, 1, True)])
    assert [columns.find(name) for name in ("a=x", "y", "b=x", "5")] == [0, 1, 2, 3]
    with pytest.raises(UsageError, match="'a=x' or 'b=x'"):
        columns.find("x")
    with pytest.raises(UsageError, match="mean 'a=y'"):
        columns.find("a=yy")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"features": ["reed"]}, "mean 'red'"),
        ({"users": "activ"}, "mean 'active'"),
        ({"top": 0}, "top=0"),
        ({"fits": -2}, "at least 0"),
        ({"fits": 3}, "fits=3"),
    ],
)
def test_wrong_questions(options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        trends(example(), **options)


def test_models_without_time_have_no_trends() -> None:
    for model in (VBPR(iterations=1, eval_every=1).fit(DATA, ATTRIBUTES), TVBPR()):
        with pytest.raises(UsageError, match=r"no time|not fitted"):
            trends(model)


def test_an_epoch_without_active_users() -> None:
    edges = example().parameters_.epoch_edges
    empty = changed(example(), epoch_edges=np.array([edges[0], edges[1] + 1, edges[1] + 2, edges[3]]))
    found = measure(empty, users="active", fits=4)
    assert found.events[1] == 0
    assert np.isnan(found.response[1]).all() and np.isfinite(found.response[[0, 2]]).all()
    assert np.isfinite(found.low[0]).all() and np.isnan(found.low[1]).all()
    assert [row["response"] for row in found.rows() if row["epoch"] == 1] == [None] * 5
    drawn = ElementTree.fromstring(trend_figure(found).svg())
    assert len(drawn.findall(f"{SVG}polyline[@data-name='hue=red']")) == 2


# --- the figure --------------------------------------------------------------------------------------------


def lines_of(drawn: ElementTree.Element) -> dict[str, list[tuple[float, float]]]:
    found = {}
    for line in drawn.iter(f"{SVG}polyline"):
        if "data-name" in line.attrib:
            points = [tuple(map(float, pair.split(","))) for pair in line.attrib["points"].split()]
            found[line.attrib["data-name"]] = points
    return found  # type: ignore[return-value]


@pytest.mark.parametrize("z_score", [False, True])
@pytest.mark.parametrize("copies", [1, 2])
def test_steps_stand_where_the_data_says(copies: int, z_score: bool) -> None:
    """On one pair of axes and in panels: x is linear in seconds, y in the change."""
    found = measure(example(), fits=4)
    if copies == 2:
        names = ("influence", "response", "low", "high", "change", "change_low", "change_high")
        doubled = {name: np.tile(getattr(found, name), 2) for name in names}
        features = [*found.features, *(f"again {name}" for name in found.features)]
        found = replace(found, features=features, groups=found.groups * 2, **doubled)
    lines = lines_of(ElementTree.fromstring(trend_figure(found, None, z_score).svg()))
    assert [*lines] == found.features
    change = found.scaled().change if z_score else found.change
    if z_score:
        np.testing.assert_allclose(np.square(change).mean(axis=0), 1)
    edges = np.repeat(found.edges, 2)[1:-1]
    places, values = [], []
    for k, name in enumerate(found.features):
        x, y = np.array(lines[name]).T
        slope, start = np.polyfit(edges - edges[0], x, 1)
        np.testing.assert_allclose(start + slope * (edges - edges[0]), x, atol=0.02)
        assert slope > 0
        places.append(y)
        values.append(np.repeat(change[:, k], 2))
    slopes = [np.polyfit(v, y, 1)[0] for v, y in zip(values, places)]
    np.testing.assert_allclose(slopes, slopes[0], rtol=0.02)  # one scale everywhere, upward is more
    assert slopes[0] < 0


def test_the_figure_says_what_it_shows() -> None:
    found = measure(example(), fits=4)
    found = replace(found, events=np.array([4000, 20, 3000]), groups=["<b>", *found.groups[1:]])
    assert few_events(found.events).tolist() == [False, True, False]
    svg = trend_figure(found).svg()
    text = " ".join(ElementTree.fromstring(svg).itertext())
    for said in ("liking of 5 features", "60 users", "i-tvbpr", "3 learned epochs", "4,000", "left", "hue"):
        assert said in text
    assert "as many other customers" in text and "Grey: epochs with few events" in text
    assert "<script" not in svg and "http" not in svg.replace('xmlns="http://www.w3.org/2000/svg"', "")
    drawn = ElementTree.fromstring(svg)
    grey = [p for p in drawn.iter(f"{SVG}polygon") if p.attrib["fill"] == "#dcdcdc"]
    assert len(grey) == 1
    assert "Grey" not in trend_figure(measure(example())).svg() or few_events(measure(example()).events).any()
    none = replace(
        found, change=np.zeros_like(found.change), change_low=found.low * 0, change_high=found.low * 0
    )
    ElementTree.fromstring(trend_figure(none, None, True).svg())


def test_labels_do_not_overlap() -> None:
    drawn = ElementTree.fromstring(trend_figure(measure(example())).svg())
    bold = [t for t in drawn.iter(f"{SVG}text") if t.attrib.get("font-size") == "13.5"]
    y = np.sort([float(t.attrib["y"]) for t in bold])
    assert len(y) == 5 and np.diff(y).min() >= 32.9


def test_round_dates() -> None:
    def seconds(text: str) -> int:
        return int(np.datetime64(text, "s").astype(np.int64))

    def labels(first: str, last: str, most: int) -> list[str]:
        return [label for _, label in time_ticks(seconds(first), seconds(last), most)]

    assert labels("2018-09-20", "2020-09-22", 9)[:3] == ["Oct", "Jan 2019", "Apr"]
    assert labels("2020-02-20", "2020-11-22", 4) == ["Apr 2020", "Jul 2020", "Oct 2020"]
    assert labels("2018-09-20", "2020-09-22", 3) == ["2019", "2020"]
    assert labels("2020-02-27", "2020-03-02", 8) == ["27 Feb", "28 Feb", "29 Feb", "1 Mar", "2 Mar"]
    assert labels("2020-02-27T10:00:00", "2020-02-27T12:00:00", 5) == ["2020-02-27 10:00", "2020-02-27 12:00"]
    assert labels("1971-01-01", "2090-01-01", 3) == ["2000", "2050"]
    for most in range(1, 12):
        assert len(labels("2018-09-20", "2020-09-22", most)) <= max(2, most)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    from PIL import Image

    folder = tmp_path / "pictures"
    folder.mkdir()
    for n, item in enumerate(DATA.items.texts()):
        if n % 4:
            Image.new("RGBA" if n % 2 else "L", (300, 400)).save(folder / f"{item}.png")
    (folder / f"{DATA.items[0]}.jpg").write_bytes(b"no picture")
    return folder


# --- the command -------------------------------------------------------------------------------------------


@pytest.fixture
def model_file(tmp_path: Path) -> Path:
    ATTRIBUTES.write(tmp_path / "f.h5")
    options = {"epochs": 3, "iterations": 4, "eval_every": 2, "segment_every": 2}
    TVBPR(**options).fit(DATA, Features.read(tmp_path / "f.h5"), out=tmp_path / "m.h5")
    return tmp_path / "m.h5"


def test_trends_in_four_formats(ivbpr: Run, model_file: Path) -> None:
    done = ivbpr("trends", model_file, "--feature", "red", "--feature", "left", "--format", "json")
    assert done.code == 0, done.err
    document = json.loads(done.out)
    assert document["schema"] == "ivbpr.trends/1" and document["model"] == "i-tvbpr"
    assert document["rows"] == trends(load(model_file), ["red", "left"])
    lines = ivbpr("trends", model_file, "--feature", "red", "--format", "jsonl").out.splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [0, 1, 2]
    rows = list(
        csv.DictReader(io.StringIO(ivbpr("trends", model_file, "--overlapping", "--format", "csv").out))
    )
    assert [*rows[0]] == KEYS and len(rows) == 15
    table = ivbpr("trends", model_file, "--feature", "red", "--users", "active").out
    assert "as many other customers" in table and "training and validation" in table
    assert re.search(r"red +hue +[+-]\d\.\d\d", table)


def test_plots_are_written(ivbpr: Run, model_file: Path, pictures: Path) -> None:
    out = model_file.parent / "t.svg"
    assert ivbpr("trends", model_file, "--plot", out, "--top", "2").code == 0
    found = measure(load(model_file), top=2)
    assert [*lines_of(ElementTree.parse(out).getroot())] == found.features
    done = ivbpr("trends", model_file, "--plot", out, "--images", pictures, "--z-score", "--feature", "red")
    assert done.code == 0 and "skipped" in done.err
    images = list(ElementTree.parse(out).getroot().iter(f"{SVG}image"))
    assert len(images) == 4 and all(i.attrib["href"].startswith("data:image/jpeg") for i in images)


def test_png_needs_the_extra(
    ivbpr: Run, model_file: Path, monkeypatch: pytest.MonkeyPatch, pictures: Path
) -> None:
    out = model_file.parent / "t.png"
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    done = ivbpr("trends", model_file, "--plot", out)
    assert done.code == 4 and 'pip install "ivbpr[plot]"' in done.err and not out.exists()
    with pytest.raises(EnvironmentProblem):
        trend_figure(measure(example())).png()


def test_png_with_the_extra(ivbpr: Run, model_file: Path, pictures: Path) -> None:
    pytest.importorskip("matplotlib")
    from PIL import Image

    out = model_file.parent / "t.png"
    assert ivbpr("trends", model_file, "--plot", out, "--images", pictures).code == 0
    with Image.open(out) as image:
        assert image.width == 1920 and image.getcolors(1 << 24)[0]  # type: ignore[index]


def test_wrong_command_lines(ivbpr: Run, model_file: Path) -> None:
    plain = model_file.parent / "v.h5"
    VBPR(iterations=1, eval_every=1).fit(DATA, ATTRIBUTES, out=plain)
    folder = model_file.parent
    for arguments, code, said in [
        ([plain], 2, "knows no time"),
        ([model_file, "--feature", "reed"], 2, "Did you mean 'red'?"),
        ([model_file, "--plot", folder / "t.gif"], 2, ".svg"),
        ([model_file, "--plot", folder / "none" / "t.svg"], 2, "does not exist"),
        ([model_file, "--images", folder], 2, "--plot"),
        ([model_file, "--z-score"], 2, "--plot"),
        ([model_file, "--plot", folder / "t.svg", "--images", folder / "none"], 2, "do not exist"),
        ([model_file, "--top", "0"], 2, "--top 0"),
        ([model_file, "--users", "some"], 2, "active"),
        ([folder / "none.h5"], 2, "none.h5"),
    ]:
        done = ivbpr("trends", *arguments)
        assert done.code == code and said in done.err and len(done.err.splitlines()) == 1, arguments
