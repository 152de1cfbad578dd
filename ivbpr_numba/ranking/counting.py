"""Held-out items among all candidates: exact counts, AUCs and their summaries."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ivbpr_numba import backends
from ivbpr_numba.events import Observer
from ivbpr_numba.processes import Crew
from ivbpr_numba.ranking.scorers import (
    CLASSES,
    ItemSide,
    Scorer,
    TemporalScorer,
    Tiles,
    VectorScorer,
    user_rows,
)

if TYPE_CHECKING:
    from ivbpr_numba.datasets.dataset import Dataset

__all__ = [
    "COLD_BELOW",
    "Counts",
    "Questions",
    "all_and_cold",
    "count",
    "count_by_epoch",
    "item_classes",
    "questions",
    "summary",
]

COLD_BELOW = 5  # training pairs below which an item is cold (paper 4.2)
ROW_BYTES = 32 << 20  # score rows of a RowScorer held at once
PART = 2048  # questions of a piece of work of a crew: they decide who counts, never what comes out


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
    return ((train_counts >= 1).astype(np.int8) + (train_counts >= COLD_BELOW)).astype(np.int8)


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


def all_and_cold(
    counts: Counts, cold: np.ndarray, ties: str = "strict", cold_below: int | None = None
) -> dict[str, dict[str, Any]]:
    """All Items and Cold Start: the summary over all questions and over those marked in `cold`, (n,) bool.

    `cold_below`, where it is given, is written beside the second.
    """
    values, pairs, tied = counts.auc(ties)
    found = {"all": summary(values, pairs, tied), "cold": summary(values[cold], pairs[cold], tied[cold])}
    if cold_below is not None:
        found["cold"]["cold_below"] = cold_below
    return found


def count(
    scorer: Scorer,
    asked: Questions,
    classes: np.ndarray,
    kernels: backends.Kernels | None = None,
    crew: Crew | None = None,
) -> Counts:
    """Count candidates below and equal to each target.

    Parameters
    ----------
    scorer : Scorer
        One in time scores held-out item and candidates at the epoch of the held-out event.
    asked : Questions
    classes : (I,) int8, class of each item (see `item_classes`)
    kernels : Kernels, optional
        Of the device that counts; the CPU's unless others are given.
    crew : Crew, optional
        Who counts for scorers by vectors, a part of the questions at a time; each has the items once.
    """
    if isinstance(scorer, TemporalScorer):
        return count_by_epoch(scorer.at, scorer.epochs(asked.times), asked, classes, kernels, crew)
    kernels = kernels or backends.kernels()
    n = len(asked.users)
    if isinstance(scorer, VectorScorer) and scorer.user_vectors.shape[1]:
        side = _Counted(scorer.items, classes)
        vectors = user_rows(scorer.user_vectors[asked.users])
        own = asked.indptr, asked.items
        less, equal = (
            side.count(vectors, *own, kernels) if crew is None else _count_in_parts(crew, side, vectors, *own)
        )
    elif isinstance(scorer, VectorScorer):
        less, equal = np.zeros((n, CLASSES), np.int64), np.zeros((n, CLASSES), np.int64)
        _count_alike(scorer.items.rows[1], asked, classes, less, equal)
    else:
        # Rows are made where Python is, and counted there.
        less, equal = np.zeros((n, CLASSES), np.int64), np.zeros((n, CLASSES), np.int64)
        step, on_host = max(1, ROW_BYTES // (8 * scorer.n_items)), backends.kernels()
        for start in range(0, n, step):
            part = asked.part(np.arange(start, min(start + step, n)))
            where = slice(start, start + step)
            rows = np.ascontiguousarray(scorer.rows(part.users))
            on_host.count_row(rows, classes, part.indptr, part.items, less[where], equal[where])
    pairs = np.bincount(classes, minlength=CLASSES) - _by_class(asked, classes)
    return Counts(less, equal, pairs, classes[asked.targets])


@dataclass(frozen=True)
class _Counted:
    """Items by which vectors are counted, in tiles that are made once."""

    items: ItemSide
    classes: np.ndarray

    @cached_property
    def tiles(self) -> Tiles:
        return self.items.tiled(self.classes)

    def __getstate__(self) -> dict[str, Any]:
        return {"items": self.items, "classes": self.classes}

    def count(
        self, vectors: np.ndarray, indptr: np.ndarray, items: np.ndarray, kernels: backends.Kernels
    ) -> tuple[np.ndarray, np.ndarray]:
        """Candidates below and equal to the first of each user's own items, (n, CLASSES) int64 both."""
        less, equal = (kernels.zeros((len(vectors), CLASSES), np.int64) for _ in range(2))
        given = (vectors, *self.items.rows, self.classes, self.tiles.values, self.tiles.class_begin)
        kernels.count_ranks(*kernels.put((*given, indptr, items)), less, equal)
        return kernels.get(less), kernels.get(equal)


def _count_part(
    side: _Counted, task: tuple[np.ndarray, np.ndarray, np.ndarray], tell: Observer
) -> tuple[np.ndarray, np.ndarray]:
    return side.count(*task, backends.kernels())


def _count_in_parts(
    crew: Crew, side: _Counted, vectors: np.ndarray, indptr: np.ndarray, items: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """`_Counted.count` by a crew."""
    n = len(vectors)
    less, equal = np.zeros((n, CLASSES), np.int64), np.zeros((n, CLASSES), np.int64)

    def part(start: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        own = indptr[start : min(start + PART, n) + 1]
        return vectors[start : start + PART], own - own[0], items[own[0] : own[-1]]

    with crew.begin(_count_part, side) as hands:
        for number, found in hands.run(map(part, range(0, n, PART))):
            where = slice(number * PART, (number + 1) * PART)
            less[where], equal[where] = found
    return less, equal


def _by_class(asked: Questions, classes: np.ndarray, chosen: np.ndarray | None = None) -> np.ndarray:
    """Own items of each question by class, (n, CLASSES) int64; of `chosen`, (items,) bool, only those."""
    n = len(asked.users)
    place = np.repeat(np.arange(n) * CLASSES, np.diff(asked.indptr)) + classes[asked.items]
    place = place if chosen is None else place[chosen]
    return np.bincount(place, minlength=n * CLASSES).reshape(n, CLASSES)


def _count_alike(
    bias: np.ndarray, asked: Questions, classes: np.ndarray, less: np.ndarray, equal: np.ndarray
) -> None:
    """Counts where all users share the scores of the items, `bias`: sorted once, each target is looked up."""
    targets = bias[asked.targets]
    own, of = bias[asked.items], np.repeat(targets, np.diff(asked.indptr))
    for where in range(CLASSES):
        scores = bias[classes == where]
        scores = np.sort(scores[~np.isnan(scores)])
        less[:, where] = np.searchsorted(scores, targets, "left")
        equal[:, where] = np.searchsorted(scores, targets, "right") - less[:, where]
    less[np.isnan(targets)] = equal[np.isnan(targets)] = 0  # nothing is below or equal to NaN
    less -= _by_class(asked, classes, own < of)
    equal -= _by_class(asked, classes, own == of)


def count_by_epoch(
    scorer_of: Callable[[int], Scorer],
    epochs: np.ndarray,
    asked: Questions,
    classes: np.ndarray,
    kernels: backends.Kernels | None = None,
    crew: Crew | None = None,
) -> Counts:
    """Count with another scorer in every epoch: a held-out item and its candidates share its epoch.

    Parameters
    ----------
    scorer_of : callable
        From an epoch to its scorer; called once an epoch.
    epochs : (n,) int64, epoch of each question
    asked, classes, kernels, crew : as for `count`
    """
    n = len(asked.users)
    less, equal, pairs = (np.zeros((n, CLASSES), np.int64) for _ in range(3))
    for epoch in np.unique(epochs).tolist():
        chosen = np.flatnonzero(epochs == epoch)
        found = count(scorer_of(epoch), asked.part(chosen), classes, kernels, crew)
        less[chosen], equal[chosen], pairs[chosen] = found.less, found.equal, found.pairs
    return Counts(less, equal, pairs, classes[asked.targets])
