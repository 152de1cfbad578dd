"""A matrix that is mostly zero, laid out sparse: what of it is not zero, by row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ivbpr_numba.kernels.arguments import Csr
from ivbpr_numba.store.blocks import Rows, block_count, digest_rows, row_blocks

if TYPE_CHECKING:
    from ivbpr_numba.store.atomic import PathLike

__all__ = [
    "SparseMatrix",
    "csr_of",
    "csr_rows",
    "dense_rows",
    "digest_csr",
    "entry_rows",
    "filled",
    "joined",
    "stacked",
    "without_ones",
]

_ROWS_AT_ONCE = 1 << 16  # temporaries of some megabytes, whatever is asked for


def filled(block: np.ndarray) -> np.ndarray:
    """Which values of a block are kept, bool: those with any bit set, so that −0 stays what it is."""
    return block.view(f"u{block.dtype.itemsize}") != 0


def without_ones(values: np.ndarray) -> np.ndarray:
    """The values of entries as `Csr` has them: none where each is exactly 1."""
    return values[:0].copy() if (values == 1).all() else values


def joined(indptr: np.ndarray, indices: np.ndarray, values: np.ndarray) -> Csr:
    """A `Csr` of its parts, in the types that it has, without entries that are zero."""
    kept = filled(values)
    if not kept.all():
        indptr = np.concatenate([[0], np.cumsum(kept)])[indptr]
        indices, values = indices[kept], values[kept]
    return Csr(
        np.ascontiguousarray(indptr, np.int64),
        np.ascontiguousarray(indices, np.int32),
        np.ascontiguousarray(without_ones(values)),
    )


def csr_of(block: np.ndarray) -> Csr:
    """The same rows laid out sparse.

    Parameters
    ----------
    block : (n, F) float16, float32 or uint8
    """
    block = np.ascontiguousarray(block)
    kept = filled(block)
    indptr = np.concatenate([[0], np.cumsum(np.count_nonzero(kept, axis=1))])
    place = np.flatnonzero(kept)
    return joined(indptr, place % block.shape[1], block.reshape(-1)[place])


def stacked(parts: Sequence[Csr]) -> Csr:
    """Rows below each other."""
    sizes = np.cumsum([0, *(part.indptr[-1] for part in parts)])
    indptr = np.concatenate([[0], *(part.indptr[1:] + size for part, size in zip(parts, sizes))])
    every = [
        part.values if len(part.values) else np.ones(len(part.indices), part.values.dtype) for part in parts
    ]
    ones = not any(len(part.values) for part in parts)
    values = parts[0].values if ones else np.concatenate(every)
    return Csr(indptr.astype(np.int64), np.concatenate([part.indices for part in parts]), values)


def _entries(csr: Csr, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the entries of `rows`, one row after the other, and how many each row has."""
    begin = csr.indptr[rows]
    sizes = csr.indptr[rows + 1] - begin
    return np.arange(int(sizes.sum())) + np.repeat(begin - (np.cumsum(sizes) - sizes), sizes), sizes


def entry_rows(csr: Csr) -> np.ndarray:
    """Row of each entry, (n,) int64."""
    return np.repeat(np.arange(len(csr.indptr) - 1), np.diff(csr.indptr))


def csr_rows(csr: Csr, rows: np.ndarray) -> Csr:
    """Some rows, in the order of `rows`."""
    entries, sizes = _entries(csr, rows)
    values = csr.values[entries] if len(csr.values) else csr.values
    return joined(np.concatenate([[0], np.cumsum(sizes)]), csr.indices[entries], values)


def dense_rows(csr: Csr, rows: np.ndarray, columns: int) -> np.ndarray:
    """Some rows laid out dense, (n, F) of the stored type."""
    out = np.zeros((len(rows), columns), csr.values.dtype)
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        part = out[start : start + _ROWS_AT_ONCE]
        entries, sizes = _entries(csr, rows[start : start + len(part)])
        place = np.repeat(np.arange(len(part)) * columns, sizes) + csr.indices[entries]
        part.reshape(-1)[place] = csr.values[entries] if len(csr.values) else 1
    return out


def digest_csr(csr: Csr, columns: int) -> np.ndarray:
    """Block digests of the rows laid out dense, (blocks,) S64; one block is dense at a time."""
    shape, dtype = (len(csr.indptr) - 1, columns), csr.values.dtype
    digests = [digest_rows(dense_rows(csr, rows, columns)) for rows in row_blocks(shape, dtype)]
    assert len(digests) == block_count(shape, dtype)
    return np.array(digests, dtype="S64")


class SparseMatrix(Rows):
    """Rows in memory, laid out sparse, and the digests of their blocks as dense rows.

    The digests of the file cover what is laid out, so that nothing need be checked when rows are taken; the
    block digests tell that these are the same rows as those of another layout.

    Attributes
    ----------
    csr : Csr
        Read-only.
    """

    def __init__(self, csr: Csr, columns: int, digests: np.ndarray, path: PathLike) -> None:
        for part in csr:
            part.flags.writeable = False
        super().__init__((len(csr.indptr) - 1, columns), csr.values.dtype, digests, path)
        self.csr = csr

    def fault(self) -> str:
        """What of the layout can't be so, in words; empty where all of it fits."""
        indptr, indices, values = self.csr
        count = len(indices)
        if indptr[0] != 0 or indptr[-1] != count or (indptr[1:] < indptr[:-1]).any():
            return f"/sparse/indptr does not rise from 0 to {count:,}, the number of /sparse/indices"
        if len(values) not in (0, count):
            return f"/sparse/values has {len(values):,} values for {count:,} entries"
        if count and (int(indices.min()) < 0 or int(indices.max()) >= self.shape[1]):
            return f"/sparse/indices names columns other than 0 to {self.shape[1] - 1:,}"
        falls = indices[1:] <= indices[:-1]
        begins = indptr[(indptr > 0) & (indptr < count)]
        falls[begins - 1] = False  # from one row to the next
        if falls.any():
            row = int(np.searchsorted(indptr, int(falls.argmax()), side="right")) - 1
            return f"/sparse/indices does not ascend in row {row:,}"
        if not filled(values).all():
            return "/sparse/values holds zeros"
        if not np.isfinite(values).all():
            return "/sparse/values holds NaN or infinity"
        if len(values) and (values == 1).all():
            return "/sparse/values holds nothing but ones, which are left out"
        return ""

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Stored rows, (n, F) contiguous."""
        return dense_rows(self.csr, rows, self.shape[1])

    def column(self, number: int) -> np.ndarray:
        """Stored values of one column, (I,)."""
        entries = np.flatnonzero(self.csr.indices == number)
        out = np.zeros(self.shape[0], self.dtype)
        rows = np.searchsorted(self.csr.indptr, entries, side="right") - 1
        out[rows] = self.csr.values[entries] if len(self.csr.values) else 1
        return out

    def _block(self, start: int, stop: int) -> np.ndarray:
        return self.take(np.arange(start, stop))
