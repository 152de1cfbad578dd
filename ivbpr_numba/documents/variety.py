"""A few items that show how different the catalogue is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ivbpr_numba.features.features import Features
    from ivbpr_numba.ids import Ids

__all__ = ["varied"]

CANDIDATES = 1000  # of the items bought most


def varied(
    features: Features | None, items: Ids, purchases: np.ndarray, n: int, allowed: np.ndarray
) -> np.ndarray:
    """Rows of at most `n` well-known items as unlike each other as can be, (m,) int64.

    The first is the item bought most; each next one, of the `CANDIDATES` bought most, is the one whose
    attributes are least like those of any chosen before: the least largest cosine, of equals the one
    bought more. Without features they are evenly spaced by purchases.
    """
    rows = np.flatnonzero(allowed)
    rows = rows[np.argsort(-purchases[rows], kind="stable")]
    n = min(n, len(rows))
    if features is None or not n:
        return rows[np.linspace(0, len(rows) - 1, n).round().astype(np.int64)] if n else rows
    rows = rows[: max(n, CANDIDATES)]
    values = features.values(features.items.find(items.values[rows])).astype(np.float64)
    norms = np.sqrt(np.square(values).sum(axis=1))
    values /= np.where(norms > 0, norms, 1.0)[:, None]
    nearest = np.full(len(rows), -1.0)
    chosen = [0]
    while len(chosen) < n:
        nearest = np.maximum(nearest, np.round((values * values[chosen[-1]]).sum(axis=1), 12))
        nearest[chosen] = np.inf
        chosen.append(int(nearest.argmin()))
    return rows[chosen]
