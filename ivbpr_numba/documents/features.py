"""Documents about feature files: what came of making one, and what is in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ivbpr_numba.documents.document import Document

__all__ = ["examples", "extract", "importing", "info", "table"]


def table(report: Mapping[str, Any]) -> Document:
    """What `features.tables.build_feature_table` reported; a row a group, lists left out."""
    return Document("features-table", report, [_flat(group) for group in report["groups"]])


def importing(report: Mapping[str, Any]) -> Document:
    """What `features.importing.import_features` reported."""
    return Document("features-import", report, [report])


def extract(report: Mapping[str, Any]) -> Document:
    """What `network.extraction.extract` reported; its row has no lists of photos."""
    return Document("features-extract", report, [_flat(report)])


def info(found: Mapping[str, Any]) -> Document:
    """What `features.describing.describe` found; a row a group."""
    return Document("features-info", found, found["groups"])


def examples(found: Sequence[Mapping[str, Any]]) -> Document:
    """What `features.describing.examples` found; a row an item."""
    return Document("features-examples", {"items": found}, found)


def _flat(report: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in report.items() if not isinstance(value, list)}
