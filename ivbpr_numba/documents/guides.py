"""Documents of the guides: the list of topics, and one guide as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from ivbpr_numba.documents.document import Document
from ivbpr_numba.guides import Guide

__all__ = ["guide", "topics"]


def topics(found: Sequence[Guide]) -> Document:
    """What there is to read, a row a guide."""
    rows = [{"topic": one.topic, "summary": one.summary} for one in found]
    return Document("guide", {"guides": rows}, rows)


def guide(found: Guide) -> Document:
    """One guide: topic, title, summary, and its text as Markdown."""
    row = asdict(found)
    return Document("guide", row, [row])
