"""The triples of one iteration as arrays; the law is model specification 2.4."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from ivbpr_numba import backends
from ivbpr_numba.errors import DataError
from ivbpr_numba.kernels import arguments
from ivbpr_numba.kernels.arguments import CLASSES, GROUP

__all__ = ["Rounds", "TripleSampler", "Triples"]

LARGE = 2**18  # triples of an iteration from which on it is applied in rounds
LEAST_ITEMS = 256 * CLASSES  # candidates for negatives from which on


@dataclass(frozen=True)
class Triples:
    """(user, positive, negative) rows in order of application, each (T,) int32.

    Attributes
    ----------
    fallbacks : int
        Triples whose user had no admissible negative under the chosen law.
    pairs : (T,) int32
        The training pair (user, positive) of each; empty where nobody needs it.
    """

    users: np.ndarray
    positives: np.ndarray
    negatives: np.ndarray
    fallbacks: int
    pairs: np.ndarray = field(default_factory=lambda: np.empty(0, np.int32))

    @property
    def rows(self) -> arguments.Triples:
        """As kernels take them."""
        return arguments.Triples(self.users, self.positives, self.negatives)

    def first(self, n: int) -> Triples:
        """The first `n` of them."""
        return Triples(self.users[:n], self.positives[:n], self.negatives[:n], 0, self.pairs[:n])


@dataclass(frozen=True)
class Rounds:
    """Triples of an iteration that are applied class by class (model specification 2.4).

    Attributes
    ----------
    rows : arguments.Triples
    segments : arguments.Segments
    """

    rows: arguments.Triples
    segments: arguments.Segments

    def __len__(self) -> int:
        bounds = self.segments.bounds
        return int((bounds[:, -1] - bounds[:, 0]).sum())

    @property
    def triples(self) -> Triples:
        """The same, group by group."""
        ends = self.segments.bounds[:, [0, -1]]
        users, positives, negatives = (np.concatenate([array[a:b] for a, b in ends]) for array in self.rows)
        return Triples(users, positives, negatives, 0)

    def first(self, n: int) -> Rounds:
        """At most the first `n` of every group."""
        groups, bounds = self.segments
        return Rounds(self.rows, arguments.Segments(groups, np.minimum(bounds, bounds[:, :1] + n)))


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
    keep_pairs : bool
        Whether triples tell which training pair they are of.
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
        keep_pairs: bool = False,
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
        self.sizes = sizes.astype(np.int64)
        self.seed = np.uint64(seed)
        self.by_users = sampling == "users"
        counts = np.bincount(indices, minlength=n_items).astype(np.int64)
        self.law = arguments.NegativeLaw.of(negatives, counts)
        self._kept = self.n_draws if keep_pairs else 0
        self._rooms: list[tuple[arguments.Triples, np.ndarray] | None] = [None, None]

    def of_users(self, users: np.ndarray, seed: int) -> tuple[TripleSampler, np.ndarray]:
        """A sampler of some users alone, numbered from 0, and where their pairs are among all, (n',) int64.

        What can be a negative is decided by all data; by ``users`` these draw their share of all triples.
        """
        own, sizes = copy.copy(self), self.sizes[users]
        indptr = np.concatenate([[0], np.cumsum(sizes)])
        places = np.repeat(self.pairs.indptr[users] - indptr[:-1], sizes) + np.arange(indptr[-1])
        own.pairs, own.sizes = arguments.Pairs(indptr, self.pairs.indices[places]), sizes
        own.eligible = np.flatnonzero((sizes > 0) & (sizes < len(self.law.counts)))
        own.seed = np.uint64(seed)
        own.n_draws = int(sizes[own.eligible].sum())
        if self.by_users:
            own.n_draws = round(self.n_draws * len(own.eligible) / len(self.eligible))
        own._kept, own._rooms = min(self._kept, own.n_draws), [None, None]
        return own, places

    def _room(self, iteration: int) -> tuple[arguments.Triples, np.ndarray]:
        """Arrays for the triples and pairs of an iteration, in turn with those of the one before it."""
        found = self._rooms[iteration % 2]
        if found is None:
            rows = [self.kernels.empty(self.n_draws, np.int32) for _ in arguments.Triples._fields]
            found = arguments.Triples(*rows), self.kernels.empty(self._kept, np.int32)
            self._rooms[iteration % 2] = found
        return found

    def draw(self, iteration: int) -> Triples:
        """Triples of one iteration (from 1); the arrays are reused by the iteration after the next one."""
        visits, kernels = self._visits(iteration), self.kernels
        drawn, pairs = self._room(iteration)
        given = kernels.resident(self.pairs), kernels.resident(self.law)
        fallbacks = kernels.draw_triples(self.seed, iteration, visits, *given, drawn, pairs)
        return Triples(*drawn, int(fallbacks), pairs)

    def draw_rounds(self, iteration: int) -> Rounds:
        """Triples of one iteration in rounds; the arrays are reused by the next call."""
        visits, classes, kernels = self._visits(iteration), self._classes(iteration), self.kernels
        chunks = np.diff(np.arange(CLASSES + 1) * len(visits.order) // CLASSES)
        groups = np.concatenate([[0], np.cumsum(-(-chunks // GROUP))])
        bounds, (drawn, _) = kernels.zeros((int(groups[-1]), CLASSES + 1), np.int64), self._room(0)
        pairs, segments = kernels.resident(self.pairs), arguments.Segments(groups, bounds)
        kernels.draw_rounds(self.seed, iteration, visits, pairs, classes, segments, drawn)
        return Rounds(drawn, arguments.Segments(groups, kernels.get(bounds)))

    def suits_rounds(self) -> bool:
        """Whether the data are so large that rounds pay, and no class is likely to be one user's own."""
        longest = int(np.diff(self.pairs.indptr).max())
        candidates = len(self._pool)
        return self.n_draws >= LARGE and candidates >= max(LEAST_ITEMS, 2 * longest)

    @cached_property
    def _pool(self) -> np.ndarray:
        """Items that are dealt out to classes: all that can be a negative."""
        if self.law.code == arguments.NEGATIVES["uniform"]:
            return np.arange(len(self.law.counts), dtype=np.int32)
        return self.law.trained

    def _classes(self, iteration: int) -> arguments.Classes:
        """The items of one iteration dealt out."""
        pool, kernels = self._pool, self.kernels
        classes = arguments.Classes(
            kernels.zeros(len(self.law.counts), np.uint8),
            kernels.empty(len(pool), np.int32),
            kernels.empty(CLASSES + 1, np.int64),
        )
        kernels.deal_items(self.seed, iteration, kernels.resident(pool), classes)
        if self.law.code == arguments.NEGATIVES["popularity"]:
            classes = classes._replace(members=kernels.empty(len(self.pairs.indices), np.int32))
            kernels.deal_pairs(kernels.resident(self.pairs).indices, classes)
        return classes

    def _visits(self, iteration: int) -> arguments.Visits:
        """Users in the order of an iteration, and how many triples each of them gets."""
        kernels, eligible = self.kernels, self.kernels.resident(self.eligible)
        order = kernels.empty(len(self.eligible), np.int64)
        kernels.user_order(self.seed, iteration, eligible, order)
        draws = kernels.resident(self.sizes)
        if self.by_users:
            draws = kernels.empty(len(self.sizes), np.int64)
            kernels.count_draws(self.seed, iteration, eligible, self.n_draws, draws)
        offsets = kernels.empty(len(self.eligible) + 1, np.int64)
        kernels.place_draws(order, draws, offsets)
        return arguments.Visits(order, offsets)
