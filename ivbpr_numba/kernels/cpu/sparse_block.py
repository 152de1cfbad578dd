"""The triples of one block on sparse features: E and β stand still, what they will move by is summed.

A block is done by one thread, on which projecting, moving the factors and summing overlap: other triples'
rows are on their way while one triple's score is waited for.
"""

import math

import numpy as np

from ivbpr_numba.kernels.arguments import Block, Scratch
from ivbpr_numba.kernels.compiling import kernel
from ivbpr_numba.kernels.cpu import vectors
from ivbpr_numba.kernels.cpu.block_factors import move_factors, plain_factors
from ivbpr_numba.kernels.cpu.factor import AHEAD, ZERO
from ivbpr_numba.kernels.cpu.sparse_rows import (
    COUNTED,
    add_difference,
    add_others,
    distinct,
    project_difference,
    project_others,
)
from ivbpr_numba.kernels.cpu.vector_triple import constants, vector_step
from ivbpr_numba.kernels.cpu.vectors import WIDTH

__all__ = ["sparse_block"]

CHUNK = 64  # triples whose projections and pulls stay in the L1 cache


@kernel
def wide_block(triples, block, features, tables, scaled, sizes, rates, drift, gains, differences):
    """`sparse_block` for rows of any width, and for item biases that drift; in chunks, step by step."""
    positives, negatives = triples.positives, triples.negatives
    room = (CHUNK, scaled.shape[1])
    nothing = np.empty((0, 0), np.float32)
    scratch = Scratch(nothing, np.empty(room, np.float32), np.zeros(room, np.float32))
    loss = 0.0
    for lo in range(block.first, block.first + block.size, CHUNK):
        size = min(CHUNK, block.first + block.size - lo)
        for b in range(size):
            i, j = np.int64(positives[lo + b]), np.int64(negatives[lo + b])
            project_difference(features, scaled, i, j, scratch.projections, b)
        own = Block(lo, size)
        if drift.own.shape[0] > 0:
            loss += plain_factors(triples, own, tables, sizes, scratch, rates, drift)
        else:
            loss += move_factors(triples, own, tables, sizes, scratch, rates)
        for b in range(size):
            i, j = np.int64(positives[lo + b]), np.int64(negatives[lo + b])
            add_difference(features, i, j, scratch.pulls, b, gains, differences)
    return loss


@kernel
def vector_block(triples, block, features, tables, scaled, sizes, rates, gains, differences):
    """`sparse_block` for rows of one vector each."""
    users, positives, negatives = triples
    user_rows, item_rows, visual_rows = tables.users, tables.items, tables.visual
    slots = features.slots
    first, size = block
    others = features.columns.shape[0] > 0
    shared = constants(sizes, rates)
    room = np.zeros((1, WIDTH), np.float32)
    counted = vectors.load(COUNTED, 0, 0)
    loss, product = 0.0, 1.0
    held, of_u, theta = np.int64(-1), counted, counted
    last = users.shape[0] - 1  # what comes after this block is asked for too
    for b in range(size):
        n = first + b
        ahead = min(n + AHEAD, last)
        vectors.prefetch_write(user_rows, np.int64(users[ahead]), 0)
        vectors.prefetch_write(visual_rows, np.int64(users[ahead]), 0)
        for item in (positives[ahead], negatives[ahead]):
            vectors.prefetch_write(item_rows, np.int64(item), 0)
            vectors.prefetch(slots, np.int64(item), 0)
            if others:
                vectors.prefetch(features.indptr, 0, np.int64(item))
        u, i, j = np.int64(users[n]), np.int64(positives[n]), np.int64(negatives[n])
        projected = vectors.splat(ZERO)
        for g in range(slots.shape[1]):
            of_i = vectors.load(scaled, np.int64(slots[i, g]), 0)
            of_j = vectors.load(scaled, np.int64(slots[j, g]), 0)
            projected = vectors.add(projected, vectors.sub(of_i, of_j))
        if others:
            vectors.store(room, 0, 0, projected)
            project_others(features, scaled, i, j, room, 0)
            projected = vectors.load(room, 0, 0)
        if u != held:
            held, of_u, theta = u, vectors.load(user_rows, u, 0), vectors.load(visual_rows, u, 0)
        of_u, theta, pull, x = vector_step(tables, u, i, j, of_u, theta, projected, shared, rates.step)
        product *= 1.0 + math.exp(-abs(x))
        loss += max(-x, ZERO)
        if b & 255 == 255:
            loss += math.log(product)
            product = 1.0
        up, down = vectors.add(pull, counted), vectors.sub(pull, counted)
        for g in range(slots.shape[1]):
            row_i, row_j = distinct(slots[i, g], slots[j, g])
            vectors.store(gains, row_i, 0, vectors.add(vectors.load(gains, row_i, 0), up))
            vectors.store(gains, row_j, 0, vectors.sub(vectors.load(gains, row_j, 0), down))
        if others:
            vectors.store(room, 0, 0, pull)
            add_others(features, i, j, room, 0, gains, differences)
    return loss + math.log(product)


if vectors.USABLE:

    @kernel
    def sparse_block(triples, block, features, tables, scaled, sizes, rates, drift, gains, differences):
        """Move β_i, γ and θ_u triple by triple; add d · [θ_u, 1] Δ_k to the gains; return the summed loss."""
        widths = (tables.users.shape[1], tables.items.shape[1], tables.visual.shape[1], scaled.shape[1])
        if min(widths) == WIDTH and max(widths) == WIDTH and drift.own.shape[0] == 0:
            return vector_block(triples, block, features, tables, scaled, sizes, rates, gains, differences)
        return wide_block(triples, block, features, tables, scaled, sizes, rates, drift, gains, differences)

else:
    sparse_block = wide_block
