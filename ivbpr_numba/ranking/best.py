"""Scores of users for items, and each user's best items."""

from __future__ import annotations

from typing import Any

import numpy as np

from ivbpr_numba import backends
from ivbpr_numba.ranking.scorers import ItemSide, RowScorer, Scorer, at_time, user_rows

__all__ = ["scores", "scores_of_pairs", "scores_of_vectors", "top", "top_of_vectors"]

PAIR_BYTES = 64 << 20  # score rows held at once while single pairs are asked for

Best = tuple[list[np.ndarray], list[np.ndarray]]


def scores_of_vectors(items: ItemSide, vectors: np.ndarray) -> np.ndarray:
    """Scores (n, I) float32 of user vectors (n, L), with the very bits that `count` compares."""
    tiles = items.tiles
    out = np.empty((len(vectors), len(items)), np.float32)
    backends.kernels().score_items(user_rows(vectors), tiles.values, tiles.item_slot, out)
    return out


def scores(scorer: Scorer, users: np.ndarray) -> np.ndarray:
    """Scores (n, I) of some users for all items, with the very bits that `count` compares.

    Of a scorer in time those of the last epoch; ask `at_time` for another one.
    """
    users = np.asarray(users, dtype=np.int64)
    scorer, _ = at_time(scorer)
    if isinstance(scorer, RowScorer):
        return scorer.rows(users)
    return scores_of_vectors(scorer.items, scorer.user_vectors[users])


def scores_of_pairs(scorer: Scorer, users: np.ndarray, items: np.ndarray) -> np.ndarray:
    """Scores (n,) of pairs of user and item rows: the entries of `scores`, each user's row made once."""
    users, items = np.asarray(users, dtype=np.int64), np.asarray(items, dtype=np.int64)
    distinct, which = np.unique(users, return_inverse=True)
    order = np.argsort(which, kind="stable")
    step = max(1, PAIR_BYTES // (8 * max(1, scorer.n_items)))
    parts, ends = [], np.searchsorted(which[order], np.arange(0, len(distinct) + step, step))
    for number, start in enumerate(range(0, len(distinct), step)):
        own = order[ends[number] : ends[number + 1]]
        parts.append(scores(scorer, distinct[start : start + step])[which[own] - start, items[own]])
    found = np.concatenate(parts) if parts else np.zeros(0, np.float32)
    out = np.empty_like(found)
    out[order] = found
    return out


def top_of_vectors(
    items: ItemSide,
    vectors: np.ndarray,
    n: int,
    owned: tuple[np.ndarray, np.ndarray],
    allowed: np.ndarray,
    kernels: backends.Kernels | None = None,
) -> Best:
    """As `top`, for user vectors (m, L): stored, folded in or steered; by the CPU unless others are given."""
    n, kernels = min(n, int(np.count_nonzero(allowed))), kernels or backends.kernels()
    room = _room(len(vectors), n, kernels)
    if n:
        tiles = kernels.resident(items.tiles.values)
        kernels.top_items(kernels.put(user_rows(vectors)), tiles, *kernels.put((*owned, allowed)), *room)
    return _cut(*map(kernels.get, room))


def top(
    scorer: Scorer,
    users: np.ndarray,
    n: int,
    owned: tuple[np.ndarray, np.ndarray],
    allowed: np.ndarray,
) -> Best:
    """The best items of some users, exactly: highest score first, of equal ones the smaller row first.

    Parameters
    ----------
    scorer : Scorer
        One in time answers for its last epoch; ask `at_time` for another one.
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
    users = np.asarray(users, dtype=np.int64)
    scorer, _ = at_time(scorer)
    if not isinstance(scorer, RowScorer):
        return top_of_vectors(scorer.items, scorer.user_vectors[users], n, owned, allowed)
    n = min(n, int(np.count_nonzero(allowed)))
    kernels = backends.kernels()
    room = _room(len(users), n, kernels)
    if n:
        rows = np.ascontiguousarray(scorer.rows(users), dtype=np.float32)
        kernels.best_of_rows(rows, owned[0], owned[1], allowed, *room)
    return _cut(*room)


def _room(users: int, n: int, kernels: backends.Kernels) -> tuple[Any, Any, Any]:
    """Scores and items (m, n), and how many there are of each user (m,)."""
    scores, items = kernels.empty((users, n), np.float32), kernels.empty((users, n), np.int32)
    return scores, items, kernels.zeros(users, np.int64)


def _cut(found: np.ndarray, items: np.ndarray, sizes: np.ndarray) -> Best:
    return (
        [row[:size] for row, size in zip(items, sizes)],
        [row[:size] for row, size in zip(found, sizes)],
    )
