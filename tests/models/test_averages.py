"""The running average in one pass, and that what was kept as the best stays as it was."""

import numpy as np
import pytest

from ivbpr_numba import backends
from ivbpr_numba.kernels.cpu.averaging import SMALL
from ivbpr_numba.models.training import TrainingState, _average, _keep

KERNELS = backends.kernels()


@pytest.mark.parametrize("n", [0, 1, 1000, SMALL - 1, SMALL, 3 * SMALL + 7])
@pytest.mark.parametrize("in_place", [True, False])
def test_the_same_bits_as_the_formula(n, in_place):
    rng = np.random.default_rng(n)
    average, values = rng.normal(size=(2, n)).astype(np.float32)
    weight = np.float32(1 - 0.9)
    expected = average + weight * (values - average)
    out = average if in_place else np.empty_like(average)
    KERNELS.move_average(average, values, weight, out)
    np.testing.assert_array_equal(out, expected)


def test_the_best_stays_while_the_average_moves():
    rng = np.random.default_rng(0)
    raw = {"users": np.zeros((5, 16), np.float32), "ends": np.zeros(3, np.int64)}
    state = TrainingState(raw=raw)
    expected, best = None, None
    for t in range(1, 12):
        raw["users"][:] = rng.normal(size=(5, 16))
        raw["ends"][:] = rng.integers(0, 9, 3)
        state.iteration = t
        _average(state, raw, 0.9, KERNELS)
        now = raw["users"].copy()
        expected = now if t == 1 else expected + np.float32(1 - 0.9) * (now - expected)
        if t in (2, 3, 6, 10):
            _keep(state, KERNELS)
            _keep(state, KERNELS)
            best = expected.copy(), raw["ends"].copy()
        np.testing.assert_array_equal(state.averaged["users"], expected)
        np.testing.assert_array_equal(state.averaged["ends"], raw["ends"])
        if best is not None:
            np.testing.assert_array_equal(state.best["users"], best[0])
            np.testing.assert_array_equal(state.best["ends"], best[1])


def test_without_averaging_the_best_is_a_copy():
    state = TrainingState(raw={"users": np.ones(3, np.float32)})
    _keep(state, KERNELS)
    state.raw["users"][:] = 2
    np.testing.assert_array_equal(state.best["users"], np.ones(3))
