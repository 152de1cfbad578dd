"""How far other customers would move what a model says: the model fitted to halves of its own.

One fit says nothing about its own uncertainty, and resampling what it says of its users, with all else as it
was learned, says little: another seed moves more. Here the customers are split at random into two halves, and
the same model, with the same options and epochs, is learned from each on its own, from another random start
and with other triples. What the two say differs by everything that the chance of customers and of fitting
does, and by nothing that they have in common. The split is repeated with other halves.

Customers drawn with replacement would give as many as the model has. But a third of them are missing and the
others stand there several times, and what regularised fits say of such samples varies too little: their
bands hold the value of independent customers in 82 to 85 of 100 cases (benchmarks/TRENDS.md). Refits that go
on from the model instead of from a random start vary less still: 58 to 63 of 100.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ivbpr_numba.datasets.drawn import draw_users
from ivbpr_numba.errors import Interrupted
from ivbpr_numba.events import Observer
from ivbpr_numba.models.registry import create
from ivbpr_numba.models.start import Start

if TYPE_CHECKING:
    from ivbpr_numba.features.features import Features
    from ivbpr_numba.models.base import Model

__all__ = ["Spread", "chance_of", "default_fits", "half_band", "refits", "why_no_fits"]

FITS = 8
MOST_PAIRS, FEWEST_USERS = 50_000, 20  # training pairs and users within which refits are made unasked
COVERAGE = 0.95


@dataclass(frozen=True)
class Spread:
    """What the bands of trends are made of.

    Attributes
    ----------
    fits : int
        Refits; 0: no bands.
    iterations : int
        Of all refits.
    seconds : float
    why_none : str
        Where there are none: why, and how to get them.
    """

    fits: int = 0
    iterations: int = 0
    seconds: float = 0.0
    why_none: str = ""

    def __str__(self) -> str:
        """In words, for notes beside a table or a figure."""
        if not self.fits:
            return f"No spread: {self.why_none}"
        return (
            f"Bands hold what as many other customers would give, in about 95 of 100 cases: from {self.fits} "
            "refits on random halves of the customers."
        )


def default_fits(model: Model) -> int:
    """Refits made where nobody says how many: 8 with 20 users or more and up to 50,000 training pairs."""
    data = model.data_
    return FITS if len(data.users) >= FEWEST_USERS and len(data.train) <= MOST_PAIRS else 0


def why_no_fits(model: Model) -> str:
    """Why `default_fits` makes none, and how to get them."""
    data = model.data_
    if len(data.users) < FEWEST_USERS:
        return f"{len(data.users)} users are too few to be split in halves."
    return f"refits on {len(data.train):,} training pairs take long; ask for 8 of them (fits=8, --fits 8)."


def refits(
    model: Model, features: Features | None, fits: int, seed: int = 0, observers: Sequence[Observer] = ()
) -> Iterator[Model]:
    """Fit a model anew to random halves of its customers; two refits after each other share nobody.

    Parameters
    ----------
    model : Model
        Fitted or loaded; one in time keeps its epochs, so that epoch t means the same in every refit.
    features : Features or None
        Those of the fit.
    fits : int
        Even.
    seed : int
        Of the halves and of the fits; refit n is a pure function of it and n.
    observers : sequence of callables
        Told ``{"event": "start", "fits", "seconds_of_fit"}``, what `model` itself took, before the first, and
        ``{"event": "refit", "done", "total", "iterations_done", "seconds", "seconds_left"}`` after each.

    Yields
    ------
    Model
        Its users are one half, its items those of `model`.

    Raises
    ------
    Interrupted
        After SIGINT or SIGTERM.
    UsageError, DataError, EnvironmentProblem
        As `Model.fit`.
    """
    data, options = model.data_, dict(model.config_)
    edges = getattr(model.parameters_, "epoch_edges", None)
    itself = max((row["seconds"] for row in model.history_), default=0.0)
    for observer in observers:
        observer({"event": "start", "fits": fits, "seconds_of_fit": itself})
    begun, iterations = time.perf_counter(), 0
    for n in range(fits):
        order = _generator(seed, n // 2).permutation(len(data.users))
        middle = len(order) // 2
        rows = np.sort(order[middle:] if n % 2 else order[:middle])
        options["seed"] = int(_generator(seed, n // 2, 1 + n % 2).integers(0, 2**63 - 1))
        other = create(model.name, **options)
        try:
            other.fit(draw_users(data, rows), features, start=Start(epoch_edges=edges))
        except Interrupted as stop:
            what = f"Interrupted in refit {n + 1} of {fits}; nothing was written."
            raise Interrupted(what, "", stop.exit_code - 128, None) from stop
        iterations += max((row["iteration"] for row in other.history_), default=0)
        yield other
        seconds = time.perf_counter() - begun
        told = {"done": n + 1, "total": fits, "iterations_done": iterations, "seconds": round(seconds, 3)}
        for observer in observers:
            observer({"event": "refit", **told, "seconds_left": seconds / (n + 1) * (fits - n - 1)})


def half_band(draws: np.ndarray) -> np.ndarray:
    """Half the width of a band, t_m · √(Σ d²/m), for values (2 m, …) of `refits`.

    d is the difference between the two halves of one split, t_m the 97.5 % quantile of Student's
    distribution with m degrees of freedom. Two samples of customers, as large as a half, differ by less in
    95 of 100 cases; two as large as the whole, by less still. How much less is not assumed: with regularised
    fits it is not the 1/√2 of a mean (on real purchases 1/1.1, benchmarks/TRENDS.md).
    NaN where no split has a value in both halves.
    """
    from scipy.special import stdtrit

    squares = np.square(draws[0::2] - draws[1::2])
    known = np.isfinite(squares)
    count = known.sum(axis=0)
    some = np.maximum(count, 1)
    typical = np.sqrt(np.where(known, squares, 0.0).sum(axis=0) / some)
    return np.where(count > 0, stdtrit(some.astype(np.float64), 0.5 + COVERAGE / 2) * typical, np.nan)


def _generator(*seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(list(seed)))


def chance_of(halves: float, fits: int) -> float:
    """How likely a value is so many half bands (see `half_band`) or more from what it stands for.

    By Student's distribution, with a degree of freedom a split.
    """
    from scipy.special import stdtr, stdtrit

    splits = max(fits // 2, 1)
    return float(2 * stdtr(splits, -abs(halves) * stdtrit(splits, 0.5 + COVERAGE / 2)))
