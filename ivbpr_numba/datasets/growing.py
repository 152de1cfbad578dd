"""More purchases for data that are split already: everything known keeps its id and its part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ivbpr_numba import expected
from ivbpr_numba.datasets.interactions import Interactions, Parts
from ivbpr_numba.datasets.split import MIN_ITEMS, SPLITS, TEST, TRAIN, VALID, split_pairs
from ivbpr_numba.errors import DataError, UsageError, did_you_mean, parameter
from ivbpr_numba.ids import Ids
from ivbpr_numba.wording import first_of

if TYPE_CHECKING:
    from ivbpr_numba.datasets.dataset import Dataset
    from ivbpr_numba.datasets.pairs import Pairs

__all__ = ["Growth", "grown", "growth_of", "moved"]

PARTS = ("train", "valid", "test")
ALL_TRAIN = "train"
HOLDING_OUT = tuple(name for name in SPLITS if name != "time")


def grown(data: Dataset, pairs: Pairs, split: str = ALL_TRAIN, seed: int = 0, least: int = 1) -> Parts:
    """The same data with more purchases, but for the item columns; see `Dataset.with_pairs`."""
    _check(data, pairs, split, seed, least)
    pairs.merge()
    user_ids = pairs.user_ids.take(np.arange(len(pairs.user_ids)))
    item_ids = pairs.item_ids.take(np.arange(len(pairs.item_ids)))
    known = _known(data, data.users.find(user_ids)[pairs.users], data.items.find(item_ids)[pairs.items])
    pairs.keep(known < 0, "known", _why_known(known))
    new = data.users.find(user_ids) < 0
    counts = np.bincount(pairs.users, minlength=len(new))
    why = f"new users with fewer than {least} different items"
    pairs.keep((~new | (counts >= least))[pairs.users], "users", why)

    users = Ids(np.union1d(data.users.values, user_ids[np.unique(pairs.users)]), "user")
    items = Ids(np.union1d(data.items.values, item_ids[np.unique(pairs.items)]), "item")
    own_users, own_items = users.find(user_ids)[pairs.users], items.find(item_ids)[pairs.items]
    times = np.zeros(len(own_users), np.int64) if pairs.times is None else pairs.times
    part = np.full(len(own_users), TRAIN, np.int8)
    if split != ALL_TRAIN:
        part = _held_out(split, seed, users, own_users, own_items, times, new[pairs.users])
    of_users, of_items = users.find(data.users.values), items.find(data.items.values)
    parts: dict[str, Interactions] = {}
    for number, name in ((TRAIN, "train"), (VALID, "valid"), (TEST, "test")):
        old: Interactions = getattr(data, name)
        own = part == number
        parts[name] = _interactions(
            np.concatenate([of_users[old.users], own_users[own]]),
            np.concatenate([of_items[old.indices], own_items[own]]),
            np.concatenate([old.times, times[own]]),
            len(users),
        )
    n_train, n_valid, n_test = (int(np.count_nonzero(part == n)) for n in (TRAIN, VALID, TEST))
    pairs.note("added", 0, f"{n_train:,} train, {n_valid:,} validate, {n_test:,} test")
    report = [*data.source.get("report", []), *pairs.report]
    return Parts(users, items, source={**data.source, "report": report}, **parts)


def moved(columns: dict[str, np.ndarray], before: Ids, after: Ids) -> dict[str, np.ndarray]:
    """Item columns for the rows of more items; those of new items are empty."""
    rows, found = after.find(before.values), {}
    for name, column in columns.items():
        found[name] = np.zeros(len(after), column.dtype)
        found[name][rows] = column
    return found


def _check(data: Dataset, pairs: Pairs, split: str, seed: int, least: int) -> None:
    if split not in (ALL_TRAIN, *HOLDING_OUT):
        known = (ALL_TRAIN, *HOLDING_OUT)
        raise UsageError(
            f"{parameter('split', split)} is unknown.",
            did_you_mean(str(split), known) or f"Use {', '.join(known)}.",
        )
    expected.whole("seed", seed, 0, 2**64 - 1)
    expected.whole("min_interactions", least, 1)
    if data.has_times and pairs.times is None:
        raise DataError(
            "The data have times, the new purchases have none.", f"Name theirs with {parameter('time')}."
        )
    if not data.has_times:
        pairs.times = None  # what the data don't keep
    if split == "last" and pairs.times is None:
        raise UsageError(f"{parameter('split', split)} needs times.", f"Use {parameter('split', 'random')}.")


def _known(data: Dataset, users: np.ndarray, items: np.ndarray) -> np.ndarray:
    """Number of the part that holds a pair already, −1 where none does."""
    width = max(1, len(data.items))
    wanted = np.where((users >= 0) & (items >= 0), users * width + items, -1)
    found = np.full(len(wanted), -1, np.int8)
    for number, name in enumerate(PARTS):
        part: Interactions = getattr(data, name)
        found[np.isin(wanted, part.users.astype(np.int64) * width + part.indices)] = number
    return found


def _why_known(known: np.ndarray) -> str:
    held_out = int(np.count_nonzero(known > 0))
    more = f", {held_out:,} of them held out" if held_out else ""
    return f"pairs that the data have{more}; they stay where they are"


def _held_out(
    split: str,
    seed: int,
    users: Ids,
    own_users: np.ndarray,
    own_items: np.ndarray,
    times: np.ndarray,
    is_new: np.ndarray,
) -> np.ndarray:
    """The part of every purchase: of new users with enough items one validates and one tests."""
    part = np.full(len(own_users), TRAIN, np.int8)
    sizes = np.bincount(own_users, minlength=len(users))
    chosen = np.flatnonzero(is_new & (sizes >= MIN_ITEMS)[own_users])
    chosen = chosen[np.lexsort((own_items[chosen], own_users[chosen]))]
    rows, counts = np.unique(own_users[chosen], return_counts=True)
    indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    if len(rows):
        them = Ids(users.values[rows], "user")
        part[chosen] = split_pairs(split, them, indptr, times[chosen], seed=seed).part
    return part


def _interactions(users: np.ndarray, items: np.ndarray, times: np.ndarray, n_users: int) -> Interactions:
    order = np.lexsort((items, users))
    indptr = np.concatenate([[0], np.cumsum(np.bincount(users, minlength=n_users))]).astype(np.int64)
    return Interactions(indptr, items[order].astype(np.int32), times[order].astype(np.int64))


@dataclass(frozen=True)
class Growth:
    """How data grew.

    Attributes
    ----------
    users, items : (U,) and (I,) int64
        Row of each user and item in the data before, −1 for a new one.
    added : (n,) bool
        Which training pairs are new.
    """

    users: np.ndarray
    items: np.ndarray
    added: np.ndarray

    @property
    def nothing(self) -> bool:
        """Whether nothing is new at all."""
        return not (self.added.any() or (self.users < 0).any() or (self.items < 0).any())


def growth_of(before: Dataset, after: Dataset) -> Growth:
    """What is new in data that hold all that was there before.

    Raises
    ------
    DataError
        Something is missing, or stands in another part of the split or with another time.
    """
    of_users, of_items = after.users.find(before.users.values), after.items.find(before.items.values)
    for what, rows, ids in (("users", of_users, before.users), ("items", of_items, before.items)):
        missing = np.flatnonzero(rows < 0)
        if len(missing):
            named = first_of(map(repr, ids[missing[:3]]), len(missing))
            raise _unlike(f"{len(missing):,} {what} of the model are not in the data ({named})")
    if before.has_times != after.has_times:
        one, other = ("times", "none") if before.has_times else ("no times", "some")
        raise _unlike(f"The data of the model have {one}, these have {other}")
    width = len(after.items)
    added = np.zeros(len(after.train), bool)
    for name in PARTS:
        old, new = getattr(before, name), getattr(after, name)
        wanted = of_users[old.users] * width + of_items[old.indices]
        there = new.users.astype(np.int64) * width + new.indices
        place = np.minimum(np.searchsorted(there, wanted), max(len(there) - 1, 0))
        same = there[place] == wanted if len(there) else np.zeros(len(wanted), bool)
        if not same.all():
            lost = int(np.count_nonzero(~same))
            raise _unlike(f"{lost:,} purchases of the model's '{name}' part are not in that of the data")
        if not np.array_equal(new.times[place], old.times):
            raise _unlike(f"Purchases of the model's '{name}' part have other times in the data")
        if name == "train":
            added[:] = True
            added[place] = False
    users, items = np.full(len(after.users), -1, np.int64), np.full(len(after.items), -1, np.int64)
    users[of_users], items[of_items] = np.arange(len(of_users)), np.arange(len(of_items))
    return Growth(users, items, added)


def _unlike(what: str) -> DataError:
    return DataError(
        f"{what}.",
        "Add purchases to the data of the model: model.data_.with_pairs(users, items, times); on the command "
        "line 'ivbpr update' does it.",
    )
