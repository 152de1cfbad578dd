"""Features that are mostly zero, and the rows of E and β that they touch.

The table of E and β stands on its side: row 1 + k is [E_k, β_k, 0 …] of column k, so that the difference of
two items touches the rows of the columns in which they differ, whole vectors each. Row 0 is what an item has in
a group without a value: zero where it is read, and where sums are made a place for what nobody needs.
"""

import numpy as np
from numba import prange

from ivbpr_numba.kernels.compiling import kernel

__all__ = [
    "add_difference",
    "add_other_values",
    "clear_row",
    "move_rows",
    "powers",
    "project_difference",
    "project_other_values",
    "project_sparse_items",
]

CHUNKS = 64  # tasks of one projection of all items


@kernel
def project_other_values(features, scaled, i, j, out):
    """Add to `out` what the values outside the slots give, with rows of `scaled`, to E Δ and β · Δ."""
    indptr, columns, values = features.indptr, features.columns, features.values
    for n in range(indptr[i], indptr[i + 1]):
        row, value = scaled[columns[n] + 1], values[n]
        for p in range(out.shape[0]):
            out[p] += value * row[p]
    for n in range(indptr[j], indptr[j + 1]):
        row, value = scaled[columns[n] + 1], values[n]
        for p in range(out.shape[0]):
            out[p] -= value * row[p]


@kernel
def project_difference(features, scaled, i, j, out):
    """out = Σ_k Δ_k · row k of `scaled`, Δ being the features of item i less those of item j."""
    slots = features.slots
    out[:] = 0
    for g in range(slots.shape[1]):
        of_i, of_j = scaled[slots[i, g]], scaled[slots[j, g]]
        for p in range(out.shape[0]):
            out[p] += of_i[p] - of_j[p]
    if features.columns.shape[0] > 0:
        project_other_values(features, scaled, i, j, out)


@kernel
def add_times(gains, row, pull, times):
    """Add a pull so many times to one row, and one to its count."""
    for p in range(pull.shape[0]):
        gains[row, p] += times * pull[p]
    gains[row, pull.shape[0] - 1] += 1


@kernel
def add_other_values(features, i, j, pull, gains):
    """`add_difference` for the values outside the slots."""
    indptr, columns, values = features.indptr, features.columns, features.values
    a, b, last_a, last_b = indptr[i], indptr[j], indptr[i + 1], indptr[j + 1]
    while a < last_a or b < last_b:
        if b == last_b or (a < last_a and columns[a] < columns[b]):
            add_times(gains, columns[a] + 1, pull, values[a])
            a += 1
        elif a == last_a or columns[b] < columns[a]:
            add_times(gains, columns[b] + 1, pull, -values[b])
            b += 1
        else:
            if values[a] != values[b]:
                add_times(gains, columns[a] + 1, pull, values[a] - values[b])
            a += 1
            b += 1


@kernel
def add_difference(features, i, j, pull, gains):
    """Add Δ_k · pull to row k of `gains` wherever Δ_k ≠ 0, and one to the row's last number, the count.

    Parameters
    ----------
    features : SparseFeatures
    i, j : int64
    pull : (P,) float32, d · [θ_u, 1], then zeros
    gains : (1 + F, P) float32
    """
    slots = features.slots
    for g in range(slots.shape[1]):
        if slots[i, g] != slots[j, g]:
            add_times(gains, slots[i, g], pull, np.float32(1))
            add_times(gains, slots[j, g], pull, np.float32(-1))
    if features.columns.shape[0] > 0:
        add_other_values(features, i, j, pull, gains)


@kernel
def powers(rate, decay, most):
    """(1 − η λ)^m for m = 0 … `most`, float32."""
    kept = np.empty(most + 1, np.float32)
    for m in range(most + 1):
        kept[m] = (1.0 - np.float64(rate) * np.float64(decay)) ** m
    return kept


@kernel
def clear_row(gains, r):
    """Nothing was summed there."""
    for p in range(gains.shape[1]):
        gains[r, p] = 0


@kernel
def move_rows(embedding, gains, visual, rate, kept):
    """E_k ← E_k (1 − η λ)^m_k + η Σ_b d_b θ_u⁽ᵇ⁾ Δ_bk, β likewise; clears the gains for the next block."""
    values, scaled, multiplier = embedding
    count = gains.shape[1] - 1
    for r in range(1, values.shape[0]):
        m = np.int64(gains[r, count])
        if m > 0 and multiplier[r] != 0:  # else Δ_k is 0, however the stored values differ
            for p in range(visual + 1):
                moved = values[r, p] * kept[m] + rate * (multiplier[r] * gains[r, p])
                values[r, p] = moved
                scaled[r, p] = moved * multiplier[r]
        clear_row(gains, r)


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
