"""The learned arrays of each model, named as in the model file (all float32)."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

__all__ = ["FactorParameters", "Parameters", "PopularityParameters", "VisualParameters"]


@dataclass
class Parameters:
    """Base: a bag of named arrays."""

    def arrays(self) -> dict[str, np.ndarray]:
        """Arrays by name, in the order of declaration."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    def count(self) -> int:
        """Number of learned numbers."""
        return sum(a.size for a in self.arrays().values())


@dataclass
class PopularityParameters(Parameters):
    """POP: the number of training pairs of each item.

    Attributes
    ----------
    item_bias : (I,) float32
    """

    item_bias: np.ndarray


@dataclass
class FactorParameters(PopularityParameters):
    """MM-MF and BPR-MF: β_i, γ_u, γ_i.

    Attributes
    ----------
    user_factors : (U, K) float32
    item_factors : (I, K) float32
    """

    user_factors: np.ndarray
    item_factors: np.ndarray


@dataclass
class VisualParameters(FactorParameters):
    """VBPR and I-VBPR: also θ_u, E and β of equation (1).

    Attributes
    ----------
    user_visual : (U, D) float32
    embedding : (D, F) float32
    visual_bias : (F,) float32
    """

    user_visual: np.ndarray
    embedding: np.ndarray
    visual_bias: np.ndarray
