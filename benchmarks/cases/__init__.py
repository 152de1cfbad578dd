"""The cases, one file a group."""

from __future__ import annotations

from benchmarks.cases import attributes, curves, dense, factors, machine, ranking
from benchmarks.registry import Case

__all__ = ["CASES", "GROUPS"]

GROUPS: dict[str, tuple[Case, ...]] = {
    "machine": machine.CASES,
    "factors": factors.CASES,
    "attributes": attributes.CASES,
    "dense": dense.CASES,
    "ranking": ranking.CASES,
    "curves": curves.CASES,
}
CASES: dict[str, Case] = {case.name: case for group in GROUPS.values() for case in group}
