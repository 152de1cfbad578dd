"""What to try next: the defaults, points that fill the space evenly, then points like the best ones so far.

Trial 0 is the model's defaults. The trials up to `START` are spread: each `BLOCK` of them is a Latin
hypercube, in which every dimension is cut into as many parts and each part has one trial. Later trials come
from two densities over the trials so far, one of the best tenth, one of the rest, as in the
tree-structured Parzen estimator (Bergstra et al., 2011) and BOHB (Falkner et al., 2018): each trial is a
kernel in all dimensions at once, `DRAWS` points are drawn from the better density, and the one with the
largest ratio of the densities is proposed. Every eighth trial is spread still, so that no part of the space
is given up.

A proposal is a pure function of space, seed, its number, and the trials it may know of.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ivbpr_numba.tuning.dimensions import Choice, Dimension
from ivbpr_numba.tuning.space import Space

__all__ = ["Known", "propose"]

START = 8  # trials before the densities say anything
FRESH = 8  # every so many trials one is spread all the same
BLOCK = 8
BETTER = 0.1  # share of the trials whose density is followed
LEAST_BETTER = 2
DRAWS = 32
NARROWEST = 0.06  # standard deviation of a kernel, in places
OTHER = 0.2  # probability that a kernel of a choice takes another value than its trial has

Known = tuple[dict[str, float], float]  # places of a trial by option, and its estimated AUC


def propose(space: Space, seed: int, number: int, known: Sequence[Known]) -> tuple[dict[str, float], str]:
    """The places of a trial, and how they were found: ``spread`` or ``model``.

    Parameters
    ----------
    space : Space
    seed : int
    number : int
        Of the trial, 1 and above.
    known : sequence of (places, value)
        Trials with their estimated AUC, in the order of their numbers.
    """
    if number < START or number % FRESH == 0 or len(known) < 2 * LEAST_BETTER:
        return _spread(space, seed, number), "spread"
    rng = np.random.default_rng([seed, number])
    ranked = sorted(known, key=lambda one: -one[1])
    n_better = max(LEAST_BETTER, math.ceil(BETTER * len(ranked)))
    better, rest = [p for p, _ in ranked[:n_better]], [p for p, _ in ranked[n_better:]]
    widths = {one.name: _width([p[one.name] for p in better]) for one in space.dimensions}
    best, ratio = {}, -math.inf
    for _ in range(DRAWS):
        centre = better[int(rng.integers(len(better)))]
        point = {one.name: _drawn(one, centre[one.name], widths[one.name], rng) for one in space.dimensions}
        found = _log_density(space, point, better, widths) - _log_density(space, point, rest, widths)
        if found > ratio:
            best, ratio = point, found
    return best, "model"


def _spread(space: Space, seed: int, number: int) -> dict[str, float]:
    """A trial of a Latin hypercube: the part that a random order gives it, somewhere within."""
    block, within = divmod(number, BLOCK)
    rng = np.random.default_rng([seed, block, BLOCK])
    return {
        one.name: float((rng.permutation(BLOCK)[within] + rng.random(BLOCK)[within]) / BLOCK)
        for one in space.dimensions
    }


def _width(places: Sequence[float]) -> float:
    """Scott's rule for a handful of points in one dimension."""
    return max(NARROWEST, float(np.std(places)) * len(places) ** -0.2)


def _unordered(dimension: Dimension) -> bool:
    return isinstance(dimension, Choice) and not dimension.ordered


def _drawn(dimension: Dimension, centre: float, width: float, rng: np.random.Generator) -> float:
    """A place near that of a trial; beyond an end it is reflected there."""
    if _unordered(dimension):
        assert isinstance(dimension, Choice)
        stay = rng.random() >= OTHER and centre >= 0
        n = len(dimension.values)
        return centre if stay else (int(rng.integers(n)) + 0.5) / n
    place = abs(centre + width * float(rng.standard_normal()))
    place = place if place <= 1 else 2 - place
    return min(max(place, 0.0), 1.0)


def _log_density(
    space: Space, point: dict[str, float], trials: Sequence[dict[str, float]], widths: dict[str, float]
) -> float:
    """Logarithm of the mean of the trials' kernels at a point, up to a constant; 0 without trials."""
    logs = []
    for trial in trials:
        total = 0.0
        for one in space.dimensions:
            a, b = point[one.name], trial[one.name]
            if _unordered(one):
                assert isinstance(one, Choice)
                n = len(one.values)
                same = one.value(a) == one.value(b) if b >= 0 else False
                total += math.log(1 - OTHER + OTHER / n if same else OTHER / n)
            else:
                width = widths[one.name]
                total += -0.5 * ((a - b) / width) ** 2 - math.log(width)
        logs.append(total)
    if not logs:
        return 0.0
    top = max(logs)
    return top + math.log(sum(math.exp(one - top) for one in logs) / len(logs))
