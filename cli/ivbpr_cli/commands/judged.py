"""Tables of AUCs, metrics and differences for people: what the commands that judge models show."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ivbpr_cli.output import Screen, Table
from ivbpr_numba.documents.document import Row
from ivbpr_numba.questions.results import RESULTS, AucReport, Comparison, Repeats, scorers_of

if TYPE_CHECKING:
    from ivbpr_numba.models.base import Model

__all__ = [
    "auc_tables",
    "comparison_tables",
    "repeat_tables",
    "repeated_differences",
    "say_cost",
    "short_names",
]

SPARED = ("tied_pairs", "pairs", ("ci95_low", "ci95_high"), "users")  # on a narrow screen
AT_ONCE = 3  # columns of figures with their error that 80 columns hold beside two names
ERROR = "_stderr"


def plus_minus(value: float | None, error: float | None) -> str:
    """A figure with its standard error, as one cell."""
    if value is None:
        return "–"
    return f"{value:.4f}" if error is None else f"{value:.4f} ±{error:.4f}"


def short_names(files: Sequence[str]) -> dict[str, str]:
    """Files without their folders, where that keeps them apart."""
    names = [Path(file).name for file in files]
    return dict(zip(files, names if len(set(names)) == len(names) else files))


def auc_tables(reports: Mapping[str, AucReport], title: str) -> list[Table]:
    """AUCs of one model, or of several by file, then their metrics, which have tables of their own."""
    several = len(reports) > 1
    short = short_names(list(reports))
    rows = [
        {**({"file": short[file]} if several else {}), **row}
        for file, report in reports.items()
        for row in report.rows()
    ]
    plain = [{key: value for key, value in row.items() if "@" not in key} for row in rows]
    return [Table(plain, title, drop=SPARED), *_metric_tables(rows, 2 if several else AT_ONCE)]


def _metric_tables(rows: Sequence[Row], at_once: int) -> Iterator[Table]:
    """The metrics of a report's rows, a few a table."""
    names = [key for key in rows[0] if "@" in key and not key.endswith(ERROR)]
    for start in range(0, len(names), at_once):
        title = "" if start else "at the head of the list: means over users ± standard error"
        part = names[start : start + at_once]
        shown = [
            {
                **{key: row[key] for key in ("file", "scorer", "setting") if key in row},
                **{name: plus_minus(row[name], row[name + ERROR]) for name in part},
            }
            for row in rows
            if row["setting"] != "stratified"
        ]
        yield Table(shown, title, whole=part)


def repeat_tables(found: Repeats, name: str, baselines: Sequence[str]) -> Iterator[Table]:
    """Each run and what they come to: a table for the model, and one for each baseline that was asked for."""
    model = found["model"]
    by_scorer = [scorers_of(model, run) for run in found["runs"]]
    named = [f"{one} (baseline)" if one == model else one for one in baselines]
    for scorer in dict.fromkeys([model, *named]):
        mean = found["mean"][scorer]
        settings = [setting for setting in RESULTS if setting in mean]
        rows: list[dict[str, Any]] = []
        for run, results in zip(found["runs"], by_scorer):
            cells = {s: plus_minus(results[scorer][s]["auc"], results[scorer][s]["stderr"]) for s in settings}
            rows.append({"run": str(run["run"]), "seeds": f"{run['split_seed']}, {run['fit_seed']}", **cells})
        for what, error in (("mean ± runs", "stderr_runs"), ("mean ± users", "stderr")):
            rows.append({"run": what, **{s: plus_minus(mean[s]["auc"], mean[s][error]) for s in settings}})
        yield Table(rows, f"{name}: {scorer} fitted again (seeds of split, fit)", whole=settings)


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
        yield Table(rows, title, whole=part)
    for first, pairs in groupby(found["differences"], key=lambda row: row["a"]):
        title = f"{first} minus the others: paired over users, standard error, 95 % interval"
        yield Table([_difference(row) for row in pairs], title, whole=("difference", "95 % interval"))
        if not all_pairs:
            return


def repeated_differences(again: Mapping[str, Any], all_pairs: bool) -> Iterator[Table]:
    """Every run, and the mean differences over runs, with both kinds of error."""
    runs = [
        {
            "run": str(run["run"]),
            "split seed": str(run["split_seed"]),
            **{one["model"]: plus_minus(one["all"]["auc"], one["all"]["stderr"]) for one in run["models"]},
        }
        for run in again["runs"]
    ]
    yield Table(runs, "AUC (all) of each run, the first with the seeds of the files")
    for first, pairs in groupby(again["mean"], key=lambda row: row["a"]):
        rows = [
            {
                "other": row["b"],
                "setting": row["setting"],
                "difference": "–" if row["difference"] is None else f"{row['difference']:+.4f}",
                "± runs": row["stderr_runs"],
                "± users": row["stderr"],
            }
            for row in pairs
        ]
        number = len(again["runs"])
        runs_of = f"mean of {number} runs, another {again['varies']} each time" if number > 1 else "one run"
        yield Table(rows, f"{first} minus the others: {runs_of}")
        if not all_pairs:
            return


def say_cost(screen: Screen, models: Sequence[Model], runs: int) -> None:
    """What fitting again is going to take, before it begins."""
    from ivbpr_numba.questions.repeating import cost

    seconds = sum(cost(model, runs)["seconds"] for model in models)
    takes = f"about {seconds:,.0f} s" if seconds >= 1 else "less than a second"
    names = ", ".join(model.name for model in models)
    times = "once" if runs == 1 else f"{runs} times"
    screen.note(f"Fitting {names} {times}: {takes} of computing, by the record of the models.")


def _difference(row: dict[str, Any]) -> dict[str, Any]:
    low, high = row["ci95"] or (None, None)
    return {
        "other": row["b"],
        "setting": row["setting"],
        "difference": "–" if row["difference"] is None else f"{row['difference']:+.4f}",
        "stderr": row["stderr"],
        "95 % interval": "–" if low is None else f"{low:+.4f} to {high:+.4f}",
    }
