"""What must happen in an order, in as few turns as that order allows.

Steps that share a place (a row of a table, a cell of a list) must follow each other; others may happen at
once. In every turn each waiting step reserves its places, the earliest one gets a place, and the steps that
got all of theirs are done: no earlier step that shares a place is left. So a step's turn is 1 + the largest
turn among the earlier steps that share a place with it, and the result that of one step after the other.
"""

import numpy as np

from ivbpr_numba.kernels.cuda.scalars import absorb, bounded
from ivbpr_numba.kernels.cuda.target import (
    SIMULATOR,
    cuda,
    fill,
    grid_barrier,
    kernel,
    launch,
    multiprocessors,
    open_shape,
    room,
)

__all__ = ["shuffle", "together"]

NOBODY = -1


def together(threads, shape=None):
    """A launch whose blocks are all on the device at once, for `grid_barrier`; in the simulator one block."""
    return shape or open_shape(1 if SIMULATOR else multiprocessors(), threads)


@kernel("void(u8, i4[::1], i4[::1], i4[:,::1], i4[::1], i4[::1])")
def shuffle_in_turns(key, out, owner, waiting, sizes, arrivals):
    """`scalar.lists.keyed_shuffle`: step r = n − 1 … 1 swaps r and s(r) ≤ r; the larger r is the earlier."""
    n = out.shape[0]
    state = absorb(np.uint64(0), key)
    for r in range(cuda.grid(1), n, cuda.gridsize(1)):
        out[r] = r
        owner[r] = NOBODY
        waiting[0, r] = r
    turn = 1
    grid_barrier(arrivals, turn)
    now, left = 0, n
    while left > 0:
        for m in range(cuda.grid(1), left, cuda.gridsize(1)):
            r = waiting[now % 2, m]
            s = bounded(absorb(state, np.uint64(r)), r + 1)
            cuda.atomic.max(owner, r, r)
            cuda.atomic.max(owner, s, r)
        if cuda.grid(1) == 0:
            sizes[(now + 2) % 3] = 0
        turn += 1
        grid_barrier(arrivals, turn)
        for m in range(cuda.grid(1), left, cuda.gridsize(1)):
            r = waiting[now % 2, m]
            s = bounded(absorb(state, np.uint64(r)), r + 1)
            if owner[r] == r and owner[s] == r:
                held = out[r]
                out[r] = out[s]
                out[s] = held
                owner[r] = NOBODY
                owner[s] = NOBODY
            else:
                place = cuda.atomic.add(sizes, (now + 1) % 3, 1)
                waiting[(now + 1) % 2, place] = r
        turn += 1
        grid_barrier(arrivals, turn)
        now += 1
        left = sizes[now % 3]


def shuffle(key, out, shape=None):
    """Permutation of 0 … n−1 into `out`, (n,) int32, as `scalar.lists.keyed_shuffle` makes it of `key`."""
    n = out.shape[0]
    owner, waiting = room("shuffle owner", n, np.int32), room("shuffle waiting", (2, n), np.int32)
    sizes, arrivals = room("shuffle sizes", 3, np.int32), room("shuffle arrivals", 1, np.int32)
    fill(sizes, 0)
    fill(arrivals, 0)
    launch(shuffle_in_turns, together(512, shape), key, out, owner, waiting, sizes, arrivals)
