"""Rankings over the whole catalogue: the AUC, and the best items of every user."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.bounds import auc_bound
from benchmarks.cases.sizes import S1, TINY
from benchmarks.ours import auc_count, auc_report, best_items
from benchmarks.recorded import recorded
from benchmarks.references import auc_numpy, best_numpy
from benchmarks.registry import Case, Goal

__all__ = ["CASES", "FULL"]

FULL = replace(S1, asked=20_000, factors=20)
SMALL = replace(TINY, items=300, factors=20)
FMA, COUNTS = "bound: FMA in registers", "ours, AUC counts"

CASES = (
    Case(
        "auc D=20",
        "pairs",
        "full-ranking AUC, 20 numbers a vector, 20,000 users × 20,000 items",
        FULL,
        SMALL,
        {"ours, counts alone": auc_count, "ours, auc report": auc_report},
        {"NumPy, sgemm and compare": auc_numpy},
        bounds={FMA: auc_bound(20)},
        goals=(
            Goal(0.85, FMA),
            Goal(40, recorded("authors AUC 20")),
            Goal(1500, recorded("MyMediaLite AUC")),
        ),
    ),
    Case(
        "top-n D=20",
        "pairs",
        "10 best items of every user, 20 numbers a vector, 20,000 users × 20,000 items",
        FULL,
        SMALL,
        {"ours, top 10": best_items},
        {"NumPy, sgemm and partition": best_numpy, COUNTS: auc_count},
        bounds={FMA: auc_bound(20)},
        goals=(Goal(1 / 1.3, COUNTS),),
    ),
)
