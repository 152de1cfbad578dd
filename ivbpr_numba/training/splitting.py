"""Which part of the labelled images trains a network and which judges it."""

from __future__ import annotations

import hashlib

import numpy as np

from ivbpr_numba.errors import UsageError
from ivbpr_numba.ids import Ids

__all__ = ["PARTS", "part_of"]

PARTS = ("train", "valid", "test")


def part_of(
    items: Ids, seed: int, valid_share: float, test_share: float, family: int | None = None
) -> np.ndarray:
    """Part of each item: a pure function of its id, so that anyone can tell later what a network has seen.

    Parameters
    ----------
    items : Ids
        (n,)
    seed : int
    valid_share, test_share : float
        Expected shares of families.
    family : int, optional
        Ids that agree in their first so many characters are one family and stay together: colours of one
        product, say, whose photos hardly differ.

    Returns
    -------
    ndarray of uint8, shape (n,)
        Position in `PARTS`. With ``h`` the first eight bytes (big-endian) of the SHA-256 of
        ``"{seed}:{family}"`` divided by 2⁶⁴: test where ``h < test_share``, valid where
        ``h < test_share + valid_share``, else train.

    Raises
    ------
    UsageError
        Shares that are negative or leave nothing to train on, or a family of less than one character.
    """
    if not (valid_share >= 0 and test_share >= 0 and valid_share + test_share < 1):
        raise UsageError(
            f"Shares of {valid_share} (validation) and {test_share} (test) leave nothing to train on.",
            "Give shares from 0 to 1 whose sum is below 1.",
        )
    if family is not None and family < 1:
        raise UsageError(f"A family can't be {family} characters of an id.", "Give 1 or more.")
    drawn: dict[str, int] = {}
    parts = np.empty(len(items), dtype=np.uint8)
    for row, item in enumerate(items.texts()):
        name = item[:family]
        if name not in drawn:
            digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
            position = int.from_bytes(digest[:8], "big") / 2**64
            drawn[name] = 2 if position < test_share else 1 if position < test_share + valid_share else 0
        parts[row] = drawn[name]
    return parts
