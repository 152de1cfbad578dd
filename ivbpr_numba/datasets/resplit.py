"""The same interactions, split anew with another seed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ivbpr_numba.datasets.dataset import Dataset
from ivbpr_numba.datasets.pairs import Pairs, assemble
from ivbpr_numba.errors import UsageError

if TYPE_CHECKING:
    from ivbpr_numba.datasets.interactions import Interactions

__all__ = ["is_random", "split_again"]


def is_random(data: Dataset) -> bool:
    """Whether the split was drawn, so that another seed gives another one.

    Raises
    ------
    UsageError
        The data don't say how they were split, as those that a model file remembers.
    """
    split = data.source.get("split")
    if split is None:
        raise UsageError(
            "A model file does not say how its data were split.",
            "Give the dataset that the model was fitted to.",
        )
    return bool(split == "random")


def split_again(data: Dataset, seed: int) -> Dataset:
    """Split at random as `prepare` would have done with another seed.

    Parameters
    ----------
    data : Dataset
        Split at random: its three parts hold every interaction that was left to split.
    seed : int

    Returns
    -------
    Dataset
        Of the same users, items and item columns, bit for bit that of `prepare` with this seed.
    """
    assert is_random(data)
    parts: list[Interactions] = [data.train, data.valid, data.test]
    times = np.concatenate([part.times for part in parts]) if data.has_times else None
    pairs = Pairs(
        np.concatenate([part.users for part in parts]),
        np.concatenate([part.indices for part in parts]),
        times,
        data.users.values,
        data.items.values,
    )
    found = assemble(pairs, split="random", seed=seed)
    source: dict[str, Any] = {**data.source, "seed": seed}
    return Dataset(found.users, found.items, found.train, found.valid, found.test, data.item_columns, source)
