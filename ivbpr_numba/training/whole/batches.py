"""Which pictures make an epoch, and how each is changed a little: NumPy, drawn from (seed, epoch, step)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["Augmentation", "augment", "balanced_weights", "epoch_order", "holders"]

Augmentation = dict[str, float]


def holders(targets: Sequence[np.ndarray], sizes: Sequence[int]) -> list[np.ndarray]:
    """Pictures that have each value, over all groups in order.

    Parameters
    ----------
    targets : sequence of (n,) or (n, C) int arrays
        A number, or 1 for each tag that a picture has.
    sizes : sequence of int
        Values of each group.
    """
    found = []
    for target, size in zip(targets, sizes):
        for value in range(size):
            has = target == value if target.ndim == 1 else target[:, value] == 1
            found.append(np.flatnonzero(has))
    return found


def balanced_weights(having: Sequence[np.ndarray], n: int, exponent: float) -> np.ndarray:
    """Weight of each picture: mean over its values of (pictures with the value) ^ −exponent.

    Returns
    -------
    ndarray of float64, shape (n,)
        With mean 1. Pictures without any known value count as the most frequent kind.
    """
    total, known = np.zeros(n), np.zeros(n)
    least = 1.0
    for rows in having:
        if len(rows):
            share = (len(rows) / n) ** -exponent
            least = share if len(rows) == max(map(len, having)) else least
            total[rows] += share
            known[rows] += 1
    weights = np.where(known > 0, total / np.maximum(known, 1), least)
    return weights / weights.mean()


def epoch_order(
    having: Sequence[np.ndarray], n: int, exponent: float, generator: np.random.Generator
) -> np.ndarray:
    """Pictures of one epoch in the order of training.

    Parameters
    ----------
    having : sequence of arrays
        See `holders`.
    n : int
        Training pictures.
    exponent : float
        0: every picture once. 1: every value about equally often. Each picture comes floor or ceil of its
        expected number of times; a value that would not come at all is given one of its pictures.
    generator : numpy Generator

    Returns
    -------
    ndarray of int64
        n pictures, or a few more.
    """
    if exponent == 0:
        return generator.permutation(n)
    ends = np.cumsum(balanced_weights(having, n, exponent)) + generator.random()
    ends[-1] = max(ends[-1], n)  # rounding must not lose the last one
    times = np.diff(np.floor(ends), prepend=0.0).astype(np.int64)
    missing = [rows[generator.integers(len(rows))] for rows in having if len(rows) and not times[rows].any()]
    drawn = np.concatenate([np.repeat(np.arange(n), times), np.array(missing, dtype=np.int64)])
    return generator.permutation(drawn)


def augment(
    pixels: np.ndarray,
    generator: np.random.Generator,
    flip: bool = True,
    shift: float = 0.0,
    zoom: float = 0.0,
    jitter: float = 0.0,
) -> np.ndarray:
    """Change pictures a little, each in its own way.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (n, H, W, 3)
    generator : numpy Generator
    flip : bool
        Half of them are mirrored, left to right.
    shift, zoom : float
        Largest move as a share of the side, and largest change of size; what comes in at a border repeats it.
    jitter : float
        Largest relative change of each colour channel: 0 where colours are what is learned.

    Returns
    -------
    ndarray of uint8, shape (n, H, W, 3)
    """
    n, height, width, _ = pixels.shape
    mirrored = np.less(generator.random(n), 0.5 if flip else 0.0)
    moves = generator.uniform(-shift, shift, (n, 2)) if shift else np.zeros((n, 2))
    sizes = np.exp(generator.uniform(-zoom, zoom, n)) if zoom else np.ones(n)
    found = np.empty_like(pixels)
    for k in range(n):
        rows = _places(height, sizes[k], moves[k, 0])
        columns = _places(width, sizes[k], moves[k, 1])
        if mirrored[k]:
            columns = columns[::-1]
        found[k] = pixels[k].take(rows, axis=0).take(columns, axis=1)
    if jitter:
        factors = generator.uniform(1 - jitter, 1 + jitter, (n, 1, 1, 3)).astype(np.float32)
        found = np.clip(np.rint(found * factors), 0, 255).astype(np.uint8)
    return found


def _places(side: int, size: float, move: float) -> np.ndarray:
    """Where along one side the pixels of the changed picture come from."""
    middle = (side - 1) / 2
    places = (np.arange(side) - middle) * size + middle + move * side
    return np.clip(np.rint(places), 0, side - 1).astype(np.int64)
