"""Features that are mostly zero, and the rows of E and β that they touch.

The table of E and β stands on its side: row 1 + k is [E_k, β_k, 0 …] of column k, so that the difference of
two items touches the rows of the columns in which they differ, whole vectors each. Row 0 is what an item has
in a group without a value: zero where it is read, and where sums are made a place for what nobody needs. The
last number of a row of sums, beyond all factors, is Σ Δ² of its column, Δ as stored: of one-hots the number
of triples that differ there.
"""

import numpy as np
from numba import prange

from ivbpr_numba.kernels.compiling import kernel
from ivbpr_numba.kernels.cpu import vectors
from ivbpr_numba.kernels.cpu.blocks import shrink_of
from ivbpr_numba.kernels.cpu.scalars import column_share
from ivbpr_numba.kernels.cpu.vectors import WIDTH

__all__ = [
    "add_difference",
    "clear_row",
    "move_rows",
    "project_difference",
    "project_sparse_items",
    "room_for_sums",
    "weigh_sparse_items",
]

CHUNKS = 64  # tasks of one projection of all items
COUNTED = np.zeros((1, WIDTH), np.float32)  # one more in the last lane
COUNTED[0, -1] = 1


@kernel
def plain_project_others(features, scaled, i, j, out, b):
    """`project_others` with plain loops."""
    indptr, columns, values = features.indptr, features.columns, features.values
    total = out[b]
    for n in range(indptr[i], indptr[i + 1]):
        row, value = scaled[columns[n] + 1], values[n]
        for p in range(total.shape[0]):
            total[p] += value * row[p]
    for n in range(indptr[j], indptr[j + 1]):
        row, value = scaled[columns[n] + 1], values[n]
        for p in range(total.shape[0]):
            total[p] -= value * row[p]


@kernel
def vector_project_others(features, scaled, i, j, out, b):
    """`project_others` by whole vectors."""
    indptr, columns, values = features.indptr, features.columns, features.values
    for p in range(0, scaled.shape[1], WIDTH):
        total = vectors.load(out, b, p)
        for n in range(indptr[i], indptr[i + 1]):
            row = vectors.load(scaled, np.int64(columns[n]) + 1, p)
            total = vectors.fma(vectors.splat(values[n]), row, total)
        for n in range(indptr[j], indptr[j + 1]):
            row = vectors.load(scaled, np.int64(columns[n]) + 1, p)
            total = vectors.fma(vectors.splat(-values[n]), row, total)
        vectors.store(out, b, p, total)


# Adds to out[b] what the values outside the slots give, with rows of `scaled`, to E Δ and β · Δ.
project_others = vector_project_others if vectors.USABLE else plain_project_others


@kernel
def plain_project(features, scaled, i, j, out, b):
    """`project_difference` with plain loops."""
    slots = features.slots
    total = out[b]
    total[:] = 0
    for g in range(slots.shape[1]):
        of_i, of_j = scaled[slots[i, g]], scaled[slots[j, g]]
        for p in range(total.shape[0]):
            total[p] += of_i[p] - of_j[p]
    if features.columns.shape[0] > 0:
        plain_project_others(features, scaled, i, j, out, b)


@kernel(forceinline=True)
def vector_project(features, scaled, i, j, out, b):
    """`project_difference` by whole vectors."""
    slots = features.slots
    for p in range(0, scaled.shape[1], WIDTH):
        total = vectors.splat(np.float32(0))
        for g in range(slots.shape[1]):
            of_i = vectors.load(scaled, np.int64(slots[i, g]), p)
            of_j = vectors.load(scaled, np.int64(slots[j, g]), p)
            total = vectors.add(total, vectors.sub(of_i, of_j))
        vectors.store(out, b, p, total)
    if features.columns.shape[0] > 0:
        vector_project_others(features, scaled, i, j, out, b)


# out[b] = Σ_k Δ_k · row k of `scaled`, Δ being the features of item i less those of item j.
project_difference = vector_project if vectors.USABLE else plain_project


@kernel
def add_times(gains, row, pull, times):
    """Add a pull so many times to one row, and what this is squared to its last number."""
    for p in range(pull.shape[0]):
        gains[row, p] += times * pull[p]
    gains[row, pull.shape[0] - 1] += column_share(times)


@kernel
def differ(features, i, j, differences):
    """Fill in Δ of the values outside the slots; the other `differences` (F,) are zero."""
    indptr, columns, values = features.indptr, features.columns, features.values
    for n in range(indptr[i], indptr[i + 1]):
        differences[columns[n]] += values[n]
    for n in range(indptr[j], indptr[j + 1]):
        differences[columns[n]] -= values[n]


@kernel
def plain_add_others(features, i, j, pulls, b, gains, differences):
    """`add_others` with plain loops."""
    differ(features, i, j, differences)
    for item in (i, j):
        for n in range(features.indptr[item], features.indptr[item + 1]):
            column = features.columns[n]
            add_times(gains, column + 1, pulls[b], differences[column])
            differences[column] = 0  # what both items have is met again


@kernel
def vector_add_others(features, i, j, pulls, b, gains, differences):
    """`add_others` by whole vectors."""
    indptr, columns = features.indptr, features.columns
    differ(features, i, j, differences)
    one, last = vectors.load(COUNTED, 0, 0), gains.shape[1] - WIDTH
    for item in (i, j):
        for n in range(indptr[item], indptr[item + 1]):
            column = np.int64(columns[n])
            times = differences[column]
            differences[column] = 0  # what both items have is met again
            for p in range(0, gains.shape[1], WIDTH):
                moved = vectors.load(gains, column + 1, p)
                moved = vectors.fma(vectors.splat(times), vectors.load(pulls, b, p), moved)
                if p == last:
                    moved = vectors.fma(vectors.splat(column_share(times)), one, moved)
                vectors.store(gains, column + 1, p, moved)


# `add_difference` for the values outside the slots; `differences` (F,) are room, zero before and after.
add_others = vector_add_others if vectors.USABLE else plain_add_others


@kernel
def plain_add(features, i, j, pulls, b, gains, differences):
    """`add_difference` with plain loops."""
    slots, pull = features.slots, pulls[b]
    for g in range(slots.shape[1]):
        if slots[i, g] != slots[j, g]:
            add_times(gains, slots[i, g], pull, np.float32(1))
            add_times(gains, slots[j, g], pull, np.float32(-1))
    if features.columns.shape[0] > 0:
        plain_add_others(features, i, j, pulls, b, gains, differences)


@kernel(forceinline=True)
def vector_add(features, i, j, pulls, b, gains, differences):
    """`add_difference` by whole vectors."""
    slots, last = features.slots, gains.shape[1] - WIDTH
    one = vectors.load(COUNTED, 0, 0)
    for p in range(0, gains.shape[1], WIDTH):
        up = down = vectors.load(pulls, b, p)
        if p == last:
            up, down = vectors.add(up, one), vectors.sub(down, one)
        for g in range(slots.shape[1]):
            row_i, row_j = distinct(slots[i, g], slots[j, g])
            vectors.store(gains, row_i, p, vectors.add(vectors.load(gains, row_i, p), up))
            vectors.store(gains, row_j, p, vectors.sub(vectors.load(gains, row_j, p), down))
    if features.columns.shape[0] > 0:
        vector_add_others(features, i, j, pulls, b, gains, differences)


@kernel(forceinline=True)
def distinct(slot_i, slot_j):
    """The rows of two slots, both 0 where they are alike: without a branch that can't be foreseen."""
    alike = slot_i == slot_j
    return np.int64(0) if alike else np.int64(slot_i), np.int64(0) if alike else np.int64(slot_j)


# Adds Δ_k · pulls[b], d · [θ_u, 1] and zeros, to row k of `gains` wherever Δ_k ≠ 0, Δ_k² to its last number.
add_difference = vector_add if vectors.USABLE else plain_add


@kernel
def room_for_sums(table):
    """Zeros of a table's shape that begin with a cache line, so that no row lies in two."""
    rows, width = table.shape
    room = np.zeros(rows * width + WIDTH, np.float32)
    skipped = -(room.ctypes.data // 4) % WIDTH
    return room[skipped : skipped + rows * width].reshape(rows, width)


@kernel
def clear_row(gains, r):
    """Nothing was summed there."""
    for p in range(gains.shape[1]):
        gains[r, p] = 0


@kernel
def plain_move(embedding, gains, visual, rate, kept):
    """`move_rows` with plain loops."""
    values, scaled, multiplier = embedding
    last = gains.shape[1] - 1
    for r in range(1, values.shape[0]):
        if gains[r, last] > 0 and multiplier[r] != 0:
            shrink = shrink_of(kept, gains[r, last], multiplier[r])
            for p in range(visual + 1):
                moved = values[r, p] * shrink + rate * (multiplier[r] * gains[r, p])
                values[r, p] = moved
                scaled[r, p] = moved * multiplier[r]
        clear_row(gains, r)


@kernel
def vector_move(embedding, gains, visual, rate, kept):
    """`move_rows` by whole vectors."""
    values, scaled, multiplier = embedding
    last, zero = gains.shape[1] - 1, vectors.splat(np.float32(0))
    rates = np.zeros((1, gains.shape[1]), np.float32)
    rates[0, : visual + 1] = rate
    for r in range(1, values.shape[0]):
        keep = vectors.splat(shrink_of(kept, gains[r, last], multiplier[r]))
        times = vectors.splat(multiplier[r])
        for p in range(0, gains.shape[1], WIDTH):
            step = vectors.mul(vectors.load(rates, 0, p), times)
            moved = vectors.fma(
                step, vectors.load(gains, r, p), vectors.mul(keep, vectors.load(values, r, p))
            )
            vectors.store(values, r, p, moved)
            vectors.store(scaled, r, p, vectors.mul(moved, times))
            vectors.store(gains, r, p, zero)


# E_k ← E_k (1 − η λ)^m_k + η Σ_b d_b θ_u⁽ᵇ⁾ Δ_bk, β likewise, m_k by `shrink_of`; where the multiplier is 0
# nothing moves, since Δ_k is 0 there. Clears the gains for the next block.
move_rows = vector_move if vectors.USABLE else plain_move


@kernel(parallel=True)
def project_sparse_items(features, table, offsets, out):
    """Project the features of all items: out[n] = Σ_k v_nk · row k of the table + offsets.

    Parameters
    ----------
    features : SparseFeatures
    table : (1 + F, P) float32, row 0 zero
    offsets : (P,) float32
    out : (I, P) float32, filled
    """
    slots, indptr, columns, values = features
    chunks = min(out.shape[0], CHUNKS)
    for chunk in prange(chunks):
        for i in range(chunk * out.shape[0] // chunks, (chunk + 1) * out.shape[0] // chunks):
            projected = out[i]
            projected[:] = offsets
            for g in range(slots.shape[1]):
                row = table[slots[i, g]]
                for p in range(projected.shape[0]):
                    projected[p] += row[p]
            for n in range(indptr[i], indptr[i + 1]):
                row, value = table[columns[n] + 1], values[n]
                for p in range(projected.shape[0]):
                    projected[p] += value * row[p]


@kernel(parallel=True)
def weigh_sparse_items(features, weights, out):
    """Sum the weighted features of all items in float64: out[n] = Σ_k weights_k v_nk, slots before others.

    Parameters
    ----------
    features : SparseFeatures
    weights : (1 + F,) float64, the first zero
    out : (I,) float64, filled
    """
    slots, indptr, columns, values = features
    chunks = min(out.shape[0], CHUNKS)
    for chunk in prange(chunks):
        for i in range(chunk * out.shape[0] // chunks, (chunk + 1) * out.shape[0] // chunks):
            total = 0.0
            for g in range(slots.shape[1]):
                total += weights[slots[i, g]]
            for n in range(indptr[i], indptr[i + 1]):
                total += weights[columns[n] + 1] * values[n]
            out[i] = total
