"""Attributes in exclusive groups: I-VBPR and I-TVBPR."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.cases.sizes import S1, TINY_DENSE
from benchmarks.ours import fit
from benchmarks.registry import Case, Goal

__all__ = ["CASES"]

# Almost unpenalised, a model in time with few attributes diverges in blocks of 1,024 triples.
FULL = replace(S1, iterations=6, every=3, rate=0.01, block=256)
FACTORS, TIME, DENSE = "ours, BPR-MF", "ours, I-TVBPR", "ours, VBPR on the same numbers"


def _attributes(groups: int, columns: int, goals: tuple[Goal, ...]) -> Case:
    return Case(
        f"i-vbpr {groups} groups F={columns}",
        "triples",
        f"I-VBPR, K=D=10, {groups} exclusive groups of {columns} attributes, 20,000 users × 20,000 items, "
        "360,000 training pairs",
        replace(FULL, columns=columns, groups=groups),
        replace(TINY_DENSE, groups=3, block=1),
        {
            "ours, ordered": fit("i-vbpr"),
            "ours, hogwild": fit("i-vbpr", "hogwild"),
            TIME: fit("i-tvbpr"),
        },
        {DENSE: fit("vbpr"), FACTORS: fit("bpr-mf")},
        goals=goals,
    )


# VBPR reads all columns of both items, which is what I-VBPR would do without looking for what is not zero.
# I-VBPR reads and writes what BPR-MF does, and a row of the embedding for every value in which items differ.
_GOALS = (Goal(0.4, FACTORS), Goal(1 / 1.3, "ours, ordered", TIME))
CASES = (
    _attributes(9, 700, (Goal(8, DENSE), *_GOALS)),
    _attributes(5, 45, _GOALS),
)
