"""Steps of the block models (`block_kernels`) that are the same whatever features and time.

E and β stand still within a block of triples. A step is shared out among the blocks of threads; sums are
made of fixed parts that are added in order, so that bits depend on no shape of a launch:
  a projection of LANES sums, each of every LANES-th column;
  a sum over triples of PARTS sums, each of a stretch of them.
"""

import math

import numpy as np

from ivbpr_numba.kernels.cuda import factor
from ivbpr_numba.kernels.cuda.factor import (
    ZERO,
    add_lanes,
    partial_difference,
    slope_and_loss,
    step_factors,
)
from ivbpr_numba.kernels.cuda.scalars import bias_difference, column_share, stepped
from ivbpr_numba.kernels.cuda.target import cuda, device

__all__ = [
    "COLUMNS",
    "PARTIAL",
    "ROWS",
    "THREADS",
    "TRIPLES",
    "log_kept",
    "move_triples",
    "project_differences",
    "shrink_of",
    "sum_columns",
    "sum_rows",
    "sum_shares",
]

THREADS = 256  # of a block: with twice as many, registers would not hold what a thread needs
LANES = 32  # sums that make up a projection
ROWS = 16  # rows of the table at a time
TRIPLES = 8  # triples that a block of threads projects together
COLUMNS = 8  # columns that a block of threads sums together
PARTS = 8  # sums that make up one over triples
PARTIAL = TRIPLES * ROWS * LANES  # numbers of shared memory that steps need; PARTS · ROWS · COLUMNS are fewer
LOGISTIC = np.float32(-1)
ONE = np.float32(1)


def log_kept(rates):
    """ln(1 − η λ) of E and β as float32: 0 where λ is 0, −∞ where nothing is kept."""
    kept = 1.0 - float(rates.visual_step) * float(rates.visual)
    return np.float32(math.log(kept) if kept > 0 else -math.inf)


@device
def shrink_of(log_kept, share, times):
    """(1 − η λ)^m, m being the Σ Δ² `share` of a column, as stored, times the multiplier squared."""
    m = share * times * times
    return math.exp(m * log_kept) if m > ZERO else ONE


@device
def project_differences(table, differences, size, base, height, partial, out):
    """out[b, r] = table[r] · differences[b] for the triples b = base … base + TRIPLES − 1 below `size`."""
    columns = differences.shape[1]
    for row in range(0, height, ROWS):
        for n in range(cuda.threadIdx.x, PARTIAL, cuda.blockDim.x):
            lane, r, b = n % LANES, row + n // LANES % ROWS, base + n // (LANES * ROWS)
            total = ZERO
            if r < height and b < size:
                for c in range(lane, columns, LANES):
                    total += table[r, c] * differences[b, c]
            partial[n] = total
        cuda.syncthreads()
        for n in range(cuda.threadIdx.x, TRIPLES * ROWS, cuda.blockDim.x):
            r, b = row + n % ROWS, base + n // ROWS
            if r < height and b < size:
                total = ZERO
                for lane in range(LANES):
                    total += partial[n // ROWS * (LANES * ROWS) + n % ROWS * LANES + lane]
                out[b, r] = total
        cuda.syncthreads()


@device
def sum_columns(pulls, differences, size, row, height, first, partial):
    """partial[r · COLUMNS + c] = Σ_b pulls[b, row + r] · differences[b, first + c]; rows below `height`."""
    columns = differences.shape[1]
    for n in range(cuda.threadIdx.x, PARTS * ROWS * COLUMNS, cuda.blockDim.x):
        c, r, part = first + n % COLUMNS, row + n // COLUMNS % ROWS, n // (COLUMNS * ROWS)
        total = ZERO
        if c < columns and r < height:
            for b in range(part * size // PARTS, (part + 1) * size // PARTS):
                total += pulls[b, r] * differences[b, c]
        partial[n] = total
    cuda.syncthreads()
    for n in range(cuda.threadIdx.x, ROWS * COLUMNS, cuda.blockDim.x):
        total = partial[n]
        for part in range(1, PARTS):
            total += partial[part * ROWS * COLUMNS + n]
        partial[n] = total
    cuda.syncthreads()


@device
def sum_shares(differences, size, first, log_kept, partial, shares):
    """shares[c] = Σ_b differences[b, first + c]²; nothing where λ is 0."""
    columns = differences.shape[1]
    if log_kept != ZERO:
        for n in range(cuda.threadIdx.x, PARTS * COLUMNS, cuda.blockDim.x):
            c, part = first + n % COLUMNS, n // COLUMNS
            total = ZERO
            if c < columns:
                for b in range(part * size // PARTS, (part + 1) * size // PARTS):
                    total += column_share(differences[b, c])
            partial[n] = total
        cuda.syncthreads()
    for c in range(cuda.threadIdx.x, COLUMNS, cuda.blockDim.x):
        total = ZERO
        if log_kept != ZERO:
            for part in range(PARTS):
                total += partial[part * COLUMNS + c]
        shares[c] = total
    cuda.syncthreads()


@device
def sum_rows(partial, row, visual, out):
    """out[row + r] = Σ_c partial[r · COLUMNS + c] of rows below `visual`."""
    for r in range(cuda.threadIdx.x, ROWS, cuda.blockDim.x):
        if row + r < visual:
            total = ZERO
            for c in range(COLUMNS):
                total += partial[r * COLUMNS + c]
            out[row + r] = total
    cuda.syncthreads()


@device
def shared_bias(shared, e, category, item):
    """Bias of the item's category in epoch e, 0 where it has none."""
    return shared[e, category[item]] if category[item] >= 0 else ZERO


@device
def move_triples(
    triples, levels, tables, sizes, rates, block, base, projections, pulls, drift, e, losses, sums
):
    """Move β_i, γ and θ_u by the triples of a block, level by level; write d · [θ_u, 1] as read into the
    pulls.

    One block of threads does it. Where the drift is not empty it holds the item biases of the block's epoch,
    and those of categories; the bias in an item row is then not read.

    Parameters
    ----------
    triples : (users, positives, negatives)
    levels : (order, starts, first), see `schedule.Levels`
    tables : (users, items, visual), see `VisualTables`
    sizes : (latent, visual)
    rates : (step, factors, bias, user_visual, …) float32
    block, base : number of the block and its first triple
    projections, pulls : (B, ≥ D + 1) float32
    drift, e : (own, shared, category), see `Drift`, and the block's epoch
    losses : (T,) float32, filled
    sums : shared memory for `add_lanes`
    """
    users, positives, negatives = triples
    order, starts, first_level = levels
    user_rows, item_rows, visual_rows = tables
    latent, visual = sizes
    rate, decay, decay_bias, decay_visual = rates[0], rates[1], rates[2], rates[3]
    own, shared, category = drift
    lane, place = cuda.threadIdx.x % factor.LANES, cuda.threadIdx.x // factor.LANES
    together = cuda.blockDim.x // factor.LANES
    drifting = own.shape[0] > 0
    for level in range(first_level[block], first_level[block + 1]):
        stop = starts[level + 1]
        for first in range(starts[level], stop, together):
            active = first + place < stop
            t = np.int64(order[first + place]) if active else np.int64(base)
            u, i, j, b = np.int64(users[t]), np.int64(positives[t]), np.int64(negatives[t]), t - base
            user, item_i, item_j, theta = user_rows[u], item_rows[i], item_rows[j], visual_rows[u]
            part = ZERO
            if active:
                part = partial_difference(user, item_i, item_j, latent, lane)
                for k in range(lane, visual, factor.LANES):
                    part += theta[k] * projections[b, k]
            if drifting:
                bias_i, bias_j = own[e, i], own[e, j]
                extra = shared_bias(shared, e, category, i) - shared_bias(shared, e, category, j)
            else:
                bias_i, bias_j, extra = item_i[latent], item_j[latent], ZERO
            biases = bias_difference(bias_i, bias_j) + extra
            x = add_lanes(sums, part) + biases + projections[b, visual]
            slope, loss = slope_and_loss(x, LOGISTIC)
            if active:
                step_factors(
                    user, item_i, item_j, latent, bias_i, bias_j, slope, rate, decay, decay_bias, lane
                )
                for k in range(lane, visual, factor.LANES):
                    pulls[b, k] = slope * theta[k]
                    theta[k] = stepped(theta[k], slope, projections[b, k], rate, decay_visual)
                if lane == 0:
                    pulls[b, visual] = slope
                    losses[t] = loss
                    if drifting:
                        own[e, i], own[e, j] = item_i[latent], item_j[latent]
                        move_shared(shared, e, category[i], category[j], slope, rate, decay_bias)
        cuda.syncthreads()


@device
def move_shared(shared, e, of_i, of_j, slope, rate, decay):
    """Move the category biases of a positive and a negative, both from old values; equal ones only decay."""
    old_i = shared[e, of_i] if of_i >= 0 else ZERO
    old_j = shared[e, of_j] if of_j >= 0 else ZERO
    if of_i >= 0:
        shared[e, of_i] += rate * (slope - decay * old_i)
    if of_j >= 0:
        shared[e, of_j] += rate * (-slope - decay * old_j)
