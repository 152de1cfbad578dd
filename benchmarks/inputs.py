"""What a benchmark case works on: purchases of a simple law, features, starting values, triples."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ivbpr_numba import Dataset, Features
from ivbpr_numba.datasets.interactions import Interactions
from ivbpr_numba.features.alignment import Scaling, align, fit_scaling
from ivbpr_numba.features.layout import Group
from ivbpr_numba.ids import Ids
from ivbpr_numba.models.learners import draw_initial
from ivbpr_numba.models.triples import TripleSampler
from ivbpr_numba.ranking import ItemSide, VectorScorer

__all__ = ["TASTES", "Size", "Work", "group_sizes", "random_purchases"]

TASTES = 10
FIRST, SPAN = 1_400_000_000, 100_000_000  # seconds: of the first purchase, and to the last


@dataclass(frozen=True)
class Size:
    """How large a case is.

    Attributes
    ----------
    users, items, per_user : int
        Training pairs a user; a test and a validation item come on top.
    asked : int
        Users with held-out items.
    factors, visual_factors : int
        K and D.
    columns, groups : int
        F; 0: no features. In so many exclusive groups, one-hot; 0: dense float16 numbers without names.
    epochs : int
        N, of a model in time.
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
    columns: int = 0
    groups: int = 0
    epochs: int = 5
    iterations: int = 10
    every: int = 5
    block: int = 1024
    batch: int = 1024
    triples: int = 1 << 40
    slow_triples: int = 20_000
    rate: float = 0.05


def random_purchases(users: int, items: int, per_user: int, asked: int, seed: int = 0) -> Dataset:
    """Purchases of a simple law: items of skewed popularity, users of ten tastes.

    Every user has `per_user` distinct training items; the first `asked` users also have a test and a
    validation item. The r-th most popular item, in random order of the ids, has weight 1 / (r + items / 50).
    Half of what a user draws is moved to an item of his taste nearby, so that there is something to learn:
    item i is to the taste i modulo 10, user u has the taste u modulo 10. Times are uniform.
    """
    rng = np.random.default_rng(seed)
    weights = np.cumsum(1.0 / (rng.permutation(items) + items / 50))
    wanted = per_user + 2
    draws = 2 * wanted
    while True:
        drawn = np.searchsorted(weights, rng.random((users, draws)) * weights[-1], side="right")
        drawn = np.minimum(drawn, items - 1)
        liked = drawn - drawn % TASTES + np.arange(users)[:, None] % TASTES
        liked -= TASTES * (liked >= items)
        drawn = np.where(rng.random(drawn.shape) < 0.5, liked, drawn)
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
        times = FIRST + rng.integers(0, SPAN, columns.size)
        return Interactions(indptr, columns.ravel().astype(np.int32), times)

    def names(letter: str, n: int) -> Ids:
        return Ids(np.array([f"{letter}{k:08d}".encode() for k in range(n)]))

    held = kept[:asked]
    parts = (part(train), part(held[:, :1]), part(held[:, 1:2]))
    return Dataset(names("u", users), names("i", items), *parts, source={"has_times": True})


def group_sizes(columns: int, groups: int) -> list[int]:
    """Columns of each group, the largest first as in catalogues: 2 and a share like 1 / (g + 1)."""
    weights = 1.0 / np.arange(1, groups + 1)
    free = columns - 2 * groups
    ends = np.round(np.cumsum(weights) / weights.sum() * free).astype(int)
    return (np.diff(ends, prepend=0) + 2).tolist()


class Work:
    """The inputs of a case at one size; made when first asked for, outside every clock."""

    def __init__(self, size: Size) -> None:
        self.size = size

    @cached_property
    def data(self) -> Dataset:
        """Purchases."""
        size = self.size
        return random_purchases(size.users, size.items, size.per_user, size.asked)

    def features(self, kind: str = "dense") -> Features:
        """The same values as ``dense`` features or, of a size with groups, as ``attributes``."""
        if kind not in self._features:
            self._features[kind] = self._make(kind)
        return self._features[kind]

    @cached_property
    def _features(self) -> dict[str, Features]:
        return {}

    def _make(self, kind: str) -> Features:
        size, rng = self.size, np.random.default_rng(1)
        matrix = np.zeros((size.items, size.columns), np.float16)
        if not size.groups:
            for start in range(0, size.items, 1000):
                rows = matrix[start : start + 1000]
                rows[:] = rng.random(rows.shape, np.float32)
        groups, offset = [], 0
        for g, n in enumerate(group_sizes(size.columns, size.groups)):
            weights = 1.0 / np.arange(1, n + 1)
            chosen = rng.choice(n, size.items, p=weights / weights.sum())
            matrix[np.arange(size.items), offset + chosen] = 1
            groups.append(Group(f"group{g}", offset, n, True))
            offset += n
        if kind == "dense":
            return Features.from_arrays(self.data.items, matrix)
        names = [f"{group.name}={k}" for group in groups for k in range(group.size)]
        return Features.from_arrays(self.data.items, matrix, names=names, groups=groups, kind=kind)

    def options(self) -> dict[str, Any]:
        """Options of our fit, all that decide the work: new defaults don't change what is measured."""
        size = self.size
        options: dict[str, Any] = {
            "factors": size.factors,
            "iterations": size.iterations,
            "eval_every": size.every,
            "patience": 10**7,  # a fit never stops early
            "learning_rate": size.rate,
            "lambda_theta": 0.0025,
            "lambda_bias": 0.0,
            "init": "normal",
            "negatives": "uniform",
            "sampling": "users",
            "average": 0.0,
            "seed": 0,
        }
        if size.columns:
            options |= {
                "visual_factors": size.visual_factors,
                "block": size.block,
                "visual_rate": 1.0,
                "lambda_visual": 0.0,
                "reg_scope": "all",
                "feature_scaling": "none" if size.groups else "standard",
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
        if size.columns:
            d = size.visual_factors
            tables["user_visual"] = draw_initial(options, "user_visual", (size.users, d))
            tables["embedding"] = draw_initial(options, "embedding", (d, size.columns))
            tables["visual_bias"] = np.zeros(size.columns, np.float32)
        return tables

    def aligned(self, kind: str = "dense") -> tuple[Any, Scaling]:
        """Features as learners take them."""
        source = align(self.features(kind), self.data.items)
        return source, fit_scaling(source, self.options()["feature_scaling"])

    @cached_property
    def scaled_features(self) -> tuple[np.ndarray, np.ndarray]:
        """Stored feature rows by item, and the multiplier of each column."""
        source, scaling = self.aligned()
        matrix = source.matrix.view(np.float16) if source.matrix.dtype == np.uint16 else source.matrix
        return matrix[source.rows], scaling.multiplier * np.float32(source.scale)

    @cached_property
    def vectors(self) -> VectorScorer:
        """Vectors on a coarse grid: float32 sums of their products are exact in any order, ties included."""
        rng = np.random.default_rng(2)
        size = self.size

        def grid(*shape: int) -> np.ndarray:
            return (np.round(rng.normal(0, 1, shape) * 64) / 64).astype(np.float32)

        users = grid(size.users, size.factors)
        return VectorScorer(users, ItemSide(grid(size.items, size.factors), grid(size.items)))
