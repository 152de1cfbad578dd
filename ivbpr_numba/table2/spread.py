"""How sure a figure of the table is: over users, over runs, and both together.

a_ru is what user u came to in run r: one held-out item among all candidates; n_r users count in run r, R runs
were made. A figure is the mean over runs of the means over users, ā = (1/R) Σ_r ā_r.

    over users  V_U = G/(G−1) Σ_u z_u²,  z_u = Σ_r (a_ru − ā_r) / (R n_r)     G users count in some run
    over runs   V_R = Σ_r (ā_r − ā)² / (R (R − 1))
    combined    V   = V_U + V_R

V_U is what other users would change. Each user is one draw, with all his runs: three runs don't make three
times as many users. With one run it is the familiar s²/n. V_R is what other splits and other starts would
change, for the same users. Neither alone is honest: V_U takes the fits as given, V_R the users.

The sum is never too small in expectation. Which item of a user is held out moves the mean of his runs, and
the difference between runs too, so this part (σ_e²/(nR)) is counted twice: where it is all there is,
intervals are √2 too wide (`benchmarks/COVERAGE.md` has the figures). The interval takes Student's quantile
with the degrees of freedom of Welch and Satterthwaite, V² / (V_U²/(G−1) + V_R²/(R−1)): V_R of three runs
has two, and is itself uncertain.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

__all__ = ["Spread", "spread_of"]

COVERAGE = 0.95


@dataclass(frozen=True)
class Spread:
    """A figure with its errors; None where nothing is known.

    Attributes
    ----------
    mean : float or None
        Of the runs' means.
    stderr_users, stderr_runs, stderr : float or None
        See the equations; with one run `stderr_runs` is None and `stderr` that over users.
    low, high : float or None
        The 95 % interval by `stderr`, not clipped.
    users : int
        Users who count in some run.
    each_run : tuple of float or None
        Mean of each run.
    """

    mean: float | None
    stderr_users: float | None
    stderr_runs: float | None
    stderr: float | None
    low: float | None
    high: float | None
    users: int
    each_run: tuple[float | None, ...]

    def as_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {**asdict(self), "each_run": list(self.each_run)}


def spread_of(values: np.ndarray) -> Spread:
    """Mean and errors of what users came to in the runs.

    Parameters
    ----------
    values : (R, U) float64
        NaN where a user doesn't count in a run.
    """
    known = np.isfinite(values)
    n = known.sum(axis=1)
    each = tuple(float(row[own].mean()) if own.any() else None for row, own in zip(values, known))
    used = np.flatnonzero(n > 0)
    users = int(np.count_nonzero(known.any(axis=0)))
    if not len(used):
        return Spread(None, None, None, None, None, None, 0, each)
    means = np.array([each[r] for r in used], np.float64)
    runs, mean = len(used), float(means.mean())
    part = np.where(known[used], values[used] - means[:, None], 0.0) / (runs * n[used, None])
    over_users = float(users / (users - 1) * np.square(part.sum(axis=0)).sum()) if users > 1 else None
    over_runs = float(np.square(means - mean).sum() / (runs * (runs - 1))) if runs > 1 else None
    if over_users is None:
        return Spread(mean, None, None, None, None, None, users, each)
    total = over_users + (over_runs or 0.0)
    half = _quantile(over_users, users, over_runs, runs) * np.sqrt(total)
    return Spread(
        mean,
        float(np.sqrt(over_users)),
        None if over_runs is None else float(np.sqrt(over_runs)),
        float(np.sqrt(total)),
        float(mean - half),
        float(mean + half),
        users,
        each,
    )


def _quantile(over_users: float, users: int, over_runs: float | None, runs: int) -> float:
    from scipy.special import stdtrit

    below = over_users**2 / (users - 1) + (0.0 if over_runs is None else over_runs**2 / (runs - 1))
    total = over_users + (over_runs or 0.0)
    freedom = total**2 / below if below > 0 else float(users - 1)
    return float(stdtrit(freedom, 0.5 + COVERAGE / 2))
