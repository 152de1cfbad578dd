"""One purchase in the built-in world: an item drawn with probability ∝ exp(κ utility).

`choose_exactly` defines the world bit by bit, at the price of an exponential of the C library and a walk over
attributes for every candidate. The quick way scores candidates by short vectors, weighs them by a polynomial,
and knows how far its sums can be from those of the definition: `pick` answers only where that can't change
the choice, and leaves the few others to the definition.
"""

import math

import numpy as np

from ivbpr_numba.kernels.compiling import kernel
from ivbpr_numba.kernels.cpu import vectors
from ivbpr_numba.kernels.cpu.scalars import absorb, bounded
from ivbpr_numba.kernels.cpu.vectors import dot_whole, prefetch

__all__ = [
    "ROW",
    "choose_exactly",
    "draw_candidates",
    "largest_error",
    "leave_out",
    "pick",
    "score_drawn",
    "score_first",
    "uniform_of",
    "weigh",
]

# Word of the number that chooses among the candidates; theirs are 0, 1, …
CHOICE = 1 << 32
ROW = 16  # rows of a shelf are padded to multiples of so many numbers
AHEAD = 24  # candidates whose rows are asked for before they are scored
RUN = 64  # weights that are summed together
HALF = 32.0  # weights lie between exp(−HALF) and exp(HALF)
UNIT = 2.0**-53


@kernel
def uniform_of(state):
    """The number in [0, 1) that chooses among the candidates of one attempt."""
    return np.float64(absorb(state, np.uint64(CHOICE)) >> np.uint64(11)) * 2.0**-53


@kernel
def sample_softmax(x, kappa, uniform):
    """Index drawn with probability ∝ exp(κ x), −1 when every x is −∞; destroys `x`.

    This is the law of argmax(κ x + Gumbel noise) with one random number instead of one per candidate.
    """
    largest = -np.inf
    for c in range(x.shape[0]):
        largest = max(largest, x[c])
    if largest == -np.inf:
        return -1
    total = 0.0
    for c in range(x.shape[0]):
        x[c] = math.exp(kappa * (x[c] - largest))
        total += x[c]
    chosen = -1
    reached = 0.0
    for c in range(x.shape[0]):
        if x[c] > 0.0:
            chosen = c
            reached += x[c]
            if reached > uniform * total:
                break
    return chosen


@kernel
def choose_exactly(purchase, released, epoch, owned, candidates, kappa, taste, latent, tastes, shelf):
    """The item of one purchase, as the world defines it.

    Parameters
    ----------
    purchase : uint64, hash of seed, user and number of the purchase
    released : int64, items on sale
    epoch : int64
    owned : (n,) int32, items that the user has
    candidates : int64, size of the drawn candidate set; 0 takes every item on sale
    kappa : float64
    taste, latent : (A,) and (L,) float64, of the user
    tastes : Tastes
    shelf : Shelf
    """
    n_features = tastes.style.shape[1]
    weights = np.empty(n_features)
    for f in range(n_features):
        weights[f] = tastes.style[epoch, f]
        for a in range(taste.shape[0]):
            weights[f] += taste[a] * tastes.taste_map[a, f]
    size = released if candidates == 0 else candidates
    x, drawn = np.empty(size), np.empty(candidates, np.int32)
    attempt = 0
    while True:  # repeats only if all drawn candidates are owned
        state = absorb(purchase, np.uint64(attempt))
        draw_candidates(state, released, drawn)
        for c in range(size):
            i = c if candidates == 0 else np.int64(drawn[c])
            utility = shelf.numbers[i, 0]
            for a in range(latent.shape[0]):
                utility += latent[a] * shelf.numbers[i, 1 + a]
            for k in range(shelf.columns.shape[1]):
                if shelf.columns[i, k] == n_features:
                    break
                utility += weights[shelf.columns[i, k]]
            x[c] = utility
        if candidates == 0:
            for k in range(owned.shape[0]):
                x[owned[k]] = -np.inf
        else:
            leave_out(owned, drawn, x, -np.inf)
        chosen = sample_softmax(x, kappa, uniform_of(state))
        if chosen >= 0:
            return chosen if candidates == 0 else np.int64(drawn[chosen])
        attempt += 1


@kernel
def draw_candidates(state, released, drawn):
    """Fill `drawn`, (n,) int32, with items on sale, uniformly and with repetitions."""
    for c in range(drawn.shape[0]):
        drawn[c] = bounded(absorb(state, np.uint64(c)), released)


@kernel
def leave_out(owned, drawn, x, value):
    """Set x, (n,) float64, to `value` where what was drawn is owned."""
    for k in range(owned.shape[0]):
        item, found = owned[k], False
        for c in range(drawn.shape[0]):
            found = found | (drawn[c] == item)
        if found:
            for c in range(drawn.shape[0]):
                if drawn[c] == item:
                    x[c] = value


@kernel
def plain_row_score(rows, i, user):
    """`row_score` with a plain loop."""
    total = 0.0
    for k in range(rows.shape[1]):
        total += rows[i, k] * user[k]
    return total


@kernel(forceinline=True)
def vector_row_score(rows, i, user):
    """`row_score` with a whole row at once where it is short."""
    if rows.shape[1] == ROW:
        return dot_whole(rows, i, user)
    return plain_row_score(rows, i, user)


# row_score: rows[i] · user, summed in any order: the bound on errors holds for all of them.
row_score = vector_row_score if vectors.USABLE else plain_row_score


@kernel
def score_drawn(rows, user, drawn, x):
    """Quick utilities of drawn candidates into x, (n,) float64; returns the largest."""
    last, largest = drawn.shape[0] - 1, -np.inf
    for c in range(last + 1):
        coming = np.int64(drawn[min(c + AHEAD, last)])
        prefetch(rows, coming, 0)
        x[c] = row_score(rows, np.int64(drawn[c]), user)
        largest = max(largest, x[c])
    return largest


@kernel
def score_first(rows, user, size, x):
    """Quick utilities of the first `size` items into x; returns the largest."""
    largest = -np.inf
    for i in range(size):
        x[i] = row_score(rows, i, user)
        largest = max(largest, x[i])
    return largest


# Coefficients of the series of exp.
E2, E3, E4, E5, E6 = 1 / 2, 1 / 6, 1 / 24, 1 / 120, 1 / 720
E7, E8, E9, E10, E11 = 1 / 5040, 1 / 40320, 1 / 362880, 1 / 3628800, 1 / 39916800


@kernel(fastmath={"nnan", "nsz", "contract"})
def weigh(x, size, kappa, largest):
    """Replace the first `size` utilities by weights ∝ exp(κ x), to one part in 10¹².

    exp(y) is that of y / 128 by its series, squared seven times. Weights of exp(−2 HALF) of the largest and
    less are all that one.
    """
    for c in range(size):
        y = (max(kappa * (x[c] - largest), -2 * HALF) + HALF) * (1 / 128)
        square = y * y
        # Pairs of terms first: they don't wait for each other.
        low = (1 + y) + square * ((E2 + y * E3) + square * (E4 + y * E5))
        high = (E6 + y * E7) + square * ((E8 + y * E9) + square * (E10 + y * E11))
        e = low + square * square * square * high
        e *= e
        e *= e
        e *= e
        e *= e
        e *= e
        e *= e
        x[c] = e * e


@kernel(fastmath={"reassoc", "nsz"})
def run_total(weights, start, stop):
    """Sum of weights[start:stop]."""
    total = 0.0
    for c in range(start, stop):
        total += weights[c]
    return total


@kernel
def pick(weights, size, uniform, doubt):
    """Index drawn with probability ∝ weights[:size]; −1 where an error of `doubt` could change it.

    The error is one of sums in relation to the total. The floor of the weights counts as an error, too.
    """
    total = 0.0
    for start in range(0, size, RUN):
        total += run_total(weights, start, min(start + RUN, size))
    if not size * math.exp(-HALF) <= 0.25 * doubt * total:
        return -1
    wanted, margin = uniform * total, doubt * total
    reached = 0.0
    for start in range(0, size, RUN):
        stop = min(start + RUN, size)
        after = reached + run_total(weights, start, stop)
        if after <= wanted and stop < size:
            reached = after
            continue
        for c in range(start, stop):
            if reached + weights[c] > wanted:
                sure = wanted - reached > margin and reached + weights[c] - wanted > margin
                return c if sure else -1
            reached += weights[c]
        return -1
    return -1


@kernel
def largest_error(user, reach, kappa, terms, size):
    """Bound on the relative error of quick sums of weights, and of the definition's own.

    Parameters
    ----------
    user, reach : (P,) float64
        As `choose_items` makes the first of a user, and of the shelf.
    kappa : float64
    terms : int64, numbers that are summed to a utility, at most
    size : int64, candidates
    """
    magnitude = rounding = 0.0
    for k in range(user.shape[0]):
        magnitude += abs(user[k]) * reach[k]
        rounding += abs(user[k])
    # Rows are rounded to half a step, in the weight and in the total. Then two utilities of so many terms
    # each, two differences to the largest, sums over candidates, and `weigh`.
    return kappa * (rounding + 2 * (terms + 4) * magnitude * UNIT) + size * UNIT + 1e-12
