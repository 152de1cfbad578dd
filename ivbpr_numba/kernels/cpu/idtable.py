"""Numbering ids as they come: a hash table over bytes that keeps no Python object."""

import numpy as np

from ivbpr_numba.kernels.compiling import kernel

__all__ = ["EMPTY", "TOO_LONG", "gather_ids", "number_ids", "rebuild_slots"]

EMPTY, TOO_LONG = -1, -2
LOWER = (1 << 32) - 1


@kernel
def hash_bytes(text, begin, end):
    """FNV-1a over the bytes begin … end−1, mixed and cut to 31 bits, as int64."""
    h = np.uint64(0xCBF29CE484222325)
    for k in range(begin, end):
        h = (h ^ np.uint64(text[k])) * np.uint64(0x100000001B3)
    h = (h ^ (h >> np.uint64(32))) * np.uint64(0xBF58476D1CE4E5B9)
    return np.int64(h >> np.uint64(33))


@kernel
def number_ids(text, n, longest, add, arena, offsets, slots, count, scratch, out):
    """Number the ids of one block and return how many distinct ones there are now.

    The table is far larger than any cache. So the block is passed over three times, each pass loading what
    the next one needs for all ids: these loads don't wait for each other, as a search id by id would.

    Parameters
    ----------
    text : (b,) uint8, the n ids, each followed by NUL
    n : int64
    longest : int64, ids with more bytes get TOO_LONG; ids of blanks only get EMPTY
    add : bool, whether unknown ids get a new number; otherwise they stay EMPTY
    arena : uint8, bytes of the known ids one after the other; room for b more
    offsets : int64, id c lies at offsets[c] … offsets[c + 1] of the arena; room for n more
    slots : (power of two,) int64, upper half the hash, lower half the id's number; −1 where free.
        One look at memory tells most strangers from known ids. Not full afterwards.
    count : int64, known ids
    scratch : (4, n) int64
    out : (n,) int32, number of each id
    """
    mask = slots.shape[0] - 1
    begins, hashes, likely, touched = scratch[0], scratch[1], scratch[2], scratch[3]
    begin = 0
    for row in range(n):
        end = begin
        blank = True
        while text[end] != 0:
            blank = blank and text[end] <= 32
            end += 1
        hashes[row] = EMPTY if blank else TOO_LONG if end - begin > longest else hash_bytes(text, begin, end)
        begins[row] = begin
        begin = end + 1
    for row in range(n):
        likely[row] = slots[hashes[row] & mask]
    for row in range(n):
        known = likely[row] >= 0 and likely[row] >> 32 == hashes[row]
        touched[row] = offsets[likely[row] & LOWER] if known else 0
    for row in range(n):
        likely[row] = arena[touched[row]]
    for row in range(n):
        h = hashes[row]
        if h < 0:
            out[row] = h
            continue
        begin = begins[row]
        size = (begins[row + 1] if row + 1 < n else text.shape[0]) - 1 - begin
        slot = h & mask
        found = -1
        while slots[slot] >= 0:
            if slots[slot] >> 32 == h:
                c = slots[slot] & LOWER
                start = offsets[c]
                same = offsets[c + 1] - start == size
                k = 0
                while same and k < size:
                    same = arena[start + k] == text[begin + k]
                    k += 1
                if same:
                    found = c
                    break
            slot = (slot + 1) & mask
        if found < 0 and add:
            found = count
            start = offsets[count]
            for k in range(size):
                arena[start + k] = text[begin + k]
            offsets[count + 1] = start + size
            slots[slot] = (h << 32) | count
            count += 1
        out[row] = found
    return count


@kernel
def rebuild_slots(old, slots):
    """Enter the ids of one table into a larger one whose slots are all −1."""
    mask = slots.shape[0] - 1
    for k in range(old.shape[0]):
        if old[k] >= 0:
            slot = (old[k] >> 32) & mask
            while slots[slot] >= 0:
                slot = (slot + 1) & mask
            slots[slot] = old[k]


@kernel
def gather_ids(arena, offsets, codes, out):
    """Copy the ids `codes` into the rows of `out`, (n, width) uint8 filled with 0."""
    for row in range(codes.shape[0]):
        start = offsets[codes[row]]
        for k in range(offsets[codes[row] + 1] - start):
            out[row, k] = arena[start + k]
