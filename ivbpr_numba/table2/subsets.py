"""The corpora of the table: all of the data, then those of some of its items, each for itself.

A sub-corpus is what it is in the paper: the purchases of its items alone, users with enough of them there, a
split of its own. Another run is another split of the same purchases, where the split is drawn at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ivbpr_numba.datasets.categories import in_category
from ivbpr_numba.datasets.resplit import is_random, only_items, split_again
from ivbpr_numba.datasets.split import MIN_ITEMS
from ivbpr_numba.errors import UsageError, did_you_mean, parameter

if TYPE_CHECKING:
    from ivbpr_numba.datasets.dataset import Dataset

__all__ = ["Subset", "choose_subsets", "data_of", "varies"]

WHOLE = "all items"


@dataclass(frozen=True)
class Subset:
    """One corpus.

    Attributes
    ----------
    name : str
        What its rows are called.
    column, value : str
        Items whose item column has this value, or that lie in this category where the column is
        ``categories``; both empty for all items.
    """

    name: str
    column: str = ""
    value: str = ""

    def as_dict(self) -> dict[str, str]:
        """As plain data."""
        return asdict(self)

    def items(self, data: Dataset) -> np.ndarray:
        """Which items belong to it, (I,) bool."""
        if not self.column:
            return np.ones(len(data.items), bool)
        if self.column == "categories":
            return in_category(data, self.value)
        return data.item_columns[self.column] == self.value.encode()


def choose_subsets(
    data: Dataset, by: str | None, category: Sequence[str], min_users: int, min_interactions: int
) -> tuple[list[Subset], list[dict[str, Any]]]:
    """All items, then the categories that are named, or the values of a column from many users to few.

    Parameters
    ----------
    data : Dataset
    by : str or None
        An item column.
    category : sequence of str
        Categories of Amazon's metadata.
    min_users : int
        With fewer users, each with `min_interactions` different items there, a value is left out.
    min_interactions : int

    Returns
    -------
    list of Subset
    list of dict
        ``subset users why`` of those left out.

    Raises
    ------
    UsageError
        Both ways at once, no such column, no such category, or data without either.
    """
    if by is not None and category:
        raise UsageError(
            f"{parameter('by', by)} and {parameter('category')} both divide the items.", "Choose one."
        )
    wanted = [Subset(name, "categories", name) for name in dict.fromkeys(category)]
    if by is not None:
        wanted = [Subset(f"{by}={value}", by, value) for value in _values(data, by)]
    chosen, left_out = [], []
    for subset in wanted:
        users = _users(data, subset.items(data), max(min_interactions, MIN_ITEMS))
        if users >= min_users:
            chosen.append((users, subset))
        else:
            why = f"fewer than {min_users} users with {min_interactions} items there"
            left_out.append({"subset": subset.name, "users": users, "why": why})
    if by is not None:
        chosen.sort(key=lambda one: (-one[0], one[1].name))
        empty = int(np.count_nonzero(data.item_columns[by] == b""))
        if empty:
            left_out.append({"subset": f"{by}=", "users": 0, "why": f"{empty:,} items have no value"})
    return [Subset(WHOLE), *(subset for _, subset in chosen)], left_out


def _values(data: Dataset, by: str) -> list[str]:
    known = data.item_columns
    if by not in known:
        hint = did_you_mean(by, known) or (
            f"There are {', '.join(known)}." if known else f"Keep one with {parameter('keep', of='prepare')}."
        )
        raise UsageError(f"The data have no item column '{by}'.", hint)
    return [value.decode() for value in np.unique(known[by]).tolist() if value]


def _users(data: Dataset, chosen: np.ndarray, least: int) -> int:
    counts = np.zeros(len(data.users), np.int64)
    for part in (data.train, data.valid, data.test):
        counts += np.bincount(part.users[chosen[part.indices]], minlength=len(data.users))
    return int(np.count_nonzero(counts >= least))


def varies(data: Dataset) -> str:
    """What another run changes."""
    return "split and start" if is_random(data) else "start"


def data_of(data: Dataset, subset: Subset, run: int, min_interactions: int) -> Dataset:
    """The corpus in one run; run 0 has the seed of the data's own split.

    Raises
    ------
    UsageError
        The data don't say how they were split.
    """
    seed = int(data.source.get("seed", 0)) + (run if is_random(data) else 0)
    if subset.column:
        return only_items(data, subset.items(data), seed, min_interactions)
    return split_again(data, seed) if run and is_random(data) else data
