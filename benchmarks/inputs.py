"""What a benchmark case works on: purchases without structure, features, starting values, triples."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ivbpr_numba import Dataset, Features
from ivbpr_numba.datasets.interactions import Interactions
from ivbpr_numba.features.alignment import align, fit_scaling
from ivbpr_numba.ids import Ids
from ivbpr_numba.models.learners import draw_initial
from ivbpr_numba.models.triples import TripleSampler
from ivbpr_numba.ranking import ItemSide, VectorScorer

__all__ = ["Size", "Work", "random_purchases"]


@dataclass(frozen=True)
class Size:
    """How large a case is.

    Attributes
    ----------
    users, items, per_user : int
        Training pairs a user; a test and a validation item come on top.
    asked : int
        Users with held-out items.
    factors, visual_factors, columns : int
        K, D and F.
    iterations, every : int
        Of a fit, and between its evaluation rows.
    block : int
        B, triples between two moves of the embedding.
    batch : int
        Triples whose updates vectorised NumPy sums; 1 makes it the definition.
    triples, slow_triples : int
        At most so many go through vectorised NumPy, and through a Python loop.
    rate : float
        η.
    """

    users: int
    items: int
    per_user: int
    asked: int
    factors: int = 10
    visual_factors: int = 10
    columns: int = 512
    iterations: int = 10
    every: int = 5
    block: int = 1024
    batch: int = 1024
    triples: int = 1 << 40
    slow_triples: int = 20_000
    rate: float = 0.05


def random_purchases(users: int, items: int, per_user: int, asked: int, seed: int = 0) -> Dataset:
    """Purchases without structure: all users alike, items of skewed popularity.

    Every user has `per_user` distinct training items; the first `asked` users also have a test and a
    validation item. The r-th most popular item, in random order of the ids, has weight 1 / (r + items / 50).
    """
    rng = np.random.default_rng(seed)
    weights = np.cumsum(1.0 / (rng.permutation(items) + items / 50))
    wanted = per_user + 2
    draws = 2 * wanted
    while True:
        drawn = np.searchsorted(weights, rng.random((users, draws)) * weights[-1], side="right")
        drawn = np.minimum(drawn, items - 1)
        order = np.argsort(drawn, axis=1, kind="stable")
        inverse = np.argsort(order, axis=1)
        ranked = np.take_along_axis(drawn, order, axis=1)
        repeated = np.zeros_like(ranked, dtype=bool)
        repeated[:, 1:] = ranked[:, 1:] == ranked[:, :-1]
        fresh = ~np.take_along_axis(repeated, inverse, axis=1)
        if fresh.sum(axis=1).min() >= wanted:
            break
        draws *= 2
    # The first `wanted` distinct items of each user, in the order drawn.
    kept = np.take_along_axis(drawn, np.argsort(~fresh, axis=1, kind="stable")[:, :wanted], axis=1)
    train = np.sort(kept[:, 2:], axis=1).astype(np.int32)

    def part(columns: np.ndarray) -> Interactions:
        sizes = np.full(users, columns.shape[1])
        sizes[len(columns) :] = 0
        indptr = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        return Interactions(indptr, columns.ravel().astype(np.int32), np.zeros(columns.size, np.int64))

    def names(letter: str, n: int) -> Ids:
        return Ids(np.array([f"{letter}{k:08d}".encode() for k in range(n)]))

    held = kept[:asked]
    return Dataset(names("u", users), names("i", items), part(train), part(held[:, :1]), part(held[:, 1:2]))


class Work:
    """The inputs of a case at one size; made when first asked for, outside every clock."""

    def __init__(self, size: Size, features: bool) -> None:
        self.size = size
        self.data = random_purchases(size.users, size.items, size.per_user, size.asked)
        self.features: Features | None = None
        if features:
            rng = np.random.default_rng(1)
            matrix = rng.random((size.items, size.columns), np.float32).astype(np.float16)
            self.features = Features.from_arrays(self.data.items, matrix)

    def options(self) -> dict[str, Any]:
        """Options of our fit, all that decide the work: new defaults don't change what is measured."""
        size = self.size
        options: dict[str, Any] = {
            "factors": size.factors,
            "iterations": size.iterations,
            "eval_every": size.every,
            "patience": size.iterations,
            "learning_rate": size.rate,
            "lambda_theta": 0.0025,
            "lambda_bias": 0.0,
            "init": "normal",
            "negatives": "uniform",
            "sampling": "users",
            "average": 0.0,
            "seed": 0,
        }
        if self.features is not None:
            options |= {
                "visual_factors": size.visual_factors,
                "block": size.block,
                "lambda_visual": 0.0,
                "reg_scope": "all",
                "feature_scaling": "standard",
            }
        return options

    @cached_property
    def triples(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Users, positives and negatives of our first iteration."""
        train = self.data.train
        sampler = TripleSampler(
            train.indptr,
            train.indices,
            len(self.data.items),
            seed=0,
            negatives="uniform",
            sampling="users",
        )
        drawn = sampler.draw(1)
        n = self.size.triples
        return drawn.users[:n].copy(), drawn.positives[:n].copy(), drawn.negatives[:n].copy()

    def start(self) -> dict[str, np.ndarray]:
        """Starting values as our fits draw them: names as in a model's parameters."""
        size, options = self.size, {"seed": 0, "init": "normal"}
        tables = {
            "item_bias": np.zeros(size.items, np.float32),
            "user_factors": draw_initial(options, "user_factors", (size.users, size.factors)),
            "item_factors": draw_initial(options, "item_factors", (size.items, size.factors)),
        }
        if self.features is not None:
            d = size.visual_factors
            tables["user_visual"] = draw_initial(options, "user_visual", (size.users, d))
            tables["embedding"] = draw_initial(options, "embedding", (d, size.columns))
            tables["visual_bias"] = np.zeros(size.columns, np.float32)
        return tables

    @cached_property
    def scaled_features(self) -> tuple[np.ndarray, np.ndarray]:
        """Stored feature rows by item, and the multiplier of each column."""
        assert self.features is not None
        source = align(self.features, self.data.items)
        matrix = source.matrix.view(np.float16) if source.matrix.dtype == np.uint16 else source.matrix
        return matrix[source.rows], fit_scaling(source, "standard").multiplier * np.float32(source.scale)

    @cached_property
    def vectors(self) -> VectorScorer:
        """Vectors on a coarse grid: float32 sums of their products are exact in any order, ties included."""
        rng = np.random.default_rng(2)
        size = self.size

        def grid(*shape: int) -> np.ndarray:
            return (np.round(rng.normal(0, 1, shape) * 64) / 64).astype(np.float32)

        users = grid(size.users, size.factors)
        return VectorScorer(users, ItemSide(grid(size.items, size.factors), grid(size.items)))
