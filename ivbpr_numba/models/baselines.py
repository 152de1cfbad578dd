"""Models that don't learn: RAND and POP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ivbpr_numba import backends
from ivbpr_numba.models.base import Learned, Model
from ivbpr_numba.models.checkpoint import Checkpoint
from ivbpr_numba.models.training import Observer
from ivbpr_numba.parameters import Parameters, PopularityParameters
from ivbpr_numba.ranking import RowScorer, Scorer, VectorScorer

if TYPE_CHECKING:
    from ivbpr_numba.datasets.dataset import Dataset
    from ivbpr_numba.features.features import Features

__all__ = ["Popularity", "Random"]


class Random(Model):
    """RAND: an independent uniform score for every user and item (paper 4.3).

    Parameters
    ----------
    preset : str, optional
    seed : int, optional
        0 by default.
    threads, device
        See `BPRMF`.
    """

    model_name = "rand"

    def __init__(
        self,
        *,
        preset: str | None = None,
        seed: int | None = None,
        threads: int | None = None,
        device: str | None = None,
    ) -> None:
        self._store(locals())

    def _learn(
        self,
        data: Dataset,
        features: Features | None,
        options: Mapping[str, Any],
        tell: Observer,
        checkpoint: Checkpoint | None,
    ) -> Learned:
        return Learned(Parameters())

    def _make_scorer(self, features: Features | None) -> Scorer:
        n_items, seed = len(self.data_.items), np.uint64(self.config_["seed"])

        def rows(users: np.ndarray) -> np.ndarray:
            out = np.empty((len(users), n_items), np.float32)
            backends.kernels().random_scores(seed, np.asarray(users, np.int64), out)
            return out

        return RowScorer(rows, n_items)


class Popularity(Model):
    """POP: the number of training pairs of an item (paper 4.3).

    Parameters
    ----------
    preset, threads, device
        See `BPRMF`.
    """

    model_name = "pop"

    def __init__(
        self, *, preset: str | None = None, threads: int | None = None, device: str | None = None
    ) -> None:
        self._store(locals())

    def _learn(
        self,
        data: Dataset,
        features: Features | None,
        options: Mapping[str, Any],
        tell: Observer,
        checkpoint: Checkpoint | None,
    ) -> Learned:
        return Learned(PopularityParameters(data.train_counts.astype(np.float32)))

    def _make_scorer(self, features: Features | None) -> Scorer:
        assert isinstance(self.parameters_, PopularityParameters)
        bias = self.parameters_.item_bias
        nothing = np.zeros((len(self.data_.users), 0), np.float32)
        return VectorScorer(nothing, np.zeros((len(bias), 0), np.float32), bias)
