"""Labels of a small vocabulary, and probabilities that were made of them, for tests of what judges them."""

from __future__ import annotations

import numpy as np

from ivbpr_numba.ids import Ids
from ivbpr_numba.network.vocabulary import AttributeGroup, Vocabulary
from ivbpr_numba.training.labels import Labels

COLOURS, TAGS = ("red", "green", "blue", "<b>"), ("long", "warm", "soft")
VOCABULARY = Vocabulary((AttributeGroup("colour", COLOURS, True), AttributeGroup("tag", TAGS, False)))


def labels_of(vocabulary: Vocabulary, *values: np.ndarray) -> Labels:
    items = Ids.collect(f"i{k:05d}" for k in range(len(values[0])))
    return Labels(items, vocabulary, list(values), {})


def drawn(seed: int, n: int, levels: int, known: float, missing: bool) -> tuple[np.ndarray, Labels]:
    """Probabilities with ties, masked labels, and with `missing` a value that no image has."""
    rng = np.random.default_rng(seed)
    colour = rng.integers(0, 3 if missing else 4, n).astype(np.int32)
    tags = rng.integers(0, 2, (n, 3)).astype(np.int8)
    raw = rng.integers(1, levels + 1, (n, 4)).astype(np.float64)
    raw[np.arange(n), colour] += rng.integers(0, levels, n)
    said = rng.integers(0, levels + 1, (n, 3)) / levels
    if missing:
        tags[:, 1] = 0
    colour[rng.random(n) >= known] = -1
    tags[rng.random((n, 3)) >= known] = -1
    probabilities = np.concatenate([raw / raw.sum(axis=1, keepdims=True), said], axis=1)
    return probabilities.astype(np.float32), labels_of(VOCABULARY, colour, tags)
