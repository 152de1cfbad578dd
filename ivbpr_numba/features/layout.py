"""What a feature file holds besides its matrix: ids, names, groups, and the checks they must pass."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ivbpr_numba.errors import DataError, UsageError, did_you_mean, parameter, shown
from ivbpr_numba.ids import Ids
from ivbpr_numba.kernels.arguments import Csr
from ivbpr_numba.store.atomic import PathLike
from ivbpr_numba.store.blocks import MATRIX
from ivbpr_numba.store.sparse import entry_rows
from ivbpr_numba.store.tree import Tree

__all__ = [
    "DTYPES",
    "FORMAT",
    "LAYOUTS",
    "PAYLOAD",
    "SPARSE_BELOW",
    "Columns",
    "Group",
    "all_finite",
    "check_attributes",
    "check_finite",
    "check_layout",
    "count_filled",
    "default_groups",
    "feature_tree",
    "is_sparse",
    "largest_sums",
    "layout_from",
    "sort_distinct",
]

FORMAT = "ivbpr-features"
KINDS = ("dense", "attributes")
DTYPES = ("float16", "float32", "uint8")
LAYOUTS = ("auto", "dense", "sparse")
# Share of values that are not zero below which `auto` lays attributes out sparse, and they are computed so.
# Of 40,000 rows of 200 halves with a tenth of them such, a sparse file has 23 % of the bytes of a dense one
# (33 % where they are not all 1). Reading and checking it takes .6 of the time (.8), reading and then taking
# all rows as dense ones 1.0 (1.5). From a share of .33 on (.5 for ones) the sparse file is the larger one.
SPARSE_BELOW = 0.1
PAYLOAD = (
    "/ids/items",
    "/names",
    "/groups/name",
    "/groups/offset",
    "/groups/exclusive",
    "/@kind",
    "/@scale",
    MATRIX,
)
_ATTRIBUTES = {"format", "format_version", "kind", "scale", "payload_sha256", "content_sha256"}


@dataclass(frozen=True)
class Group:
    """Consecutive columns that belong together.

    Attributes
    ----------
    name : str
        The catalogue column, for attributes.
    offset, size : int
        First column and number of columns.
    exclusive : bool
        Whether an item has one value (one-hot, soft-max) rather than any number of tags.
    """

    name: str
    offset: int
    size: int
    exclusive: bool


class Columns:
    """Finds columns by the names that people type.

    Parameters
    ----------
    names : sequence of str
    groups : sequence of Group
    """

    def __init__(self, names: Sequence[str], groups: Sequence[Group]) -> None:
        self._names = names
        self._by_name = {name: k for k, name in enumerate(names)}
        self._by_value: dict[str, list[int]] = {}
        for group in groups:
            start = f"{group.name}="
            for k in range(group.offset, group.offset + group.size):
                if names[k].startswith(start):
                    self._by_value.setdefault(names[k][len(start) :], []).append(k)

    def find(self, name: str) -> int:
        """Column number of a feature: its full name, or its value where that is unique.

        Raises
        ------
        UsageError
            Unknown or ambiguous; the hint names near misses or the candidates.
        """
        if not isinstance(name, str):
            raise UsageError(f"{shown(name)} is no name of a feature.", "Give it as text.")
        if name in self._by_name:
            return self._by_name[name]
        matches = self._by_value.get(name, [])
        if len(matches) == 1:
            return matches[0]
        if matches:
            which = " or ".join(f"'{self._names[k]}'" for k in matches)
            raise UsageError(
                f"The feature '{name}' is ambiguous: {len(matches):,} groups have it.", f"Name {which}."
            )
        hint = did_you_mean(name, [*self._names, *self._by_value])
        raise UsageError(f"Unknown feature '{name}'.", hint or "`ivbpr features info FILE` lists the groups.")


def check_layout(layout: str) -> None:
    """Refuse an unknown layout.

    Raises
    ------
    UsageError
    """
    if layout not in LAYOUTS:
        raise UsageError(f"Unknown layout '{layout}'.", f"Use {', '.join(LAYOUTS)}.")


def is_sparse(layout: str, kind: str, filled: int, shape: tuple[int, ...]) -> bool:
    """Whether rows are laid out sparse of which `filled` values are not zero.

    `auto` leaves the kind ``dense`` dense: that is what is computed with, mapped where it is large.
    """
    check_layout(layout)
    few = kind == "attributes" and filled < SPARSE_BELOW * shape[0] * shape[1]
    return layout == "sparse" or (layout == "auto" and few)


def count_filled(blocks: Iterable[np.ndarray], shape: tuple[int, ...]) -> int:
    """How many values of blocks of rows are not zero; counting ends where `auto` must choose dense."""
    count = 0
    for block in blocks:
        # NumPy counts halves one by one.
        count += int(np.count_nonzero(block.view(np.uint16) if block.dtype == np.float16 else block))
        if not is_sparse("auto", "attributes", count, shape):
            break
    return count


def default_groups(
    names: Sequence[str],
    kind: str,
    largest: Callable[[list[int]], np.ndarray],
    owners: Sequence[str] | None = None,
) -> list[Group]:
    """One group of all columns; for attributes named ``column=value`` a group for each run of columns.

    Parameters
    ----------
    names, kind
        As in `Features`.
    largest : callable
        Of the first columns of the groups: the largest sum of an item's values in each (`largest_sums`). A
        group of attributes is exclusive where it is not more than 1 (one-hot, soft-max).
    owners : sequence of str, optional
        The group of each column instead.

    Raises
    ------
    DataError
        Other than one owner a column, or one whose columns are not beside each other.
    """
    if owners is None:
        if kind != "attributes" or not all("=" in name for name in names):
            return [Group(kind, 0, len(names), False)]
        owners = [name.partition("=")[0] for name in names]
    elif len(owners) != len(names):
        raise DataError(
            f"{len(owners):,} names of groups for {len(names):,} columns.", "Name the group of each column."
        )
    else:
        runs = [owner for k, owner in enumerate(owners) if k == 0 or owner != owners[k - 1]]
        if len(set(runs)) < len(runs):
            split = next(owner for k, owner in enumerate(runs) if owner in runs[:k])
            raise DataError(f"The columns of the group '{split}' are apart.", "Put them beside each other.")
    starts = [k for k, owner in enumerate(owners) if k == 0 or owner != owners[k - 1]]
    one = largest(starts) <= 1.01 if kind == "attributes" else np.zeros(len(starts), bool)
    return [
        Group(owners[start], start, stop - start, bool(exclusive))
        for start, stop, exclusive in zip(starts, [*starts[1:], len(names)], one)
    ]


def largest_sums(rows: np.ndarray | Csr, columns: int, scale: float, starts: list[int]) -> np.ndarray:
    """The largest sum of a row's values within each group of columns, (G,) float64.

    Parameters
    ----------
    rows : (I, F) array, or Csr
        Stored values.
    columns : int
        F
    scale : float
    starts : list of int
        First column of each group, ascending, from 0.
    """
    if not isinstance(rows, Csr):
        stops = [*starts[1:], columns]
        sums = (rows[:, a:b].sum(axis=1, dtype=np.float64) for a, b in zip(starts, stops))
        return np.array([one.max(initial=0.0) for one in sums]) * scale
    largest = np.zeros(len(starts))
    if len(rows.indices):
        group = np.searchsorted(starts, rows.indices, side="right") - 1
        of = entry_rows(rows)
        first = np.concatenate([[0], np.flatnonzero((np.diff(of) != 0) | (np.diff(group) != 0)) + 1])
        weights = rows.values.astype(np.float64) if len(rows.values) else np.ones(len(group))
        np.maximum.at(largest, group[first], np.add.reduceat(weights, first))
    return largest * scale


def sort_distinct(encoded: np.ndarray, what: str) -> np.ndarray:
    """Order of ids by their UTF-8 bytes, int64 (n,).

    Raises
    ------
    DataError
        When an id occurs twice; both positions are named.
    """
    order = np.argsort(encoded, kind="stable")
    repeated = np.flatnonzero(encoded[order[1:]] == encoded[order[:-1]])
    if len(repeated):
        first, second = order[repeated[0]], order[repeated[0] + 1]
        raise DataError(
            f"{what}: {len(repeated):,} ids occur more than once; '{encoded[first].decode()}' "
            f"is row {first + 1:,} and row {second + 1:,}.",
            "Keep one row an item.",
        )
    return order


def all_finite(block: np.ndarray) -> bool:
    """Whether no value is NaN or infinite."""
    if block.dtype == np.float16:
        # numpy tests halves one by one; all exponent bits set means NaN or infinity.
        return not ((block.view(np.uint16) & 0x7C00) == 0x7C00).any()
    return bool(np.isfinite(block).all())


def check_finite(
    block: np.ndarray | Csr, items: Ids, names: Sequence[str], rows: np.ndarray | None = None
) -> None:
    """Raise DataError when a value is NaN or infinite, naming its item and column.

    `rows` are the rows of a block; a `Csr` holds all.
    """
    values = block.values if isinstance(block, Csr) else block
    if all_finite(values):
        return
    row, column, value = _first(block, ~np.isfinite(values))
    item = items[row if rows is None else int(rows[row])]
    raise DataError(
        f"The feature '{names[column]}' (column {column + 1:,}) of item '{item}' is {value}.",
        "Features must be finite; mend the input or leave that item out.",
    )


def check_attributes(block: np.ndarray | Csr, scale: float, items: Ids, names: Sequence[str]) -> None:
    """Raise DataError when an attribute is no share: below 0, or above 1 but for rounding."""
    if not isinstance(block, Csr):
        values = block
    else:
        values = block.values if len(block.values) else np.ones(len(block.indices), np.uint8)
    wrong = (values < 0) | (values * scale > 1.001)
    if not wrong.any():
        return
    row, column, value = _first(block, wrong)
    raise DataError(
        f"The attribute '{names[column]}' of item '{items[row]}' is {value * scale:g}; attributes go from 0, "
        "absent, to 1, there.",
        f"Other numbers are features of {parameter('kind', 'dense')}.",
    )


def _first(block: np.ndarray | Csr, wrong: np.ndarray) -> tuple[int, int, Any]:
    """Row, column and value of the first that is wrong; `wrong` marks values, or entries of a `Csr`."""
    if not isinstance(block, Csr):
        row, column = np.argwhere(wrong)[0].tolist()
        return row, column, block[row, column]
    entry = int(wrong.argmax())
    row = int(np.searchsorted(block.indptr, entry, side="right")) - 1
    return row, int(block.indices[entry]), block.values[entry] if len(block.values) else 1


def feature_tree(
    items: Ids,
    names: Sequence[str],
    groups: Sequence[Group],
    kind: str,
    scale: float,
    shape: tuple[int, ...],
    dtype: np.dtype,
    attrs: Mapping[str, str | int | float] | None = None,
    source: Mapping[str, Any] | None = None,
) -> Tree:
    """Check the parts of a feature file against each other and return all but the matrix.

    Raises
    ------
    UsageError
        An unknown kind or stored type.
    DataError
        No items or columns, repeated names, or names, groups and shape that disagree.
    """
    if kind not in KINDS:
        raise UsageError(f"Unknown kind of features '{kind}'.", f"Use {' or '.join(KINDS)}.")
    if dtype.name not in DTYPES:
        raise UsageError(f"Features can't be stored as {dtype}.", f"Use {', '.join(DTYPES)}.")
    if not np.isfinite(scale) or scale <= 0:
        raise DataError(f"The scale of features is {scale}.", "It must be a positive number.")
    if shape[0] == 0 or shape[1] == 0:
        raise DataError(
            f"There is nothing to store: {shape[0]} items, {shape[1]} columns.", "Check the filters."
        )
    if shape != (len(items), len(names)):
        raise DataError(f"{len(items):,} ids and {len(names):,} names for a {shape} matrix.", "One for each.")
    if len(set(names)) != len(names):
        repeated = next(name for k, name in enumerate(names) if name in names[:k])
        raise DataError(f"Two features are named '{repeated}'.", "Names must be distinct.")
    if any(not name or "\0" in name for name in names):
        raise DataError("A feature has an empty name or a NUL in it.", "Name every column.")
    ends = [group.offset + group.size for group in groups]
    if [group.offset for group in groups] != [0, *ends[:-1]] or ends[-1:] != [len(names)]:
        raise DataError(
            "The groups do not cover the columns one after the other.", "Check offsets and sizes."
        )
    tree = Tree(
        FORMAT,
        {
            "/ids/items": items.values,
            "/names": np.array([name.encode() for name in names]),
            "/groups/name": np.array([group.name.encode() for group in groups]),
            "/groups/offset": np.array([group.offset for group in groups], dtype=np.int64),
            "/groups/exclusive": np.array([group.exclusive for group in groups], dtype=np.uint8),
        },
        {**(attrs or {}), "kind": kind, "scale": float(scale)},
    )
    if source:
        tree.objects["/source"] = json.dumps(source, ensure_ascii=False, sort_keys=True)
    return tree


def layout_from(tree: Tree, shape: tuple[int, ...], path: PathLike) -> dict[str, Any]:
    """Read the parts back: the arguments of `Features` by name.

    Raises
    ------
    DataError
        A part is missing or they do not fit together.
    """
    try:
        names = [name.decode() for name in tree.array("/names").tolist()]
        offsets = tree.array("/groups/offset").tolist()
        groups = [
            Group(name.decode(), start, stop - start, bool(exclusive))
            for name, start, stop, exclusive in zip(
                tree.array("/groups/name").tolist(),
                offsets,
                [*offsets[1:], len(names)],
                tree.array("/groups/exclusive").tolist(),
                strict=True,
            )
        ]
        layout = {
            "items": Ids(tree.array("/ids/items"), "item"),
            "scale": float(tree.attrs["scale"]),
            "names": names,
            "groups": groups,
            "kind": str(tree.attrs["kind"]),
            "payload_sha256": str(tree.attrs["payload_sha256"]),
            "attrs": {name: value for name, value in tree.attrs.items() if name not in _ATTRIBUTES},
            "source": json.loads(tree.text("/source")) if "/source" in tree.objects else {},
        }
    except (KeyError, TypeError, ValueError, AttributeError) as problem:
        raise DataError(
            f"'{path}' lacks a part of a feature file ({problem}).", "Make it again."
        ) from problem
    # The writer's checks hold for what was read as well.
    feature_tree(layout["items"], names, groups, layout["kind"], layout["scale"], shape, np.dtype(np.float32))
    return layout
