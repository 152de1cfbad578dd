"""Dense features: VBPR, TVBPR, and the search for epochs."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.bounds import visual_bound
from benchmarks.cases.sizes import S1, TINY_DENSE
from benchmarks.ours import fit, segmentation
from benchmarks.recorded import recorded
from benchmarks.references import vbpr_numpy_blocks
from benchmarks.registry import Case, Goal

__all__ = ["CASES"]

FULL = replace(S1, iterations=6, every=3, triples=100_000, rate=0.01)
ROWS = "bound: two rows of features"


def _vbpr(columns: int, authors: float, cornac: float, iterations: int) -> Case:
    return Case(
        f"vbpr F={columns}",
        "triples",
        f"VBPR, K=D=10, F={columns} dense float16, 20,000 users × 20,000 items, 360,000 training pairs",
        replace(FULL, columns=columns, iterations=iterations, every=iterations // 2),
        TINY_DENSE,
        {"ours, ordered": fit("vbpr"), "ours, hogwild": fit("vbpr", "hogwild")},
        {"NumPy, blocks of 1024": vbpr_numpy_blocks},
        bounds={ROWS: visual_bound(columns)},
        goals=(
            Goal(authors, recorded(f"authors VBPR {columns}")),
            Goal(cornac, recorded(f"cornac VBPR {columns}")),
            Goal(0.6, ROWS),
        ),
    )


CASES = (
    _vbpr(512, 40, 150, 6),
    _vbpr(4096, 20, 70, 2),
    Case(
        "tvbpr F=512",
        "triples",
        "TVBPR with 5 epochs beside VBPR, K=D=10, F=512 dense float16, as 'vbpr F=512'",
        replace(FULL, columns=512),
        TINY_DENSE,
        {"ours, ordered": fit("tvbpr")},
        {"ours, VBPR": fit("vbpr")},
        goals=(Goal(1 / 1.15, "ours, VBPR"), Goal(60, recorded("authors TVBPR 512"))),
    ),
    Case(
        "segmentation F=512",
        "comparisons",
        "likelihoods of 20,000 events × 1,000 negatives × 5 epochs, K=D=10, F=512",
        replace(FULL, columns=512),
        replace(TINY_DENSE, epochs=2),
        {"ours, ordered": segmentation},
        goals=(Goal(50, recorded("authors segmentation")),),
    ),
)
