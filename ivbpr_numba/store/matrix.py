"""One huge matrix in an HDF5 file: written row by row without HDF5, read through a memory map.

HDF5 lays the file out in memory, with early allocation and no fill, and never sees the rows; the disk
space is taken at once, rows are written with ``pwrite`` at the dataset's offset, and the metadata with
the digests last.
"""

from __future__ import annotations

import contextlib
import hashlib
import mmap
import os
from collections.abc import Iterator, Sequence

import h5py
import numpy as np

from ivbpr_numba.errors import DataError
from ivbpr_numba.store.atomic import Lock, PathLike, Temporary, replacing
from ivbpr_numba.store.blocks import (
    BLOCK_SHA256,
    MATRIX,
    Rows,
    as_digested,
    block_count,
    digest_rows,
    digests_of,
    row_blocks,
    rows_per_block,
)
from ivbpr_numba.store.digest import Entry
from ivbpr_numba.store.files import Attributes, Sealed, check_target, compare_digests, seal
from ivbpr_numba.store.hdf5 import (
    LIBVER,
    SparseFile,
    check_contiguous,
    fill,
    opened,
    read_entries,
)
from ivbpr_numba.store.tree import Tree, Value, entries_of

__all__ = ["MappedMatrix", "MatrixSink", "digest_blocks", "map_matrix", "writing_matrix"]

_ALIGNMENT = 64  # a cache line; a page would leave a gap of bytes that nothing checks
_TYPES = {"<f2": h5py.h5t.IEEE_F16LE, "<f4": h5py.h5t.IEEE_F32LE, "|u1": h5py.h5t.STD_U8LE}


def digest_blocks(values: np.ndarray) -> np.ndarray:
    """Block digests of a matrix in memory, shape (blocks,), dtype S64."""
    return np.array(
        [digest_rows(values[rows[0] : rows[-1] + 1]) for rows in row_blocks(values.shape, values.dtype)],
        dtype="S64",
    )


class MatrixSink:
    """Takes rows in any order, each exactly once."""

    def __init__(self, temporary: Temporary, offset: int, shape: tuple[int, int], dtype: np.dtype) -> None:
        self._temporary = temporary
        self._offset = offset
        self._row_bytes = shape[1] * dtype.itemsize
        self.shape = shape
        self.dtype = dtype
        self._written = np.zeros(shape[0], dtype=bool)
        self.payload_sha256 = ""  # known once the file is complete

    def put(self, rows: np.ndarray, block: np.ndarray) -> None:
        """Write `block` (n, F), of the sink's dtype, as the rows numbered `rows` (n,)."""
        if block.dtype != self.dtype or block.shape != (len(rows), self.shape[1]):
            raise ValueError(
                f"a block of {block.dtype} {block.shape} does not fit {len(rows)} rows of {self.shape}"
            )
        if (np.diff(np.sort(rows)) == 0).any() or self._written[rows].any():
            raise ValueError("a row was given twice")
        block = np.ascontiguousarray(block)
        # One system call a run of neighbours.
        cuts = np.flatnonzero(np.diff(rows) != 1) + 1
        for start, stop in zip([0, *cuts.tolist()], [*cuts.tolist(), len(rows)]):
            if start < stop:
                data = block[start:stop].reshape(-1).view(np.uint8).data
                self._temporary.write(data, self._offset + int(rows[start]) * self._row_bytes)
        self._written[rows] = True

    def digests(self) -> np.ndarray:
        """Read the rows back, block by block, and digest them: (blocks,) S64."""
        missing = np.flatnonzero(~self._written)
        if len(missing):
            raise ValueError(
                f"{len(missing)} of {self.shape[0]} rows were not given, the first is {missing[0]}"
            )
        step = rows_per_block(self.shape, self.dtype)
        digests = []
        for start in range(0, self.shape[0], step):
            sha = hashlib.sha256()
            position = self._offset + start * self._row_bytes
            end = self._offset + min(start + step, self.shape[0]) * self._row_bytes
            while position < end:
                piece = self._temporary.read(min(end - position, 1 << 20), position)
                if not piece:
                    raise ValueError("the temporary file was cut short")
                sha.update(piece)
                position += len(piece)
            digests.append(sha.hexdigest().encode())
        return np.array(digests, dtype="S64")


def _layout(
    objects: dict[str, Value], attrs: Attributes, shape: tuple[int, int], dtype: np.dtype
) -> tuple[SparseFile, int]:
    """Lay the file out in memory; return its metadata and the byte offset of the matrix."""
    sparse = SparseFile()
    size = shape[0] * shape[1] * dtype.itemsize
    with h5py.File(
        sparse, "w", libver=LIBVER, alignment_threshold=size, alignment_interval=_ALIGNMENT
    ) as file:
        fill(file, objects, attrs)
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_layout(h5py.h5d.CONTIGUOUS)
        properties.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        properties.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
        space = h5py.h5s.create_simple(shape)
        dataset = h5py.h5d.create(file.id, MATRIX.encode(), _TYPES[dtype.str], space, properties)
        offset = int(dataset.get_offset())
    return sparse, offset


@contextlib.contextmanager
def writing_matrix(
    path: PathLike,
    tree: Tree,
    payload: Sequence[str],
    shape: tuple[int, int],
    dtype: np.dtype,
    keep_lock: Lock | None = None,
) -> Iterator[MatrixSink]:
    """Write a file with a tree and one matrix; the block puts the rows, the file appears at its end.

    Parameters
    ----------
    path, tree, payload, keep_lock
        As for `files.write_tree`; the payload may name ``/matrix``. ``/block_sha256`` is added.
    shape : (int, int)
        Rows and columns of the matrix, both positive.
    dtype : dtype
        float16, float32 or uint8.

    Raises
    ------
    UsageError, EnvironmentProblem
        As for `files.write_tree`. A full disk shows before the first row is asked for.
    """
    check_target(path, tree.format)
    placeholder = np.full(block_count(shape, dtype), b"0" * 64, dtype="S64")
    _, offset = _layout(*_sealed(tree, payload, shape, dtype, placeholder), shape, dtype)
    with replacing(path, keep_lock) as temporary:
        temporary.reserve(offset + shape[0] * shape[1] * dtype.itemsize + (1 << 12))
        sink = MatrixSink(temporary, offset, shape, dtype)
        yield sink
        digests = sink.digests()
        # The same shapes give the same layout, so the rows already lie where this header says.
        objects, attrs = _sealed(tree, payload, shape, dtype, digests)
        sparse, again = _layout(objects, attrs, shape, dtype)
        if again != offset:
            raise RuntimeError("HDF5 laid the same file out differently")
        for position, piece in sparse.segments:
            temporary.write(piece, position)
        temporary.cut(sparse.length)
        sink.payload_sha256 = str(attrs["payload_sha256"])
        with opened(temporary.path) as file:
            verified, _ = map_matrix(file, temporary.path)
        if verified.changed:
            raise RuntimeError(f"the file does not read back: {verified.changed}")


def _sealed(
    tree: Tree, payload: Sequence[str], shape: tuple[int, int], dtype: np.dtype, digests: np.ndarray
) -> tuple[dict[str, Value], Attributes]:
    with_blocks = Tree(tree.format, {**tree.objects, BLOCK_SHA256: digests}, tree.attrs)
    return seal(with_blocks, payload, {MATRIX: as_digested(shape, dtype, digests)})


class MappedMatrix(Rows):
    """Rows of a matrix laid out dense and the digests of its blocks, checked when a block is first touched.

    Attributes
    ----------
    values : ndarray (I, F)
        float16, float32 or uint8, read-only.
    """

    def __init__(self, values: np.ndarray, digests: np.ndarray, path: PathLike) -> None:
        super().__init__(values.shape, values.dtype, digests, path)
        self.values = values

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Stored rows, (n, F) contiguous.

        Raises
        ------
        DataError
            A block that holds some of them differs from its digest.
        """
        self.check(rows)
        return self.values[rows]

    def column(self, number: int) -> np.ndarray:
        """Stored values of one column, (I,).

        Raises
        ------
        DataError
            A block differs from its digest.
        """
        self.check()
        return self.values[:, number].copy()

    def _block(self, start: int, stop: int) -> np.ndarray:
        return self.values[start:stop]


def map_matrix(file: h5py.File, path: PathLike) -> tuple[Sealed, MappedMatrix]:
    """Read an open file written by `writing_matrix`; its matrix is mapped, not read.

    Raises
    ------
    DataError
        Its matrix is stored in a way that can't be mapped (chunked, compressed, external) or of an unknown
        type, or lies beyond the end of the file.
    """
    objects, attrs = read_entries(file, path, skip=(MATRIX,))
    dataset = file.get(MATRIX)
    if not isinstance(dataset, h5py.Dataset) or dataset.ndim != 2 or dataset.dtype.str not in _TYPES:
        raise DataError(
            f"'{path}' has no matrix of float16, float32 or uint8 values.", "Make the file again."
        )
    fd = file.id.get_vfd_handle()
    offset = check_contiguous(dataset, os.fstat(fd).st_size, path)
    if offset < 0:
        raise DataError(f"'{path}', {MATRIX}: empty.", "Make the file again.")
    shape, dtype = dataset.shape, dataset.dtype
    # From the same open file that the metadata came from, so a replacement in between can't mix two.
    values = np.ndarray(shape, dtype, buffer=mmap.mmap(fd, 0, access=mmap.ACCESS_READ), offset=offset)
    digests = digests_of(objects, shape, dtype, path)
    entries: dict[str, Entry] = {**entries_of(objects, attrs), MATRIX: as_digested(shape, dtype, digests)}
    sealed = Sealed(objects, attrs, compare_digests(objects, attrs, entries))
    return sealed, MappedMatrix(values, digests, path)
