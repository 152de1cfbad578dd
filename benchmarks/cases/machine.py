"""What the machine can do, by itself."""

from __future__ import annotations

from benchmarks import bounds
from benchmarks.cases.sizes import S1, TINY
from benchmarks.registry import Case

__all__ = ["CASES"]

CASES = (
    Case(
        "machine fma",
        "operations",
        "multiplications and additions of float32 in registers",
        S1,
        TINY,
        bounds={"FMA in registers": bounds.fma()},
    ),
    Case(
        "machine gather",
        "bytes",
        "rows read in random order from tables of 20 and 160 MB",
        S1,
        TINY,
        bounds={"rows of 1 KB": bounds.gather(1024), "rows of 8 KB": bounds.gather(8192)},
    ),
    Case(
        "machine update",
        "rows",
        "rows of 64 bytes read and written in random order in tables of 1.3, 19 and 90 MB",
        S1,
        TINY,
        bounds={
            "20,000 rows": bounds.update(20_000),
            "300,000 rows": bounds.update(300_000),
            "1,400,000 rows": bounds.update(1_400_000),
        },
    ),
    Case("machine stream", "bytes", "256 MB read in order", S1, TINY, bounds={"stream": bounds.stream()}),
)
