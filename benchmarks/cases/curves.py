"""How the time of our work grows: one case for every point of a scaling curve.

The time of a case is the amount of one iteration, or of one AUC, over its rate. Threads are a curve of every
case: `run --threads 1 2 4`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from benchmarks.cases.ranking import FULL as RANKED
from benchmarks.cases.sizes import TINY, TINY_DENSE
from benchmarks.inputs import Size
from benchmarks.ours import auc_count, fit
from benchmarks.registry import Case, Implementation

__all__ = ["CASES"]

BASE = Size(10_000, 20_000, 18, 100, iterations=4, every=2, rate=0.01)
MANY = 40  # attributes of a group


def _curve(
    name: str,
    values: tuple[int, ...],
    size: Callable[[int], Size],
    ours: Implementation,
    tiny: Size,
    unit: str = "triples",
) -> tuple[Case, ...]:
    def point(value: int) -> Case:
        what = f"{name}: {value:,}"
        return Case(
            f"curve {name} {value}",
            unit,
            what,
            size(value),
            tiny,
            {"ours": ours},
            curve=name,
            value=value,
        )

    return tuple(map(point, values))


_IVBPR = fit("i-vbpr")
_GROUPED = replace(TINY_DENSE, groups=3)

CASES = (
    *_curve(
        "bpr-mf purchases a user",
        (5, 10, 20, 40, 80),
        lambda n: replace(BASE, per_user=n),
        fit("bpr-mf"),
        TINY,
    ),
    *_curve(
        "bpr-mf items",
        (5_000, 20_000, 80_000, 320_000),
        lambda n: replace(BASE, items=n),
        fit("bpr-mf"),
        TINY,
    ),
    *_curve("bpr-mf K", (10, 20, 40, 80), lambda n: replace(BASE, factors=n), fit("bpr-mf"), TINY),
    *_curve("vbpr F", (64, 256, 1024, 4096), lambda n: replace(BASE, columns=n), fit("vbpr"), TINY_DENSE),
    *_curve(
        "i-vbpr groups of 40",
        (1, 3, 9, 27),
        lambda n: replace(BASE, block=256, groups=n, columns=MANY * n),
        _IVBPR,
        _GROUPED,
    ),
    *_curve(
        "i-vbpr D",
        (5, 10, 20, 40),
        lambda n: replace(BASE, block=256, groups=9, columns=9 * MANY, visual_factors=n),
        _IVBPR,
        _GROUPED,
    ),
    *_curve(
        "auc numbers a vector",
        (10, 20, 40, 80),
        lambda n: replace(RANKED, users=5_000, asked=5_000, factors=n),
        auc_count,
        replace(TINY, factors=20),
        "pairs",
    ),
    *_curve(
        "auc items",
        (5_000, 20_000, 80_000),
        lambda n: replace(RANKED, users=5_000, asked=5_000, items=n),
        auc_count,
        replace(TINY, factors=20),
        "pairs",
    ),
)
