"""Behind the means: how the AUC of single shoppers is distributed, and how it depends on purchases."""

from __future__ import annotations

from typing import Any

import numpy as np

from ivbpr_numba.questions.comparing import bins_by
from ivbpr_numba.report.tables.standing import label_of
from ivbpr_numba.table2.columns import learns
from ivbpr_numba.table2.spread import spread_of
from ivbpr_numba.table2.table import Table

__all__ = ["distributions", "warmth"]

BINS = 25  # of AUC from 0 to 1
QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)


def distributions(table: Table, best: str) -> list[dict[str, Any]]:
    """How the AUC of single shoppers is distributed over all items, all runs together; a row a column.

    Returns
    -------
    list of dict
        ``label best beside quantiles`` (of 10, 25, 50, 75 and 90 %), ``below`` (share under one half),
        ``top`` (share above .95) and ``shares``, of the bins of equal width from 0 to 1.
    """
    rows = []
    for column in table.columns:
        values = table.values(0, "all", column)
        values = values[np.isfinite(values)]
        if not len(values):
            continue
        counts = np.histogram(values, BINS, (0.0, 1.0))[0]
        rows.append(
            {
                "label": label_of(column),
                "best": column == best,
                "beside": not learns(column),
                "quantiles": np.quantile(values, QUANTILES).tolist(),
                "below": float(np.mean(values < 0.5)),
                "top": float(np.mean(values > 0.95)),
                "shares": (counts / len(values)).tolist(),
            }
        )
    return rows


def warmth(table: Table, best: str, of: str) -> dict[str, Any]:
    """AUC on All Items by training purchases, of the held-out item (`of` is "bought") or the user ("owned").

    Returns
    -------
    dict
        ``bins`` (``label users``, those of the first run) and ``lines`` (``label kind points``), a point
        being ``auc ci95``; the intervals are over users and runs, as everywhere in the table.
    """
    counts = np.full((table.runs, table.subsets[0]["users"]), -1)
    for run in range(table.runs):
        asked = table.questions[0, run]
        counts[run, asked.user] = getattr(asked, of)
    bins = bins_by(counts[0, counts[0] >= 0])
    lines = []
    for column in table.columns:
        values, points = table.values(0, "all", column), []
        for _, start, end in bins:
            inside = (counts >= start) & (counts < end)
            spread = spread_of(np.where(inside, values, np.nan))
            interval = None if spread.low is None else (spread.low, spread.high)
            points.append({"auc": spread.mean, "ci95": interval})
        kind = "best" if column == best else "model" if learns(column) else "beside"
        lines.append({"label": label_of(column), "kind": kind, "points": points})
    shown = [
        {
            "label": name.replace("-", "–"),
            "users": int(np.count_nonzero((counts[0] >= start) & (counts[0] < end))),
        }
        for name, start, end in bins
    ]
    return {"bins": shown, "lines": lines}
