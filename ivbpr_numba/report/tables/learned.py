"""How the columns were learned: curves, what tuning found, what they cost, what changed in time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ivbpr_numba.answers.epochs import epoch_dates
from ivbpr_numba.questions.refits import Spread
from ivbpr_numba.questions.trends import Trends
from ivbpr_numba.report.tables.standing import label_of, rows_of
from ivbpr_numba.report.trend_axes import COLOURS
from ivbpr_numba.report.trend_figure import embedded
from ivbpr_numba.table2.cells import Cell
from ivbpr_numba.table2.table import Table
from ivbpr_numba.table2.text import chosen_words

__all__ = ["costs", "curves", "trends", "tuning"]

MOST = len(COLOURS)  # attributes whose change is drawn


def _abouts(table: Table, column: str) -> list[dict[str, Any]]:
    """What the first corpus's cells of a column remember, run by run."""
    return [table.cells[Cell(0, run, column)].about for run in range(table.runs)]


def curves(table: Table, best: str) -> list[dict[str, Any]]:
    """Validation AUC by iteration of the columns that learn step by step, see `charts.curves`.

    ``points`` and ``best`` are those of the first run, ``again`` the points of the others; ``kept`` and
    ``valid`` the iteration that was kept and its AUC, ``iterations`` made, run by run.
    """
    found = []
    for column in table.columns:
        abouts = _abouts(table, column)
        lines = [_points(about["history"]) for about in abouts]
        if not all(lines):
            continue
        found.append(
            {
                "name": column,
                "key": table.columns.index(column),
                "strong": column == best,
                "label": label_of(column),
                "points": lines[0],
                "again": lines[1:],
                "best": (abouts[0]["best_iteration"], abouts[0]["valid_auc"]),
                "kept": [about["best_iteration"] for about in abouts],
                "valid": [about["valid_auc"] for about in abouts],
                "iterations": [about["iterations"] for about in abouts],
                "most": [about["options"].get("iterations") for about in abouts],
            }
        )
    return found


def _points(history: Sequence[Mapping[str, Any]]) -> list[tuple[int, float]]:
    return [(row["iteration"], row["valid_auc"]) for row in history if row["valid_auc"] is not None]


def costs(table: Table, best: str) -> list[dict[str, Any]]:
    """A row a column: ``label best parameters features seconds tune_seconds judge_seconds auc``."""
    rows = rows_of(table, table.subsets[0]["name"], "all")
    keys = ("parameters", "seconds", "tune_seconds", "auc")
    found = []
    for column in table.columns:
        judged = [table.cells[Cell(0, run, column)].seconds.get("judge", 0.0) for run in range(table.runs)]
        own = {key: rows[column][key] for key in keys}
        names = {"label": label_of(column), "best": column == best}
        of_features = {
            "features": rows[column]["feature_parameters"],
            "judge_seconds": float(np.mean(judged)),
        }
        found.append({**names, **own, **of_features})
    return found


def tuning(table: Table) -> list[dict[str, Any]]:
    """What tuning found for each column that was tuned.

    Returns
    -------
    list of dict
        ``label trials valid default chosen importance``: validation AUC of what was chosen and of the
        defaults (None where the file does not say), run by run; ``chosen``, in words; ``importance``, rows
        of ``option share stderr``, the mean over the runs that know it, the error that over these runs or, of
        one, its own.
    """
    found = []
    first = rows_of(table, table.subsets[0]["name"], "all")
    for column in table.columns:
        told = [about["tuning"] for about in _abouts(table, column)]
        if any(one is None for one in told):
            continue
        found.append(
            {
                "name": column,
                "label": label_of(column),
                "trials": told[0]["trials"],
                "valid": [one["valid_auc"] for one in told],
                "default": [one.get("default_valid_auc") for one in told],
                "chosen": chosen_words(first[column]["chosen"]),
                "importance": _importance([one["importance"] for one in told]),
            }
        )
    return found


def _importance(told: Sequence[Sequence[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    known: dict[str, list[Mapping[str, Any]]] = {}
    for rows in told:
        for row in rows:
            known.setdefault(row["option"], []).append(row)
    found = []
    for option, rows in known.items():
        shares = np.array([row["share"] for row in rows])
        error = rows[0]["stderr"] if len(rows) == 1 else shares.std(ddof=1) / np.sqrt(len(rows))
        found.append({"option": option, "share": float(shares.mean()), "stderr": float(error)})
    return sorted(found, key=lambda row: (-row["share"], row["option"]))


def trends(table: Table) -> dict[str, Any] | None:
    """What the columns in time learned of it: the epochs of each, and how its attributes changed.

    Returns
    -------
    dict or None
        ``columns``: ``label runs`` with ``from to events`` of each epoch, run by run; ``figure``, None
        without named attributes: ``label features again wide narrow``, drawings of the first run, `again`
        counting for each further run how many of these attributes are among those that changed most there.
    """
    columns, figure = [], None
    for column in table.columns:
        told = [about["trends"] for about in _abouts(table, column)]
        if any(one is None for one in told):
            continue
        columns.append({"label": label_of(column), "runs": [_epochs(one) for one in told]})
        if told[0].get("features") and len(told[0]["events"]) > 1:
            figure = _figure(table, column, told)
    return {"columns": columns, "figure": figure} if columns else None


def _epochs(told: Mapping[str, Any]) -> list[dict[str, Any]]:
    dates = epoch_dates(np.array(told["edges"], np.int64))
    return [{"from": a, "to": b, "events": n} for (a, b), n in zip(dates, told["events"])]


def _figure(table: Table, column: str, told: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    found = _as_trends(told[0], label_of(column), table.subsets[0]["users"])
    source = Path(table.path).name if table.path else ""
    if source and table.runs > 1:
        source += ", first run"
    again = [len({*found.features} & {*one["features"]}) for one in told[1:]]
    return {"label": label_of(column), "features": found.features, "again": again, **embedded(found, source)}


def _as_trends(told: Mapping[str, Any], label: str, users: int) -> Trends:
    """The changes of a cell as `trend_figure` wants them; what the file does not keep is NaN."""
    change = np.array(told["change"], np.float64)[:, :MOST]
    nothing = np.full(change.shape, np.nan)
    return Trends(
        model=label,
        edges=np.array(told["edges"], np.int64),
        events=np.array(told["events"], np.int64),
        users=users,
        active=False,
        features=list(told["features"])[:MOST],
        groups=list(told["groups"])[:MOST],
        influence=np.array(told["influence"], np.float64)[:, :MOST],
        response=change,  # up to a level, which nothing here needs
        low=nothing,
        high=nothing,
        change=change,
        change_low=nothing,
        change_high=nothing,
        spread=Spread(why_none="a table makes no refits"),
    )
