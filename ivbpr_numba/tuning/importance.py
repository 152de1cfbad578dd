"""What mattered in a search: each option's share of the differences between trials.

The trials' estimated AUCs (`rungs.estimates`) are replaced by their ranks, so that one disastrous trial is no
more than the last one. Additive models are fitted to the ranks by least squares: of an option with numbers
its place and, where there are twice as many trials as columns, the square of its distance from the middle; of
one with words a level each. With p columns, n trials and the residual sum of squares RSS, adjusted for the
columns as usual,

    R² = 1 − (RSS / (n − p − 1)) / (TSS / (n − 1))
    share of an option = mean over orders of R² with it and all before it − R² with those before it

(the averages of Lindeman, Merenda and Gold, 1980, here over `ORDERS` drawn orders and their reverses). So the
shares add up to the R² of all options; what two options did together, because the search always changed both,
is split between them; an option of no effect has the share 0 on average, also below 0 by chance. The standard
error is the jackknife's, by groups of trials where there are more than `GROUPS`.

It is about these trials, within these ranges: an option that the space holds near its best value explains
little, however harmful others would be. What options do only together, beyond the sum of what each does, is
in no share. It is no cause, and it says nothing about the test part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from ivbpr_numba.tuning.dimensions import Choice
from ivbpr_numba.tuning.space import Space

__all__ = ["importance"]

SPARE = 5  # trials that there must be beyond the columns
ORDERS = 12
GROUPS = 40


def importance(
    space: Space, options: Sequence[Mapping[str, Any]], values: Sequence[float]
) -> list[dict[str, Any]]:
    """The share of each option, the largest first.

    Parameters
    ----------
    space : Space
    options : sequence of mappings
        The searched options of each trial.
    values : sequence of float
        Estimated AUC of each.

    Returns
    -------
    list of dict
        ``option share stderr best_half``: `best_half` are the least and the largest value, or the words,
        among the better half of the trials. Empty where there are too few trials to tell.
    """
    n = len(values)
    columns = _columns(space, options, squares=True)
    if n < 2 * sum(map(len, columns.values())):
        columns = _columns(space, options, squares=False)
    if n < sum(map(len, columns.values())) + 1 + SPARE:
        return []
    ranks = np.argsort(np.argsort(values, kind="stable"), kind="stable").astype(float)
    shares = _shares(columns, ranks)
    groups = min(n, GROUPS)
    without = np.array([_shares(columns, ranks, np.arange(n) % groups != k) for k in range(groups)])
    errors = np.sqrt((groups - 1) / groups * ((without - without.mean(0)) ** 2).sum(0))
    better = np.argsort(-ranks, kind="stable")[: (n + 1) // 2]
    rows = [
        {
            "option": one.name,
            "share": float(share),
            "stderr": float(error),
            "best_half": _span(one, [options[k][one.name] for k in better]),
        }
        for one, share, error in zip(space.dimensions, shares, errors)
    ]
    return sorted(rows, key=lambda row: -row["share"])


def _columns(
    space: Space, options: Sequence[Mapping[str, Any]], squares: bool
) -> dict[str, list[np.ndarray]]:
    """Regressors of each option; those that no trial varies are left out."""
    found: dict[str, list[np.ndarray]] = {}
    for one in space.dimensions:
        if isinstance(one, Choice) and not one.ordered:
            values = [row[one.name] for row in options]
            levels = sorted(set(values), key=repr)[1:]
            columns = [np.array([value == level for value in values], float) for level in levels]
        else:
            place = np.array([one.place(row[one.name]) for row in options])
            columns = [place, (place - 0.5) ** 2] if squares and len(set(place)) > 2 else [place]
        found[one.name] = [column for column in columns if np.ptp(column) > 0]
    return found


def _shares(
    columns: Mapping[str, list[np.ndarray]], ranks: np.ndarray, kept: np.ndarray | None = None
) -> np.ndarray:
    """The share of each option, in the order of `columns`."""
    kept = np.ones(len(ranks), bool) if kept is None else kept
    own = list(columns.values())

    @cache
    def explained(used: frozenset[int]) -> float:
        return _adjusted([column for k in sorted(used) for column in own[k]], ranks, kept)

    drawn = [np.random.default_rng(k).permutation(len(own)) for k in range(ORDERS)]
    shares = np.zeros(len(own))
    for order in [*drawn, *(one[::-1] for one in drawn)]:
        before: frozenset[int] = frozenset()
        for k in order.tolist():
            shares[k] += explained(before | {k}) - explained(before)
            before |= {k}
    return shares / (2 * ORDERS)


def _adjusted(columns: Sequence[np.ndarray], ranks: np.ndarray, kept: np.ndarray) -> float:
    """Adjusted R² of the ranks on the columns."""
    y = ranks[kept] - ranks[kept].mean()
    x = np.stack([np.ones(len(y)), *(column[kept] for column in columns)], axis=1)
    fitted, _, used, _ = np.linalg.lstsq(x, y, rcond=None)
    rest = float(((y - x @ fitted) ** 2).sum())
    total = float((y**2).sum())
    return 1.0 - (rest / max(len(y) - used, 1)) / (total / (len(y) - 1)) if total else 0.0


def _span(dimension: Any, values: Sequence[Any]) -> str:
    if isinstance(dimension, Choice) and not dimension.ordered:
        return ", ".join(str(value) for value in dimension.values if value in values)
    numbers = [value for value in values if not isinstance(value, str)]
    words = sorted({value for value in values if isinstance(value, str)})  # such as "auto", the default
    if not numbers:
        return ", ".join(words)
    low, high = min(numbers), max(numbers)
    return ", ".join([*words, f"{low:g}" if low == high else f"{low:g} to {high:g}"])
