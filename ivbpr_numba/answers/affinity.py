"""The affinity of a shopper to each attribute (equation 5), what clicks make of it (6, 7), and what is near.

The affinity p has a share of every attribute; N divides by the sum. The model specification, section 7, tells
how the equations are read, and why.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ivbpr_numba.answers.explaining import by_taste, sensitivities
from ivbpr_numba.answers.reasons import BECAUSE
from ivbpr_numba.errors import UsageError, did_you_mean, parameter
from ivbpr_numba.parameters import VisualParameters

if TYPE_CHECKING:
    from ivbpr_numba.answers.shoppers import Shoppers
    from ivbpr_numba.answers.space import Space
    from ivbpr_numba.answers.views import View

__all__ = [
    "METRICS",
    "NORMALISATIONS",
    "affinity",
    "affinity_of_likes",
    "boosted",
    "check_choice",
    "nearest",
    "phi",
    "reasons_of_taste",
    "shares_of",
    "taste_space",
    "toward",
]

NORMALISATIONS = ("shift", "paper", "softmax")
METRICS = ("cosine", "euclid")
NOTHING = 1e-6  # a sum that is below this share of its terms divides nothing
DIGITS = 12  # similarities that differ by less are equal but for rounding
BYTES = 32 << 20  # values held at once


def check_choice(name: str, value: object, known: tuple[str, ...]) -> None:
    """Refuse a value of the parameter `name` that is not one of `known`.

    Raises
    ------
    UsageError
    """
    if value not in known:
        hint = did_you_mean(value, known) or f"Known: {', '.join(known)}."
        raise UsageError(f"{parameter(name, value)}: there is no such choice.", hint)


def taste_space(view: View) -> Space:
    """The items by their attributes, for answers that only values of 0 and more allow.

    Raises
    ------
    UsageError
        The model knows no attributes, or some values are negative.
    """
    view.views.find_features()
    space = view.views.space
    if space.lowest < 0:
        raise UsageError(
            f"The features of {view.fitted.name} have values below 0, which are no shares.",
            f"Rank with {parameter('by', 'model')}.",
        )
    return space


def affinity(view: View, shopper: Shoppers, normalise: str = "shift", temperature: float = 1.0) -> np.ndarray:
    """Equation 5: the affinity of one shopper to every attribute, (F,) float64, summing to one.

    Parameters
    ----------
    view : View
        Of a visual model.
    shopper : Shoppers
        One.
    normalise : str
        ``shift``: (s̃ − min s̃) / Σ(s̃ − min s̃), uniform where all are equal. ``softmax``: of s̃ divided by
        `temperature`. ``paper``: as printed, (s_k + m) / Σ(s_k + m), m being the mean of β_i + γ_u · γ_i over
        all items, with α = β_u = 0.

    Raises
    ------
    UsageError
        ``paper``, and the sum that would divide is not above 0.
    """
    parameters, record = view.parameters, view.fitted.features
    assert isinstance(parameters, VisualParameters) and record is not None
    theta = shopper.visual(view)[0]
    if normalise == "paper":
        multiplier = record.scaling.multiplier.astype(np.float64)
        felt = by_taste(theta, parameters.embedding.astype(np.float64)) + parameters.visual_bias
        latent = shopper.latent(view)[0].astype(np.float64)
        constant = (latent * parameters.item_factors.mean(axis=0, dtype=np.float64)).sum()
        p = felt * multiplier + constant + parameters.item_bias.mean(dtype=np.float64)
        if p.sum() <= NOTHING * np.abs(p).sum():
            raise UsageError(
                f"Equation 5 as printed divides by {p.sum():.3g}, which is not above 0, so it means nothing "
                "here.",
                f"Use {parameter('normalise', 'shift')}.",
            )
        return np.asarray(p / p.sum())
    centred = sensitivities(parameters, record, theta).centred
    if normalise == "softmax":
        return _shared(np.exp((centred - centred.max()) / temperature))
    return _shared(centred - centred.min())


def affinity_of_likes(view: View, item_rows: np.ndarray) -> np.ndarray:
    """Of a new shopper: the mean of N(v_i) over the items he likes, uniform without any, (F,) float64."""
    assert view.fitted.features is not None
    shares = [shares_of(values) for values in (view.values(item_rows) if len(item_rows) else ())]
    known = [one for one in shares if one is not None]
    if not known:
        return _shared(np.zeros(len(view.fitted.features.names)))
    return _shared(np.sum(known, axis=0))


def shares_of(values: np.ndarray) -> np.ndarray | None:
    """N(v): an item's values (F,) divided by their sum; None where it has none."""
    total = values.sum()
    return values / total if total > 0 else None


def toward(p: np.ndarray, values: np.ndarray, amount: float, literal: bool = False) -> np.ndarray:
    """Equation 6: p ← N(p + φ N(v_i)); as printed p ← N(p + φ v_i).

    Parameters
    ----------
    p : (F,) float64
    values : (F,)
        Of the item; one without any leaves p as it is.
    amount : float
        φ; below 0 away from the item, no share below 0.
    literal : bool
        As printed.
    """
    share = values.astype(np.float64) if literal else shares_of(values)
    return p if share is None or not share.any() else _moved(p, amount * share)


def boosted(p: np.ndarray, column: int, amount: float) -> np.ndarray:
    """Equation 7: p ← N(p + φ' h(k)); below 0 less of attribute k, its share not below 0."""
    step = np.zeros(len(p))
    step[column] = amount
    return _moved(p, step)


def phi(amount: float, n_features: int) -> float:
    """φ of equation 6 and φ' of equation 7: `amount` in mean shares 1/F.

    A fixed number would drown an affinity to hundreds of attributes, whose shares are small.
    """
    return amount / n_features


def _moved(p: np.ndarray, step: np.ndarray) -> np.ndarray:
    # Less ends at 0; a share that equation 5 as printed has made negative stays what it is.
    return _shared(np.where(step < 0, np.maximum(p + step, np.minimum(p, 0.0)), p + step))


def _shared(p: np.ndarray) -> np.ndarray:
    """N: divided by the sum; uniform where nothing is left."""
    total = p.sum()
    return p / total if total > 0 else np.full(len(p), 1 / len(p))


def nearest(
    view: View, p: np.ndarray, n: int, owned: np.ndarray, allowed: np.ndarray, metric: str = "cosine"
) -> tuple[np.ndarray, np.ndarray]:
    """The items nearest to an affinity, exactly: the most similar first, of equal ones the smaller row.

    Parameters
    ----------
    view : View
    p : (F,) float64
    n : int
        At most so many.
    owned : item rows
        To be left out.
    allowed : (I,) bool
    metric : str
        ``cosine``, or ``euclid``: minus the distance of p and N(v_i).

    Returns
    -------
    rows, similarities : (m,) int64 and float64
        Items without any attribute are never among them.
    """
    space = taste_space(view)
    free = allowed & (space.sums > 0)
    free[owned] = False
    rows = np.flatnonzero(free)
    n = min(n, len(rows))
    if not n:
        return rows[:0], np.zeros(0)
    products, slack = space.products(p)[rows], space.slack
    if slack:  # too coarse to tell equal items: only those that may be among the best are summed again
        room = slack * np.abs(products)
        least = _similar(space, p, rows, products - room, metric)
        most = _similar(space, p, rows, products + room, metric)
        rows = rows[most >= np.partition(least, len(least) - n)[len(least) - n]]
        products = _products_again(view, p, rows)
    found = np.round(_similar(space, p, rows, products, metric), DIGITS)
    last = np.partition(found, len(found) - n)[len(found) - n]
    above, equal = np.flatnonzero(found > last), np.flatnonzero(found == last)
    best = np.concatenate([above, equal[: n - len(above)]])
    best = best[np.lexsort((best, -found[best]))]
    similarity = found[best] if metric == "cosine" else -np.sqrt(np.maximum(-found[best], 0.0))
    return rows[best], similarity + 0.0


def _similar(space: Space, p: np.ndarray, rows: np.ndarray, products: np.ndarray, metric: str) -> np.ndarray:
    """What ranks: the cosine, or minus the squared distance."""
    norms = space.norms[rows]
    if metric == "cosine":
        return np.asarray(products / (norms * np.sqrt(np.square(p).sum())))
    sums = space.sums[rows]
    return np.asarray(2 * products / sums - np.square(norms / sums) - np.square(p).sum())


def _products_again(view: View, p: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Σ_k p_k v_ik in float64."""
    step = max(1, BYTES // (8 * len(p)))
    parts = [rows[start : start + step] for start in range(0, len(rows), step)]
    return np.concatenate([(view.values(part) * p).sum(axis=1) for part in parts])


def reasons_of_taste(
    view: View, p: np.ndarray, item_rows: np.ndarray, asked: frozenset[int]
) -> list[list[dict[str, Any]]]:
    """The attributes that bring each item nearest to p: their parts of the cosine, the largest first.

    Parameters
    ----------
    view : View
    p : (F,) float64
    item_rows : item rows
    asked : columns
        What the shopper asked for more of: these have the kind ``boost``.

    Returns
    -------
    list of list of dict
        ``term contribution``, at most `BECAUSE`, and ``kind`` of what was asked for.
    """
    if not len(item_rows):
        return []
    assert view.fitted.features is not None
    names, norms = view.fitted.features.names, view.views.space.norms[item_rows]
    parts = view.values(item_rows) * p / (norms * np.sqrt(np.square(p).sum()))[:, None]
    found = []
    for row in parts:
        order = np.argsort(-row, kind="stable")[:BECAUSE]
        found.append([
            {"term": names[k], "contribution": float(row[k])} | ({"kind": "boost"} if k in asked else {})
            for k in order.tolist() if row[k] > 0
        ])  # fmt: skip
    return found
