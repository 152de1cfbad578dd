"""Pages about anybody's models: which sections are there, and that their figures are those of the models."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pages import check_page, tree
from PIL import Image
from small_models import ATTRIBUTES, DATA, FEATURES, fitted

from ivbpr_numba import DataError, Dataset, UsageError, auc, write_report
from ivbpr_numba.answers.explaining import sensitivities
from ivbpr_numba.models.base import Model
from ivbpr_numba.report import charts, page, render, tell_models
from ivbpr_numba.report.cards import COLOURS
from ivbpr_numba.report.numbers import figure3, shared_values, signed, worded
from ivbpr_numba.report.shoppers import chosen, history, owned
from ivbpr_numba.report.standing import UNLEARNED
from ivbpr_numba.report.subject import subject_of

NAMES = ("rand", "pop", "mm-mf", "bpr-mf", "vbpr", "i-vbpr", "tvbpr", "i-tvbpr")
OPTIONS = {"tvbpr": {"epochs": 2}, "i-tvbpr": {"epochs": 2}}
PHONE = 390 - 2 * 16  # pixels of a phone between the margins of the page


@pytest.fixture(scope="module")
def models() -> dict[str, Model]:
    return {name: fitted(name, **OPTIONS.get(name, {})) for name in NAMES}


def story_of(*models: Model, **options: Any) -> dict[str, Any]:
    return tell_models(subject_of(models), **options)


# --- sections ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_sections_are_those_that_have_something_to_show(models: dict[str, Model], name: str) -> None:
    story = story_of(models[name])
    wanted = ["why", "results", "warmth", "shoppers", "fits"]
    wanted += ["curves"] if name not in ("rand", "pop") else []
    wanted += ["liking"] if name in ("i-vbpr", "i-tvbpr") else []
    wanted += ["trends"] if name == "i-tvbpr" else []
    assert sorted(one["name"] for one in story["sections"]) == sorted(wanted)
    check_page(render(story), [one["name"] for one in story["sections"]])


def test_a_model_without_names_says_why_it_gives_no_reasons(models: dict[str, Model]) -> None:
    alone = tree(render(story_of(models["vbpr"]))).words()
    assert (
        "features without names" in alone
        and "ivbpr fit --model i-vbpr" in alone
        and "because of" not in alone
    )
    beside = tree(render(story_of(models["bpr-mf"], models["i-vbpr"]))).words()
    assert "I-VBPR can: name it first." in beside
    assert "no reasons with names" in beside


def test_the_same_models_give_the_same_bytes(models: dict[str, Model], tmp_path: Path) -> None:
    several = [models["i-tvbpr"], models["i-vbpr"], models["pop"]]
    found = [write_report(several, tmp_path / f"{n}.html") for n in "ab"]
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()
    assert found[0]["bytes"] == (tmp_path / "a.html").stat().st_size < 300_000
    assert found[0]["models"] == ["I-TVBPR", "I-VBPR", "POP"]


# --- figures -----------------------------------------------------------------------------------------------


def test_the_tables_hold_what_auc_says(models: dict[str, Model]) -> None:
    several = [models["i-vbpr"], models["bpr-mf"], models["rand"]]
    found = tree(render(story_of(*several)))
    table, differences = found.all("table", "results")
    rows = {row.all("th")[0].words().split(" ")[0]: row for row in table.all("tr")[1:]}
    assert list(rows) == ["I-VBPR", "BPR-MF", "RAND", "Inverse", "Popularity", "Cosine"]
    for model in several:
        judged = auc(model, baselines=("pop", "cosine") if model.uses_features else ("pop",))
        cells = [cell.words()[:5] for cell in rows[model.name.upper()].all("td")]
        assert cells == [figure3(judged[name]["auc"]) for name in ("all", "cold", "stratified")]
        for own, name in (("Inverse", "inverse_popularity"), ("Popularity", "pop"), ("Cosine", "cosine")):
            if name in judged["baselines"]:
                assert rows[own].all("td")[0].words()[:5] == figure3(judged["baselines"][name]["all"]["auc"])
    means = [auc(model)["all"]["auc"] for model in several]
    shown = [row.all("td")[0].words()[:6] for row in differences.all("tr")[1:]]
    assert shown == [signed(means[0] - other, 3) for other in means[1:]]


def test_the_best_of_what_needs_no_learning_is_named(models: dict[str, Model]) -> None:
    """Also where popularity is one of the models and so no baseline."""
    for several in ([models["i-vbpr"]], [models["i-vbpr"], models["pop"]]):
        story = story_of(*several)
        unlearned = [row for row in (*story["models"], *story["baselines"]) if row["name"] in UNLEARNED]
        assert {row["name"] for row in unlearned} == set(UNLEARNED)
        most = max(unlearned, key=lambda row: row["all"]["auc"])
        said = tree(render(story)).all("p", "lede")[0].words()
        assert f"{most['label'].lower()}, the best of what needs no learning" in said.lower()
        assert f"{100 * most['all']['auc']:.1f}" in said


def test_warmth_is_the_mean_over_the_held_out_products_of_a_bin(models: dict[str, Model]) -> None:
    subject = subject_of([models["bpr-mf"]])
    story = tell_models(subject)
    per_user = subject.comparison.per_user
    bought = DATA.train_counts[DATA.test.indices]
    line = story["warmth"]["lines"][0]
    total = 0
    for bin, point in zip(story["warmth"]["bins"], line["points"]):
        low, _, high = bin["label"].rstrip("+").partition("–")
        top = int(high or low) if not bin["label"].endswith("+") else 10**6
        inside = (bought >= int(low)) & (bought <= top)
        total += bin["users"]
        assert bin["users"] == inside.sum()
        assert point["auc"] == pytest.approx(per_user.auc["BPR-MF"][inside].mean())
    assert total == len(bought)


@pytest.mark.parametrize("name", ["i-vbpr", "i-tvbpr"])
def test_liking_is_the_mean_and_spread_over_shoppers(models: dict[str, Model], name: str) -> None:
    model = models[name]
    liking = story_of(model)["liking"]
    parameters = model.parameters_
    if name == "i-tvbpr":
        parameters = parameters.at(1)
    every = np.array(
        [sensitivities(parameters, model.features_, theta).centred for theta in parameters.user_visual]
    )
    rows = {row["term"]: row for group in liking["groups"] for row in group["all"]}
    assert set(rows) == set(ATTRIBUTES.names)
    for k, term in enumerate(ATTRIBUTES.names):
        assert rows[term]["mean"] == pytest.approx(every[:, k].mean(), abs=1e-6)
        assert rows[term]["spread"] == pytest.approx(every[:, k].std(), abs=1e-6)
    for group in liking["groups"]:
        means = [row["mean"] for row in group["all"]]
        assert means == sorted(means, reverse=True)


# --- shoppers ----------------------------------------------------------------------------------------------


def test_shoppers_are_chosen_by_their_rules(models: dict[str, Model]) -> None:
    subject = subject_of([models["i-vbpr"]])
    value = subject.comparison.per_user.auc["I-VBPR"]
    bought = history(DATA)
    found = dict(chosen(subject))
    assert list(found) == ["typical", "heavy", "missed"]
    assert bought[found["heavy"]] == bought.max() or found["typical"] == bought.argmax()
    assert value[found["missed"]] == value.min() or value.argmin() in found.values()

    def apart(values: np.ndarray, row: int) -> float:
        below = (values < values[row]).mean()
        return abs(below + (values == values[row]).mean() / 2 - 0.5)

    distance = [apart(value, row) + apart(bought, row) for row in range(len(bought))]
    assert distance[found["typical"]] == pytest.approx(min(distance))
    asked = chosen(subject, ["u003", "u003", DATA.users[found["heavy"]]])
    assert asked[:2] == [("asked", 3), ("asked", found["heavy"])] and len(asked) == 5
    assert len({row for _, row in asked}) == 5
    with pytest.raises(DataError, match="nobody"):
        chosen(subject, ["nobody"])


@pytest.mark.parametrize("name", ["pop", "bpr-mf", "vbpr", "i-vbpr", "i-tvbpr"])
def test_terms_and_ranks_are_those_of_the_scores(models: dict[str, Model], name: str) -> None:
    """Between two products the sums of the terms differ as the scores do: levels and offsets left out."""
    model = models[name]
    story = story_of(model)
    for one in (story["why"], *story["shoppers"]):
        held, data = one["held_out"], model.data_
        row, item = data.users.row(one["user"]), data.items.row(held["item"])
        assert data.test.indices[data.test.indptr[row]] == item
        at = int(data.test.times[data.test.indptr[row]]) if "t" in name else None
        shopper = model.scores([one["user"]])[0] if at is None else at_moment(model, row, at)
        own = {i for part in (data.train, data.valid, data.test) for i in part.indices[part.users == row]}
        others = [shopper[i] for i in range(len(data.items)) if i not in own]
        assert held["rank"] == 1 + sum(other >= shopper[item] for other in others)
        assert held["candidates"] == len(others) + 1
        sums = [one["terms"][-1]["contribution"], held["terms"][-1]["contribution"]]
        if at is None:
            first = data.items.row(one["list"][0]["item"])
            assert sums[0] - sums[1] == pytest.approx(float(shopper[first] - shopper[item]), abs=1e-4)
        small = [term for term in held["terms"][:-1] if abs(term["contribution"]) < 0.005]
        assert not small


def at_moment(model: Model, row: int, at: int) -> np.ndarray:
    view = model.view(at)
    return view.scorer.items.vectors @ view.scorer.user_vectors[row] + view.scorer.items.bias


# --- pictures ----------------------------------------------------------------------------------------------


def test_products_have_their_photo_or_a_drawn_card(models: dict[str, Model], tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for item in DATA.items.texts()[::2]:
        Image.new("RGB", (300, 200), "teal").save(tmp_path / "photos" / f"{item}.png")
    found = write_report([models["i-vbpr"]], tmp_path / "r.html", images=tmp_path / "photos")
    page = tree((tmp_path / "r.html").read_text())
    photos, cards = page.all("img"), page.all("span", "swatch")
    assert photos and cards and 0 < found["photos"] < found["products"]
    assert all(int(photo.attributes["alt"][1:]) % 2 == 0 for photo in photos)
    for card in cards:
        row = DATA.items.row(card.attributes["aria-label"])
        hue = next(
            name for name, has in zip(ATTRIBUTES.names, ATTRIBUTES.matrix[row]) if has and "hue" in name
        )
        assert hue.removeprefix("hue=") in card.words()
        assert card.all("i")[0].attributes["style"] == f"background: {COLOURS[hue.removeprefix('hue=')]}"
    plain = write_report([models["bpr-mf"]], tmp_path / "p.html")
    page = tree((tmp_path / "p.html").read_text())
    assert plain["photos"] == 0 and not page.all("img") and not page.all("span", "swatch")


# --- what is refused ---------------------------------------------------------------------------------------


def test_models_of_another_split_are_refused(models: dict[str, Model], tmp_path: Path) -> None:
    users = [DATA.users[int(u)] for u in DATA.train.users]
    items = [DATA.items[int(i)] for i in DATA.train.indices]
    other = fitted_to(Dataset.from_pairs(users, items, seed=9))
    with pytest.raises(DataError, match="different"):
        write_report([models["pop"], other], tmp_path / "r.html")
    assert not (tmp_path / "r.html").exists()


def fitted_to(data: Dataset) -> Model:
    from ivbpr_numba import create

    return create("pop").fit(data)


def test_wrong_calls_get_a_sentence(models: dict[str, Model], tmp_path: Path) -> None:
    out = tmp_path / "r.html"
    with pytest.raises(UsageError, match="no such file"):
        write_report("model.h5", out)
    with pytest.raises(UsageError, match="no model"):
        write_report([], out)
    with pytest.raises(UsageError, match="too many"):
        write_report([models["pop"]] * 13, out)
    with pytest.raises(UsageError, match="too many"):
        write_report([models["pop"]], out, users=["u001"] * 21)
    with pytest.raises(DataError, match="none of the models"):
        write_report([models["i-vbpr"]], out, features=[FEATURES["vbpr"]])
    assert not out.exists()


def test_two_models_of_one_name_are_told_apart(models: dict[str, Model]) -> None:
    again = fitted("bpr-mf", seed=5)
    rows = story_of(models["bpr-mf"], again, models["pop"])["models"]
    assert [row["label"] for row in rows] == ["BPR-MF 1", "BPR-MF 2", "POP"]


# --- on a phone --------------------------------------------------------------------------------------------


def sizes() -> dict[str, float]:
    """Font sizes of the classes of texts in charts, in units of their drawing."""
    css = page._asset("page.css")
    found = {}
    for selector, size in re.findall(r"^\.chart ([^{]*)\{[^}]*font-size: ([\d.]+)px", css, re.M):
        found[selector.strip()] = float(size)
    return found


def test_texts_of_charts_are_readable_on_a_phone(models: dict[str, Model]) -> None:
    assert {"text", ".tick", ".muted", ".value"} <= set(sizes())
    least = min(sizes().values())
    found = tree(render(story_of(models["i-tvbpr"], models["bpr-mf"])))
    svgs = found.all("svg")
    widths = [float(svg.attributes["viewbox"].split()[2]) for svg in svgs if "chart" in svg.classes()]
    assert len(widths) > 5
    assert all(PHONE / width * least >= 11 for width in widths)
    [narrow] = found.all("div", "narrow")[0].all("svg")
    assert narrow.attributes["viewbox"].split()[2] == "390"  # from edge to edge
    assert min(text.number("font-size") for text in narrow.all("text")) >= 11
    css = page._asset("page.css")
    assert ".trends.narrow { display: block; margin: 0 -1rem; }" in css and "padding: 2rem 1rem 3rem" in css


def test_a_scatter_has_one_scale(models: dict[str, Model]) -> None:
    rng = np.random.default_rng(1)
    points = np.column_stack([rng.normal(0, 2, 300), rng.normal(0, 1, 300)])
    svg = tree(str(charts.scatter(points.tolist(), (0.25, 0.1), "s", "t", "d")))
    slopes = {}
    for name in ("truth-line", "fit-line"):
        [line] = svg.all("polyline", name)
        (x0, y0), (x1, y1) = ([float(v) for v in p.split(",")] for p in line.attributes["points"].split())
        slopes[name] = -(y1 - y0) / (x1 - x0)
    assert slopes["truth-line"] == pytest.approx(1, abs=0.01)
    assert slopes["fit-line"] == pytest.approx(0.25, abs=0.01)
    assert "slope 0.25" in svg.text()


# --- the command -------------------------------------------------------------------------------------------


def test_the_command(ivbpr: Any, models: dict[str, Model], tmp_path: Path) -> None:
    files = []
    for name in ("bpr-mf", "pop"):
        files.append(tmp_path / f"{name}.h5")
        models[name].save(files[-1])
    DATA.write(tmp_path / "data.h5")
    out = tmp_path / "r.html"
    title = "Spring & <summer>"
    done = ivbpr(
        "report", *files, "-o", out, "--data", tmp_path / "data.h5", "--user", "u007", "--title", title,
        "--format", "json",
    )  # fmt: skip
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert found["schema"] == "ivbpr.report/1" and found["bytes"] == out.stat().st_size
    assert found["users"][0] == {"user": "u007", "why": "asked"}
    shown = tree(out.read_text())
    assert shown.all("h1")[0].words() == title and "u007" in shown.words()
    assert ivbpr("report", files[0], "-o", files[0]).code == 2
    assert ivbpr("report", files[0], tmp_path / "none.h5", "-o", out).code == 2
    assert ivbpr("report", files[0], "-o", out, "--user", "nobody").code == 3
    assert ivbpr("report", tmp_path / "data.h5", "-o", out).code == 3
    assert ivbpr("report", files[0], "-o", out, "--images", tmp_path / "none").code == 2


def test_damaged_photos_are_cards(models: dict[str, Model], tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for item in DATA.items.texts():
        (tmp_path / "photos" / f"{item}.jpg").write_bytes(b"no photo")
    Image.new("RGB", (8, 8)).save(tmp_path / "photos" / "other.jpg")
    found = write_report([models["i-vbpr"]], tmp_path / "r.html", images=tmp_path / "photos")
    assert found["photos"] == 0 and any("can't be used" in note for note in found["notes"])


def test_a_fit_without_times_or_test(models: dict[str, Model]) -> None:
    """Nobody to ask: said, instead of a page of dashes."""
    empty = replace(
        DATA.test,
        indptr=np.zeros_like(DATA.test.indptr),
        indices=DATA.test.indices[:0],
        times=DATA.test.times[:0],
    )
    data = Dataset(DATA.users, DATA.items, DATA.train, DATA.valid, empty, source=DATA.source)
    with pytest.raises(DataError, match="held-out"):
        subject_of([fitted_to(data)])


# --- what is said plainly ----------------------------------------------------------------------------------


def test_products_kept_from_the_model_are_marked(models: dict[str, Model]) -> None:
    story = story_of(models["i-vbpr"])
    found = tree(render(story))
    shown = [story["why"], *story["shoppers"]]
    for one, strip in zip(shown, found.all("ul", "strip")):
        row = DATA.users.row(one["user"])
        held = {
            DATA.items[int(i)] for part in (DATA.valid, DATA.test) for i in part.indices[part.users == row]
        }
        assert {product["item"] for product in one["owned"] if product["kept"]} == held
        assert one["kept"] == len(held) > 0
        marked = ["kept from the model" in node.words() for node in strip.all("li")]
        assert marked == [product["kept"] for product in one["owned"]]
        assert ["kept" in node.classes() for node in strip.all("li")] == marked
        assert (
            f"bought {one['purchases']} products, {one['kept']} of them kept from the model" in found.words()
        )
    words = tree(render(story_of(models["bpr-mf"]))).words()
    assert "(kept from the model)" in words


def test_of_many_purchases_those_kept_are_among_the_shown() -> None:
    row = int(history(DATA).argmax())
    every = owned(DATA, row)
    assert [p["kept"] for p in every] == sorted(p["kept"] for p in every)
    few = owned(DATA, row, 3)
    assert len(few) == 3 and sum(p["kept"] for p in few) == sum(p["kept"] for p in every)


def test_the_best_unlearned_scorer_is_compared_shopper_by_shopper(models: dict[str, Model]) -> None:
    for several in ([models["i-vbpr"]], [models["i-vbpr"], models["pop"]], [models["pop"]]):
        subject = subject_of(several)
        story = tell_models(subject)
        best = story["unlearned"]
        said = tree(render(story)).all("p", "lede")[0].words()
        if best["difference"] is None:
            assert best["label"] == "POP" and "Shopper by shopper" not in said
            continue
        name = next(
            row["model"] for row in subject.comparison["models"] if row["all"]["auc"] == best["all"]["auc"]
        )
        known = subject.comparison.difference(subject.first.label, name)
        assert best["difference"] == known
        low, high = known["ci95"]
        assert f"{signed(low, 3)} to {signed(high, 3)}" in said
        assert ("which may be chance" in said) == (low <= 0 <= high)


@pytest.mark.parametrize(("low", "may_be"), [(-0.0016, True), (0.002, False)])
def test_a_difference_that_may_be_chance_is_called_so(
    models: dict[str, Model], low: float, may_be: bool
) -> None:
    story = story_of(models["i-vbpr"])
    story["unlearned"]["difference"] |= {"difference": 0.0167, "ci95": [low, 0.035]}
    said = tree(render(story)).all("p", "lede")[0].words()
    assert "0.017 AUC above" in said and ("which may be chance" in said) == may_be


def test_changes_without_bands_are_called_untested(models: dict[str, Model]) -> None:
    subject = subject_of([models["i-tvbpr"]])
    assert tell_models(subject)["trends"]["file"] == "FILE"
    words = tree(
        render(tell_models(replace(subject, judged=(replace(subject.first, file="my model.h5"),))))
    ).words()
    assert "It was not tested here whether they are more than chance" in words
    assert "ivbpr trends 'my model.h5' --fits 8" in words


def test_a_value_that_says_nothing_alone_has_its_group() -> None:
    shared = shared_values(["colour=Black", "master_colour_name=Black", "cut=slim"])
    assert shared == {"Black"}
    wanted = {
        "master_colour_name=Black": "Black (master colour)",
        "cut=slim": "slim",
        "sleeve=Unknown": "Unknown (sleeve)",
        "kind=Other": "Other (kind)",
        "size=42": "42 (size)",
        "price=1.5-2": "1.5-2 (price)",
        "fit=3XL": "3XL",
        "42": "42",
    }
    assert {term: worded(term, shared) for term in wanted} == wanted


def test_reasons_on_the_page_are_told_apart(models: dict[str, Model]) -> None:
    story = story_of(models["i-vbpr"])
    reason = {"term": "hue=Unknown", "contribution": 0.81}
    for one in (story["why"], *story["shoppers"]):
        one["list"][0]["because"] = [reason]
    assert tree(render(story)).words().count("because of Unknown (hue) +0.81") == 1 + len(story["shoppers"])


def test_only_terms_that_are_drawn_are_explained(models: dict[str, Model]) -> None:
    story = story_of(models["i-vbpr"])
    every = story["why"]["terms"]
    for kinds in ({"item bias", "latent"}, {"item bias"}, {"latent"}, set()):
        story["why"]["terms"] = [
            term for term in every if term["kind"] not in ("item bias", "latent", "sum")
        ] + [{"term": NAME[kind], "kind": kind, "contribution": 1.0} for kind in sorted(kinds)]
        story["why"]["terms"].append(every[-1])
        said = [node.words().lower() for node in tree(render(story)).all("b")]
        assert {kind for kind in NAME if NAME[kind] in said} == kinds


NAME = {"item bias": "bought at all", "latent": "hidden taste"}


def test_the_line_of_chance_has_its_name(models: dict[str, Model]) -> None:
    [svg] = tree(render(story_of(models["bpr-mf"], models["rand"]))).all("svg", "warm") or [None]
    assert svg is not None
    assert "chance" in [node.text() for node in svg.all("text")]


def test_what_is_wider_than_a_phone_shows_that_it_goes_on() -> None:
    css = page._asset("page.css")
    assert re.search(r"\.scroll, nav ul \{ overflow-x: auto; background:", css)
    assert "nav ul { flex-wrap: wrap; }" in css and ".whole th { white-space: normal; }" in css
    assert re.search(
        r"h3, figcaption, caption, p:has\(\.id\)[^{]*\{ break-inside: avoid; break-after: avoid", css
    )
