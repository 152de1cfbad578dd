"""What scores: the items of a moment, user vectors beside them, and how both follow from parameters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np

from ivbpr_numba import backends
from ivbpr_numba.arrays import aligned
from ivbpr_numba.kernels.arguments import TILE
from ivbpr_numba.parameters import (
    FactorParameters,
    Parameters,
    PopularityParameters,
    TemporalParameters,
    VisualParameters,
)

__all__ = [
    "CLASSES",
    "ItemSide",
    "RowScorer",
    "Scorer",
    "TemporalScorer",
    "Tiles",
    "VectorScorer",
    "at_time",
    "item_side",
    "random_scorer",
    "scorer_of",
    "user_rows",
    "user_vectors",
    "vector_length",
]

CLASSES = 3  # training count 0, 1–4, 5 and more


@dataclass(frozen=True)
class Tiles:
    """Item vectors in the kernel's layout, items of one class together."""

    values: np.ndarray  # (tiles, L + 1, TILE) float32
    class_begin: np.ndarray  # (CLASSES + 1,) int64, first tile of each class
    item_slot: np.ndarray  # (I,) int64, tile · TILE + lane


@dataclass(frozen=True)
class ItemSide:
    """All items at one moment: a user vector z scores item i by bias_i + z · vectors_i.

    Attributes
    ----------
    vectors : (I, L) float32
        [γ_i, E f_i] of a visual model, γ_i of a factor model.
    bias : (I,) float32
        β_i, of a visual model with β · f_i.
    """

    vectors: np.ndarray
    bias: np.ndarray

    def __len__(self) -> int:
        return len(self.bias)

    @cached_property
    def tiles(self) -> Tiles:
        """All items as one class, in order of their rows; made once."""
        return self.tiled(np.zeros(len(self), np.int8))

    @cached_property
    def rows(self) -> tuple[np.ndarray, np.ndarray]:
        """Vectors and biases as kernels read them: contiguous."""
        return np.ascontiguousarray(self.vectors, np.float32), np.ascontiguousarray(self.bias, np.float32)

    def tiled(self, classes: np.ndarray) -> Tiles:
        """The items in tiles of one class each, (I,) int8 below `CLASSES`."""
        n_items, length = self.vectors.shape
        order = np.argsort(classes, kind="stable")
        sizes = np.bincount(classes, minlength=CLASSES)
        class_begin = np.concatenate([[0], np.cumsum(-(-sizes // TILE))])
        within = np.arange(n_items) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        item_slot = np.empty(n_items, np.int64)
        item_slot[order] = np.repeat(class_begin[:-1] * TILE, sizes) + within
        slot_item = np.full(class_begin[-1] * TILE, -1)
        slot_item[item_slot] = np.arange(n_items)
        values = aligned((int(class_begin[-1]), length + 1, TILE))
        backends.kernels().fill_tiles(*self.rows, slot_item, values)
        return Tiles(values, class_begin, item_slot)


@dataclass(frozen=True)
class VectorScorer:
    """x̂_ui = bias_i + user_vectors_u · vectors_i, all float32.

    Attributes
    ----------
    user_vectors : (U, L)
    items : ItemSide
    """

    user_vectors: np.ndarray
    items: ItemSide

    @property
    def n_items(self) -> int:
        return len(self.items)


@dataclass(frozen=True)
class RowScorer:
    """Scores by a function from user rows (n,) to float32 or float64 rows (n, I)."""

    rows: Callable[[np.ndarray], np.ndarray]
    n_items: int


@dataclass
class TemporalScorer:
    """Another `VectorScorer` in every epoch; a question is answered by that of its time.

    Attributes
    ----------
    make : callable
        From an epoch to its scorer.
    edges : (N + 1,) int64
        Seconds; earlier times belong to the first epoch, later ones to the last.
    n_items : int
    """

    make: Callable[[int], VectorScorer]
    edges: np.ndarray
    n_items: int

    def epochs(self, times: np.ndarray) -> np.ndarray:
        """Epoch of each time, int64."""
        return np.searchsorted(self.edges[1:-1], times, side="right").astype(np.int64)

    def at(self, epoch: int) -> VectorScorer:
        """The scorer of an epoch; the last one asked for is kept."""
        if self._kept is None or self._kept[0] != epoch:
            self._kept = (epoch, self.make(epoch))
        return self._kept[1]

    _kept: tuple[int, VectorScorer] | None = None


Scorer = VectorScorer | RowScorer | TemporalScorer


def at_time(scorer: Scorer, moment: int | None = None) -> tuple[VectorScorer | RowScorer, int | None]:
    """The scorer of a moment in seconds, by default of the last epoch, and the number of its epoch.

    A scorer without time is that of every moment; its epoch is None.
    """
    if not isinstance(scorer, TemporalScorer):
        return scorer, None
    epoch = len(scorer.edges) - 2 if moment is None else int(scorer.epochs(np.array([moment]))[0])
    return scorer.at(epoch), epoch


def item_side(parameters: PopularityParameters, style: np.ndarray | None = None) -> ItemSide:
    """The items of a model without time, or of one epoch.

    Parameters
    ----------
    parameters : PopularityParameters or one that adds to it
    style : (I, D + 1) float32, optional
        [E f_i, β · f_i] of every item; visual models need it (equation 1).
    """
    if isinstance(parameters, VisualParameters):
        assert style is not None
        d = len(parameters.embedding)
        vectors = np.concatenate([parameters.item_factors, style[:, :d]], axis=1)
        return ItemSide(vectors, parameters.item_bias + style[:, d])
    if isinstance(parameters, FactorParameters):
        return ItemSide(parameters.item_factors, parameters.item_bias)
    return ItemSide(np.zeros((len(parameters.item_bias), 0), np.float32), parameters.item_bias)


def user_vectors(parameters: PopularityParameters, n_users: int) -> np.ndarray:
    """What meets `ItemSide.vectors`: [γ_u, θ_u], γ_u, or nothing, (U, L) float32."""
    if isinstance(parameters, VisualParameters):
        return np.concatenate([parameters.user_factors, parameters.user_visual], axis=1)
    if isinstance(parameters, FactorParameters):
        return parameters.user_factors
    return np.zeros((n_users, 0), np.float32)


def vector_length(parameters: Parameters) -> int:
    """L of the vectors that score; 0 where no user has one."""
    if isinstance(parameters, VisualParameters):
        return parameters.user_factors.shape[1] + parameters.user_visual.shape[1]
    return parameters.user_factors.shape[1] if isinstance(parameters, FactorParameters) else 0


def scorer_of(
    parameters: PopularityParameters, n_users: int, style: Callable[[int], np.ndarray] | None = None
) -> VectorScorer | TemporalScorer:
    """The scorer that learned parameters are.

    Parameters
    ----------
    parameters : PopularityParameters or one that adds to it
    n_users : int
    style : callable, optional
        From an epoch (0 without time) to [E f_i, β · f_i] of every item; visual models need it.
    """
    users = user_vectors(parameters, n_users)
    if isinstance(parameters, TemporalParameters):
        assert style is not None
        make = partial(_scorer_at, parameters, users, style)
        return TemporalScorer(make, parameters.epoch_edges, len(parameters.item_bias))
    return VectorScorer(users, item_side(parameters, style(0) if style is not None else None))


# Functions of the module, not of a call: what holds them can be pickled.
def _scorer_at(
    parameters: TemporalParameters,
    users: np.ndarray,
    style: Callable[[int], np.ndarray],
    epoch: int,
) -> VectorScorer:
    return VectorScorer(users, item_side(parameters.at(epoch), style(epoch)))


def _random_rows(n_items: int, seed: int, users: np.ndarray) -> np.ndarray:
    out = np.empty((len(users), n_items), np.float32)
    backends.kernels().random_scores(np.uint64(seed), np.asarray(users, np.int64), out)
    return out


def random_scorer(n_items: int, seed: int) -> RowScorer:
    """RAND: an independent uniform score of every user and item, by hash (paper 4.3)."""
    return RowScorer(partial(_random_rows, n_items, seed), n_items)


def user_rows(vectors: np.ndarray) -> np.ndarray:
    """User vectors (n, L) as kernels read them: contiguous float32."""
    return np.ascontiguousarray(vectors, dtype=np.float32)
