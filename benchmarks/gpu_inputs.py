"""What `gpu.py` computes with: drawn purchases, tables and features, on the host and on the device."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from ivbpr_numba.kernels import arguments
from ivbpr_numba.kernels.arguments import TILE

FACTORS = 10
MULTIPLIER = 0.1


@dataclass(frozen=True)
class Size:
    """Users, items, training pairs, columns of dense features, groups and columns of sparse ones, epochs."""

    users: int
    items: int
    pairs: int
    columns: int = 512
    groups: int = 9
    sparse_columns: int = 200
    epochs: int = 5
    block: int = 1024


SIZES = {
    "tiny": Size(12, 70, 40, columns=9, groups=2, sparse_columns=7, epochs=2, block=16),
    "S1": Size(20_000, 20_000, 360_000),
    "S2": Size(100_000, 300_000, 1_500_000),
}


def on(value: Any) -> Any:
    """A copy on the device of an array, or of every array of a named tuple."""
    from ivbpr_numba.kernels.cuda.target import cuda

    if isinstance(value, tuple):
        return type(value)(*(on(part) for part in value))
    return cuda.to_device(np.ascontiguousarray(value)) if isinstance(value, np.ndarray) else value


def copied(value: Any) -> Any:
    """The same on the host."""
    if isinstance(value, tuple):
        return type(value)(*(copied(part) for part in value))
    return value.copy() if isinstance(value, np.ndarray) else value


def arrays_of(value: Any) -> list[np.ndarray]:
    """All arrays of nested tuples, on the host."""
    if isinstance(value, tuple):
        return [array for part in value for array in arrays_of(part)]
    if hasattr(value, "copy_to_host"):
        return [value.copy_to_host()]
    return [value] if isinstance(value, np.ndarray) else []


@dataclass(frozen=True)
class World:
    """Purchases of skewed popularity, and everything that kernels ask for."""

    size: Size
    seed: int = 0
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    @cached_property
    def pairs(self) -> arguments.Pairs:
        n, items = self.size.pairs, self.size.items
        own = np.random.default_rng([self.seed, 1])  # the same whatever was drawn before
        users = own.integers(0, self.size.users, n)
        chosen = (items * own.random(n) ** 2).astype(np.int64)
        found = np.unique(users * items + chosen)
        counts = np.bincount(found // items, minlength=self.size.users)
        indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        return arguments.Pairs(indptr, (found % items).astype(np.int32))

    @cached_property
    def eligible(self) -> np.ndarray:
        return np.flatnonzero(np.diff(self.pairs.indptr)).astype(np.int64)

    @property
    def n_draws(self) -> int:
        return len(self.pairs.indices)

    def law(self, name: str) -> arguments.NegativeLaw:
        counts = np.bincount(self.pairs.indices, minlength=self.size.items).astype(np.int64)
        return arguments.NegativeLaw.of(name, counts)

    def rows(self, n: int, filled: int, width: int = 16) -> np.ndarray:
        """(n, width) float32, of which the first `filled` columns are drawn."""
        table = np.zeros((n, width), np.float32)
        table[:, :filled] = self.rng.normal(0, 0.1, (n, filled))
        return table

    def factor_tables(self) -> arguments.FactorTables:
        return arguments.FactorTables(
            self.rows(self.size.users, FACTORS), self.rows(self.size.items, FACTORS + 1)
        )

    def visual_tables(self) -> arguments.VisualTables:
        return arguments.VisualTables(*self.factor_tables(), self.rows(self.size.users, FACTORS))

    def dense(self) -> tuple[arguments.StoredFeatures, arguments.EmbeddingTable]:
        """Float16 features, and E and β by factor."""
        columns = self.size.columns
        width = -(-columns // 16) * 16
        matrix = self.rng.random((self.size.items, columns), np.float32).astype(np.float16).view(np.uint16)
        values, multiplier = np.zeros((12, width), np.float32), np.zeros(width, np.float32)
        values[: FACTORS + 1, :columns] = self.rng.normal(0, 0.1, (FACTORS + 1, columns))
        multiplier[:columns] = MULTIPLIER
        stored = arguments.StoredFeatures(matrix, np.arange(self.size.items))
        return stored, arguments.EmbeddingTable(values, values * multiplier, multiplier)

    def sparse(self) -> tuple[arguments.SparseFeatures, arguments.EmbeddingTable]:
        """One-hot features of several groups, and E and β by column."""
        columns, groups = self.size.sparse_columns, self.size.groups
        edges = np.arange(groups + 1) * columns // groups
        slots = np.stack(
            [self.rng.integers(lo, hi, self.size.items) + 1 for lo, hi in itertools.pairwise(edges)], axis=1
        ).astype(np.uint16)
        values = np.zeros((1 + columns, 16), np.float32)
        values[1:, : FACTORS + 1] = self.rng.normal(0, 0.1, (columns, FACTORS + 1))
        multiplier = np.ones(1 + columns, np.float32)
        multiplier[0] = 0
        nothing = np.zeros(self.size.items + 1, np.int64), np.empty(0, np.int32), np.empty(0, np.float32)
        stored = arguments.SparseFeatures(slots, *nothing)
        return stored, arguments.EmbeddingTable(values, values.copy(), multiplier)

    def epochs(self, embedding: arguments.EmbeddingTable) -> arguments.EpochTables:
        n = self.size.epochs
        drift = np.zeros((n, *embedding.values.shape), np.float32)
        ones = np.ones((n, *embedding.multiplier.shape), np.float32)
        return arguments.EpochTables(np.ones((n, FACTORS), np.float32), drift, ones)

    def ranked(self, ties: bool) -> dict[str, Any]:
        """Users and items as vectors of 2 K, in tiles by class and by row, and what each user owns."""
        length, n_items = 2 * FACTORS, self.size.items
        users = self.rng.normal(0, 1, (self.size.users, length)).astype(np.float32)
        vectors = self.rng.normal(0, 1, (n_items, length)).astype(np.float32)
        bias = self.rng.normal(0, 1, n_items).astype(np.float32)
        if ties:
            vectors[1::7], bias[1::7] = vectors[: n_items - 1 : 7], bias[: n_items - 1 : 7]
        counts = np.bincount(self.pairs.indices, minlength=n_items)
        classes = ((counts >= 1).astype(np.int8) + (counts >= 5)).astype(np.int8)
        slots, begin = [], [0]
        for where in range(3):
            members = np.flatnonzero(classes == where)
            own = np.full(-(-len(members) // TILE) * TILE, -1)
            own[: len(members)] = members
            slots.append(own)
            begin.append(begin[-1] + len(own) // TILE)
        in_order = np.full(-(-n_items // TILE) * TILE, -1)
        in_order[:n_items] = np.arange(n_items)
        indptr, indices = self.pairs
        asked = np.flatnonzero(np.diff(indptr))
        return {
            "users": users[asked], "vectors": vectors, "bias": bias, "classes": classes,
            "by_class": np.concatenate(slots).astype(np.int64), "class_begin": np.array(begin, np.int64),
            "in_order": in_order.astype(np.int64), "indptr": np.unique(indptr), "own": indices,
        }  # fmt: skip


RATES = arguments.Rates(*np.array([0.01, 0.1, 0.1, 0.1, 0.001, 0.01], np.float32))
SIZES_OF_FACTORS = arguments.Sizes(FACTORS, FACTORS)
