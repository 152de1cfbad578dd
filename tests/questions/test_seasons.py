"""Seasons told from trends: exact where the truth is known, honest where the data can't tell."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivbpr_numba.questions.seasons import MONTHS, YEAR, decompose, year_of

DAY = 86_400
START = 1_537_401_600  # 2018-09-20


def uneven_edges(rng: np.random.Generator, count: int, years: float) -> np.ndarray:
    lengths = rng.uniform(0.4, 1.6, count)
    within = np.concatenate([[0.0], np.cumsum(lengths) / lengths.sum()])
    return (START + within * years * YEAR).astype(np.int64)


def means_of(curve: Any, edges: np.ndarray) -> np.ndarray:
    """Means of a curve of years over each epoch, by brute force."""
    found = []
    for start, stop in pairwise(edges):
        middles = start + (np.arange(4000) + 0.5) / 4000 * (stop - start)
        found.append(curve(middles / YEAR).mean())
    return np.array(found)


def wave(level: float, trend: float, season: float, peak: float, middle: float) -> Any:
    return lambda y: level + trend * (y - middle) + season * np.cos(2 * np.pi * (y - peak))


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    count=st.integers(8, 40),
    trend=st.floats(-1, 1),
    season=st.floats(0.05, 2),
    peak=st.floats(0, 0.999),
)
def test_what_is_planted_is_found_exactly(
    seed: int, count: int, trend: float, season: float, peak: float
) -> None:
    """Whatever the lengths of the epochs and their weights, and however long epochs blur the wave."""
    rng = np.random.default_rng(seed)
    edges = uneven_edges(rng, count, 2.01)
    events = rng.integers(1, 1000, count)
    response = means_of(wave(3.0, trend, season, peak, float(edges[0]) / YEAR), edges)[:, None]
    found = decompose(edges, events, response)
    if not found.told:  # unlucky lengths
        assert found.condition > 10
        return
    np.testing.assert_allclose(found.trend, trend, atol=1e-5)
    np.testing.assert_allclose(found.season, season, atol=1e-5)
    assert abs((found.peak[0] - peak + 0.5) % 1 - 0.5) < 1e-4


def test_least_squares_is_that_of_numpy() -> None:
    rng = np.random.default_rng(3)
    edges, events = uneven_edges(rng, 14, 3.0), rng.integers(1, 500, 14)
    response = rng.normal(0, 1, (14, 6))
    years = year_of(edges)
    design = np.column_stack(
        [
            means_of(curve, edges)
            for curve in (
                np.ones_like,
                lambda y: y - (years[0] + years[-1]) / 2,
                lambda y: np.cos(2 * np.pi * y),
                lambda y: np.sin(2 * np.pi * y),
            )
        ]
    )
    root = np.sqrt(events)[:, None]
    solution, left, _, _ = np.linalg.lstsq(design * root, response * root, rcond=None)
    found = decompose(edges, events, response)
    np.testing.assert_allclose(found.trend, solution[1], rtol=1e-4)
    np.testing.assert_allclose(found.season, np.hypot(*solution[2:]), rtol=1e-4)
    covariance = np.linalg.inv((design * root).T @ (design * root))
    np.testing.assert_allclose(found.trend_error, np.sqrt(left / 10 * covariance[1, 1]), rtol=1e-4)
    assert found.condition == pytest.approx(
        np.linalg.cond(design * root / np.linalg.norm(design * root, axis=0)), rel=1e-4
    )
    # One feature alone, and features in another order, are the same bits.
    again = decompose(edges, events, np.ascontiguousarray(response[:, ::-1]))
    np.testing.assert_array_equal(again.trend[::-1], found.trend)
    np.testing.assert_array_equal(again.season_chance[::-1], found.season_chance)


def test_chances_are_uniform_in_noise_and_errors_are_its_spread() -> None:
    rng = np.random.default_rng(5)
    edges, events = uneven_edges(rng, 12, 3.0), rng.integers(100, 400, 12)
    noise = rng.normal(0, 1, (12, 4000)) / np.sqrt(events)[:, None]
    planted = means_of(wave(0, 0.1, 0.3, 0.4, float(edges[0]) / YEAR), edges)[:, None]
    found = decompose(edges, events, noise)
    for chance in (found.trend_chance, found.season_chance):
        for level in (0.01, 0.05, 0.5):
            assert np.mean(chance < level) == pytest.approx(level, abs=4 * np.sqrt(level / 4000))
    shifted = decompose(edges, events, planted + noise)
    assert shifted.trend.std() == pytest.approx(np.sqrt(np.square(shifted.trend_error).mean()), rel=0.05)
    assert shifted.season.std() == pytest.approx(np.sqrt(np.square(shifted.season_error).mean()), rel=0.05)


def test_kinds_and_months() -> None:
    edges = START + np.arange(25) * int(YEAR / 12)
    rng = np.random.default_rng(1)
    first = float(edges[0]) / YEAR
    curves = [(0.5, 0.0), (0.0, 0.5), (0.2, 0.4), (0.0, 0.0)]
    response = np.column_stack([means_of(wave(0, t, s, 0.46, first), edges) for t, s in curves])
    response += rng.normal(0, 0.02, response.shape)
    response[:, 3] = np.resize([0.1, -0.1], 24)  # faster than any season
    found = decompose(edges, np.full(24, 100), response, ["a", "b", "c", "d"], ["g"] * 4)
    assert [found.kind(k) for k in range(4)] == ["trend", "season", "season", "neither"]
    assert found.peak_month(1) == "June" and len(MONTHS) == 12
    rows = list(found.rows())
    assert [row["feature"] for row in rows] == ["a", "b", "c", "d"] and rows[1]["peak_month"] == "June"
    assert found.facts()["told"] and found.facts()["why"] is None
    # In the year before last and the last one, seasons cancel; only the trend is left.
    np.testing.assert_allclose(found.year_over_year[:2], [0.5, 0.0], atol=0.03)


def test_a_feature_that_does_not_move() -> None:
    edges = START + np.arange(25) * int(YEAR / 12)
    found = decompose(edges, np.full(24, 100), np.zeros((24, 1)))
    assert found.kind(0) == "neither" and found.trend[0] == found.season[0] == found.year_over_year[0] == 0


@pytest.mark.parametrize(
    ("years", "count", "said"),
    [(1.5, 20, "span 1.5 years"), (2.0, 5, "5 learned epochs in 2.0 years"), (7.0, 12, "--epochs 28")],
)
def test_where_the_data_cannot_tell(years: float, count: int, said: str) -> None:
    edges = (START + np.linspace(0, years, count + 1) * YEAR).astype(np.int64)
    found = decompose(edges, np.full(count, 100), np.random.default_rng(0).normal(0, 1, (count, 3)))
    assert not found.told and said in str(found.why)
    assert found.kind(0) is None and found.peak_month(0) is None
    for row in found.rows():
        assert {row[key] for key in row if key not in ("feature", "group")} == {None}


def test_epochs_in_which_seasons_and_trends_look_alike() -> None:
    """Many epochs in one winter and one long one do not make two years."""
    days = [*range(0, 91, 10), 730]
    edges = START + np.array(days) * DAY
    found = decompose(
        edges, np.full(len(days) - 1, 100), np.random.default_rng(0).normal(0, 1, (len(days) - 1, 1))
    )
    assert not found.told and "look alike" in str(found.why) and found.condition > 10


def test_epochs_without_a_value_count_for_nothing() -> None:
    rng = np.random.default_rng(2)
    edges = uneven_edges(rng, 16, 2.5)
    events = rng.integers(50, 100, 16)
    response = means_of(wave(0, 0.3, 0.7, 0.2, float(edges[0]) / YEAR), edges)[:, None]
    events[4], response[9] = 0, np.nan
    response[4] = 99.0
    found = decompose(edges, events, response)
    assert found.told and found.epochs_a_year == pytest.approx(14 / 2.5, rel=1e-3)
    np.testing.assert_allclose([found.trend[0], found.season[0]], [0.3, 0.7], atol=1e-5)
    assert np.isnan(found.year_over_year[0])


def test_refits_take_back_what_other_customers_would_change() -> None:
    """A trend and a season that are certain over the epochs, and refits whose halves disagree about them."""
    edges = START + np.arange(25) * int(YEAR / 12)
    first = float(edges[0]) / YEAR
    rng = np.random.default_rng(1)
    noise = rng.normal(0, 0.02, (24, 2))
    response = np.column_stack([means_of(wave(0, t, s, 0.46, first), edges) for t, s in ((0.5, 0), (0, 0.5))])
    names, events = (["a", "b"], ["g", "g"]), np.full(24, 100)
    alone = decompose(edges, events, response + noise, *names)
    assert np.isnan(alone.trend_half).all() and [alone.kind(0), alone.kind(1)] == ["trend", "season"]
    for share, kinds in ((0.02, ["trend", "season"]), (0.9, ["neither", "neither"])):
        # The two halves of a split lie at 1 + share and 1 - share of the planted curves.
        draws = np.stack([(1 + share * sign) * response for sign in (1, -1) * 4])
        found = decompose(edges, events, response + noise, *names, draws)
        assert [found.kind(0), found.kind(1)] == kinds
        t = 2.7764  # 97.5 % of Student's distribution with four degrees of freedom
        np.testing.assert_allclose(found.trend_half[0], t * 2 * share * 0.5, rtol=1e-3)
        np.testing.assert_allclose(found.season_half[1], t * 2 * share * 0.5, rtol=1e-2)
        np.testing.assert_array_equal(found.trend, alone.trend)
