"""Triples of large data, drawn so that threads can apply them side by side and never share a row.

In every iteration the items are dealt out anew to classes, and a negative is drawn from the class of its
positive; the users are cut into as many chunks. A round applies one class of every chunk, each chunk another
one: no two of these have a user or an item in common, and after as many rounds as classes everything is done.
Chunk, class and round are functions of seed, iteration and sizes alone.
"""

import numpy as np
from numba import prange

from ivbpr_numba.kernels.arguments import CLASSES, GROUP
from ivbpr_numba.kernels.compiling import kernel
from ivbpr_numba.kernels.cpu import vectors
from ivbpr_numba.kernels.cpu.sampling import AHEAD, MARKS, is_marked, mark_items
from ivbpr_numba.kernels.cpu.scalars import absorb, bounded, contains, keyed_shuffle, nth_admissible, stream
from ivbpr_numba.kernels.scalar.random import CLASS, MAX_ATTEMPTS, NEG, POS

__all__ = ["deal_items", "deal_pairs", "draw_rounds"]

NOBODY = CLASSES  # in place of a class: a triple that is left out
TOGETHER = 4  # draws of a user that follow each other
ATTEMPTS = np.uint64(128)  # words of a negative: more than its attempts


@kernel
def deal_items(seed, iteration, pool, classes):
    """Deal the items of `pool`, (T,) int32, out to classes of equal size; fills `classes`."""
    codes, members, starts = classes
    keyed_shuffle(stream(seed, CLASS, iteration), members)
    for c in range(CLASSES):
        starts[c], starts[c + 1] = c * pool.shape[0] // CLASSES, (c + 1) * pool.shape[0] // CLASSES
        for n in range(starts[c], starts[c + 1]):
            item = pool[members[n]]
            members[n] = item
            codes[item] = c


@kernel
def deal_pairs(indices, classes):
    """Make the training pairs' items the members of their classes, in the order of the pairs."""
    codes, members, starts = classes
    starts[:] = 0
    for item in indices:
        starts[codes[item] + 1] += 1
    for c in range(CLASSES):
        starts[c + 1] += starts[c]
    place = starts.copy()
    for item in indices:
        members[place[codes[item]]] = item
        place[codes[item]] += 1


@kernel
def draw_user(states, user, n_draws, pairs, classes, room, at):
    """Draw one user's triples into `room`, from place `at` on."""
    positive_state, negative_state = states
    indptr, indices = pairs
    codes, members, starts = classes
    unused, marks, positives, negatives, drawn_codes = room
    lo, hi = indptr[user], indptr[user + 1]
    of_positives = absorb(positive_state, np.uint64(user))
    of_negatives = absorb(negative_state, np.uint64(user))
    mark_items(marks, indices, lo, hi)
    left, turn, of_turn = np.int64(0), np.uint64(0), of_positives
    for k in range(n_draws):
        # One step of the keyed shuffle: the item that it leaves in the last place, and one place less.
        if left == 0:
            left = hi - lo
            for m in range(left):
                unused[m] = indices[lo + m]
            of_turn = absorb(np.uint64(0), absorb(of_positives, turn))
            turn += np.uint64(1)
        left -= 1
        place = bounded(absorb(of_turn, np.uint64(left)), left + 1)
        positive = unused[place]
        unused[place] = unused[left]
        code = codes[positive]
        first, last = starts[code], starts[code + 1]
        word = np.uint64(k) * ATTEMPTS
        negative = np.int64(-1)
        for attempt in range(MAX_ATTEMPTS):
            x = absorb(of_negatives, word + np.uint64(attempt))
            candidate = np.int64(members[first + bounded(x, last - first)])
            if not is_marked(marks, candidate) or not contains(indices, lo, hi, candidate):
                negative = candidate
                break
        if negative < 0:
            x = absorb(of_negatives, word + np.uint64(MAX_ATTEMPTS))
            negative = nth_admissible(x, lo, hi, indices, members[first:last], starts[:0], 0)
            code = code if negative >= 0 else np.uint8(NOBODY)
        positives[at + k], negatives[at + k], drawn_codes[at + k] = positive, negative, code


@kernel
def put_in_order(visits, first, last, room, out, bounds):
    """Move the drawn triples of a group of visits to their places.

    Class by class; within a class the first four draws of every user, then the next four of every user, and
    so on, so that triples in a row seldom wait for each other.
    """
    order, offsets = visits
    positives, negatives, codes = room
    base = offsets[first]
    place = np.zeros(CLASSES + 2, np.int64)
    for m in range(offsets[last] - base):
        place[codes[m] + 1] += 1
    place[0] = base
    for c in range(CLASSES + 1):
        bounds[c] = place[c]
        place[c + 1] += place[c]
    waiting = np.arange(first, last)
    n_waiting, begin = last - first, 0
    while n_waiting > 0:
        left = 0
        for n in range(n_waiting):
            v = waiting[n]
            at, end = offsets[v] - base + begin, offsets[v + 1] - base
            user = order[v]
            for m in range(at, min(at + TOGETHER, end)):
                c = codes[m]
                if c != NOBODY:
                    t = place[c]
                    out.users[t], out.positives[t], out.negatives[t] = user, positives[m], negatives[m]
                    place[c] = t + 1
            waiting[left] = v
            left += at + TOGETHER < end
        n_waiting = left
        begin += TOGETHER


@kernel
def draw_chunk(states, visits, first, last, pairs, classes, out, bounds):
    """Draw the triples of the visits first … last−1, group by group."""
    order, offsets = visits
    indptr, indices = pairs
    longest, most = 0, 0
    for v in range(first, last):
        longest = max(longest, indptr[order[v] + 1] - indptr[order[v]])
    for begin in range(first, last, GROUP):
        most = max(most, offsets[min(begin + GROUP, last)] - offsets[begin])
    unused, marks = np.empty(longest, np.int32), np.empty(MARKS, np.uint64)
    drawn = (np.empty(most, np.int32), np.empty(most, np.int32), np.empty(most, np.uint8))
    room = (unused, marks, *drawn)
    for g in range(bounds.shape[0]):
        begin, end = first + g * GROUP, min(first + (g + 1) * GROUP, last)
        for v in range(begin, end):
            if v + 2 * AHEAD < last:
                near = indptr[order[v + AHEAD]]
                vectors.prefetch(indptr, 0, order[v + 2 * AHEAD])
                vectors.prefetch(indices, 0, near)
                vectors.prefetch(indices, 0, near + 16)  # the next cache line
            draw_user(
                states,
                order[v],
                offsets[v + 1] - offsets[v],
                pairs,
                classes,
                room,
                offsets[v] - offsets[begin],
            )
        put_in_order(visits, begin, end, drawn, out, bounds[g])


@kernel(parallel=True)
def draw_rounds(seed, iteration, visits, pairs, classes, segments, out):
    """Draw all triples of an iteration, every negative from the class of its positive.

    Parameters
    ----------
    seed : uint64
    iteration : int64, from 1
    visits : Visits
    pairs : Pairs
    classes : Classes
    segments : Segments
        `groups` given, `bounds` filled.
    out : Triples of (offsets[-1],), filled as `segments` says

    """
    states = (stream(seed, POS, iteration), stream(seed, NEG, iteration))
    n = visits.order.shape[0]
    for chunk in prange(CLASSES):
        draw_chunk(
            states,
            visits,
            chunk * n // CLASSES,
            (chunk + 1) * n // CLASSES,
            pairs,
            classes,
            out,
            segments.bounds[segments.groups[chunk] : segments.groups[chunk + 1]],
        )
