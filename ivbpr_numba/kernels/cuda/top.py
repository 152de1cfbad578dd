"""The n best items of a user without a score row: tiles are scored in registers, a list keeps what may be
best.

A block scores its users for one part of the items as in `ranking`. What is above a user's threshold is put
at the end of his list; when one of the block's lists may overflow, all are cut down to their n best, the
worst of which is the new threshold. Of equal scores the item with the smaller row is better: the order is
total, so it does not matter which thread puts what where. Items come in order of their rows, so one that
only equals the threshold never replaces it.
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
    item_place,
    score_two_tiles,
)
from ivbpr_numba.kernels.cuda.ranking import shape_of_panels
from ivbpr_numba.kernels.cuda.scalars import contains
from ivbpr_numba.kernels.cuda.target import Shape, cuda, device, kernel, launch, open_shape, room

__all__ = ["best_of_rows", "top_items"]

NAN = np.float32(np.nan)
SPARE = 2 * ITEMS  # places of a list beyond n: what two steps can add


@device
def worse(score_a, item_a, score_b, item_b):
    """Whether a ranks below b."""
    return score_a < score_b or (score_a == score_b and item_a > item_b)


@device
def place_among(scores, items, size, n):
    """How many of the first `size` are better than the n-th of them; NaN is better than nothing."""
    score, item, place = scores[n], items[n], 0
    for m in range(size):
        if worse(score, item, scores[m], items[m]):
            place += 1
    return place


@device
def strike_out(kept, chosen, size, owned, lo, hi, allowed):
    """Make the scores of items NaN that are not allowed or among owned[lo:hi]; by a row of threads."""
    for n in range(cuda.threadIdx.x, size, cuda.blockDim.x):
        item = chosen[n]
        if not allowed[item] or contains(owned, lo, hi, item):
            kept[n] = NAN


@device
def cut_down(kept, chosen, size, wanted, other_kept, other_chosen, sizes, row):
    """The `wanted` best of a list from best to worst into another; counts them in sizes[row]."""
    for n in range(cuda.threadIdx.x, size, cuda.blockDim.x):
        if kept[n] == kept[n]:
            place = place_among(kept, chosen, size, n)
            if place < wanted:
                other_kept[place] = kept[n]
                other_chosen[place] = chosen[n]
                cuda.atomic.add(sizes, row, 1)


@device
def cut_lists(kept, chosen, base, users, first, indptr, owned, allowed, sizes, cut, least, wanted):
    """Cut the lists of the block's users down; a row of threads takes ROWS of them. The whole block calls it.

    A user has two lists: the first is cut into the second, which is copied back.
    """
    cuda.syncthreads()
    for r in range(ROWS):
        row = cuda.threadIdx.y * ROWS + r
        if first + row < users.shape[0]:
            lo, hi = indptr[first + row], indptr[first + row + 1]
            strike_out(kept[base + row, 0], chosen[base + row, 0], sizes[row], owned, lo, hi, allowed)
        if cuda.threadIdx.x == 0:
            cut[row] = 0
    cuda.syncthreads()
    for r in range(ROWS):
        row = cuda.threadIdx.y * ROWS + r
        cut_down(
            kept[base + row, 0], chosen[base + row, 0], sizes[row], wanted,
            kept[base + row, 1], chosen[base + row, 1], cut, row,
        )  # fmt: skip
    cuda.syncthreads()
    for r in range(ROWS):
        row = cuda.threadIdx.y * ROWS + r
        for n in range(cuda.threadIdx.x, cut[row], cuda.blockDim.x):
            kept[base + row, 0, n] = kept[base + row, 1, n]
            chosen[base + row, 0, n] = chosen[base + row, 1, n]
    cuda.syncthreads()
    for n in range(cuda.threadIdx.y * cuda.blockDim.x + cuda.threadIdx.x, ROWS * cuda.blockDim.y, threads()):
        sizes[n] = cut[n]
        if cut[n] == wanted:
            least[n] = kept[base + n, 0, wanted - 1]
    cuda.syncthreads()


@device
def threads():
    """Of the block."""
    return cuda.blockDim.x * cuda.blockDim.y


@kernel(
    "void(f4[:,::1], f4[:,:,::1], i8[::1], i4[::1], b1[::1], f4[:,:,::1], i4[:,:,::1], i8, f4[:,:,::1], "
    "i4[:,:,::1], i8[:,::1])",
    threads=SIDE * SIDE,
)
def top_of_part(users, tiles, indptr, owned, allowed, kept, chosen, wanted, scores, items, found):
    """The best of the part blockIdx.y of the tiles for the users of blockIdx.x, into row `part`."""
    of_users = cuda.shared.array((DEPTH, USERS), np.float32, alignment=16)
    of_items = cuda.shared.array((DEPTH, ITEMS), np.float32, alignment=16)
    least = cuda.shared.array(USERS, np.float32)
    sizes = cuda.shared.array(USERS, np.int32)
    cut = cuda.shared.array(USERS, np.int32)
    full = cuda.shared.array(1, np.int32)
    own = cuda.local.array(SCORES, np.float32)
    count = ROWS * cuda.blockDim.y
    first = cuda.blockIdx.x * count
    parts, part = cuda.gridDim.y, cuda.blockIdx.y
    base = (cuda.blockIdx.x * parts + part) * count
    left, right = part * tiles.shape[0] // parts, (part + 1) * tiles.shape[0] // parts
    for n in range(cuda.threadIdx.y * cuda.blockDim.x + cuda.threadIdx.x, count, threads()):
        least[n] = NAN
        sizes[n] = 0
    cuda.syncthreads()
    loaded = False
    for tile in range(left, right, 2):
        for column in range(HALF * cuda.threadIdx.x, TILE, HALF * cuda.blockDim.x):
            loaded = score_two_tiles(
                users, first, count, tiles, tile, right, column, loaded, of_users, of_items, own
            )
            for r in range(ROWS):
                row = cuda.threadIdx.y * ROWS + r
                u, threshold = first + row, least[row]
                for c in range(COLUMNS):
                    score = own[r * COLUMNS + c]
                    if not score <= threshold and score == score and u < users.shape[0]:
                        place = cuda.atomic.add(sizes, row, 1)
                        kept[base + row, 0, place] = score
                        chosen[base + row, 0, place] = tile * TILE + item_place(column, c)
        cuda.syncthreads()
        if cuda.threadIdx.x == 0 and cuda.threadIdx.y == 0:
            full[0] = 0
        cuda.syncthreads()
        if cuda.threadIdx.x == 0:
            for r in range(ROWS):
                if sizes[cuda.threadIdx.y * ROWS + r] > wanted + SPARE - ITEMS:
                    full[0] = 1
        cuda.syncthreads()
        if full[0] == 1:
            cut_lists(kept, chosen, base, users, first, indptr, owned, allowed, sizes, cut, least, wanted)
    cut_lists(kept, chosen, base, users, first, indptr, owned, allowed, sizes, cut, least, wanted)
    for r in range(ROWS):
        row = cuda.threadIdx.y * ROWS + r
        if first + row < users.shape[0]:
            if cuda.threadIdx.x == 0:
                found[part, first + row] = sizes[row]
            for n in range(cuda.threadIdx.x, sizes[row], cuda.blockDim.x):
                scores[part, first + row, n] = kept[base + row, 0, n]
                items[part, first + row, n] = chosen[base + row, 0, n]


@kernel("void(f4[:,:,::1], i4[:,:,::1], i8[:,::1], f4[:,::1], i4[:,::1], i8[::1])")
def merge_parts(part_scores, part_items, found, scores, items, sizes):
    """A block for each user: where an item of a part belongs is how many of all parts are better."""
    wanted = scores.shape[1]
    for u in range(cuda.blockIdx.x, scores.shape[0], cuda.gridDim.x):
        total = np.int64(0)
        for part in range(found.shape[0]):
            total += found[part, u]
        if cuda.threadIdx.x == 0:
            sizes[u] = min(total, wanted)
        for n in range(cuda.threadIdx.x, found.shape[0] * wanted, cuda.blockDim.x):
            part, at = n // wanted, n % wanted
            if at < found[part, u]:
                score, item = part_scores[part, u, at], part_items[part, u, at]
                place = at  # what is better in its own part lies before it
                for other in range(found.shape[0]):
                    if other != part:
                        m = 0
                        while m < found[other, u] and worse(
                            score, item, part_scores[other, u, m], part_items[other, u, m]
                        ):
                            m += 1
                        place += m
                if place < wanted:
                    scores[u, place] = score
                    items[u, place] = item


def top_items(users, tiles, indptr, owned, allowed, scores, items, sizes, shape=None):
    """The best allowed items of some users that aren't their own.

    Parameters
    ----------
    users : (n, L) float32
    tiles : (tiles, L + 1, TILE) float32, items in order of their rows
    indptr, owned : CSR of the items to leave out, ascending within a user; user u of `users` has row u
    allowed : (≥ I,) bool
        Numbers of tiles beyond the items are never asked about.
    scores, items : (n, N) float32 and int32, N > 0, filled from best to worst
    sizes : (n,) int64, how many were found
    shape : Shape, optional
        See `ranking.shape_of_panels`.
    """
    n, wanted = scores.shape
    if n == 0:
        return
    panels = shape_of_panels(n, tiles.shape[0], shape)
    (groups, parts), (_, y) = panels
    lists = (groups * parts * ROWS * y, 2, wanted + SPARE)
    kept, chosen = room("top kept", lists, np.float32), room("top chosen", lists, np.int32)
    part_scores = room("top scores", (parts, n, wanted), np.float32)
    part_items = room("top items", (parts, n, wanted), np.int32)
    found = room("top found", (parts, n), np.int64)
    launch(
        top_of_part, panels, users, tiles, indptr, owned, allowed, kept, chosen, wanted,
        part_scores, part_items, found,
    )  # fmt: skip
    launch(merge_parts, open_shape(min(n, 1 << 16), 64), part_scores, part_items, found, scores, items, sizes)


@kernel("void(f4[:,::1], i8[::1], i4[::1], b1[::1], f4[:,::1], i4[:,::1], f4[:,::1], i4[:,::1], i8[::1])")
def best_in_rows(rows, indptr, owned, allowed, kept, chosen, scores, items, sizes):
    """A block for each row: a list of what is above a threshold, cut down when it may overflow."""
    least = cuda.shared.array(1, np.float32)
    size = cuda.shared.array(1, np.int32)
    cut = cuda.shared.array(1, np.int32)
    wanted, length = scores.shape[1], rows.shape[1]
    step = kept.shape[1] - wanted
    own = cuda.blockIdx.x
    for u in range(cuda.blockIdx.x, rows.shape[0], cuda.gridDim.x):
        cuda.syncthreads()
        if cuda.threadIdx.x == 0:
            least[0] = NAN
            size[0] = 0
            cut[0] = 0
        cuda.syncthreads()
        for start in range(0, length, step):
            for item in range(start + cuda.threadIdx.x, min(start + step, length), cuda.blockDim.x):
                score = rows[u, item]
                if not score <= least[0] and score == score and allowed[item]:
                    if not contains(owned, indptr[u], indptr[u + 1], item):
                        place = cuda.atomic.add(size, 0, 1)
                        kept[own, place] = score
                        chosen[own, place] = item
            cuda.syncthreads()
            cut_down(kept[own], chosen[own], size[0], wanted, scores[u], items[u], cut, 0)
            cuda.syncthreads()
            for n in range(cuda.threadIdx.x, cut[0], cuda.blockDim.x):
                kept[own, n] = scores[u, n]
                chosen[own, n] = items[u, n]
            cuda.syncthreads()
            if cuda.threadIdx.x == 0:
                size[0] = cut[0]
                if cut[0] == wanted:
                    least[0] = scores[u, wanted - 1]
                cut[0] = 0
            cuda.syncthreads()
        if cuda.threadIdx.x == 0:
            sizes[u] = size[0]


def best_of_rows(rows, indptr, owned, allowed, scores, items, sizes, shape=None):
    """The same from finished score rows (n, I) float32, for scorers that aren't vectors."""
    if rows.shape[0] == 0:
        return
    blocks, threads_ = shape or open_shape(min(rows.shape[0], 1024), 128)
    lists = (blocks, scores.shape[1] + SPARE)
    kept, chosen = room("best kept", lists, np.float32), room("best chosen", lists, np.int32)
    launch(
        best_in_rows,
        Shape(blocks, threads_),
        rows,
        indptr,
        owned,
        allowed,
        kept,
        chosen,
        scores,
        items,
        sizes,
    )
