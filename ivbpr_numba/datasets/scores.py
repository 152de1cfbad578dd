"""Scores that another program wrote, in the order of a dataset's users and items."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ivbpr_numba import expected
from ivbpr_numba.errors import DataError, UsageError
from ivbpr_numba.readers.id_index import IdIndex
from ivbpr_numba.readers.tables import open_table
from ivbpr_numba.store.atomic import PathLike, os_problem

if TYPE_CHECKING:
    from ivbpr_numba.datasets.dataset import Dataset

__all__ = ["open_scores"]

COLUMNS = ("user", "item", "score")
HEADER = "Its header must be user,item,score."
ENDINGS = tuple(kind + packed for kind in (".csv", ".tsv") for packed in ("", ".gz", ".zst"))


def open_scores(scores: Any, data: Dataset) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function from user rows (n,) to score rows (n, I) float32 or float64.

    Parameters
    ----------
    scores : path or (U, I) array or data frame
        ``.npy`` (mapped, not read), or text with the columns user, item, score, also gzip or zstd. There
        every candidate of every user with a held-out item must be named, the held-out item too.
    data : Dataset

    Raises
    ------
    UsageError
        No such file, or a name that is neither ``.npy`` nor ``.csv``/``.tsv``.
    DataError
        Another shape or type, unknown ids, repeated or missing pairs, NaN.
    """
    shape = (len(data.users), len(data.items))
    if not isinstance(scores, str | os.PathLike):
        matrix, name = _in_memory(scores, data), "The scores"
    else:
        name = f"'{scores}'"
        if not os.path.isfile(scores):
            raise UsageError(f"The scores {name} do not exist.", "Check the path.")
        plain = os.fspath(scores).lower()
        if plain.endswith(".npy"):
            matrix = _mapped(scores)
        elif plain.endswith(ENDINGS):
            matrix = _from_table(scores, data)
        else:
            raise UsageError(f"The scores {name} are neither .npy nor .csv.", "Name such a file.")
    if matrix.shape != shape:
        raise DataError(
            f"{name} have the shape {matrix.shape}, the dataset has {shape[0]:,} users × {shape[1]:,} items.",
            "One row a user and one column an item, in the order of /ids/users and /ids/items.",
        )
    if matrix.dtype.kind not in "fiu":
        raise DataError(f"{name} are of type {matrix.dtype}.", "Give numbers.")

    def rows(users: np.ndarray) -> np.ndarray:
        part = np.asarray(matrix[users])
        if part.dtype not in (np.float32, np.float64):
            part = part.astype(np.float64)
        _refuse_missing(part, users, data, name)
        return part

    return rows


def _in_memory(scores: Any, data: Dataset) -> np.ndarray:
    """An array, or a frame whose labels, where they are ids, are those of the dataset in their order."""
    if hasattr(scores, "columns"):
        for labels, ids in ((scores.index, data.users), (scores.columns, data.items)):
            given = [str(label) for label in labels]
            if given not in (ids.texts(), [str(k) for k in range(len(given))]):
                raise DataError(
                    f"The scores are labelled otherwise than the {ids.what}s of the dataset.",
                    "Bring them in order: frame.reindex(index=data.users, columns=data.items).",
                )
        return scores.to_numpy()
    if hasattr(scores, "toarray"):
        raise UsageError(
            "The scores are a sparse matrix, and every candidate needs one.", "Give scores.toarray()."
        )
    if np.ma.is_masked(scores):
        raise DataError("The scores have masked cells.", "Every candidate needs a score.")
    try:
        matrix = np.asarray(scores)
    except ValueError:
        matrix = np.array(None)
    if matrix.ndim != 2:
        raise UsageError(
            f"The scores are {expected.kind_of(scores)}, not a table of users × items.",
            "Give a two-dimensional array, a data frame, or the path of a .npy or .csv file.",
        )
    return matrix


def _mapped(path: PathLike) -> np.ndarray:
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except OSError as problem:
        raise os_problem(problem, path, "read") from problem
    except (ValueError, EOFError) as problem:
        raise DataError(f"'{path}' is not a NumPy file ({problem}).", "Save it with numpy.save.") from problem


def _refuse_missing(part: np.ndarray, users: np.ndarray, data: Dataset, name: str) -> None:
    """NaN is an error where an item is a candidate or the held-out item; training items may be NaN."""
    for place, item in np.argwhere(np.isnan(part)).tolist():
        user = int(users[place])
        lo, hi = data.train.indptr[user], data.train.indptr[user + 1]
        if item not in data.train.indices[lo:hi]:
            raise DataError(
                f"{name}: user '{data.users[user]}' and item '{data.items[item]}' have no score, or NaN.",
                "Give a score for every candidate of every user.",
            )


def _from_table(path: PathLike, data: Dataset) -> np.ndarray:
    import pandas as pd

    try:
        table = open_table(path)
    except DataError as problem:
        what = problem.message.rstrip(".")
        raise DataError(f"'{path}' is not a readable table ({what}).", HEADER) from problem
    for column in COLUMNS:
        if column not in table.columns:
            raise DataError(f"'{path}' has no column '{column}'.", HEADER)
    matrix = np.full((len(data.users), len(data.items)), np.nan, np.float64)
    seen = np.zeros(matrix.shape, dtype=bool)
    known_users, known_items = IdIndex.of(data.users.values), IdIndex.of(data.items.values)
    for lines, values in table.strict_chunks(COLUMNS):
        users, items = known_users.find(values[0]), known_items.find(values[1])
        numbers = pd.to_numeric(pd.Series(values[2], dtype=object), errors="coerce").to_numpy(np.float64)
        for what, wrong in (
            ("an unknown user", users < 0),
            ("an unknown item", items < 0),
            ("a score that is no number", np.isnan(numbers)),
        ):
            if wrong.any():
                raise DataError(
                    f"'{path}', line {lines[int(np.flatnonzero(wrong)[0])]}: {what}.",
                    "Use the ids of the dataset and finite numbers.",
                )
        key = np.stack([users, items])
        if seen[users, items].any() or len(np.unique(key, axis=1).T) != len(users):
            raise DataError(f"'{path}' holds a pair of user and item twice.", "Keep one score a pair.")
        matrix[users, items] = numbers
        seen[users, items] = True
    return matrix
