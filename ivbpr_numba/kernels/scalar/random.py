"""Counter-based random numbers: pure functions of their words (model specification 2.4).

All words are uint64. Plain Python callers wrap calls in ``numpy.errstate(over="ignore")`` because
NumPy scalars warn when they wrap around, which is what they are meant to do here.
"""

import numpy as np

__all__ = ["absorb", "bounded", "finalise", "stream", "unit24"]

# Streams: the second word after the seed. FORMAT.md lists them; a number is never used twice.
USER, POS, NEG, ORDER, SEG, SPLIT, RAND, INIT, WORLD, SAMPLE, FOLD, CLASS, GROW, MEMBER, PART = range(1, 16)

# A negative that was rejected this often is drawn by counting through the admissible items instead.
MAX_ATTEMPTS = 64


def finalise(z):
    """Splitmix64 finaliser of one uint64."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def absorb(state, word):
    """Take one more word into the hash: ``mix64(a, b) = absorb(absorb(0, a), b)``."""
    return finalise(np.uint64(state) + np.uint64(word) + np.uint64(0x9E3779B97F4A7C15))


def stream(seed, name, iteration):
    """Hash state shared by all numbers of one stream in one iteration."""
    return absorb(absorb(absorb(np.uint64(0), seed), np.uint64(name)), np.uint64(iteration))


def bounded(x, n):
    """Map a hash to 0 … n−1 for n < 2³¹ by its upper 32 bits."""
    return np.int64(((x >> np.uint64(32)) * np.uint64(n)) >> np.uint64(32))


def unit24(x):
    """Map a hash to [0, 1) by its top 24 bits, exactly representable in float32."""
    return np.float32(x >> np.uint64(40)) * np.float32(2.0**-24)


def mix64(*words):
    """Hash of several words for plain Python callers, as an int (not compiled)."""
    state = np.uint64(0)
    with np.errstate(over="ignore"):
        for word in words:
            state = absorb(state, np.uint64(int(word)))
    return int(state)
