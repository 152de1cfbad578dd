"""Scores of a block of users for two tiles of items, in registers: what counting and choosing the best share.

Item vectors lie in tiles as on the CPU, (L + 1, TILE), row 0 the biases. A thread keeps the scores of ROWS
users by COLUMNS items, half of them of each of two tiles; users and items come through shared memory, DEPTH
factors at a time. Every score is its bias plus the products from k = 0 on, each added with one rounding: the
bits of the CPU, so ties are exact. Padding has bias NaN, which no comparison counts.
"""

import numpy as np

from ivbpr_numba.kernels.arguments import TILE
from ivbpr_numba.kernels.cuda.target import cuda, device, fma

__all__ = [
    "COLUMNS",
    "DEPTH",
    "HALF",
    "ITEMS",
    "ROWS",
    "SCORES",
    "SIDE",
    "USERS",
    "item_place",
    "load_items",
    "load_users",
    "score_item",
    "score_two_tiles",
]

ROWS, COLUMNS = 8, 8  # users by items whose scores a thread keeps
HALF = COLUMNS // 2  # items of a thread in one tile, side by side
SIDE = TILE // HALF  # threads side by side that cover a tile, at most
ITEMS = 2 * TILE  # of two tiles
USERS = ROWS * SIDE  # users of a block, at most
DEPTH = 32  # factors in shared memory at a time
SCORES = ROWS * COLUMNS
NAN = np.float32(np.nan)
ZERO = np.float32(0)


@device
def load_users(users, first, count, start, stop, shared):
    """shared[k − start, n] = users[first + n, k] for k = start … stop−1, zeros beyond the last user."""
    place = cuda.threadIdx.y * cuda.blockDim.x + cuda.threadIdx.x
    depth = stop - start
    for n in range(place, count * depth, cuda.blockDim.x * cuda.blockDim.y):
        u, k = n // depth, n % depth
        shared[k, u] = users[first + u, start + k] if first + u < users.shape[0] else ZERO


@device
def load_items(tiles, tile, end, start, stop, shared):
    """shared[k − start, c] = factor k of the items of the tiles `tile` and, below `end`, the one after it."""
    place = cuda.threadIdx.y * cuda.blockDim.x + cuda.threadIdx.x
    for n in range(place, (stop - start) * 2 * TILE, cuda.blockDim.x * cuda.blockDim.y):
        k, c = n // (2 * TILE), n % (2 * TILE)
        t = tile + c // TILE
        shared[k, c] = tiles[t, start + k + 1, c % TILE] if t < end else ZERO


@device
def item_place(column, c):
    """Place in the two tiles of a thread's item c, the first of which is at `column`."""
    return column + c if c < HALF else TILE + column + c - HALF


@device
def score_two_tiles(users, first, count, tiles, tile, end, column, loaded, of_users, of_items, scores):
    """Scores of a thread's users for its items of two tiles, row by row; returns whether `of_users` stays.

    Parameters
    ----------
    users : (n, L) float32
    first, count : int64, first user of the block, and how many
    tiles : (tiles, L + 1, TILE) float32
    tile, end : int64, the first of the two tiles; tiles from `end` on don't count
    column : int64, place of the thread's first item in a tile
    loaded : bool, whether `of_users` holds all factors of the block's users
    of_users, of_items : (DEPTH, USERS) and (DEPTH, 2 TILE) float32, shared
    scores : (ROWS · COLUMNS,) float32, filled
    """
    length = users.shape[1]
    for c in range(COLUMNS):
        t = tile if c < HALF else tile + 1
        bias = tiles[t, 0, column + c % HALF] if t < end else NAN
        for r in range(ROWS):
            scores[r * COLUMNS + c] = bias
    row = cuda.threadIdx.y * ROWS
    for start in range(0, length, DEPTH):
        stop = min(start + DEPTH, length)
        cuda.syncthreads()
        if not loaded:
            load_users(users, first, count, start, stop, of_users)
        load_items(tiles, tile, end, start, stop, of_items)
        cuda.syncthreads()
        for k in range(stop - start):
            for r in range(ROWS):
                u = of_users[k, row + r]
                for c in range(COLUMNS):
                    scores[r * COLUMNS + c] = fma(
                        u, of_items[k, item_place(column, c)], scores[r * COLUMNS + c]
                    )
    return length <= DEPTH


@device
def score_item(user, vectors, bias, item):
    """The score of one item by its row: bias, then the products in order."""
    score = bias[item]
    for k in range(user.shape[0]):
        score = fma(user[k], vectors[item, k], score)
    return score
