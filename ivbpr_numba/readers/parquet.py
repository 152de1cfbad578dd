"""Parquet tables through pyarrow (extra ``parquet``)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ivbpr_numba.errors import DataError, EnvironmentProblem, IvbprError
from ivbpr_numba.store.atomic import PathLike
from ivbpr_numba.store.writers import unreadable

__all__ = ["MAGIC", "batches", "column_names", "first_values"]

MAGIC = b"PAR1"
_ROWS = 1 << 16


def _open(path: PathLike) -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise EnvironmentProblem(
            f"'{path}' is a Parquet file, and pyarrow is not installed.", 'Run: pip install "ivbpr[parquet]".'
        ) from None
    try:
        return pyarrow.parquet.ParquetFile(path, page_checksum_verification=True)
    except (pyarrow.ArrowException, OSError, ValueError) as problem:
        raise _damaged(path, problem) from None


def _damaged(path: PathLike, problem: Exception) -> IvbprError:
    what = str(problem).splitlines()[0] if str(problem) else type(problem).__name__
    damaged = DataError(f"The Parquet file '{path}' can't be read: {what}.", "Fetch or make it again.")
    return unreadable(path, damaged)


def column_names(path: PathLike) -> list[str]:
    """Names of the columns, in order."""
    with _open(path) as file:
        return list(file.schema_arrow.names)


def first_values(path: PathLike, column: str, count: int = 200) -> list[Any]:
    """Values of one column in the first rows, for a look at them."""
    for _, (values,) in batches(path, [column], count):
        return values
    return []


def batches(path: PathLike, columns: list[str], rows: int = _ROWS) -> Iterator[tuple[int, list[list[Any]]]]:
    """Read some columns, many rows at a time.

    Whole numbers stay numbers, dates and times become seconds since 1970, lists of texts or numbers stay
    lists, everything else becomes text; missing values are None.

    Yields
    ------
    first : int
        Number of the first row, from 1.
    values : list of lists
        One list a column.

    Raises
    ------
    DataError
        The file is damaged, or a column holds something that is neither text, number, time nor a list.
    """
    import pyarrow

    with _open(path) as file:
        first = 1
        try:
            for batch in file.iter_batches(batch_size=rows, columns=columns, use_threads=False):
                values = [_values(batch.column(batch.schema.get_field_index(name)), name) for name in columns]
                yield first, values
                first += batch.num_rows
        except (pyarrow.ArrowException, OSError, ValueError, OverflowError) as problem:
            if isinstance(problem, DataError):
                raise
            raise _damaged(path, problem) from None


def _values(array: Any, name: str) -> list[Any]:
    import pyarrow
    import pyarrow.types as kinds

    if kinds.is_dictionary(array.type):
        array = array.dictionary_decode()
    kind = array.type
    if kinds.is_timestamp(kind) or kinds.is_date(kind):
        moments = np.asarray(array.cast(pyarrow.timestamp("ns")).to_numpy(zero_copy_only=False))
        seconds = moments.astype("datetime64[s]").astype(np.int64).tolist()
        return [None if known is False else s for known, s in zip(array.is_valid().to_pylist(), seconds)]
    if kinds.is_binary(kind) or kinds.is_large_binary(kind):
        array = array.cast(pyarrow.string())
    inner = array.type
    if kinds.is_list(kind) or kinds.is_large_list(kind) or kinds.is_fixed_size_list(kind):
        inner = kind.value_type
        inner = inner.value_type if kinds.is_dictionary(inner) else inner
    simple = kinds.is_integer(inner) or kinds.is_floating(inner) or kinds.is_boolean(inner)
    if simple or kinds.is_string(inner) or kinds.is_large_string(inner) or kinds.is_null(inner):
        return array.to_pylist()
    raise DataError(f"The column '{name}' holds {kind}.", "Store text, numbers, times or lists of them.")
