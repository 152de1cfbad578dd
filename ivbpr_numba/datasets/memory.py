"""Interactions that are in memory already: ids and times of any kind, frames, matrices."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any

import numpy as np

from ivbpr_numba import expected
from ivbpr_numba.datasets.pairs import Pairs
from ivbpr_numba.errors import DataError, UsageError, did_you_mean
from ivbpr_numba.ids import encode_ids, id_text
from ivbpr_numba.readers.time_column import TimeColumn, check_time_format
from ivbpr_numba.readers.times import are_compact_dates

__all__ = ["pairs_of", "pairs_of_frame", "pairs_of_matrix"]


def pairs_of(
    users: Iterable[object],
    items: Iterable[object],
    times: Iterable[object] | None = None,
    time_format: str | None = None,
    names: tuple[str, str, str] = ("users", "items", "times"),
) -> Pairs:
    """Take interactions from memory; see `Dataset.from_pairs`. `names` are those of the errors."""
    check_time_format(time_format)
    for what, given in zip(names if times is not None else names[:2], (users, items, times)):
        _check_sequence(what, given)
    _refuse_other_rows(names, (users, items, times))
    (user_ids, user_codes), (item_ids, item_codes) = _numbered(users, names[0]), _numbered(items, names[1])
    seconds, notes = (None, []) if times is None else _seconds(times, time_format, names[2])
    lengths = {len(user_codes), len(item_codes)} | (set() if seconds is None else {len(seconds)})
    if len(lengths) > 1:
        raise DataError("Users, items and times differ in number.", "Give one of each per interaction.")
    pairs = Pairs(user_codes, item_codes, seconds, user_ids, item_ids)
    pairs.note("read", 0, "; ".join(notes))
    return pairs


def pairs_of_frame(frame: Any, user: str, item: str, time: str | None, time_format: str | None) -> Pairs:
    """Take interactions from the columns of a frame; see `Dataset.from_frame`."""
    hint = "Files go to prepare, matrices to Dataset.from_matrix, lists to Dataset.from_pairs."
    expected.frame(frame, "from_frame", hint)
    columns = list(frame.columns)
    for role, name in (("user", user), ("item", item), ("time", time)):
        if name is None and role == "time":
            continue
        expected.label(role, name)
        if columns.count(name) != 1:
            how_often = "twice" if name in columns else "not"
            known = ", ".join(map(str, columns[:30]))
            hint = did_you_mean(str(name), map(str, columns)) or f"It has {known}."
            raise DataError(f"The frame has {how_often} the column '{name}'.", hint)
    names = (f"the column '{user}'", f"the column '{item}'", f"the column '{time}'")
    return pairs_of(frame[user], frame[item], None if time is None else frame[time], time_format, names)


def pairs_of_matrix(matrix: Any, users: Any, items: Any, times: Any) -> Pairs:
    """Take the entries of a matrix that are not zero; see `Dataset.from_matrix`."""
    expected.ordered("The users", users)
    expected.ordered("The items", items)
    if hasattr(matrix, "columns"):  # a frame brings its ids, which must not be passed over
        if hasattr(times, "columns") and not (
            matrix.index.equals(times.index) and matrix.columns.equals(times.columns)
        ):
            raise DataError(
                "The frame of times is labelled otherwise than the matrix.",
                "Put it in the same order: times.reindex_like(matrix).",
            )
        users = _own_labels(matrix.index, users, "users", "rows", "index")
        items = _own_labels(matrix.columns, items, "items", "columns", "columns")
    rows, columns, values = _entries(matrix, "The matrix")
    if len(values) and np.isnan(values).any():
        first = int(np.flatnonzero(np.isnan(values))[0])
        raise DataError(
            f"The matrix holds NaN in row {rows[first]}, column {columns[first]}.", "Take it out, or put 0."
        )
    if len(values) and values.min() < 0:
        first = int(np.argmin(values))
        raise DataError(
            f"The matrix holds {values[first]} in row {rows[first]}, column {columns[first]}: an entry is a "
            "purchase, and there are no negative ones.",
            "Take returns and dislikes out, or put 0.",
        )
    kept = values != 0
    seconds = None if times is None else _times_of(matrix, rows, columns, times)[kept]
    rows, columns = rows[kept], columns[kept]
    n_users, n_items = matrix.shape
    user_names, item_names = (
        _labels(users, n_users, "users", "row"),
        _labels(items, n_items, "items", "column"),
    )
    return pairs_of(user_names[rows], item_names[columns], seconds)


def _own_labels(labels: Any, ids: Any, what: str, axis: str, attribute: str) -> Any:
    """The ids of a frame's rows or columns: `ids` where they are its labels, or it has none but numbers."""
    if ids is None:
        return labels
    ids = list(ids)
    own = list(map(str, labels))
    if own not in ([str(one) for one in ids], [str(k) for k in range(len(own))]):
        raise DataError(
            f"The {axis} of the frame are labelled otherwise than the {what}.",
            f"Give {what}=frame.{attribute}, or the plain matrix frame.to_numpy().",
        )
    return ids


def _check_sequence(what: str, values: Any) -> None:
    expected.ordered(_begin(what), values)
    if hasattr(values, "columns"):
        raise UsageError(
            f"{_begin(what)} are a data frame.",
            "Frames go to Dataset.from_frame, with the names of their columns.",
        )
    if not isinstance(values, Iterable):
        raise UsageError(f"{_begin(what)} are {expected.kind_of(values)}.", "Give one a purchase, in a list.")


def _refuse_other_rows(names: Sequence[str], given: Sequence[Any]) -> None:
    """Refuse series of different indexes: by their labels they belong together otherwise than by place."""
    series = [(name, one) for name, one in zip(names, given) if _is_of_pandas(one) and hasattr(one, "index")]
    for name, one in series[1:]:
        first_name, first = series[0]
        if len(one) == len(first) and not one.index.equals(first.index):
            raise DataError(
                f"{_begin(first_name)} and {name} have different indexes.",
                "Take them from one frame, or give them without: series.to_numpy().",
            )


def _entries(matrix: Any, what: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Row, column and value of every stored entry, in the order of storage (all those of an array)."""
    from scipy import sparse

    if sparse.issparse(matrix):
        found = matrix.tocoo()
        rows, columns, values = found.row, found.col, found.data
    else:
        if np.ma.is_masked(matrix):
            raise DataError(f"{what} has masked cells.", "Say what they are worth: matrix.filled(0).")
        dense = np.asarray(matrix)
        if dense.ndim != 2:
            raise DataError(f"{what} has {dense.ndim} dimensions.", "Give users × items.")
        rows, columns = (place.reshape(-1) for place in np.indices(dense.shape))
        values = dense.reshape(-1)
    if values.dtype.kind not in "biuf":
        raise DataError(f"{what} is of type {values.dtype}.", "Give numbers.")
    return rows.astype(np.int64), columns.astype(np.int64), values


def _labels(ids: Any, n: int, what: str, axis: str) -> np.ndarray:
    """Ids of the rows or columns, as fixed-width UTF-8; their numbers where none are given."""
    if ids is None:
        return encode_ids(range(n))
    known, codes = _numbered(ids, what)
    labels = known.take(codes)
    if len(labels) != n:
        raise DataError(f"There are {len(labels):,} {what} for {n:,} {axis}s.", f"Give one id a {axis}.")
    if len(known) != n:
        twice = known[np.bincount(codes) > 1][0].decode()
        raise DataError(f"'{twice}' is twice among the {what}.", f"Give each {axis} its own id.")
    return labels


def _times_of(matrix: Any, rows: np.ndarray, columns: np.ndarray, times: Any) -> np.ndarray:
    """Time of each stored entry."""
    if np.ndim(times) == 1 and not hasattr(times, "tocoo"):
        values = np.asarray(times)
        if len(values) != len(rows):
            raise DataError(
                f"There are {len(values):,} times for {len(rows):,} entries of the matrix.",
                "Give one an entry, in the order of its data, or a matrix of the same shape.",
            )
        return values
    if times.shape != matrix.shape:
        raise DataError(
            f"The times have the shape {times.shape}, the matrix has {matrix.shape}.", "Give equal shapes."
        )
    own_rows, own_columns, values = _entries(times, "The matrix of times")
    width = max(1, matrix.shape[1])
    keys, wanted = own_rows * width + own_columns, rows * width + columns
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    # The last one of repeated entries.
    place = np.searchsorted(keys, wanted, side="right") - 1
    found = (place >= 0) & (keys[np.maximum(place, 0)] == wanted) if len(keys) else np.zeros(len(rows), bool)
    if not found.all():
        first = int(np.flatnonzero(~found)[0])
        raise DataError(
            f"Row {rows[first]}, column {columns[first]} of the matrix has no time.",
            "Give times where the matrix has entries.",
        )
    return values[order[place]]


def _numbered(ids: Any, what: str) -> tuple[np.ndarray, np.ndarray]:
    """Distinct ids, fixed-width UTF-8 in ascending order, and the code (n,) int32 of each."""
    known, codes = _factorized(ids)
    if np.any(codes < 0):
        first = int(np.flatnonzero(codes < 0)[0])
        raise DataError(f"{_begin(what)}, position {first}: no id.", "Give every interaction both ids.")
    encoded = _encoded(known, codes, what)
    values, again = np.unique(encoded, return_inverse=True)
    again = again.reshape(-1).astype(np.int32)
    return values, again[codes]


def _factorized(ids: Any) -> tuple[list[Any], np.ndarray]:
    """Distinct values and the code (n,) int64 of each; −1 where one is missing."""
    if _is_of_pandas(ids):
        import pandas as pd

        # In mixed columns 1, 1.0 and True are one value for pandas.
        if pd.api.types.infer_dtype(ids, skipna=True) in ("string", "integer", "floating", "categorical"):
            codes, known = pd.factorize(ids)
            return list(known), np.asarray(codes, np.int64)
    elif isinstance(ids, np.ndarray) and ids.ndim == 1 and ids.dtype.kind in "iuSU":
        found, codes = np.unique(ids, return_inverse=True)
        return found.tolist(), codes.reshape(-1)
    values = list(ids)
    return values, np.arange(len(values))


def _is_of_pandas(values: Any) -> bool:
    return type(values).__module__.partition(".")[0] == "pandas"


def _encoded(known: list[Any], codes: np.ndarray, what: str) -> np.ndarray:
    texts = []
    for code, value in enumerate(known):
        try:
            text = value.decode() if isinstance(value, bytes) else id_text(value)
            data = (text or "").encode()
            wrong = "no id" if not text else "an id with NUL" if b"\0" in data else ""
        except TypeError as problem:
            wrong = f"{str(value)[:80]!r} is {problem}"
        except UnicodeError:
            wrong = "an id that is not UTF-8"
        if wrong:
            first = int(np.flatnonzero(codes == code)[0])
            raise DataError(f"{_begin(what)}, position {first}: {wrong}.", "Give ids as text.")
        texts.append(data)
    return np.array(texts, dtype=f"S{max(map(len, texts), default=1)}")


def _begin(what: str) -> str:
    return what[0].upper() + what[1:]


def _seconds(times: Any, form: str | None, what: str) -> tuple[np.ndarray, list[str]]:
    """Seconds of each time, (n,) int64, and what to say about how they were read."""
    values = _plain_times(times)
    column = TimeColumn(
        are_compact_dates(map(str, values[:1000])) and are_compact_dates(map(str, values)), form
    )
    read = column.read(values, np.arange(len(values)))
    if not read.good.all():
        first = int(np.flatnonzero(~read.good)[0])
        problem = "lies before 1970 or after 2099" if read.readable[first] else "is not a time"
        raise DataError(
            f"{_begin(what)}, position {first}: {values[first]!s:.80} {problem}.",
            "Mend or drop it, or name the form of the times with time_format.",
        )
    by_day = column.day_comes_first(what, "position")
    return read.by_day if by_day else read.by_month, column.notes()


def _plain_times(times: Any) -> list[Any]:
    """Times as `TimeColumn` reads them: text and numbers; moments become seconds, missing ones None."""
    values = times if hasattr(times, "dtype") else list(times)
    if not hasattr(times, "dtype") and values and all(isinstance(v, np.datetime64) for v in values):
        values = np.array(values)
    if str(getattr(values, "dtype", "")).startswith(("datetime64", "<M8", ">M8")):
        moments = np.asarray(values, dtype="datetime64[s]")  # those with a zone come out in UTC
        seconds = moments.astype(np.int64).tolist()
        return [None if missing else s for s, missing in zip(seconds, np.isnat(moments).tolist())]
    plain = values.tolist() if hasattr(values, "tolist") else list(values)
    return [value.isoformat() if isinstance(value, date) else value for value in plain]
