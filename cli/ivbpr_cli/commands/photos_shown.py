"""What became of photos that are not used: the tables that every command shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ivbpr_cli.output import Table

__all__ = ["SHOWN", "unused_photos"]

SHOWN = 20  # images that can't be used, in the table


def unused_photos(bad: Sequence[dict[str, Any]], others: Sequence[dict[str, Any]]) -> list[Table]:
    """Images that can't be used, and files that are none; no table where there is nothing to say.

    Parameters
    ----------
    bad : sequence of dict
        ``image item reason``.
    others : sequence of dict
        ``kind files first``, see `Pictures.others`.
    """
    tables = []
    if bad:
        more = f"; the first {SHOWN}, --format json has all" if len(bad) > SHOWN else ""
        tables.append(Table(bad[:SHOWN], f"Images that can't be used: {len(bad):,}{more}"))
    if others:
        rows = [{**row, "first": ", ".join(row["first"])} for row in others]
        total = sum(row["files"] for row in others)
        tables.append(Table(rows, f"Files that are not taken for photos: {total:,}"))
    return tables
