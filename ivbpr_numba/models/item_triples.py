"""The triples in which one item takes part, in the proportion in which a fit draws them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ivbpr_numba.kernels.arguments import NEGATIVES, NegativeLaw
from ivbpr_numba.kernels.scalar.random import GROW, absorb

if TYPE_CHECKING:
    from ivbpr_numba.datasets.interactions import Interactions

__all__ = ["TRIPLES", "ItemTriples"]

TRIPLES = 512  # of a row; four times as many gain less than .001 of AUC (benchmarks/UPDATE.md)
ATTEMPTS = 16  # draws of what a user must not own; who owns nearly all is left out then


@dataclass(frozen=True)
class ItemTriples:
    """Draws, for an item, triples of a training pair and another item.

    Of the triples that a fit draws, those concern the item i in which it is the positive, (u, i, j), and
    those in which it is the negative, (u, j, i). Both are told as a training pair, which says the user and
    the time, and the other item j.

    Attributes
    ----------
    train : Interactions
    n_items : int
    law : NegativeLaw
    seed : int
    weights : (n,) float64
        Of each training pair in an iteration: how often it is drawn, in expectation.
    by_item : (n,) int64
        Training pairs in the order of their items.
    starts : (I + 1,) int64
        First place of each item there.
    """

    train: Interactions
    n_items: int
    law: NegativeLaw
    seed: int
    weights: np.ndarray
    by_item: np.ndarray
    starts: np.ndarray

    @classmethod
    def of(cls, train: Interactions, n_items: int, config: dict[str, Any]) -> ItemTriples:
        """Those of some training pairs."""
        sizes = np.diff(train.indptr)
        eligible = int(np.count_nonzero((sizes > 0) & (sizes < n_items)))
        weights = np.ones(len(train))
        if config["sampling"] == "users":
            weights = len(train) / max(eligible, 1) / sizes[train.users]
        counts = np.bincount(train.indices, minlength=n_items).astype(np.int64)
        return cls(
            train,
            n_items,
            NegativeLaw.of(config["negatives"], counts),
            config["seed"],
            weights,
            np.argsort(train.indices, kind="stable"),
            np.concatenate([[0], np.cumsum(counts)]),
        )

    def draw(self, item: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Triples of an item that has a training pair, a pure function of seed, pairs and item.

        Returns
        -------
        pairs : (TRIPLES,) int64
            Training pairs: of the item itself where it is the positive, else of the other one.
        others : (TRIPLES,) int64
            The other item; −1 where none was found.
        positive : (TRIPLES,) bool
            Whether the item is the positive.
        """
        own = self.by_item[self.starts[item] : self.starts[item + 1]]
        reached = np.cumsum(self.weights[own])
        wanted = reached[-1] / (reached[-1] + self._times_negative(item))
        n = int(np.clip(np.rint(wanted * TRIPLES), 1, TRIPLES - 1))
        places = (np.arange(n) + 0.5) * (reached[-1] / n)
        pairs = np.zeros(TRIPLES, np.int64)
        pairs[:n] = own[np.minimum(np.searchsorted(reached, places), len(own) - 1)]
        others = np.full(TRIPLES, -1, np.int64)
        with np.errstate(over="ignore"):
            state = absorb(absorb(absorb(np.uint64(0), np.uint64(self.seed)), np.uint64(GROW)), item)
            draws = absorb(np.full(TRIPLES, state), np.arange(TRIPLES, dtype=np.uint64))
            for attempt in range(ATTEMPTS):
                left = np.flatnonzero(others < 0)
                if not len(left):
                    break
                x = absorb(draws[left], np.full(len(left), attempt, np.uint64))
                as_positive = left < n
                negatives = self._candidates(x[as_positive])
                users = self._users[pairs[left[as_positive]]]
                good = ~self._owned(users, negatives)
                others[left[as_positive][good]] = negatives[good]
                found = self._any_pair(x[~as_positive])
                good = ~self._owned(self._users[found], np.full(len(found), item))
                into = left[~as_positive][good]
                pairs[into], others[into] = found[good], self.train.indices[found[good]]
        return pairs, others, np.arange(TRIPLES) < n

    def _times_negative(self, item: int) -> float:
        """How often the item is drawn as a negative in an iteration, in expectation."""
        if self.law.code == NEGATIVES["uniform"]:
            return len(self.train) / self.n_items
        if self.law.code == NEGATIVES["trained"]:
            return len(self.train) / len(self.law.trained)
        return float(self.law.counts[item])

    def _candidates(self, x: np.ndarray) -> np.ndarray:
        if self.law.code == NEGATIVES["uniform"]:
            return bounded_all(x, self.n_items)
        if self.law.code == NEGATIVES["trained"]:
            return self.law.trained[bounded_all(x, len(self.law.trained))].astype(np.int64)
        return self.train.indices[bounded_all(x, len(self.train))].astype(np.int64)

    def _any_pair(self, x: np.ndarray) -> np.ndarray:
        """Training pairs drawn by their weights."""
        at = (x >> np.uint64(11)).astype(np.float64) * (2.0**-53 * self._reached[-1])
        return np.minimum(np.searchsorted(self._reached, at, side="right"), len(self._reached) - 1)

    @cached_property
    def _reached(self) -> np.ndarray:
        return np.cumsum(self.weights)

    @cached_property
    def _users(self) -> np.ndarray:
        return self.train.users.astype(np.int64)

    @cached_property
    def _keys(self) -> np.ndarray:
        """User and item of every pair in one number, ascending."""
        return self._users * self.n_items + self.train.indices

    def _owned(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Whether these are training pairs."""
        wanted = users * self.n_items + items
        return self._keys[np.minimum(np.searchsorted(self._keys, wanted), len(self._keys) - 1)] == wanted


def bounded_all(x: np.ndarray, n: int) -> np.ndarray:
    """Each hash mapped to 0 … n − 1, int64; see `kernels.scalar.random.bounded`."""
    return ((x >> np.uint64(32)) * np.uint64(n) >> np.uint64(32)).astype(np.int64)
