"""The prepared data of one experiment: ids, the three parts of the split, item columns; and its file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any
from urllib.parse import unquote

import numpy as np

from ivbpr_numba.datasets.growing import grown, moved
from ivbpr_numba.datasets.interactions import Interactions, Parts
from ivbpr_numba.datasets.item_cells import columns_of_frame
from ivbpr_numba.datasets.memory import pairs_of, pairs_of_frame, pairs_of_matrix
from ivbpr_numba.datasets.pairs import Pairs, assemble
from ivbpr_numba.datasets.showing import as_html
from ivbpr_numba.errors import DataError
from ivbpr_numba.ids import Ids
from ivbpr_numba.store.atomic import Lock, PathLike
from ivbpr_numba.store.digest import digest_objects
from ivbpr_numba.store.files import read_tree, write_tree
from ivbpr_numba.store.tree import Tree, Value

__all__ = ["Dataset", "column_path"]

FORMAT = "ivbpr-dataset"
PARTS = ("train", "valid", "test")
COLUMNS = "/items/"


def column_path(name: str) -> str:
    """Path of an item column in a file; ``/``, ``%`` and ``.`` are written as ``%2F``, ``%25``, ``%2E``."""
    return COLUMNS + name.replace("%", "%25").replace("/", "%2F").replace(".", "%2E")


class Dataset:
    """What `fit` learns from and `auc` asks about.

    Attributes
    ----------
    users, items : Ids
        Sorted by their UTF-8 bytes; a row number is the position here.
    train, valid, test : Interactions
        `valid` and `test` hold at most one item a user.
    item_columns : dict of str to ndarray (I,) of bytes
        Columns worth showing, UTF-8, by item row; "title" where it is known.
    source : dict
        Where the data come from: inputs with digests, filters, what was dropped and why, split, seed,
        ``has_times``. Fit for JSON.
    """

    def __init__(
        self,
        users: Ids,
        items: Ids,
        train: Interactions,
        valid: Interactions,
        test: Interactions,
        item_columns: dict[str, np.ndarray] | None = None,
        source: dict[str, Any] | None = None,
    ) -> None:
        self.users = users
        self.items = items
        self.train = train
        self.valid = valid
        self.test = test
        self.item_columns = dict(item_columns or {})
        self.source = dict(source or {})

    def __repr__(self) -> str:
        return (
            f"Dataset({len(self.users):,} users, {len(self.items):,} items, "
            f"{len(self.train):,} / {len(self.valid):,} / {len(self.test):,} interactions)"
        )

    def _repr_html_(self) -> str:
        return as_html(self)

    @cached_property
    def train_counts(self) -> np.ndarray:
        """Training pairs of each item, (I,) int64."""
        return np.bincount(self.train.indices, minlength=len(self.items)).astype(np.int64)

    @property
    def has_times(self) -> bool:
        """Whether the interactions carry times."""
        return bool(self.source.get("has_times", False))

    @cached_property
    def payload_sha256(self) -> str:
        """Digest of ids, split, times and item columns: equal for equal data, wherever they came from."""
        return digest_objects(self.objects())

    @classmethod
    def from_pairs(
        cls,
        users: Iterable[object],
        items: Iterable[object],
        times: Iterable[object] | None = None,
        split: str = "random",
        seed: int = 0,
        min_interactions: int = 1,
        time_format: str | None = None,
    ) -> Dataset:
        """Build from interactions in memory, in any order.

        Parameters
        ----------
        users, items : iterables of text or integers
            Ids; integers become text, also where they are stored as floats: 1.0 and 1 are "1".
        times : iterable, optional
            Unix time in seconds or finer units, dates as text, ``datetime``, or ``datetime64``.
        split : str
            ``random``, ``last`` or ``time``; see `split.split_pairs`.
        seed : int
            Of the random split, and of the draws among equal times.
        min_interactions : int
            Users with fewer distinct items are dropped; fewer than three can't be split.
        time_format : str, optional
            Form of the times as in `datetime.strptime`, such as ``%d/%m/%Y``.

        Raises
        ------
        UsageError
            Unknown split, or one that needs times.
        DataError
            Ids that are missing or no ids, unreadable times, lengths that differ, nobody left.

        Examples
        --------
        >>> from ivbpr_numba import Dataset
        >>> Dataset.from_pairs(["ann", "ann", "ann", "bob", "bob", "bob"], [1, 2, 3, 1, 2, 4])
        Dataset(2 users, 4 items, 2 / 2 / 2 interactions)
        """
        pairs = pairs_of(users, items, times, time_format)
        return cls.of(assemble(pairs, split=split, seed=seed, min_interactions=min_interactions))

    @classmethod
    def from_frame(
        cls,
        frame: Any,
        user: str,
        item: str,
        time: str | None = None,
        split: str = "random",
        seed: int = 0,
        min_interactions: int = 1,
        time_format: str | None = None,
    ) -> Dataset:
        """Build from a data frame with one row an interaction.

        Parameters
        ----------
        frame : DataFrame
            Of pandas, or another one that has ``columns`` and gives a column for its name.
        user, item, time : str
            Names of its columns; any other column is left alone. Ids may be text, integers (nullable ones
            too), whole numbers stored as floats, or categories.
        split, seed, min_interactions, time_format
            As in `from_pairs`.

        Raises
        ------
        UsageError, DataError
            As `from_pairs`, with the name of the column; or it has no such column.

        Examples
        --------
        >>> import pandas as pd
        >>> from ivbpr_numba import Dataset
        >>> frame = pd.DataFrame({"who": ["ann"] * 4, "what": [7, 8, 9, 9], "when": ["2024-01-05"] * 4})
        >>> Dataset.from_frame(frame, user="who", item="what", time="when", split="last")
        Dataset(1 users, 3 items, 1 / 1 / 1 interactions)
        """
        pairs = pairs_of_frame(frame, user, item, time, time_format)
        return cls.of(assemble(pairs, split=split, seed=seed, min_interactions=min_interactions))

    @classmethod
    def from_matrix(
        cls,
        matrix: Any,
        users: Iterable[object] | None = None,
        items: Iterable[object] | None = None,
        times: Any = None,
        split: str = "random",
        seed: int = 0,
        min_interactions: int = 1,
    ) -> Dataset:
        """Build from a matrix of users × items; what is not zero is an interaction.

        Parameters
        ----------
        matrix : SciPy sparse matrix or array of any layout, or 2-D array
        users, items : iterables of ids, optional
            Of the rows and columns, distinct; without them their numbers "0", "1", …
        times : matrix or sequence, optional
            Of the same shape, with a time where `matrix` has an entry; or one time for each stored entry of
            `matrix`, in the order of its data. Understood as in `from_pairs`.
        split, seed, min_interactions
            As in `from_pairs`.

        Raises
        ------
        UsageError, DataError
            As `from_pairs`; or shapes and lengths that don't fit, repeated ids, NaN.
        """
        pairs = pairs_of_matrix(matrix, users, items, times)
        return cls.of(assemble(pairs, split=split, seed=seed, min_interactions=min_interactions))

    def with_items(
        self, frame: Any, *, id: str, title: str | None = None, keep: str | Sequence[str] = ()
    ) -> Dataset:
        """The same data, with what is known of the items: titles to show, columns for ``where=``.

        Parameters
        ----------
        frame : DataFrame
            One row an item; of several the first counts, and items without one get empty cells.
        id, title : str
            Its columns of item ids and of titles.
        keep : str or sequence of str
            Its columns to keep, as text of at most 200 characters.

        Returns
        -------
        Dataset
            A new one; item columns of this one stay where no new one has their name.

        Examples
        --------
        >>> import pandas as pd
        >>> from ivbpr_numba import Dataset
        >>> data = Dataset.from_pairs(["a", "a", "a"], ["x", "y", "z"])
        >>> items = pd.DataFrame({"item": ["x", "y"], "name": ["Boots", "Coat"], "hue": ["red", "blue"]})
        >>> data.with_items(items, id="item", title="name", keep="hue").item_columns["title"].tolist()
        [b'Boots', b'Coat', b'']

        Raises
        ------
        UsageError
            No column was chosen.
        DataError
            The frame lacks a column, has a cell of several values, or no item of these data.
        """
        columns = columns_of_frame(self.items, frame, id, title, keep)
        parts = (self.users, self.items, self.train, self.valid, self.test)
        return Dataset(*parts, {**self.item_columns, **columns}, self.source)

    def with_pairs(
        self,
        users: Iterable[object],
        items: Iterable[object],
        times: Iterable[object] | None = None,
        split: str = "train",
        seed: int = 0,
        min_interactions: int = 1,
        time_format: str | None = None,
    ) -> Dataset:
        """The same data with more purchases, for `Model.partial_fit`.

        What is there keeps its id, its part of the split and its time; a pair of user and item that is there
        already changes nothing. Rows move, because ids stay sorted.

        Parameters
        ----------
        users, items, times, time_format
            As in `from_pairs`.
        split : str
            ``train``: all new purchases are for training. ``random`` or ``last``: of each new user with at
            least three new items one validates and one tests, as in `from_pairs`.
        seed : int
            Of the split.
        min_interactions : int
            New users with fewer different items are left out.

        Returns
        -------
        Dataset
            A new one; ``source["report"]`` tells what became of the new purchases. New items have empty
            cells in the item columns.

        Raises
        ------
        UsageError, DataError
            As `from_pairs`; or the data have times and the purchases none.

        Examples
        --------
        >>> from ivbpr_numba import Dataset
        >>> data = Dataset.from_pairs(["ann", "ann", "ann", "bob", "bob", "bob"], [1, 2, 3, 1, 2, 4])
        >>> data.with_pairs(["ann", "cleo"], [4, 5])
        Dataset(3 users, 5 items, 4 / 2 / 2 interactions)
        """
        return self.grown(pairs_of(users, items, times, time_format), split, seed, min_interactions)

    def grown(self, pairs: Pairs, split: str, seed: int, min_interactions: int) -> Dataset:
        """The same with purchases that were read; see `with_pairs`."""
        found = Dataset.of(grown(self, pairs, split, seed, min_interactions))
        found.item_columns = moved(self.item_columns, self.items, found.items)
        return found

    @classmethod
    def of(cls, parts: Parts) -> Dataset:
        """What `pairs.assemble` found."""
        return cls(parts.users, parts.items, parts.train, parts.valid, parts.test, source=parts.source)

    def objects(self) -> dict[str, Value]:
        """Ids, split, times and item columns as a file of any kind holds them, by path."""
        objects: dict[str, Value] = {"/ids/users": self.users.values, "/ids/items": self.items.values}
        for name in PARTS:
            part: Interactions = getattr(self, name)
            objects[f"/split/{name}/indptr"] = part.indptr
            objects[f"/split/{name}/indices"] = part.indices
            objects[f"/split/{name}/times"] = part.times
        for name, column in self.item_columns.items():
            objects[column_path(name)] = column
        return objects

    def write(self, path: PathLike, keep_lock: Lock | None = None) -> str:
        """Write the dataset file atomically and return its ``payload_sha256``.

        Raises
        ------
        UsageError, EnvironmentProblem
            See `store.files.write_tree`.
        """
        payload = self.objects()
        objects = {
            **payload,
            "/interactions/count": self.train_counts,
            "/source": json.dumps(self.source, ensure_ascii=False, sort_keys=True),
        }
        return write_tree(path, Tree(FORMAT, objects), payload=list(payload), keep_lock=keep_lock)

    @classmethod
    def read(cls, path: PathLike) -> Dataset:
        """Read a dataset file.

        Raises
        ------
        UsageError
            The file does not exist.
        DataError
            It is damaged, of another kind or version, or contradicts itself.
        """
        tree = read_tree(path, FORMAT)
        try:
            source = json.loads(tree.text("/source"))
            if not isinstance(source, dict):
                raise ValueError("/source is not a JSON object")
            data = cls.from_tree(tree, source)
        except (KeyError, TypeError, ValueError) as problem:
            what = f"{problem.args[0]} is missing" if isinstance(problem, KeyError) else str(problem)
            raise DataError(
                f"'{path}' is a dataset file that contradicts itself: {what}.", "Prepare the data again."
            ) from problem
        if data.payload_sha256 != tree.attrs["payload_sha256"]:
            raise DataError(f"The payload digest of '{path}' is wrong.", "Prepare the data again.")
        return data

    @classmethod
    def from_tree(cls, tree: Tree, source: dict[str, Any]) -> Dataset:
        """Take what `objects` gave out of a tree and check that it fits together.

        Raises
        ------
        KeyError, TypeError, ValueError
            A part is missing, of another type, or contradicts another; also a DataError of the ids.
        """
        users = Ids(tree.array("/ids/users"), "user")
        items = Ids(tree.array("/ids/items"), "item")
        train, valid, test = (_read_part(tree, name, len(users), len(items)) for name in PARTS)
        return cls(users, items, train, valid, test, _read_columns(tree, len(items)), source)


def _read_part(tree: Tree, name: str, n_users: int, n_items: int) -> Interactions:
    where = f"/split/{name}"
    indptr = tree.array(f"{where}/indptr")
    indices = tree.array(f"{where}/indices")
    times = tree.array(f"{where}/times")
    wanted = {"indptr": (indptr, np.int64), "indices": (indices, np.int32), "times": (times, np.int64)}
    for key, (array, dtype) in wanted.items():
        if array.ndim != 1 or array.dtype != dtype:
            raise ValueError(f"{where}/{key} is not a row of {np.dtype(dtype).name}")
    sizes = np.diff(indptr)
    if len(indptr) != n_users + 1 or indptr[0] != 0 or np.any(sizes < 0) or indptr[-1] != len(indices):
        raise ValueError(f"{where}/indptr does not fit its users and indices")
    if len(times) != len(indices):
        raise ValueError(f"{where}/times does not fit its indices")
    if len(indices) and (indices.min() < 0 or indices.max() >= n_items):
        raise ValueError(f"{where}/indices names items that do not exist")
    within = np.ones(len(indices), dtype=bool)
    within[indptr[:-1][sizes > 0]] = False
    if np.any(np.diff(indices, prepend=indices[:1])[within] <= 0):
        raise ValueError(f"{where}/indices is not ascending within each user")
    if name != "train" and np.any(sizes > 1):
        raise ValueError(f"{where} holds more than one item of a user")
    return Interactions(indptr, indices, times)


def _read_columns(tree: Tree, n_items: int) -> dict[str, np.ndarray]:
    columns = {}
    for path in sorted(tree.objects):
        if path.startswith(COLUMNS):
            column = tree.array(path)
            if column.dtype.kind != "S" or column.shape != (n_items,):
                raise ValueError(f"{path} is not one text per item")
            columns[unquote(path.removeprefix(COLUMNS))] = column
    return columns
