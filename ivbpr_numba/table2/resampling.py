"""Differences of two columns, paired user by user, and what resampled users say of them.

A resample draws as many users as there are, with replacement, each with all his runs. All pairs and settings
of a corpus see the same draws. The runs are taken as they were made: three of them can't be resampled, and
what they differ by is in the combined error of the difference (see `spread`).

    p = (1 + number of resamples farther from their mean than the difference is from 0) / (1 + resamples)

Of fewer than `FEWEST` users resamples say too little, and there is no p. With m pairs compared, Holm's p of
the one at place k, by ascending p, is the largest (m − j + 1) p_j of the places j ≤ k, at most 1. Whoever
calls those below .05 differences makes no mistake at all with a probability of at least 95 %, whatever
depends on what.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ivbpr_numba.judging.paired import resamples
from ivbpr_numba.table2.spread import spread_of

__all__ = ["FEWEST", "compared", "holm"]

RESAMPLES, LARGE, OF_LARGE = 10_000, 20_000, 2_000  # of more than LARGE users only OF_LARGE resamples
INTERVAL = (0.025, 0.975)
FEWEST = 30  # users


def compared(
    values: Mapping[tuple[str, str], np.ndarray],
    pairs: Sequence[tuple[str, str]],
    settings: Sequence[str],
    seed: int,
    n: int | None = None,
) -> list[dict[str, Any]]:
    """Every pair in every setting.

    Parameters
    ----------
    values : mapping of (setting, column) to (R, U) float64
        NaN where a user doesn't count.
    pairs : sequence of (a, b)
        The difference is b − a.
    settings : sequence of str
    seed : int
        Of the resamples.
    n : int, optional
        How many; 10,000, of more than 20,000 users 2,000.

    Returns
    -------
    list of dict
        ``setting a b difference stderr stderr_users stderr_runs low high ci95_low ci95_high p users
        each_run``; ``low`` and ``high`` are the 95 % interval of the resamples, ``ci95_low`` and
        ``ci95_high`` that of the combined error. None where too few users count.
    """
    asked = [(setting, a, b) for setting in settings for a, b in pairs]
    differences = [values[setting, b] - values[setting, a] for setting, a, b in asked]
    spreads = [spread_of(one) for one in differences]
    drawn = _resampled(differences, seed, n)
    rows = []
    for number, ((setting, a, b), spread) in enumerate(zip(asked, spreads)):
        found = spread.as_dict()
        mean, low, high = (found.pop(name) for name in ("mean", "low", "high"))
        resampled = {"low": None, "high": None, "ci95_low": low, "ci95_high": high, "p": None}
        row = {"setting": setting, "a": a, "b": b, "difference": mean, **found, **resampled}
        if mean is not None and spread.users >= FEWEST:
            told = drawn[number][np.isfinite(drawn[number])]  # nobody who counts was drawn in the others
            away = told - told.mean()
            low, high = (mean + np.quantile(away, INTERVAL)).tolist()
            # As far as rounding can tell: a difference of nothing at all is no difference.
            farther = int(np.count_nonzero(np.abs(away) >= abs(mean) - 1e-12))
            row |= {"low": low, "high": high, "p": (1 + farther) / (1 + len(away))}
        rows.append(row)
    return rows


def _resampled(differences: Sequence[np.ndarray], seed: int, n: int | None) -> np.ndarray:
    """Each difference in every resample, (differences, resamples)."""
    if not differences:
        return np.empty((0, 0))
    users = differences[0].shape[1]
    known = [np.isfinite(one) for one in differences]
    counts = np.concatenate(known).T.astype(np.float64)
    totals = np.concatenate([np.where(own, one, 0.0) for own, one in zip(known, differences)]).T
    runs = [len(one) for one in differences]
    found = []
    for weights in resamples(users, n or (RESAMPLES if users <= LARGE else OF_LARGE), seed):
        drawn = weights @ counts
        means = np.divide(weights @ totals, drawn, out=np.full(drawn.shape, np.nan), where=drawn > 0)
        parts = np.split(means, np.cumsum(runs)[:-1], axis=1)
        found.append(np.stack([_mean(part) for part in parts]))
    return np.concatenate(found, axis=1)


def _mean(means: np.ndarray) -> np.ndarray:
    """Over the runs that anybody counts in; NaN where there is none."""
    known = np.isfinite(means)
    n = known.sum(axis=1)
    return np.divide(np.where(known, means, 0.0).sum(axis=1), n, out=np.full(len(n), np.nan), where=n > 0)


def holm(p: Sequence[float | None]) -> list[float | None]:
    """Holm's correction for so many comparisons; None stays None and is not counted."""
    known = [number for number, one in enumerate(p) if one is not None]
    order = sorted(known, key=lambda number: (p[number], number))
    found: list[float | None] = [None] * len(p)
    largest = 0.0
    for place, number in enumerate(order):
        largest = max(largest, min(1.0, (len(known) - place) * float(p[number] or 0.0)))
        found[number] = largest
    return found
