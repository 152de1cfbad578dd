"""What the items of the built-in world are called, and the files a shop would have of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ivbpr_numba.ids import Ids

__all__ = ["AttributeTable", "catalogue_csv", "column_names", "purchases_csv"]

_NAMES = {
    "garment": "dress jeans jumpsuit blouse skirt coat sweater t-shirt trousers blazer shorts cardigan",
    "material": "leather denim silk cotton wool linen velvet viscose",
    "pattern": "plain floral striped checked dotted paisley",
    "colour": "black white red blue green yellow pink grey brown beige purple orange",
    "fit": "regular slim loose oversized cropped",
    "tags": "distressed flared hooded pleated embroidered ruffled",
}
TAGS = "tags"
_ROWS_A_PIECE = 20_000


def value_names(group: str, size: int) -> list[str]:
    """Names of a group's values: the built-in ones as far as they go, then numbered ones."""
    known = _NAMES.get(group, "").split()
    return known[:size] + [f"{group}-{n + 1}" for n in range(len(known), size)]


def column_names(groups: Sequence[tuple[str, int]], n_tags: int) -> list[str]:
    """Names of all columns, ``"garment=dress"`` and ``"tags=flared"``."""
    sized = [*groups, (TAGS, n_tags)]
    return [f"{group}={value}" for group, size in sized for value in value_names(group, size)]


@dataclass(frozen=True)
class AttributeTable:
    """Attributes of all items as a sparse binary matrix with named columns.

    Attributes
    ----------
    groups : tuple of (str, int)
        Exclusive groups and their sizes, in column order; every item has one value of each.
    n_tags : int
        Number of tags; their columns come last and are not exclusive.
    indptr : ndarray of int64, shape (I + 1,)
    columns : ndarray of uint16
        Columns of item i are ``columns[indptr[i]:indptr[i + 1]]``, ascending: one a group, then its tags.
    """

    groups: tuple[tuple[str, int], ...]
    n_tags: int
    indptr: np.ndarray
    columns: np.ndarray

    def __len__(self) -> int:
        return len(self.indptr) - 1

    @property
    def values(self) -> list[str]:
        """Value behind each column, without its group."""
        sized = [*self.groups, (TAGS, self.n_tags)]
        return [value for group, size in sized for value in value_names(group, size)]

    @property
    def names(self) -> list[str]:
        """Column names, ``"garment=dress"`` and ``"tags=flared"``."""
        return column_names(self.groups, self.n_tags)

    @property
    def layout(self) -> list[tuple[str, int, int, bool]]:
        """Groups as (name, first column, size, exclusive)."""
        out, offset = [], 0
        for name, size in self.groups:
            out.append((name, offset, size, True))
            offset += size
        return [*out, (TAGS, offset, self.n_tags, False)] if self.n_tags else out

    def dense(self, rows: np.ndarray | Sequence[int] | slice = slice(None)) -> np.ndarray:
        """Return the matrix of some items, uint8 of shape (n, F)."""
        wanted = np.arange(len(self))[rows]
        out = np.zeros((len(wanted), len(self.names)), dtype=np.uint8)
        sizes = np.diff(self.indptr)[wanted]
        within = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        out[
            np.repeat(np.arange(len(wanted)), sizes),
            self.columns[np.repeat(self.indptr[wanted], sizes) + within],
        ] = 1
        return out

    def padded(self) -> np.ndarray:
        """Return the columns of all items as a table (I, W) of uint16, filled up with F."""
        sizes = np.diff(self.indptr)
        out = np.full((len(self), sizes.max(initial=0)), len(self.names), dtype=np.uint16)
        out[np.arange(out.shape[1]) < sizes[:, None]] = self.columns
        return out


def catalogue_csv(items: Ids, table: AttributeTable) -> Iterator[bytes]:
    """Pieces of ``catalogue.csv``: id, title, one column a group, tags joined by ``;``.

    The title reads as a shop would write it: tags and the last group first, the kind of garment last.
    """
    yield (",".join(["id", "title", *(name for name, _ in table.groups), TAGS]) + "\n").encode()
    values, n_groups = table.values, len(table.groups)
    for start in range(0, len(items), _ROWS_A_PIECE):
        ends = table.indptr[start : start + _ROWS_A_PIECE + 1]
        words = [values[column] for column in table.columns[ends[0] : ends[-1]].tolist()]
        bounds = (ends - ends[0]).tolist()
        lines = []
        for name, begin, end in zip(items[start : start + _ROWS_A_PIECE], bounds, bounds[1:]):
            exclusive, tags = words[begin : begin + n_groups], words[begin + n_groups : end]
            title = " ".join(tags + exclusive[::-1])
            title = title[:1].upper() + title[1:]
            lines.append(",".join([name, title, *exclusive, ";".join(tags)]) + "\n")
        yield "".join(lines).encode()


def purchases_csv(users: Ids, items: Ids, rows: tuple[np.ndarray, np.ndarray, np.ndarray]) -> Iterator[bytes]:
    """Pieces of ``purchases.csv``: user, item, time in unix seconds, in order of time."""
    yield b"user,item,time\n"
    user_rows, item_rows, times = rows
    order = np.lexsort((user_rows, times))
    for start in range(0, len(order), _ROWS_A_PIECE):
        part = order[start : start + _ROWS_A_PIECE]
        columns = (
            users.values[user_rows[part]].tolist(),
            items.values[item_rows[part]].tolist(),
            times[part].tolist(),
        )
        yield b"".join(b"%s,%s,%d\n" % row for row in zip(*columns))
