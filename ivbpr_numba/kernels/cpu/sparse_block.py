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
from ivbpr_numba.kernels.cpu.sparse_rows import add_difference, project_difference
from ivbpr_numba.kernels.cpu.vector_triple import ask_for_triple, lanes_of, vector_step

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
    """`sparse_block` by whole vectors: all of a triple at once, what is between its steps in the L1 cache."""
    users, positives, negatives = triples
    slots, width = features.slots, scaled.shape[1]
    others = features.columns.shape[0] > 0
    shared = lanes_of(tables, sizes, rates)
    room = np.zeros((2, width), np.float32)  # [E Δ, β · Δ], then d · [θ_u, 1]
    loss, product = 0.0, 1.0
    last = users.shape[0] - 1  # what comes after this block is asked for too
    for b in range(block.size):
        n = block.first + b
        ahead = min(n + AHEAD, last)
        i, j = np.int64(positives[ahead]), np.int64(negatives[ahead])
        ask_for_triple(tables, np.int64(users[ahead]), i, j)
        for item in (i, j):
            vectors.prefetch(slots, item, 0)
            if others:
                vectors.prefetch(features.indptr, 0, item)
        u, i, j = np.int64(users[n]), np.int64(positives[n]), np.int64(negatives[n])
        project_difference(features, scaled, i, j, room, 0)
        x = vector_step(tables, u, i, j, room, 0, room, 1, shared, rates.step)
        product *= 1.0 + math.exp(-abs(x))
        loss += max(-x, ZERO)
        if b & 255 == 255:
            loss += math.log(product)
            product = 1.0
        add_difference(features, i, j, room, 1, gains, differences)
    return loss + math.log(product)


if vectors.USABLE:

    @kernel
    def sparse_block(triples, block, features, tables, scaled, sizes, rates, drift, gains, differences):
        """Move β_i, γ and θ_u triple by triple; add d · [θ_u, 1] Δ_k to the gains; return the summed loss."""
        if drift.own.shape[0] == 0:
            return vector_block(triples, block, features, tables, scaled, sizes, rates, gains, differences)
        return wide_block(triples, block, features, tables, scaled, sizes, rates, drift, gains, differences)

else:
    sparse_block = wide_block
