"""SGD steps of the matrix factorisation models, level by level, and of single triples for the visual ones.

A triple has LANES threads, neighbours in a warp: each takes every LANES-th factor. Sums over factors are a
sum for each lane and then a tree over the lanes, whatever the shape of the launch. The triples of a level
share no row (`schedule`), so they are applied at once, and what comes out is the result of one after the
other.

One launch applies all levels: between two of them the blocks wait for each other. Where that can't be, as in
the simulator with several blocks, each level is a launch of its own; the kernel is the same.
"""

import numpy as np

from ivbpr_numba.kernels.cuda.scalars import (
    bias_difference,
    factor_difference,
    hinge_loss,
    hinge_slope,
    item_gradient,
    logistic_loss,
    logistic_slope,
    stepped,
    user_gradient,
)
from ivbpr_numba.kernels.cuda.scans import total_of
from ivbpr_numba.kernels.cuda.schedule import SEGMENT, even_cuts, plan_levels
from ivbpr_numba.kernels.cuda.target import (
    SIMULATOR,
    cuda,
    device,
    fill,
    grid_barrier,
    kernel,
    launch,
    on_host,
    open_shape,
    room,
    spread,
    syncwarp,
)
from ivbpr_numba.kernels.cuda.turns import together

__all__ = [
    "LANES",
    "MOST_THREADS",
    "ZERO",
    "add_lanes",
    "factor_epoch",
    "factor_rounds",
    "in_launches",
    "partial_difference",
    "slope_and_loss",
    "step_factors",
]

LANES = 16  # threads of a triple
MOST_THREADS = 256  # of a block that applies triples
THREADS = 128
ZERO, ONE, TENTH = np.float32(0), np.float32(1), np.float32(0.1)


@device
def slope_and_loss(x, margin):
    """Slope and loss of one triple: logistic for a negative `margin`, else hinge."""
    if margin >= ZERO:
        return np.float32(hinge_slope(x, margin)), np.float32(hinge_loss(x, margin))
    return np.float32(logistic_slope(x)), np.float32(logistic_loss(x))


@device
def add_lanes(shared, value):
    """The sum of the values of a triple's lanes, for each of them; all threads of the warp call it."""
    place = cuda.threadIdx.x
    lane = place % LANES
    shared[place] = value
    syncwarp()
    half = LANES // 2
    while half > 0:
        if lane < half:
            shared[place] += shared[place + half]
        syncwarp()
        half //= 2
    total = shared[place - lane]
    syncwarp()
    return total


@device
def partial_difference(user, item_i, item_j, size, lane):
    """A lane's part of γ_u · (γ_i − γ_j) from packed rows with K = `size`."""
    total = ZERO
    for k in range(lane, size, LANES):
        total += factor_difference(user[k], item_i[k], item_j[k])
    return total


@device
def step_factors(user, item_i, item_j, size, bias_i, bias_j, slope, rate, decay, decay_bias, lane):
    """A lane's part of moving γ_u, γ_i, γ_j, β_i, β_j by one triple, every gradient from old values.

    `bias_i` and `bias_j` are the old biases, which every lane has read before any calls this.
    """
    for k in range(lane, size, LANES):
        u, i, j = user[k], item_i[k], item_j[k]
        user[k] = stepped(u, slope, user_gradient(i, j), rate, decay)
        item_i[k] = stepped(i, slope, item_gradient(u, ONE), rate, decay)
        item_j[k] = stepped(j, slope, item_gradient(u, -ONE), rate, decay * TENTH)
    if lane == 0:
        item_i[size] = stepped(bias_i, slope, ONE, rate, decay_bias)
        item_j[size] = stepped(bias_j, slope, -ONE, rate, decay_bias)


@kernel(
    "void(i4[::1], i4[::1], i4[::1], i4[::1], i4[::1], i8[::1], i8, i8, f4[:,::1], f4[:,::1], i8, f4, "
    "f4, f4, "
    "f4, f4[::1], i4[::1])",
    threads=MOST_THREADS,
)
def apply_levels(
    users,
    positives,
    negatives,
    order,
    starts,
    n_levels,
    begin,
    end,
    user_rows,
    item_rows,
    size,
    margin,
    rate,
    decay,
    decay_bias,
    losses,
    arrivals,
):
    """Apply the levels begin … end−1, up to the last one, whose number is n_levels[−1]."""
    shared = cuda.shared.array(MOST_THREADS, np.float32)
    lane, own = cuda.threadIdx.x % LANES, cuda.threadIdx.x // LANES
    together_ = cuda.blockDim.x // LANES  # triples of a block at a time
    end = min(end, n_levels[n_levels.shape[0] - 1])
    for level in range(begin, end):
        stop = starts[level + 1]
        for first in range(starts[level] + cuda.blockIdx.x * together_, stop, cuda.gridDim.x * together_):
            active = first + own < stop
            t = np.int64(order[first + own]) if active else np.int64(0)
            user = user_rows[users[t]]
            item_i, item_j = item_rows[positives[t]], item_rows[negatives[t]]
            part = partial_difference(user, item_i, item_j, size, lane) if active else ZERO
            bias_i, bias_j = item_i[size], item_j[size]
            x = add_lanes(shared, part) + bias_difference(bias_i, bias_j)
            slope, loss = slope_and_loss(x, margin)
            if active:
                step_factors(user, item_i, item_j, size, bias_i, bias_j, slope, rate, decay, decay_bias, lane)
                if lane == 0:
                    losses[t] = loss
        if level + 1 < end:
            grid_barrier(arrivals, level - begin + 1)


def in_launches(steps, name, threads, shape, run):
    """Run `steps`, numbered from 0, in one launch; or each in a launch where several blocks can't meet.

    Parameters
    ----------
    steps : callable
        Their number; asked only where each is a launch of its own.
    name : str
        Of the room for the barrier.
    threads : int
    shape : Shape or None
    run : callable
        Takes a shape, the first step, the last + 1 and the room for the barrier.
    """
    own = together(threads, shape)
    arrivals = room(f"{name} arrivals", 1, np.int32)
    fill(arrivals, 0)
    if SIMULATOR and own.blocks > 1:
        for step in range(steps()):
            run(own, step, step + 1, arrivals)
    else:
        run(own, 0, 1 << 40, arrivals)


def apply_planned(triples, levels, tables, size, margin, rates, shape=None):
    """Apply the triples of a schedule; returns their summed loss."""
    losses = room("factor losses", triples.users.shape[0], np.float32)
    fill(losses, 0)

    def run(own, begin, end, arrivals):
        launch(
            apply_levels, own, *triples, *levels, begin, end, *tables, size, margin, rates.step,
            rates.factors, rates.bias, losses, arrivals,
        )  # fmt: skip

    in_launches(lambda: int(levels.first.copy_to_host()[-1]), "factor", THREADS, shape, run)
    return total_of(losses)


@kernel(
    "void(i4[::1], i4[::1], i4[::1], f4[:,::1], f4[:,::1], i8, f4, f4, f4, f4, f4[::1])",
    threads=MOST_THREADS,
)
def apply_racing(
    users, positives, negatives, user_rows, item_rows, size, margin, rate, decay, decay_bias, losses
):
    """All triples at once: each reads what is there and adds its moves, none of which is lost."""
    shared = cuda.shared.array(MOST_THREADS, np.float32)
    lane, own = cuda.threadIdx.x % LANES, cuda.threadIdx.x // LANES
    together_ = cuda.blockDim.x // LANES
    n = users.shape[0]
    for first in range(cuda.blockIdx.x * together_, n, cuda.gridDim.x * together_):
        t = first + own
        active = t < n
        if not active:
            t = 0
        user, i, j = np.int64(users[t]), np.int64(positives[t]), np.int64(negatives[t])
        item_i, item_j = item_rows[i], item_rows[j]
        part = partial_difference(user_rows[user], item_i, item_j, size, lane) if active else ZERO
        bias_i, bias_j = item_i[size], item_j[size]
        x = add_lanes(shared, part) + bias_difference(bias_i, bias_j)
        slope, loss = slope_and_loss(x, margin)
        if active:
            for k in range(lane, size, LANES):
                of_u, of_i, of_j = user_rows[user, k], item_i[k], item_j[k]
                moved = stepped(of_u, slope, user_gradient(of_i, of_j), rate, decay) - of_u
                cuda.atomic.add(user_rows, (user, k), moved)
                moved = stepped(of_i, slope, item_gradient(of_u, ONE), rate, decay) - of_i
                cuda.atomic.add(item_rows, (i, k), moved)
                moved = stepped(of_j, slope, item_gradient(of_u, -ONE), rate, decay * TENTH) - of_j
                cuda.atomic.add(item_rows, (j, k), moved)
            if lane == 0:
                cuda.atomic.add(item_rows, (i, size), stepped(bias_i, slope, ONE, rate, decay_bias) - bias_i)
                cuda.atomic.add(item_rows, (j, size), stepped(bias_j, slope, -ONE, rate, decay_bias) - bias_j)
                losses[t] = loss


def factor_epoch(triples, tables, size, margin, rates, chunks, shape=None):
    """Apply all triples of an iteration.

    Parameters
    ----------
    triples : Triples
    tables : FactorTables
    size : int
        K; column K of an item row is its bias.
    margin : float32
        Hinge margin, negative for the logistic loss.
    rates : Rates
    chunks : int
        1 applies the triples in order. More is Hogwild: all of them race, and moves are added atomically.
    shape : Shape, optional

    Returns
    -------
    float
        Summed loss of the triples at the time they were applied.
    """
    n = triples.users.shape[0]
    if n == 0:
        return 0.0
    if chunks > 1:
        losses = room("factor losses", n, np.float32)
        given = (*triples, *tables, size, margin, rates.step, rates.factors, rates.bias, losses)
        launch(apply_racing, spread(n * LANES, THREADS, shape), *given)
        return total_of(losses)
    cuts = cuda.to_device(even_cuts(n, SEGMENT))
    levels = plan_levels(triples, tables.users.shape[0], tables.items.shape[0], cuts, name="factor")
    return apply_planned(triples, levels, tables, size, margin, rates, shape)


@kernel("void(i8[:,::1], i4[::1])")
def list_pieces(pieces, sequence):
    """A block for each piece (from, to, length): sequence[to …] = from, from + 1, …"""
    for p in range(cuda.blockIdx.x, pieces.shape[0], cuda.gridDim.x):
        source, to = pieces[p, 0], pieces[p, 1]
        for n in range(cuda.threadIdx.x, pieces[p, 2], cuda.blockDim.x):
            sequence[to + n] = source + n


def pieces_of(groups, bounds):
    """The order of `factor_rounds` as pieces (from, to, length), and where their segments begin.

    Chunks of a round share no row, so the groups of all chunks that come at the same time go together: the
    order differs from that of chunk after chunk only between triples that share nothing.
    """
    classes = len(groups) - 1
    pieces, cuts, at = [], [0], 0
    for turn in range(classes):
        for g in range(int(np.diff(groups).max())):
            for chunk in range(classes):
                code = (chunk + turn) % classes
                if groups[chunk] + g < groups[chunk + 1]:
                    start, stop = bounds[groups[chunk] + g, code : code + 2]
                    pieces.append((start, at, stop - start))
                    at += stop - start
            if at > cuts[-1]:
                cuts.append(at)
    return np.array(pieces, np.int64).reshape(-1, 3), np.array(cuts, np.int32)


def factor_rounds(triples, segments, tables, size, margin, rates, shape=None):
    """Apply all triples of an iteration that `draw_rounds` drew: in round r of chunk c the class c + r.

    Parameters and result are those of `factor_epoch`, with `segments`, Segments.
    """
    pieces, cuts = pieces_of(on_host(segments.groups), on_host(segments.bounds))
    if cuts[-1] == 0:
        return 0.0
    sequence = room("round sequence", int(cuts[-1]), np.int32)
    launch(list_pieces, open_shape(min(len(pieces), 1024), 128), cuda.to_device(pieces), sequence)
    n_users, n_items = tables.users.shape[0], tables.items.shape[0]
    levels = plan_levels(triples, n_users, n_items, cuda.to_device(cuts), sequence, name="factor")
    return apply_planned(triples, levels, tables, size, margin, rates, shape)
