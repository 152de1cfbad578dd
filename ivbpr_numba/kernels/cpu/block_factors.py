"""The user–item part of a block: step 2 of `visual`, triple by triple, on one thread."""

import math

import numpy as np

from ivbpr_numba.kernels.arguments import Drift
from ivbpr_numba.kernels.compiling import kernel
from ivbpr_numba.kernels.cpu import vectors
from ivbpr_numba.kernels.cpu.factor import (
    AHEAD,
    ONE,
    ZERO,
    factor_difference_of,
    factor_step,
    slope_and_loss,
)
from ivbpr_numba.kernels.cpu.scalars import stepped
from ivbpr_numba.kernels.cpu.vector_triple import constants, vector_step
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
def vector_factors(triples, block, tables, sizes, scratch, rates):
    """`move_factors` for rows of one vector each; see `factor.vector_range`."""
    users, positives, negatives = triples
    user_rows, item_rows, visual_rows = tables.users, tables.items, tables.visual
    projections, pulls = scratch.projections, scratch.pulls
    first, size = block
    shared = constants(sizes, rates)
    nothing = vectors.splat(ZERO)
    loss, product = 0.0, 1.0
    held, of_u, theta = np.int64(-1), nothing, nothing
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
        projected = vectors.load(projections, b, 0)
        of_u, theta, pull, x = vector_step(tables, u, i, j, of_u, theta, projected, shared, rates.step)
        product *= 1.0 + math.exp(-abs(x))
        loss += max(-x, ZERO)
        if b & 255 == 255:
            loss += math.log(product)
            product = 1.0
        vectors.store(pulls, b, 0, pull)
    return loss + math.log(product)


@kernel
def wide_factors(triples, block, tables, sizes, scratch, rates):
    """`move_factors` for rows of several vectors; biases are moved as single numbers."""
    users, positives, negatives = triples
    user_rows, item_rows, visual_rows = tables.users, tables.items, tables.visual
    projections, pulls = scratch.projections, scratch.pulls
    latent, visual = sizes
    rate = rates.step
    keep = ONE - rate * rates.factors
    keep_bias = ONE - rate * rates.bias
    # Beside γ_i lies β_i, where γ_u has a zero: nothing is added to it there, and it must not decay.
    keeps = np.ones((2, user_rows.shape[1]), np.float32)
    keeps[0, :latent] = keep
    keeps[1, :latent] = ONE - rate * rates.factors * np.float32(0.1)
    # What lies beside γ_u and θ_u stays zero.
    steps_u = np.zeros((1, user_rows.shape[1]), np.float32)
    steps_theta = np.zeros((1, visual_rows.shape[1]), np.float32)
    steps_u[0, :latent], steps_theta[0, :visual] = rate, rate
    keep_u, keep_theta = vectors.splat(keep), vectors.splat(ONE - rate * rates.user_visual)
    loss = 0.0
    for b in range(block.size):
        n = block.first + b
        u, i, j = np.int64(users[n]), np.int64(positives[n]), np.int64(negatives[n])
        ahead = min(n + AHEAD, users.shape[0] - 1)
        for p in range(0, user_rows.shape[1], WIDTH):
            vectors.prefetch_write(user_rows, np.int64(users[ahead]), p)
            vectors.prefetch_write(item_rows, np.int64(positives[ahead]), p)
            vectors.prefetch_write(item_rows, np.int64(negatives[ahead]), p)
        products = vectors.splat(ZERO)
        for p in range(0, user_rows.shape[1], WIDTH):
            difference = vectors.sub(vectors.load(item_rows, i, p), vectors.load(item_rows, j, p))
            products = vectors.fma(vectors.load(user_rows, u, p), difference, products)
        for p in range(0, visual_rows.shape[1], WIDTH):
            vectors.prefetch_write(visual_rows, np.int64(users[ahead]), p)
            projected = vectors.load(projections, b, p)
            products = vectors.fma(vectors.load(visual_rows, u, p), projected, products)
        x = vectors.total(products) + (item_rows[i, latent] - item_rows[j, latent]) + projections[b, visual]
        slope, triple_loss = slope_and_loss(x, np.float32(-1))
        loss += triple_loss
        slopes, step = vectors.splat(slope), vectors.splat(rate * slope)
        for p in range(0, user_rows.shape[1], WIDTH):
            of_u = vectors.load(user_rows, u, p)
            of_i, of_j = vectors.load(item_rows, i, p), vectors.load(item_rows, j, p)
            gain, difference = vectors.mul(step, of_u), vectors.sub(of_i, of_j)
            own = vectors.mul(slopes, vectors.load(steps_u, 0, p))
            vectors.store(user_rows, u, p, vectors.fma(own, difference, vectors.mul(of_u, keep_u)))
            vectors.store(item_rows, i, p, vectors.fma(of_i, vectors.load(keeps, 0, p), gain))
            vectors.store(item_rows, j, p, vectors.sub(vectors.mul(of_j, vectors.load(keeps, 1, p)), gain))
        item_rows[i, latent] = item_rows[i, latent] * keep_bias + rate * slope
        item_rows[j, latent] = item_rows[j, latent] * keep_bias - rate * slope
        for p in range(0, visual_rows.shape[1], WIDTH):
            theta, projected = vectors.load(visual_rows, u, p), vectors.load(projections, b, p)
            vectors.store(pulls, b, p, vectors.mul(slopes, theta))
            own = vectors.mul(slopes, vectors.load(steps_theta, 0, p))
            vectors.store(visual_rows, u, p, vectors.fma(own, projected, vectors.mul(theta, keep_theta)))
        pulls[b, visual] = slope
    return loss


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
        return wide_factors(triples, block, tables, sizes, scratch, rates)

else:

    @kernel
    def move_factors(triples, block, tables, sizes, scratch, rates):
        """Step 2: move β_i, γ and θ_u triple by triple; write d · [θ_u, 1] as read into the pulls."""
        nothing = np.empty(0, np.float32)
        drift = Drift(nothing, nothing, np.empty(0, np.int64))
        return plain_factors(triples, block, tables, sizes, scratch, rates, drift)
