"""SciPy's sparse matrices: brought to one form, read from their files, made of ours."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ivbpr_numba.errors import DataError
from ivbpr_numba.kernels.arguments import Csr
from ivbpr_numba.store.atomic import PathLike

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

__all__ = ["as_scipy", "canonical", "is_scipy_file", "read_scipy"]

FORMS = ("csr", "csc", "coo")
_MOST_COLUMNS = 1 << 24  # each gets a name; a damaged number of columns must not take all memory


def canonical(matrix: Any) -> csr_matrix:
    """A copy by rows: columns ascend in a row, each entry once and none of them zero.

    Entries of one place are added up, as SciPy does where it makes a matrix dense. Halves, which SciPy does
    not add up, become float32.
    """
    from scipy.sparse import csr_matrix

    found = csr_matrix(matrix.astype(np.float32) if matrix.dtype == np.float16 else matrix, copy=True)
    found.sum_duplicates()
    found.eliminate_zeros()
    return found


def as_scipy(csr: Csr, columns: int) -> csr_matrix:
    """The same rows as SciPy has them; halves become float32."""
    from scipy.sparse import csr_matrix

    values = csr.values if len(csr.values) else np.ones(len(csr.indices), csr.values.dtype)
    values = values.astype(np.float32) if values.dtype == np.float16 else values
    return csr_matrix((values, csr.indices, csr.indptr), shape=(len(csr.indptr) - 1, columns))


def is_scipy_file(names: Collection[str]) -> bool:
    """Whether these are the arrays in a file of ``scipy.sparse.save_npz``."""
    return {"format", "shape", "data"} <= set(names)


def read_scipy(path: PathLike, dtypes: Mapping[str, np.dtype]) -> csr_matrix:
    """Read a file of ``scipy.sparse.save_npz``, with suspicion.

    Parameters
    ----------
    path : path
    dtypes : mapping of str to dtype
        Of the arrays in it.

    Raises
    ------
    DataError
        Other types or forms than are understood.
    ValueError, and what else NumPy, SciPy and zipfile raise
        It is damaged.
    """
    from scipy.sparse import load_npz

    wrong = {
        name
        for name in ("indptr", "indices", "row", "col")
        if dtypes.get(name, np.dtype(int)).kind not in "iu"
    }
    if wrong:
        raise ValueError(f"{min(wrong)} holds {dtypes[min(wrong)]}")
    found = load_npz(path)
    if found.format not in FORMS:
        raise DataError(
            f"'{path}' holds a sparse matrix in SciPy's form {found.format}.",
            "Save it by rows: scipy.sparse.save_npz(…, X.tocsr()).",
        )
    if found.format != "coo":
        found.check_format(full_check=True)
    if found.ndim != 2 or found.dtype.kind not in "biuf":
        raise DataError(
            f"'{path}' holds {found.dtype} of shape {found.shape}, not a table of numbers.",
            "Store one row of numbers an item.",
        )
    if found.shape[1] > _MOST_COLUMNS:
        raise DataError(
            f"'{path}' has {found.shape[1]:,} columns; at most {_MOST_COLUMNS:,} can have names.",
            "Leave out those without values.",
        )
    return canonical(found)
