"""Scores and counts over all items without a score matrix (model specification 5).

A block of threads scores its users for the tiles of one part of the items, two at a time, in registers
(`panels`), and counts in registers; only whole numbers are added up between threads, so no order can change
them. Own items are scored apart and taken off the counts.
"""

import numpy as np

from ivbpr_numba.kernels.arguments import TILE
from ivbpr_numba.kernels.cuda.panels import (
    COLUMNS,
    DEPTH,
    HALF,
    ITEMS,
    ROWS,
    SCORES,
    SIDE,
    USERS,
    score_item,
    score_two_tiles,
)
from ivbpr_numba.kernels.cuda.scalars import absorb, unit24
from ivbpr_numba.kernels.cuda.target import (
    SIMULATOR,
    Shape,
    cuda,
    device,
    fill,
    fma,
    kernel,
    launch,
    multiprocessors,
    open_shape,
    room,
    spread,
)
from ivbpr_numba.kernels.scalar.random import RAND

__all__ = ["count_ranks", "count_row", "fill_tiles", "random_scores", "score_items", "shape_of_panels"]

LANES = 32  # threads that share a user's own items
MOST_CLASSES = 64  # of items, in `count_row`
NAN = np.float32(np.nan)


@kernel("void(f4[:,::1], f4[::1], i8[::1], f4[:,:,::1])")
def lay_out(vectors, bias, slot_item, tiles):
    """One thread for every number of a tile."""
    rows = tiles.shape[1]
    for n in range(cuda.grid(1), tiles.shape[0] * rows * TILE, cuda.gridsize(1)):
        t, row, c = n // (rows * TILE), n // TILE % rows, n % TILE
        item = slot_item[t * TILE + c]
        if item < 0:
            tiles[t, row, c] = NAN if row == 0 else np.float32(0)
        elif row == 0:
            tiles[t, row, c] = bias[item]
        else:
            tiles[t, row, c] = vectors[item, row - 1]


def fill_tiles(vectors, bias, slot_item, tiles, shape=None):
    """Lay items out in tiles.

    Parameters
    ----------
    vectors : (I, L) float32
    bias : (I,) float32
    slot_item : (tiles · TILE,) int64, item of each slot; −1 is padding
    tiles : (tiles, L + 1, TILE) float32, filled
    shape : Shape, optional
    """
    launch(lay_out, spread(tiles.size, 256, shape), vectors, bias, slot_item, tiles)


@kernel("void(f4[:,::1], f4[:,::1], f4[::1], i1[::1], i8[::1], i4[::1], f4[::1], i8[:,::1], i8[:,::1])")
def count_own(users, vectors, bias, classes, own_indptr, own_items, targets, less, equal):
    """Take the users' own items off the counts and note their targets; LANES threads a user."""
    for n in range(cuda.grid(1), users.shape[0] * LANES, cuda.gridsize(1)):
        u, lane = n // LANES, n % LANES
        lo, hi = own_indptr[u], own_indptr[u + 1]
        user = users[u]
        target = score_item(user, vectors, bias, own_items[lo])
        if lane == 0:
            targets[u] = target
        for m in range(lo + lane, hi, LANES):
            item = own_items[m]
            score = score_item(user, vectors, bias, item)
            if score < target:
                cuda.atomic.add(less, (u, np.int64(classes[item])), np.int64(-1))
            elif score == target:
                cuda.atomic.add(equal, (u, np.int64(classes[item])), np.int64(-1))


@device
def add_counts(users, first, below, equal_to, where, less, equal):
    """Add a thread's counts to those of its users."""
    for r in range(ROWS):
        u = first + cuda.threadIdx.y * ROWS + r
        if u < users.shape[0]:
            if below[r] > 0:
                cuda.atomic.add(less, (u, where), np.int64(below[r]))
            if equal_to[r] > 0:
                cuda.atomic.add(equal, (u, where), np.int64(equal_to[r]))


@kernel("void(f4[:,::1], f4[:,:,::1], i8[::1], f4[::1], i8[:,::1], i8[:,::1])", threads=SIDE * SIDE)
def count_tiles(users, tiles, class_begin, targets, less, equal):
    """Count for the users of blockIdx.x over the part blockIdx.y of the tiles."""
    of_users = cuda.shared.array((DEPTH, USERS), np.float32, alignment=16)
    of_items = cuda.shared.array((DEPTH, ITEMS), np.float32, alignment=16)
    scores = cuda.local.array(SCORES, np.float32)
    target = cuda.local.array(ROWS, np.float32)
    below = cuda.local.array(ROWS, np.int32)
    equal_to = cuda.local.array(ROWS, np.int32)
    count = ROWS * cuda.blockDim.y
    first = cuda.blockIdx.x * count
    parts, part = cuda.gridDim.y, cuda.blockIdx.y
    left, right = part * tiles.shape[0] // parts, (part + 1) * tiles.shape[0] // parts
    for r in range(ROWS):
        u = first + cuda.threadIdx.y * ROWS + r
        target[r] = targets[u] if u < users.shape[0] else NAN
    loaded = False
    for where in range(less.shape[1]):
        for r in range(ROWS):
            below[r] = 0
            equal_to[r] = 0
        end = min(right, class_begin[where + 1])
        for tile in range(max(left, class_begin[where]), end, 2):
            for column in range(HALF * cuda.threadIdx.x, TILE, HALF * cuda.blockDim.x):
                loaded = score_two_tiles(
                    users, first, count, tiles, tile, end, column, loaded, of_users, of_items, scores
                )
                for r in range(ROWS):
                    for c in range(COLUMNS):
                        score = scores[r * COLUMNS + c]
                        below[r] += 1 if score < target[r] else 0
                        equal_to[r] += 1 if score == target[r] else 0
        add_counts(users, first, below, equal_to, where, less, equal)


def shape_of_panels(n, tiles, shape=None):
    """Blocks by users and by parts of the tiles: enough of them for every multiprocessor; threads SIDE ·
    SIDE.

    Parameters
    ----------
    n, tiles : int
        Users, and tiles of items.
    shape : Shape, optional
        Asked for: parts, and (x, y) threads, of which x divides SIDE and y is at most SIDE.
    """
    parts, (x, y) = (None, (4, 1) if SIMULATOR else (SIDE, SIDE)) if shape is None else shape
    groups = -(-n // (ROWS * y))
    if parts is None:
        parts = max(1, min(-(-4 * multiprocessors() // max(groups, 1)), -(-tiles // 8)))
    return Shape((groups, parts), (x, y))


def count_ranks(
    users, vectors, bias, classes, tiles, class_begin, own_indptr, own_items, less, equal, shape=None
):
    """Count, for every user and item class, candidates scored below and equal to the target.

    Parameters
    ----------
    users : (n, L) float32
    vectors, bias, classes : (I, L) float32, (I,) float32, (I,) int8, of the items
    tiles : (tiles, L + 1, TILE) float32, the same items, those of one class together
    class_begin : (classes + 1,) int64, first tile of each class
    own_indptr, own_items : CSR of the users' own items
        The first of each user is the target; all of them are no candidates.
    less, equal : (n, classes) int64, filled
    shape : Shape, optional
        See `shape_of_panels`.
    """
    n = users.shape[0]
    if n == 0:
        return
    panels = shape_of_panels(n, tiles.shape[0], shape)
    targets = room("targets", n, np.float32)
    fill(less, 0)
    fill(equal, 0)
    given = (users, vectors, bias, classes, own_indptr, own_items, targets, less, equal)
    launch(count_own, spread(n * LANES, 128), *given)
    launch(count_tiles, panels, users, tiles, class_begin, targets, less, equal)


@kernel(
    "void(f4[:,::1], i1[::1], i8[::1], i4[::1], i8[:,::1], i8[:,::1])",
    "void(f8[:,::1], i1[::1], i8[::1], i4[::1], i8[:,::1], i8[:,::1])",
    double="scores of another program may be float64: they are compared as they are",
)
def count_rows(scores, item_class, own_indptr, own_items, less, equal):
    """A block for each row of scores."""
    below = cuda.shared.array(MOST_CLASSES, np.int32)
    equal_to = cuda.shared.array(MOST_CLASSES, np.int32)
    for u in range(cuda.blockIdx.x, scores.shape[0], cuda.gridDim.x):
        for where in range(cuda.threadIdx.x, less.shape[1], cuda.blockDim.x):
            below[where] = 0
            equal_to[where] = 0
        cuda.syncthreads()
        lo, hi = own_indptr[u], own_indptr[u + 1]
        target = scores[u, own_items[lo]]
        for i in range(cuda.threadIdx.x, scores.shape[1], cuda.blockDim.x):
            if scores[u, i] < target:
                cuda.atomic.add(below, np.int64(item_class[i]), 1)
            elif scores[u, i] == target:
                cuda.atomic.add(equal_to, np.int64(item_class[i]), 1)
        for m in range(lo + cuda.threadIdx.x, hi, cuda.blockDim.x):
            i = own_items[m]
            if scores[u, i] < target:
                cuda.atomic.add(below, np.int64(item_class[i]), -1)
            elif scores[u, i] == target:
                cuda.atomic.add(equal_to, np.int64(item_class[i]), -1)
        cuda.syncthreads()
        for where in range(cuda.threadIdx.x, less.shape[1], cuda.blockDim.x):
            less[u, where] = below[where]
            equal[u, where] = equal_to[where]
        cuda.syncthreads()


def count_row(scores, item_class, own_indptr, own_items, less, equal, shape=None):
    """The same counts from finished score rows (n, I), for scorers that aren't vectors."""
    if less.shape[1] > MOST_CLASSES:
        raise ValueError(f"more than {MOST_CLASSES} classes")
    blocks = min(scores.shape[0], 1 << 16)
    launch(
        count_rows, shape or open_shape(blocks, 256), scores, item_class, own_indptr, own_items, less, equal
    )


@kernel("void(f4[:,::1], f4[:,:,::1], i8[::1], f4[:,::1])")
def score_slots(users, tiles, item_slot, out):
    """One thread for every score."""
    n_items = item_slot.shape[0]
    for n in range(cuda.grid(1), users.shape[0] * n_items, cuda.gridsize(1)):
        u, i = n // n_items, n % n_items
        t, c = item_slot[i] // TILE, item_slot[i] % TILE
        score = tiles[t, 0, c]
        for k in range(users.shape[1]):
            score = fma(users[u, k], tiles[t, k + 1, c], score)
        out[u, i] = score


def score_items(users, tiles, item_slot, out, shape=None):
    """Scores of all items for some users: out (n, I) float32 in item order."""
    launch(score_slots, spread(out.size, 256, shape), users, tiles, item_slot, out)


@kernel("void(u8, i8[::1], f4[:,::1])")
def random_rows(seed, users, out):
    """One thread for every score."""
    state = absorb(absorb(np.uint64(0), seed), np.uint64(RAND))
    for n in range(cuda.grid(1), out.shape[0] * out.shape[1], cuda.gridsize(1)):
        u, i = n // out.shape[1], n % out.shape[1]
        out[u, i] = unit24(absorb(absorb(state, np.uint64(users[u])), np.uint64(i)))


def random_scores(seed, users, out, shape=None):
    """Scores of RAND: the top 24 bits of mix64(seed, RAND, u, i) as a fraction, into out (n, I) float32."""
    launch(random_rows, spread(out.size, 256, shape), seed, users, out)
