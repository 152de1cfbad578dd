"""Categories of items: nodes for the models whose item biases drift, and branches for sub-corpora."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ivbpr_numba.errors import UsageError, parameter
from ivbpr_numba.readers.metadata import SEPARATOR, check_known

if TYPE_CHECKING:
    from ivbpr_numba.datasets.dataset import Dataset

__all__ = ["category_codes", "in_category"]


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


def in_category(data: Dataset, category: str) -> np.ndarray:
    """Which items lie in a category of Amazon's metadata, (I,) bool, whatever else they lie in.

    Parameters
    ----------
    data : Dataset
        Prepared with metadata: its item column ``categories`` tells.
    category : str
        ``clothing``, ``women``, ``men``, ``girls``, ``boys`` or ``baby``.

    Raises
    ------
    UsageError
        Unknown, or the data don't tell.
    """
    check_known(category)
    column = data.item_columns.get("categories")
    if column is None:
        raise UsageError(
            f"The data don't tell what is in the category '{category}'.",
            f"Prepare them with the metadata of their items ({parameter('meta', of='prepare')}).",
        )
    wanted = category.encode()
    return np.array([wanted in text.split(SEPARATOR.encode()) for text in column.tolist()], dtype=bool)
