"""What a prepared dataset tells about its making: steps with their counts, and every line left out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ivbpr_numba.wording import first_of

if TYPE_CHECKING:
    from ivbpr_numba.datasets.dataset import Dataset

__all__ = ["lines_left_out", "listed", "prepare_report_lines"]


def listed(texts: list[str], count: int) -> str:
    """Some texts of `count` for a message."""
    return first_of(map(repr, texts), count)


def lines_left_out(data: Dataset) -> list[dict[str, Any]]:
    """Lines of all inputs, metadata and the catalogue that could not be used.

    Returns
    -------
    list of dict
        ``of`` (purchases, metadata, catalogue), ``file``, ``reason``, ``count``, and ``first``: the first
        ones as ``file:line``.
    """
    catalogue = data.source.get("catalogue")
    files = [
        *(("purchases", about) for about in data.source.get("inputs", [])),
        *(("metadata", about) for about in data.source.get("metadata", [])),
        *([("catalogue", catalogue)] if catalogue else []),
    ]
    rows = []
    for kind, about in files:
        for bad in about["bad_lines"]:
            numbers = bad.get("first_lines", bad.get("first_rows", []))
            first = [f"{about['name']}:{number}" for number in numbers]
            rows.append({"of": kind, "file": about["name"], "reason": bad["reason"], "count": bad["count"]})
            rows[-1]["first"] = first
    return rows


def prepare_report_lines(data: Dataset) -> list[str]:
    """The report of a prepared dataset for people: one line a step."""
    lines = []
    for row in data.source.get("report", []):
        lost = f", dropped {row['dropped']:,}" if row["dropped"] else ""
        why = f" ({row['why']})" if row["why"] else ""
        lines.append(
            f"{row['step']}: {row['interactions']:,} interactions, {row['users']:,} users, "
            f"{row['items']:,} items{lost}{why}"
        )
    return lines
