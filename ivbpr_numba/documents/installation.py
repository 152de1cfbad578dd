"""Documents about this installation: what it can use, and what was compiled for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ivbpr_numba.documents.document import Document

__all__ = ["doctor", "warmup"]


def doctor(facts: Mapping[str, Any]) -> Document:
    """What `backends.describe` told; a row a fact, ``what`` and ``value``."""
    return Document("doctor", facts, [{"what": what, "value": value} for what, value in _flat(facts)])


def warmup(report: Mapping[str, Any]) -> Document:
    """What `models.warmup.warmup` reported."""
    return Document("warmup", report, [report])


def _flat(facts: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    for key, value in facts.items():
        name = f"{above} {key}".strip().replace("_", " ")
        if isinstance(value, Mapping):
            yield from _flat(value, name)
        elif isinstance(value, bool):
            yield name, "yes" if value else "no"
        else:
            yield name, "not installed" if value is None else str(value)
