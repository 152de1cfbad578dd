"""How E and β lie in memory: by factor beside dense features, by column beside sparse ones."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ivbpr_numba import backends
from ivbpr_numba.arrays import aligned, padded
from ivbpr_numba.features.inputs import DenseInput, FeatureInput

__all__ = ["ByColumn", "ByFactor", "EmbeddingLayout", "layout_of"]


class ByFactor:
    """Rows 0 … D−1 are E, row D is β, (R, P) with zeros around them.

    Parameters
    ----------
    visual, columns : int
        D and F.
    """

    def __init__(self, visual: int, columns: int) -> None:
        self.visual, self.columns = visual, columns
        self.shape = (padded(visual + 1, 4), padded(columns))
        self.row = padded(visual + 1)  # numbers of [θ_u, 0 …], as wide as [E Δ, β · Δ, 0 …]
        self.bias_shape = (self.shape[1],)  # of one number a column

    def embedding(self, table: np.ndarray) -> np.ndarray:
        """E (…, D, F) of a table (…, R, P), a view."""
        return table[..., : self.visual, : self.columns]

    def bias(self, table: np.ndarray) -> np.ndarray:
        """β (…, F) of a table, a view."""
        return table[..., self.visual, : self.columns]

    def by_column(self, row: np.ndarray) -> np.ndarray:
        """The F numbers of a row of one number a column (…, P), a view."""
        return row[..., : self.columns]

    def scaled(self, values: np.ndarray, multiplier: np.ndarray) -> np.ndarray:
        """A table times the multiplier."""
        return np.multiply(values, multiplier, out=aligned(values.shape))

    def epoch(self, kernels: backends.Kernels) -> Callable[..., float]:
        return lambda *given: kernels.visual_epoch(*given, kernels.threads())

    def racing_epoch(self, kernels: backends.Kernels) -> Callable[..., float]:
        return kernels.visual_epoch_racing

    def temporal_epoch(self, kernels: backends.Kernels) -> Callable[..., float]:
        return lambda *given: kernels.temporal_epoch(*given, kernels.threads())


class ByColumn:
    """Row 1 + k is [E_k, β_k, 0 …], row 0 is zero: (1 + F, P), P > D + 1."""

    def __init__(self, visual: int, columns: int) -> None:
        self.visual, self.columns = visual, columns
        self.shape = (1 + columns, padded(visual + 2))
        self.row = self.shape[1]
        self.bias_shape = (1 + columns,)

    def embedding(self, table: np.ndarray) -> np.ndarray:
        return table[..., 1:, : self.visual].swapaxes(-1, -2)

    def bias(self, table: np.ndarray) -> np.ndarray:
        return table[..., 1:, self.visual]

    def by_column(self, row: np.ndarray) -> np.ndarray:
        return row[..., 1:]

    def scaled(self, values: np.ndarray, multiplier: np.ndarray) -> np.ndarray:
        return np.multiply(values, multiplier[:, None], out=aligned(values.shape))

    def epoch(self, kernels: backends.Kernels) -> Callable[..., float]:
        return kernels.sparse_epoch

    def racing_epoch(self, kernels: backends.Kernels) -> Callable[..., float]:
        return kernels.sparse_epoch_racing

    def temporal_epoch(self, kernels: backends.Kernels) -> Callable[..., float]:
        return kernels.sparse_temporal_epoch


EmbeddingLayout = ByFactor | ByColumn


def layout_of(source: FeatureInput, visual: int) -> EmbeddingLayout:
    """The layout for features, with D = `visual`."""
    kind = ByFactor if isinstance(source, DenseInput) else ByColumn
    return kind(visual, source.columns)
