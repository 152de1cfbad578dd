"""The user–item part of a block: step 2 of `visual`, triple by triple, on one thread."""

import math

import numpy as np

from ivbpr_numba.kernels.arguments import Drift
from ivbpr_numba.kernels.compiling import kernel
from ivbpr_numba.kernels.cpu import vectors
from ivbpr_numba.kernels.cpu.factor import (
    AHEAD,
    ZERO,
    factor_difference_of,
    factor_step,
    lanes,
    slope_and_loss,
)
from ivbpr_numba.kernels.cpu.scalars import logistic_slope, stepped
from ivbpr_numba.kernels.cpu.vectors import WIDTH

__all__ = ["move_factors", "plain_factors"]


@kernel
def shared_bias(shared, category, item):
    """Bias of the item's category, 0 where it has none."""
    return shared[category[item]] if category[item] >= 0 else np.float32(0)


@kernel
def move_shared(shared, of_i, of_j, slope, rate, decay):
    """Move the category biases of a positive and a negative, both from old values; equal ones only decay."""
    old_i = shared[of_i] if of_i >= 0 else np.float32(0)
    old_j = shared[of_j] if of_j >= 0 else np.float32(0)
    if of_i >= 0:
        shared[of_i] += rate * (slope - decay * old_i)
    if of_j >= 0:
        shared[of_j] += rate * (-slope - decay * old_j)


@kernel
def plain_factors(triples, block, tables, sizes, scratch, rates, drift):
    """`move_factors` for rows of any width, and for item biases that drift.

    Where `drift.own` is not empty it holds the item biases of the block's epoch, for which the bias in an
    item row is only scratch space.
    """
    users, positives, negatives = triples
    user_rows, item_rows, visual_rows = tables.users, tables.items, tables.visual
    projections, pulls = scratch.projections, scratch.pulls
    latent, visual = sizes
    rate, decay_visual_user = rates.step, rates.user_visual
    own, shared, category = drift
    loss = 0.0
    drifting = own.shape[0] > 0
    for b in range(block.size):
        n = block.first + b
        user = user_rows[users[n]]
        theta = visual_rows[users[n]]
        i, j = positives[n], negatives[n]
        item_i, item_j = item_rows[i], item_rows[j]
        projected = projections[b]
        if drifting:
            item_i[latent], item_j[latent] = own[i], own[j]
        x = factor_difference_of(user, item_i, item_j, latent) + projected[visual]
        for k in range(visual):
            x += theta[k] * projected[k]
        if drifting:
            x += shared_bias(shared, category, i) - shared_bias(shared, category, j)
        slope, triple_loss = slope_and_loss(x, np.float32(-1))
        loss += triple_loss
        factor_step(user, item_i, item_j, latent, slope, rates)
        if drifting:
            own[i], own[j] = item_i[latent], item_j[latent]
            move_shared(shared, category[i], category[j], slope, rate, rates.bias)
        pull = pulls[b]
        for k in range(visual):
            pull[k] = slope * theta[k]
            theta[k] = stepped(theta[k], slope, projected[k], rate, decay_visual_user)
        pull[visual] = slope
    return loss


@kernel
def still_factors(triples, block, tables, sizes, scratch, rates):
    """`plain_factors` without drifting biases."""
    nothing = np.empty(0, np.float32)
    drift = Drift(nothing, nothing, np.empty(0, np.int64))
    return plain_factors(triples, block, tables, sizes, scratch, rates, drift)


@kernel
def vector_factors(triples, block, tables, sizes, scratch, rates):
    """`move_factors` for rows of one vector each; see `factor.vector_range`."""
    users, positives, negatives = triples
    user_rows, item_rows, visual_rows = tables.users, tables.items, tables.visual
    projections, pulls = scratch.projections, scratch.pulls
    first, size = block
    rate = rates.step
    numbers = lanes(sizes.latent, rate, rates.factors, rates.bias)
    at_bias, steps = vectors.load(numbers, 0, 0), vectors.load(numbers, 1, 0)
    keep_u, keep_i = vectors.load(numbers, 2, 0), vectors.load(numbers, 3, 0)
    keep_j = vectors.load(numbers, 4, 0)
    numbers = lanes(sizes.visual, rate, rates.user_visual, ZERO)
    at_visual_bias, visual_steps = vectors.load(numbers, 0, 0), vectors.load(numbers, 1, 0)
    keep_theta = vectors.load(numbers, 2, 0)
    loss, product = 0.0, 1.0
    held, of_u, theta = np.int64(-1), at_bias, at_bias
    last = users.shape[0] - 1  # what comes after this block is asked for too
    for b in range(size):
        n = first + b
        ahead = min(n + AHEAD, last)
        vectors.prefetch_write(user_rows, np.int64(users[ahead]), 0)
        vectors.prefetch_write(visual_rows, np.int64(users[ahead]), 0)
        vectors.prefetch_write(item_rows, np.int64(positives[ahead]), 0)
        vectors.prefetch_write(item_rows, np.int64(negatives[ahead]), 0)
        u, i, j = np.int64(users[n]), np.int64(positives[n]), np.int64(negatives[n])
        if u != held:
            held, of_u, theta = u, vectors.load(user_rows, u, 0), vectors.load(visual_rows, u, 0)
        of_i, of_j = vectors.load(item_rows, i, 0), vectors.load(item_rows, j, 0)
        projected = vectors.load(projections, b, 0)
        difference, biased = vectors.sub(of_i, of_j), vectors.add(of_u, at_bias)
        pull = vectors.add(theta, at_visual_bias)
        x = vectors.total(vectors.fma(pull, projected, vectors.mul(biased, difference)))
        slope = np.float32(logistic_slope(x))
        product *= 1.0 + math.exp(-abs(x))
        loss += max(-x, ZERO)
        if b & 255 == 255:
            loss += math.log(product)
            product = 1.0
        slopes = vectors.splat(slope)
        vectors.store(pulls, b, 0, vectors.mul(slopes, pull))
        theta = vectors.fma(vectors.mul(slopes, visual_steps), projected, vectors.mul(theta, keep_theta))
        gain = vectors.mul(vectors.splat(rate * slope), biased)
        of_u = vectors.fma(vectors.mul(slopes, steps), difference, vectors.mul(of_u, keep_u))
        vectors.store(visual_rows, u, 0, theta)
        vectors.store(user_rows, u, 0, of_u)
        vectors.store(item_rows, i, 0, vectors.fma(of_i, keep_i, gain))
        vectors.store(item_rows, j, 0, vectors.sub(vectors.mul(of_j, keep_j), gain))
    return loss + math.log(product)


if vectors.USABLE:

    @kernel
    def move_factors(triples, block, tables, sizes, scratch, rates):
        """Step 2: move β_i, γ and θ_u triple by triple; write d · [θ_u, 1] as read into the pulls."""
        widths = (
            tables.users.shape[1],
            tables.items.shape[1],
            tables.visual.shape[1],
            scratch.projections.shape[1],
            scratch.pulls.shape[1],
        )
        if min(widths) == WIDTH and max(widths) == WIDTH:
            return vector_factors(triples, block, tables, sizes, scratch, rates)
        return still_factors(triples, block, tables, sizes, scratch, rates)

else:
    move_factors = still_factors
