"""Levels: which triples may be applied at once so that the result is that of one after the other.

The triples are cut into segments; the level of a triple is 1 + the largest level among the earlier triples
of its segment that share its user or one of its items, or a category whose bias moves (see `turns`). Segments
follow each other, and within one the levels do; inside a level no two triples share a row. A block of
threads finds the levels of a segment.
"""

from typing import Any, NamedTuple

import numpy as np

from ivbpr_numba.kernels.cuda.scans import running_sums
from ivbpr_numba.kernels.cuda.target import (
    cuda,
    device,
    fill,
    kernel,
    launch,
    multiprocessors,
    open_shape,
    room,
)

__all__ = ["SEGMENT", "Levels", "even_cuts", "plan_levels"]

SEGMENT = 8192  # triples of a segment, where nothing else cuts them
FREE = 2**31 - 1
THREADS = 512
OWNERS = 1 << 28  # rows that the blocks at work together may keep owners of: 1 GB


class Levels(NamedTuple):
    """Levels of an iteration, on the device.

    Attributes
    ----------
    order : (T,) int32, triples level by level
    starts : (≥ levels + 1,) int32, first place of each level in `order`, then T
    first : (segments + 1,) int64, first level of each segment, then the number of levels
    """

    order: Any
    starts: Any
    first: Any


def even_cuts(n, segment):
    """Where segments of so many triples begin, and n: (segments + 1,) int32."""
    return np.append(np.arange(0, n, segment), n).astype(np.int32)


@device
def shared_row(category, item, base, otherwise):
    """The row of an item's category, where categories move and it has one; else `otherwise`."""
    if category.shape[0] == 0:
        return otherwise
    return base + category[item] if category[item] >= 0 else otherwise


@kernel(
    "void(i4[::1], i4[::1], i4[::1], i4[::1], i4[::1], i8, i8, i8[::1], i4[:,::1], i4[:,::1], i4[::1], "
    "i4[::1], "
    "i8[::1])"
)
def find_levels(
    users,
    positives,
    negatives,
    sequence,
    cuts,
    n_users,
    n_items,
    category,
    owner,
    waiting,
    order,
    places,
    n_levels,
):
    """Levels of the segments blockIdx.x, blockIdx.x + gridDim.x, …

    Parameters
    ----------
    users, positives, negatives : (T,) int32
    sequence : (T,) int32, triples in order of application; empty where they lie in it
    cuts : (segments + 1,) int32
    n_users, n_items : int64
    category : (I,) int64, −1 where unknown; empty where no bias of a category moves
    owner : (blocks, U + I + C) int32, FREE; left so
    waiting : (2, T) int32, room
    order : (T,) int32, filled
    places : (T,) int32, filled from the first place of each segment on with the first places of its levels
    n_levels : (segments + 1,) int64, filled
    """
    done = cuda.shared.array(1, np.int32)
    left = cuda.shared.array(1, np.int32)
    own = cuda.blockIdx.x
    for s in range(cuda.blockIdx.x, cuts.shape[0] - 1, cuda.gridDim.x):
        lo, size = cuts[s], cuts[s + 1] - cuts[s]
        for n in range(cuda.threadIdx.x, size, cuda.blockDim.x):
            waiting[0, lo + n] = lo + n
        now, level, placed = 0, 0, lo
        while size > 0:
            cuda.syncthreads()
            for n in range(cuda.threadIdx.x, size, cuda.blockDim.x):
                at = waiting[now, lo + n]
                t = sequence[at] if sequence.shape[0] > 0 else at
                i, j, u = positives[t], negatives[t], np.int64(users[t])
                cuda.atomic.min(owner, (own, u), at)
                cuda.atomic.min(owner, (own, n_users + i), at)
                cuda.atomic.min(owner, (own, n_users + j), at)
                if category.shape[0] > 0:
                    cuda.atomic.min(owner, (own, shared_row(category, i, n_users + n_items, u)), at)
                    cuda.atomic.min(owner, (own, shared_row(category, j, n_users + n_items, u)), at)
            if cuda.threadIdx.x == 0:
                done[0] = 0
                left[0] = 0
                places[lo + level] = placed
            cuda.syncthreads()
            for n in range(cuda.threadIdx.x, size, cuda.blockDim.x):
                at = waiting[now, lo + n]
                t = sequence[at] if sequence.shape[0] > 0 else at
                u, i, j = np.int64(users[t]), n_users + positives[t], n_users + negatives[t]
                c = shared_row(category, positives[t], n_users + n_items, u)
                d = shared_row(category, negatives[t], n_users + n_items, u)
                first = owner[own, u] == at and owner[own, i] == at and owner[own, j] == at
                if first and owner[own, c] == at and owner[own, d] == at:
                    order[placed + cuda.atomic.add(done, 0, 1)] = t
                    owner[own, u] = FREE
                    owner[own, i] = FREE
                    owner[own, j] = FREE
                    owner[own, c] = FREE
                    owner[own, d] = FREE
                else:
                    waiting[1 - now, lo + cuda.atomic.add(left, 0, 1)] = at
            cuda.syncthreads()
            size = left[0]
            placed += done[0]
            now = 1 - now
            level += 1
        if cuda.threadIdx.x == 0:
            n_levels[s] = level


@kernel("void(i4[::1], i4[::1], i8[::1], i4[::1])")
def gather_starts(cuts, places, first, starts):
    """First places of all levels one after the other, then the number of triples."""
    segments = cuts.shape[0] - 1
    for s in range(cuda.blockIdx.x, segments, cuda.gridDim.x):
        for level in range(cuda.threadIdx.x, first[s + 1] - first[s], cuda.blockDim.x):
            starts[first[s] + level] = places[cuts[s] + level]
    if cuda.grid(1) == 0:
        starts[first[segments]] = cuts[segments]


def plan_levels(
    triples, n_users, n_items, cuts, sequence=None, category=None, n_categories=0, name="", shape=None
):
    """The levels of an iteration.

    Parameters
    ----------
    triples : Triples
    n_users, n_items : int
    cuts : (segments + 1,) int32 on the device
        Where segments begin in the sequence, then the number of triples.
    sequence : (T,) int32, optional
        Triples in order of application; as they lie where it is left out.
    category, n_categories : (I,) int64 and int, optional
        Where biases of categories move.
    name : str, optional
        Of the rooms of the result.
    shape : Shape, optional

    Returns
    -------
    Levels
    """
    n = triples.users.shape[0] if sequence is None else sequence.shape[0]
    segments, rows = cuts.shape[0] - 1, n_users + n_items + n_categories
    blocks = max(1, min(2 * multiprocessors(), segments, OWNERS // rows))
    own = shape or open_shape(blocks, THREADS)
    owner = room("level owners", (own.blocks, rows), np.int32)
    fill(owner, FREE)
    waiting, places = room("level waiting", (2, n), np.int32), room("level places", n, np.int32)
    order, starts = room(f"{name} order", n, np.int32), room(f"{name} starts", n + 1, np.int32)
    first = room(f"{name} first levels", segments + 1, np.int64)
    given = triples.users[:0] if sequence is None else sequence
    known = room("no categories", 1, np.int64)[:0] if category is None else category
    launch(
        find_levels, own, *triples, given, cuts, n_users, n_items, known, owner, waiting, order, places, first
    )
    running_sums(first)
    launch(gather_starts, open_shape(min(segments, 1024), 64), cuts, places, first, starts)
    return Levels(order, starts, first)
