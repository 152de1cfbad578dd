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
from ivbpr_numba.arrays import stored_bits
from ivbpr_numba.features.inputs import DenseInput, FeatureInput, sparse_input
from ivbpr_numba.features.layout import SPARSE_BELOW
from ivbpr_numba.ids import Ids
from ivbpr_numba.kernels.arguments import Csr
from ivbpr_numba.store.sparse import csr_of, csr_rows, stacked

if TYPE_CHECKING:
    from ivbpr_numba.features.features import Features
    from ivbpr_numba.parameters import VisualParameters

__all__ = [
    "Scaling",
    "align",
    "fit_scaling",
    "kept_scaling",
    "learned_as",
    "project",
    "project_style",
]

LOOKED_AT = 2048  # rows that tell probabilities from one-hots
IN_MEMORY_BYTES = 4 << 30  # aligned rows up to this size are copied; larger ones stay mapped
# Share of values that are not zero from which on attributes are dense without a closer look. Below it
# one-hots are faster by slots, and other values where they are as few as in a file that is laid out sparse.
SLOTS_BELOW = 0.6
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

    @property
    def squared_length(self) -> float:
        """Mean ‖f_i‖² over the items."""
        centre = (self.mean.astype(np.float64) - self.shift) * self.multiplier
        return self.variance + float(np.square(centre).sum())


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

    Attributes of which few values are not zero are computed with sparse, whatever the layout of their file.

    Raises
    ------
    DataError
        When an item has no features, or stored rows don't match their digest.
    """
    rows = features.rows_of_all(items)
    n, columns = len(rows), features.shape[1]
    if features.kind == "attributes":
        csr = csr_rows(features.csr(), rows) if features.sparse else _few_values(features, rows)
        if csr is not None and len(csr.indices) < SLOTS_BELOW * n * columns:
            source = sparse_input(csr, features.groups, columns, float(features.scale))
            if len(source.stored.columns) < SPARSE_BELOW * n * columns:
                return source
    row_bytes = max(1, columns * features.dtype.itemsize)
    if features.sparse or n * row_bytes <= IN_MEMORY_BYTES:
        return DenseInput(stored_bits(features.take(rows)), np.arange(n), float(features.scale))
    for part in _parts(n, row_bytes):
        features.take(rows[part])  # checks the digests of what will be mapped
    return DenseInput(stored_bits(np.asarray(features.matrix)), rows, float(features.scale))


def _parts(n: int, row_bytes: int) -> list[slice]:
    """Runs of rows of some 64 MiB."""
    step = max(1, (64 << 20) // row_bytes)
    return [slice(start, start + step) for start in range(0, n, step)]


def _few_values(features: Features, rows: np.ndarray) -> Csr | None:
    """What is not zero of rows of a dense layout, or None as soon as it is too much to be called sparse."""
    columns, kept = features.shape[1], 0
    found = []
    for part in _parts(len(rows), max(1, columns * features.dtype.itemsize)):
        found.append(csr_of(features.take(rows[part])))
        kept += len(found[-1].indices)
        if kept >= SLOTS_BELOW * len(rows) * columns:
            return None
    return stacked(found)


def fit_scaling(source: FeatureInput, how: str, kernels: backends.Kernels | None = None) -> Scaling:
    """Fit ``none | max | standard | idf`` on the items, with the CPU's kernels unless others are given."""
    kernels = kernels or backends.kernels()
    n, columns = source.n_items, source.columns
    sums, squares, largest, positive = source.statistics(kernels)
    mean, variance = _moments(sums, squares, source)
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


def kept_scaling(source: FeatureInput, kept: Scaling, kernels: backends.Kernels | None = None) -> Scaling:
    """Shift and multiplier of an earlier fit, with mean and variances of these items."""
    sums, squares, _, _ = source.statistics(kernels or backends.kernels())
    mean, variance = _moments(sums, squares, source)
    spread = kept.multiplier.astype(np.float64) ** 2 * variance
    return Scaling(kept.shift, kept.multiplier, mean.astype(np.float32), spread)


def _moments(sums: np.ndarray, squares: np.ndarray, source: FeatureInput) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of the values of each column, (F,) float64."""
    mean = sums / source.n_items * source.scale
    return mean, np.maximum(squares / source.n_items * source.scale**2 - mean**2, 0.0)


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
    # The shift is one constant per row; summed by column in float64 without BLAS.
    offsets = -(stacked * (multiplier.astype(np.float64) * shift)).sum(axis=1)
    scaled = stacked * (multiplier.astype(np.float64) * source.scale)
    return source.projected(scaled, offsets, kernels or backends.kernels())


def project_style(
    parameters: VisualParameters,
    source: FeatureInput,
    scaling: Scaling,
    kernels: backends.Kernels | None = None,
) -> np.ndarray:
    """What the features give to the score of every item: [E f_i, β · f_i], (I, D + 1) float32."""
    weights = [parameters.embedding, parameters.visual_bias]
    return project(source, scaling.shift, scaling.multiplier, weights, kernels)
