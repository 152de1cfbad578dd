"""The same interactions, or those with some of the items, split anew."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ivbpr_numba.datasets.dataset import Dataset
from ivbpr_numba.datasets.pairs import Pairs, assemble
from ivbpr_numba.errors import UsageError

if TYPE_CHECKING:
    from ivbpr_numba.datasets.interactions import Interactions

__all__ = ["is_random", "only_items", "split_again"]


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
    found = assemble(_pairs(data), split="random", seed=seed)
    source: dict[str, Any] = {**data.source, "seed": seed}
    return Dataset(found.users, found.items, found.train, found.valid, found.test, data.item_columns, source)


def only_items(data: Dataset, chosen: np.ndarray, seed: int, min_interactions: int) -> Dataset:
    """A corpus of its own of some of the items, as `prepare` makes it of their purchases alone.

    Parameters
    ----------
    data : Dataset
        All its interactions take part, whatever part of the split they are in; of a split by time those that
        it dropped stay dropped.
    chosen : (I,) bool
        The items.
    seed : int
        Of the split, which is of the kind of that of `data`; a split by time keeps its moments.
    min_interactions : int
        Users with fewer different items among the chosen ones are left out.

    Returns
    -------
    Dataset

    Raises
    ------
    DataError
        Nobody is left.
    UsageError
        The data don't say how they were split.
    """
    is_random(data)  # says so where it is not known
    pairs, source = _pairs(data), data.source
    pairs.keep_items(chosen, "items", "other items")
    moments = {name: source[name] for name in ("valid_from", "test_from") if name in source}
    found = Dataset.of(
        assemble(pairs, split=source["split"], seed=seed, min_interactions=min_interactions, **moments)
    )
    rows = data.items.find(found.items.values)
    found.item_columns = {name: column[rows] for name, column in data.item_columns.items()}
    return found


def _pairs(data: Dataset) -> Pairs:
    parts: list[Interactions] = [data.train, data.valid, data.test]
    times = np.concatenate([part.times for part in parts]) if data.has_times else None
    return Pairs(
        np.concatenate([part.users for part in parts]),
        np.concatenate([part.indices for part in parts]),
        times,
        data.users.values,
        data.items.values,
    )
