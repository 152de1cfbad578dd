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
    slope_and_loss,
)
from ivbpr_numba.kernels.cpu.scalars import stepped
from ivbpr_numba.kernels.cpu.vector_triple import ask_for_triple, lanes_of, vector_step

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
    """`move_factors` with plain loops, and for item biases that drift.

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
    """`move_factors` by whole vectors; see `factor.vector_range`."""
    users, positives, negatives = triples
    projections, pulls = scratch.projections, scratch.pulls
    shared = lanes_of(tables, sizes, rates)
    loss, product = 0.0, 1.0
    last = users.shape[0] - 1  # what comes after this block is asked for too
    for b in range(block.size):
        n = block.first + b
        ahead = min(n + AHEAD, last)
        ask_for_triple(tables, np.int64(users[ahead]), np.int64(positives[ahead]), np.int64(negatives[ahead]))
        u, i, j = np.int64(users[n]), np.int64(positives[n]), np.int64(negatives[n])
        x = vector_step(tables, u, i, j, projections, b, pulls, b, shared, rates.step)
        product *= 1.0 + math.exp(-abs(x))
        loss += max(-x, ZERO)
        if b & 255 == 255:
            loss += math.log(product)
            product = 1.0
    return loss + math.log(product)


if vectors.USABLE:
    move_factors = vector_factors
else:

    @kernel
    def move_factors(triples, block, tables, sizes, scratch, rates):
        """Step 2: move β_i, γ and θ_u triple by triple; write d · [θ_u, 1] as read into the pulls."""
        nothing = np.empty(0, np.float32)
        drift = Drift(nothing, nothing, np.empty(0, np.int64))
        return plain_factors(triples, block, tables, sizes, scratch, rates, drift)
