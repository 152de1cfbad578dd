"""Blocks of rows of a feature matrix and their digests, however the rows are laid out."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping

import numpy as np

from ivbpr_numba.errors import DataError
from ivbpr_numba.store.atomic import PathLike
from ivbpr_numba.store.digest import Digested
from ivbpr_numba.store.tree import Value

__all__ = [
    "BLOCK_SHA256",
    "MATRIX",
    "Rows",
    "as_digested",
    "block_count",
    "digest_rows",
    "digests_of",
    "row_blocks",
    "rows_per_block",
]

MATRIX = "/matrix"  # the rows in digests; in a file of the dense layout also the object that holds them
BLOCK_SHA256 = "/block_sha256"
_BLOCK_BYTES = 8 << 20


def rows_per_block(shape: tuple[int, int], dtype: np.dtype) -> int:
    """Rows under one digest: as many as fit into 8 MiB, at least one."""
    return max(1, _BLOCK_BYTES // max(1, shape[1] * dtype.itemsize))


def block_count(shape: tuple[int, int], dtype: np.dtype) -> int:
    """Number of digests of a matrix."""
    return -(-shape[0] // rows_per_block(shape, dtype))


def row_blocks(shape: tuple[int, int], dtype: np.dtype) -> Iterator[np.ndarray]:
    """Row numbers of a matrix in steps of about 8 MiB: the blocks that have a digest."""
    step = rows_per_block(shape, dtype)
    for start in range(0, shape[0], step):
        yield np.arange(start, min(start + step, shape[0]))


def as_digested(shape: tuple[int, int], dtype: np.dtype, digests: np.ndarray) -> Digested:
    """The matrix as it enters digests: dtype, shape and the block digests for its values."""
    return Digested(dtype, shape, b"".join(digests.tolist()))


def digests_of(
    objects: Mapping[str, Value], shape: tuple[int, int], dtype: np.dtype, path: PathLike
) -> np.ndarray:
    """The block digests that a file holds, (blocks,) S64.

    Raises
    ------
    DataError
        There are none, or not as many as the matrix has blocks.
    """
    digests = objects.get(BLOCK_SHA256)
    if not isinstance(digests, np.ndarray) or digests.shape != (block_count(shape, dtype),):
        raise DataError(f"'{path}' has no digests for its matrix ({BLOCK_SHA256}).", "Make the file again.")
    return digests


def digest_rows(rows: np.ndarray) -> bytes:
    """Digest of the bytes of rows as they are stored densely, 64 hexadecimal digits."""
    return hashlib.sha256(np.ascontiguousarray(rows).reshape(-1).view(np.uint8).data).hexdigest().encode()


class Rows(ABC):
    """Rows of a matrix and the digests of their blocks.

    Attributes
    ----------
    shape : (int, int)
        Rows and columns.
    dtype : dtype
        float16, float32 or uint8.
    digests : (blocks,) S64
    """

    def __init__(self, shape: tuple[int, int], dtype: np.dtype, digests: np.ndarray, path: PathLike) -> None:
        self.shape = shape
        self.dtype = dtype
        self.digests = digests
        self._path = path
        self._step = rows_per_block(shape, dtype)
        self._checked = np.zeros(len(digests), dtype=bool)

    @abstractmethod
    def take(self, rows: np.ndarray) -> np.ndarray:
        """Stored rows, (n, F) contiguous, that are what was written; `rows` (n,) lie in the matrix."""

    @abstractmethod
    def column(self, number: int) -> np.ndarray:
        """Stored values of one column, (I,), that are what was written."""

    @abstractmethod
    def _block(self, start: int, stop: int) -> np.ndarray:
        """The rows start … stop − 1, unchecked."""

    def fault(self) -> str:
        """What of the layout can't be so, in words; empty where all of it fits."""
        return ""

    def wrong_blocks(self, rows: np.ndarray | None = None) -> list[int]:
        """Numbers of the blocks (of all, or of those that hold `rows`) that differ from their digest."""
        touched = np.arange(len(self.digests)) if rows is None else np.unique(np.asarray(rows) // self._step)
        wrong = []
        for block in touched[~self._checked[touched]].tolist():
            stop = min((block + 1) * self._step, self.shape[0])
            if digest_rows(self._block(block * self._step, stop)) == self.digests[block]:
                self._checked[block] = True
            else:
                wrong.append(block)
        return wrong

    def rows_of(self, block: int) -> str:
        """The rows of a block, in words."""
        return f"rows {block * self._step:,} to {min((block + 1) * self._step, self.shape[0]) - 1:,}"

    def check(self, rows: np.ndarray | None = None) -> None:
        """Raise DataError when blocks that hold `rows` changed since the file was written."""
        wrong = self.wrong_blocks(rows)
        if wrong:
            raise DataError(
                f"'{self._path}' changed since it was written: {MATRIX}, {self.rows_of(wrong[0])}.",
                "Make the file again or restore a copy; `ivbpr verify` lists every difference.",
            )
