"""Sub-categories of items, for the models whose item biases drift."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ivbpr_numba.datasets.dataset import Dataset

__all__ = ["category_codes"]


def category_codes(data: Dataset) -> tuple[np.ndarray, int]:
    """Number of each item's sub-category in the order of their names, −1 where it has none, and how many.

    It is the item column ``category``: kept by ``prepare --keep category``, or the node at depth 4 of the
    category path in Amazon's metadata.
    """
    column = data.item_columns.get("category")
    if column is None:
        return np.full(len(data.items), -1, np.int64), 0
    names = np.unique(column[column != b""])
    codes = np.searchsorted(names, column).astype(np.int64)
    return np.where(column == b"", -1, codes), len(names)
