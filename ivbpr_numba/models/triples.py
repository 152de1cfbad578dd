"""The triples of one iteration as arrays; the law is model specification 2.4."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ivbpr_numba import backends
from ivbpr_numba.errors import DataError
from ivbpr_numba.kernels import arguments

__all__ = ["TripleSampler", "Triples"]

COUNT_CHUNKS = 8


@dataclass(frozen=True)
class Triples:
    """(user, positive, negative) rows in order of application, each (T,) int32.

    Attributes
    ----------
    fallbacks : int
        Triples whose user had no admissible negative under the chosen law.
    """

    users: np.ndarray
    positives: np.ndarray
    negatives: np.ndarray
    fallbacks: int

    @property
    def rows(self) -> arguments.Triples:
        """As kernels take them."""
        return arguments.Triples(self.users, self.positives, self.negatives)

    def reordered(self, order: np.ndarray) -> Triples:
        """The same triples, `order` telling which one comes at each place."""
        users, positives, negatives = (column[order] for column in self.rows)
        return Triples(users, positives, negatives, self.fallbacks)

    def first(self, n: int) -> Triples:
        """The first `n` of them."""
        return Triples(self.users[:n], self.positives[:n], self.negatives[:n], 0)


class TripleSampler:
    """Draws iteration t as a pure function of (seed, t), whatever ran before.

    Parameters
    ----------
    indptr : (U + 1,) int64
    indices : (n,) int32
        Training pairs by user, items ascending.
    n_items : int
    seed : int
    negatives : str
        "uniform", "trained" or "popularity".
    sampling : str
        "users" (every user alike) or "interactions" (every pair alike).
    kernels : Kernels, optional
        Those of the CPU by default.
    """

    def __init__(
        self,
        indptr: np.ndarray,
        indices: np.ndarray,
        n_items: int,
        *,
        seed: int,
        negatives: str,
        sampling: str,
        kernels: backends.Kernels | None = None,
    ) -> None:
        self.kernels = kernels or backends.kernels()
        sizes = np.diff(indptr)
        self.eligible = np.nonzero((sizes > 0) & (sizes < n_items))[0].astype(np.int64)
        if not len(self.eligible):
            raise DataError(
                "No user has both a training item and an item to compare it with.", "Prepare more data."
            )
        self.n_draws = int(sizes[self.eligible].sum())
        if self.n_draws >= 2**31 or n_items >= 2**31:
            raise DataError(
                f"{self.n_draws:,} training pairs exceed the sampler's 2,147,483,647.", "Split the data."
            )
        self.pairs = arguments.Pairs(indptr.astype(np.int64), indices.astype(np.int32))
        self.seed = np.uint64(seed)
        self.by_users = sampling == "users"
        counts = np.bincount(indices, minlength=n_items).astype(np.int64)
        trained = np.nonzero(counts)[0].astype(np.int32)
        self.law = arguments.NegativeLaw(arguments.NEGATIVES[negatives], trained, counts)
        self._triples = np.empty((3, self.n_draws), np.int32)

    def draw(self, iteration: int) -> Triples:
        """Triples of one iteration (from 1); the arrays are reused by the next call."""
        order = np.empty(len(self.eligible), np.int64)
        self.kernels.user_order(self.seed, iteration, self.eligible, order)
        if self.by_users:
            chunks = np.empty((COUNT_CHUNKS, len(self.pairs.indptr) - 1), np.int32)
            self.kernels.count_draws(self.seed, iteration, self.eligible, self.n_draws, chunks)
            draws = chunks.sum(axis=0)
        else:
            draws = np.diff(self.pairs.indptr)
        offsets = np.zeros(len(order) + 1, np.int64)
        np.cumsum(draws[order], out=offsets[1:])
        drawn = arguments.Triples(*self._triples)
        visits = arguments.Visits(order, offsets)
        fallbacks = self.kernels.draw_triples(self.seed, iteration, visits, self.pairs, self.law, drawn)
        return Triples(*drawn, int(fallbacks))
