"""One triple of a visual model whose rows are one vector each: what loops over triples do with them."""

import numpy as np

from ivbpr_numba.kernels.compiling import kernel
from ivbpr_numba.kernels.cpu import vectors
from ivbpr_numba.kernels.cpu.factor import ZERO, lanes
from ivbpr_numba.kernels.cpu.scalars import logistic_slope

__all__ = ["constants", "vector_step"]


@kernel
def constants(sizes, rates):
    """What all triples share, by lane; from here into registers."""
    numbers = lanes(sizes.latent, rates.step, rates.factors, rates.bias)
    at_bias, steps = vectors.load(numbers, 0, 0), vectors.load(numbers, 1, 0)
    keep_u, keep_i = vectors.load(numbers, 2, 0), vectors.load(numbers, 3, 0)
    keep_j = vectors.load(numbers, 4, 0)
    numbers = lanes(sizes.visual, rates.step, rates.user_visual, ZERO)
    at_visual_bias, visual_steps = vectors.load(numbers, 0, 0), vectors.load(numbers, 1, 0)
    keep_theta = vectors.load(numbers, 2, 0)
    return at_bias, steps, keep_u, keep_i, keep_j, at_visual_bias, visual_steps, keep_theta


@kernel
def vector_step(tables, u, i, j, of_u, theta, projected, shared, rate):
    """Move β_i, β_j, γ and θ_u by the triple (u, i, j), every gradient from old values.

    Parameters
    ----------
    tables : VisualTables
        Rows of 16 float32 each; all four of the triple are written.
    u, i, j : int64
    of_u, theta : vector
        Rows of the user, as they are in the tables.
    projected : vector
        [E Δ, β · Δ], then zeros.
    shared : tuple
        As `constants` gives them.
    rate : float32

    Returns
    -------
    tuple
        The user's rows as written, d · [θ_u, 1] as read, and x̂_uij.
    """
    at_bias, steps, keep_u, keep_i, keep_j, at_visual_bias, visual_steps, keep_theta = shared
    of_i, of_j = vectors.load(tables.items, i, 0), vectors.load(tables.items, j, 0)
    difference, biased = vectors.sub(of_i, of_j), vectors.add(of_u, at_bias)
    pull = vectors.add(theta, at_visual_bias)
    x = vectors.total(vectors.fma(pull, projected, vectors.mul(biased, difference)))
    slope = np.float32(logistic_slope(x))
    slopes = vectors.splat(slope)
    pull = vectors.mul(slopes, pull)
    theta = vectors.fma(vectors.mul(slopes, visual_steps), projected, vectors.mul(theta, keep_theta))
    gain = vectors.mul(vectors.splat(rate * slope), biased)
    of_u = vectors.fma(vectors.mul(slopes, steps), difference, vectors.mul(of_u, keep_u))
    vectors.store(tables.visual, u, 0, theta)
    vectors.store(tables.users, u, 0, of_u)
    vectors.store(tables.items, i, 0, vectors.fma(of_i, keep_i, gain))
    vectors.store(tables.items, j, 0, vectors.sub(vectors.mul(of_j, keep_j), gain))
    return of_u, theta, pull, x
