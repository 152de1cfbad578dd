"""Documents about models: what a fit reached, how well a model ranks, what it learned about time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ivbpr_numba.datasets.reporting import lines_left_out
from ivbpr_numba.documents.document import Document
from ivbpr_numba.questions.results import AucReport, Comparison, Repeats, TrendRows, flat
from ivbpr_numba.questions.seasons import seasons
from ivbpr_numba.store.atomic import PathLike

if TYPE_CHECKING:
    from ivbpr_numba.datasets.dataset import Dataset
    from ivbpr_numba.models.base import Model
    from ivbpr_numba.questions.trends import Trends

__all__ = ["auc", "auc_of_several", "compare", "fit", "report", "table_report", "trends", "update"]

REACHED = ("iterations", "best_iteration", "valid_auc", "seconds", "compile_seconds", "payload_sha256")


def fit(model: str, out: PathLike, end: Mapping[str, Any]) -> Document:
    """What was learned: where it stopped, what it reached, how long it took.

    Parameters
    ----------
    model : str
        Its name.
    out : path
        Where it was saved.
    end : mapping
        The event ``end`` of the fit.
    """
    row = {"model": model, "out": str(out), **{name: end.get(name) for name in REACHED}}
    return Document("fit", row, [row])


def update(model: Model, data: Dataset, out: PathLike) -> Document:
    """What was new, what moved, what the model is worth now, and every line left out.

    Parameters
    ----------
    model : Model
        As `Model.partial_fit` left it.
    data : Dataset
        As `datasets.adding.add_files` made it.
    out : path
        Where the model was saved.
    """
    fitted, left_out = model.fitted_, lines_left_out(data)
    row = {
        "model": fitted.name,
        "out": str(out),
        **fitted.provenance["update"],
        "users": len(data.users),
        "items": len(data.items),
        "train": len(data.train),
        "valid_auc": fitted.metrics["valid"]["all"]["auc"],
        "test_auc": fitted.metrics["test"]["all"]["auc"],
        "lines_left_out": sum(one["count"] for one in left_out),
        "payload_sha256": fitted.payload_sha256,
    }
    return Document("update", {**row, "report": data.source["report"], "left_out": left_out}, [row])


def auc(report: AucReport, repeats: Repeats | None = None) -> Document:
    """What `questions.auc.auc` found, without its warnings; a row a scorer and setting, the model first.

    Parameters
    ----------
    report : AucReport
    repeats : Repeats, optional
        What `questions.repeating.repeat` found: the document's key ``repeat``, and rows with a ``run``.
    """
    content, rows = _without_warnings(report), report.rows()
    if repeats is not None:
        content["repeat"] = {key: value for key, value in repeats.items() if key != "model"}
        rows = [*({"run": None, **row} for row in rows), *repeats.rows()]
    return Document("auc", content, rows)


def auc_of_several(documents: Mapping[str, Document]) -> Document:
    """The same of several models, by file: their documents as a list ``models``, the rows with the file."""
    content = {"models": [{"file": file, **found.content} for file, found in documents.items()]}
    rows = [{"file": file, **row} for file, found in documents.items() for row in found.rows]
    return Document("auc", content, rows)


def compare(found: Comparison, again: Mapping[str, Any] | None = None) -> Document:
    """What `questions.comparing.compare` found, without its warnings.

    The rows are those of the models, in which ``against`` is empty, then those of the pairs, in which it
    names the model that is subtracted.

    Parameters
    ----------
    found : Comparison
    again : mapping, optional
        What `questions.repeating.compare_again` found: the document's key ``repeat``, and rows of pairs whose
        ``run`` is a number or "mean".
    """
    content = _without_warnings(found)
    rows = [{"scorer": row["scorer"], "against": None, **row} for row in found.rows()]
    rows += map(_of_pair, found["differences"])
    if again is not None:
        content["repeat"] = dict(again)
        rows = [{"run": None, **row} for row in rows]
        for run in again["runs"]:
            rows += [{"run": run["run"], **_of_pair(row)} for row in run["differences"]]
        rows += [{"run": "mean", **_of_pair(row)} for row in again["mean"]]
    return Document("compare", content, rows)


def _of_pair(row: Mapping[str, Any]) -> dict[str, Any]:
    rest = {key: value for key, value in flat(row).items() if key not in ("a", "b")}
    return {"scorer": row["a"], "against": row["b"], **rest}


def _without_warnings(found: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in found.items() if key != "warnings"}


def trends(found: Trends, users: str = "all", plot: PathLike | None = None) -> Document:
    """What `questions.trends.measure` found, and `questions.seasons.seasons` told of it.

    Parameters
    ----------
    found : Trends
    users : str
        Whom the response is a mean of: ``all`` or ``active``.
    plot : path, optional
        The figure that was drawn of it.
    """
    told = seasons(found)
    also = [None] * len(found.features) if found.also is None else found.also
    rows = TrendRows(found.rows())
    content = {
        "model": found.model,
        "users": users,
        "plot": None if plot is None else str(plot),
        "fits": found.spread.fits,
        "iterations": found.spread.iterations,
        "seconds": found.spread.seconds,
        "seasons": told.facts(),
        "features": [{**row, "also": others} for row, others in zip(told.rows(), also)],
        "rows": rows,
    }
    return Document("trends", content, rows, columns=TrendRows.COLUMNS)


def report(found: Mapping[str, Any]) -> Document:
    """What `report.write_report` wrote."""
    row = {**found, **{name: "; ".join(found[name]) for name in ("models", "sections", "notes")}}
    row["users"] = "; ".join(one["user"] for one in found["users"])
    return Document("report", dict(found), [row])


def table_report(found: Mapping[str, Any]) -> Document:
    """What `report.write_table_report` wrote."""
    row = {**found, **{name: "; ".join(found[name]) for name in ("models", "sections", "subsets")}}
    return Document("report", dict(found), [row])
