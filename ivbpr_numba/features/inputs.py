"""Rows of a dataset's items as kernels read them: dense as they are stored, or sparse, only what is not zero.

Which of the two is a function of the values alone, not of the file they come from: the same features give the
same bits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ivbpr_numba import backends
from ivbpr_numba.arrays import padded
from ivbpr_numba.features.layout import Group
from ivbpr_numba.kernels.arguments import Csr, SparseFeatures, StoredFeatures

__all__ = ["DenseInput", "FeatureInput", "Lengths", "SparseInput", "Statistics", "sparse_input"]

MOST_SLOTS = 64
LAST_SLOT = np.iinfo(np.uint16).max  # 1 + the last column that a slot can name
FILLED = 0.5  # share of the items with a value from which a group has a slot of its own
Statistics = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
Lengths = tuple[np.ndarray, np.ndarray, float]
BYTES = 32 << 20  # values held at once


@dataclass(frozen=True)
class DenseInput:
    """Stored rows of a dataset's items.

    Attributes
    ----------
    matrix : (M, F) uint16 (float16 bits), uint8 or float32
        A read-only view, also of an array that may be written: to numba that is another type, and every
        kernel would be compiled once more.
    rows : (I,) int64
        Row of each item.
    scale : float
        v = stored · scale.
    """

    matrix: np.ndarray
    rows: np.ndarray
    scale: float

    def __post_init__(self) -> None:
        matrix = self.matrix.view()
        matrix.flags.writeable = False
        object.__setattr__(self, "matrix", matrix)

    @property
    def n_items(self) -> int:
        """I."""
        return len(self.rows)

    @property
    def columns(self) -> int:
        """F."""
        return int(self.matrix.shape[1])

    @property
    def stored(self) -> StoredFeatures:
        """As kernels take them."""
        return StoredFeatures(self.matrix, self.rows)

    def statistics(self, kernels: backends.Kernels) -> Statistics:
        """Per column over the items Σv, Σv² (float64), max |v| and the number of v > 0, in stored units."""
        kinds = (np.float64, np.float64, np.float32, np.int64)
        sums, squares, largest, positive = found = [kernels.zeros(self.columns, kind) for kind in kinds]
        kernels.column_statistics(*kernels.resident(self.stored), *found)
        return kernels.get(sums), kernels.get(squares), kernels.get(largest), kernels.get(positive)

    def projected(self, weights: np.ndarray, offsets: np.ndarray, kernels: backends.Kernels) -> np.ndarray:
        """Weights · stored + offsets of every item: weights (R, F), offsets (R,), to (I, R) float32."""
        height, columns = weights.shape
        table = np.zeros((padded(height, 4), padded(columns)), np.float32)
        table[:height, :columns] = weights
        shifted = np.zeros(len(table), np.float32)
        shifted[:height] = offsets
        out = kernels.empty((self.n_items, len(table)), np.float32)
        kernels.project_items(*kernels.resident(self.stored), kernels.put(table), kernels.put(shifted), out)
        return kernels.get(out)[:, :height]

    def weighted(self, weights: np.ndarray) -> np.ndarray:
        """Σ_k weights_k · v_ik of every item: (F,) to (I,) float64, summed in float32."""
        scaled = weights[None] * self.scale
        return self.projected(scaled, np.zeros(1), backends.kernels())[:, 0].astype(np.float64)

    def lengths(self) -> Lengths:
        """Of every item Σ_k v_ik and ‖v_i‖, (I,) float64, and the lowest of all values."""
        sums, norms, lowest = np.empty(self.n_items), np.empty(self.n_items), 0.0
        step = max(1, BYTES // (8 * self.columns))
        for start in range(0, self.n_items, step):
            part = slice(start, start + step)
            stored = self.matrix[self.rows[part]]
            values = (stored.view(np.float16) if stored.dtype == np.uint16 else stored).astype(np.float64)
            sums[part], norms[part] = values.sum(axis=1), np.sqrt(np.square(values).sum(axis=1))
            lowest = min(lowest, float(values.min(initial=0.0)))
        return sums * self.scale, norms * abs(self.scale), lowest * self.scale


@dataclass(frozen=True)
class SparseInput:
    """What is not zero of the features of a dataset's items.

    Attributes
    ----------
    stored : SparseFeatures
        As kernels take them.
    columns : int
        F.
    scale : float
        v = stored · scale.
    """

    stored: SparseFeatures
    columns: int
    scale: float

    @property
    def n_items(self) -> int:
        """I."""
        return len(self.stored.slots)

    def _parts(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Columns and float64 values, part by part, the items ascending in each."""
        for group in self.stored.slots.T:
            columns = group[group > 0].astype(np.int64) - 1
            yield columns, np.ones(len(columns))
        yield self.stored.columns.astype(np.int64), self.stored.values.astype(np.float64)

    def statistics(self, kernels: backends.Kernels) -> Statistics:
        """As `DenseInput.statistics`."""
        sums, squares = np.zeros(self.columns), np.zeros(self.columns)
        largest, positive = np.zeros(self.columns, np.float32), np.zeros(self.columns, np.int64)
        for columns, values in self._parts():
            sums += np.bincount(columns, values, self.columns)
            squares += np.bincount(columns, values * values, self.columns)
            positive += np.bincount(columns[values > 0], minlength=self.columns)
            np.maximum.at(largest, columns, np.abs(values).astype(np.float32))
        return sums, squares, largest, positive

    def projected(self, weights: np.ndarray, offsets: np.ndarray, kernels: backends.Kernels) -> np.ndarray:
        """As `DenseInput.projected`."""
        height, columns = weights.shape
        table = np.zeros((1 + columns, padded(height)), np.float32)
        table[1:, :height] = weights.T
        shifted = np.zeros(table.shape[1], np.float32)
        shifted[:height] = offsets
        out = kernels.empty((self.n_items, table.shape[1]), np.float32)
        kernels.project_sparse_items(
            kernels.resident(self.stored), kernels.put(table), kernels.put(shifted), out
        )
        return kernels.get(out)[:, :height]

    def weighted(self, weights: np.ndarray) -> np.ndarray:
        """As `DenseInput.weighted`, summed in float64."""
        return self._weighed(weights, self.stored) * self.scale

    def lengths(self) -> Lengths:
        """As `DenseInput.lengths`."""
        ones, values = np.ones(self.columns), self.stored.values
        sums = self._weighed(ones, self.stored)
        squares = self._weighed(ones, self.stored._replace(values=np.square(values)))
        lowest = min(0.0, float(values.min(initial=0.0)))
        return sums * self.scale, np.sqrt(squares) * abs(self.scale), lowest * self.scale

    def _weighed(self, weights: np.ndarray, stored: SparseFeatures) -> np.ndarray:
        out = np.empty(self.n_items)
        backends.kernels().weigh_sparse_items(stored, np.concatenate([[0.0], weights]), out)
        return out


FeatureInput = DenseInput | SparseInput


def sparse_input(csr: Csr, groups: Sequence[Group], columns: int, scale: float) -> SparseInput:
    """Sort the values of CSR rows into slots and others.

    A group whose items have at most one value, exactly 1, and most of them one, is a slot; all else stays in
    rows of columns and values.

    Parameters
    ----------
    csr : Csr
        One row an item.
    groups : sequence of Group
    columns : int
        F.
    scale : float
    """
    indices, counts = csr.indices, np.diff(csr.indptr)
    n_items = len(counts)
    values = csr.values if len(csr.values) else np.ones(len(indices), np.float32)
    if not values.all():  # −0 is stored, and is nothing
        kept = values != 0
        counts = np.bincount(np.repeat(np.arange(n_items), counts)[kept], minlength=n_items)
        indices, values = indices[kept], values[kept]
    group_of = np.repeat(np.arange(len(groups)), [group.size for group in groups])
    of_value = group_of[indices]
    filled = np.bincount(of_value, minlength=len(groups))
    fit = np.array([group.offset + group.size <= LAST_SLOT for group in groups], bool)
    fit &= filled >= FILLED * n_items
    fit[of_value[values != 1]] = False
    items = np.repeat(np.arange(n_items), counts)
    again = (items[1:] == items[:-1]) & (of_value[1:] == of_value[:-1])
    fit[of_value[1:][again]] = False
    chosen = np.flatnonzero(fit)[:MOST_SLOTS]
    slots = np.zeros((n_items, len(chosen)), np.uint16)
    place = np.full(len(groups), -1)
    place[chosen] = np.arange(len(chosen))
    slot = place[of_value]
    taken = slot >= 0
    slots[items[taken], slot[taken]] = indices[taken] + 1
    left = ~taken
    rest = np.zeros(n_items + 1, np.int64)
    np.cumsum(np.bincount(items[left], minlength=n_items), out=rest[1:])
    own = SparseFeatures(slots, rest, indices[left].astype(np.int32), values[left].astype(np.float32))
    return SparseInput(own, columns, scale)
