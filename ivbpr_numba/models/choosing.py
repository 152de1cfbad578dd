"""λ_Θ by the size of the data: the same prior of a vector, however much is known about it.

λ_Θ is applied once a triple, so that a vector is held back the more often the more it is learned from: a λ_Θ
that suits films with forty ratings for each vector leaves a shop with three sales for each almost free. With

    λ_Θ = 0.45 / m, held within 0.005 and 0.4,    m = n / (U + I),

n training pairs, U users and I items that have one, the penalty of a vector over an iteration is about the
same in all data. How form and constants were chosen: benchmarks/DEFAULTS.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ivbpr_numba.models.presets import AUTO

if TYPE_CHECKING:
    from ivbpr_numba.datasets.dataset import Dataset

__all__ = ["choose", "decay_for"]

PENALTY = 0.45  # λ_Θ times the training pairs of a vector
LEAST, MOST = 0.005, 0.4


def decay_for(pairs: int, vectors: int) -> float:
    """λ_Θ for so many training pairs and vectors of users and items, to two significant digits.

    Parameters
    ----------
    pairs : int
        n, at least 1.
    vectors : int
        U + I: users and items with a training pair.
    """
    return float(f"{min(max(PENALTY * vectors / pairs, LEAST), MOST):.2g}")


def choose(options: dict[str, Any], data: Dataset) -> tuple[dict[str, Any], dict[str, Any]]:
    """The options with what is left to the data decided, and what that rests on.

    A function of the training pairs alone, so that the same data are learned from alike on every machine.

    Parameters
    ----------
    options : dict
        Resolved otherwise.
    data : Dataset

    Returns
    -------
    options : dict
        With numbers.
    chosen : dict
        By option: its ``value``, and the ``pairs``, ``users`` and ``items`` that decided; empty where
        everything was given.
    """
    if options.get("lambda_theta") != AUTO:
        return options, {}
    pairs = len(data.train.indices)
    users = int(np.count_nonzero(np.diff(data.train.indptr)))
    items = int(np.count_nonzero(data.train_counts))
    value = decay_for(max(pairs, 1), users + items)
    known = {"value": value, "pairs": pairs, "users": users, "items": items}
    return {**options, "lambda_theta": value}, {"lambda_theta": known}
