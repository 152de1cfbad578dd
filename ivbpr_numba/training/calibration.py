"""Probabilities that mean what they say: one temperature a group, fitted on validation labels."""

from __future__ import annotations

import math

import numpy as np

__all__ = ["fit_temperature", "log_loss"]

COLDEST, HOTTEST = 0.05, 20.0


def log_loss(
    logits: np.ndarray,
    targets: np.ndarray,
    exclusive: bool,
    temperature: float = 1.0,
    smoothing: float = 0.0,
) -> float:
    """Mean negative log-likelihood of the known labels under ``logits / temperature``.

    Parameters
    ----------
    logits : ndarray, shape (n, C)
    targets : ndarray of int, shape (n,) if `exclusive`, else (n, C)
        Numbers of values, or 1 and 0 a tag; negative is unknown.
    exclusive : bool
        Soft-max, otherwise a sigmoid for each tag.
    temperature : float
    smoothing : float
        Share of each label that is spread evenly over the values.

    Returns
    -------
    float
        NaN without a known label.
    """
    known = targets >= 0
    if not known.any():
        return math.nan
    values = np.asarray(logits, dtype=np.float64) / temperature
    if exclusive:
        values = values[known]
        values = values - values.max(axis=1, keepdims=True)
        own = np.take_along_axis(values, targets[known, None].astype(np.int64), axis=1)[:, 0]
        own = (1 - smoothing) * own + smoothing * values.mean(axis=1)
        return float(np.mean(np.log(np.exp(values).sum(axis=1)) - own))
    wanted = np.where(targets == 1, 1 - smoothing / 2, smoothing / 2)[known]
    return float(np.mean(np.logaddexp(0.0, values[known]) - wanted * values[known]))


def fit_temperature(logits: np.ndarray, targets: np.ndarray, exclusive: bool) -> float:
    """The temperature T > 0 for which ``logits / T`` has the least log loss (Guo et al. 2017).

    The loss is convex in 1 / T, so that the one minimum is found. Of n labels the share 1 / (n + 2) is spread
    over the values, as Platt (1999) does: without a wrong answer among them the best T would be 0, and the
    probabilities would claim what so few labels can't show. Dividing the last layer's weights and bias by T
    leaves every answer as it is.

    Parameters
    ----------
    logits, targets, exclusive
        See `log_loss`.

    Returns
    -------
    float
        Between 0.05 and 20; 1 where nothing can be learned: no known label, or one exclusive value.
    """
    if not (targets >= 0).any() or (exclusive and logits.shape[1] < 2):
        return 1.0
    from scipy.optimize import minimize_scalar

    smoothing = 1 / (np.count_nonzero(targets >= 0) + 2)

    def loss(log_temperature: float) -> float:
        return log_loss(logits, targets, exclusive, math.exp(log_temperature), smoothing)

    found = minimize_scalar(loss, bounds=(math.log(COLDEST), math.log(HOTTEST)), method="bounded")
    return math.exp(float(found.x))
