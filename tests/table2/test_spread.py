"""Errors over users and runs, differences and their correction, against the slow twins and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from naive import holm as slow_holm
from naive import table_errors

from ivbpr_numba.table2.resampling import FEWEST, compared, holm
from ivbpr_numba.table2.spread import spread_of


@given(st.integers(0, 10_000), st.integers(1, 4), st.integers(2, 12))
def test_errors_are_those_of_the_equations(seed: int, runs: int, users: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.random((runs, users))
    hidden = rng.random((runs, users)) < 0.3
    hidden[:, 0] = hidden[:, 1] = False
    values[hidden] = np.nan
    found = spread_of(values)
    mean, over_users, over_runs, both = table_errors(values.tolist())
    assert (found.mean, found.stderr_users, found.stderr) == pytest.approx((mean, over_users, both))
    assert found.stderr_runs == (pytest.approx(over_runs) if runs > 1 else None)
    assert found.users == np.count_nonzero(~hidden.all(axis=0))
    assert found.low < found.mean < found.high or both == 0


def test_one_run_is_the_usual_error() -> None:
    values = np.random.default_rng(1).random((1, 50))
    assert spread_of(values).stderr == pytest.approx(values.std(ddof=1) / np.sqrt(50))


def test_the_same_run_thrice_makes_no_more_users() -> None:
    values = np.random.default_rng(2).random((1, 50))
    once, thrice = spread_of(values), spread_of(np.repeat(values, 3, axis=0))
    assert thrice.stderr_users == pytest.approx(once.stderr_users) and thrice.stderr_runs == 0


def test_nobody_and_one() -> None:
    nobody = spread_of(np.full((2, 5), np.nan))
    assert (nobody.mean, nobody.stderr, nobody.users) == (None, None, 0)
    one = np.full((2, 5), np.nan)
    one[:, 3] = 0.25
    assert (spread_of(one).mean, spread_of(one).stderr) == (0.25, None)


@pytest.mark.parametrize(
    ("of_users", "of_runs", "of_both"), [(0.2, 0.0, 0.2), (0.2, 0.005, 0.2), (0.1, 0.02, 0.2)]
)
def test_intervals_hold_the_truth(of_users: float, of_runs: float, of_both: float) -> None:
    """Users, runs and their meeting each add chance: at least 92 of 100 intervals hold 0, in 400 tables."""
    rng = np.random.default_rng(3)
    held = 0
    for _ in range(400):
        values = (
            of_users * rng.standard_normal((1, 300))
            + of_runs * rng.standard_normal((3, 1))
            + of_both * rng.standard_normal((3, 300))
        )
        found = spread_of(values)
        held += found.low <= 0 <= found.high
    assert held >= 368


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm(p: list[float]) -> None:
    assert holm(p) == pytest.approx(slow_holm(p))
    assert holm([*p, None])[:-1] == holm(p)


class TestDifferences:
    def pair(self, shift: float, users: int = 200, runs: int = 2) -> dict[tuple[str, str], np.ndarray]:
        rng = np.random.default_rng(5)
        easy = rng.random((runs, users))
        return {("all", "a"): easy, ("all", "b"): easy + shift + 0.1 * rng.standard_normal((runs, users))}

    def test_a_clear_one(self) -> None:
        (row,) = compared(self.pair(0.05), [("a", "b")], ["all"], 0)
        assert row["difference"] == pytest.approx(0.05, abs=0.02) and row["p"] < 0.001
        assert 0 < row["low"] < row["difference"] < row["high"]
        # The resamples agree with the error over users.
        assert row["high"] - row["low"] == pytest.approx(2 * 1.96 * row["stderr_users"], rel=0.1)

    def test_none_at_all(self) -> None:
        same = self.pair(0.0)
        same["all", "b"] = same["all", "a"]
        (row,) = compared(same, [("a", "b")], ["all"], 0)
        assert (row["difference"], row["p"]) == (0, 1)

    def test_chance_is_rarely_called_a_difference(self) -> None:
        rng = np.random.default_rng(7)
        called = 0
        for seed in range(200):
            values = {("all", "a"): rng.random((1, 60)), ("all", "b"): rng.random((1, 60))}
            called += compared(values, [("a", "b")], ["all"], seed)[0]["p"] < 0.05
        assert 1 <= called <= 22  # 5 % of 200, within three standard errors and a little

    def test_too_few_users_have_no_p(self) -> None:
        (row,) = compared(self.pair(0.5, FEWEST - 1), [("a", "b")], ["all"], 0)
        assert row["p"] is None and row["difference"] > 0.4

    def test_the_same_seed_the_same_p(self) -> None:
        values = self.pair(0.01)
        assert compared(values, [("a", "b")], ["all"], 3) == compared(values, [("a", "b")], ["all"], 3)
