"""Curves of a garment's outline: points (n, 2); x to the right, y down, the picture is [-1, 1]²."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["along", "bend", "hem", "join", "mirrored", "through"]

Point = tuple[float, float]


def join(*pieces: np.ndarray | Sequence[Point]) -> np.ndarray:
    """One line out of several."""
    return np.concatenate([np.asarray(piece, dtype=np.float64).reshape(-1, 2) for piece in pieces])


def mirrored(points: np.ndarray | Sequence[Point], backwards: bool = True) -> np.ndarray:
    """The other half of what is symmetric; backwards, so that it continues the first half."""
    found = np.asarray(points, dtype=np.float64) * (-1, 1)
    return found[::-1] if backwards else found


def bend(start: Point, end: Point, bow: float, n: int = 9) -> np.ndarray:
    """A curve from start to end that bulges by `bow` of its length, to the right of its way if positive."""
    a, b = np.asarray(start, dtype=np.float64), np.asarray(end, dtype=np.float64)
    control = (a + b) / 2 + 2 * bow * np.array([-(b - a)[1], (b - a)[0]])
    t = np.linspace(0, 1, n)[:, None]
    return (1 - t) ** 2 * a + 2 * t * (1 - t) * control + t**2 * b


def through(points: Sequence[Point], n: int = 7) -> np.ndarray:
    """A smooth curve through the points (Catmull and Rom)."""
    p = np.asarray(points, dtype=np.float64)
    p = np.concatenate([[2 * p[0] - p[1]], p, [2 * p[-1] - p[-2]]])
    t = np.linspace(0, 1, n, endpoint=False)[:, None]
    pieces = [
        0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
        for a, b, c, d in zip(p[:-3], p[1:-2], p[2:-1], p[3:])
    ]
    return np.concatenate([*pieces, p[-2:-1]])


def hem(start: Point, end: Point, sag: float, waves: int = 0, height: float = 0.0, n: int = 33) -> np.ndarray:
    """The lower edge from start to end: it sags in the middle, and swings where it is wide."""
    t = np.linspace(0, 1, n)
    points = np.outer(1 - t, start) + np.outer(t, end)
    points[:, 1] += sag * 4 * t * (1 - t)
    if waves:
        points[:, 1] += height * np.sin(2 * np.pi * waves * t) * np.minimum(1, 6 * t * (1 - t))
    return points


def along(line: np.ndarray, n: int) -> np.ndarray:
    """`n` points at equal distances along a line."""
    steps = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
    at = np.linspace(0, steps[-1], n)
    return np.column_stack([np.interp(at, steps, line[:, 0]), np.interp(at, steps, line[:, 1])])
