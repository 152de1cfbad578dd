"""SGD of the models in time on blocks of triples of one epoch (model specification 2.6, "Blocks in time").

Five steps a block: the table E_t = w(t) ⊙ E + ΔE(t), β_t = b(t) ⊙ β + Δβ(t) is built; triples are projected;
user and item factors move in levels as in `visual`; U = Σ d θ Δᵀ and v = Σ d Δ move everything that belongs
to a column; and w(t) moves by the sums over columns.
"""

import math

import numpy as np

from ivbpr_numba.kernels.cuda.block_steps import (
    COLUMNS,
    PARTIAL,
    ROWS,
    THREADS,
    TRIPLES,
    log_kept,
    move_triples,
    project_differences,
    shrink_of,
    sum_columns,
    sum_shares,
)
from ivbpr_numba.kernels.cuda.factor import MOST_THREADS, ZERO, in_launches
from ivbpr_numba.kernels.cuda.scans import total_of
from ivbpr_numba.kernels.cuda.schedule import plan_levels
from ivbpr_numba.kernels.cuda.target import cuda, device, grid_barrier, kernel, launch, room, spread
from ivbpr_numba.kernels.cuda.visual import as_numbers, block_rooms, read_differences

__all__ = ["epoch_of_block", "in_time", "move_weight", "temporal_epoch"]

STEPS = 5  # of a block


@device
def epoch_of_block(block_epochs, block):
    """Row of a block's epoch in the tables of epochs."""
    return np.int64(block_epochs[block])


@device
def build_columns(values, scaled, multiplier, weight, drift, bias_weight, visual, columns):
    """The table of an epoch times the multiplier; by all blocks of threads."""
    for n in range(cuda.grid(1), (visual + 1) * columns, cuda.gridsize(1)):
        r, c = n // columns, n % columns
        times = weight[r] if r < visual else bias_weight[c]
        scaled[r, c] = (times * values[r, c] + drift[r, c]) * multiplier[c]


@device
def move_epoch_columns(
    values,
    multiplier,
    weight,
    drift,
    bias_weight,
    pulls,
    differences,
    size,
    visual,
    first,
    rate,
    log_kept,
    partial,
    shares,
    row_sums,
):
    """Move E, β, ΔE(t), Δβ(t), b(t) of COLUMNS columns, all from old values; row_sums[r] = their Σ_c E U."""
    height = visual + 1
    sum_shares(differences, size, first, log_kept, partial, shares)
    for row in range(0, height, ROWS):
        sum_columns(pulls, differences, size, row, height, first, partial)
        for n in range(cuda.threadIdx.x, ROWS * COLUMNS, cuda.blockDim.x):
            c, r = first + n % COLUMNS, row + n // COLUMNS
            product = ZERO
            if c < differences.shape[1] and r < height:
                move = multiplier[c] * partial[n]
                shrink = shrink_of(log_kept, shares[n % COLUMNS], multiplier[c])
                old = values[r, c]
                if r < visual:
                    product = old * move
                    values[r, c] = old + rate * (weight[r] * move)
                else:
                    b = bias_weight[c]
                    values[r, c] = old + rate * (b * move)
                    bias_weight[c] = b * shrink + rate * (old * move)
                drift[r, c] = drift[r, c] * shrink + rate * move
            partial[n] = product
        cuda.syncthreads()
        for r in range(cuda.threadIdx.x, ROWS, cuda.blockDim.x):
            if row + r < visual:
                total = ZERO
                for c in range(COLUMNS):
                    total += partial[r * COLUMNS + c]
                row_sums[row + r] = total
        cuda.syncthreads()


@device
def move_weight(weight, row_sums, size, visual, rate, log_kept):
    """w(t) ← w(t) (1 − η λ)ⁿ + η rowsum(E ⊙ U): tiles added in order, what rounding lost added again."""
    shrink = math.exp(np.float32(size) * log_kept) if log_kept != ZERO else np.float32(1)
    for r in range(cuda.threadIdx.x, visual, cuda.blockDim.x):
        total, lost = ZERO, ZERO
        for tile in range(row_sums.shape[0]):
            term = row_sums[tile, r] - lost
            after = total + term
            lost = (after - total) - term
            total = after
        weight[r] = weight[r] * shrink + rate * total


TEMPORAL = (
    "void(i4[::1], i4[::1], i4[::1], i4[::1], i8[::1], i4[::1], i4[::1], i8[::1], i8, i8, {}[:,::1], "
    "i8[::1], "
    "f4[:,::1], f4[:,::1], f4[:,::1], f4[:,::1], f4[:,::1], f4[::1], f4[:,::1], f4[:,:,::1], f4[:,::1], "
    "i8, i8, f4, f4, "
    "f4, f4, f4, f4, f4[:,::1], f4[:,::1], i8[::1], f4[:,::1], f4[:,::1], f4[:,::1], f4[:,::1], f4[::1], "
    "i4[::1])"
)


@kernel(*(TEMPORAL.format(stored) for stored in ("f2", "u1", "f4")), threads=THREADS)
def temporal_blocks(
    users,
    positives,
    negatives,
    cuts,
    block_epochs,
    order,
    starts,
    first_level,
    begin,
    end,
    matrix,
    rows,
    user_rows,
    item_rows,
    visual_rows,
    values,
    scaled,
    multiplier,
    weights,
    drifts,
    bias_weights,
    latent,
    visual,
    rate,
    decay,
    decay_bias,
    decay_visual,
    visual_rate,
    log_kept,
    own_drift,
    shared_drift,
    category,
    differences,
    projections,
    pulls,
    row_sums,
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
        e = epoch_of_block(block_epochs, block)
        weight, drift, bias_weight = weights[e], drifts[e], bias_weights[e]
        if kind == 0:
            build_columns(
                values, scaled, multiplier, weight, drift, bias_weight, visual, differences.shape[1]
            )
        elif kind == 1:
            for base in range(cuda.blockIdx.x * TRIPLES, size, cuda.gridDim.x * TRIPLES):
                read_differences(matrix, rows, positives, negatives, first, size, base, differences)
                project_differences(scaled, differences, size, base, height, partial, projections)
        elif kind == 2:
            if cuda.blockIdx.x == 0:
                move_triples(
                    (users, positives, negatives),
                    (order, starts, first_level),
                    (user_rows, item_rows, visual_rows),
                    (latent, visual),
                    (rate, decay, decay_bias, decay_visual),
                    block, first, projections, pulls, (own_drift, shared_drift, category), e, losses, sums,
                )  # fmt: skip
        elif kind == 3:
            for left in range(cuda.blockIdx.x * COLUMNS, differences.shape[1], cuda.gridDim.x * COLUMNS):
                move_epoch_columns(
                    values, multiplier, weight, drift, bias_weight, pulls, differences, size, visual, left,
                    visual_rate, log_kept, partial, shares, row_sums[left // COLUMNS],
                )  # fmt: skip
        elif cuda.blockIdx.x == 0:
            move_weight(weight, row_sums, size, visual, visual_rate, log_kept)
        if step + 1 < end:
            grid_barrier(arrivals, step - begin + 1)


@kernel("void(i8[::1], i4[::1])")
def as_int32(values, out):
    """out[n] = values[n]."""
    for n in range(cuda.grid(1), out.shape[0], cuda.gridsize(1)):
        out[n] = values[n]


def in_time(
    blocks, triples, plan, block, features, columns, tables, embedding, epochs, sizes, rates, drift, shape
):
    """Launch the kernel of one kind of features for the planned blocks; returns the summed loss."""
    n, count = triples.users.shape[0], plan.epochs.shape[0]
    if n == 0:
        return 0.0
    cuts = room("block cuts", count + 1, np.int32)
    launch(as_int32, spread(count + 1, 256), plan.starts, cuts)
    drifting = drift.own.shape[0] > 0
    levels = plan_levels(
        triples, tables.users.shape[0], tables.items.shape[0], cuts,
        category=drift.category if drifting else None,
        n_categories=drift.shared.shape[1] if drifting else 0, name="block",
    )  # fmt: skip
    differences, projections, pulls, losses = block_rooms(min(block, n), columns, sizes.visual + 1, n)
    row_sums = room("row sums", (-(-columns // COLUMNS), max(sizes.visual, 1)), np.float32)
    given = (
        *features, *tables, *embedding, *epochs, *sizes, rates.step, rates.factors, rates.bias,
        rates.user_visual, rates.visual_step, log_kept(rates), *drift, differences, projections,
        pulls, row_sums, losses,
    )  # fmt: skip

    def run(own, begin, end, arrivals):
        launch(blocks, own, *triples, cuts, plan.epochs, *levels, begin, end, *given, arrivals)

    in_launches(lambda: STEPS * count, "visual", THREADS, shape, run)
    return total_of(losses)


def temporal_epoch(
    triples, plan, block, features, tables, embedding, epochs, sizes, rates, drift, threads=0, shape=None
):
    """Apply the planned blocks of an iteration, in order.

    Parameters
    ----------
    triples : Triples
        In the planned order.
    plan : BlockPlan
    block : int
        Most triples of a block.
    features : StoredFeatures
    tables : VisualTables
    embedding : EmbeddingTable
        Rows of `scaled` beyond β are zero; the others are overwritten.
    epochs : EpochTables
    sizes : Sizes
    rates : Rates
    drift : Drift
    threads : int
        Of no use here; the CPU's.
    shape : Shape, optional

    Returns
    -------
    float
        Summed loss of the triples at the time they were applied.
    """
    matrix = as_numbers(features.matrix)
    return in_time(
        temporal_blocks, triples, plan, block, (matrix, features.rows), matrix.shape[1], tables, embedding,
        epochs, sizes, rates, drift, shape,
    )  # fmt: skip
