"""The learned arrays of each model, named as in the model file (all float32)."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

__all__ = [
    "FactorParameters",
    "Parameters",
    "PopularityParameters",
    "TemporalParameters",
    "VisualParameters",
]


@dataclass
class Parameters:
    """Base: a bag of named arrays."""

    def arrays(self) -> dict[str, np.ndarray]:
        """Arrays by name, in the order of declaration."""
        found = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: array for name, array in found.items() if array is not None}

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


@dataclass
class TemporalParameters(VisualParameters):
    """TVBPR and I-TVBPR: what changes from epoch to epoch (equation 2).

    Attributes
    ----------
    epoch_edges : (N + 1,) int64
        Seconds; epoch e holds ``epoch_edges[e] <= t < epoch_edges[e + 1]``, clamped at both ends.
    weight : (N, D) float32
        w(t).
    drift : (N, D, F) float32
        ΔE(t).
    bias_weight, bias_drift : (N, F) float32
        b(t) and Δβ(t).
    item_bias_drift : (N, I) float32 or None
        β_i(t), in place of β_i (item drift, "TVBPR+").
    category_bias : (N, C) float32 or None
        β_c(t) of the sub-categories.
    category : (I,) int64 or None
        Sub-category of each item, −1 where unknown; known from the data, not learned.
    """

    epoch_edges: np.ndarray
    weight: np.ndarray
    drift: np.ndarray
    bias_weight: np.ndarray
    bias_drift: np.ndarray
    item_bias_drift: np.ndarray | None = None
    category_bias: np.ndarray | None = None
    category: np.ndarray | None = None

    def arrays(self) -> dict[str, np.ndarray]:
        """The learned arrays: all but the categories."""
        return {name: array for name, array in super().arrays().items() if name != "category"}

    def bias_at(self, epoch: int) -> np.ndarray:
        """β_i, or β_i(t) + β_c(i)(t) where item biases drift, (I,)."""
        if self.item_bias_drift is None:
            return self.item_bias
        bias = self.item_bias_drift[epoch].copy()
        if self.category_bias is not None and self.category is not None and self.category_bias.shape[1]:
            known = self.category >= 0
            bias[known] += self.category_bias[epoch][self.category[known]]
        return bias

    def at(self, epoch: int) -> VisualParameters:
        """The model of one epoch: a VBPR with E = E ⊙ w(t) + ΔE(t) and β = β ⊙ b(t) + Δβ(t)."""
        return VisualParameters(
            self.bias_at(epoch),
            self.user_factors,
            self.item_factors,
            self.user_visual,
            self.embedding * self.weight[epoch][:, None] + self.drift[epoch],
            self.visual_bias * self.bias_weight[epoch] + self.bias_drift[epoch],
        )
