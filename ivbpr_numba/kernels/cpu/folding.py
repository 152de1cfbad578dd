"""Folding in: one row of parameters at its optimum, all others fixed (model specification 7).

The score difference of a triple is linear in one row z of parameters, x̂_uij = c + x · z: of a shopper x is
the difference of two item vectors. What the fit maximises once per sampled triple is then over the triples of
z

    mean ln σ(c + x · z) − ½ Σ_l λ_l z_l²,

of MM-MF with minus the hinge in place of ln σ. Both are concave and have one optimum. It is found in float64,
in a fixed order of sums, whoever else is folded in beside.
"""

import math

import numpy as np
from numba import prange

from ivbpr_numba.kernels.compiling import kernel
from ivbpr_numba.kernels.cpu.scalars import (
    absorb,
    bounded,
    contains,
    logistic_loss,
    logistic_slope,
    nth_admissible,
)
from ivbpr_numba.kernels.scalar.random import FOLD, MAX_ATTEMPTS

__all__ = ["fold_in", "fold_negatives"]

MOST_STEPS = 200
NEAR = 1e-14  # expected gain of a Newton step from which on it is the last: the next would gain its square
GAP = 1e-13  # of the hinge: how far from the optimum it may stay, in units of the objective
CENTRE, BOUNDARY = 0.1, 0.99  # how far the gap is to shrink in a step, and how near to 0 a step may lead


@kernel
def allowed_negative(draw, likes, lo, hi, law, pairs):
    """First candidate that isn't liked, by the law of the fit (specification 2.4)."""
    code, trained, counts = law
    if code != 0 and not any_left(likes, lo, hi, trained):
        code = 0
    for attempt in range(MAX_ATTEMPTS):
        x = absorb(draw, np.uint64(attempt))
        if code == 0:
            candidate = bounded(x, counts.shape[0])
        elif code == 1:
            candidate = np.int64(trained[bounded(x, trained.shape[0])])
        else:
            candidate = np.int64(pairs[bounded(x, pairs.shape[0])])
        if not contains(likes, lo, hi, candidate):
            return candidate
    pool = np.empty(0, np.int32) if code == 0 else trained
    weights = counts if code == 2 else np.empty(0, np.int64)
    last = absorb(draw, np.uint64(MAX_ATTEMPTS))
    return nth_admissible(last, lo, hi, likes, pool, weights, counts.shape[0])


@kernel
def any_left(likes, lo, hi, pool):
    """Whether the pool holds an item that isn't liked."""
    if pool.shape[0] > hi - lo:
        return True
    for n in range(pool.shape[0]):
        if not contains(likes, lo, hi, np.int64(pool[n])):
            return True
    return False


@kernel(parallel=True)
def fold_negatives(seed, likes, places, law, pairs, out):
    """Negatives of new shoppers, a pure function of the seed and of what each of them likes.

    Parameters
    ----------
    seed : uint64
    likes : Pairs, liked items of each shopper, ascending; fewer than all items
    places : (n + 1,) int64, first triple of each shopper
    law : NegativeLaw
    pairs : (m,) int32, items of all training pairs
    out : (places[-1],) int32, filled
    """
    indptr, items = likes
    for u in prange(indptr.shape[0] - 1):
        lo, hi = indptr[u], indptr[u + 1]
        state = absorb(absorb(np.uint64(0), seed), np.uint64(FOLD))
        for n in range(lo, hi):
            state = absorb(state, np.uint64(items[n]))
        for n in range(places[u + 1] - places[u]):
            draw = absorb(state, np.uint64(n))
            out[places[u] + n] = allowed_negative(draw, items, lo, hi, law, pairs)


@kernel
def add_products(x, z, s):
    """s ← s + X z."""
    for n in range(x.shape[0]):
        total = 0.0
        for a in range(x.shape[1]):
            total += x[n, a] * z[a]
        s[n] += total


@kernel
def mean_of_rows(x, weights, out):
    """out ← Xᵀ w / n."""
    out[:] = 0.0
    for n in range(x.shape[0]):
        for a in range(x.shape[1]):
            out[a] += weights[n] * x[n, a]
    for a in range(x.shape[1]):
        out[a] /= x.shape[0]


@kernel
def curvature(x, weights, decay, out):
    """The lower half of Xᵀ diag(w) X / n + diag(λ)."""
    out[:] = 0.0
    for n in range(x.shape[0]):
        for a in range(x.shape[1]):
            scaled = weights[n] * x[n, a]
            for b in range(a + 1):
                out[a, b] += scaled * x[n, b]
    for a in range(x.shape[1]):
        for b in range(a + 1):
            out[a, b] /= x.shape[0]
        out[a, a] += decay[a]


@kernel
def solve(matrix, z):
    """Solve matrix · z = z in place by Cholesky; of the matrix only the lower half is read, and lost."""
    size = z.shape[0]
    for a in range(size):
        for b in range(a + 1):
            total = matrix[a, b]
            for k in range(b):
                total -= matrix[a, k] * matrix[b, k]
            matrix[a, b] = math.sqrt(total) if a == b else total / matrix[b, b]
    for a in range(size):
        for k in range(a):
            z[a] -= matrix[a, k] * z[k]
        z[a] /= matrix[a, a]
    for a in range(size - 1, -1, -1):
        for k in range(a + 1, size):
            z[a] -= matrix[k, a] * z[k]
        z[a] /= matrix[a, a]


@kernel
def loss_at(s, decay, z):
    """What is minimised: mean −ln σ(s) + ½ Σ λ z²."""
    total = 0.0
    for n in range(s.shape[0]):
        total += logistic_loss(s[n])
    total /= s.shape[0]
    for a in range(z.shape[0]):
        total += 0.5 * decay[a] * z[a] * z[a]
    return total


@kernel
def fold_logistic(x, s, decay, z):
    """Newton's method from z = 0, with steps halved until they gain; s = c is used up.

    Returns how much a last step was expected to gain, in units of the objective.
    """
    length = z.shape[0]
    weights, moved, tried = np.empty(s.shape[0]), np.empty(s.shape[0]), np.empty(s.shape[0])
    step, gradient, there = np.empty(length), np.empty(length), np.empty(length)
    matrix = np.empty((length, length))
    value, gain = loss_at(s, decay, z), np.inf
    for _ in range(MOST_STEPS):
        for n in range(s.shape[0]):
            weights[n] = logistic_slope(s[n])
        mean_of_rows(x, weights, gradient)
        for n in range(s.shape[0]):
            weights[n] *= 1.0 - weights[n]
        curvature(x, weights, decay, matrix)
        for a in range(length):
            gradient[a] -= decay[a] * z[a]
            step[a] = gradient[a]
        solve(matrix, step)
        gain = 0.0
        for a in range(length):
            gain += gradient[a] * step[a]
        if not gain > NEAR:
            z += step
            break
        moved[:] = 0.0
        add_products(x, step, moved)
        share = 1.0
        while True:
            for n in range(s.shape[0]):
                tried[n] = s[n] + share * moved[n]
            for a in range(length):
                there[a] = z[a] + share * step[a]
            reached = loss_at(tried, decay, there)
            if reached <= value - 1e-4 * share * gain or share < 1e-9:
                break
            share *= 0.5
        value = reached
        s[:] = tried
        z[:] = there
    return gain


@kernel
def longest(values, changes, share):
    """The largest part of a step, at most `share`, that leaves all values above 0."""
    for n in range(values.shape[0]):
        if changes[n] < 0.0:
            share = min(share, -BOUNDARY * values[n] / changes[n])
    return share


@kernel
def fold_hinge(x, s, decay, margin, z):
    """The quadratic program of the hinge by a primal-dual interior point method, from z = 0; s is used up.

    Minimise ½ Σ λ z² + mean ξ over z and ξ ≥ 0 with t = s − margin + ξ ≥ 0. The multipliers are a of t and
    b = 1 − a of ξ, divided by the number of triples; at the optimum λ z = mean a x, and a t = b ξ = 0.
    Returns the gap between the objective and that of the dual.
    """
    size, length = x.shape
    a, b, excess, slack = np.full(size, 0.5), np.full(size, 0.5), np.empty(size), np.empty(size)
    for n in range(size):
        excess[n] = max(0.0, margin - s[n]) + 1.0
        slack[n] = s[n] - margin + excess[n]
    weights, moved, d_slack = np.empty(size), np.empty(size), np.empty(size)
    d_a, d_b, d_excess = np.empty(size), np.empty(size), np.empty(size)
    step, right = np.empty(length), np.empty(length)
    matrix = np.empty((length, length))
    gap = np.inf
    for _ in range(MOST_STEPS):
        mean_of_rows(x, a, right)
        gap, off = 0.0, 0.0
        for n in range(size):
            gap += a[n] * slack[n] + b[n] * excess[n]
        gap /= size
        for k in range(length):
            off = max(off, abs(right[k] - decay[k] * z[k]))
        if gap <= GAP and off <= GAP:
            break
        centre = 0.5 * CENTRE * gap
        for n in range(size):
            weights[n] = 1.0 / (slack[n] / a[n] + excess[n] / b[n])
            d_a[n] = weights[n] * (centre / a[n] - slack[n] - centre / b[n] + excess[n])
            d_b[n] = a[n] + d_a[n]
        curvature(x, weights, decay, matrix)
        mean_of_rows(x, d_b, step)
        for k in range(length):
            step[k] -= decay[k] * z[k]
        solve(matrix, step)
        moved[:] = 0.0
        add_products(x, step, moved)
        for n in range(size):
            d_a[n] -= weights[n] * moved[n]
            d_b[n] = -d_a[n]
            d_slack[n] = centre / a[n] - slack[n] - slack[n] * d_a[n] / a[n]
            d_excess[n] = centre / b[n] - excess[n] - excess[n] * d_b[n] / b[n]
        share = longest(slack, d_slack, longest(excess, d_excess, longest(a, d_a, longest(b, d_b, 1.0))))
        for n in range(size):
            a[n] += share * d_a[n]
            b[n] += share * d_b[n]
            slack[n] += share * d_slack[n]
            excess[n] += share * d_excess[n]
        for k in range(length):
            z[k] += share * step[k]
    return gap


@kernel(parallel=True)
def fold_in(places, x, c, decay, margin, out, left):
    """The optimal rows z of some problems.

    Parameters
    ----------
    places : (n + 1,) int64, first triple of each problem; of one without triples z is 0
    x : (places[-1], L) float64
    c : (places[-1],) float64, used up
    decay : (n, L) float64, λ, above 0
    margin : float64, of the hinge; negative: the logistic loss
    out : (n, L) float64, filled with z
    left : (n,) float64, filled with what of the objective may still be missing
    """
    for u in prange(places.shape[0] - 1):
        first, stop = places[u], places[u + 1]
        z = out[u]
        z[:] = 0.0
        left[u] = 0.0
        if stop > first:
            if margin < 0.0:
                left[u] = fold_logistic(x[first:stop], c[first:stop], decay[u], z)
            else:
                left[u] = fold_hinge(x[first:stop], c[first:stop], decay[u], margin, z)
