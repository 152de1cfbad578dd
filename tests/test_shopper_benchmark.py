"""The simulated shoppers walk as sessions do, and what is judged of them is right."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_models import DATA, FEATURES, fitted

from benchmarks import shopper, shopper_page
from benchmarks.planted import attributes_of
from ivbpr_numba import Session, create
from ivbpr_numba.questions.auc import dataset_of
from ivbpr_numba.worlds.world import generate


@pytest.fixture(scope="module")
def model() -> Any:
    return fitted("i-vbpr")


@pytest.fixture(scope="module")
def shop(model: Any) -> shopper.Shop:
    return shopper.Shop.open(model, FEATURES["i-vbpr"], 12, seed=1)


def test_shoppers_want_what_some_items_have(shop: shopper.Shop) -> None:
    assert len(shop.users) == 12 == len(set(shop.users.tolist()))
    share = shop.has.mean(axis=1)
    assert (share >= shopper.LEAST).all() and (share <= shopper.MUCH).all()
    assert (DATA.test.indptr[shop.users + 1] > DATA.test.indptr[shop.users]).all()


@pytest.mark.parametrize("way", shopper.WAYS)
def test_rankings_are_those_of_sessions(model: Any, shop: shopper.Shop, way: str) -> None:
    """Two boosts and a step toward an item, for each shopper."""
    at = shopper.ranking(shop, way)
    by, names = way.split(",")[0], FEATURES["i-vbpr"].names
    shares = len(names) if by == "knn" else 1.0  # sessions count φ in mean shares 1/F
    sessions = []
    for which, row in enumerate(shop.users.tolist()):
        column, item = int(shop.wanted[which]), (7 * which) % len(DATA.items)
        session = Session(
            model, DATA.users[row], by=by, literal=way.endswith("literal"),
            exclude=shopper.SEEN,
        )  # fmt: skip
        for _ in range(2):
            at.more(which, column, 0.3)
            session = session.boost(names[column], 0.3 * shares)
        at.toward(which, item, 0.2)
        sessions.append(session.toward(DATA.items[item], 0.2 * shares))
    top = shopper.first(np.where(shop.owned, -np.inf, at.scores()), 5)
    for rows, session in zip(top.tolist(), sessions):
        assert [DATA.items[i] for i in rows] == [row["item"] for row in session.recommend(5, reasons=False)]


def test_the_first_of_equal_ones_comes_first() -> None:
    scores = np.array([[1.0, 3.0, 2.0, 3.0, 2.0], [0.0, 0.0, 0.0, 0.0, -1.0]])
    assert shopper.first(scores, 3).tolist() == [[1, 3, 2], [0, 1, 2]]


def test_auc_counts_what_stands_below() -> None:
    scores, among = np.array([[0.5, 0.1, 0.9, 0.5]]), np.array([[False, True, True, True]])
    assert shopper.auc_against(scores, np.array([0]), among).tolist() == [0.5]
    assert np.isnan(shopper.auc_against(scores, np.array([0]), np.zeros((1, 4), bool))).all()


def test_more_fills_the_list_and_keeps_the_order_within(
    shop: shopper.Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shopper, "SHOWN", 3)
    monkeypatch.setattr(shopper, "ENOUGH", 2)
    small, large = (shopper.walk(shop, "model", "more", amount) for amount in (0.01, 50.0))
    assert large["steps2"] <= large["steps3"] <= 1 and large["within_3"] == 1.0
    assert small["first"]["having"] <= large["first"]["having"] == shopper.SHOWN
    for found in (small, large):  # a boost lifts all that have it alike: one-hot columns
        assert found["then"]["alike"] == pytest.approx(found["start"]["alike"], abs=1e-9)
    assert large["then"]["all"] != large["start"]["all"]


def test_utility_is_what_was_planted(tmp_path: Path) -> None:
    world = generate("tiny", 0, users=30, items=40)
    features, data = attributes_of(world, tmp_path), dataset_of(world)
    model = create("i-vbpr", iterations=2, eval_every=2).fit(data, features)
    found = shopper.Shop.open(model, features, 8, 0, world.truth)
    assert found.utility is not None
    raw = world.truth.utility(world.truth.users.find([data.users[u] for u in found.users]))
    assert found.utility.shape == (8, len(data.items))
    assert found.utility.mean(axis=1) == pytest.approx(0, abs=1e-6)
    column = world.truth.items.row(data.items[3])
    order = world.truth.items.find(list(data.items))
    kept = raw[:, order]
    assert found.utility[:, 3] == pytest.approx((raw[:, column] - kept.mean(axis=1)) / kept.std(axis=1))


def test_the_page_of_the_rows(shop: shopper.Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shopper, "SHARES", (1.0,))
    monkeypatch.setattr(shopper, "MOST", 3)
    rows = [{"shop": "small", "seed": 0} | row for row in shopper.measure(shop, [0.5, 1.0])]
    assert {(row["way"], row["wish"]) for row in rows} == {
        (way, wish) for way in shopper.WAYS for wish in shopper.WISHES
    } - {("knn, literal", "more")}
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    text, plot = tmp_path / "table.md", tmp_path / "plot.svg"
    shopper.main(["--read", str(path), str(path), "--markdown", str(text), "--plot", str(plot)])
    told = text.read_text(encoding="utf-8")
    assert told.count("| amount |") == 5 and told.count("| **1** |") == 5
    first = rows[0]
    assert f"{first['start']['having']:.1f} → {first['first']['having']:.1f}" in told
    drawn = plot.read_text(encoding="utf-8")
    assert drawn.count("<polyline") > 10 and "Toward products that have it" in drawn
    [twice] = [r for r in shopper_page.pooled(rows + rows) if r["way"] == "model" and r["wish"] == "more"][:1]
    assert twice["seeds"] == 2 and twice["new"] == first["new"]
