"""How the triples of an iteration are cut into blocks, and how one block is shared out among tasks.

Within a block the embedding E and the visual bias β stand still, so its triples may be projected, and its
columns summed, in any number of tasks. A task owns its triples or its columns: each number is summed by one
thread in a fixed order, and the bits don't depend on the number of threads.

What a block needs is more than the caches hold: a triple's differences are four bytes a feature. So it is
done in rounds, whose differences two cores keep beside what else they need, and on one thread in strips.
"""

import numpy as np

from ivbpr_numba.kernels.arguments import RUN_BLOCKS
from ivbpr_numba.kernels.compiling import kernel
from ivbpr_numba.kernels.cpu.vectors import WIDTH

__all__ = [
    "clear_rest",
    "half_of",
    "is_small",
    "moves_alone",
    "part_of",
    "parts",
    "plan_blocks",
    "room_for",
    "round_size",
    "shrink_of",
    "strip_size",
    "sums_for",
]

COLUMN_TILE = 128  # columns that one task adds up or moves
TRIPLE_TILE = 64  # triples that one task projects; a multiple of four
ROUND = 1 << 19  # differences of a round, 2 MB: half of it for each of two cores
STRIP = 1 << 16  # differences of a strip, 256 KB
MOVING = 1 << 14  # numbers of a table below which waking a thread to move them costs more than it saves
PARALLEL_WORK = 400_000  # multiplications in a block below which waking a thread costs more than it saves


@kernel
def is_small(size, width, height):
    """Whether a block of `size` triples is done by one thread; E and β have `height` rows of `width`."""
    return size * width * height <= PARALLEL_WORK


@kernel
def moves_alone(embedding):
    """Whether one thread moves all columns of the table."""
    return embedding.size <= MOVING


@kernel
def parts(n, tile):
    """Number of tasks for n triples or columns, `tile` each."""
    return (n + tile - 1) // tile


@kernel
def part_of(task, n, tile):
    """First and last + 1 of what a task does."""
    lo = task * tile
    return lo, min(lo + tile, n)


@kernel
def round_size(block, width):
    """Triples of a round, a multiple of sixteen: a whole block of that many, or what ROUND allows."""
    return min((block + 15) // 16, max(1, ROUND // (16 * width))) * 16


@kernel
def strip_size(width):
    """Triples of a strip, a multiple of eight, at most 256."""
    return min(32, max(1, STRIP // (8 * width))) * 8


@kernel
def half_of(size):
    """How many triples of a round belong to its first half, a multiple of eight."""
    return min((size // 2 + 7) // 8 * 8, size)


@kernel
def room_for(block, embedding):
    """The arrays of a `Scratch` for the rounds of a block of that many triples.

    A parallel kernel makes the named tuple itself: numba looks there for its class.
    """
    size = round_size(block, embedding.shape[1])
    room = (embedding.shape[0] + WIDTH - 1) // WIDTH * WIDTH
    return (
        np.zeros((size, embedding.shape[1] + WIDTH), np.float32),
        np.zeros((size, room), np.float32),
        np.zeros((size, room), np.float32),
    )


@kernel
def decay_powers(rate, decay, most):
    """(1 − η λ)^m for m = 0 … `most`, float64, never negative; none of them for −1."""
    powers = np.empty(most + 1)
    for m in range(powers.shape[0]):
        powers[m] = max(1.0 - np.float64(rate) * np.float64(decay), 0.0) ** m
    return powers


@kernel
def shrink_of(kept, share, times):
    """(1 − η λ)^m, float32, m being the Σ Δ² `share` of a column, as stored, times the multiplier squared."""
    m = np.float64(share) * (np.float64(times) * np.float64(times))
    if m < kept.shape[0]:  # of one-hots a whole number, whose power is known
        whole = np.int64(m)
        if whole == m:
            return np.float32(kept[whole])
    return np.float32(kept[1] ** m)


@kernel
def sums_for(block, embedding, rates):
    """The arrays of a `BlockSums` for blocks of that many triples."""
    rows, columns = embedding.shape
    return (
        np.zeros((2, rows, columns), np.float32),
        np.zeros((2, columns), np.float32),
        decay_powers(rates.visual_step, rates.visual, block if rates.visual > 0 else -1),
    )


@kernel
def clear_rest(scratch, size):
    """No pulls beyond that many triples: sums are made over multiples of eight.

    A function of its own because numba does not see that a tuple's array is one of those the tuple was made
    of: in a parallel kernel it would drop this assignment as one that nobody reads.
    """
    scratch.pulls[size : (size + 7) // 8 * 8] = 0


@kernel
def plan_blocks(epochs, n_epochs, block, drawn, triples, starts, block_epochs):
    """Sort triples by epoch, stably, within runs of 64 blocks, and cut them into blocks of one epoch.

    Parameters
    ----------
    epochs : (T,) int16, of the drawn triples
    n_epochs, block : int64
    drawn : Triples
    triples : Triples, filled with these in the planned order
    starts : (≥ blocks + 1,) int64, filled: first place of each block, then T
    block_epochs : (≥ blocks,) int64, filled

    Returns
    -------
    int64
        Number of blocks.
    """
    n = epochs.shape[0]
    count = 0
    offsets = np.zeros(n_epochs + 1, np.int64)
    for first in range(0, n, RUN_BLOCKS * block):
        last = min(n, first + RUN_BLOCKS * block)
        offsets[:] = 0
        for k in range(first, last):
            offsets[epochs[k] + 1] += 1
        for e in range(n_epochs):
            offsets[e + 1] += offsets[e]
        for e in range(n_epochs):
            for begin in range(offsets[e], offsets[e + 1], block):
                starts[count] = first + begin
                block_epochs[count] = e
                count += 1
        for k in range(first, last):
            place = first + offsets[epochs[k]]
            offsets[epochs[k]] += 1
            triples.users[place] = drawn.users[k]
            triples.positives[place] = drawn.positives[k]
            triples.negatives[place] = drawn.negatives[k]
    starts[count] = n
    return count
