"""How far another sample of customers would move what a model says: the model, fitted again and again.

One fit says nothing about its own uncertainty. Each refit learns the same model, with the same options and
epochs, from customers drawn with replacement out of those of the first fit, as many, from another random
start and with other triples. What the refits' answers differ by is the spread of sampling customers and of
fitting together.

A customer drawn twice becomes two users with the same purchases. A weight instead would give him one taste
that is learned from twice as many triples, so that regularisation, which is per triple and user, would hold
him less than anybody of the original data.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import stdtrit

from ivbpr_numba.datasets.drawn import draw_users
from ivbpr_numba.events import Observer
from ivbpr_numba.models.registry import create
from ivbpr_numba.models.start import Start

if TYPE_CHECKING:
    from ivbpr_numba.features.features import Features
    from ivbpr_numba.models.base import Model

__all__ = ["default_fits", "half_band", "refits"]

FITS = 8
MOST_PAIRS = 50_000  # training pairs up to which refits are made unasked
COVERAGE = 0.95


def default_fits(model: Model) -> int:
    """Refits made where nobody says how many: 8 up to 50,000 training pairs, none with more."""
    return FITS if len(model.data_.train) <= MOST_PAIRS else 0


def refits(
    model: Model, features: Features | None, fits: int, seed: int = 0, observers: Sequence[Observer] = ()
) -> Iterator[Model]:
    """Fit a model anew to resampled customers, `fits` times.

    Parameters
    ----------
    model : Model
        Fitted or loaded; one in time keeps its epochs, so that epoch t means the same in every refit.
    features : Features or None
        Those of the fit.
    fits : int
    seed : int
        Of the resamples and of the fits; refit n is a pure function of it and n.
    observers : sequence of callables
        Told ``{"event": "start", "fits", "seconds_of_fit"}``, what `model` itself took, before the first, and
        ``{"event": "refit", "done", "total", "iterations_done", "seconds", "seconds_left"}`` after each.

    Yields
    ------
    Model
        Its users are the drawn ones, its items those of `model`.

    Raises
    ------
    Interrupted
        After SIGINT or SIGTERM.
    UsageError, DataError, EnvironmentProblem
        As `Model.fit`.
    """
    data, options = model.data_, dict(model.config_)
    edges = getattr(model.parameters_, "epoch_edges", None)
    begun, iterations = time.perf_counter(), 0
    itself = max((row["seconds"] for row in model.history_), default=0.0)
    for observer in observers:
        observer({"event": "start", "fits": fits, "seconds_of_fit": itself})
    for n in range(fits):
        generator = np.random.Generator(np.random.PCG64([seed, n]))
        rows = np.sort(generator.integers(0, len(data.users), len(data.users)))
        options["seed"] = int(generator.integers(0, 2**63 - 1))
        other = create(model.name, **options)
        nobody, nothing = np.full(len(rows), -1, np.int64), np.full(len(data.items), -1, np.int64)
        other.fit(draw_users(data, rows), features, start=Start(nobody, nothing, epoch_edges=edges))
        iterations += max((row["iteration"] for row in other.history_), default=0)
        yield other
        seconds = time.perf_counter() - begun
        told = {"done": n + 1, "total": fits, "iterations_done": iterations, "seconds": round(seconds, 3)}
        for observer in observers:
            observer({"event": "refit", **told, "seconds_left": seconds / (n + 1) * (fits - n - 1)})


def half_band(draws: np.ndarray) -> np.ndarray:
    """Half the width of the 95 % replication band, t_{n−1} √2 s, for values of n refits (n, …).

    With s the standard deviation of the refits: the difference between two independent samples of customers,
    each as large, has the variance 2 s². The band around the value of one of them holds the value of the
    other in 95 % of the cases. A confidence interval, t_{n−1} s, would do so in 83 %.
    NaN where fewer than two refits have a value.
    """
    known = np.isfinite(draws)
    count = known.sum(axis=0)
    enough = np.maximum(count, 2)
    mean = np.where(known, draws, 0.0).sum(axis=0) / np.maximum(count, 1)
    squares = np.square(np.where(known, draws - mean, 0.0)).sum(axis=0)
    quantile = stdtrit(enough - 1.0, 0.5 + COVERAGE / 2)
    return np.where(count >= 2, quantile * np.sqrt(2.0 * squares / (enough - 1.0)), np.nan)
