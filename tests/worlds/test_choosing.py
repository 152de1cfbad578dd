"""What shoppers buy is what the definition says, item by item, whichever way it is found."""

from __future__ import annotations

import hashlib
from typing import Any

import naive
import numpy as np
import pytest

from ivbpr_numba.kernels.cpu import choices
from ivbpr_numba.worlds import choosing
from ivbpr_numba.worlds.choosing import choose
from ivbpr_numba.worlds.world import World, generate

WORLDS: list[dict[str, Any]] = [
    {"size": "tiny", "users": 25},
    {"size": "tiny", "users": 25, "exact_limit": 0, "candidates": 200},
    {"size": "drift", "users": 15, "items": 120, "late_share": 0.6},
    {"size": "seasons", "users": 10, "items": 150, "exact_limit": 0, "candidates": 90},
    # So few candidates that all of them may be owned, and are drawn again.
    {"size": "tiny", "users": 40, "items": 30, "late_share": 0.0, "exact_limit": 0, "candidates": 3},
    # Utilities so far apart that most weights vanish.
    {"size": "tiny", "users": 25, "kappa": 20.0},
    {"size": "tiny", "users": 25, "taste_sd": 0.0, "item_latent_sd": 0.0, "popularity_sd": 0.0},
]


def by_definition(world: World) -> list[int]:
    truth, size = world.truth, world.size
    columns, indptr = truth.attributes.columns, truth.attributes.indptr
    exact = len(world.purchases.items) * size.items <= size.exact_limit
    bought = []
    for u in range(size.users):
        weights = []
        for style in truth.style.tolist():
            for a, row in zip(truth.taste[u].tolist(), truth.taste_map.tolist()):
                style = [value + a * number for value, number in zip(style, row)]
            weights.append(style)

        def utility(i: int, epoch: int, u: int = u, weights: list[list[float]] = weights) -> float:
            value = float(truth.popularity[i])
            for own, other in zip(truth.user_latent[u].tolist(), truth.item_latent[i].tolist()):
                value += own * other
            for k in columns[indptr[i] : indptr[i + 1]].tolist():
                value += weights[epoch][k]
            return value

        bought += naive.purchases(
            world.seed,
            u,
            world.purchases.times[world.purchases.users == u].tolist(),
            truth.release.tolist(),
            lambda time: int(truth.epoch_of(np.array([time]))[0]),
            utility,
            0 if exact else size.candidates,
            size.kappa,
        )
    return bought


@pytest.mark.parametrize("options", WORLDS, ids=str)
def test_purchases_are_those_of_the_definition(options: dict[str, Any]) -> None:
    world = generate(options["size"], 3, **{k: v for k, v in options.items() if k != "size"})
    assert world.purchases.items.tolist() == by_definition(world)


@pytest.mark.parametrize("options", [*WORLDS, {"size": "demo", "users": 300}], ids=str)
def test_the_quick_way_changes_no_choice(options: dict[str, Any]) -> None:
    world = generate(options["size"], 4, **{k: v for k, v in options.items() if k != "size"})
    rows = world.purchases
    for doubt in (1e-3, 1.0):  # some choices are made exactly, or all
        again = choose(world.truth, world.size, world.seed, rows.users, rows.times, doubt=doubt)
        np.testing.assert_array_equal(again, rows.items)


# Digests of the worlds before there was a quick way.
BEFORE = {
    "tiny": "a74cad0fadb6f6c7",
    "demo": "17fa0255521bb865",
    "drift": "dd4099f220d2b79e",
    "S1": "eada41cf87bf5213",
}


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] if n == "S1" else []) for n in BEFORE]
)
def test_worlds_stay_what_they_were(name: str) -> None:
    rows = generate(name, 0).purchases
    digest = hashlib.sha256(rows.items.tobytes() + rows.times.tobytes() + rows.users.tobytes())
    assert digest.hexdigest()[:16] == BEFORE[name]


# --- the parts of the quick way ----------------------------------------------------------------------------


def test_weights_are_exponentials() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(0, 8, 5000)
    x[7] = x.max() - 1000
    weights, largest = x.copy(), x.max()
    choices.weigh(weights, 4000, 1.5, largest)
    np.testing.assert_array_equal(weights[4000:], x[4000:])
    expected = np.exp(np.maximum(1.5 * (x[:4000] - largest), -64) + 32)
    np.testing.assert_allclose(weights[:4000], expected, rtol=1e-12)


def test_a_pick_that_an_error_could_change_is_none() -> None:
    weights = np.array([1.0, 2.0, 0.0, 3.0, 4.0]).repeat(30)
    edges = np.cumsum(weights) / weights.sum()
    for c in np.flatnonzero(weights).tolist():
        before = edges[c - 1] if c else 0.0
        for share in (0.01, 0.5, 0.99):
            uniform = before + share * (edges[c] - before)
            assert choices.pick(weights, len(weights), uniform, 1e-5) == c
        assert choices.pick(weights, len(weights), before + 1e-7, 1e-5) == -1
        assert choices.pick(weights, len(weights), edges[c] - 1e-7, 1e-5) == -1
    # Only the first 40: their total is 50.
    assert choices.pick(weights, 40, 0.7, 1e-5) == 32
    # Nothing but the floor of the weights.
    assert choices.pick(np.full(10, np.exp(-32.0)), 10, 0.55, 1e-5) == -1


@pytest.mark.parametrize("width", [16, 48])
def test_quick_utilities_of_rows(width: int) -> None:
    rng = np.random.default_rng(1)
    rows = rng.integers(-(2**31) + 1, 2**31, (300, width)).astype(np.int32)
    user = rng.normal(0, 1e-9, width)
    drawn = rng.integers(0, 300, 70).astype(np.int32)
    x = np.zeros(80)
    largest = choices.score_drawn(rows, user, drawn, x[:70])
    np.testing.assert_allclose(x[:70], rows[drawn] @ user, rtol=0, atol=1e-14 * width)
    assert largest == x[:70].max() and not x[70:].any()
    assert choices.score_first(rows, user, 80, x) == x.max()
    np.testing.assert_allclose(x, rows[:80] @ user, rtol=0, atol=1e-14 * width)


def test_the_error_of_quick_sums_is_within_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows rounded to steps, weighed, summed: beside exponentials of utilities in extended precision."""
    shelves: list[Any] = []
    real = choosing._shelf

    def kept(*arguments: Any) -> Any:
        shelves.append(real(*arguments))
        return shelves[-1]

    monkeypatch.setattr(choosing, "_shelf", kept)
    world = generate("drift", 2, users=50, taste_sd=2.0)
    shelf, truth = shelves[0], world.truth
    by_release = np.argsort(truth.release, kind="stable")
    features = truth.attributes.dense(by_release).astype(np.longdouble)
    checked = 0
    for u in range(50):
        for epoch in range(3):
            weights = truth.taste[u].astype(np.longdouble) @ truth.taste_map + truth.style[epoch]
            exact = features @ weights + truth.popularity[by_release]
            exact += truth.item_latent[by_release].astype(np.longdouble) @ truth.user_latent[u]
            share = np.cumsum(np.exp(exact - exact.max()))
            user = np.zeros(shelf.rows.shape[1])
            user[:10] = *truth.taste[u], *truth.user_latent[u]
            user[10 + epoch] = 1
            user *= shelf.steps
            quick = np.empty(len(exact))
            choices.weigh(quick, len(quick), 1.0, choices.score_first(shelf.rows, user, len(quick), quick))
            terms = len(user) + shelf.columns.shape[1]
            bound = choices.largest_error(user, shelf.reach, 1.0, terms, len(quick))
            error = np.abs(np.cumsum(quick) / quick.sum() - share / share[-1]).max()
            checked += error > bound / 1000
            assert error <= bound < 1e-7
    assert checked > 0  # and it is not so far away that it would hold for anything
