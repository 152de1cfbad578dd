"""The items as points in the space of their attributes, as rankings by attributes need them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ivbpr_numba.features.inputs import FeatureInput, SparseInput

__all__ = ["Space"]


@dataclass(frozen=True)
class Space:
    """Values v of all items (stored times scale), and what is measured of them once.

    Attributes
    ----------
    source : FeatureInput
    sums : (I,) float64
        Σ_k v_ik.
    norms : (I,) float64
        ‖v_i‖.
    lowest : float
        Of all values, 0 at most.
    """

    source: FeatureInput
    sums: np.ndarray
    norms: np.ndarray
    lowest: float

    @classmethod
    def of(cls, source: FeatureInput) -> Space:
        """Measure the items."""
        return cls(source, *source.lengths())

    def products(self, weights: np.ndarray) -> np.ndarray:
        """Σ_k weights_k v_ik of every item, (F,) to (I,) float64."""
        return self.source.weighted(weights)

    @property
    def slack(self) -> float:
        """How much `products` may be wrong, as a share of Σ_k |weights_k v_ik|."""
        # Dense rows are summed in float32: at most one rounding a column, and two of the factors.
        return 0.0 if isinstance(self.source, SparseInput) else (self.source.columns + 4) * 2.0**-24
