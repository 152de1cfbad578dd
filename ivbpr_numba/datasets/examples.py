"""Users and items of a dataset to try things with: some with many purchases, some with few."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ivbpr_numba.errors import UsageError

if TYPE_CHECKING:
    from ivbpr_numba.datasets.dataset import Dataset
    from ivbpr_numba.datasets.interactions import Interactions

__all__ = ["items_to_try", "users_to_try"]


def users_to_try(data: Dataset, n: int = 5) -> list[dict[str, Any]]:
    """Users from the one with the most training pairs to one with the fewest, evenly spaced between them.

    Only users with a test item are taken, where there are any. The same dataset gives the same users.

    Returns
    -------
    list of dict
        ``user kind train valid test``: heavy for the first, light for the last, typical in between; the
        number of training pairs; the validation and the test item, None where there is none.

    Raises
    ------
    UsageError
        `n` is below 1.
    """
    sizes = np.diff(data.train.indptr)
    tested = np.flatnonzero(np.diff(data.test.indptr) > 0)
    rows = tested if len(tested) else np.arange(len(data.users))
    held = {name: _one_each(part) for name, part in (("valid", data.valid), ("test", data.test))}
    return [
        {
            "user": data.users[int(row)],
            "kind": kind,
            "train": int(sizes[row]),
            **{
                name: data.items[int(items[row])] if items[row] >= 0 else None for name, items in held.items()
            },
        }
        for row, kind in _spaced(rows, sizes[rows], n, ("heavy", "typical", "light"))
    ]


def items_to_try(data: Dataset, n: int = 5) -> list[dict[str, Any]]:
    """Items from the one with the most training pairs to one with the fewest, evenly spaced between them.

    Returns
    -------
    list of dict
        ``item title kind train``: popular for the first, rare for the last, typical in between; the number of
        training pairs; no title where the dataset has none.

    Raises
    ------
    UsageError
        `n` is below 1.
    """
    titles = data.item_columns.get("title")
    counts = data.train_counts
    chosen = _spaced(np.arange(len(data.items)), counts, n, ("popular", "typical", "rare"))
    found = []
    for row, kind in chosen:
        title = {} if titles is None else {"title": titles[row].decode("utf-8", "replace") or None}
        found.append({"item": data.items[int(row)], **title, "kind": kind, "train": int(counts[row])})
    return found


def _spaced(rows: np.ndarray, sizes: np.ndarray, n: int, kinds: Sequence[str]) -> list[tuple[int, str]]:
    """`n` different rows, by falling size at even steps, and what to call each; of equal sizes the first."""
    if n < 1:
        raise UsageError(f"{n} examples can't be shown.", "Ask for a positive number.")
    order = rows[np.argsort(-sizes, kind="stable")]
    n = min(n, len(order))
    places = np.linspace(0, len(order) - 1, n).round().astype(np.int64) if n > 1 else np.zeros(n, np.int64)
    last = len(places) - 1
    return [
        (int(order[place]), kinds[0] if k == 0 else kinds[2] if k == last else kinds[1])
        for k, place in enumerate(places)
    ]


def _one_each(part: Interactions) -> np.ndarray:
    """The item of each user in a part of at most one item a user, (U,) int64; −1 for none."""
    found = np.full(len(part.indptr) - 1, -1, dtype=np.int64)
    having = np.diff(part.indptr) > 0
    found[having] = part.indices[part.indptr[:-1][having]]
    return found
