"""Tables of AUCs, metrics and differences for people: what the commands that judge models show."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from ivbpr_cli.output import Table
from ivbpr_numba.documents.document import Row
from ivbpr_numba.questions.results import Comparison

__all__ = ["auc_rows", "comparison_tables", "metric_tables"]

AT_ONCE = 3  # columns of figures with their error that 80 columns hold beside two names
BESIDE_ONE = 4  # and beside one name
ERROR = "_stderr"


def plus_minus(value: float | None, error: float | None) -> str:
    """A figure with its standard error, as one cell."""
    if value is None:
        return "–"
    return f"{value:.4f}" if error is None else f"{value:.4f} ±{error:.4f}"


def auc_rows(rows: Sequence[Row]) -> list[Row]:
    """Rows of a report without its metrics, which have tables of their own."""
    return [{key: value for key, value in row.items() if "@" not in key} for row in rows]


def metric_tables(rows: Sequence[Row]) -> Iterator[Table]:
    """The metrics of a report's rows, a few a table."""
    names = [key for key in (rows[0] if rows else ()) if "@" in key and not key.endswith(ERROR)]
    for start in range(0, len(names), AT_ONCE):
        title = "" if start else "at the head of the list: means over users ± standard error"
        shown = [
            {
                **{key: row[key] for key in ("file", "scorer", "setting") if key in row},
                **{name: plus_minus(row[name], row[name + ERROR]) for name in names[start : start + AT_ONCE]},
            }
            for row in rows
            if row["setting"] != "stratified"
        ]
        yield Table(shown, title)


def comparison_tables(found: Comparison, all_pairs: bool) -> Iterator[Table]:
    """AUCs by setting, a few settings a table; then the differences, a table for each first model."""
    settings = found["settings"]
    for start in range(0, len(settings), AT_ONCE):
        part = settings[start : start + AT_ONCE]
        rows: list[dict[str, Any]] = [
            {"model": one["model"], **{s: plus_minus(one[s]["auc"], one[s]["stderr"]) for s in part}}
            for one in found["models"]
        ]
        rows.append({"model": "users", **{s: f"{found['models'][0][s]['users']:,}" for s in part}})
        about = "training purchases of the held-out item" if part[0].startswith("bought") else ""
        title = f"AUC ± standard error, {found['split']} items, ties {found['ties']}" if not start else about
        yield Table(rows, title)
    for first, pairs in groupby(found["differences"], key=lambda row: row["a"]):
        title = f"{first} minus the others: paired over users, standard error, 95 % interval"
        yield Table([_difference(row) for row in pairs], title)
        if not all_pairs:
            return


def _difference(row: dict[str, Any]) -> dict[str, Any]:
    low, high = row["ci95"] or (None, None)
    return {
        "other": row["b"],
        "setting": row["setting"],
        "difference": "–" if row["difference"] is None else f"{row['difference']:+.4f}",
        "stderr": row["stderr"],
        "95 % interval": "–" if low is None else f"{low:+.4f} to {high:+.4f}",
    }
