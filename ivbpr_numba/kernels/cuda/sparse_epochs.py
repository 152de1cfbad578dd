"""Blocks of the models in time on sparse features: the steps of `temporal`, rows and columns exchanged."""

import numpy as np

from ivbpr_numba.kernels.cuda.block_steps import (
    COLUMNS,
    PARTIAL,
    ROWS,
    THREADS,
    TRIPLES,
    move_triples,
    shrink_of,
    sum_columns,
    sum_shares,
)
from ivbpr_numba.kernels.cuda.factor import MOST_THREADS, ZERO
from ivbpr_numba.kernels.cuda.sparse_block import project_sparse, write_differences
from ivbpr_numba.kernels.cuda.target import cuda, device, grid_barrier, kernel
from ivbpr_numba.kernels.cuda.temporal import STEPS, epoch_of_block, move_weight

__all__ = ["sparse_blocks_in_time"]


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
    "f4[:,::1], f4[::1], i4[::1])",
    threads=THREADS,
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
