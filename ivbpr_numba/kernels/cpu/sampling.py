"""Drawing the triples of one iteration (model specification 2.4) in parallel over users."""

import numpy as np
from numba import prange

from ivbpr_numba.kernels.compiling import kernel
from ivbpr_numba.kernels.cpu import vectors
from ivbpr_numba.kernels.cpu.scalars import (
    absorb,
    bounded,
    contains,
    keyed_shuffle,
    nth_admissible,
    stream,
)
from ivbpr_numba.kernels.scalar.random import MAX_ATTEMPTS, NEG, ORDER, POS, USER

__all__ = ["count_draws", "draw_triples", "is_marked", "mark_items", "place_draws", "user_order"]

COUNT_CHUNKS = 8  # tasks of counting the users' draws
DRAW_CHUNKS = 64  # tasks of one iteration's drawing
AHEAD = 4  # users between asking for a list of items and reading it; its place is asked for as early again
MARKS = 8  # words of 64 marks that a user's items set by their low bits; a power of two
ONE, SIX, LOW, LAST = np.uint64(1), np.uint64(6), np.uint64(63), np.uint64(MARKS - 1)


@kernel
def user_order(seed, iteration, eligible, out):
    """Order in which the users of one iteration are visited."""
    keyed_shuffle(stream(seed, ORDER, iteration), out)
    for n in range(out.shape[0]):
        out[n] = eligible[out[n]]


@kernel(parallel=True)
def count_draws(seed, iteration, eligible, n_draws, draws):
    """Distribute `n_draws` draws over the eligible users: fills `draws`, (U,) int64."""
    state = stream(seed, USER, iteration)
    n_users = draws.shape[0]
    counts = np.zeros((COUNT_CHUNKS, n_users), np.int32)
    for chunk in prange(COUNT_CHUNKS):
        for m in range(chunk * n_draws // COUNT_CHUNKS, (chunk + 1) * n_draws // COUNT_CHUNKS):
            counts[chunk, eligible[bounded(absorb(state, np.uint64(m)), eligible.shape[0])]] += 1
    for chunk in prange(COUNT_CHUNKS):
        for u in range(chunk * n_users // COUNT_CHUNKS, (chunk + 1) * n_users // COUNT_CHUNKS):
            total = np.int64(0)
            for other in range(COUNT_CHUNKS):
                total += counts[other, u]
            draws[u] = total


@kernel(parallel=True)
def place_draws(order, draws, offsets):
    """First triple of every visit, and their number at the end: fills `offsets`, (visits + 1,) int64."""
    n = order.shape[0]
    sums = np.zeros(COUNT_CHUNKS + 1, np.int64)
    for chunk in prange(COUNT_CHUNKS):
        total = np.int64(0)
        for v in range(chunk * n // COUNT_CHUNKS, (chunk + 1) * n // COUNT_CHUNKS):
            offsets[v] = total
            total += draws[order[v]]
        sums[chunk + 1] = total
    for chunk in range(COUNT_CHUNKS):
        sums[chunk + 1] += sums[chunk]
    for chunk in prange(COUNT_CHUNKS):
        for v in range(chunk * n // COUNT_CHUNKS, (chunk + 1) * n // COUNT_CHUNKS):
            offsets[v] += sums[chunk]
    offsets[n] = sums[COUNT_CHUNKS]


@kernel
def mark_items(marks, indices, lo, hi):
    """Set the marks of the items indices[lo:hi], and no others."""
    marks[:] = 0
    for m in range(lo, hi):
        own = np.uint64(indices[m])
        marks[(own >> SIX) & LAST] |= ONE << (own & LOW)


@kernel
def is_marked(marks, item):
    """Whether `item` may be among the marked ones: where not, an exact search can be left out."""
    bit = np.uint64(item)
    return (marks[(bit >> SIX) & LAST] >> (bit & LOW)) & ONE != 0


@kernel(parallel=True)
def draw_triples(seed, iteration, visits, pairs, law, out, drawn):
    """Draw all triples of an iteration, in order of application.

    Parameters
    ----------
    seed : uint64
    iteration : int64, from 1
    visits : Visits
    pairs : Pairs
    law : NegativeLaw
    out : Triples of (offsets[-1],), filled
    drawn : (offsets[-1],) int32, filled with the training pair of each triple; or empty

    Returns
    -------
    int64
        Triples whose user had no admissible negative under `law` and used the uniform one.
    """
    order, offsets = visits
    indptr, indices = pairs
    code, trained, counts = law
    users, positives, negatives = out.users, out.positives, out.negatives
    n_items = counts.shape[0]
    positive_state = stream(seed, POS, iteration)
    negative_state = stream(seed, NEG, iteration)
    everything = np.empty(0, np.int32)
    alike = np.empty(0, np.int64)
    fallbacks = 0
    chunks = min(order.shape[0], DRAW_CHUNKS)
    for chunk in prange(chunks):
        marks = np.zeros(MARKS, np.uint64)
        first, last = chunk * order.shape[0] // chunks, (chunk + 1) * order.shape[0] // chunks
        longest = 0
        for n in range(first, last):
            longest = max(longest, indptr[order[n] + 1] - indptr[order[n]])
        room = np.empty(longest, np.int32)
        for n in range(first, last):
            if n + 2 * AHEAD < last:
                near = indptr[order[n + AHEAD]]
                vectors.prefetch(indptr, 0, order[n + 2 * AHEAD])
                vectors.prefetch(indices, 0, near)
                vectors.prefetch(indices, 0, near + 16)  # the next cache line
            u = order[n]
            lo, hi = indptr[u], indptr[u + 1]
            size = hi - lo
            permutation = room[:size]
            user_positive = absorb(positive_state, np.uint64(u))
            user_negative = absorb(negative_state, np.uint64(u))
            user_law = code
            if code != 0 and size == trained.shape[0]:
                user_law = 0
                fallbacks += offsets[n + 1] - offsets[n]
            mark_items(marks, indices, lo, hi)
            within, turn = size, np.uint64(0)
            for k in range(offsets[n + 1] - offsets[n]):
                if within == size:
                    keyed_shuffle(absorb(user_positive, turn), permutation)
                    within = 0
                    turn += np.uint64(1)
                draw = absorb(user_negative, np.uint64(k))
                item = np.int64(-1)
                for attempt in range(MAX_ATTEMPTS):
                    x = absorb(draw, np.uint64(attempt))
                    if user_law == 0:
                        candidate = bounded(x, n_items)
                    elif user_law == 1:
                        candidate = np.int64(trained[bounded(x, trained.shape[0])])
                    else:
                        # A uniform training pair's item is popular exactly in proportion to its count.
                        candidate = np.int64(indices[bounded(x, indices.shape[0])])
                    if not is_marked(marks, candidate) or not contains(indices, lo, hi, candidate):
                        item = candidate
                        break
                if item < 0:
                    x = absorb(draw, np.uint64(MAX_ATTEMPTS))
                    pool = everything if user_law == 0 else trained
                    weights = counts if user_law == 2 else alike
                    item = nth_admissible(x, lo, hi, indices, pool, weights, n_items)
                t = offsets[n] + k
                users[t] = u
                positives[t] = indices[lo + permutation[within]]
                negatives[t] = item
                if drawn.shape[0] > 0:
                    drawn[t] = lo + permutation[within]
                within += 1
    return fallbacks
