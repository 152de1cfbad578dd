"""Figures at the head of a list, from the rank of each user's one held-out item.

Every user has one held-out item; r is its rank among the candidates and itself, from 1, and a tie counts
against it. With one relevant item the usual definitions become

    recall@K    = 1[r ≤ K]                  the share of users whose item is among the first K
    precision@K = 1[r ≤ K] / K              so at most 1/K
    ndcg@K      = 1[r ≤ K] / log₂(1 + r)    the ideal gain is 1
    map@K       = 1[r ≤ K] / r              of one relevant item: the precision at its rank
    mrr@K       = 1[r ≤ K] / r              so the same as map@K

each a mean over the users with a candidate, with the standard error of that mean.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ivbpr_numba.errors import UsageError, did_you_mean
from ivbpr_numba.ranking import Counts

__all__ = ["METRICS", "Metric", "metric_results", "parse_metrics"]

_GAINS: dict[str, Callable[[np.ndarray, int], np.ndarray]] = {
    "recall": lambda rank, k: np.ones(len(rank)),
    "precision": lambda rank, k: np.full(len(rank), 1.0 / k),
    "ndcg": lambda rank, k: 1.0 / np.log2(1.0 + rank),
    "map": lambda rank, k: 1.0 / rank,
    "mrr": lambda rank, k: 1.0 / rank,
}
METRICS = tuple(_GAINS)


@dataclass(frozen=True)
class Metric:
    """One figure, such as ``recall@10``.

    Attributes
    ----------
    name : str
        One of `METRICS`.
    k : int
        Length of the list.
    """

    name: str
    k: int

    def __str__(self) -> str:
        return f"{self.name}@{self.k}"

    def of_ranks(self, rank: np.ndarray) -> np.ndarray:
        """The figure of each user, (n,) float64, from the ranks (n,), from 1."""
        return np.where(rank <= self.k, _GAINS[self.name](rank, self.k), 0.0)


def parse_metrics(texts: Sequence[str]) -> list[Metric]:
    """The metrics of that name, each once.

    Raises
    ------
    UsageError
        One that isn't known, or without K.
    """
    found: dict[Metric, None] = {}
    for text in texts:
        parts = re.fullmatch(r"([a-z]+)@([1-9][0-9]{0,8})", str(text))
        if parts is None or parts[1] not in METRICS:
            name = str(text).partition("@")[0]
            close = f"Did you mean '{name}@10'?" if name in METRICS else did_you_mean(name, METRICS)
            known = f"Use {', '.join(f'{name}@K' for name in METRICS)}, for example recall@10."
            raise UsageError(f"Unknown metric '{text}'.", f"{close} {known}".strip())
        found[Metric(parts[1], int(parts[2]))] = None
    return list(found)


def metric_results(
    metrics: Sequence[Metric], counts: Counts, settings: Mapping[str, np.ndarray]
) -> dict[str, dict[str, dict[str, Any]]]:
    """Each metric in each setting, its standard error, and the users that it is a mean of.

    Parameters
    ----------
    metrics : sequence of Metric
    counts : Counts
    settings : mapping of str to (n,) bool
        Which questions belong to a setting.

    Returns
    -------
    dict
        ``{"recall@10": {"all": {"value", "stderr", "users"}, …}, …}``; None where there is
        no user, or a single one.
    """
    rank, judged = counts.rank(), counts.pairs.sum(axis=1) > 0
    return {
        str(metric): {
            setting: _mean(metric.of_ranks(rank[judged & chosen])) for setting, chosen in settings.items()
        }
        for metric in metrics
    }


def _mean(values: np.ndarray) -> dict[str, Any]:
    n = len(values)
    return {
        "value": float(values.mean()) if n else None,
        "stderr": float(values.std(ddof=1) / np.sqrt(n)) if n > 1 else None,
        "users": n,
    }
