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
from ivbpr_numba.kernels.cuda.factor import MOST_THREADS, ZERO, in_launches
from ivbpr_numba.kernels.cuda.scans import total_of
from ivbpr_numba.kernels.cuda.schedule import even_cuts, plan_levels
from ivbpr_numba.kernels.cuda.target import cuda, device, grid_barrier, kernel, launch
from ivbpr_numba.kernels.cuda.temporal import epoch_of_block, in_time, move_weight
from ivbpr_numba.kernels.cuda.visual import block_rooms, no_drift

__all__ = ["sparse_epoch", "sparse_temporal_epoch"]

STEPS = 3  # of a block
STEPS_IN_TIME = 5
ONE = np.float32(1)


@device
def write_differences(slots, indptr, columns, values, positives, negatives, first, size, base, out):
    """out[b, 1 + k] = Δ_k of the triples first + b, b = base … base + TRIPLES − 1 below `size`; out[b, 0] =
    0.

    Values are added in four turns, in none of which a number of a triple is added to twice: groups are
    exclusive, and an item has a column once.
    """
    place, threads = cuda.threadIdx.x, cuda.blockDim.x
    last = min(base + TRIPLES, size)
    for b in range(base, last):
        for c in range(place, out.shape[1], threads):
            out[b, c] = ZERO
    cuda.syncthreads()
    groups = slots.shape[1]
    for n in range(place, (last - base) * groups, threads):
        b, g = base + n // groups, n % groups
        of_i, of_j = np.int64(slots[positives[first + b], g]), np.int64(slots[negatives[first + b], g])
        if of_i != of_j:
            if of_i > 0:
                out[b, of_i] += ONE
            if of_j > 0:
                out[b, of_j] -= ONE
    cuda.syncthreads()
    if columns.shape[0] > 0:
        for b in range(base, last):
            i = positives[first + b]
            for n in range(indptr[i] + place, indptr[i + 1], threads):
                out[b, columns[n] + 1] += values[n]
        cuda.syncthreads()
        for b in range(base, last):
            j = negatives[first + b]
            for n in range(indptr[j] + place, indptr[j + 1], threads):
                out[b, columns[n] + 1] -= values[n]
        cuda.syncthreads()


@device
def project_sparse(
    slots, indptr, columns, values, positives, negatives, first, size, base, table, height, out
):
    """out[b, p] = Σ_k Δ_k · table[k, p] of the same triples; slots before others."""
    last = min(base + TRIPLES, size)
    for n in range(cuda.threadIdx.x, (last - base) * height, cuda.blockDim.x):
        b, p = base + n // height, n % height
        i, j = positives[first + b], negatives[first + b]
        total = ZERO
        for g in range(slots.shape[1]):
            total += table[slots[i, g], p] - table[slots[j, g], p]
        if columns.shape[0] > 0:
            for m in range(indptr[i], indptr[i + 1]):
                total += values[m] * table[columns[m] + 1, p]
            for m in range(indptr[j], indptr[j + 1]):
                total -= values[m] * table[columns[m] + 1, p]
        out[b, p] = total


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
    "f4[:,::1], f4[:,::1], f4[:,::1], f4[:,::1], i8[::1], f4[::1], i4[::1])"
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


@device
def build_rows(values, scaled, multiplier, weight, drift, bias_weight, visual):
    """The table of an epoch times the multiplier; by all blocks of threads."""
    height = visual + 1
    for n in range(cuda.grid(1), values.shape[0] * height, cuda.gridsize(1)):
        r, p = n // height, n % height
        if r > 0:
            times = weight[p] if p < visual else bias_weight[r]
            scaled[r, p] = (times * values[r, p] + drift[r, p]) * multiplier[r]


@device
def move_rows_in_time(
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
            c, p = first + n % COLUMNS, row + n // COLUMNS
            product = ZERO
            if 0 < c and c < differences.shape[1] and p < height:
                move = multiplier[c] * partial[n]
                shrink = shrink_of(log_kept, shares[n % COLUMNS], multiplier[c])
                old = values[c, p]
                if p < visual:
                    product = old * move
                    values[c, p] = old + rate * (weight[p] * move)
                else:
                    b = bias_weight[c]
                    values[c, p] = old + rate * (b * move)
                    bias_weight[c] = b * shrink + rate * (old * move)
                drift[c, p] = drift[c, p] * shrink + rate * move
            partial[n] = product
        cuda.syncthreads()
        for r in range(cuda.threadIdx.x, ROWS, cuda.blockDim.x):
            if row + r < visual:
                total = ZERO
                for c in range(COLUMNS):
                    total += partial[r * COLUMNS + c]
                row_sums[row + r] = total
        cuda.syncthreads()


@kernel(
    "void(i4[::1], i4[::1], i4[::1], i4[::1], i8[::1], i4[::1], i4[::1], i8[::1], i8, i8, u2[:,::1], "
    "i8[::1], "
    "i4[::1], f4[::1], f4[:,::1], f4[:,::1], f4[:,::1], f4[:,::1], f4[:,::1], f4[::1], f4[:,::1], "
    "f4[:,:,::1], "
    "f4[:,::1], i8, i8, f4, f4, f4, f4, f4, f4, f4[:,::1], f4[:,::1], i8[::1], f4[:,::1], f4[:,::1], "
    "f4[:,::1], "
    "f4[:,::1], f4[::1], i4[::1])"
)
def sparse_blocks_in_time(
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
    """The steps begin … end−1 of the blocks of an iteration, STEPS_IN_TIME each."""
    partial = cuda.shared.array(PARTIAL, np.float32)
    sums = cuda.shared.array(MOST_THREADS, np.float32)
    shares = cuda.shared.array(COLUMNS, np.float32)
    height = visual + 1
    end = min(end, STEPS_IN_TIME * (cuts.shape[0] - 1))
    for step in range(begin, end):
        block, kind = step // STEPS_IN_TIME, step % STEPS_IN_TIME
        first, size = cuts[block], cuts[block + 1] - cuts[block]
        e = epoch_of_block(block_epochs, block)
        weight, drift, bias_weight = weights[e], drifts[e], bias_weights[e]
        if kind == 0:
            build_rows(values, scaled, multiplier, weight, drift, bias_weight, visual)
        elif kind == 1:
            for base in range(cuda.blockIdx.x * TRIPLES, size, cuda.gridDim.x * TRIPLES):
                write_differences(
                    slots, indptr, columns, others, positives, negatives, first, size, base, differences
                )
                project_sparse(
                    slots, indptr, columns, others, positives, negatives, first, size, base, scaled, height,
                    projections,
                )  # fmt: skip
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
                move_rows_in_time(
                    values, multiplier, weight, drift, bias_weight, pulls, differences, size, visual, left,
                    visual_rate, log_kept, partial, shares, row_sums[left // COLUMNS],
                )  # fmt: skip
        elif cuda.blockIdx.x == 0:
            move_weight(weight, row_sums, size, visual, visual_rate, log_kept)
        if step + 1 < end:
            grid_barrier(arrivals, step - begin + 1)


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
