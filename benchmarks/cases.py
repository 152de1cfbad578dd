"""The registry of benchmark cases: a piece of work, our implementation, and what others do with it.

`benchmarks/speed.py` measures every case at its full size; `tests/test_benchmarks.py` runs every case at a
tiny size and compares the results of its implementations, so that what is timed is known to be right.
`inputs.py` makes what a case works on, `implementations.py` holds what is measured and says how it is timed.
"""

from __future__ import annotations

from dataclasses import dataclass

from implementations import (
    Implementation,
    auc_count,
    auc_numpy,
    auc_report,
    best_items,
    best_numpy,
    bpr_hogwild,
    bpr_implicit,
    bpr_numpy_batches,
    bpr_numpy_triples,
    bpr_ordered,
    vbpr_hogwild,
    vbpr_numpy_blocks,
    vbpr_ordered,
)
from inputs import Size, Work

__all__ = ["CASES", "Case", "Goal", "Peer"]


@dataclass(frozen=True)
class Peer:
    """A program that is not run here: rates recorded on a machine of this kind, a CPU second.

    By the clock it is taken to be twice as fast at two threads, even if it computes on one.

    Attributes
    ----------
    name : str
    rate : float
    implicit : float
        Rate of implicit recorded beside it, to carry `rate` over to this machine.
    """

    name: str
    rate: float
    implicit: float = 3.1e6


@dataclass(frozen=True)
class Goal:
    """Our rate should be at least `times` that of `of`.

    Attributes
    ----------
    times : float
        Of the rate at two threads, by the clock.
    of : Peer or str
        A recorded program, or the label of an implementation of the case.
    """

    times: float
    of: Peer | str


@dataclass(frozen=True)
class Case:
    """A named piece of work.

    Attributes
    ----------
    name, unit : str
        The unit is what a rate counts.
    what : str
        One line for the table.
    full, tiny : Size
    ours, references : dict of str to Implementation
        By label.
    goals : tuple of Goal
    features : bool
    """

    name: str
    unit: str
    what: str
    full: Size
    tiny: Size
    ours: dict[str, Implementation]
    references: dict[str, Implementation]
    goals: tuple[Goal, ...]
    features: bool = False

    @property
    def implementations(self) -> dict[str, Implementation]:
        return {**self.ours, **self.references}

    def work(self, size: Size) -> Work:
        """Inputs at one size."""
        return Work(size, self.features)


_ONCE = {"iterations": 1, "every": 1, "batch": 1}
_TINY = Size(60, 90, 6, 60, columns=20, block=16, **_ONCE)
_BPR_OURS = {"ours, ordered": bpr_ordered, "ours, hogwild": bpr_hogwild}
_BPR_OTHERS = {
    "NumPy, mini-batch 1024": bpr_numpy_batches,
    "NumPy, triple by triple": bpr_numpy_triples,
    "implicit": bpr_implicit,
}
_IMPLICIT_S2 = 2.05e6

CASES = {
    case.name: case
    for case in (
        Case(
            "bpr-mf S1",
            "triples",
            "BPR-MF, K=10, 20,000 users × 20,000 items, 360,000 training pairs",
            Size(20_000, 20_000, 18, 500),
            _TINY,
            _BPR_OURS,
            _BPR_OTHERS,
            (
                Goal(4, "implicit"),
                Goal(4, Peer("cornac BPR", 3.2e6)),
                Goal(30, Peer("MyMediaLite BPRMF", 0.8e6)),
            ),
        ),
        Case(
            "bpr-mf S2",
            "triples",
            "BPR-MF, K=10, 100,000 users × 300,000 items, 1,500,000 training pairs",
            Size(100_000, 300_000, 15, 100, iterations=6, every=3, triples=360_000),
            _TINY,
            _BPR_OURS,
            _BPR_OTHERS,
            (
                Goal(4, "implicit"),
                Goal(4, Peer("cornac BPR", 1.65e6, implicit=_IMPLICIT_S2)),
                Goal(30, Peer("MyMediaLite BPRMF", 0.6e6, implicit=_IMPLICIT_S2)),
            ),
        ),
        Case(
            "vbpr F=512",
            "triples",
            "VBPR, K=D=10, F=512 dense float16, 20,000 users × 20,000 items, 360,000 training pairs",
            Size(20_000, 20_000, 18, 500, iterations=6, every=3, triples=100_000, rate=0.01),
            _TINY,
            {"ours, ordered": vbpr_ordered, "ours, hogwild": vbpr_hogwild},
            {"NumPy, blocks of 1024": vbpr_numpy_blocks},
            (
                Goal(40, Peer("C++ of VBPR's authors", 65e3)),
                Goal(150, Peer("cornac VBPR", 14.8e3)),
            ),
            features=True,
        ),
        Case(
            "auc D=20",
            "pairs",
            "full-ranking AUC, 20 numbers a vector, 20,000 users × 20,000 items",
            Size(20_000, 20_000, 18, 20_000, factors=20),
            Size(60, 300, 6, 60, factors=20),
            {"ours, auc report": auc_report, "ours, counts alone": auc_count},
            {"NumPy, sgemm and compare": auc_numpy},
            (Goal(40, Peer("C++ of VBPR's authors", 5.9e7)), Goal(1500, Peer("MyMediaLite", 1.1e6))),
        ),
        Case(
            "top-n D=20",
            "pairs",
            "10 best items of every user, 20 numbers a vector, 20,000 users × 20,000 items",
            Size(20_000, 20_000, 18, 20_000, factors=20),
            Size(60, 300, 6, 60, factors=20),
            {"ours, top 10": best_items},
            {"NumPy, sgemm and partition": best_numpy, "ours, AUC counts": auc_count},
            (Goal(1 / 1.3, "ours, AUC counts"),),
        ),
    )
}
