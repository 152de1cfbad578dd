"""SGD steps of the matrix factorisation models, and of the user–item part of the visual ones.

Tables are packed: a user row is [γ_u, 0, 0 …], an item row [γ_i, β_i, 0 …], padded alike to whole cache
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
from ivbpr_numba.kernels.cpu.vectors import WIDTH

__all__ = [
    "ask_for_rows",
    "factor_difference_of",
    "factor_epoch",
    "factor_rounds",
    "factor_step",
    "lanes",
    "move_rows",
    "row_products",
    "slope_and_loss",
]

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
    """`factor_range` with plain loops."""
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
def lanes(size, rate, decay, decay_bias, width):
    """Numbers by lane: 1 at the bias; η at γ; and 1 − η λ of a user, a positive and a negative row."""
    out = np.zeros((5, width), np.float32)
    out[0, size] = ONE
    out[1, :size] = rate
    out[2, :size] = ONE - rate * decay
    out[3, :size] = ONE - rate * decay
    out[3, size] = ONE - rate * decay_bias
    out[4, :size] = ONE - rate * decay * np.float32(0.1)
    out[4, size] = ONE - rate * decay_bias
    return out


@kernel(forceinline=True)
def ask_for_rows(user_rows, item_rows, u, i, j):
    """Ask for the rows of a triple to come."""
    for p in range(0, user_rows.shape[1], WIDTH):
        vectors.prefetch_write(user_rows, u, p)
        vectors.prefetch_write(item_rows, i, p)
        vectors.prefetch_write(item_rows, j, p)


@kernel(forceinline=True)
def row_products(user_rows, item_rows, u, i, j, by_lane):
    """Sixteen sums that together are γ_u · (γ_i − γ_j) + β_i − β_j, with a 1 beside γ_u for the bias."""
    products = vectors.splat(ZERO)
    for p in range(0, user_rows.shape[1], WIDTH):
        biased = vectors.add(vectors.load(user_rows, u, p), vectors.load(by_lane, 0, p))
        difference = vectors.sub(vectors.load(item_rows, i, p), vectors.load(item_rows, j, p))
        products = vectors.fma(biased, difference, products)
    return products


@kernel(forceinline=True)
def move_rows(user_rows, item_rows, u, i, j, slope, rate, by_lane):
    """`factor_step` by whole vectors: P + η (d g − λ P) is written P (1 − η λ) + η d g."""
    slopes, step = vectors.splat(slope), vectors.splat(rate * slope)
    for p in range(0, user_rows.shape[1], WIDTH):
        of_u = vectors.load(user_rows, u, p)
        of_i, of_j = vectors.load(item_rows, i, p), vectors.load(item_rows, j, p)
        gain = vectors.mul(step, vectors.add(of_u, vectors.load(by_lane, 0, p)))
        pull, kept = vectors.mul(slopes, vectors.load(by_lane, 1, p)), vectors.load(by_lane, 2, p)
        vectors.store(user_rows, u, p, vectors.fma(pull, vectors.sub(of_i, of_j), vectors.mul(of_u, kept)))
        vectors.store(item_rows, i, p, vectors.fma(of_i, vectors.load(by_lane, 3, p), gain))
        vectors.store(item_rows, j, p, vectors.sub(vectors.mul(of_j, vectors.load(by_lane, 4, p)), gain))


@kernel
def vector_range(triples, start, stop, tables, size, margin, rates):
    """`factor_range` by whole vectors; the rows of triples to come are asked for early."""
    users, positives, negatives = triples
    user_rows, item_rows = tables
    by_lane = lanes(size, rates.step, rates.factors, rates.bias, user_rows.shape[1])
    loss, product = 0.0, 1.0
    for n in range(start, stop):
        ahead = min(n + AHEAD, stop - 1)
        ask_for_rows(
            user_rows,
            item_rows,
            np.int64(users[ahead]),
            np.int64(positives[ahead]),
            np.int64(negatives[ahead]),
        )
        u, i, j = np.int64(users[n]), np.int64(positives[n]), np.int64(negatives[n])
        x = vectors.total(row_products(user_rows, item_rows, u, i, j, by_lane))
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
        move_rows(user_rows, item_rows, u, i, j, slope, rates.step, by_lane)
    return loss + math.log(product)


# Applies the triples start … stop−1 one after the other; returns their summed loss.
factor_range = vector_range if vectors.USABLE else plain_range


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
