"""A world with planted seasons and planted trends: a model in time tells them apart."""

from __future__ import annotations

import numpy as np
import pytest

from ivbpr_numba import TVBPR, Features
from ivbpr_numba.features.layout import Group
from ivbpr_numba.questions.auc import dataset_of
from ivbpr_numba.questions.seasons import seasons
from ivbpr_numba.questions.trends import measure
from ivbpr_numba.worlds.changes import planted_changes
from ivbpr_numba.worlds.world import generate


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_planted_seasons_and_trends_are_told_apart(seed: int) -> None:
    world = generate("seasons", seed)
    table = world.attributes
    features = Features.from_matrix(
        table.dense().astype(np.float16),
        ids=world.items,
        names=table.names,
        groups=[Group(*group) for group in table.layout],
        kind="attributes",
    )
    model = TVBPR(epochs=12, seed=seed).fit(dataset_of(world), features)
    found = measure(model, fits=0)
    assert found.features == table.names
    told = seasons(found)
    assert told.told
    changes = planted_changes(world.size, seed)
    seasonal, trending = np.flatnonzero(changes.season), np.flatnonzero(changes.trend)
    wave, slope = told.season / np.sqrt(2), np.abs(told.trend) * told.years / np.sqrt(12)
    ratio = wave / slope
    assert np.mean(ratio[seasonal][:, None] > ratio[trending][None]) >= 0.95  # an AUC
    right = [told.kind(int(k)) == "season" for k in seasonal] + [
        told.kind(int(k)) == "trend" for k in trending
    ]
    assert np.mean(right) >= 0.85
    apart = np.abs((told.peak - changes.peak + 0.5) % 1 - 0.5)[seasonal] * 12
    assert apart.max() < 1  # month
    np.testing.assert_array_equal(np.sign(told.trend[trending]), np.sign(changes.trend[trending]))
