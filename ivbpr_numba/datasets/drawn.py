"""Some users of a dataset, also one several times, as a dataset of its own."""

from __future__ import annotations

import numpy as np

from ivbpr_numba.datasets.dataset import Dataset
from ivbpr_numba.datasets.interactions import Interactions
from ivbpr_numba.ids import Ids

__all__ = ["draw_users"]


def draw_users(data: Dataset, rows: np.ndarray) -> Dataset:
    """The users of `rows` with their train, validation and test items; the catalogue stays whole.

    Parameters
    ----------
    data : Dataset
    rows : (n,) int64
        Rows of users, ascending or not. Whoever stands there twice becomes two users.

    Returns
    -------
    Dataset
        User n of it is user ``rows[n]`` of `data`; the ids are the numbers 0 to n − 1.
    """
    width = len(str(max(len(rows) - 1, 0)))
    users = Ids(np.char.zfill(np.arange(len(rows)).astype(f"S{width}"), width), "user")
    train, valid, test = (_of_users(part, rows) for part in (data.train, data.valid, data.test))
    return Dataset(users, data.items, train, valid, test, data.item_columns, {"has_times": data.has_times})


def _of_users(part: Interactions, rows: np.ndarray) -> Interactions:
    sizes = np.diff(part.indptr)[rows]
    indptr = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    taken = np.arange(indptr[-1]) + np.repeat(part.indptr[rows] - indptr[:-1], sizes)
    return Interactions(indptr, part.indices[taken], part.times[taken])
