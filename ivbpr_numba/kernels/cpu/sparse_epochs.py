"""Rows of E and β in one epoch of the models in time: what a block begins with, and what it moves.

E_t = w(t) ⊙ E + ΔE(t) and β_t = b(t) ⊙ β + Δβ(t), by rows as `sparse_rows` tells: that of column k is
[w, b_k] ⊙ [E_k, β_k] + [ΔE_k, Δβ_k].
"""

import numpy as np

from ivbpr_numba.kernels.compiling import kernel
from ivbpr_numba.kernels.cpu import vectors
from ivbpr_numba.kernels.cpu.blocks import shrink_of
from ivbpr_numba.kernels.cpu.sparse_rows import clear_row
from ivbpr_numba.kernels.cpu.vectors import WIDTH

__all__ = ["build_rows", "move_epoch_rows"]

RUN = 64  # rows whose share in w is summed in float32, run after run then in float64


@kernel
def plain_build(embedding, epoch, visual):
    """`build_rows` with plain loops."""
    values, scaled, multiplier = embedding
    weight, drift, bias_weight = epoch
    for r in range(1, values.shape[0]):
        for p in range(visual):
            scaled[r, p] = (weight[p] * values[r, p] + drift[r, p]) * multiplier[r]
        scaled[r, visual] = (bias_weight[r] * values[r, visual] + drift[r, visual]) * multiplier[r]


@kernel
def lanes_of(weight, visual, width):
    """Numbers by lane: w; 1 at β; 1 at E and β."""
    out = np.zeros((3, width), np.float32)
    for p in range(visual):
        out[0, p] = weight[p]
    out[1, visual] = 1
    out[2, : visual + 1] = 1
    return out


@kernel
def vector_build(embedding, epoch, visual):
    """`build_rows` by whole vectors."""
    values, scaled, multiplier = embedding
    weight, drift, bias_weight = epoch
    lanes = lanes_of(weight, visual, values.shape[1])
    for r in range(1, values.shape[0]):
        of_bias, times = vectors.splat(bias_weight[r]), vectors.splat(multiplier[r])
        for p in range(0, values.shape[1], WIDTH):
            weights = vectors.fma(of_bias, vectors.load(lanes, 1, p), vectors.load(lanes, 0, p))
            of_epoch = vectors.fma(weights, vectors.load(values, r, p), vectors.load(drift, r, p))
            vectors.store(scaled, r, p, vectors.mul(of_epoch, times))


# The table of the epoch times the multiplier, into `scaled`.
build_rows = vector_build if vectors.USABLE else plain_build


@kernel
def move_weight(weight, along, rate, kept):
    """w(t) ← w(t) (1 − η λ)ⁿ + η Σ_k E_k U_k."""
    for p in range(weight.shape[0]):
        weight[p] = np.float32(weight[p] * np.float64(kept) + rate * along[p])


@kernel
def plain_move(embedding, epoch, gains, visual, rate, kept, size):
    """`move_epoch_rows` with plain loops."""
    values, multiplier = embedding.values, embedding.multiplier
    weight, drift, bias_weight = epoch
    last, along = gains.shape[1] - 1, np.zeros(visual)
    for r in range(1, values.shape[0]):
        if gains[r, last] > 0 and multiplier[r] != 0:
            keep = shrink_of(kept, gains[r, last], multiplier[r])
            for p in range(visual):
                u, old = multiplier[r] * gains[r, p], values[r, p]
                along[p] += np.float64(old) * np.float64(u)
                values[r, p] = old + rate * (weight[p] * u)
                drift[r, p] = drift[r, p] * keep + rate * u
            v, beta, b = multiplier[r] * gains[r, visual], values[r, visual], bias_weight[r]
            values[r, visual] = beta + rate * (b * v)
            bias_weight[r] = b * keep + rate * (beta * v)
            drift[r, visual] = drift[r, visual] * keep + rate * v
        clear_row(gains, r)
    move_weight(weight, along, rate, kept[size])


@kernel
def vector_move(embedding, epoch, gains, visual, rate, kept, size):
    """`move_epoch_rows` by whole vectors."""
    values, multiplier = embedding.values, embedding.multiplier
    weight, drift, bias_weight = epoch
    rows, width = values.shape
    last, zero, rates = width - 1, vectors.splat(np.float32(0)), vectors.splat(rate)
    lanes, along = lanes_of(weight, visual, width), np.zeros(visual)
    run = np.zeros((1, width), np.float32)
    for first in range(1, rows, RUN):
        run[:] = 0
        for r in range(first, min(first + RUN, rows)):
            scale = multiplier[r]
            keep = shrink_of(kept, gains[r, last], scale)
            v, beta, b = scale * gains[r, visual], values[r, visual], bias_weight[r]
            bias_weight[r] = b * keep + rate * (beta * v)
            for p in range(0, width, WIDTH):
                moving = vectors.mul(vectors.splat(scale), vectors.load(lanes, 2, p))
                u = vectors.mul(moving, vectors.load(gains, r, p))
                old = vectors.load(values, r, p)
                vectors.store(run, 0, p, vectors.fma(old, u, vectors.load(run, 0, p)))
                weights = vectors.fma(vectors.splat(b), vectors.load(lanes, 1, p), vectors.load(lanes, 0, p))
                vectors.store(values, r, p, vectors.fma(vectors.mul(rates, weights), u, old))
                stays = vectors.mul(vectors.load(drift, r, p), vectors.splat(keep))
                vectors.store(drift, r, p, vectors.fma(rates, u, stays))
                vectors.store(gains, r, p, zero)
        for p in range(visual):
            along[p] += run[0, p]
    move_weight(weight, along, rate, kept[size])


# Moves E, β, ΔE(t), Δβ(t), b(t) and w(t) by a block of `size` triples, all from old values; clears the gains.
move_epoch_rows = vector_move if vectors.USABLE else plain_move
