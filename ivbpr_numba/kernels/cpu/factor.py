"""SGD steps of the matrix factorisation models, and of the user–item part of the visual ones.

Tables are packed: a user row is [γ_u, 0 …], an item row [γ_i, β_i, 0 …], padded to whole cache
lines of 16 float32, so that one triple touches three rows. The zeros take part in every loop,
which costs nothing in a vector register and leaves no remainder.
"""

import math

import numpy as np
from numba import prange

from ivbpr_numba.kernels.arguments import CLASSES
from ivbpr_numba.kernels.compiling import kernel
from ivbpr_numba.kernels.cpu import vectors
from ivbpr_numba.kernels.cpu.scalars import (
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

__all__ = ["factor_difference_of", "factor_epoch", "factor_rounds", "factor_step", "slope_and_loss"]

ZERO, ONE = np.float32(0), np.float32(1)
AHEAD = 16  # triples between asking for rows and using them


@kernel
def slope_and_loss(x, margin):
    """Slope and loss of one triple: logistic for a negative `margin`, else hinge."""
    if margin >= 0:
        return np.float32(hinge_slope(x, margin)), np.float64(hinge_loss(x, margin))
    return np.float32(logistic_slope(x)), np.float64(logistic_loss(x))


# The order of one triple's K products is left to the compiler: no guards, no infinities here.
@kernel(fastmath={"reassoc", "contract", "nsz"})
def factor_difference_of(user, item_i, item_j, size):
    """γ_u · (γ_i − γ_j) + β_i − β_j from packed rows with K = `size`."""
    total = np.float32(0)
    for k in range(size):
        total += factor_difference(user[k], item_i[k], item_j[k])
    return total + bias_difference(item_i[size], item_j[size])


@kernel
def factor_step(user, item_i, item_j, size, slope, rates):
    """Move γ_u, γ_i, γ_j, β_i, β_j by one triple, every gradient from old values."""
    rate, decay, decay_bias = rates.step, rates.factors, rates.bias
    decay_negative = decay * np.float32(0.1)
    for k in range(size):
        u, i, j = user[k], item_i[k], item_j[k]
        user[k] = stepped(u, slope, user_gradient(i, j), rate, decay)
        item_i[k] = stepped(i, slope, item_gradient(u, ONE), rate, decay)
        item_j[k] = stepped(j, slope, item_gradient(u, -ONE), rate, decay_negative)
    item_i[size] = stepped(item_i[size], slope, ONE, rate, decay_bias)
    item_j[size] = stepped(item_j[size], slope, -ONE, rate, decay_bias)


@kernel
def plain_range(triples, start, stop, tables, size, margin, rates):
    """`factor_range` for rows of any width."""
    users, positives, negatives = triples
    user_rows, item_rows = tables
    loss = 0.0
    for n in range(start, stop):
        user = user_rows[users[n]]
        item_i = item_rows[positives[n]]
        item_j = item_rows[negatives[n]]
        x = factor_difference_of(user, item_i, item_j, size)
        slope, triple_loss = slope_and_loss(x, margin)
        loss += triple_loss
        factor_step(user, item_i, item_j, size, slope, rates)
    return loss


@kernel
def lanes(size, rate, decay, decay_bias):
    """Numbers by lane: 1 at the bias; η at γ; and 1 − η λ of a user, a positive and a negative row."""
    out = np.zeros((5, vectors.WIDTH), np.float32)
    out[0, size] = ONE
    out[1, :size] = rate
    out[2, :size] = ONE - rate * decay
    out[3, :size] = ONE - rate * decay
    out[3, size] = ONE - rate * decay_bias
    out[4, :size] = ONE - rate * decay * np.float32(0.1)
    out[4, size] = ONE - rate * decay_bias
    return out


@kernel
def vector_range(triples, start, stop, tables, size, margin, rates):
    """`factor_range` for rows of one vector each; P + η (d g − λ P) is written P (1 − η λ) + η d g.

    With a 1 in place of the bias in γ_u the score difference is one product of two rows. The rows of
    triples to come are asked for early, and a user's row stays in a register while it is the same user.
    """
    users, positives, negatives = triples
    user_rows, item_rows = tables
    rate = rates.step
    numbers = lanes(size, rate, rates.factors, rates.bias)
    at_bias, steps = vectors.load(numbers, 0, 0), vectors.load(numbers, 1, 0)
    keep_u, keep_i = vectors.load(numbers, 2, 0), vectors.load(numbers, 3, 0)
    keep_j = vectors.load(numbers, 4, 0)
    loss, product = 0.0, 1.0
    held, of_u = np.int64(-1), at_bias
    for n in range(start, stop):
        ahead = min(n + AHEAD, stop - 1)
        vectors.prefetch_write(user_rows, np.int64(users[ahead]), 0)
        vectors.prefetch_write(item_rows, np.int64(positives[ahead]), 0)
        vectors.prefetch_write(item_rows, np.int64(negatives[ahead]), 0)
        u, i, j = np.int64(users[n]), np.int64(positives[n]), np.int64(negatives[n])
        if u != held:
            held, of_u = u, vectors.load(user_rows, u, 0)
        of_i, of_j = vectors.load(item_rows, i, 0), vectors.load(item_rows, j, 0)
        difference, biased = vectors.sub(of_i, of_j), vectors.add(of_u, at_bias)
        x = vectors.total(vectors.mul(biased, difference))
        if margin >= 0:
            slope = np.float32(hinge_slope(x, margin))
            loss += hinge_loss(x, margin)
        else:
            slope = np.float32(logistic_slope(x))
            # Σ ln(1 + e) is the logarithm of a product, taken before the product can overflow.
            product *= 1.0 + math.exp(-abs(x))
            loss += max(-x, ZERO)
            if n & 255 == 255:
                loss += math.log(product)
                product = 1.0
        gain = vectors.mul(vectors.splat(rate * slope), biased)
        pull = vectors.mul(vectors.splat(slope), steps)
        of_u = vectors.fma(pull, difference, vectors.mul(of_u, keep_u))
        vectors.store(user_rows, u, 0, of_u)
        vectors.store(item_rows, i, 0, vectors.fma(of_i, keep_i, gain))
        vectors.store(item_rows, j, 0, vectors.sub(vectors.mul(of_j, keep_j), gain))
    return loss + math.log(product)


if vectors.USABLE:

    @kernel
    def factor_range(triples, start, stop, tables, size, margin, rates):
        """Apply the triples start … stop−1 one after the other; return their summed loss."""
        if tables.users.shape[1] == vectors.WIDTH and tables.items.shape[1] == vectors.WIDTH:
            return vector_range(triples, start, stop, tables, size, margin, rates)
        return plain_range(triples, start, stop, tables, size, margin, rates)

else:
    factor_range = plain_range


@kernel(parallel=True)
def factor_epoch(triples, tables, size, margin, rates, chunks):
    """Apply all triples of an iteration.

    Parameters
    ----------
    triples : Triples
    tables : FactorTables
    size : int64
        K; column K of an item row is its bias.
    margin : float32
        Hinge margin, negative for the logistic loss.
    rates : Rates
    chunks : int64
        1 applies the triples in order. More is Hogwild: that many runs side by side, racing.

    Returns
    -------
    float64
        Summed loss of the triples at the time they were applied.
    """
    n = triples.users.shape[0]
    losses = np.zeros(chunks)
    if chunks == 1:
        return factor_range(triples, 0, n, tables, size, margin, rates)
    for c in prange(chunks):
        losses[c] = factor_range(triples, c * n // chunks, (c + 1) * n // chunks, tables, size, margin, rates)
    return losses.sum()


@kernel
def factor_class(triples, segments, chunk, code, tables, size, margin, rates):
    """Apply the triples of one chunk of users and one class of items, group by group; return their loss."""
    loss = 0.0
    for g in range(segments.groups[chunk], segments.groups[chunk + 1]):
        start, stop = segments.bounds[g, code], segments.bounds[g, code + 1]
        loss += factor_range(triples, start, stop, tables, size, margin, rates)
    return loss


@kernel
def in_order(losses):
    """Their sum from first to last; a parallel kernel adds up as its threads come."""
    total = 0.0
    for loss in losses.flat:
        total += loss
    return total


@kernel(parallel=True)
def factor_rounds(triples, segments, tables, size, margin, rates):
    """Apply all triples of an iteration that `draw_rounds` drew: in round r of chunk c the class c + r.

    Parameters and result are those of `factor_epoch`, with `segments`, Segments. The chunks of a round share
    no row, so that it does not matter which thread applies them, or when.
    """
    losses = np.zeros((CLASSES, CLASSES))
    for turn in range(CLASSES):
        for chunk in prange(CLASSES):
            code = (chunk + turn) % CLASSES
            losses[turn, chunk] = factor_class(triples, segments, chunk, code, tables, size, margin, rates)
    return in_order(losses)
