"""Triples of large data in rounds (see `cpu.classes`): the CPU's, bit by bit.

Negatives are drawn user by user; then a block of threads puts the triples of a group of users in their order.
"""

import numpy as np

from ivbpr_numba.kernels.arguments import CLASSES, GROUP
from ivbpr_numba.kernels.cuda.sampling import key_of
from ivbpr_numba.kernels.cuda.scalars import absorb, bounded, contains, nth_admissible, stream
from ivbpr_numba.kernels.cuda.scans import MOST_THREADS, block_scan
from ivbpr_numba.kernels.cuda.target import (
    Shape,
    cuda,
    device,
    kernel,
    launch,
    on_host,
    open_shape,
    room,
    spread,
)
from ivbpr_numba.kernels.cuda.turns import shuffle
from ivbpr_numba.kernels.scalar.random import CLASS, MAX_ATTEMPTS, NEG, POS

__all__ = ["deal_items", "deal_pairs", "draw_rounds"]

NOBODY = CLASSES  # in place of a class: a triple that is left out
TOGETHER = 4  # draws of a user that follow each other
ATTEMPTS = np.uint64(128)  # words of a negative: more than its attempts
HALF = CLASSES // 2  # counts of so many classes share a word of 64 bits, 16 bits each
FIELD, MASK = np.uint64(16), np.uint64(0xFFFF)
NOTHING = np.uint64(0)
COUNTS = CLASSES + 1  # with that of triples left out


@kernel("void(i4[::1], u1[::1], i4[::1], i8[::1])")
def deal(pool, codes, members, starts):
    """Replace places of the pool by its items, and note their classes; one thread for each."""
    n_items = pool.shape[0]
    for n in range(cuda.grid(1), n_items, cuda.gridsize(1)):
        item = pool[members[n]]
        members[n] = item
        for c in range(CLASSES):
            if c * n_items // CLASSES <= n and n < (c + 1) * n_items // CLASSES:
                codes[item] = c
    if cuda.grid(1) == 0:
        for c in range(CLASSES + 1):
            starts[c] = c * n_items // CLASSES


def deal_items(seed, iteration, pool, classes, shape=None):
    """Deal the items of `pool`, (T,) int32, out to classes of equal size; fills `classes`."""
    codes, members, starts = classes
    shuffle(key_of(seed, CLASS, iteration), members[: pool.shape[0]], shape)
    launch(deal, spread(pool.shape[0], 256, shape), pool, codes, members, starts)


@kernel("void(i4[::1], u1[::1], i4[::1], i8[::1])", threads=MOST_THREADS)
def deal_in_order(indices, codes, members, starts):
    """Items by class, each class in order; one block, whose threads have a stretch of the items each."""
    low = cuda.shared.array(MOST_THREADS, np.int64)
    n, threads, own = indices.shape[0], cuda.blockDim.x, cuda.threadIdx.x
    lo, hi = own * n // threads, (own + 1) * n // threads
    begin = np.int64(0)
    for c in range(CLASSES):
        count = np.int64(0)
        for m in range(lo, hi):
            count += 1 if codes[indices[m]] == c else 0
        before, total = block_scan(low, count)
        place = begin + before
        for m in range(lo, hi):
            if codes[indices[m]] == c:
                members[place] = indices[m]
                place += 1
        if own == 0:
            starts[c] = begin
        begin += total
        cuda.syncthreads()
    if own == 0:
        starts[CLASSES] = begin


def deal_pairs(indices, classes, shape=None):
    """Make the training pairs' items the members of their classes, in the order of the pairs."""
    codes, members, starts = classes
    threads = min(MOST_THREADS, (shape or open_shape(1, 1024)).threads)
    launch(deal_in_order, Shape(1, threads), indices, codes, members, starts)


@kernel(
    "void(u8, i8, i8[::1], i8[::1], i8[::1], i4[::1], u1[::1], i4[::1], i8[::1], i4[::1], i8[::1], i4[::1], "
    "i4[::1], u1[::1])"
)
def draw_users(
    seed,
    iteration,
    order,
    offsets,
    indptr,
    indices,
    codes,
    members,
    starts,
    unused,
    alike,
    positives,
    negatives,
    drawn_codes,
):
    """Positives, negatives and classes of all draws, user after user; one thread for each visit."""
    of_positives, of_negatives = stream(seed, POS, iteration), stream(seed, NEG, iteration)
    for v in range(cuda.grid(1), order.shape[0], cuda.gridsize(1)):
        user = order[v]
        lo, hi = indptr[user], indptr[user + 1]
        own_positives = absorb(of_positives, np.uint64(user))
        own_negatives = absorb(of_negatives, np.uint64(user))
        left, turn, of_turn = np.int64(0), np.uint64(0), own_positives
        for k in range(offsets[v + 1] - offsets[v]):
            if left == 0:
                left = hi - lo
                for m in range(lo, hi):
                    unused[m] = indices[m]
                of_turn = absorb(np.uint64(0), absorb(own_positives, turn))
                turn += np.uint64(1)
            left -= 1
            place = lo + bounded(absorb(of_turn, np.uint64(left)), left + 1)
            positive = unused[place]
            unused[place] = unused[lo + left]
            code = np.int64(codes[positive])
            first, last = starts[code], starts[code + 1]
            word = np.uint64(k) * ATTEMPTS
            negative = np.int64(-1)
            for attempt in range(MAX_ATTEMPTS):
                x = absorb(own_negatives, word + np.uint64(attempt))
                candidate = np.int64(members[first + bounded(x, last - first)])
                if not contains(indices, lo, hi, candidate):
                    negative = candidate
                    break
            if negative < 0:
                x = absorb(own_negatives, word + np.uint64(MAX_ATTEMPTS))
                negative = nth_admissible(x, lo, hi, indices, members[first:last], alike, 0)
            at = offsets[v] + k
            positives[at] = positive
            negatives[at] = negative
            drawn_codes[at] = code if negative >= 0 else NOBODY


@device
def one_of(code):
    """A count of one of a class: two words."""
    low = np.uint64(1) << (FIELD * np.uint64(code)) if code < HALF else NOTHING
    high = np.uint64(1) << (FIELD * np.uint64(code - HALF)) if HALF <= code and code < CLASSES else NOTHING
    return low, high


@device
def count_of(low, high, code):
    """The count of a class in two words."""
    word = low if code < HALF else high
    return np.int64((word >> (FIELD * np.uint64(code % HALF))) & MASK)


@kernel("void(i8[::1], i8[::1], i8[::1], i8[:,::1], i4[::1], i4[::1], u1[::1], i4[::1], i4[::1], i4[::1])")
def put_in_order(
    order, offsets, groups, bounds, drawn_positives, drawn_negatives, codes, users, positives, negatives
):
    """Move the drawn triples of the groups of visits to their places; a block for each group.

    Class by class; within a class the first four draws of every user, then the next four of every user, and
    so on. A thread has a stretch of the group's users; a scan over the threads tells where its triples
    belong.
    """
    first_words = cuda.shared.array(MOST_THREADS, np.uint64)
    second_words = cuda.shared.array(MOST_THREADS, np.uint64)
    counts = cuda.shared.array(COUNTS, np.int32)
    longest = cuda.shared.array(1, np.int32)
    place = cuda.shared.array(CLASSES, np.int64)
    visits, own, threads = order.shape[0], cuda.threadIdx.x, cuda.blockDim.x
    for g in range(cuda.blockIdx.x, bounds.shape[0], cuda.gridDim.x):
        chunk = 0
        while groups[chunk + 1] <= g:
            chunk += 1
        start = chunk * visits // CLASSES + (g - groups[chunk]) * GROUP
        stop = min(start + GROUP, (chunk + 1) * visits // CLASSES)
        lo, hi = start + own * (stop - start) // threads, start + (own + 1) * (stop - start) // threads
        cuda.syncthreads()
        if own == 0:
            longest[0] = 0
            for c in range(COUNTS):
                counts[c] = 0
        cuda.syncthreads()
        for v in range(lo, hi):
            cuda.atomic.max(longest, 0, np.int32(offsets[v + 1] - offsets[v]))
            for at in range(offsets[v], offsets[v + 1]):
                cuda.atomic.add(counts, np.int64(codes[at]), 1)
        cuda.syncthreads()
        if own == 0:
            before = offsets[start]
            for c in range(CLASSES):
                place[c] = before
                bounds[g, c] = before
                before += counts[c]
            bounds[g, CLASSES] = before
        cuda.syncthreads()
        for begin in range(0, longest[0], TOGETHER):
            low, high = NOTHING, NOTHING
            for v in range(lo, hi):
                for at in range(offsets[v] + begin, min(offsets[v] + begin + TOGETHER, offsets[v + 1])):
                    more_low, more_high = one_of(codes[at])
                    low += more_low
                    high += more_high
            low, all_low = block_scan(first_words, low)
            high, all_high = block_scan(second_words, high)
            for v in range(lo, hi):
                for at in range(offsets[v] + begin, min(offsets[v] + begin + TOGETHER, offsets[v + 1])):
                    code = np.int64(codes[at])
                    if code != NOBODY:
                        t = place[code] + count_of(low, high, code)
                        users[t] = order[v]
                        positives[t] = drawn_positives[at]
                        negatives[t] = drawn_negatives[at]
                        more_low, more_high = one_of(code)
                        low += more_low
                        high += more_high
            cuda.syncthreads()
            if own == 0:
                for c in range(CLASSES):
                    place[c] += count_of(all_low, all_high, c)
            cuda.syncthreads()


def draw_rounds(seed, iteration, visits, pairs, classes, segments, out, shape=None):
    """Draw all triples of an iteration, every negative from the class of its positive.

    Parameters
    ----------
    seed : uint64
    iteration : int, from 1
    visits : Visits
    pairs : Pairs
    classes : Classes
    segments : Segments
        `groups` given, `bounds` filled.
    out : Triples of (offsets[-1],), filled as `segments` says
    shape : Shape, optional
    """
    n = out.users.shape[0]
    positives, negatives = room("round positives", n, np.int32), room("round negatives", n, np.int32)
    codes, unused = room("round codes", n, np.uint8), room("unused", pairs.indices.shape[0], np.int32)
    launch(
        draw_users, spread(visits.order.shape[0], 128, shape), seed, iteration, *visits, *pairs, *classes,
        unused, classes.starts[:0], positives, negatives, codes,
    )  # fmt: skip
    groups = cuda.to_device(on_host(segments.groups))
    own = shape or open_shape(min(segments.bounds.shape[0], 1 << 16), 512)
    launch(put_in_order, own, *visits, groups, segments.bounds, positives, negatives, codes, *out)
