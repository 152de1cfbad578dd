"""Sizes that several cases share."""

from __future__ import annotations

from benchmarks.inputs import Size

__all__ = ["S1", "S2", "TINY", "TINY_DENSE"]

S1 = Size(20_000, 20_000, 18, 500)
S2 = Size(100_000, 300_000, 15, 100, iterations=6, every=3, triples=360_000)
# With batches and blocks of one triple, all implementations follow the definition.
TINY = Size(60, 90, 6, 60, iterations=1, every=1, batch=1, block=16)
TINY_DENSE = Size(60, 90, 6, 60, columns=20, iterations=1, every=1, batch=1, block=16)
