"""Who is asked while a fit runs: everybody with a validation item, or a fixed sample of them.

An evaluation ranks all items for everyone it asks, so it grows with users × items, an iteration only with the
purchases. Where the data are large a sample decides between the iterates as well as everybody does: they are
compared on the same users, whose differences go the same way. The finished model is judged over everybody.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ivbpr_numba.features.alignment import values_in_a_row
from ivbpr_numba.kernels.scalar.random import SAMPLE, absorb, mix64
from ivbpr_numba.models.presets import ALL, AUTO
from ivbpr_numba.ranking import Questions, questions

if TYPE_CHECKING:
    from ivbpr_numba.datasets.dataset import Dataset
    from ivbpr_numba.features.features import Features

__all__ = ["affordable", "asked_in", "drawn", "resolve_users", "sampled", "work_of"]

SMALL = 10**9  # users × items up to which everybody is asked: about a second
LEAST = 10_000  # users that a sample has at least
# Costs, in units of one component of one item's vector while counting. They are low for a triple, by today's
# kernels, so that evaluations stay the smaller part; they never change with the machine or its load.
TRIPLE = 800  # drawing it, and its rows of users and items
FACTOR = 20  # each latent factor
VALUE = 2  # each value of the features times each visual factor and the bias


def affordable(
    n_items: int, n_triples: int, factors: int, visual_factors: int = 0, values: float = 0.0
) -> int:
    """Users whose evaluation costs as much as the triples until the next one does.

    Parameters
    ----------
    n_items : int
    n_triples : int
        Triples from one evaluation to the next.
    factors, visual_factors : int
        K and D.
    values : float
        Values other than 0 of an item's features, in the mean.
    """
    triple = _triple(factors, visual_factors, values)
    return int(n_triples * triple / (n_items * (factors + visual_factors + 1)))


def _triple(factors: int, visual_factors: int, values: float) -> float:
    """What a triple costs; see `affordable`."""
    return TRIPLE + FACTOR * factors + VALUE * values * (visual_factors + 1)


def work_of(options: dict[str, Any], data: Dataset, features: Features | None) -> float:
    """What a fit costs at most, in the units of `affordable`: its triples, and judging the finished model.

    Parameters
    ----------
    options : dict
        Resolved.
    data : Dataset
    features : Features or None
        Those that are learned from.
    """
    if "iterations" not in options:
        return 0.0
    factors, visual_factors = options["factors"], options.get("visual_factors", 0)
    values = values_in_a_row(features) if features is not None else 0.0
    triples = options["iterations"] * len(data.train.indices) * options["ensemble"]
    held_out = len(data.valid.indices) + len(data.test.indices)
    counted = held_out * len(data.items) * (factors + visual_factors + 1)
    return float(triples * _triple(factors, visual_factors, values) + counted)


def resolve_users(options: dict[str, Any], data: Dataset, features: Features | None) -> dict[str, Any]:
    """The options with `valid_users` decided: all, or a number below that of the users who can be asked.

    A function of sizes alone, so that the same data and options are learned from alike on every machine.

    Parameters
    ----------
    options : dict
        Resolved otherwise; those of a model that learns nothing lack it and stay as they are.
    data : Dataset
    features : Features or None
        Those that are learned from.
    """
    if "valid_users" not in options:
        return options
    wanted, n_users, n_items = options["valid_users"], len(data.valid.indices), len(data.items)
    if wanted == AUTO:
        every = options["eval_every"] or options["iterations"]
        wanted = ALL
        if n_users * n_items > SMALL:
            triples = every * len(data.train.indices)
            values = values_in_a_row(features) if features is not None else 0.0
            factors, visual_factors = options["factors"], options.get("visual_factors", 0)
            within = affordable(n_items, triples, factors, visual_factors, values)
            wanted = max(LEAST, within)
    return {**options, "valid_users": ALL if wanted == ALL or wanted >= n_users else wanted}


def asked_in(options: dict[str, Any], data: Dataset) -> dict[str, int]:
    """How many are asked in an evaluation, and of how many; empty for a model that learns nothing."""
    if "valid_users" not in options:
        return {}
    everybody = len(data.valid.indices)
    return {
        "valid_users": everybody if options["valid_users"] == ALL else options["valid_users"],
        "valid_users_of": everybody,
    }


def sampled(data: Dataset, options: dict[str, Any]) -> Questions:
    """The validation questions of a fit, in the order of the users (data/FORMAT.md, section 6).

    Parameters
    ----------
    data : Dataset
    options : dict
        As `resolve_users` returns them.
    """
    asked = questions(data, "valid")
    if options["valid_users"] == ALL:
        return asked
    return asked.part(drawn(asked.users, options["valid_users"], options["seed"]))


def drawn(users: np.ndarray, wanted: int, seed: int) -> np.ndarray:
    """Positions of `wanted` of the user rows, ascending: those of the least mix64(seed, SAMPLE, u)."""
    with np.errstate(over="ignore"):
        keys = absorb(np.uint64(mix64(seed, SAMPLE)), users.astype(np.uint64))
    return np.sort(np.argsort(keys, kind="stable")[:wanted])
