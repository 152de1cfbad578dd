"""One triple of a visual model by whole vectors: what loops over triples do with it."""

from collections import namedtuple

import numpy as np

from ivbpr_numba.kernels.compiling import kernel
from ivbpr_numba.kernels.cpu import vectors
from ivbpr_numba.kernels.cpu.factor import ONE, ask_for_rows, lanes, move_rows, row_products
from ivbpr_numba.kernels.cpu.scalars import logistic_slope
from ivbpr_numba.kernels.cpu.vectors import WIDTH

__all__ = ["ask_for_triple", "lanes_of", "vector_step"]

# What all triples share, by lane: of rows of γ, (5, K padded), see `factor.lanes`; of θ, (3, D padded).
Lanes = namedtuple("Lanes", ["factors", "visual"])


@kernel
def lanes_of(tables, sizes, rates):
    """Numbers by lane; of rows of θ: 1 beside the factors, where β · Δ is; η at them; and 1 − η λ."""
    visual = np.zeros((3, tables.visual.shape[1]), np.float32)
    visual[0, sizes.visual] = ONE
    visual[1, : sizes.visual] = rates.step
    visual[2, : sizes.visual] = ONE - rates.step * rates.user_visual
    factors = lanes(sizes.latent, rates.step, rates.factors, rates.bias, tables.users.shape[1])
    return Lanes(factors, visual)


@kernel(forceinline=True)
def ask_for_triple(tables, u, i, j):
    """Ask for the rows of a triple to come."""
    ask_for_rows(tables.users, tables.items, u, i, j)
    for p in range(0, tables.visual.shape[1], WIDTH):
        vectors.prefetch_write(tables.visual, u, p)


@kernel(forceinline=True)
def vector_step(tables, u, i, j, projections, b, pulls, to, shared, rate):
    """Move β_i, β_j, γ and θ_u by the triple (u, i, j), every gradient from old values.

    Parameters
    ----------
    tables : VisualTables
        The four rows of the triple are written.
    u, i, j : int64
    projections : (…, P) float32
        Row `b` is [E Δ, β · Δ], then zeros; as wide as rows of θ.
    b : int64
    pulls : (…, P) float32
        Row `to` becomes d · [θ_u, 1], θ_u as it was.
    to : int64
    shared : Lanes
    rate : float32

    Returns
    -------
    float32
        x̂_uij as it was.
    """
    visual, by_lane = tables.visual, shared.visual
    products = row_products(tables.users, tables.items, u, i, j, shared.factors)
    for p in range(0, visual.shape[1], WIDTH):
        pull = vectors.add(vectors.load(visual, u, p), vectors.load(by_lane, 0, p))
        products = vectors.fma(pull, vectors.load(projections, b, p), products)
    x = vectors.total(products)
    slope = np.float32(logistic_slope(x))
    move_rows(tables.users, tables.items, u, i, j, slope, rate, shared.factors)
    slopes = vectors.splat(slope)
    for p in range(0, visual.shape[1], WIDTH):
        theta, projected = vectors.load(visual, u, p), vectors.load(projections, b, p)
        step, kept = vectors.mul(slopes, vectors.load(by_lane, 1, p)), vectors.load(by_lane, 2, p)
        vectors.store(visual, u, p, vectors.fma(step, projected, vectors.mul(theta, kept)))
        vectors.store(pulls, to, p, vectors.mul(slopes, vectors.add(theta, vectors.load(by_lane, 0, p))))
    return x
