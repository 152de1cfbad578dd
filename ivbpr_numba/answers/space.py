"""The items as points in the space of their attributes, as rankings by attributes need them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ivbpr_numba.features.inputs import FeatureInput, Lengths, SparseInput

__all__ = ["Space"]


@dataclass(frozen=True)
class Space:
    """Values v of all items, stored times scale; they are measured once, when that is first asked for.

    Attributes
    ----------
    source : FeatureInput
    """

    source: FeatureInput

    def products(self, weights: np.ndarray) -> np.ndarray:
        """Σ_k weights_k v_ik of every item, (F,) to (I,) float64."""
        return self.source.weighted(weights)

    @property
    def sums(self) -> np.ndarray:
        """Σ_k v_ik, (I,) float64."""
        return self._lengths[0]

    @property
    def norms(self) -> np.ndarray:
        """‖v_i‖, (I,) float64."""
        return self._lengths[1]

    @property
    def lowest(self) -> float:
        """The lowest of all values, 0 at most."""
        return self._lengths[2]

    @cached_property
    def _lengths(self) -> Lengths:
        return self.source.lengths()

    @property
    def slack(self) -> float:
        """How much `products` may be wrong, as a share of Σ_k |weights_k v_ik|."""
        # Dense rows are summed in float32: at most one rounding a column, and two of the factors.
        return 0.0 if isinstance(self.source, SparseInput) else (self.source.columns + 4) * 2.0**-24
