"""The kernel of the block models, written once: a launch applies all blocks of an iteration.

Steps of a block, between which the blocks of threads wait for each other; the first and the last are of the
models in time alone:
  build    the table of the block's epoch;
  project  every triple's feature difference is read and projected, E and β standing still;
  factors  the user–item part moves triple by triple, in levels, by one block of threads;
  columns  everything that belongs to a column moves by the sums over the block;
  weight   w(t) moves by the sums over columns.
How features are read is told by `Reading`, what moves by `Moving`.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ivbpr_numba.kernels.cuda.block_steps import (
    COLUMNS,
    PARTIAL,
    ROWS,
    THREADS,
    TRIPLES,
    log_kept,
    move_triples,
    shrink_of,
    sum_columns,
    sum_rows,
    sum_shares,
)
from ivbpr_numba.kernels.cuda.factor import MOST_THREADS, ZERO, in_launches
from ivbpr_numba.kernels.cuda.scans import total_of
from ivbpr_numba.kernels.cuda.schedule import plan_levels
from ivbpr_numba.kernels.cuda.target import Kernel, cuda, fill, grid_barrier, kernel, launch, room

__all__ = ["BlockKernel", "Moving", "Reading", "apply_blocks", "block_kernel"]

BUILD, PROJECT, FACTORS, COLUMN_SUMS = 0, 1, 2, 3  # the last step is the weight's
TYPES = (
    "void(UniTuple(i4[::1], 3), i4[::1], Tuple((i4[::1], i4[::1], i8[::1])), i8, i8, {}, "
    "UniTuple(f4[:,::1], 3), Tuple((f4[:,::1], f4[:,::1], f4[::1])), "
    "Tuple((i8[::1], f4[:,::1], f4[:,:,::1], f4[:,::1])), UniTuple(i8, 2), UniTuple(f4, 6), "
    "Tuple((f4[:,::1], f4[:,::1], i8[::1])), UniTuple(f4[:,::1], 4), f4[::1], i4[::1])"
)


class Reading(NamedTuple):
    """Device functions of a kind of features.

    Attributes
    ----------
    read : (features, positives, negatives, first, size, base, table, height, partial, differences, out)
        Write out the differences of the triples first + b, b = base … base + TRIPLES − 1 below `size`, and
        their products with the first `height` factors of the table.
    place : (r, c)
        Where the table has factor r of column c.
    types : tuple of str
        Numba's, of the features: one kernel is compiled for each.
    """

    read: Callable
    place: Callable
    types: tuple[str, ...]


class Moving(NamedTuple):
    """Device functions of what moves by the sums of a block; only models in time have all of them.

    Attributes
    ----------
    move : (embedding, epochs, e, r, c, place, pull, shrink, rate)
        Move what belongs to factor r and column c by its sum `pull`; returns its part of what moves w(t).
    build : (embedding, epochs, e, r, c, place, visual), optional
        Write the number of the table.
    move_weight : (epochs, e, row_sums, size, visual, rate, log_kept), optional
    """

    move: Callable
    build: Callable | None = None
    move_weight: Callable | None = None


class BlockKernel(NamedTuple):
    """A kernel of `block_kernel`, and the steps of a block."""

    kernel: Kernel
    steps: int


def block_kernel(name: str, reading: Reading, moving: Moving) -> BlockKernel:
    """Declare the kernel of one kind of features and of models in time, or not in time."""
    read, place, types = reading
    move, build, move_weight = moving
    in_time = build is not None
    skipped = BUILD if in_time else PROJECT
    steps = COLUMN_SUMS + 2 if in_time else COLUMN_SUMS

    def blocks(
        triples, cuts, levels, begin, end, features, tables, embedding, epochs, sizes, rates, drift, scratch,
        losses, arrivals,
    ):  # fmt: skip
        """The steps begin … end−1 of the blocks of an iteration.

        Parameters
        ----------
        triples : (users, positives, negatives)
        cuts : (blocks + 1,) int32, first triple of each block, then their number
        levels : (order, starts, first), see `schedule.Levels`
        features, tables, embedding, sizes, drift : as on the CPU
        epochs : (epoch of each block, w, [ΔE, Δβ], b); nothing is read where models are not in time
        rates : (η, λ of factors, of biases, of θ, η of E and β, ln(1 − η λ) of these) float32
        scratch : (differences, projections, pulls, row sums)
        losses : (T,) float32, filled
        arrivals : (1,) int32, see `grid_barrier`
        """
        partial = cuda.shared.array(PARTIAL, np.float32)
        sums = cuda.shared.array(MOST_THREADS, np.float32)
        shares = cuda.shared.array(COLUMNS, np.float32)
        positives, negatives = triples[1], triples[2]
        scaled, multiplier = embedding[1], embedding[2]
        differences, projections, pulls, row_sums = scratch
        rate, kept = rates[4], rates[5]
        columns, visual = differences.shape[1], sizes[1]
        height = visual + 1
        end = min(end, steps * (cuts.shape[0] - 1))
        for step in range(begin, end):
            block, kind = step // steps, step % steps + skipped
            first, size = cuts[block], cuts[block + 1] - cuts[block]
            e = np.int64(epochs[0][block]) if in_time else np.int64(0)
            if kind == BUILD:
                if in_time:
                    for n in range(cuda.grid(1), height * columns, cuda.gridsize(1)):
                        r, c = n // columns, n % columns
                        build(embedding, epochs, e, r, c, place(r, c), visual)
            elif kind == PROJECT:
                for base in range(cuda.blockIdx.x * TRIPLES, size, cuda.gridDim.x * TRIPLES):
                    read(
                        features, positives, negatives, first, size, base, scaled, height, partial,
                        differences, projections,
                    )  # fmt: skip
            elif kind == FACTORS:
                if cuda.blockIdx.x == 0:
                    move_triples(
                        triples, levels, tables, sizes, rates, block, first, projections, pulls, drift, e,
                        losses, sums,
                    )  # fmt: skip
            elif kind == COLUMN_SUMS:
                for left in range(cuda.blockIdx.x * COLUMNS, columns, cuda.gridDim.x * COLUMNS):
                    sum_shares(differences, size, left, kept, partial, shares)
                    for row in range(0, height, ROWS):
                        sum_columns(pulls, differences, size, row, height, left, partial)
                        for n in range(cuda.threadIdx.x, ROWS * COLUMNS, cuda.blockDim.x):
                            c, r = left + n % COLUMNS, row + n // COLUMNS
                            product = ZERO
                            if c < columns and r < height:
                                shrink = shrink_of(kept, shares[n % COLUMNS], multiplier[c])
                                pull = multiplier[c] * partial[n]
                                product = move(embedding, epochs, e, r, c, place(r, c), pull, shrink, rate)
                            partial[n] = product
                        cuda.syncthreads()
                        if in_time:
                            sum_rows(partial, row, visual, row_sums[left // COLUMNS])
            elif in_time:
                if cuda.blockIdx.x == 0:
                    move_weight(epochs, e, row_sums, size, visual, rate, kept)
            if step + 1 < end:
                grid_barrier(arrivals, step - begin + 1)

    blocks.__name__ = blocks.__qualname__ = name
    declare = kernel(*(TYPES.format(kind) for kind in types), threads=THREADS)
    return BlockKernel(declare(blocks), steps)


def no_epochs():
    """Tables of epochs that no kernel reads."""
    shapes = (1, 1), (1, 1, 1), (1, 1)
    tables = (room(f"no epochs {n}", shape, np.float32) for n, shape in enumerate(shapes))
    return room("no block epochs", 1, np.int64), *tables


def no_drift():
    """Item biases that stand still in time."""
    nothing = room("no drift", (1, 1), np.float32)[:0]
    return nothing, nothing, room("no categories", 1, np.int64)[:0]


def apply_blocks(
    made, triples, cuts, block, features, columns, tables, embedding, sizes, rates, epochs, drift, shape
):
    """Apply all blocks of an iteration, in order.

    Parameters
    ----------
    made : BlockKernel
    triples : Triples
    cuts : (blocks + 1,) int32, on the device
    block : int
        Most triples of a block.
    features : tuple of arrays
    columns : int
        Of the features, in the table.
    tables : VisualTables
    embedding : EmbeddingTable
    sizes : Sizes
    rates : Rates
    epochs : (epoch of each block, *EpochTables), or None
    drift : Drift, or None
    shape : Shape or None

    Returns
    -------
    float
        Summed loss of the triples at the time they were applied.
    """
    n, height = triples.users.shape[0], sizes.visual + 1
    moving = {} if drift is None or drift.own.shape[0] == 0 else {
        "category": drift.category, "n_categories": drift.shared.shape[1]
    }  # fmt: skip
    levels = plan_levels(triples, tables.users.shape[0], tables.items.shape[0], cuts, name="block", **moving)
    block, tiles = min(block, n), -(-columns // COLUMNS)
    scratch = (
        room("differences", (block, columns), np.float32),
        room("projections", (block, height), np.float32),
        room("pulls", (block, height), np.float32),
        room("row sums", (tiles, max(sizes.visual, 1)), np.float32),
    )
    losses = room("block losses", n, np.float32)
    fill(losses, 0)
    own_rates = (rates.step, rates.factors, rates.bias, rates.user_visual, rates.visual_step, log_kept(rates))
    given = (
        tuple(features), tuple(tables), tuple(embedding), epochs or no_epochs(), tuple(sizes), own_rates,
        tuple(drift or no_drift()), scratch, losses,
    )  # fmt: skip

    def run(own, begin, end, arrivals):
        launch(made.kernel, own, tuple(triples), cuts, tuple(levels), begin, end, *given, arrivals)

    in_launches(lambda: made.steps * (cuts.shape[0] - 1), "visual", THREADS, shape, run)
    return total_of(losses)
