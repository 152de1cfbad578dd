"""What tags look like: hood, pleats, ruffles, embroidery and holes (a flared hem is part of the cut)."""

from __future__ import annotations

import numpy as np

from ivbpr_numba.worlds.wardrobe.canvas import Sketch
from ivbpr_numba.worlds.wardrobe.cut import Cut, Part
from ivbpr_numba.worlds.wardrobe.geometry import along, bend, hem, join, mirrored

__all__ = ["cords", "embroidery", "hood", "knitted", "pleats", "ruffles", "tears"]

RUFFLE = 0.13  # depth of a ruffle


def hood(cut: Cut) -> Sketch:
    """A hood behind the neck; where there is none, a waist that stands up in gathers."""
    sketch = Sketch()
    if cut.neck is not None:
        half, top, _ = cut.neck
        w = half + 0.11
        right = join(
            bend((0, top - 0.27), (w, top - 0.08), -0.2),
            bend((w, top - 0.08), (half + 0.07, top + 0.12), -0.1),
        )
        inner = join(bend((0, top - 0.19), (half + 0.02, top - 0.05), -0.2), [(half - 0.03, top + 0.13)])
        opening = join(inner, mirrored(inner))
        sketch.lay(Part(join(right, mirrored(right)), 118))
        sketch.lay(Part(opening, 52))
        sketch.crease(opening, 0.014, 64)
        return sketch
    half, top = cut.waist or (0.3, -0.8)
    upper = hem((-half * 1.06, top - 0.1), (half * 1.06, top - 0.1), -0.01, 7, 0.018)
    lower = hem((half * 0.98, top + 0.03), (-half * 0.98, top + 0.03), 0.02)
    sketch.lay(Part(join(upper, lower), 124))
    for x in np.linspace(-0.9, 0.9, 9):
        sketch.crease(join([(x * half * 1.04, top - 0.09), (x * half * 0.96, top + 0.03)]), 0.02, 80)
    return sketch


def cords(cut: Cut) -> Sketch:
    """Two cords with metal ends, at the neck or the waist."""
    sketch = Sketch()
    if cut.neck is not None:
        half, top, depth = cut.neck
        start, y, length = half * 0.75, top + min(depth * 0.6, 0.1), 0.36
    else:
        start, y, length = 0.035, (cut.waist or (0.3, -0.8))[1] + 0.05, 0.34
    for side, extra in ((1, 0.0), (-1, 0.06)):
        cord = join([(side * start, y), (side * start * 1.12, y + length + extra)])
        sketch.stroke(cord + np.array([0.008, 0.006]), 0.034, "edge")
        sketch.stroke(cord, 0.024, "cord")
        sketch.stroke(cord[-1:] + np.array([[0, -0.05], [0, 0.02]]), 0.032, "brass")
    return sketch


def ruffles(cut: Cut) -> Sketch:
    """Frills with a trimmed edge along hems, cuffs and one line across the body."""
    sketch = Sketch()
    for line, depth in [(e, RUFFLE * 0.9) for e in cut.edges] + [(t, RUFFLE) for t in cut.tiers]:
        length = float(np.hypot(*np.diff(line, axis=0).T).sum())
        n = max(3, round(length / 0.095))
        up = 0.45 * depth
        spine = along(line, 8 * n + 1)
        phase = np.abs(np.sin(np.pi * n * np.linspace(0, 1, 8 * n + 1)))
        widen = 1 + 0.09 * phase[:, None] * np.sign(spine - spine.mean(axis=0)) * [1, 0]
        lower = spine * np.where(np.abs(spine) > 0.05, widen, 1)
        lower = lower + np.column_stack([0 * phase, depth * (0.72 + 0.34 * np.sqrt(phase)) - up])
        upper = spine - (0, up)
        sketch.crease(lower + np.array([0, 0.02]), 0.05, 60)  # its shadow
        sketch.lay(Part(join(upper, lower[::-1]), 140))
        sketch.crease(upper, 0.02, 70)
        for k in range(n + 1):  # folds run from the seam to the notches
            sketch.crease(join(upper[8 * k : 8 * k + 1], lower[8 * k : 8 * k + 1]), 0.018, 88)
        for k in range(n):
            middle = slice(8 * k + 4, 8 * k + 5)
            sketch.crease(join(upper[middle] + (0, 0.025), lower[middle] - (0, 0.02)), 0.032, 168)
        sketch.stroke(lower, 0.03, "trim")
    return sketch


def pleats(cut: Cut) -> Sketch:
    """Knife pleats: each has a bright face and a dark fold."""
    sketch = Sketch()
    for left, right, low_left, low_right in cut.pleats:
        n = max(3, round(float(np.abs(low_right - low_left)[0]) / 0.15))
        for k in range(n):
            shares = (k / n, (k + 0.45) / n, (k + 1) / n)
            tops = [left + (right - left) * s for s in shares]
            lows = [low_left + (low_right - low_left) * s for s in shares]
            sketch.shade(np.array([tops[0], tops[1], lows[1], lows[0]]), 172)
            sketch.shade(np.array([tops[1], tops[2], lows[2], lows[1]]), 82)
            sketch.crease(np.array([tops[2], lows[2]]), 0.026, 28)
    return sketch


def embroidery(cut: Cut) -> Sketch:
    """A sprig: a blossom on a curling stem with leaves, in thread with an edge."""
    sketch = Sketch()
    stem = join(bend((-0.55, 0.85), (0.1, -0.1), 0.22), bend((0.1, -0.1), (0.5, -0.7), -0.1))
    leaves = (
        (-0.42, 0.42, 0.52, -2.9), (-0.12, 0.32, 0.5, 0.1), (0.02, -0.04, 0.5, -2.6),
        (0.3, -0.36, 0.42, 0.25), (-0.3, 0.75, 0.4, 0.5),
    )  # fmt: skip
    for x, y, size in cut.motifs:
        for grow, ink in ((0.085, "outline"), (0.0, "thread")):
            sketch.stroke(stem * size + (x, y), size * (0.13 + grow), ink)
            for lx, ly, length, turn in leaves:
                sketch.fill(_leaf(lx, ly, length + grow, turn, grow) * size + (x, y), ink)
            for a in np.arange(6) * np.pi / 3:
                centre = np.array([0.12 + 0.26 * np.cos(a), -0.22 + 0.26 * np.sin(a)])
                sketch.fill(_round(centre, 0.19 + grow) * size + (x, y), ink)
        sketch.fill(_round(np.array([0.12, -0.22]), 0.13) * size + (x, y), "outline")
    return sketch


def _leaf(x: float, y: float, length: float, turn: float, grow: float) -> np.ndarray:
    t = np.linspace(0, 1, 7)
    w = (0.17 + grow) * np.sin(np.pi * t)
    points = join(np.column_stack([t * length, w]), np.column_stack([t * length, -w])[::-1])
    c, s = np.cos(turn), np.sin(turn)
    return points @ np.array([[c, s], [-s, c]]) + (x, y)


def _round(centre: np.ndarray, radius: float, n: int = 12) -> np.ndarray:
    a = np.linspace(0, 2 * np.pi, n, endpoint=False)
    return centre + radius * np.column_stack([np.cos(a), np.sin(a)])


_RING = np.column_stack([np.cos(np.arange(14) * np.pi / 7), 0.62 * np.sin(np.arange(14) * np.pi / 7)])


def tears(cut: Cut, rng: np.random.Generator) -> Sketch:
    """Frayed holes: what is behind shows through loose threads. They differ from picture to picture."""
    sketch = Sketch()
    for x, y, size in cut.holes:
        ragged = _RING * rng.uniform(0.75, 1.1, (14, 1)) * size
        centre = np.array([x, y]) + rng.uniform(-0.015, 0.015, 2)
        sketch.fill(centre + 1.2 * ragged, "frayed")
        sketch.fill(centre + 1.0 * ragged, "behind")
        for k in (-0.42, -0.14, 0.14, 0.42):  # threads that still hold
            half = size * np.sqrt(1 - (k / 0.62) ** 2)
            sketch.stroke(
                centre + np.array([[-half, k * size], [0, k * size + 0.01], [half, k * size]]),
                0.016,
                "frayed",
            )
    return sketch


def knitted(cut: Cut) -> Sketch:
    """Ribs across cuffs and hems, from one long side to the other."""
    sketch = Sketch()
    for quad in cut.ribs:
        half = len(quad) // 2
        one, other = quad[:half], quad[half:][::-1]
        n = max(4, round(float(np.hypot(*np.diff(one, axis=0).T).sum()) / 0.042))
        for a, b in zip(along(one, n), along(other, n)):
            sketch.crease(np.array([a, b]), 0.017, 100)
    return sketch
