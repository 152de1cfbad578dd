"""Parameters for data that grew: new and touched rows at their optimum, everything else as it was learned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ivbpr_numba.answers.folding import Folding
from ivbpr_numba.models.item_triples import TRIPLES, ItemTriples
from ivbpr_numba.models.start import OF_ITEMS, OF_USERS
from ivbpr_numba.parameters import FactorParameters, Parameters, TemporalParameters, VisualParameters
from ivbpr_numba.ranking import ItemSide, TemporalScorer, VectorScorer, scorer_of

if TYPE_CHECKING:
    from ivbpr_numba.datasets.dataset import Dataset
    from ivbpr_numba.datasets.growing import Growth

__all__ = ["Grower", "Moved", "moved_rows", "spread"]

BLOCK = 64  # items whose triples are in memory together


@dataclass(frozen=True)
class Moved:
    """Rows that are solved for: users (m,) and items (n,) int64, ascending."""

    users: np.ndarray
    items: np.ndarray


def moved_rows(data: Dataset, growth: Growth) -> Moved:
    """The users and items of the new training pairs; others who are new have nothing to learn from."""
    pairs = np.flatnonzero(growth.added)
    return Moved(
        np.unique(data.train.users[pairs]).astype(np.int64),
        np.unique(data.train.indices[pairs]).astype(np.int64),
    )


def spread(parameters: Parameters, growth: Growth, category: np.ndarray | None) -> Parameters:
    """The parameters with every row where its id is now; rows that are new are 0."""
    found = {}
    for name, array in parameters.arrays().items():
        if name in OF_USERS:
            rows, axis = growth.users, 0
        elif name in OF_ITEMS:
            rows, axis = growth.items, OF_ITEMS[name]
        else:
            found[name] = array
            continue
        taken = np.take(array, np.maximum(rows, 0), axis=axis)
        new = [slice(None)] * taken.ndim
        new[axis] = rows < 0  # type: ignore[call-overload]
        taken[tuple(new)] = 0
        found[name] = taken
    if isinstance(parameters, TemporalParameters):
        return replace(parameters, **found, category=category)
    return replace(parameters, **found)


class Grower:
    """Solves for rows of users and items of a model, all others fixed.

    Each is a step of block coordinate ascent on what the fit maximises (model specification 2.1), and exact:
    a user's vector as in `answers.folding`; an item's β_i and γ_i over the triples in which it is the
    positive and those in which it is the negative.

    Parameters
    ----------
    parameters : FactorParameters
        For the rows of `data`; their arrays of users and items are changed in place.
    config : dict
    data : Dataset
    style : (N, I, D + 1) float32 or None
        [θ_i, β · f_i] of every epoch and item, of a model with features.
    """

    def __init__(
        self, parameters: FactorParameters, config: dict[str, Any], data: Dataset, style: np.ndarray | None
    ) -> None:
        self.parameters, self.config, self.data, self.style = parameters, config, data, style
        self.folding = Folding(config, parameters, data.train.indices, data.train_counts, TRIPLES)
        scorer = self._scorer()
        self.epochs = np.zeros(len(data.train), np.int64)  # of every training pair
        if isinstance(scorer, TemporalScorer):
            self.epochs = scorer.epochs(data.train.times)

    def move(self, rows: Moved) -> None:
        """Put users, then items at their optimum; a second time gains nothing (benchmarks/UPDATE.md)."""
        self.move_users(rows.users)
        self.move_items(rows.items)

    def _scorer(self) -> VectorScorer | TemporalScorer:
        style = None if self.style is None else self.style.__getitem__
        return scorer_of(self.parameters, len(self.data.users), style)

    def _sides(self) -> tuple[np.ndarray, list[ItemSide]]:
        """User vectors, and the items of every epoch, as they are now."""
        scorer = self._scorer()
        if isinstance(scorer, VectorScorer):
            return scorer.user_vectors, [scorer.items]
        moments = [scorer.make(epoch) for epoch in range(len(scorer.edges) - 1)]
        return moments[0].user_vectors, [one.items for one in moments]

    def move_users(self, rows: np.ndarray) -> None:
        """Put [γ_u, θ_u] of some users at the optimum of their own objective."""
        train, k = self.data.train, self.parameters.user_factors.shape[1]
        sizes = np.diff(train.indptr)[rows]
        indptr = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        own = np.arange(indptr[-1]) + np.repeat(train.indptr[:-1][rows] - indptr[:-1], sizes)
        vectors = self.folding.users(self._sides()[1], (indptr, train.indices[own]), self.epochs[own])
        self.parameters.user_factors[rows] = vectors[:, :k]
        if isinstance(self.parameters, VisualParameters):
            self.parameters.user_visual[rows] = vectors[:, k:]

    def move_items(self, rows: np.ndarray) -> None:
        """Put β_i and γ_i of some items, which have a training pair, at their optimum."""
        users, sides = self._sides()
        drawn = ItemTriples.of(self.data.train, len(self.data.items), self.config)
        k = self.parameters.item_factors.shape[1]
        found = np.zeros((len(rows), k + 1))
        for begin in range(0, len(rows), BLOCK):
            own = rows[begin : begin + BLOCK]
            x, c = np.zeros((len(own), TRIPLES, k + 1)), np.zeros((len(own), TRIPLES))
            decay = np.zeros((len(own), k + 1))
            for n, row in enumerate(own.tolist()):
                pairs, others, positive = drawn.draw(row)
                self._fill(row, pairs, others, np.where(positive, 1.0, -1.0), users, sides, x[n], c[n])
                # λ of γ of a negative is a tenth.
                decay[n, :k] = self.folding.lambda_factors * (0.1 + 0.9 * positive.mean())
                decay[n, k] = self.config["lambda_bias"]
            places = np.arange(len(own) + 1, dtype=np.int64) * TRIPLES
            found[begin : begin + BLOCK] = self.folding.solved(
                places, x.reshape(-1, k + 1), c.reshape(-1), decay
            )
        self.parameters.item_factors[rows] = found[:, :k]
        own_bias = self._own_bias()
        own_bias[..., rows] = found[:, k]

    def _fill(
        self,
        row: int,
        pairs: np.ndarray,
        others: np.ndarray,
        signs: np.ndarray,
        users: np.ndarray,
        sides: Sequence[ItemSide],
        x: np.ndarray,
        c: np.ndarray,
    ) -> None:
        """x and c of every triple, x̂ = c + x · [γ_i, β_i]; without another item both stay 0."""
        k, own_bias = x.shape[1] - 1, self._own_bias()
        epochs = self.epochs[pairs]
        for epoch in np.unique(epochs).tolist():
            at = np.flatnonzero((epochs == epoch) & (others >= 0))
            vectors, bias = sides[epoch].rows
            z = users[self.data.train.users[pairs[at]]].astype(np.float64)
            of_other = bias[others[at]] + (z * vectors[others[at]]).sum(axis=1)
            fixed = float(bias[row]) - float(own_bias[min(epoch, len(own_bias) - 1), row])
            fixed = fixed + (z[:, k:] * vectors[row, k:]).sum(axis=1)
            c[at] = signs[at] * (fixed - of_other)
            x[at, :k] = signs[at, None] * z[:, :k]
            x[at, k] = signs[at]

    def _own_bias(self) -> np.ndarray:
        """β_i, (1, I), or β_i(t), (N, I), where item biases drift: one value for all epochs is solved for."""
        parameters = self.parameters
        if isinstance(parameters, TemporalParameters) and parameters.item_bias_drift is not None:
            return parameters.item_bias_drift
        return parameters.item_bias[None]
