"""The page of the demo: valid, self-contained, escaped, and its figures and drawings are those of the data."""

from __future__ import annotations

import base64
import copy
import io
import itertools
import re
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from demo_runs import DemoRun, run_and_keep
from hypothesis import given
from hypothesis import strategies as st
from pages import Node, tree
from PIL import Image
from small_models import changed

from ivbpr_numba import Dataset, Features, Session, UsageError, auc, create, load, trends
from ivbpr_numba import demo as demo_module
from ivbpr_numba.answers.explaining import sensitivities
from ivbpr_numba.demo import DEMO_MODELS
from ivbpr_numba.questions.auc import truth_auc
from ivbpr_numba.questions.planted import PlantedTaste, agreement, faithful
from ivbpr_numba.report import bars, charts, render
from ivbpr_numba.report.numbers import figure3, percent, plain, shortened, signed
from ivbpr_numba.report.svg import round_ticks, spread, tag
from ivbpr_numba.worlds.truth import Truth
from ivbpr_numba.worlds.world import generate


@pytest.fixture(scope="module")
def made(tiny_demo: DemoRun) -> tuple[Path, dict[str, Any], dict[str, Any]]:
    """A folder with a finished demo, the facts of its page, and what `run_demo` returned."""
    return tiny_demo.folder, tiny_demo.story, tiny_demo.found


@pytest.fixture(scope="module")
def drifted(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, dict[str, Any], dict[str, Any]]:
    """The same of a small world whose style changes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo_module, "generate", lambda size, seed: generate(size, seed, users=300, items=300))
        done = run_and_keep(tmp_path_factory.mktemp("drift") / "demo", "drift")
    return done.folder, done.story, done.found


@pytest.fixture
def story(made: tuple[Path, dict[str, Any], dict[str, Any]]) -> dict[str, Any]:
    return copy.deepcopy(made[1])


@pytest.fixture(scope="module")
def page(made: tuple[Path, dict[str, Any], dict[str, Any]]) -> Node:
    return tree((made[0] / "report.html").read_text(encoding="utf-8"))


# --- the page ----------------------------------------------------------------------------------------------


def test_the_page_is_well_formed_and_accessible(page: Node) -> None:
    [html] = page.all("html")
    assert html.attributes["lang"] == "en" and len(page.all("title")) == 1 + len(page.all("svg"))
    levels = [int(node.name[1]) for node in page.all() if re.fullmatch("h[1-6]", node.name)]
    assert levels.count(1) == 1 and levels[0] == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    ids = [node.attributes["id"] for node in page.all() if "id" in node.attributes]
    assert len(ids) == len(set(ids))
    for node in page.all():
        for name in node.attributes.get("aria-labelledby", "").split():
            assert name in ids
    assert len(page.all("svg")) == 16
    for svg in page.all("svg"):
        assert svg.attributes["role"] == "img" and svg.all("title")[0].words() and svg.all("desc")[0].words()
    for table in page.all("table"):
        assert table.all("caption") and all("scope" in cell.attributes for cell in table.all("th"))
        columns = len(table.all("thead")[0].all("th"))
        for row in table.all("tr"):
            cells = [cell for cell in row.children if isinstance(cell, Node)]
            assert sum(int(cell.attributes.get("colspan", 1)) for cell in cells) == columns


def test_the_page_loads_nothing(made: tuple[Path, dict, dict], page: Node) -> None:
    text = (made[0] / "report.html").read_text(encoding="utf-8")
    pictures = re.compile(r"data:image/jpeg;base64,[A-Za-z0-9+/=]+")
    assert not re.search(r"https?:|url\(|@import|//[a-z]", pictures.sub("", text))
    policy = next(node for node in page.all("meta") if "http-equiv" in node.attributes).attributes["content"]
    assert policy.startswith("default-src 'none'") and policy.endswith("img-src data:")
    assert len(text) < 1_500_000
    assert not {node.name for node in page.all()} & {
        "script",
        "link",
        "iframe",
        "object",
        "use",
        "image",
    }
    for node in page.all():
        if node.name == "img":
            assert node.attributes["src"].startswith("data:image/jpeg;base64,") and node.attributes["alt"]
            continue
        assert node.attributes.get("href", "#").startswith("#")
        assert not {key for key in node.attributes if key in ("src", "srcset") or key.startswith("on")}
    assert str(made[0]) not in text
    assert "prefers-color-scheme: dark" in text and "@media print" in text


def test_the_template_is_part_of_the_package() -> None:
    code = (
        "from importlib import resources; import ivbpr_numba.report.page as p; "
        "print(len(p._asset('page.html.j2')), len(p._asset('page.css')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert all(int(size) > 500 for size in done.stdout.split())


def test_the_page_holds_every_figure(made: tuple[Path, dict, dict], page: Node) -> None:
    folder, _, found = made
    rows = {row.all("th")[0].words(): row for row in page.all("table", "results")[0].all("tr")[1:]}
    assert len(rows) == 1 + 6 + 2  # the truth, the models, two that learn nothing
    for name in DEMO_MODELS["tiny"]:
        judged = auc(load(folder / f"{name}.h5"))
        [words] = [text for text in rows if text.startswith(f"{name.upper()} ")]
        cells = [cell.words() for cell in rows[words].all("td")]
        for cell, setting in zip(cells, ("all", "cold", "stratified")):
            low, high = judged[setting]["ci95"]
            assert cell == f"{judged[setting]['auc']:.3f}{low:.3f}–{high:.3f}"
        share = next(row["of_the_way"] for row in found["models"] if row["model"] == name)
        assert cells[3] == percent(share, 1).replace("\xa0", " ")
    truth = found["models"][0]
    [words] = [text for text in rows if text.startswith("Truth")]
    assert [cell.words()[:5] for cell in rows[words].all("td")[:2]] == [
        f"{truth['all']:.3f}",
        f"{truth['cold']:.3f}",
    ]
    inverse = auc(load(folder / "pop.h5"))["baselines"]["inverse_popularity"]
    [words] = [text for text in rows if text.startswith("Inverse")]
    assert [cell.words()[:5] for cell in rows[words].all("td")[:3]] == [
        f"{inverse[setting]['auc']:.3f}" for setting in ("all", "cold", "stratified")
    ]
    digests = {
        row.all("th")[0].words(): row.all("td")[0].words() for row in page.all("table")[-1].all("tr")[1:]
    }
    assert digests["i-vbpr.h5"] == load(folder / "i-vbpr.h5").payload_sha256_
    assert digests["dataset.h5"] == Dataset.read(folder / "dataset.h5").payload_sha256
    text = page.words()
    for said in ("200 shoppers and 300 products", "ivbpr demo --size tiny --seed 0"):
        assert said in text


def test_a_model_more_is_a_row_and_a_curve_more(story: dict[str, Any], page: Node) -> None:
    """And one that was not fitted is no row at all."""
    assert "TVBPR" not in page.all("table", "results")[0].words()
    story["models"].append({**story["models"][-1], "label": "I-TVBPR", "best": False})
    story["curves"].append({**story["curves"][-1], "label": "I-TVBPR", "key": 6, "strong": False})
    full = tree(render(story))
    assert (
        len(full.all("table", "results")[0].all("tr")) == len(page.all("table", "results")[0].all("tr")) + 1
    )
    assert len(full.all("svg", "curves")[0].all("polyline", "curve")) == 5


def test_hostile_texts_stay_texts(story: dict[str, Any], page: Node) -> None:
    evil = '<script>alert("1")</script>\'&"><svg onload=x>'
    explained = story["explained"]
    explained |= {"user": evil, "item": evil, "title": evil}
    for entry in explained["list"]:
        entry |= {
            "item": evil,
            "title": evil,
            "because": [{"term": f"a{evil}={evil}", "contribution": 1.0, "has": False}],
        }
    for entry in [*explained["terms"], *explained["likes"]]:
        entry["term"] = f"g{evil}={evil}"
    for group in story["world"]["groups"]:
        group["name"] = evil
        group["values"][0]["name"] = evil
    story["fits"]["digests"] = {evil: evil}
    story["cards"][evil] = None
    for one in story["shoppers"]:
        one["user"] = one["held_out"]["title"] = one["list"][0]["title"] = evil
        one["terms"][0]["term"] = f"{evil}={evil}"
    for group in story["liking"]["groups"]:
        group["name"] = evil
        group["shown"][0]["term"] = f"{evil}={evil}"
    story["models"][0] |= {"label": evil, "sees": evil}
    story["curves"][0]["label"] = evil
    text = render(story)
    assert "<script" not in text and "<svg onload" not in text
    found = tree(text)
    assert {node.name for node in found.all()} == {node.name for node in page.all()}
    assert not [node for node in found.all() if any(key.startswith("on") for key in node.attributes)]
    assert evil in found.all("ol", "list")[0].text() and evil in found.all("table")[-1].text()
    command = next(line for line in found.all("pre")[0].text().splitlines() if "explain i-vbpr.h5" in line)
    assert shlex.split(command)[3:] == [evil, evil]


def test_settings_without_a_shopper(story: dict[str, Any]) -> None:
    """A world may have no cold test item: dashes, and no drawing that fails."""
    nothing = {"auc": None, "ci95": None, "users": 0}
    for row in [*story["models"], *story["baselines"], story["truth"]]:
        row["cold"] = nothing
    for row in story["differences"]:
        row["cold"] = {"difference": None, "ci95": None}
    found = tree(render(story))
    assert not found.all("svg", "dots-cold")[0].all(class_="dot")
    assert "no such shopper" in found.all("svg", "dots-cold")[0].text()


# --- the drawings ------------------------------------------------------------------------------------------


def axis_of(svg: Node, across: bool = True) -> Any:
    """The map of numbers to positions that the tick labels of a drawing state."""
    this, other = ("x", "y") if across else ("y", "x")
    ticks = [node for node in svg.all("text", "tick") if re.fullmatch(r"[−+]?[\d.]+", node.text())]
    lines: dict[float, list[tuple[float, float]]] = {}
    for node in ticks:
        value = float(node.text().replace("−", "-"))
        lines.setdefault(node.number(other), []).append((value, node.number(this)))
    found = np.array(sorted(max(lines.values(), key=len)))
    slope, start = np.polyfit(found[:, 0], found[:, 1], 1)
    assert np.allclose(found[:, 0] * slope + start, found[:, 1], atol=0.02)
    return lambda value: value * slope + start


@pytest.mark.parametrize("setting", ["all", "cold"])
def test_dots_lie_where_the_figures_are(story: dict[str, Any], page: Node, setting: str) -> None:
    [svg] = page.all("svg", f"dots-{setting}")
    position = axis_of(svg)
    fitted = [*story["models"], *story["baselines"]]
    dots, intervals = svg.all("circle", "dot"), svg.all("path", "interval")
    assert len(dots) == len(fitted) == len(intervals) - 1
    for row, dot in zip(fitted, dots):
        assert dot.number("cx") == pytest.approx(position(row[setting]["auc"]), abs=0.05)
    for row, line in zip([story["truth"], *fitted], intervals):
        low, high = re.match(r"M([\d.]+) .*H([\d.]+)", line.attributes["d"]).groups()
        assert float(low) == pytest.approx(position(row[setting]["ci95"][0]), abs=0.05)
        assert float(high) == pytest.approx(position(row[setting]["ci95"][1]), abs=0.05)
    [line] = svg.all("line", "truth-line")
    assert line.number("x1") == pytest.approx(position(story["truth"][setting]["auc"]), abs=0.05)
    values = [node.text() for node in svg.all("text", "value")]
    assert values == [figure3(row[setting]["auc"]) for row in [story["truth"], *fitted]]


def test_curves_pass_through_the_history(
    made: tuple[Path, dict, dict], story: dict[str, Any], page: Node
) -> None:
    [svg] = page.all("svg", "curves")
    iterations = [node for node in svg.all("text", "tick") if re.fullmatch(r"\d+", node.text())]
    base = max(node.number("y") for node in iterations if node.text() == "0")
    marks = sorted((float(n.text()), n.number("x")) for n in iterations if n.number("y") == base)
    across = np.polyfit(*zip(*marks), 1)
    up = np.polyfit(
        *zip(
            *[
                (float(n.text()), n.number("y") - 4)
                for n in svg.all("text", "tick")
                if "." in n.text() and " " not in n.text()
            ]
        ),
        1,
    )
    lines = svg.all("polyline", "curve")
    assert [line.classes()[1] for line in lines] == ["mm-mf", "bpr-mf", "vbpr", "i-vbpr"]
    for line, ring in zip(lines, svg.all("circle", "best")):
        history = load(made[0] / f"{line.classes()[1]}.h5").history_
        points = [tuple(map(float, p.split(","))) for p in line.attributes["points"].split()]
        expected = [
            (np.polyval(across, row["iteration"]), np.polyval(up, row["valid_auc"])) for row in history
        ]
        assert np.allclose(points, expected, atol=0.2)
        best = int(np.argmax([row["valid_auc"] for row in history]))
        assert (ring.number("cx"), ring.number("cy")) == pytest.approx(points[best], abs=0.02)


def test_bars_have_one_scale(story: dict[str, Any], page: Node) -> None:
    [svg] = page.all("svg", "terms")
    terms = [term for term in story["explained"]["terms"] if term["kind"] == "attribute"]
    for kind in ("learned", "planted"):
        rects = svg.all("rect", kind)
        assert len(rects) == len(terms)
        widths = np.array([rect.number("width") for rect in rects])
        amounts = np.array([abs(term[kind]) for term in terms])
        if kind == "learned":
            unit = (widths.sum() / amounts.sum()).item()
        assert np.allclose(widths, amounts * unit, atol=0.02)
    zero = svg.all("line", "zero")[0].number("x1")
    for term, rect in zip(terms, svg.all("rect", "planted")):
        edge = rect.number("x") + (0 if term["planted"] >= 0 else rect.number("width"))
        assert edge == pytest.approx(zero, abs=0.02)


def test_drawings_of_negative_and_of_empty_data() -> None:
    terms = [
        {"term": "a=b", "learned": -1.0, "planted": -2.0},
        {"term": "long" * 20, "learned": 0.0, "planted": 0.0},
    ]
    svg = tree(str(bars.bars(terms, "x", "t")))
    widths = [rect.number("width") for rect in svg.all("rect")]
    assert widths[0] * 2 == pytest.approx(widths[1], abs=0.02) and widths[2:] == [0, 0]
    assert all(len(text.text()) < 60 for text in svg.all("text"))
    assert tree(str(charts.curves([], None, "x", "t"))).all("svg")


@given(st.floats(-1e3, 1e3), st.floats(1e-3, 1e3), st.integers(2, 9))
def test_ticks_are_round_and_span_the_data(low: float, span: float, about: int) -> None:
    ticks = round_ticks(low, low + span, about)
    step = ticks[1] - ticks[0]
    assert ticks[0] <= low + step * 1e-6 and ticks[-1] >= low + span - step * 1e-6
    assert len(ticks) <= about + 3
    assert np.allclose(np.diff(ticks), step)


@given(st.lists(st.floats(0, 100), min_size=1, max_size=6))
def test_labels_keep_their_distance_and_order(wanted: list[float]) -> None:
    placed = spread(wanted, 15, 0, 100)
    order = np.argsort(wanted, kind="stable")
    assert (np.diff(np.array(placed)[order]) >= 15 - 1e-9).all()
    assert min(placed) >= -1e-9 and max(placed) <= 100 + 1e-9


def test_elements_and_numbers() -> None:
    assert tag("a", "<&>", class_='"', stroke_width=1.0, x=-0.001, none=None) == (
        '<a class="&#34;" stroke-width="1" x="0">&lt;&amp;&gt;</a>'
    )
    assert [signed(v) for v in (1.234, -0.5, -0.001)] == ["+1.23", "−0.50", "0.00"]
    assert [figure3(None), figure3(-0.5), percent(None), percent(-0.1)] == ["–", "−0.500", "–", "−10\xa0%"]
    assert [figure3(-0.0001), percent(-0.001), plain(-0.0), signed(None)] == ["0.000", "0\xa0%", "0.00", "–"]
    assert shortened("abcdef", 4) == "abc…" and shortened("abcd", 4) == "abcd"


# --- the explanation ---------------------------------------------------------------------------------------


def test_explained_terms_sum_to_score_and_utility(
    made: tuple[Path, dict, dict], story: dict[str, Any], page: Node
) -> None:
    folder, explained = made[0], story["explained"]
    model, truth = load(folder / "i-vbpr.h5"), Truth.read(folder / "truth.h5")
    assert sum(term["learned"] for term in explained["terms"]) == pytest.approx(explained["score"], abs=1e-5)
    score = model.scores([explained["user"]])[0][model.data_.items.row(explained["item"])]
    assert explained["score"] == pytest.approx(float(score), abs=1e-5)
    utility = truth.utility(np.array([truth.users.row(explained["user"])]))[0]
    assert explained["utility"] == pytest.approx(utility[truth.items.row(explained["item"])], abs=1e-9)
    data = model.data_
    bought = np.bincount(
        np.concatenate([part.users for part in (data.train, data.valid, data.test)]),
        minlength=len(data.users),
    )
    assert explained["purchases"] == bought.max() == bought[data.users.row(explained["user"])]
    assert [entry["item"] for entry in explained["list"]] == [
        entry["item"] for entry in model.recommend(explained["user"], 5)
    ]
    own = {
        int(i)
        for part in (data.train, data.valid, data.test)
        for i in part.indices[part.users == data.users.row(explained["user"])]
    }
    worth = {i: utility[truth.items.row(data.items[i])] for i in range(len(data.items)) if i not in own}
    assert explained["candidates"] == len(worth)
    for entry in explained["list"]:
        mine = worth[data.items.row(entry["item"])]
        assert entry["truth_rank"] == 1 + sum(value > mine for value in worth.values())
    shown = next(t for t in page.all("table") if t.all("caption")[0].words().startswith("All terms"))
    assert shown.all("tr")[-1].words() == f"Sum{signed(explained['score'])}{signed(explained['utility'])}"


def test_a_model_that_knows_the_truth_is_faithful(made: tuple[Path, dict, dict]) -> None:
    """The measure itself: planted parameters in the model's place agree fully, shuffled ones don't."""
    folder = made[0]
    truth, features = Truth.read(folder / "truth.h5"), Features.read(folder / "attributes.h5")
    model = create("i-vbpr", seed=0).fit(Dataset.read(folder / "dataset.h5"), features)
    learned = faithful(truth, model, features)
    assert 0.7 < learned["correlation"] < 0.99 and 0.8 < learned["top_beats_random"] < 1
    columns = PlantedTaste(truth, features, model.data_.items).columns
    rows = truth.users.find(model.data_.users.values)
    perfect = replace(
        model.parameters_,
        user_visual=truth.taste[rows].astype(np.float32),
        embedding=truth.taste_map[:, columns].astype(np.float32),
        visual_bias=truth.styles(None)[columns].astype(np.float32),
    )
    changed(model, parameters=perfect)
    found = agreement(truth, model, features, pairs=300)
    assert np.allclose(found.learned, found.planted, atol=1e-5)
    assert found.correlation > 0.9999 and found.top_beats_random == 1 and found.asked == 300
    changed(model, parameters=replace(perfect, user_visual=perfect.user_visual[::-1].copy()))
    other = faithful(truth, model, features, pairs=300)
    assert other["correlation"] < 0.5 and other["top_beats_random"] < 0.8


def test_planted_contributions_are_those_of_the_true_attributes(made: tuple[Path, dict, dict]) -> None:
    """Whatever the network saw: seen and not there is worth nothing, there and not seen its whole taste."""
    folder = made[0]
    truth, model = Truth.read(folder / "truth.h5"), load(folder / "i-vbpr.h5")
    seen, real = (Features.read(folder / f"{name}.h5") for name in ("photo-attributes", "attributes"))
    through, straight = (PlantedTaste(truth, one, model.data_.items) for one in (seen, real))
    names = [name.removeprefix("tags=") for name in seen.names]
    order = [names.index(name.removeprefix("tags=")) for name in real.names]
    assert np.array_equal(through.has[:, order], straight.has)
    assert np.allclose(through.sensitivities(5).centred[order], straight.sensitivities(5).centred, atol=1e-12)
    values = seen.values(seen.rows_of_all(model.data_.items))
    assert (np.abs(values - through.has) > 1e-4).any()
    found = agreement(truth, model, seen, pairs=200)
    rng = np.random.default_rng(0)
    users = rng.integers(0, len(model.data_.users), 200)
    rows = truth.users.find(model.data_.users.values)
    for n, u in enumerate(users.tolist()):
        i = int(rng.integers(0, len(model.data_.items)))
        taste = through.sensitivities(int(rows[u])).centred * through.has[i]
        kept = (through.has[i] > 0) | (values[i] >= 0.5)
        assert np.allclose(found.planted[found.of_pair == n], taste[kept])
        own = np.flatnonzero(through.has[i])
        named = int(
            np.argmax(
                sensitivities(model.parameters_, model.features_, model.user_visual_[u]).centred * values[i]
            )
        )
        rng.choice(own[own != named])


def test_the_page_shows_what_the_network_saw(made: tuple[Path, dict, dict], page: Node) -> None:
    folder, story, found = made
    photos = story["photos"]
    features = Features.read(folder / "photo-attributes.h5")
    truth = Truth.read(folder / "truth.h5")
    order = [features.names.index(name) for name in truth.attributes.names]  # those of the network differ
    values = features.values(features.rows_of_all(truth.items))[:, order]
    has = truth.attributes.dense()
    for group, (name, offset, size, exclusive) in zip(photos["groups"], truth.attributes.layout):
        own, real = values[:, offset : offset + size], has[:, offset : offset + size]
        right = own.argmax(axis=1) == real.argmax(axis=1) if exclusive else (own >= 0.5) == real
        assert group["name"] == name and group["accuracy"] == pytest.approx(right.mean())
        assert found["photos"]["accuracy"][name] == group["accuracy"]
    kinds = {one["seen"][0]["truth"] for one in photos["examples"]}
    assert len(kinds) == len(photos["examples"]) >= 8
    for product in [*photos["examples"], *photos["mistakes"]]:
        row = truth.items.row(product["item"])
        for one in product["seen"]:
            column = truth.attributes.names.index(f"{one['group']}={one['value']}")
            assert one["probability"] == pytest.approx(float(values[row, column]))
            if one["group"] == "tags":
                assert one["right"] == ((one["probability"] >= 0.5) == bool(has[row, column]))
            else:
                assert one["right"] == bool(has[row, column])
                assert has[row, truth.attributes.names.index(f"{one['group']}={one['truth']}")]
    assert all(any(not one["right"] for one in product["seen"]) for product in photos["mistakes"])
    explained, cards = story["explained"], story["cards"]
    assert len(explained["owned"]) == explained["purchases"]
    others = [
        product for one in story["shoppers"] for product in (*one["owned"], *one["list"], one["held_out"])
    ]
    steps = [product for step in story["steered"]["steps"] for product in step["list"]]
    told = [
        *explained["owned"],
        *explained["list"],
        *steps,
        *photos["examples"],
        *photos["mistakes"],
        *others,
    ]
    shown = [node.attributes["src"].partition(",")[2] for node in page.all("img")]
    assert shown == [cards[one["item"]]["jpeg"] for one in told]
    for one in told:
        with Image.open(io.BytesIO(base64.b64decode(cards[one["item"]]["jpeg"]))) as small:
            with Image.open(folder / "images" / f"{one['item']}.jpg") as photo:
                assert small.size == photo.size
                apart = np.abs(np.asarray(small, float) - np.asarray(photo.convert("RGB"), float))
        assert apart.mean() < 4  # decoded and encoded again
    wrong = sum(not one["right"] for product in told for one in product.get("seen", ()))
    assert len(page.all("div", "wrong")) == wrong


def test_the_steered_lists_are_those_of_a_session(made: tuple[Path, dict, dict], page: Node) -> None:
    folder, story, found = made
    model, features = load(folder / "i-vbpr.h5"), Features.read(folder / "photo-attributes.h5")
    steered = story["steered"]
    assert steered["user"] == found["shopper"] == story["why"]["user"]
    session = Session(model, steered["user"], features=features)
    has = {item: row >= 0.5 for item, row in zip(features.items, features.values(np.arange(len(features))))}
    before: list[str] = []
    for step in steered["steps"]:
        column = None
        if step["kind"] in ("more", "less"):
            session = session.boost(step["term"], step["amount"])
            column = features.names.index(step["term"])
        elif step["kind"] == "toward":
            session = session.toward(step["item"])
            assert step["item"] == before[0]
        items = [product["item"] for product in step["list"]]
        assert items == [row["item"] for row in session.recommend(steered["shown"])]
        assert [product["new"] for product in step["list"]] == [
            bool(before) and i not in before for i in items
        ]
        if column is not None:
            assert step["before"] == sum(has[item][column] for item in before)
            assert step["having"] == sum(has[item][column] for item in items)
            assert (step["before"] == 0) == (step["kind"] == "more")
        before = items
    assert [step["kind"] for step in steered["steps"]] == ["before", "more", "less", "toward"]
    shown = [node for node in page.all("ul") if "walk" in node.attributes.get("class", "")]
    assert [len(node.all("img")) for node in shown] == [len(step["list"]) for step in steered["steps"]]


def test_the_demo_ends_by_naming_what_steers(tiny_demo: DemoRun) -> None:
    text = " ".join(tiny_demo.out.split())
    [serve] = re.findall(r"ivbpr serve (\S+) --images (\S+) --network (\S+)", text)
    [(model, user)] = re.findall(r"ivbpr interact (\S+) (\S+)", text)
    assert [Path(part) for part in serve] == [
        tiny_demo.folder / name for name in ("i-vbpr.h5", "images", "world.onnx")
    ]
    assert all(Path(part).exists() for part in serve) and model == serve[0]
    assert Session(load(model), user).recommend(1)


def test_planted_taste_is_centred(made: tuple[Path, dict, dict]) -> None:
    folder = made[0]
    truth, features = Truth.read(folder / "truth.h5"), Features.read(folder / "attributes.h5")
    data = Dataset.read(folder / "dataset.h5")
    planted = PlantedTaste(truth, features, data.items)
    found = planted.sensitivities(3)
    for group, level in zip(features.groups, found.level):
        part = slice(group.offset, group.offset + group.size)
        if group.exclusive:
            assert planted.mean[part] @ found.centred[part] == pytest.approx(0, abs=1e-12)
        else:
            assert level == 0
    with pytest.raises(UsageError, match="no attributes"):
        faithful(truth, load(folder / "bpr-mf.h5"), features)


# --- what time changed -------------------------------------------------------------------------------------


def over_time(truth: Truth, model: Any) -> tuple[np.ndarray, np.ndarray]:
    """Planted and learned style minus its mean, at the middles of 80 bins, (80, F), by a way of its own."""
    start, *_, end = truth.epoch_edges.tolist()
    moments = [int(start + (n + 0.5) * (end - start) / 80) for n in range(80)]
    names = [name.removeprefix("tags=") for name in truth.attributes.names]
    items = truth.items.find(model.data_.items.values)
    share = truth.attributes.dense(items).astype(np.float64).mean(axis=0)
    style = truth.style.copy()
    for _, offset, size, exclusive in truth.attributes.layout:
        if exclusive:
            part = slice(offset, offset + size)
            style[:, part] -= (style[:, part] @ share[part])[:, None] / share[part].sum()
    planted = {name: style[truth.epoch_of(np.array(moments)), k] for k, name in enumerate(names)}
    learned: dict[str, list[float]] = {}
    for row in trends(model, fits=0):
        learned.setdefault(row["feature"].removeprefix("tags="), []).append(row["response"])
    cuts = model.epoch_edges_[1:-1].tolist()
    now = [sum(cut <= moment for cut in cuts) for moment in moments]
    both = np.array([[planted[name], np.array(learned[name])[now]] for name in learned])
    return tuple((both - both.mean(axis=2, keepdims=True)).transpose(1, 2, 0))


def test_what_time_changed_is_what_truth_and_model_say(
    drifted: tuple[Path, dict[str, Any], dict[str, Any]],
) -> None:
    folder, story, found = drifted
    truth, model, change = Truth.read(folder / "truth.h5"), load(folder / "i-tvbpr.h5"), story["change"]
    learned_cuts, width = model.epoch_edges_[1:-1].tolist(), 730 / 80
    assert len(change["cuts"]) == 2
    for cut, planted in zip(change["cuts"], truth.epoch_edges[1:-1].tolist()):
        nearest = min(learned_cuts, key=lambda one: abs(one - planted))
        assert np.datetime64(cut["planted"]) == np.datetime64(planted, "s").astype("M8[D]")
        assert np.datetime64(cut["learned"]) == np.datetime64(nearest, "s").astype("M8[D]")
        assert cut["days"] == pytest.approx(abs(planted - nearest) / 86_400)
        assert cut["bins"] == pytest.approx(cut["days"] / width)
    assert len({cut["learned"] for cut in [*change["cuts"], *change["others"]]}) == len(learned_cuts)
    planted, learned = over_time(truth, model)
    assert change["correlation"] == pytest.approx(np.corrcoef(planted.ravel(), learned.ravel())[0, 1])
    assert change["correlation"] == found["change"]["correlation"] > 0
    assert len(change["points"]) % 49 == 0
    most = np.sort(planted.std(axis=0))[::-1][:6]
    for panel, deviation in zip(change["panels"], most):
        k = int(np.argmin(np.abs(planted.std(axis=0) - deviation)))
        assert set(np.round(planted[:, k], 9)) == set(np.round(panel["planted"], 9))
        assert set(np.round(learned[:, k], 9)) <= set(np.round(panel["learned"], 9))


def test_the_card_of_cold_products_says_how_sure_it_is(story: dict[str, Any]) -> None:
    [apart] = [row["cold"] for row in story["differences"] if row["label"] == "BPR-MF"]
    card = tree(render(story)).all("dl", "tiles")[0].all("div")[1].words()
    assert f"AUC for the {story['best']['cold']['users']} shoppers" in card
    low, high = apart["ci95"]
    assert f"The difference from BPR-MF is {signed(apart['difference'], 3)}" in card
    assert f"{signed(low, 3)} to {signed(high, 3)}" in card
    assert ("which may be chance" in card) == (low <= 0 <= high)


def test_the_page_says_that_reasons_name_what_was_seen(page: Node, story: dict[str, Any]) -> None:
    assert page.words().count("name what the network saw on the photo") == 1
    assert story["explained"]["kept"] == sum(one["kept"] for one in story["explained"]["owned"]) > 0
    assert story["reasons"]["seen"]


def test_the_page_shows_what_time_changed(drifted: tuple[Path, dict[str, Any], dict[str, Any]]) -> None:
    folder, story, found = drifted
    page, change = tree((folder / "report.html").read_text(encoding="utf-8")), story["change"]
    rows = [row.words().replace(" ", "") for row in page.all("table", "cuts")[0].all("tr")[1:]]
    assert rows == [
        f"{cut['planted']}{cut['learned']}{cut['days']:.1f}{cut['bins']:.2f}" for cut in change["cuts"]
    ]
    assert f"correlate by {change['correlation']:.2f} over the 80 bins" in page.words()
    table = {row.all("th")[0].words(): row for row in page.all("table", "results")[0].all("tr")[1:]}
    assert [name for name in table if name.startswith("Truth")] == list(table)[:2] and len(table) == 12
    [strong] = page.all("tr", "strong")
    assert strong.words().startswith("I-TVBPR")
    names = [row["model"] for row in found["models"]]
    assert names == ["truth", "truth without time", *DEMO_MODELS["drift"]]
    truth, timeless = (
        truth_auc(Truth.read(folder / "truth.h5"), Dataset.read(folder / "dataset.h5"))[key]
        for key in ("with_time", "without_time")
    )
    assert found["models"][0]["all"] == truth["all"]["auc"] != timeless["all"]["auc"]
    assert found["models"][1]["all"] == timeless["all"]["auc"]
    for row in found["models"]:
        assert row["of_the_way"] == pytest.approx((row["all"] - 0.5) / (truth["all"]["auc"] - 0.5))


def test_steps_lie_where_the_styles_are(drifted: tuple[Path, dict[str, Any], dict[str, Any]]) -> None:
    folder, story, _ = drifted
    change = story["change"]
    page = tree((folder / "report.html").read_text(encoding="utf-8"))
    start, end = change["planted_edges"][0], change["planted_edges"][-1]
    for n, panel in enumerate(change["panels"]):
        [svg] = page.all("svg", f"steps-{n}")
        up = axis_of(svg, across=False)
        left, right = (svg.all("line", "grid")[0].number(key) for key in ("x1", "x2"))
        for kind, class_ in (("learned", "step"), ("planted", "truth-line")):
            [line] = svg.all("polyline", class_)
            points = np.array([[float(v) for v in p.split(",")] for p in line.attributes["points"].split()])
            assert np.allclose(points[:, 1], [up(v) - 4 for v in np.repeat(panel[kind], 2)], atol=0.1)
            edges = np.array([start, *change[f"{kind}_edges"][1:-1], end])
            places = left + (edges - start) / (end - start) * (right - left)
            assert np.allclose(points[:, 0], np.repeat(places, 2)[1:-1], atol=0.02)


def test_the_page_of_another_world_says_how_to_see_time(page: Node, story: dict[str, Any]) -> None:
    assert "ivbpr demo --size drift" in page.words() and "What time changed" not in page.words()
    assert story["change"] is None and story["timeless"] is None


# --- the command -------------------------------------------------------------------------------------------


def test_the_command_names_the_page(tiny_demo: DemoRun) -> None:
    assert tiny_demo.out.split()[-1].replace("\n", "").endswith("report.html")
    assert "AUC on the test items of 200 shoppers" in tiny_demo.out


def test_an_unknown_size(ivbpr: Any, tmp_path: Path) -> None:
    done = ivbpr("demo", "-o", tmp_path / "d", "--size", "large")
    assert done.code == 2 and "demo, tiny or drift" in done.err
    assert not (tmp_path / "d").exists()
