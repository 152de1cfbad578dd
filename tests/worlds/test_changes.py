"""Planted seasons and trends of the built-in worlds, and that worlds without them stayed as they were."""

from __future__ import annotations

import numpy as np
import pytest

from ivbpr_numba.errors import UsageError
from ivbpr_numba.worlds.changes import YEAR, planted_changes
from ivbpr_numba.worlds.world import SIZES, generate

SMALL = {"users": 300, "items": 200, "late_share": 0.0}


def test_each_feature_changes_in_one_way() -> None:
    size = SIZES["seasons"]
    changes = planted_changes(size, 3)
    assert (changes.season > 0).sum() == size.seasonal and (changes.trend != 0).sum() == size.trending
    assert not ((changes.season > 0) & (changes.trend != 0)).any()
    assert set(np.abs(changes.trend[changes.trend != 0])) == {size.trend_style}
    other = planted_changes(size, 4)
    assert not np.array_equal(other.season, changes.season)


def test_the_style_follows_the_year_and_the_trend() -> None:
    world = generate("seasons", 1, **SMALL)
    assert len(world.truth.style) == 36 and np.ptp(np.diff(world.truth.epoch_edges)) <= 2
    changes = planted_changes(world.size, 1)
    style = world.truth.style - world.truth.style.mean(axis=0)
    years = (world.truth.epoch_edges[:-1] + world.truth.epoch_edges[1:]) / 2 / YEAR
    for k in np.flatnonzero(changes.season):
        expected = changes.season[k] * np.cos(2 * np.pi * (years - changes.peak[k]))
        np.testing.assert_allclose(style[:, k], expected - expected.mean(), atol=1e-9)
    for k in np.flatnonzero(changes.trend):
        np.testing.assert_allclose(style[:, k], changes.trend[k] * (years - years.mean()), atol=1e-9)
    still = (changes.season == 0) & (changes.trend == 0)
    assert still.any() and np.abs(style[:, still]).max() < 1e-12


def test_purchases_follow_the_season() -> None:
    world = generate("seasons", 2, users=3000, items=200, late_share=0.0, trending=0, season_style=1.5)
    changes = planted_changes(world.size, 2)
    has = world.attributes.dense(world.purchases.items)
    phase = world.purchases.times / YEAR
    for k in np.flatnonzero(changes.season):
        at_peak = np.cos(2 * np.pi * (phase - changes.peak[k])) > 0
        assert has[at_peak, k].mean() > 1.3 * has[~at_peak, k].mean()


@pytest.mark.parametrize("name", ["tiny", "drift"])
def test_worlds_without_them_are_as_before(name: str) -> None:
    plain = generate(name, 5, users=100, items=200, late_share=0.1)
    assert not {"seasonal", "trending", "season_style", "trend_style"} & set(plain.truth.config)
    planted = generate(name, 5, users=100, items=200, late_share=0.1, seasonal=3, trending=2)
    assert planted.truth.config["seasonal"] == 3
    # All other draws are those of the world without.
    for part in ("taste", "taste_map", "popularity", "item_latent", "user_latent", "release", "epoch_edges"):
        np.testing.assert_array_equal(getattr(planted.truth, part), getattr(plain.truth, part))
    np.testing.assert_array_equal(planted.purchases.times, plain.purchases.times)
    changes = planted_changes(planted.size, 5)
    np.testing.assert_allclose(
        planted.truth.style, plain.truth.style + changes.styles(plain.truth.epoch_edges), atol=1e-12
    )


@pytest.mark.parametrize("wrong", [{"seasonal": 40, "trending": 10}, {"trending": -1}])
def test_impossible_changes(wrong: dict[str, int]) -> None:
    with pytest.raises(UsageError, match="trending features"):
        generate("tiny", **wrong)
