"""Attributes that are nearly the same items under several names: a product type and its department."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ivbpr_numba.features.scipy_matrices import as_scipy
from ivbpr_numba.store.blocks import row_blocks
from ivbpr_numba.store.sparse import csr_rows

if TYPE_CHECKING:
    from ivbpr_numba.features.features import Features
    from ivbpr_numba.ids import Ids

__all__ = ["OVERLAP", "overlapping"]

OVERLAP = 0.4  # of the items that either attribute has, both have
HAS = 0.5  # value from which on an item counts as having an attribute; a network gives probabilities
_COUNTED_AT_ONCE = 1 << 22  # exact in float32


def overlapping(features: Features, items: Ids) -> list[list[int]]:
    """For each column the others that overlap with it highly, the nearest first.

    Two attributes overlap highly if at least 40 % of the items that have either have both (the Jaccard index
    of their sets of items). A shop's "Shorts" as product type, department and garment group do; blue and
    denim don't.

    Parameters
    ----------
    features : Features
    items : Ids
        The catalogue; all of them have features.

    Returns
    -------
    list of list of int
        Columns; empty lists for dense features, which are no sets of items.
    """
    count = len(features.names)
    if features.kind != "attributes":
        return [[] for _ in range(count)]
    rows = features.rows_of_all(items)
    both = _both_of_csr(features, rows) if features.sparse else _both(features, rows)
    own = np.diagonal(both)
    either = own[:, None] + own[None, :] - both
    near = np.divide(both, either, out=np.zeros(both.shape), where=either > 0)
    np.fill_diagonal(near, 0.0)
    found = []
    for column in range(count):
        order = np.argsort(-near[column], kind="stable")
        found.append([int(other) for other in order if near[column, other] >= OVERLAP])
    return found


def _both(features: Features, rows: np.ndarray) -> np.ndarray:
    """How many items have both of two attributes, (F, F) int64."""
    both = np.zeros((features.shape[1], features.shape[1]), dtype=np.int64)
    for part in row_blocks((len(rows), features.shape[1]), features.dtype):
        # Sums of ones below 2^24 are exact in float32, so no order and no number of threads matters.
        assert len(part) <= _COUNTED_AT_ONCE
        has = (features.values(rows[part]) >= HAS).astype(np.float32)
        both += (has.T @ has).astype(np.int64)
    return both


def _both_of_csr(features: Features, rows: np.ndarray) -> np.ndarray:
    """The same of rows laid out sparse, without the zeros."""
    has = as_scipy(csr_rows(features.csr(), rows), features.shape[1])
    has.data = (has.data.astype(np.float32) * np.float32(features.scale) >= HAS).astype(np.int64)
    counted: np.ndarray = (has.T @ has).toarray()
    return counted
