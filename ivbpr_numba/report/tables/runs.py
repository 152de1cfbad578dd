"""Do the runs differ by as much as the errors say? The spread over runs against the luck of held-out items.

Each of n users has a value in each of R runs, a_ru, another item of his held out in each. If runs differed
by nothing but which items were held out, independently from user to user, the variance of the runs' means
would be

    E = Σ_ur (a_ru − ā_u − ā_r + ā)² / ((n − 1)(R − 1) n)

(the residual of a two-way analysis of variance, divided by n). What is seen is S = Σ_r (ā_r − ā)² / (R − 1).
The ratio √(S/E) is about 1 where luck is all there is; S/E is F distributed then, with R − 1 and
(n − 1)(R − 1) degrees of freedom. Far above, runs move all users together: another start, other training
purchases.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ivbpr_numba.report.tables.standing import label_of
from ivbpr_numba.table2.spread import spread_of
from ivbpr_numba.table2.table import Table

__all__ = ["luck", "runs"]

COVERAGE = 0.95


def luck(values: np.ndarray) -> tuple[float, float] | None:
    """Standard deviation of a run's mean: as seen, and by the luck of held-out items alone.

    Parameters
    ----------
    values : (R, U) float64
        Users with a value in every run count; None for fewer than two of them, or runs.
    """
    balanced = values[:, np.isfinite(values).all(axis=0)]
    count, n = balanced.shape
    if count < 2 or n < 2:
        return None
    means, users, mean = balanced.mean(axis=1), balanced.mean(axis=0), balanced.mean()
    left = balanced - users - means[:, None] + mean
    expected = np.square(left).sum() / ((n - 1) * (count - 1) * n)
    seen = np.square(means - mean).sum() / (count - 1)
    return float(np.sqrt(seen)), float(np.sqrt(expected))


def runs(table: Table, best: str) -> dict[str, Any] | None:
    """How far the runs of each column lie apart on All Items; None with one run.

    Returns
    -------
    dict
        ``rows``: ``label best each mean ci95 stderr_users stderr_runs stderr seen luck ratio``; ``ratio``,
        the root mean square over the columns, and ``most``, beyond which luck alone takes the ratio of one
        column in 5 of 100 cases; ``inside`` of ``asked`` runs whose own 95 % interval over users holds the
        mean of the others, and how many that would be by luck alone, ``expected``.
    """
    if table.runs < 2:
        return None
    rows: list[dict[str, Any]] = []
    held: list[tuple[bool, float]] = []
    for column in table.columns:
        values = table.values(0, "all", column)
        spread, found = spread_of(values), luck(values)
        if spread.mean is None or spread.low is None or found is None:
            continue
        seen, expected = found
        held += _held(values, expected)
        rows.append(
            {
                "label": label_of(column),
                "best": column == best,
                "each": [value for value in spread.each_run if value is not None],
                "mean": spread.mean,
                "ci95": (spread.low, spread.high),
                "stderr_users": spread.stderr_users,
                "stderr_runs": spread.stderr_runs,
                "stderr": spread.stderr,
                "seen": seen,
                "luck": expected,
                "ratio": seen / expected if expected > 0 else None,
            }
        )
    if not rows:
        return None
    ratios = [row["ratio"] for row in rows if row["ratio"] is not None]
    users = int(np.isfinite(table.values(0, "all", table.columns[0])).all(axis=0).sum())
    return {
        "rows": rows,
        "ratio": float(np.sqrt(np.mean(np.square(ratios)))) if ratios else None,
        "most": _most(table.runs, users),
        "inside": sum(inside for inside, _ in held),
        "expected": sum(chance for _, chance in held),
        "asked": len(held),
    }


def _held(values: np.ndarray, luck_alone: float) -> list[tuple[bool, float]]:
    """Of each run whether its own interval over users holds the mean of the others, and how likely by luck.

    The difference of the two has the variance E R/(R − 1) then.
    """
    from scipy.special import ndtr

    away = luck_alone * np.sqrt(len(values) / (len(values) - 1))
    found = []
    for run in range(len(values)):
        own = spread_of(values[[run]])
        others = spread_of(np.delete(values, run, axis=0))
        if own.low is not None and own.high is not None and others.mean is not None:
            half = (own.high - own.low) / 2
            chance = 2 * float(ndtr(half / away)) - 1 if away > 0 else 1.0
            found.append((own.low <= others.mean <= own.high, chance))
    return found


def _most(count: int, users: int) -> float:
    from scipy.special import fdtri

    return float(np.sqrt(fdtri(count - 1, (users - 1) * (count - 1), COVERAGE)))
