"""SGD of the visual models on features that are mostly zero (model specification 2.6).

The steps of `visual` and `temporal`, with the table of E and β on its side as `cpu.sparse_rows` tells. The
differences of a block's triples are written out in full: so each column is summed by itself, in a fixed
order, and no two threads ever add to one number. Products are made only where an item has a value.
"""

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
    sum_shares,
)
from ivbpr_numba.kernels.cuda.factor import MOST_THREADS, in_launches
from ivbpr_numba.kernels.cuda.scans import total_of
from ivbpr_numba.kernels.cuda.schedule import even_cuts, plan_levels
from ivbpr_numba.kernels.cuda.sparse_block import project_sparse, write_differences
from ivbpr_numba.kernels.cuda.sparse_epochs import sparse_blocks_in_time
from ivbpr_numba.kernels.cuda.target import cuda, device, grid_barrier, kernel, launch
from ivbpr_numba.kernels.cuda.temporal import in_time
from ivbpr_numba.kernels.cuda.visual import block_rooms, no_drift

__all__ = ["sparse_epoch", "sparse_temporal_epoch"]

STEPS = 3  # of a block


@device
def move_table_rows(
    values, scaled, multiplier, pulls, differences, size, height, first, rate, log_kept, partial, shares
):
    """Step 3 for COLUMNS columns of the features: rows of the table."""
    sum_shares(differences, size, first, log_kept, partial, shares)
    for row in range(0, height, ROWS):
        sum_columns(pulls, differences, size, row, height, first, partial)
        for n in range(cuda.threadIdx.x, ROWS * COLUMNS, cuda.blockDim.x):
            c, p = first + n % COLUMNS, row + n // COLUMNS
            if 0 < c and c < differences.shape[1] and p < height:
                times = multiplier[c]
                shrink = shrink_of(log_kept, shares[n % COLUMNS], times)
                moved = values[c, p] * shrink + rate * (times * partial[n])
                values[c, p] = moved
                scaled[c, p] = moved * times
        cuda.syncthreads()


@kernel(
    "void(i4[::1], i4[::1], i4[::1], i4[::1], i4[::1], i4[::1], i8[::1], i8, i8, u2[:,::1], i8[::1], "
    "i4[::1], "
    "f4[::1], f4[:,::1], f4[:,::1], f4[:,::1], f4[:,::1], f4[:,::1], f4[::1], i8, i8, f4, f4, f4, f4, "
    "f4, f4, "
    "f4[:,::1], f4[:,::1], f4[:,::1], f4[:,::1], i8[::1], f4[::1], i4[::1])",
    threads=THREADS,
)
def sparse_blocks(
    users,
    positives,
    negatives,
    cuts,
    order,
    starts,
    first_level,
    begin,
    end,
    slots,
    indptr,
    columns,
    others,
    user_rows,
    item_rows,
    visual_rows,
    values,
    scaled,
    multiplier,
    latent,
    visual,
    rate,
    decay,
    decay_bias,
    decay_visual,
    visual_rate,
    log_kept,
    differences,
    projections,
    pulls,
    nothing,
    no_category,
    losses,
    arrivals,
):
    """The steps begin … end−1 of the blocks of an iteration, STEPS each."""
    partial = cuda.shared.array(PARTIAL, np.float32)
    sums = cuda.shared.array(MOST_THREADS, np.float32)
    shares = cuda.shared.array(COLUMNS, np.float32)
    height = visual + 1
    end = min(end, STEPS * (cuts.shape[0] - 1))
    for step in range(begin, end):
        block, kind = step // STEPS, step % STEPS
        first, size = cuts[block], cuts[block + 1] - cuts[block]
        if kind == 0:
            for base in range(cuda.blockIdx.x * TRIPLES, size, cuda.gridDim.x * TRIPLES):
                write_differences(
                    slots, indptr, columns, others, positives, negatives, first, size, base, differences
                )
                project_sparse(
                    slots, indptr, columns, others, positives, negatives, first, size, base, scaled, height,
                    projections,
                )  # fmt: skip
        elif kind == 1:
            if cuda.blockIdx.x == 0:
                move_triples(
                    (users, positives, negatives),
                    (order, starts, first_level),
                    (user_rows, item_rows, visual_rows),
                    (latent, visual),
                    (rate, decay, decay_bias, decay_visual),
                    block, first, projections, pulls, (nothing, nothing, no_category), 0, losses, sums,
                )  # fmt: skip
        else:
            for left in range(cuda.blockIdx.x * COLUMNS, differences.shape[1], cuda.gridDim.x * COLUMNS):
                move_table_rows(
                    values, scaled, multiplier, pulls, differences, size, height, left, visual_rate, log_kept,
                    partial, shares,
                )  # fmt: skip
        if step + 1 < end:
            grid_barrier(arrivals, step - begin + 1)


def sparse_epoch(triples, block, features, tables, embedding, sizes, rates, shape=None):
    """Apply all triples of an iteration in blocks, in order.

    Parameters
    ----------
    triples : Triples
    block : int
        B, triples to a block.
    features : SparseFeatures
    tables : VisualTables
    embedding : EmbeddingTable
        Beside sparse features.
    sizes : Sizes
    rates : Rates
    shape : Shape, optional

    Returns
    -------
    float
        Summed loss of the triples at the time they were applied.
    """
    n = triples.users.shape[0]
    if n == 0:
        return 0.0
    cuts = cuda.to_device(even_cuts(n, block))
    levels = plan_levels(triples, tables.users.shape[0], tables.items.shape[0], cuts, name="block")
    columns = embedding.values.shape[0]
    differences, projections, pulls, losses = block_rooms(min(block, n), columns, sizes.visual + 1, n)
    given = (
        *features, *tables, *embedding, *sizes, rates.step, rates.factors, rates.bias, rates.user_visual,
        rates.visual_step, log_kept(rates), differences, projections, pulls, *no_drift(), losses,
    )  # fmt: skip

    def run(own, begin, end, arrivals):
        launch(sparse_blocks, own, *triples, cuts, *levels, begin, end, *given, arrivals)

    in_launches(lambda: STEPS * (cuts.shape[0] - 1), "visual", THREADS, shape, run)
    return total_of(losses)


def sparse_temporal_epoch(
    triples, plan, block, features, tables, embedding, epochs, sizes, rates, drift, shape=None
):
    """Apply the planned blocks of an iteration, in order.

    Parameters
    ----------
    triples : Triples
        In the planned order.
    plan : BlockPlan
    block : int
        Most triples of a block.
    features : SparseFeatures
    tables : VisualTables
    embedding : EmbeddingTable
        Beside sparse features; `scaled` is overwritten.
    epochs : EpochTables
    sizes : Sizes
    rates : Rates
    drift : Drift
    shape : Shape, optional

    Returns
    -------
    float
        Summed loss of the triples at the time they were applied.
    """
    return in_time(
        sparse_blocks_in_time, triples, plan, block, features, embedding.values.shape[0], tables, embedding,
        epochs, sizes, rates, drift, shape,
    )  # fmt: skip
