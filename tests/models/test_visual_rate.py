"""A rate of E and β beside that of all else: what it means, what ``auto`` is, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_models import DATA, FEATURES, fitted

from ivbpr_numba import UsageError
from ivbpr_numba.models.specifications import SPECIFICATIONS

VISUAL = ["vbpr", "i-vbpr", "tvbpr", "i-tvbpr"]


def drawn(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Parameters of 3 users, 4 items, K = 2, D = 2, F = 3, two epochs."""
    shapes = {
        **{"item_bias": (4,), "user_factors": (3, 2), "item_factors": (4, 2), "user_visual": (3, 2)},
        **{"embedding": (2, 3), "visual_bias": (3,), "weight": (2, 2), "drift": (2, 2, 3)},
        **{"bias_weight": (2, 3), "bias_drift": (2, 3)},
    }
    return {name: rng.normal(0, 0.5, shape) for name, shape in shapes.items()}


@given(seed=st.integers(0, 999), root=st.floats(0.2, 2.0), in_time=st.booleans(), block=st.integers(1, 4))
def test_it_is_what_longer_features_do(seed: int, root: float, in_time: bool, block: int) -> None:
    """Rate v on f gives the scores of rate 1 on √v f with E/√v, β/√v, ΔE/√v, Δβ/√v, but for λ_visual.

    w and b multiply others and have no unit: in time they stand still here, as E = β = w = b = 0.
    """
    rng = np.random.default_rng(seed)
    params, f = drawn(rng), rng.normal(size=(4, 3))
    if in_time:
        params |= {n: np.zeros_like(params[n]) for n in ("embedding", "visual_bias", "weight", "bias_weight")}
    else:
        params = {name: params[name] for name in list(params)[:6]}
    unit = {name: 1 / root for name in ("embedding", "visual_bias", "drift", "bias_drift")}
    short = {name: array * unit.get(name, 1.0) for name, array in params.items()}
    triples = [(int(u), *(int(i) for i in rng.choice(4, 2, False))) for u in rng.integers(0, 3, 6)]
    rule = naive.Rule(learning_rate=0.1, lambda_theta=0.3, lambda_bias=0.1)
    learned = []
    for p, values, own in ((params, f, replace(rule, visual_rate=root**2)), (short, f * root, rule)):
        if in_time:
            found = naive.sgd_temporal(p, values, triples, [n % 2 for n in range(6)], own, block)
        else:
            found = naive.sgd_visual(p, values, triples, own, block)
        epochs = (0, 1) if in_time else (None,)
        learned.append([naive.scores(found, u, values, epoch) for u in range(3) for epoch in epochs])
    np.testing.assert_allclose(*learned, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", VISUAL)
def test_auto_is_one_by_the_mean_squared_length(name: str) -> None:
    model = fitted(name, visual_rate="auto")
    values = FEATURES[name].values(FEATURES[name].rows_of_all(DATA.items)).astype(np.float64)
    scaling = model.features_.scaling
    f = (values - scaling.shift) * scaling.multiplier
    rate = model.provenance_["visual_rate"]
    assert rate == pytest.approx(1 / np.square(f).sum(1).mean(), rel=1e-4) and rate != pytest.approx(1)
    given_it = fitted(name, visual_rate=rate)
    for part, array in model.parameters_.arrays().items():
        np.testing.assert_array_equal(given_it.parameters_.arrays()[part], array)
    assert model.config_["visual_rate"] == "auto" and "visual_rate" not in given_it.provenance_
    assert not np.array_equal(fitted(name, visual_rate=1.0).embedding_, model.embedding_)


@pytest.mark.parametrize("value", [0, -1, "fast", float("nan"), "1e400"])
def test_what_is_no_rate_is_refused(value: Any) -> None:
    with pytest.raises(UsageError, match="visual_rate"):
        fitted("i-vbpr", visual_rate=value)


def test_the_literal_paper_has_one_rate() -> None:
    for name in VISUAL:
        assert SPECIFICATIONS[name].presets["paper"]["visual_rate"] == 1
    with pytest.raises(UsageError, match="does not apply"):
        fitted("bpr-mf", visual_rate=1)
