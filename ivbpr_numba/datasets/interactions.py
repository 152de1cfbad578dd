"""Interactions as compressed sparse rows, and the three parts of a split."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ivbpr_numba.ids import Ids

__all__ = ["Interactions", "Parts"]


@dataclass(frozen=True)
class Interactions:
    """Who interacted with what, user by user (compressed sparse rows).

    Attributes
    ----------
    indptr : (U + 1,) int64
        The items of user u lie at ``indptr[u]:indptr[u + 1]``.
    indices : (n,) int32
        Item rows, ascending within a user.
    times : (n,) int64
        Seconds since 1970-01-01 UTC; all 0 where the data have no times.
    """

    indptr: np.ndarray
    indices: np.ndarray
    times: np.ndarray

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def users(self) -> np.ndarray:
        """User row of each interaction, (n,) int32."""
        return np.repeat(np.arange(len(self.indptr) - 1, dtype=np.int32), np.diff(self.indptr))


@dataclass(frozen=True)
class Parts:
    """Numbered ids, the split, and the record of how it came about.

    Attributes
    ----------
    users, items : Ids
    train, valid, test : Interactions
    source : dict
        See `Dataset.source`.
    """

    users: Ids
    items: Ids
    train: Interactions
    valid: Interactions
    test: Interactions
    source: dict[str, Any]
