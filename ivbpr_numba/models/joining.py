"""What the parts of a fit changed, and the rule that joins it.

Where numbers moved little, all moves count, as if the parts' triples had been applied one after the other:
the sum. Where a part's triples alone have moved a number as far as they can, the sum would go N times too
far: the mean. What is in between is told by how far c touches move a number that each of them pulls to one
place with rate s: 1 − exp(−s c) of the way. So the sum of the moves is multiplied by

    (1 − exp(−Σ_p s_p c_p)) / Σ_p (1 − exp(−s_p c_p)),

which is 1 for few touches and 1 / N for many.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

__all__ = ["Changes", "Pull", "changes_of", "joined"]

FEW = 0.5  # share of touched items below which only their rows are sent


class Pull(NamedTuple):
    """s c of the numbers of a table: the product of two arrays that broadcast to its shape.

    Attributes
    ----------
    touches : ndarray
        c; of item rows (I, 1).
    rate : ndarray
        s.
    """

    touches: np.ndarray
    rate: np.ndarray


@dataclass(frozen=True)
class Changes:
    """What a part changed in a block of the item side.

    Attributes
    ----------
    moves : dict of arrays
        After less before.
    pulls : dict of Pull
    rows : (n,) int32 or None
        The items of `moves` and `pulls`, where few were touched.
    """

    moves: dict[str, np.ndarray]
    pulls: dict[str, Pull]
    rows: np.ndarray | None = None

    @property
    def nbytes(self) -> int:
        """What has to be sent."""
        arrays = [*self.moves.values(), *(array for pull in self.pulls.values() for array in pull)]
        return sum(np.asarray(array).nbytes for array in arrays) + (
            0 if self.rows is None else self.rows.nbytes
        )


def changes_of(
    before: dict[str, np.ndarray], after: dict[str, np.ndarray], pulls: dict[str, Pull], bounds: Sequence[int]
) -> list[Changes]:
    """Changes of a part for each block of items; what is not of items is in the first one.

    Parameters
    ----------
    before, after : dict of arrays
        The item side.
    pulls : dict of Pull
    bounds : sequence of int
        Where blocks begin, and the number of items.
    """
    found = []
    items = after["items"]
    items -= before["items"]
    pull = pulls["items"]
    for low, high in pairwise(bounds):
        touches, moved, rows = pull.touches[low:high], items[low:high], None
        touched = np.flatnonzero(touches[:, 0])
        if len(touched) < FEW * (high - low):
            rows = touched.astype(np.int32)
            touches, moved = touches[touched], moved[touched]
        found.append(Changes({"items": moved}, {"items": Pull(touches, pull.rate)}, rows))
    for name, one in pulls.items():
        if name != "items":
            found[0].moves[name] = after[name] - before[name]
            found[0].pulls[name] = one
    return found


def joined(before: dict[str, np.ndarray], changes: Sequence[Changes]) -> dict[str, np.ndarray]:
    """A block of the item side after an iteration, by the changes of all parts in their order; float32."""
    after = dict(before)
    for name in changes[0].moves:
        total, shape = np.zeros(before[name].shape), before[name].shape
        pulls = [one.pulls[name] for one in changes]
        place: np.ndarray | slice = slice(None)
        if pulls[0].rate.ndim == 1:  # of items: a factor for all numbers of a row that have the same rate
            rates, place = np.unique([pull.rate for pull in pulls], axis=1, return_inverse=True)
            pulls = [Pull(pull.touches, rate) for pull, rate in zip(pulls, rates)]
            shape = (shape[0], rates.shape[1])
        whole, each = np.zeros(shape), np.zeros(shape)
        for one, pull in zip(changes, pulls):
            rows = one.rows if name == "items" and one.rows is not None else slice(None)
            pulled = np.multiply(*pull, dtype=np.float64)
            total[rows] += one.moves[name]
            whole[rows] += pulled
            each[rows] -= np.expm1(-pulled)
        factor = np.divide(-np.expm1(-whole), each, out=np.ones(shape), where=each > 0)
        total *= factor[..., place]
        after[name] = (before[name] + total).astype(before[name].dtype)
    return after
