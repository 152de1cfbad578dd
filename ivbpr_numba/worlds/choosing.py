"""What the shoppers of a built-in world buy: its parameters laid out for the kernel that chooses."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from ivbpr_numba import backends
from ivbpr_numba.arrays import aligned, padded
from ivbpr_numba.kernels.arguments import Orders, Shelf, Tastes
from ivbpr_numba.worlds.truth import Truth

if TYPE_CHECKING:
    from ivbpr_numba.worlds.world import WorldSize

__all__ = ["choose"]

_CANDIDATES_A_STEP = 1 << 28  # between two calls of `progress`
_ITEMS_A_BLOCK = 65_536


def choose(
    truth: Truth,
    size: WorldSize,
    seed: int,
    buyers: np.ndarray,
    times: np.ndarray,
    progress: Callable[[int, int], None] | None = None,
    doubt: float = 0.0,
) -> np.ndarray:
    """Item of every purchase, (n,) int32: the best of those on sale and not yet owned, under Gumbel noise.

    Parameters
    ----------
    truth : Truth
    size : WorldSize
    seed : int
    buyers, times : (n,) int32 and int64
        By user, then time.
    progress : callable, optional
        Called with (users done, users).
    doubt : float
        See `choose_items`; any value gives the same items.
    """
    exact = len(buyers) * size.items <= size.exact_limit
    by_release = np.argsort(truth.release, kind="stable")
    indptr = np.searchsorted(buyers, np.arange(size.users + 1)).astype(np.int64)
    released = np.searchsorted(truth.release[by_release], times, side="right").astype(np.int64)
    orders = Orders(indptr, released, truth.epoch_of(times))
    shelf = _shelf(truth, by_release)
    tastes = Tastes(truth.taste, truth.taste_map, truth.style, truth.user_latent)
    chosen = np.empty(len(buyers), dtype=np.int32)  # items in order of release
    per_user = (size.items if exact else size.candidates) * (size.max_purchases + size.min_purchases) // 2
    step = max(1, _CANDIDATES_A_STEP // per_user)
    for first in range(0, size.users, step):
        last = min(first + step, size.users)
        backends.kernels().choose_items(
            np.uint64(seed),
            first,
            last,
            orders,
            0 if exact else size.candidates,
            float(size.kappa),
            float(doubt),
            tastes,
            shelf,
            chosen,
        )
        if progress is not None:
            progress(last, size.users)
    return by_release[chosen].astype(np.int32)


def _shelf(truth: Truth, by_release: np.ndarray) -> Shelf:
    numbers = np.hstack([truth.popularity[:, None], truth.item_latent])[by_release]
    columns = truth.attributes.padded()[by_release]
    directions = np.vstack([truth.taste_map, truth.style]).T
    directions = np.vstack([directions, np.zeros(directions.shape[1])])  # what columns are filled up with
    n_taste, n_latent, n_epochs = len(truth.taste_map), truth.item_latent.shape[1], len(truth.style)
    taste, latent = slice(n_taste), slice(n_taste, n_taste + n_latent)
    style = slice(n_taste + n_latent, n_taste + n_latent + n_epochs)

    def exact(start: int) -> np.ndarray:
        part = slice(start, start + _ITEMS_A_BLOCK)
        found = np.zeros((len(numbers[part]), style.stop))
        found[:, latent], found[:, style] = numbers[part, 1:], numbers[part, :1]
        for k in range(columns.shape[1]):
            projected = directions[columns[part, k]]
            found[:, taste] += projected[:, :n_taste]
            found[:, style] += projected[:, n_taste:]
        return found

    starts = range(0, len(numbers), _ITEMS_A_BLOCK)
    largest = np.max([np.abs(exact(start)).max(axis=0) for start in starts], axis=0)
    width = padded(style.stop)
    steps = np.ones(width)
    steps[: style.stop] = np.where(largest > 0, largest, 1.0) / (2**31 - 1)
    rows = aligned((len(numbers), width)).view(np.int32)
    rows[:] = 0
    for start in starts:
        rows[start : start + _ITEMS_A_BLOCK, : style.stop] = np.rint(exact(start) / steps[: style.stop])
    reach = np.zeros(width)
    most = columns.shape[1] * np.abs(directions).max(axis=0)
    reach[taste], reach[style] = most[:n_taste], most[n_taste:] + np.abs(numbers[:, 0]).max()
    reach[latent] = np.abs(numbers[:, 1:]).max(axis=0)
    return Shelf(numbers, columns, rows, steps, reach / steps)
