"""The sparse layout of a feature file: what of the rows is not zero, as three arrays."""

from __future__ import annotations

from collections.abc import Sequence

import h5py
import numpy as np

from ivbpr_numba.errors import DataError
from ivbpr_numba.kernels.arguments import Csr
from ivbpr_numba.store.atomic import Lock, PathLike
from ivbpr_numba.store.blocks import BLOCK_SHA256, MATRIX, Rows, as_digested, digests_of
from ivbpr_numba.store.digest import Entry
from ivbpr_numba.store.files import Sealed, check_format, compare_digests, write_tree
from ivbpr_numba.store.hdf5 import opened, read_attributes, read_entries
from ivbpr_numba.store.matrix import map_matrix
from ivbpr_numba.store.sparse import SparseMatrix, digest_csr
from ivbpr_numba.store.tree import NEWEST_VERSION, Tree, Value, entries_of

__all__ = ["PARTS", "open_rows", "write_csr"]

INDPTR, INDICES, VALUES = PARTS = ("/sparse/indptr", "/sparse/indices", "/sparse/values")
_TYPES = ("<f2", "<f4", "|u1")


def write_csr(
    path: PathLike,
    tree: Tree,
    payload: Sequence[str],
    csr: Csr,
    columns: int,
    keep_lock: Lock | None = None,
) -> str:
    """Write a file with a tree and rows laid out sparse; return its ``payload_sha256``.

    Parameters
    ----------
    path, tree, payload, keep_lock
        As for `files.write_tree`; the payload may name ``/matrix``, the rows whatever their layout.
        ``/block_sha256`` and ``/sparse`` are added.
    csr : Csr
    columns : int
        Of the rows.

    Raises
    ------
    UsageError, EnvironmentProblem
        As for `files.write_tree`.
    """
    shape = (len(csr.indptr) - 1, columns)
    digests = digest_csr(csr, columns)
    objects: dict[str, Value] = {**tree.objects, BLOCK_SHA256: digests, **dict(zip(PARTS, csr))}
    whole = Tree(tree.format, objects, tree.attrs, NEWEST_VERSION)
    outside = {MATRIX: as_digested(shape, csr.values.dtype, digests)}
    return write_tree(path, whole, payload=payload, keep_lock=keep_lock, outside=outside)


def open_rows(path: PathLike, expected: str) -> tuple[Sealed, Rows]:
    """Read a file with rows of either layout; a dense matrix is mapped, a sparse one read.

    Raises
    ------
    UsageError
        The file does not exist.
    DataError
        Not HDF5, cut short, of another format or a newer major version, without rows, or with rows of an
        unknown type. `Rows.fault` tells whether sparse ones fit together.
    """
    with opened(path) as file:
        check_format(read_attributes(file, path), path, expected)
        return _read(file, path) if INDPTR in file and MATRIX not in file else map_matrix(file, path)


def _read(file: h5py.File, path: PathLike) -> tuple[Sealed, SparseMatrix]:
    objects, attrs = read_entries(file, path)
    indptr, indices, values, names = (_vector(objects, name, path) for name in (*PARTS, "/names"))
    if (indptr.dtype.str, indices.dtype.str) != ("<i8", "<i4") or values.dtype.str not in _TYPES:
        raise DataError(
            f"'{path}', /sparse: unknown types {indptr.dtype}, {indices.dtype}, {values.dtype}.",
            "Make the file again.",
        )
    shape = (len(indptr) - 1, len(names))
    if min(shape) < 1:
        raise DataError(f"'{path}', /sparse: no rows or no columns.", "Make the file again.")
    digests = digests_of(objects, shape, values.dtype, path)
    entries: dict[str, Entry] = {
        **entries_of(objects, attrs),
        MATRIX: as_digested(shape, values.dtype, digests),
    }
    sealed = Sealed(objects, attrs, compare_digests(objects, attrs, entries))
    return sealed, SparseMatrix(Csr(indptr, indices, values), shape[1], digests, path)


def _vector(objects: dict[str, Value], name: str, path: PathLike) -> np.ndarray:
    found = objects.get(name)
    if not isinstance(found, np.ndarray) or found.ndim != 1:
        raise DataError(f"'{path}' lacks a part of its sparse layout: {name}.", "Make the file again.")
    return found
