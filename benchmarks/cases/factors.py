"""Matrix factorization: BPR-MF and MM-MF."""

from __future__ import annotations

from benchmarks import bounds
from benchmarks.cases.sizes import S1, S2, TINY
from benchmarks.inputs import Size
from benchmarks.ours import fit
from benchmarks.peers import PEERS, factorization
from benchmarks.recorded import recorded
from benchmarks.references import bpr_numpy_batches, bpr_numpy_triples
from benchmarks.registry import Case, Goal

__all__ = ["CASES"]

BPR = {"ours, ordered": fit("bpr-mf"), "ours, hogwild": fit("bpr-mf", "hogwild")}
NUMPY = {"NumPy, mini-batch 1024": bpr_numpy_batches, "NumPy, triple by triple": bpr_numpy_triples}
OTHERS = {name: factorization(name) for name in PEERS}
# The rows of both items are read and written; those of a user stay in the cache for all of his triples.
ROWS = "bound: two rows of items"


def _bpr(name: str, size: Size, data: str, *more: Goal) -> Case:
    return Case(
        f"bpr-mf {name}",
        "triples",
        f"BPR-MF, K=10, {data}",
        size,
        TINY,
        BPR,
        NUMPY,
        OTHERS,
        {ROWS: bounds.update(per_unit=2)},
        (
            Goal(4, recorded(f"implicit BPR {name}")),
            Goal(4, recorded(f"cornac BPR {name}")),
            Goal(30, recorded(f"MyMediaLite BPRMF {name}")),
            *more,
        ),
    )


CASES = (
    _bpr("S1", S1, "20,000 users × 20,000 items, 360,000 training pairs"),
    _bpr("S2", S2, "100,000 users × 300,000 items, 1,500,000 training pairs", Goal(0.6, ROWS)),
    Case(
        "mm-mf S1",
        "triples",
        "MM-MF, K=10, 20,000 users × 20,000 items, 360,000 training pairs",
        S1,
        TINY,
        {
            "ours, ordered": fit("mm-mf", margin=1.0),
            "ours, hogwild": fit("mm-mf", "hogwild", margin=1.0),
        },
        bounds={ROWS: bounds.update(per_unit=2)},
        goals=(Goal(30, recorded("MyMediaLite SoftMargin S1")),),
    ),
)
