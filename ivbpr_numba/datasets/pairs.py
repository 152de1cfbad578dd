"""Interactions between reading and the dataset: filters, merging, the split; each step with its counts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from ivbpr_numba import expected
from ivbpr_numba.datasets.interactions import Interactions, Parts
from ivbpr_numba.datasets.split import DROPPED, MIN_ITEMS, TEST, TRAIN, VALID, check_split, split_pairs
from ivbpr_numba.errors import DataError, parameter
from ivbpr_numba.ids import Ids

__all__ = ["IdTable", "Pairs", "assemble"]


class IdTable(Protocol):
    """Distinct ids by code; a NumPy array of bytes is one."""

    def __len__(self) -> int: ...

    def take(self, codes: np.ndarray, /) -> np.ndarray:
        """Ids of these codes, fixed-width UTF-8."""
        ...


@dataclass
class Pairs:
    """Interactions as codes into two tables of ids.

    Attributes
    ----------
    users, items : (n,) int32
    times : (n,) int64 or None
    user_ids, item_ids : IdTable
    report : list of dict
        One row a step: ``step interactions users items dropped why``; counts are those after the step.
    """

    users: np.ndarray
    items: np.ndarray
    times: np.ndarray | None
    user_ids: IdTable
    item_ids: IdTable
    report: list[dict[str, Any]] = field(default_factory=list)

    def note(self, step: str, dropped: int = 0, why: str = "") -> None:
        """Record a step that left what is here now."""
        users = np.count_nonzero(np.bincount(self.users, minlength=1))
        items = np.count_nonzero(np.bincount(self.items, minlength=1))
        row = {"step": step, "interactions": len(self.users), "users": int(users), "items": int(items)}
        self.report.append({**row, "dropped": int(dropped), "why": why})

    def keep(self, mask: np.ndarray, step: str, why: str) -> None:
        """Keep the interactions marked in `mask`, (n,) bool, and record the step."""
        before = len(self.users)
        if not mask.all():
            self.users, self.items = self.users[mask], self.items[mask]
            self.times = None if self.times is None else self.times[mask]
        self.note(step, before - len(self.users), why)

    def keep_items(self, known: np.ndarray, step: str, why: str) -> None:
        """Keep interactions with the items marked in `known`, one bool an item code."""
        self.keep(known[self.items], step, why)

    def merge(self) -> None:
        """Merge repeated pairs, keep the latest time; afterwards sorted by (user, item) code."""
        before = len(self.users)
        width = max(1, len(self.item_ids))
        key = self.users.astype(np.int64) * width
        key += self.items
        order = np.argsort(key, kind="stable")
        key = key[order]
        first = np.flatnonzero(np.diff(key, prepend=-1))
        if self.times is not None:
            self.times = np.maximum.reduceat(self.times[order], first) if len(first) else self.times
        key = key[first]
        self.users, self.items = (key // width).astype(np.int32), (key % width).astype(np.int32)
        self.note("merge", before - len(key), "repeated pair of user and item; the latest time stays")

    def keep_users_with(self, least: int, step: str, why: str) -> None:
        """Keep users with at least `least` interactions, counted once."""
        counts = np.bincount(self.users, minlength=len(self.user_ids))
        self.keep((counts >= least)[self.users], step, why)

    def sort_ids(self) -> tuple[Ids, Ids]:
        """Number users and items by the bytes of their ids, leave out ids without interaction."""
        users, self.users = _renumber(self.users, self.user_ids, "user")
        items, self.items = _renumber(self.items, self.item_ids, "item")
        self.user_ids, self.item_ids = users.values, items.values
        order = np.argsort(self.users.astype(np.int64) * max(1, len(items)) + self.items)
        self.users, self.items = self.users[order], self.items[order]
        self.times = None if self.times is None else self.times[order]
        return users, items


def _renumber(codes: np.ndarray, ids: IdTable, what: str) -> tuple[Ids, np.ndarray]:
    used = np.flatnonzero(np.bincount(codes, minlength=1)) if len(codes) else np.zeros(0, np.int64)
    values = ids.take(used)
    order = np.argsort(values)
    row = np.zeros(int(used[-1]) + 1 if len(used) else 0, dtype=np.int32)
    row[used[order]] = np.arange(len(used), dtype=np.int32)
    return Ids(values[order], what), row[codes]


def assemble(
    pairs: Pairs,
    *,
    split: str = "random",
    seed: int = 0,
    min_interactions: int = 1,
    valid_from: int | None = None,
    test_from: int | None = None,
) -> Parts:
    """Merge, filter users once, split, and number what is left.

    Items of the result are those with an interaction left in any part.

    Raises
    ------
    UsageError
        Options that contradict (see `split.check_split`), a negative seed or count.
    DataError
        Nobody is left.
    """
    check_options(split, seed, min_interactions, valid_from, test_from)
    pairs.merge()
    why = f"users with fewer than {min_interactions} different items"
    pairs.keep_users_with(min_interactions, "users", why)
    if split != "time":
        why = f"users with fewer than {MIN_ITEMS} different items can't be split"
        pairs.keep_users_with(MIN_ITEMS, "splittable", why)
    _refuse_nobody(pairs)
    users, items = pairs.sort_ids()
    indptr = _indptr(pairs.users, len(users))
    chosen = split_pairs(
        split, users, indptr, pairs.times, seed=seed, valid_from=valid_from, test_from=test_from
    )
    for number, (why, dropped) in enumerate(chosen.drops):
        later: np.ndarray = np.logical_or.reduce([mask for _, mask in chosen.drops[: number + 1]])
        left = Pairs(pairs.users[~later], pairs.items[~later], None, users.values, items.values, pairs.report)
        left.note("split", int(np.count_nonzero(dropped)), why)
    part = chosen.part
    if np.any(part == DROPPED):
        kept = part != DROPPED
        pairs.users, pairs.items, part = pairs.users[kept], pairs.items[kept], part[kept]
        pairs.times = None if pairs.times is None else pairs.times[kept]
        _refuse_nobody(pairs)
        # The order by (user, item) stays: leaving out ids does not change their order.
        users, items = pairs.sort_ids()
    times = np.zeros(len(part), np.int64) if pairs.times is None else pairs.times

    def interactions(which: int) -> Interactions:
        own = part == which
        return Interactions(_indptr(pairs.users[own], len(users)), pairs.items[own], times[own])

    train, valid, test = interactions(TRAIN), interactions(VALID), interactions(TEST)
    why = f"{len(train):,} train, {len(valid):,} validate, {len(test):,} test"
    if chosen.ties:
        why += f"; a draw among equal times decided for {chosen.ties:,} of {len(users):,} users"
    pairs.note("kept", 0, why)
    source = {
        "has_times": pairs.times is not None,
        "filters": {"min_interactions": min_interactions},
        "split": split,
        **chosen.settings,
        "split_ties": chosen.ties,
        "report": pairs.report,
    }
    return Parts(users, items, train, valid, test, source)


def check_options(
    split: str, seed: int, min_interactions: int, valid_from: int | None, test_from: int | None
) -> None:
    """Refuse options of `assemble` that contradict, before anything is read."""
    check_split(split, valid_from, test_from)
    expected.whole("seed", seed, 0, 2**64 - 1)
    expected.whole("min_interactions", min_interactions, 1)


def _refuse_nobody(pairs: Pairs) -> None:
    if len(pairs.users):
        return
    if not any(row["interactions"] or row["dropped"] for row in pairs.report):
        raise DataError("There are no interactions: the data are empty.", "Give at least some purchases.")
    row = max(pairs.report, key=lambda r: r["dropped"], default={"step": "read", "dropped": 0, "why": ""})
    most = f"The step '{row['step']}' dropped {row['dropped']:,} interactions ({row['why']})."
    hint = f"Lower {parameter('min_interactions')} (a user needs {MIN_ITEMS}), or check filters and columns."
    if str(row["step"]).startswith("features "):
        hint = "Compare its item ids with those of the purchases, or leave the feature file out."
    elif row["step"] == "category":
        hint = "Name another category, or metadata of the same release as the purchases."
    raise DataError(f"No user is left. {most}", hint)


def _indptr(users: np.ndarray, n_users: int) -> np.ndarray:
    counts = np.bincount(users, minlength=n_users)
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
