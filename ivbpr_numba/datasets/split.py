"""Which interactions train, which validate, which test (model specification 4.4)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ivbpr_numba.errors import DataError, UsageError, did_you_mean, parameter
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
    ties : int
        Users of the result for whom a draw among equal times decided.
    """

    part: np.ndarray
    drops: list[tuple[str, np.ndarray]] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    ties: int = 0


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
        raise UsageError(
            "Validation must begin before the test.", f"Choose an earlier {parameter('valid_from')}."
        )


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
        latest tests, the one before validates. ``time``: everybody is cut at the same two moments, and the
        first item of each window is held out. A draw decides between equal times: the order of ids often
        tells something (how new an item is, which shop sells it), and a split must not.
    users : Ids
        One id for each of the U rows of `indptr`.
    indptr : (U + 1,) int64
    times : (n,) int64 or None
        Seconds since 1970.
    seed : int
        Of the random split and of the draws among equal times. What is drawn for a user depends on the seed
        and the own id, number of items and times only.
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
            f"The split '{name}' needs times.",
            f"Name the column with {parameter('time')} or split at random.",
        )
    keys = _keys(users, seed)
    if name == "random":
        return Split(_held_out(indptr, *_random_positions(keys, np.diff(indptr))), [], {"seed": seed})
    assert times is not None
    draws = _draws(keys, indptr)
    if name == "last":
        test, valid, ties = _last_positions(indptr, times, draws)
        return Split(_held_out(indptr, test, valid), [], {"seed": seed}, ties)
    found = _split_at(indptr, times, draws, valid_from, test_from)
    found.settings["seed"] = seed
    return found


def _held_out(indptr: np.ndarray, test: np.ndarray, valid: np.ndarray) -> np.ndarray:
    part = np.full(indptr[-1], TRAIN, dtype=np.int8)
    part[indptr[:-1] + valid] = VALID
    part[indptr[:-1] + test] = TEST
    return part


def _keys(users: Ids, seed: int) -> np.ndarray:
    """κ of each user, (U,) uint64: a function of the seed and the id."""
    heads = b"".join(hashlib.sha256(user).digest()[:8] for user in users.values.tolist())
    words = np.frombuffer(heads, dtype="<u8").astype(np.uint64)
    with np.errstate(over="ignore"):
        start = absorb(absorb(np.uint64(0), np.uint64(seed)), np.uint64(SPLIT))
        return absorb(np.full(len(words), start), words)


def _random_positions(keys: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the test and the validation item within each user's items."""
    with np.errstate(over="ignore"):
        inner = absorb(np.zeros(len(keys), np.uint64), keys)
        test = bounded(absorb(inner, np.zeros(len(keys), np.uint64)), sizes)
        valid = bounded(absorb(inner, np.ones(len(keys), np.uint64)), sizes - 1)
    return test, valid + (valid >= test)


def _draws(keys: np.ndarray, indptr: np.ndarray) -> np.ndarray:
    """One number for each interaction, (n,) uint64; of equal times the larger one counts as later.

    Item number a of a user has mix64(κ, 2 + a): the words 0 and 1 belong to the random split.
    """
    sizes = np.diff(indptr)
    places = np.arange(indptr[-1]) - np.repeat(indptr[:-1], sizes)
    with np.errstate(over="ignore"):
        inner = absorb(np.zeros(len(keys), np.uint64), keys)
        return absorb(np.repeat(inner, sizes), (places + 2).astype(np.uint64))


def _last_positions(
    indptr: np.ndarray, times: np.ndarray, draws: np.ndarray
) -> tuple[np.ndarray, np.ndarray, int]:
    """Positions of the test and the validation item, and for how many users a draw chose one of them."""
    user = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    order = np.lexsort((draws, times, user))
    test, valid, third = (order[indptr[1:] - k] for k in (1, 2, 3))
    tied = (times[test] == times[valid]) | (times[valid] == times[third])
    return test - indptr[:-1], valid - indptr[:-1], int(np.count_nonzero(tied))


def _split_at(
    indptr: np.ndarray,
    times: np.ndarray,
    draws: np.ndarray,
    valid_from: int | None,
    test_from: int | None,
) -> Split:
    ordered = np.sort(times)
    n = len(ordered)
    given = valid_from is not None and test_from is not None
    first_valid = int(ordered[n * 90 // 100]) if valid_from is None else valid_from
    first_test = int(ordered[n * 95 // 100]) if test_from is None else test_from
    if first_valid >= first_test and not given:
        raise DataError(
            "The times leave no room between the beginning of validation and that of the test.",
            f"Name both with {parameter('valid_from')} and {parameter('test_from')}, or use another split.",
        )
    user = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    part = (np.int8(TRAIN) + (times >= first_valid) + (times >= first_test)).astype(np.int8)
    drops = []
    later, tied = np.zeros(n, dtype=bool), np.zeros(len(indptr) - 1, dtype=bool)
    for window in (VALID, TEST):
        inside = np.flatnonzero(part == window)
        order = inside[np.lexsort((draws[inside], times[inside], user[inside]))]
        follows = user[order[1:]] == user[order[:-1]]
        second = np.flatnonzero(follows & ~np.concatenate([[False], follows])[:-1]) + 1
        equal = times[order[second]] == times[order[second - 1]]
        tied[user[order[second[equal]]]] = True
        later[order[1:][follows]] = True
    drops.append(("not the user's first item of its held-out window", later))
    part[later] = DROPPED
    training = np.bincount(user[part == TRAIN], minlength=len(indptr) - 1)
    few = (training < MIN_ITEMS)[user] & (part != DROPPED)
    drops.append((f"users with fewer than {MIN_ITEMS} items before validation begins", few))
    part[few] = DROPPED
    ties = int(np.count_nonzero(tied & (training >= MIN_ITEMS)))
    return Split(part, drops, {"valid_from": first_valid, "test_from": first_test}, ties)
