"""The facts of the page of a table, from its file alone: dictionaries, lists, numbers, texts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ivbpr_numba.report.tables import learned, runs, shoppers, standing
from ivbpr_numba.table2.table import Table

__all__ = ["SHORT", "tell_table"]

# The sections of a page in their order, and what their links say.
SHORT = {
    "table": "The table",
    "order": "Order",
    "spread": "Shoppers",
    "warmth": "Cold to warm",
    "curves": "Learning",
    "runs": "Certainty",
    "trends": "Trends",
    "tuning": "Tuning",
    "costs": "Costs",
    "origin": "Origin",
}


def tell_table(table: Table, paper: bool = False, title: str | None = None) -> dict[str, Any]:
    """Everything that the page of a table shows.

    Parameters
    ----------
    table : Table
    paper : bool
        The paper's own numbers beside it, marked as another corpus.
    title : str, optional
        Headline; by default what was found.

    Returns
    -------
    dict
        ``page`` (its kind), ``sections`` (``name short file``) and a fact for each of them.
    """
    best = standing.best_column(table)
    warm = {of: shoppers.warmth(table, best, of) for of in ("bought", "owned")}
    story: dict[str, Any] = {
        "page": "table",
        "title": title,
        "label": standing.label_of(best),
        "runs_made": table.runs,
        "table": standing.corpora(table),
        "paper": standing.paper(table) if paper else None,
        "order": standing.order(table),
        "pairs": list(standing.pairs(table)),
        "spread": shoppers.distributions(table, best),
        "warmth": warm if any(len(one["bins"]) > 1 for one in warm.values()) else None,
        "curves": learned.curves(table, best),
        "runs": runs.runs(table, best),
        "trends": learned.trends(table),
        "tuning": learned.tuning(table),
        "costs": learned.costs(table, best),
        "origin": _origin(table),
    }
    story["sections"] = [
        {"name": name, "short": short, "file": f"table-{name}"}
        for name, short in SHORT.items()
        if story[name]
    ]
    return story


def _origin(table: Table) -> dict[str, Any]:
    """From what the table was made, and what was left out."""
    asked = table.asked
    return {
        "notes": list(table.notes()),
        "file": Path(table.path).name if table.path else "table.h5",
        "digest": table.payload_sha256,
        "inputs": [_input(row) for row in table.inputs],
        "versions": {name: table.provenance[name] for name in ("ivbpr", "numpy", "numba")},
        "processes": table.provenance["processes"],
        "seconds": table.provenance["seconds"],
        "computing": table.provenance["computing_seconds"],
        "options": dict(asked["options"]),
        "tune": asked["tune"],
        "seed": asked["seed"],
        "varies": asked["varies"],
        "ties": asked["ties"],
        "cold_below": asked["cold_below"],
    }


def _input(row: Mapping[str, Any]) -> dict[str, Any]:
    """No paths: a page is handed on."""
    return {
        "role": row["role"],
        "name": Path(row["path"]).name if row["path"] else "in memory",
        "sha256": row["sha256"],
    }
