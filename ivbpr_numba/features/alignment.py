"""Features as the visual models consume them: aligned with the items, scaled, never converted.

A feature value is v = stored · scale; a model sees f = (v − shift) · multiplier (specification 2.7).
Shifts cancel in every difference, so training needs only the product scale · multiplier.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ivbpr_numba import backends
from ivbpr_numba.arrays import padded, stored_bits
from ivbpr_numba.ids import Ids

if TYPE_CHECKING:
    from ivbpr_numba.features.features import Features
    from ivbpr_numba.parameters import VisualParameters

__all__ = [
    "FeatureInput",
    "Scaling",
    "align",
    "fit_scaling",
    "learned_as",
    "project",
    "project_style",
]

LOOKED_AT = 2048  # rows that tell probabilities from one-hots
IN_MEMORY_BYTES = 4 << 30  # aligned rows up to this size are copied; larger ones stay mapped
TARGET_NORM = 10.0  # mean ‖f‖² of standardised features, as for ten one-hot groups


@dataclass(frozen=True)
class Scaling:
    """f = (v − shift) · multiplier per column.

    Attributes
    ----------
    shift, multiplier : (F,) float32
    mean : (F,) float32
        Mean of the values v over the items.
    variances : (F,) float64
        Var(f_k) over the items, after scaling; only a fit knows them.
    """

    shift: np.ndarray
    multiplier: np.ndarray
    mean: np.ndarray
    variances: np.ndarray | None = None

    @property
    def variance(self) -> float:
        """Σ_k Var(f_k)."""
        if self.variances is None:
            raise ValueError("the scaling was read from a file, which has no variances")
        return float(self.variances.sum())


@dataclass(frozen=True)
class FeatureInput:
    """Stored rows of a dataset's items.

    Attributes
    ----------
    matrix : (M, F) uint16 (float16 bits), uint8 or float32
        A read-only view, also of an array that may be written: to numba that is another type, and every
        kernel would be compiled once more.
    rows : (I,) int64
        Row of each item.
    scale : float
        v = stored · scale.
    """

    matrix: np.ndarray
    rows: np.ndarray
    scale: float

    def __post_init__(self) -> None:
        matrix = self.matrix.view()
        matrix.flags.writeable = False
        object.__setattr__(self, "matrix", matrix)


def learned_as(features: Features) -> str:
    """How the defaults see features: ``dense``, ``attributes`` or ``probabilities``.

    Probabilities differ less from item to item than one-hots do, and the less, the less sure the network is;
    their default scaling brings them to the same spread. Attributes are probabilities where more than half of
    the values are neither 0 nor 1.
    """
    if features.kind != "attributes":
        return features.kind
    values = features.values(_looked_at(features))
    between = np.count_nonzero((values > 0) & (values < 1))
    return "probabilities" if 2 * between > values.size else "attributes"


def values_in_a_row(features: Features) -> float:
    """How many values of an item are not 0, in the mean of the rows that `learned_as` looks at."""
    values = features.values(_looked_at(features))
    return float(np.count_nonzero(values) / len(values))


def _looked_at(features: Features) -> np.ndarray:
    return np.unique(np.linspace(0, len(features) - 1, LOOKED_AT).astype(np.int64))


def align(features: Features, items: Ids) -> FeatureInput:
    """Find the items' rows and check their digests.

    Raises
    ------
    DataError
        When an item has no features, or stored rows don't match their digest.
    """
    rows = features.rows_of_all(items)
    row_bytes = max(1, features.shape[1] * features.dtype.itemsize)
    if features.sparse or len(rows) * row_bytes <= IN_MEMORY_BYTES:
        return FeatureInput(stored_bits(features.take(rows)), np.arange(len(rows)), float(features.scale))
    step = max(1, (64 << 20) // row_bytes)
    for start in range(0, len(rows), step):
        features.take(rows[start : start + step])  # checks the digests of what will be mapped
    return FeatureInput(stored_bits(np.asarray(features.matrix)), rows, float(features.scale))


def fit_scaling(source: FeatureInput, how: str, kernels: backends.Kernels | None = None) -> Scaling:
    """Fit ``none | max | standard | idf`` on the items, with the CPU's kernels unless others are given."""
    kernels = kernels or backends.kernels()
    n, columns = len(source.rows), source.matrix.shape[1]
    sums, squares = np.zeros(columns), np.zeros(columns)
    largest, positive = np.zeros(columns, np.float32), np.zeros(columns, np.int64)
    kernels.column_statistics(source.matrix, source.rows, sums, squares, largest, positive)
    mean = sums / n * source.scale
    variance = np.maximum(squares / n * source.scale**2 - mean**2, 0.0)
    peak = largest * source.scale
    shift, multiplier = np.zeros(columns), np.ones(columns)
    if how == "max":
        top = float(peak.max(initial=0.0))
        multiplier[:] = 1.0 / top if top > 0 else 0.0
    elif how == "standard":
        varying = variance > 1e-12 * np.maximum(peak.astype(np.float64), 1e-30) ** 2
        target = np.sqrt(min(1.0, TARGET_NORM / max(1, int(varying.sum()))))
        shift = mean
        multiplier = np.divide(target, np.sqrt(variance), out=np.zeros(columns), where=varying)
    elif how == "idf":
        multiplier = np.sqrt(np.maximum(np.log(n / (1.0 + positive)), 0.0))
    elif how != "none":
        raise ValueError(how)
    return Scaling(
        shift.astype(np.float32),
        multiplier.astype(np.float32),
        mean.astype(np.float32),
        multiplier**2 * variance,
    )


def project(
    source: FeatureInput,
    shift: np.ndarray,
    multiplier: np.ndarray,
    weights: Sequence[Any],
    kernels: backends.Kernels | None = None,
) -> np.ndarray:
    """weights · f_i for every item.

    Parameters
    ----------
    source : FeatureInput
    shift, multiplier : (F,) float32
    weights : sequence of (…, F) arrays, stacked to (R, F)
    kernels : Kernels, optional
        Those of the CPU by default.

    Returns
    -------
    (I, R) float32
    """
    stacked = np.concatenate([np.atleast_2d(w) for w in weights]).astype(np.float64)
    height, columns = stacked.shape
    scaled = np.zeros((padded(height, 4), padded(columns)), np.float32)
    scaled[:height, :columns] = stacked * (multiplier.astype(np.float64) * source.scale)
    offsets = np.zeros(len(scaled), np.float32)
    # The shift is one constant per row; summed by column in float64 without BLAS.
    offsets[:height] = -(stacked * (multiplier.astype(np.float64) * shift)).sum(axis=1)
    out = np.empty((len(source.rows), len(scaled)), np.float32)
    (kernels or backends.kernels()).project_items(source.matrix, source.rows, scaled, offsets, out)
    return out[:, :height]


def project_style(
    parameters: VisualParameters,
    source: FeatureInput,
    scaling: Scaling,
    kernels: backends.Kernels | None = None,
) -> np.ndarray:
    """What the features give to the score of every item: [E f_i, β · f_i], (I, D + 1) float32."""
    weights = [parameters.embedding, parameters.visual_bias]
    return project(source, scaling.shift, scaling.multiplier, weights, kernels)
