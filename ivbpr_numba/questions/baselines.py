"""Scorers that learn nothing: what popularity, its opposite and content alone are worth."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ivbpr_numba.errors import UsageError, parameter
from ivbpr_numba.questions.protocol import check
from ivbpr_numba.ranking import ItemSide, VectorScorer

if TYPE_CHECKING:
    from ivbpr_numba.datasets.dataset import Dataset
    from ivbpr_numba.features.features import Features

__all__ = ["BASELINES", "baseline_scorer", "check_baselines", "cosine_scorer", "popularity_scorer", "rule_of"]

BASELINES = ("pop", "inverse_popularity", "cosine")


def check_baselines(names: list[str], features: Features | None) -> None:
    """Refuse an unknown baseline, and one whose features are missing.

    Raises
    ------
    UsageError
    """
    check("baseline", names, BASELINES)
    if "cosine" in names and features is None:
        raise UsageError("The baseline 'cosine' needs features.", f"Give them with {parameter('features')}.")


def rule_of(name: str, ties: str) -> str:
    """How ties of a baseline count: inverse popularity, which is nearly all ties, always by halves."""
    return "half" if name == "inverse_popularity" else ties


def baseline_scorer(name: str, data: Dataset, features: Features | None = None) -> VectorScorer:
    """The scorer of that name; `features` for ``cosine``."""
    if name == "cosine":
        assert features is not None
        return cosine_scorer(data, features)
    return popularity_scorer(data, inverse=name == "inverse_popularity")


def popularity_scorer(data: Dataset, inverse: bool = False) -> VectorScorer:
    """Score by the number of training pairs, or by its negative."""
    bias = data.train_counts.astype(np.float32)
    nothing = np.zeros((len(data.users), 0), np.float32)
    return VectorScorer(nothing, ItemSide(np.zeros((len(bias), 0), np.float32), -bias if inverse else bias))


def cosine_scorer(data: Dataset, features: Features) -> VectorScorer:
    """Mean over a user's training items of the cosine with the candidate.

    Nothing is learned: it shows what content alone is worth. Attributes are weighted by √ln(N / (1 + n_k)),
    so that rare ones count more, n_k being how many of the N items have attribute k. That is the sum of its
    values: of one-hots the number of items, and a network's probabilities, which no item has at exactly 0,
    are counted as what they are. Nameless features have no such weight.
    """
    values = features.values(features.rows_of_all(data.items))
    n_items = len(values)
    if features.kind == "attributes":
        having = values.sum(axis=0, dtype=np.float64)
        values *= np.sqrt(np.maximum(np.log(n_items / (1.0 + having)), 0.0)).astype(np.float32)
    norms = np.sqrt(np.square(values, dtype=np.float64).sum(axis=1))
    values /= np.where(norms > 0, norms, 1.0)[:, None].astype(np.float32)
    train = data.train
    users = np.zeros((len(data.users), values.shape[1]), np.float32)
    np.add.at(users, train.users, values[train.indices])
    users /= np.maximum(np.diff(train.indptr), 1)[:, None]
    return VectorScorer(users, ItemSide(values, np.zeros(n_items, np.float32)))
