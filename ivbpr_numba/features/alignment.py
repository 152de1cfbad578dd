"""Features as the visual models consume them: aligned with the items, scaled, never converted.

A feature value is v = stored · scale; a model sees f = (v − shift) · multiplier (specification 2.7).
Shifts cancel in every difference, so training needs only the product scale · multiplier.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ivbpr_numba.arrays import padded, stored_bits
from ivbpr_numba.errors import DataError, UsageError
from ivbpr_numba.ids import Ids

if TYPE_CHECKING:
    from ivbpr_numba.features.features import Features, Group
    from ivbpr_numba.parameters import VisualParameters

__all__ = [
    "FeatureInput",
    "FeatureRecord",
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
class FeatureRecord:
    """What a model remembers of its features: enough to find them again and to name their columns.

    Attributes
    ----------
    kind : str
        ``dense`` or ``attributes``.
    names : list of str, F
    groups : list of Group
    sha256 : str
        Payload digest of the feature file.
    path : str
        Absolute; empty for features that were only in memory.
    scaling : Scaling
    relative_path, folder : str
        Path from the folder of the model file, and that folder; empty until a file was read.
    """

    kind: str
    names: list[str]
    groups: list[Group]
    sha256: str
    path: str
    scaling: Scaling
    relative_path: str = ""
    folder: str = ""

    @classmethod
    def of(cls, features: Features, scaling: Scaling) -> FeatureRecord:
        """Remember these."""
        path = os.path.realpath(features.path) if features.path else ""
        return cls(
            features.kind, list(features.names), list(features.groups), features.payload_sha256, path, scaling
        )

    def find(self, given: Features | None = None) -> Features:
        """Return `given`, or the features at the recorded place, once their digest agrees.

        Raises
        ------
        UsageError
            Nothing is there any more.
        DataError
            Other features than those of the fit.
        """
        found = [given] if given is not None else self._recorded()
        for features in found:
            if features.payload_sha256 == self.sha256:
                return features
        if found:
            raise DataError(
                f"The features {found[0].path or '(in memory)'} ({found[0].payload_sha256[:12]}…) are not "
                f"those of the fit, {self.path or '(in memory)'} ({self.sha256[:12]}…).",
                "Name the features of the fit with --features, or fit again.",
            )
        raise UsageError(
            f"The model's features are not at {self.path or 'any recorded place'}.",
            "Name their file with --features.",
        )

    def refuse_changed(self) -> None:
        """Raise DataError when other features than those of the fit are at the recorded places."""
        if self._recorded():
            self.find()

    def _recorded(self) -> list[Features]:
        """Features at the recorded path, and at the same path from where the model file is now."""
        from ivbpr_numba.features.features import Features

        places = [self.path]
        if self.folder and self.path:
            places += [os.path.join(self.folder, self.relative_path)]
            places += [os.path.join(self.folder, os.path.basename(self.path))]
        return [Features.read(place) for place in dict.fromkeys(places) if place and os.path.isfile(place)]


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

    λ_visual acts in the columns in which the items of a triple differ: of one-hot attributes these are few,
    of a network's probabilities, never quite 0 or 1, all. What is right for the ones is far too much
    for the others. Attributes are probabilities where more than half of the values are neither 0 nor 1.
    """
    if features.kind != "attributes":
        return features.kind
    rows = np.unique(np.linspace(0, len(features) - 1, LOOKED_AT).astype(np.int64))
    values = features.values(rows)
    between = np.count_nonzero((values > 0) & (values < 1))
    return "probabilities" if 2 * between > values.size else "attributes"


def align(features: Features, items: Ids) -> FeatureInput:
    """Find the items' rows and check their digests.

    Raises
    ------
    DataError
        When an item has no features, or stored rows don't match their digest.
    """
    rows = features.rows_of_all(items)
    row_bytes = max(1, features.matrix.shape[1] * features.matrix.dtype.itemsize)
    if len(rows) * row_bytes <= IN_MEMORY_BYTES:
        return FeatureInput(stored_bits(features.take(rows)), np.arange(len(rows)), float(features.scale))
    step = max(1, (64 << 20) // row_bytes)
    for start in range(0, len(rows), step):
        features.take(rows[start : start + step])  # checks the digests of what will be mapped
    return FeatureInput(stored_bits(np.asarray(features.matrix)), rows, float(features.scale))


def fit_scaling(source: FeatureInput, how: str) -> Scaling:
    """Fit ``none | max | standard | idf`` on the items."""
    from ivbpr_numba.kernels.cpu.features import column_statistics

    n, columns = len(source.rows), source.matrix.shape[1]
    sums, squares = np.zeros(columns), np.zeros(columns)
    largest, positive = np.zeros(columns, np.float32), np.zeros(columns, np.int64)
    column_statistics(source.matrix, source.rows, sums, squares, largest, positive)
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
    source: FeatureInput, shift: np.ndarray, multiplier: np.ndarray, weights: Sequence[Any]
) -> np.ndarray:
    """weights · f_i for every item.

    Parameters
    ----------
    source : FeatureInput
    shift, multiplier : (F,) float32
    weights : sequence of (…, F) arrays, stacked to (R, F)

    Returns
    -------
    (I, R) float32
    """
    from ivbpr_numba.kernels.cpu.features import project_items

    stacked = np.concatenate([np.atleast_2d(w) for w in weights]).astype(np.float64)
    height, columns = stacked.shape
    scaled = np.zeros((padded(height, 4), padded(columns)), np.float32)
    scaled[:height, :columns] = stacked * (multiplier.astype(np.float64) * source.scale)
    offsets = np.zeros(len(scaled), np.float32)
    # The shift is one constant per row; summed by column in float64 without BLAS.
    offsets[:height] = -(stacked * (multiplier.astype(np.float64) * shift)).sum(axis=1)
    out = np.empty((len(source.rows), len(scaled)), np.float32)
    project_items(source.matrix, source.rows, scaled, offsets, out)
    return out[:, :height]


def project_style(parameters: VisualParameters, source: FeatureInput, scaling: Scaling) -> np.ndarray:
    """What the features give to the score of every item: [E f_i, β · f_i], (I, D + 1) float32."""
    weights = [parameters.embedding, parameters.visual_bias]
    return project(source, scaling.shift, scaling.multiplier, weights)
