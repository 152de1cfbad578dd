"""From parameters to rankings: scores, counts and AUCs, for any scorer and in one place.

A scorer answers for user rows and all items. `VectorScorer` (a bias and a dot product) covers
every learned model; `RowScorer` produces whole rows (hashes, another library's scores). Counts are
exact: every item that isn't the user's own is a candidate (equations 3–4, model specification 5).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ivbpr_numba import backends
from ivbpr_numba.arrays import padded
from ivbpr_numba.kernels.arguments import TILE

if TYPE_CHECKING:
    from ivbpr_numba.datasets.dataset import Dataset

__all__ = [
    "Counts",
    "Questions",
    "RowScorer",
    "Scorer",
    "TemporalScorer",
    "VectorScorer",
    "count",
    "count_by_epoch",
    "item_classes",
    "questions",
    "scores",
    "summary",
    "top",
]

ROW_BYTES = 32 << 20  # score rows of a RowScorer held at once
CLASSES = 3  # training count 0, 1–4, 5 and more


@dataclass(frozen=True)
class VectorScorer:
    """x̂_ui = item_bias_i + user_vectors_u · item_vectors_i, all float32.

    Attributes
    ----------
    user_vectors : (U, L)
    item_vectors : (I, L)
    item_bias : (I,)
    """

    user_vectors: np.ndarray
    item_vectors: np.ndarray
    item_bias: np.ndarray

    @property
    def n_items(self) -> int:
        return len(self.item_bias)

    @cached_property
    def tiles(self) -> _Tiles:
        """All items as one class, in order of their rows; made once."""
        return _tiles(self, np.zeros(self.n_items, np.int8))


@dataclass(frozen=True)
class RowScorer:
    """Scores by a function from user rows (n,) to float32 or float64 rows (n, I)."""

    rows: Callable[[np.ndarray], np.ndarray]
    n_items: int


@dataclass
class TemporalScorer:
    """Another `VectorScorer` in every epoch; a question is answered by that of its time.

    Attributes
    ----------
    make : callable
        From an epoch to its scorer.
    edges : (N + 1,) int64
        Seconds; earlier times belong to the first epoch, later ones to the last.
    n_items : int
    """

    make: Callable[[int], VectorScorer]
    edges: np.ndarray
    n_items: int

    def epochs(self, times: np.ndarray) -> np.ndarray:
        """Epoch of each time, int64."""
        return np.searchsorted(self.edges[1:-1], times, side="right").astype(np.int64)

    def at(self, epoch: int) -> VectorScorer:
        """The scorer of an epoch; the last one asked for is kept."""
        if self._kept is None or self._kept[0] != epoch:
            self._kept = (epoch, self.make(epoch))
        return self._kept[1]

    _kept: tuple[int, VectorScorer] | None = None


Scorer = VectorScorer | RowScorer | TemporalScorer


@dataclass(frozen=True)
class Questions:
    """Held-out items to rank: one per user.

    Attributes
    ----------
    users : (n,) int64, user rows
    times : (n,) int64, seconds, of the held-out event
    targets : (n,) int32, item rows
    indptr, items : CSR of the users' own items, the target first; no other own item is a candidate
    """

    users: np.ndarray
    times: np.ndarray
    targets: np.ndarray
    indptr: np.ndarray
    items: np.ndarray

    def part(self, chosen: np.ndarray) -> Questions:
        """Only the questions at the positions `chosen`."""
        lengths = np.diff(self.indptr)[chosen]
        indptr = np.concatenate([[0], np.cumsum(lengths)])
        starts = np.repeat(self.indptr[:-1][chosen] - indptr[:-1], lengths)
        items = self.items[np.arange(indptr[-1]) + starts]
        return Questions(self.users[chosen], self.times[chosen], self.targets[chosen], indptr, items)


def questions(data: Dataset, split: str) -> Questions:
    """The users with a held-out item in `split` ("test" or "valid") and what they own."""
    held = {"test": data.test, "valid": data.valid}[split]
    others = [data.train, data.valid if split == "test" else data.test]
    sizes = np.diff(held.indptr)
    users = np.nonzero(sizes)[0]
    lengths = [np.diff(part.indptr)[users] for part in others]
    total = 1 + lengths[0] + lengths[1]
    indptr = np.concatenate([[0], np.cumsum(total)]).astype(np.int64)
    items = np.empty(indptr[-1], np.int32)
    first = held.indptr[users]
    items[indptr[:-1]] = held.indices[first]
    start = indptr[:-1] + 1
    for part, length in zip(others, lengths):
        within = np.arange(length.sum()) - np.repeat(np.cumsum(length) - length, length)
        items[np.repeat(start, length) + within] = part.indices[
            np.repeat(part.indptr[users], length) + within
        ]
        start = start + length
    return Questions(users, held.times[first], held.indices[first], indptr, items)


def item_classes(train_counts: np.ndarray) -> np.ndarray:
    """Class of each item by its training count: 0 (none), 1 (one to four), 2 (five and more); int8."""
    return ((train_counts >= 1).astype(np.int8) + (train_counts >= 5)).astype(np.int8)


@dataclass(frozen=True)
class Counts:
    """Candidates of each question by item class.

    Attributes
    ----------
    less, equal, pairs : (n, 3) int64
        Candidates scored below the target, equal to it, and all of them.
    target_class : (n,) int8
    """

    less: np.ndarray
    equal: np.ndarray
    pairs: np.ndarray
    target_class: np.ndarray

    def auc(
        self, ties: str = "strict", stratified: bool = False
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """AUC of each question (NaN where there is no candidate), its pairs and its tied pairs.

        Parameters
        ----------
        ties : str
            "strict": a tie counts 0 (equation 3); "half": one half.
        stratified : bool
            Only candidates of the target's own class.
        """
        if stratified:
            chosen = (np.arange(len(self.target_class)), self.target_class)
            less, equal, pairs = self.less[chosen], self.equal[chosen], self.pairs[chosen]
        else:
            less, equal, pairs = self.less.sum(axis=1), self.equal.sum(axis=1), self.pairs.sum(axis=1)
        won = less + (0.5 * equal if ties == "half" else 0.0)
        value = np.divide(won, pairs, out=np.full(len(pairs), np.nan), where=pairs > 0)
        return value, pairs, equal

    def rank(self) -> np.ndarray:
        """Rank of each target among its candidates and itself, from 1, ties against it."""
        return 1 + (self.pairs - self.less).sum(axis=1)


def summary(values: np.ndarray, pairs: np.ndarray, tied: np.ndarray) -> dict[str, Any]:
    """Mean over users with its standard error; users without a candidate (NaN) are left out.

    Parameters
    ----------
    values, pairs, tied : (n,)
        As `Counts.auc` returns them.

    Returns
    -------
    dict
        ``auc users pairs tied_pairs stderr ci95``; None where there is no user, or too few for an error.
    """
    known = np.isfinite(values)
    n = int(known.sum())
    mean = float(values[known].mean()) if n else None
    error = float(values[known].std(ddof=1) / np.sqrt(n)) if n > 1 else None
    interval = None
    if mean is not None and error is not None:
        interval = [max(0.0, mean - 1.96 * error), min(1.0, mean + 1.96 * error)]
    return {
        "auc": mean,
        "users": n,
        "pairs": int(pairs[known].sum()),
        "tied_pairs": int(tied[known].sum()),
        "stderr": error,
        "ci95": interval,
    }


@dataclass(frozen=True)
class _Tiles:
    """Item vectors in the kernel's layout, items of one class together."""

    values: np.ndarray  # (tiles, L + 1, TILE) float32
    tile_class: np.ndarray  # (tiles,) int64
    item_slot: np.ndarray  # (I,) int64
    slot_class: np.ndarray  # (slots,) int8


def _tiles(scorer: VectorScorer, classes: np.ndarray) -> _Tiles:
    n_items, length = scorer.item_vectors.shape
    order = np.argsort(classes, kind="stable")
    sizes = np.bincount(classes, minlength=CLASSES)
    tiles_of_class = -(-sizes // TILE)
    begin = np.cumsum(tiles_of_class) - tiles_of_class
    within = np.arange(n_items) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    item_slot = np.empty(n_items, np.int64)
    item_slot[order] = np.repeat(begin * TILE, sizes) + within
    n_tiles = int(tiles_of_class.sum())
    width = -(-length // 4) * 4
    values = np.zeros((n_tiles, width + 1, TILE), np.float32)
    values[:, 0] = np.nan
    tile, lane = item_slot // TILE, item_slot % TILE
    values[tile, 0, lane] = scorer.item_bias
    for k in range(length):
        values[tile, k + 1, lane] = scorer.item_vectors[:, k]
    tile_class = np.repeat(np.arange(CLASSES), tiles_of_class)
    return _Tiles(values, tile_class, item_slot, np.repeat(tile_class, TILE).astype(np.int8))


def _user_rows(scorer: VectorScorer, users: np.ndarray) -> np.ndarray:
    length = scorer.user_vectors.shape[1]
    rows = np.zeros((len(users), padded(length, 4) if length else 0), np.float32)
    rows[:, :length] = scorer.user_vectors[users]
    return rows


def count(scorer: Scorer, asked: Questions, classes: np.ndarray) -> Counts:
    """Count candidates below and equal to each target.

    Parameters
    ----------
    scorer : Scorer
        One in time scores held-out item and candidates at the epoch of the held-out event.
    asked : Questions
    classes : (I,) int8, class of each item (see `item_classes`)
    """
    if isinstance(scorer, TemporalScorer):
        return count_by_epoch(scorer.at, scorer.epochs(asked.times), asked, classes)
    kernels = backends.kernels()
    n = len(asked.users)
    less, equal = np.zeros((n, CLASSES), np.int64), np.zeros((n, CLASSES), np.int64)
    if isinstance(scorer, VectorScorer):
        tiles = _tiles(scorer, classes)
        kernels.count_ranks(
            _user_rows(scorer, asked.users),
            tiles.values,
            tiles.tile_class,
            asked.indptr,
            tiles.item_slot[asked.items],
            tiles.slot_class,
            less,
            equal,
        )
    else:
        step = max(1, ROW_BYTES // (8 * scorer.n_items))
        for start in range(0, n, step):
            part = asked.part(np.arange(start, min(start + step, n)))
            where = slice(start, start + step)
            rows = np.ascontiguousarray(scorer.rows(part.users))
            kernels.count_row(rows, classes, part.indptr, part.items, less[where], equal[where])
    pairs = np.tile(np.bincount(classes, minlength=CLASSES).astype(np.int64), (n, 1))
    np.subtract.at(pairs, (np.repeat(np.arange(n), np.diff(asked.indptr)), classes[asked.items]), 1)
    return Counts(less, equal, pairs, classes[asked.targets])


def count_by_epoch(
    scorer_of: Callable[[int], Scorer], epochs: np.ndarray, asked: Questions, classes: np.ndarray
) -> Counts:
    """Count with another scorer in every epoch: a held-out item and its candidates share its epoch.

    Parameters
    ----------
    scorer_of : callable
        From an epoch to its scorer; called once an epoch.
    epochs : (n,) int64, epoch of each question
    asked, classes : as for `count`
    """
    n = len(asked.users)
    less, equal, pairs = (np.zeros((n, CLASSES), np.int64) for _ in range(3))
    for epoch in np.unique(epochs).tolist():
        chosen = np.flatnonzero(epochs == epoch)
        found = count(scorer_of(epoch), asked.part(chosen), classes)
        less[chosen], equal[chosen], pairs[chosen] = found.less, found.equal, found.pairs
    return Counts(less, equal, pairs, classes[asked.targets])


def scores(scorer: Scorer, users: np.ndarray) -> np.ndarray:
    """Scores (n, I) of some users for all items, with the very bits that `count` compares.

    Of a scorer in time those of the last epoch; ask `TemporalScorer.at` for another one.
    """
    users = np.asarray(users, dtype=np.int64)
    if isinstance(scorer, RowScorer):
        return scorer.rows(users)
    if isinstance(scorer, TemporalScorer):
        scorer = scorer.at(len(scorer.edges) - 2)
    tiles = scorer.tiles
    out = np.empty((len(users), scorer.n_items), np.float32)
    backends.kernels().score_items(_user_rows(scorer, users), tiles.values, tiles.item_slot, out)
    return out


def top(
    scorer: Scorer,
    users: np.ndarray,
    n: int,
    owned: tuple[np.ndarray, np.ndarray],
    allowed: np.ndarray,
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The best items of some users, exactly: highest score first, of equal ones the smaller row first.

    Parameters
    ----------
    scorer : VectorScorer or RowScorer
    users : (m,) int64, user rows
    n : int
        At most so many items each.
    owned : CSR (m + 1,) int64 and int32
        Items to leave out, ascending within a user.
    allowed : (I,) bool

    Returns
    -------
    items, scores : lists of m arrays, int32 and float32
        Each as long as there are items to recommend.
    """
    kernels = backends.kernels()
    users = np.asarray(users, dtype=np.int64)
    n = min(n, int(np.count_nonzero(allowed)))
    found, items = np.empty((len(users), n), np.float32), np.empty((len(users), n), np.int32)
    sizes = np.zeros(len(users), np.int64)
    if isinstance(scorer, TemporalScorer):
        scorer = scorer.at(len(scorer.edges) - 2)
    if n == 0:
        pass
    elif isinstance(scorer, VectorScorer):
        rows = _user_rows(scorer, users)
        kernels.top_items(rows, scorer.tiles.values, owned[0], owned[1], allowed, found, items, sizes)
    else:
        rows = np.ascontiguousarray(scorer.rows(users), dtype=np.float32)
        kernels.best_of_rows(rows, owned[0], owned[1], allowed, found, items, sizes)
    return (
        [row[:size] for row, size in zip(items, sizes)],
        [row[:size] for row, size in zip(found, sizes)],
    )
