"""Epochs: bins of time, their best segmentation, and the way from a moment to its epoch (specification 3)."""

from __future__ import annotations

import numpy as np

from ivbpr_numba.errors import DataError, UsageError, parameter

__all__ = ["bin_edges", "epoch_edges", "epoch_of", "segment", "start_ends"]


def bin_edges(times: np.ndarray, n_bins: int, kind: str) -> np.ndarray:
    """First second of every bin and the end of the last, (B + 1,) int64, ascending.

    Bin b holds the times with edges[b] ≤ t < edges[b + 1]; earlier and later ones belong to the first and
    the last bin.

    Parameters
    ----------
    times : (n,) int64 seconds
        Of the training and validation pairs.
    n_bins : int
    kind : str
        ``width``: equal lengths; ``quantile``: equally many of `times`.

    Raises
    ------
    DataError
        All times are equal.
    """
    first, last = int(times.min()), int(times.max())
    if first == last:
        raise DataError(
            "All interactions have the same time, so there are no epochs to learn.",
            "Fit a model without time, or prepare the data with the right time column.",
        )
    if kind == "width":
        span = last - first
        starts = [first + -(-b * span // n_bins) for b in range(n_bins)]
        return np.array([*starts, last + 1], dtype=np.int64)
    ordered = np.sort(times)
    inner = ordered[np.arange(1, n_bins) * len(ordered) // n_bins]
    return np.concatenate([[first], inner, [last + 1]]).astype(np.int64)


def bins_of(times: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Bin of each time, int64, both ends clamped."""
    return np.searchsorted(edges[1:-1], times, side="right").astype(np.int64)


def start_ends(n_bins: int, n_epochs: int) -> np.ndarray:
    """Last bin of every epoch before anything was learned: ⌊B/N⌋ bins each, the first takes the rest.

    Raises
    ------
    UsageError
        More epochs than bins.
    """
    if not 1 <= n_epochs <= n_bins:
        raise UsageError(
            f"{parameter('epochs', n_epochs)} for {n_bins} bins.",
            f"Use at most as many epochs as {parameter('bins')}.",
        )
    width = n_bins // n_epochs
    return n_bins - 1 - width * np.arange(n_epochs - 1, -1, -1, dtype=np.int64)


def epoch_edges(ends: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """First second of every epoch and the end of the last, (N + 1,) int64."""
    return edges[np.concatenate([[0], ends + 1])]


def epoch_of(times: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Epoch of each time, int64; earlier than all → the first, later than all → the last."""
    return np.searchsorted(edges[1:-1], times, side="right").astype(np.int64)


def segment(table: np.ndarray) -> np.ndarray:
    """The best last bins c_0 < … < c_{N−1} = B − 1: they maximise Σ_e Σ_{b in epoch e} V[b, e].

    S_e(m) = max over k ≥ m of A_e(k + 1) − A_e(m) + S_{e+1}(k + 1), with prefix sums A_e; the running maximum
    comes from the right, so the whole is O(N · B). Of equal values the smallest k.

    Parameters
    ----------
    table : (B, N) float64, V

    Returns
    -------
    (N,) int64
    """
    n_bins, n_epochs = table.shape
    prefix = np.concatenate([np.zeros((1, n_epochs)), np.cumsum(table, axis=0)])
    after = np.full(n_bins + 1, -np.inf)
    after[n_bins] = 0.0
    choice = np.zeros((n_epochs, n_bins), dtype=np.int64)
    for e in range(n_epochs - 1, -1, -1):
        here = np.full(n_bins + 1, -np.inf)
        best, where = -np.inf, n_bins - 1
        for m in range(n_bins - 1, -1, -1):
            value = prefix[m + 1, e] + after[m + 1]
            if value >= best:
                best, where = value, m
            choice[e, m] = where
            here[m] = best - prefix[m, e]
        after = here
    ends, m = [], 0
    for e in range(n_epochs):
        ends.append(int(choice[e, m]))
        m = ends[-1] + 1
    return np.array(ends, dtype=np.int64)
