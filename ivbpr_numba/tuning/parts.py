"""What a search sees of a dataset: never its test part, and at first only some of the validation users."""

from __future__ import annotations

import numpy as np

from ivbpr_numba.datasets.dataset import Dataset
from ivbpr_numba.datasets.interactions import Interactions
from ivbpr_numba.models.validation import affordable, drawn

__all__ = ["SAMPLE", "asked_at_first", "with_questions_of", "without_test"]

SAMPLE = 300  # validation users that a sample has at least


def without_test(data: Dataset) -> Dataset:
    """The same with an empty test part: nothing that is made of it can know one test item.

    The test item of a user then is an item like any other that he or she did not buy.
    """
    nobody = Interactions(
        np.zeros_like(data.test.indptr), data.test.indices[:0].copy(), data.test.times[:0].copy()
    )
    return _with(data, data.valid, nobody)


def asked_at_first(
    data: Dataset, every: int, factors: int, visual_factors: int, values: float, seed: int
) -> np.ndarray:
    """Whom the early rungs ask: a fixed sample whose evaluation costs as much as the iterations before it.

    Parameters
    ----------
    data : Dataset
    every : int
        Iterations from one evaluation to the next.
    factors, visual_factors : int
        K and D of the defaults.
    values : float
        Values of an item's features that are not 0, in the mean.
    seed : int

    Returns
    -------
    (n,) int64
        User rows, ascending: at least `SAMPLE`, or everybody who has a validation item.
    """
    users = np.nonzero(np.diff(data.valid.indptr))[0]
    within = affordable(len(data.items), every * len(data.train), factors, visual_factors, values)
    wanted = max(SAMPLE, within)
    return users if wanted >= len(users) else users[drawn(users, wanted, seed)]


def with_questions_of(data: Dataset, users: np.ndarray) -> Dataset:
    """The same with the validation items of these users only."""
    kept = np.zeros(len(data.users), bool)
    kept[users] = True
    sizes = np.diff(data.valid.indptr) * kept
    chosen = kept[data.valid.users]
    indptr = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    valid = Interactions(indptr, data.valid.indices[chosen], data.valid.times[chosen])
    return _with(data, valid, data.test)


def _with(data: Dataset, valid: Interactions, test: Interactions) -> Dataset:
    return Dataset(data.users, data.items, data.train, valid, test, data.item_columns, data.source)
