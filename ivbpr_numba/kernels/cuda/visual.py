"""SGD of the visual models on blocks of triples (model specification 2.6): one launch an iteration.

Three steps a block, between which the blocks of threads wait for each other: (1) every triple's feature
difference is read and projected, (2) the user–item part moves triple by triple, in levels, (3) E and β move
by the sum over the block. Projections and sums are shared out; step 2 is one block's work.
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
    project_differences,
    shrink_of,
    sum_columns,
    sum_shares,
)
from ivbpr_numba.kernels.cuda.factor import MOST_THREADS, in_launches
from ivbpr_numba.kernels.cuda.scans import total_of
from ivbpr_numba.kernels.cuda.schedule import even_cuts, plan_levels
from ivbpr_numba.kernels.cuda.target import cuda, device, fill, grid_barrier, kernel, launch, room

__all__ = ["as_numbers", "block_rooms", "read_differences", "visual_epoch"]

STEPS = 3  # of a block


def as_numbers(matrix):
    """Stored features as CUDA reads them: bits of float16 as float16, which it converts itself."""
    return matrix.view(np.float16) if matrix.dtype == np.uint16 else matrix


@device
def read_differences(matrix, rows, positives, negatives, first, size, base, out):
    """out[b] = v_i − v_j in stored units of triple first + b, for TRIPLES b from `base` on below `size`."""
    for b in range(base, min(base + TRIPLES, size)):
        row_i, row_j = rows[positives[first + b]], rows[negatives[first + b]]
        for c in range(cuda.threadIdx.x, matrix.shape[1], cuda.blockDim.x):
            out[b, c] = np.float32(matrix[row_i, c]) - np.float32(matrix[row_j, c])
    cuda.syncthreads()


@device
def move_columns(
    values, scaled, multiplier, pulls, differences, size, height, first, rate, log_kept, partial, shares
):
    """Step 3 for COLUMNS columns: E_c ← E_c (1 − η λ)^m_c + η Σ_b d_b θ_u⁽ᵇ⁾ Δ_bc, β likewise."""
    sum_shares(differences, size, first, log_kept, partial, shares)
    for row in range(0, height, ROWS):
        sum_columns(pulls, differences, size, row, height, first, partial)
        for n in range(cuda.threadIdx.x, ROWS * COLUMNS, cuda.blockDim.x):
            c, r = first + n % COLUMNS, row + n // COLUMNS
            if c < differences.shape[1] and r < height:
                times = multiplier[c]
                shrink = shrink_of(log_kept, shares[n % COLUMNS], times)
                moved = values[r, c] * shrink + rate * (times * partial[n])
                values[r, c] = moved
                scaled[r, c] = moved * times
        cuda.syncthreads()


VISUAL = (
    "void(i4[::1], i4[::1], i4[::1], i4[::1], i4[::1], i4[::1], i8[::1], i8, i8, {}[:,::1], i8[::1], "
    "f4[:,::1], "
    "f4[:,::1], f4[:,::1], f4[:,::1], f4[:,::1], f4[::1], i8, i8, f4, f4, f4, f4, f4, f4, f4[:,::1], "
    "f4[:,::1], "
    "f4[:,::1], f4[:,::1], i8[::1], f4[::1], i4[::1])"
)


@kernel(*(VISUAL.format(stored) for stored in ("f2", "u1", "f4")), threads=THREADS)
def visual_blocks(
    users,
    positives,
    negatives,
    cuts,
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
                read_differences(matrix, rows, positives, negatives, first, size, base, differences)
                project_differences(scaled, differences, size, base, height, partial, projections)
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
                move_columns(
                    values, scaled, multiplier, pulls, differences, size, height, left, visual_rate, log_kept,
                    partial, shares,
                )  # fmt: skip
        if step + 1 < end:
            grid_barrier(arrivals, step - begin + 1)


def block_rooms(block, columns, height, n):
    """Room for the differences, projections and pulls of a block, and for the losses of n triples."""
    differences = room("differences", (block, columns), np.float32)
    projections, pulls = (
        room("projections", (block, height), np.float32),
        room("pulls", (block, height), np.float32),
    )
    losses = room("block losses", n, np.float32)
    fill(losses, 0)
    return differences, projections, pulls, losses


def no_drift():
    """Item biases that stand still in time."""
    return room("no drift", (1, 1), np.float32)[:0], room("no categories", 1, np.int64)[:0]


def visual_epoch(triples, block, features, tables, embedding, sizes, rates, threads=0, shape=None):
    """Apply all triples of an iteration in blocks, in order.

    Parameters
    ----------
    triples : Triples
    block : int
        B, triples to a block.
    features : StoredFeatures
    tables : VisualTables
    embedding : EmbeddingTable
    sizes : Sizes
    rates : Rates
    threads : int
        Of no use here; the CPU's.
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
    matrix, height = as_numbers(features.matrix), sizes.visual + 1
    differences, projections, pulls, losses = block_rooms(min(block, n), matrix.shape[1], height, n)
    given = (
        matrix, features.rows, *tables, *embedding, *sizes, rates.step, rates.factors, rates.bias,
        rates.user_visual, rates.visual_step, log_kept(rates), differences, projections, pulls,
        *no_drift(), losses,
    )  # fmt: skip

    def run(own, begin, end, arrivals):
        launch(visual_blocks, own, *triples, cuts, *levels, begin, end, *given, arrivals)

    in_launches(lambda: STEPS * (cuts.shape[0] - 1), "visual", THREADS, shape, run)
    return total_of(losses)
