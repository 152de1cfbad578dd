"""New shoppers: the optimum of their own objective, the same bits whoever is asked beside them."""

from __future__ import annotations

from functools import cache
from typing import Any

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import DATA, fitted

from ivbpr_numba import DataError, UsageError, backends
from ivbpr_numba.answers import folding
from ivbpr_numba.answers.folding import fold, folded
from ivbpr_numba.answers.views import View
from ivbpr_numba.kernels.arguments import NegativeLaw, Pairs

LISTS = [DATA.train.indices[a:b].tolist() for a, b in zip(DATA.train.indptr, DATA.train.indptr[1:])]
N = len(DATA.items)
LAWS = st.sampled_from(["uniform", "trained", "popularity"])


@cache
def model(name: str, **options: Any) -> Any:
    """A fitted model that no test changes; in time it has two epochs."""
    in_time = {"epochs": 2, "bins": 6, "segment_every": 1} if "tvbpr" in name else {}
    return fitted(name, **in_time, **options)


def csr(*likes: list[int]) -> tuple[np.ndarray, np.ndarray]:
    return np.cumsum([0, *map(len, likes)]), np.array([i for one in likes for i in one], np.int32)


# --- negatives ---------------------------------------------------------------------------------------------


@settings(max_examples=40)
@given(st.sets(st.integers(0, N - 1), min_size=1, max_size=N - 1), LAWS, st.integers(0, 2**63), st.booleans())
def test_negatives_are_those_of_the_law(likes: set[int], law: str, seed: int, few: bool) -> None:
    """Also where hardly anything is left, or nothing that was trained on."""
    lists = [[i for i in items if i < 5] for items in LISTS] if few else LISTS
    indices = csr(*lists)[1]
    counts = np.bincount(indices, minlength=N)
    places = np.array([0, 30 * len(likes)])
    found = np.empty(places[-1], np.int32)
    own = Pairs(*csr(sorted(likes)))
    backends.kernels().fold_negatives(
        np.uint64(seed), own, places, NegativeLaw.of(law, counts), indices, found
    )
    triples = naive.fold_triples(likes, lists, N, seed, law, 30 * len(likes))
    assert [j for _, j in triples] == found.tolist()


# --- the optimum -------------------------------------------------------------------------------------------


def objective(view: View, likes: list[int], z: np.ndarray) -> float:
    """Mean of `naive.objective` over the triples, as a function of [γ_u, θ_u] alone."""
    config, learned = view.fitted.config, view.fitted.parameters
    params = {k: np.asarray(v, np.float64) for k, v in learned.arrays().items() if k != "epoch_edges"}
    latent = params["item_factors"].shape[1]
    params["user_factors"], f = z[None, :latent], None
    if "embedding" in params:
        record = view.fitted.features
        assert record is not None
        params["user_visual"] = z[None, latent:]
        f = (view.values(np.arange(N)) - record.scaling.shift) * record.scaling.multiplier
    hinge = {"loss": "hinge", "margin": config["margin"]} if "margin" in config else {}
    rule = naive.Rule(
        lambda_theta=(1 + 6 / len(likes)) * config["lambda_theta"],
        reg_scope=config.get("reg_scope", "all"),
        **hinge,
    )
    triples = naive.fold_triples(likes, LISTS, N, config["seed"], config["negatives"], folding.TRIPLES)
    return float(np.mean([naive.objective(params, 0, i, j, rule, f, view.epoch) for i, j in triples]))


@pytest.fixture
def few_triples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folding, "TRIPLES", 40)


@pytest.mark.parametrize("name", ["bpr-mf", "vbpr", "i-vbpr", "i-tvbpr"])
@pytest.mark.parametrize("likes", [[3], [1, 8, 20, 30]])
def test_the_slope_is_zero_at_the_optimum(name: str, likes: list[int], few_triples: None) -> None:
    """By central differences, in every coordinate; at a start of zeros it is not."""
    view = model(name).view("2017-07-15" if "tvbpr" in name else None)
    z = folded(view, likes).vectors[0].astype(np.float64)
    assert slope(view, likes, z) < 2e-6 < 1e-4 < slope(view, likes, 0 * z)


def slope(view: View, likes: list[int], z: np.ndarray, step: float = 1e-4) -> float:
    along = [
        (objective(view, likes, z + step * e) - objective(view, likes, z - step * e)) / (2 * step)
        for e in np.eye(len(z))
    ]
    return float(np.abs(along).max())


@pytest.mark.parametrize("margin", [0.0, 1.0])
def test_the_hinge_is_best_at_the_optimum(margin: float, few_triples: None) -> None:
    """It has corners and no slope there: nothing near is better, and it is concave."""
    rng, likes = np.random.default_rng(0), [2, 9, 31]
    view = model("mm-mf", margin=margin).view()
    z = folded(view, likes).vectors[0].astype(np.float64)
    best = objective(view, likes, z)
    assert best > objective(view, likes, 0 * z) + 1e-3
    for size in (1e-4, 1e-2, 1.0):
        for _ in range(20):
            assert objective(view, likes, z + size * rng.normal(size=len(z))) <= best + 1e-7


def test_lambda_and_its_scope_are_those_of_the_fit(few_triples: None) -> None:
    """With the penalty on θ_u alone the least one holds γ_u: no coordinate is free."""
    one = model("i-vbpr", reg_scope="user_visual")
    lambdas = folding.Folding(one.config_, one.parameters_, np.zeros(0), np.zeros(0)).of_users(np.array([3]))[
        0
    ]
    latent = one.item_factors_.shape[1]
    assert set(lambdas[:latent]) == {0}
    assert set(lambdas[latent:]) == {3 * one.config_["lambda_theta"]}
    assert np.isfinite(folded(one.view(), [1, 2]).vectors).all()


# --- the same for everybody --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["mm-mf", "bpr-mf", "i-vbpr", "tvbpr"])
def test_order_threads_and_company_change_no_bit(name: str) -> None:
    view = model(name).view()
    alone = folded(view, [4, 17, 30]).vectors
    assert np.array_equal(folded(view, [30, 4, 17]).vectors, alone)
    everybody = csr([1, 2], [4, 17, 30], [], [40])
    for threads in (1, 2):
        with backends.threads(threads):
            assert np.array_equal(fold(view, everybody)[1:2], alone)
    assert not np.array_equal(folded(view, [4, 17, 31]).vectors, alone)


def test_blocks_of_shoppers_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    view, likes = model("i-vbpr").view(), csr([1, 2], [4, 17, 30], [], [40], [7, 8])
    whole = fold(view, likes)
    monkeypatch.setattr(folding, "BLOCK", 2)
    assert np.array_equal(fold(view, likes), whole)


def test_in_time_the_items_are_those_of_the_date() -> None:
    one, edges = model("i-tvbpr"), model("i-tvbpr").parameters_.epoch_edges
    items = DATA.items[[3, 9, 12]]
    now, then = one.fold_in(items), one.fold_in(items, at=int(edges[0]))
    assert np.array_equal(one.fold_in(items, at=int(edges[-1])).user_visual, now.user_visual)
    assert not np.array_equal(now.user_visual, then.user_visual)


# --- what it is for ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["mm-mf", "bpr-mf", "vbpr", "i-vbpr", "i-tvbpr"])
def test_likes_come_before_other_items(name: str) -> None:
    view, likes = model(name).view(), [1, 8, 20]
    scores, before = (folded(view, rows).scores(view)[0] for rows in (likes, []))
    others = np.setdiff1d(np.arange(N), likes)
    gain = scores - before
    assert gain[likes].mean() > gain[others].mean()


@pytest.mark.parametrize("name", ["pop", "bpr-mf", "i-vbpr", "tvbpr"])
def test_who_likes_nothing_or_everything_is_zero(name: str) -> None:
    view = model(name).view()
    nothing, everything = folded(view, []), folded(view, np.arange(N))
    assert not nothing.vectors.any() and not everything.vectors.any()
    assert len(nothing.vectors) == 1 and nothing.rows is None
    assert np.array_equal(nothing.scores(view)[0], view.scorer.items.bias)  # type: ignore[union-attr]


def test_owned_items() -> None:
    view = model("i-vbpr").view()
    assert folded(view, [5, 2]).owned[1].tolist() == [2, 5]
    indptr, items = folded(view, [5, 2], owned=np.array([9, 2, 5])).owned
    assert (indptr.tolist(), items.tolist()) == ([0, 3], [2, 5, 9])


def test_the_model_answers_by_id() -> None:
    shopper = model("i-vbpr").fold_in(DATA.items[[3, 9]])
    view = model("i-vbpr").view()
    assert np.array_equal(np.concatenate(shopper)[None], folded(view, [9, 3]).vectors)
    assert shopper.user_factors.dtype == np.float32
    assert [len(part) for part in model("pop").fold_in(["i003"])] == [0, 0]
    assert [len(part) for part in model("bpr-mf").fold_in([])] == [10, 0]


def test_wrong_likes() -> None:
    one = model("bpr-mf")
    with pytest.raises(DataError, match=r"Unknown item 'i0003'.*'i003'"):
        one.fold_in(["i001", "i0003"])
    with pytest.raises(UsageError, match="'i001' is liked twice"):
        one.fold_in(["i001", "i002", "i001"])
    with pytest.raises(UsageError, match="takes a list of ids"):
        one.fold_in("i001")
    with pytest.raises(UsageError, match="rand knows shoppers by their row alone"):
        model("rand").fold_in(["i001"])
    with pytest.raises(UsageError, match="knows no time"):
        one.fold_in(["i001"], at="2017-01-01")
