"""Which interactions train, which validate, which test (model specification 4.4)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ivbpr_numba.errors import DataError, UsageError, did_you_mean
from ivbpr_numba.ids import Ids
from ivbpr_numba.kernels.scalar.random import SPLIT, absorb, bounded

__all__ = ["DROPPED", "MIN_ITEMS", "SPLITS", "TEST", "TRAIN", "VALID", "Split", "check_split", "split_pairs"]

SPLITS = ("random", "last", "time")
TRAIN, VALID, TEST, DROPPED = 0, 1, 2, 3
# A user gives one item to the test, one to validation and trains on the rest.
MIN_ITEMS = 3


@dataclass
class Split:
    """The part of every interaction.

    Attributes
    ----------
    part : (n,) int8
        TRAIN, VALID, TEST or DROPPED.
    drops : list of (why, (n,) bool)
        What was dropped, in order, with the interactions concerned.
    settings : dict
        What the split depends on besides the data, for the record.
    """

    part: np.ndarray
    drops: list[tuple[str, np.ndarray]] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)


def check_split(name: str, valid_from: int | None = None, test_from: int | None = None) -> None:
    """Refuse an unknown split and dates that contradict it or each other.

    Raises
    ------
    UsageError
    """
    if name not in SPLITS:
        hint = did_you_mean(name, SPLITS) or f"Use {', '.join(SPLITS)}."
        raise UsageError(f"Unknown split '{name}'.", hint)
    if name != "time" and (valid_from is not None or test_from is not None):
        raise UsageError(f"The split '{name}' takes no dates.", "Use the split 'time' with them.")
    if valid_from is not None and test_from is not None and valid_from >= test_from:
        raise UsageError("Validation must begin before the test.", "Choose an earlier --valid-from.")


def split_pairs(
    name: str,
    users: Ids,
    indptr: np.ndarray,
    times: np.ndarray | None,
    *,
    seed: int = 0,
    valid_from: int | None = None,
    test_from: int | None = None,
) -> Split:
    """Split interactions that lie user by user, each user's items in ascending order of their id bytes.

    Parameters
    ----------
    name : str
        ``random``: one uniformly random item of each user tests, another one validates. ``last``: the
        latest tests, the one before validates (equal times in order of the item ids). ``time``: everybody
        is cut at the same two moments.
    users : Ids
        One id for each of the U rows of `indptr`.
    indptr : (U + 1,) int64
    times : (n,) int64 or None
        Seconds since 1970.
    seed : int
        Of the random split. A user's draw depends on the seed, the own id and the own number of items only.
    valid_from, test_from : int, optional
        Seconds; by default the 90 % and the 95 % quantile of all times.

    Raises
    ------
    UsageError
        Unknown split, dates in the wrong order, or a split that needs times where there are none.
    DataError
        The times don't leave room for three parts.
    """
    check_split(name, valid_from, test_from)
    if name != "random" and times is None:
        raise UsageError(
            f"The split '{name}' needs times.", "Name the column with --time or split at random."
        )
    if name == "random":
        return Split(_held_out(indptr, *_random_positions(users, np.diff(indptr), seed)), [], {"seed": seed})
    assert times is not None
    if name == "last":
        return Split(_held_out(indptr, *_last_positions(indptr, times)))
    return _split_at(indptr, times, valid_from, test_from)


def _held_out(indptr: np.ndarray, test: np.ndarray, valid: np.ndarray) -> np.ndarray:
    part = np.full(indptr[-1], TRAIN, dtype=np.int8)
    part[indptr[:-1] + valid] = VALID
    part[indptr[:-1] + test] = TEST
    return part


def _random_positions(users: Ids, sizes: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the test and the validation item within each user's items."""
    heads = b"".join(hashlib.sha256(user).digest()[:8] for user in users.values.tolist())
    words = np.frombuffer(heads, dtype="<u8").astype(np.uint64)
    with np.errstate(over="ignore"):
        start = absorb(absorb(np.uint64(0), np.uint64(seed)), np.uint64(SPLIT))
        key = absorb(np.full(len(words), start), words)
        inner = absorb(np.zeros(len(words), np.uint64), key)
        test = bounded(absorb(inner, np.zeros(len(words), np.uint64)), sizes)
        valid = bounded(absorb(inner, np.ones(len(words), np.uint64)), sizes - 1)
    return test, valid + (valid >= test)


def _last_positions(indptr: np.ndarray, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    user = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    # Stable: items of equal time stay in the order of their ids.
    order = np.lexsort((times, user))
    return order[indptr[1:] - 1] - indptr[:-1], order[indptr[1:] - 2] - indptr[:-1]


def _split_at(indptr: np.ndarray, times: np.ndarray, valid_from: int | None, test_from: int | None) -> Split:
    ordered = np.sort(times)
    n = len(ordered)
    given = valid_from is not None and test_from is not None
    first_valid = int(ordered[n * 90 // 100]) if valid_from is None else valid_from
    first_test = int(ordered[n * 95 // 100]) if test_from is None else test_from
    if first_valid >= first_test and not given:
        raise DataError(
            "The times leave no room between the beginning of validation and that of the test.",
            "Name both with --valid-from and --test-from, or use another split.",
        )
    user = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    part = (np.int8(TRAIN) + (times >= first_valid) + (times >= first_test)).astype(np.int8)
    drops = []
    later = np.zeros(n, dtype=bool)
    for window in (VALID, TEST):
        inside = np.flatnonzero(part == window)
        order = inside[np.lexsort((times[inside], user[inside]))]
        later[order[1:][user[order[1:]] == user[order[:-1]]]] = True
    drops.append(("not the user's first item of its held-out window", later))
    part[later] = DROPPED
    training = np.bincount(user[part == TRAIN], minlength=len(indptr) - 1)
    few = (training < MIN_ITEMS)[user] & (part != DROPPED)
    drops.append((f"users with fewer than {MIN_ITEMS} items before validation begins", few))
    part[few] = DROPPED
    return Split(part, drops, {"valid_from": first_valid, "test_from": first_test})
