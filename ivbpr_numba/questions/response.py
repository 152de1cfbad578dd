"""The response of a model in time: how much users like each feature, epoch by epoch (specification 8)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ivbpr_numba import expected
from ivbpr_numba.errors import UsageError, not_fitted
from ivbpr_numba.models.epochs import epoch_of
from ivbpr_numba.parameters import TemporalParameters

if TYPE_CHECKING:
    from ivbpr_numba.datasets.dataset import Dataset
    from ivbpr_numba.features.record import FeatureRecord
    from ivbpr_numba.models.base import Model

__all__ = ["changes", "epochs_of_events", "in_time", "influence", "mean_over_epochs", "response"]


def in_time(model: Model) -> tuple[TemporalParameters, FeatureRecord]:
    """What a fitted model in time has learned, and the features it learned from.

    Raises
    ------
    UsageError
        It is not fitted, or knows no time.
    """
    expected.model(model, "trends")
    parameters = getattr(model, "parameters_", None)
    if parameters is None:
        raise not_fitted(model)
    if not isinstance(parameters, TemporalParameters) or model.features_ is None:
        raise UsageError(
            f"{model.name} knows no time, so it has no trends.", "Fit tvbpr or i-tvbpr, and ask that model."
        )
    return parameters, model.features_


def epochs_of_events(data: Dataset, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """User row and epoch of every training and validation pair."""
    parts = (data.train, data.valid)
    users = np.concatenate([part.users for part in parts])
    return users, np.concatenate([epoch_of(part.times, edges) for part in parts])


def response(model: Model, users: str = "all") -> np.ndarray:
    """Mean over users of s̃_k(u, t) = θ_u · taste[t, :, k] + common[t, k], (N, F) float64.

    Parameters
    ----------
    model : Model
        In time; see `in_time`.
    users : str
        ``all``, or those ``active`` in the epoch; an epoch in which nobody was is NaN.
    """
    parameters, record = in_time(model)
    theta = parameters.user_visual.astype(np.float64)
    taste, common = _centred(parameters, record)
    if users == "all":
        means = theta.mean(axis=0)[None]
    else:
        who, epochs = epochs_of_events(model.data_, parameters.epoch_edges)
        active = [np.unique(who[epochs == n]) for n in range(len(parameters.weight))]
        nobody = np.full(theta.shape[1], np.nan)
        means = np.stack([theta[rows].mean(axis=0) if len(rows) else nobody for rows in active])
    return (means[:, :, None] * taste).sum(axis=1) + common


def changes(responses: np.ndarray) -> np.ndarray:
    """Responses (…, N, F) minus their mean over the epochs: what is identified."""
    return responses - mean_over_epochs(responses)


def mean_over_epochs(values: np.ndarray) -> np.ndarray:
    """Mean of (…, N, F) over the epochs that have a value, (…, 1, F); NaN where none has."""
    known = np.isfinite(values)
    count = known.sum(axis=-2, keepdims=True)
    total = np.where(known, values, 0.0).sum(axis=-2, keepdims=True)
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)


def influence(parameters: TemporalParameters, record: FeatureRecord) -> np.ndarray:
    """Equation (8), T = W E on the values of the feature file, (N, F) float64.

    Without BLAS: the same bits for any number of threads.
    """
    embedding = parameters.embedding.astype(np.float64)
    product = [(row[:, None] * embedding).sum(axis=0) for row in parameters.weight.astype(np.float64)]
    return np.stack(product) * record.scaling.multiplier


def _centred(parameters: TemporalParameters, record: FeatureRecord) -> tuple[np.ndarray, np.ndarray]:
    """Taste (N, D, F) and common (N, F), float64.

    Centring within exclusive groups is linear, so it is done here, once for all users.
    """
    multiplier = record.scaling.multiplier.astype(np.float64)
    now = [parameters.at(epoch) for epoch in range(len(parameters.weight))]
    taste = np.stack([one.embedding for one in now]) * multiplier
    common = np.stack([one.visual_bias for one in now]) * multiplier
    mean = record.scaling.mean.astype(np.float64)
    for group in record.groups:
        part = slice(group.offset, group.offset + group.size)
        weight = mean[part].sum()
        if group.exclusive and weight > 0:
            for values in (taste, common):
                values[..., part] -= (values[..., part] * mean[part]).sum(axis=-1, keepdims=True) / weight
    return taste, common
