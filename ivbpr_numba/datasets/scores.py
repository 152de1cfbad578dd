"""Scores that another program wrote, in the order of a dataset's users and items."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from ivbpr_numba.errors import DataError, UsageError
from ivbpr_numba.ids import encode_ids
from ivbpr_numba.store.atomic import PathLike, os_problem

if TYPE_CHECKING:
    from ivbpr_numba.datasets.dataset import Dataset

__all__ = ["open_scores"]

CSV_ROWS = 500_000  # lines parsed at once


def open_scores(scores: PathLike | np.ndarray, data: Dataset) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function from user rows (n,) to score rows (n, I) float32 or float64.

    Parameters
    ----------
    scores : path or (U, I) array
        ``.npy`` (mapped, not read), or text with the columns user, item, score. In a CSV every candidate of
        every user with a held-out item must be there, the held-out item too.
    data : Dataset

    Raises
    ------
    UsageError
        No such file, or a name that is neither ``.npy`` nor ``.csv``/``.tsv``.
    DataError
        Another shape or type, unknown ids, repeated or missing pairs, NaN.
    """
    shape = (len(data.users), len(data.items))
    if isinstance(scores, np.ndarray):
        matrix, name = scores, "The scores"
    else:
        name = f"'{scores}'"
        if not os.path.isfile(scores):
            raise UsageError(f"The scores {name} do not exist.", "Check the path.")
        suffix = os.path.splitext(os.fspath(scores))[1].lower()
        if suffix == ".npy":
            matrix = _mapped(scores)
        elif suffix in (".csv", ".tsv"):
            matrix = _from_table(scores, data, "\t" if suffix == ".tsv" else ",")
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


def _from_table(path: PathLike, data: Dataset, separator: str) -> np.ndarray:
    import pandas as pd

    matrix = np.full((len(data.users), len(data.items)), np.nan, np.float64)
    seen = np.zeros(matrix.shape, dtype=bool)
    try:
        pieces = pd.read_csv(path, sep=separator, dtype=str, chunksize=CSV_ROWS, keep_default_na=False)
        line = 2
        for piece in pieces:
            missing = [column for column in ("user", "item", "score") if column not in piece.columns]
            if missing:
                raise DataError(
                    f"'{path}' has no column '{missing[0]}'.", "Its header must be user,item,score."
                )
            users = data.users.find(encode_ids(piece["user"]))
            items = data.items.find(encode_ids(piece["item"]))
            values = pd.to_numeric(piece["score"], errors="coerce").to_numpy(np.float64)
            for what, wrong in (
                ("an unknown user", users < 0),
                ("an unknown item", items < 0),
                ("a score that is no number", np.isnan(values)),
            ):
                if wrong.any():
                    first = int(np.flatnonzero(wrong)[0])
                    raise DataError(
                        f"'{path}', line {line + first}: {what}.",
                        "Use the ids of the dataset and finite numbers.",
                    )
            key = np.stack([users, items])
            if seen[users, items].any() or len(np.unique(key, axis=1).T) != len(users):
                raise DataError(f"'{path}' holds a pair of user and item twice.", "Keep one score a pair.")
            matrix[users, items] = values
            seen[users, items] = True
            line += len(piece)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as problem:
        text = " ".join(str(problem).split())
        raise DataError(
            f"'{path}' is not a readable table ({text}).", "Its header must be user,item,score."
        ) from problem
    return matrix
