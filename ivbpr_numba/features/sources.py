"""Matrices of foreign files, read in blocks of rows: .npy, .npz, .h5 and Amazon's ``.b`` records."""

from __future__ import annotations

import math
import os
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from ivbpr_numba.errors import DataError, IvbprError, UsageError, parameter
from ivbpr_numba.features.features import Features
from ivbpr_numba.features.layout import Group, count_filled
from ivbpr_numba.features.scipy_matrices import as_scipy, is_scipy_file, read_scipy
from ivbpr_numba.ids import encode_ids
from ivbpr_numba.readers.foreign_hdf5 import ForeignHdf5
from ivbpr_numba.readers.text import read_lines
from ivbpr_numba.store.atomic import PathLike
from ivbpr_numba.store.blocks import row_blocks
from ivbpr_numba.store.hdf5 import has_our_layout, opened
from ivbpr_numba.store.writers import unreadable

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

__all__ = ["RowSource", "open_source"]

BLOCK_BYTES = 8 << 20
RECORD_ID_BYTES = 10  # Amazon image features: a blank-padded ASIN, then 4096 little-endian float32
RECORD_VALUES = 4096
# What NumPy and zipfile raise, besides their own errors, when they meet damaged bytes.
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    tokenize.TokenError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    OSError,
    EOFError,
    OverflowError,
    RuntimeError,  # an encrypted member; also NotImplementedError, an unknown compression
)
_ID_NAMES = ("ids", "ids/items", "items", "item_ids", "id", "asin", "asins")


@dataclass
class RowSource:
    """A matrix in a file.

    Attributes
    ----------
    ids : ndarray of bytes (n,)
        One per row, in the file's order, not checked for repetitions.
    columns : int
    blocks : callable
        Gives the rows in order, in blocks (m, columns) of any numeric type, never more than one at a time.
    names, groups, scale
        What a file of our own says about its columns; None and 1 elsewhere.
    entries : csr_matrix, optional
        The same rows as SciPy has them, each entry once and none of them zero, where the file holds them so.
    """

    ids: np.ndarray
    columns: int
    blocks: Callable[[], Iterator[np.ndarray]]
    names: list[str] | None = None
    groups: list[Group] | None = None
    scale: float = 1.0
    entries: csr_matrix | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return len(self.ids), self.columns

    def filled(self) -> int:
        """How many values are not zero, or, of a dense matrix, enough to know that it stays dense.

        After that `blocks` may have been used up.
        """
        return count_filled(self.blocks(), self.shape) if self.entries is None else self.entries.nnz


def open_source(path: PathLike, ids: PathLike | None = None) -> RowSource:
    """Look into a file and tell what it holds; values are only read by `RowSource.blocks`.

    Parameters
    ----------
    path : path
        ``.npy`` or ``.npz`` of ``scipy.sparse.save_npz`` (need `ids`), other ``.npz`` or ``.h5`` (ids inside,
        or `ids`), or ``.b`` (ids inside).
    ids : path, optional
        Text file with one id a line, in the order of the rows.

    Raises
    ------
    UsageError
        No such file, an unknown kind of file, or ids missing or given twice.
    DataError
        The content does not fit.
    """
    if not os.path.isfile(path):
        raise UsageError(f"There is no file '{path}'.", "Check the name.")
    suffix = Path(path).suffix.lower()
    readers = {".npy": _npy, ".npz": _npz, ".h5": _hdf5, ".hdf5": _hdf5, ".b": _records}
    if suffix not in readers:
        raise UsageError(
            f"'{path}' has none of the endings .npy, .npz, .h5 and .b.", "Rename it to what it is."
        )
    return readers[suffix](path, ids)


def _reason(problem: BaseException) -> str:
    """What an exception says, in one line; a library may quote long pieces of a damaged file."""
    text = " ".join(str(problem).split())
    return text if len(text) <= 200 else f"{text[:200]}…"


def _ids_from_text(path: PathLike, rows: int, of: PathLike) -> np.ndarray:
    return _encoded(read_lines(path), rows, path, of)


def _encoded(texts: list[Any], rows: int, path: PathLike, of: PathLike) -> np.ndarray:
    if len(texts) != rows:
        raise DataError(f"'{path}' has {len(texts):,} ids, but '{of}' has {rows:,} rows.", "One id a row.")
    for row, text in enumerate(texts, start=1):
        try:
            text.decode() if isinstance(text, bytes) else str(text).encode()
        except UnicodeError:
            raise DataError(f"'{path}': the id of row {row:,} is not UTF-8.", "Give ids as text.") from None
    try:
        return encode_ids(texts)
    except DataError as problem:
        raise DataError(f"'{path}': {problem.message}", problem.hint) from problem


def _matrix_shape(shape: tuple[int, ...], dtype: np.dtype, where: str) -> tuple[int, int]:
    if len(shape) != 2 or dtype.kind not in "biuf":
        raise DataError(
            f"{where} holds {dtype} of shape {shape}, not a table of numbers.",
            "Store one row of numbers an item.",
        )
    if 0 in shape:
        raise DataError(f"{where} is empty: its shape is {shape}.", "Check how it was made.")
    return shape


def _block_rows(columns: int, dtype: np.dtype) -> int:
    return max(1, BLOCK_BYTES // (columns * dtype.itemsize))


def _npy(path: PathLike, ids: PathLike | None) -> RowSource:
    if ids is None:
        raise _no_ids(path)
    try:
        # Only for its header: the map is dropped before a value is touched.
        header = np.load(path, mmap_mode="r", allow_pickle=False)
        if not isinstance(header, np.memmap):
            raise ValueError("not a single array")
    except _DAMAGE as problem:
        raise unreadable(
            path,
            DataError(
                f"'{path}' is not a .npy file of numbers, or cut short ({_reason(problem)}).",
                "Make it again, with numbers of one type: numpy.save(…, X.astype('float32')).",
            ),
        ) from problem
    shape, dtype, offset = header.shape, header.dtype, int(header.offset)
    by_column = not header.flags.c_contiguous
    del header
    rows, columns = _matrix_shape(shape, dtype, f"'{path}'")

    def blocks() -> Iterator[np.ndarray]:
        step = _block_rows(columns, dtype)
        with open(path, "rb") as file:
            for start in range(0, rows, step):
                count = min(step, rows - start)
                if not by_column:
                    yield _read(
                        file, offset + start * columns * dtype.itemsize, (count, columns), dtype, path
                    )
                    continue
                block = np.empty((columns, count), dtype)
                for k in range(columns):
                    block[k] = _read(
                        file, offset + (k * rows + start) * dtype.itemsize, (count,), dtype, path
                    )
                yield block.T

    return RowSource(_ids_from_text(ids, rows, path), columns, blocks)


def _no_ids(path: PathLike) -> UsageError:
    return UsageError(
        f"'{path}' does not say which row belongs to which item.",
        f"Name a file of ids: {parameter('ids')}.",
    )


def _read(file: BinaryIO, offset: int, shape: tuple[int, ...], dtype: np.dtype, path: PathLike) -> np.ndarray:
    """Read one array at an offset; a map of the file would count as our memory."""
    values = np.empty(shape, dtype)
    file.seek(offset)
    if file.readinto(values.reshape(-1).view(np.uint8).data) != values.nbytes:  # type: ignore[attr-defined]
        damaged = DataError(f"'{path}' ends early: it was cut short.", "Restore a whole copy.")
        raise unreadable(path, damaged)
    return values


def _npz(path: PathLike, ids: PathLike | None) -> RowSource:
    try:
        with zipfile.ZipFile(path) as archive:
            headers = {
                m.removesuffix(".npy"): _npz_header(archive, m)
                for m in archive.namelist()
                if m.endswith(".npy")
            }
    except _DAMAGE as problem:
        raise unreadable(
            path,
            DataError(f"'{path}' is not a .npz file, or damaged ({_reason(problem)}).", "Make it again."),
        ) from problem
    if is_scipy_file(headers):
        if ids is None:
            raise _no_ids(path)
        try:
            matrix = read_scipy(path, {name: header[2] for name, header in headers.items()})
        except IvbprError:
            raise
        except _DAMAGE as problem:
            raise DataError(
                f"'{path}' is a damaged sparse matrix ({_reason(problem)}).", "Make it again."
            ) from problem
        rows, _ = _matrix_shape(matrix.shape, matrix.dtype, f"'{path}'")
        return _of_entries(_ids_from_text(ids, rows, path), matrix)
    found = {name: (h[0], h[2]) for name, h in headers.items()}
    name = _the_matrix(found, path)
    shape, by_column, dtype = headers[name]
    rows, columns = _matrix_shape(shape, dtype, f"'{path}', {name}")
    if by_column:
        raise DataError(
            f"'{path}', {name} is stored by columns and can't be streamed.",
            "Save np.ascontiguousarray of it.",
        )

    def blocks() -> Iterator[np.ndarray]:
        step = _block_rows(columns, dtype)
        try:
            with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as stream:
                _npy_header(stream)
                for start in range(0, rows, step):
                    shape = (min(step, rows - start), columns)
                    data = stream.read(shape[0] * columns * dtype.itemsize)
                    yield np.frombuffer(data, dtype).reshape(shape)
        except _DAMAGE as problem:
            raise DataError(
                f"'{path}', {name} is damaged ({_reason(problem)}).", "Make it again."
            ) from problem

    if ids is not None:
        return RowSource(_ids_from_text(ids, rows, path), columns, blocks)
    id_name = _the_ids(found, rows, path)
    if found[id_name][1].hasobject:
        raise DataError(
            f"'{path}', {id_name} holds Python objects, which only pickle can read; a pickle may run any "
            "program, so it is not opened.",
            f"Save the ids as text: numpy.savez(…, {id_name}={id_name}.astype(str)); or name a file of "
            f"ids with {parameter('ids')}.",
        )
    try:
        with np.load(path, allow_pickle=False) as archive:
            texts = archive[id_name].tolist()
    except _DAMAGE as problem:
        raise DataError(
            f"'{path}', {id_name} is damaged ({_reason(problem)}).", "Make it again."
        ) from problem
    return RowSource(_encoded(texts, rows, f"{path}, {id_name}", path), columns, blocks)


def _npz_header(archive: zipfile.ZipFile, member: str) -> tuple[tuple[int, ...], bool, np.dtype]:
    with archive.open(member) as stream:
        shape, by_column, dtype = _npy_header(stream)
    # NumPy takes memory for what the header claims before it reads a value. The size of pickled objects
    # says nothing, and they are never read.
    if not dtype.hasobject and archive.getinfo(member).file_size < math.prod(shape) * dtype.itemsize:
        raise ValueError(f"{member} is shorter than its header says")
    return shape, by_column, dtype


def _npy_header(stream: Any) -> tuple[tuple[int, ...], bool, np.dtype]:
    version = np.lib.format.read_magic(stream)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise ValueError(f"version {version} of the .npy format")
    return readers[version](stream)


def _the_matrix(found: dict[str, tuple[tuple[int, ...], np.dtype]], path: PathLike) -> str:
    tables = [name for name, (shape, dtype) in found.items() if len(shape) == 2 and dtype.kind in "biuf"]
    if len(tables) != 1:
        listed = ", ".join(f"{name} {shape} {dtype}" for name, (shape, dtype) in sorted(found.items())[:8])
        objects = any(len(shape) == 2 and dtype.hasobject for shape, dtype in found.values())
        hint = "Save it as numbers: X.astype('float32')." if objects and not tables else ""
        raise DataError(
            f"'{path}' holds {len(tables)} two-dimensional arrays of numbers ({listed}), not one.",
            hint or "Keep the features alone in a file.",
        )
    return tables[0]


def _the_ids(found: dict[str, tuple[tuple[int, ...], np.dtype]], rows: int, path: PathLike) -> str:
    fitting = [n for n, (shape, dtype) in found.items() if shape == (rows,) and dtype.kind in "SUOiu"]
    named = [name for name in _ID_NAMES if name in fitting]
    if named or len(fitting) == 1:
        return (named or fitting)[0]
    raise DataError(
        f"'{path}' holds {'no' if not fitting else 'several'} arrays that may be ids of its {rows:,} rows.",
        f"Name a file of ids: {parameter('ids')}.",
    )


def _hdf5(path: PathLike, ids: PathLike | None) -> RowSource:
    if has_our_layout(path):
        with opened(path) as file:
            mark = file.attrs.get("format")
        if mark in ("ivbpr-features", b"ivbpr-features"):
            if ids is not None:
                raise UsageError(f"'{path}' has ids of its own.", f"Leave {parameter('ids')} out.")
            return _own(path)
    file = ForeignHdf5(path)
    try:
        name = _the_matrix(file.arrays, path)
        shape, dtype = file.arrays[name]
        rows, columns = _matrix_shape(shape, dtype, f"'{path}', {name}")
        if ids is not None:
            encoded = _ids_from_text(ids, rows, path)
        else:
            id_name = _the_ids(file.arrays, rows, path)
            encoded = _encoded(file.texts(id_name), rows, f"{path}, {id_name}", path)
    except BaseException:
        file.close()
        raise
    return RowSource(encoded, columns, lambda: file.rows(name, _block_rows(columns, dtype)))


def _own(path: PathLike) -> RowSource:
    features = Features.read(path)
    parts = (features.names, features.groups, features.scale)
    if features.sparse:
        return _of_entries(features.items.values, as_scipy(features.csr(), features.shape[1]), *parts)

    def blocks() -> Iterator[np.ndarray]:
        for rows in row_blocks(features.shape, features.dtype):
            yield features.take(rows)

    return RowSource(features.items.values, features.shape[1], blocks, *parts)


def _of_entries(
    ids: np.ndarray,
    matrix: csr_matrix,
    names: list[str] | None = None,
    groups: list[Group] | None = None,
    scale: float = 1.0,
) -> RowSource:
    """Rows of which only those of a block are ever dense."""
    rows, columns = matrix.shape

    def blocks() -> Iterator[np.ndarray]:
        step = _block_rows(columns, matrix.dtype)
        for start in range(0, rows, step):
            yield matrix[start : start + step].toarray()

    return RowSource(ids, columns, blocks, names, groups, scale, matrix)


def _records(path: PathLike, ids: PathLike | None) -> RowSource:
    if ids is not None:
        raise UsageError(f"'{path}' has ids of its own.", f"Leave {parameter('ids')} out.")
    record = RECORD_ID_BYTES + 4 * RECORD_VALUES
    size = os.path.getsize(path)
    if size == 0 or size % record:
        damaged = DataError(
            f"'{path}' has {size:,} bytes, not a multiple of {record:,}: {RECORD_ID_BYTES} bytes of id and "
            f"{RECORD_VALUES} float32 a record.",
            "The file was cut short, or its ids have another width.",
        )
        raise unreadable(path, damaged)
    count = size // record
    raw = np.empty(count, dtype=f"S{RECORD_ID_BYTES}")
    with open(path, "rb", buffering=0) as file:
        for k in range(count):
            text = os.pread(file.fileno(), RECORD_ID_BYTES, k * record).strip()
            if not text or not text.isascii() or not text.decode("ascii").isprintable():
                raise DataError(
                    f"'{path}', record {k + 1:,}: {text!r} is not an id.", "Check the format of the file."
                )
            raw[k] = text

    def blocks() -> Iterator[np.ndarray]:
        kind = np.dtype([("id", f"S{RECORD_ID_BYTES}"), ("values", "<f4", (RECORD_VALUES,))])
        step = max(1, BLOCK_BYTES // record)
        with open(path, "rb") as file:
            for start in range(0, count, step):
                yield _read(file, start * record, (min(step, count - start),), kind, path)["values"]

    return RowSource(raw, RECORD_VALUES, blocks)
