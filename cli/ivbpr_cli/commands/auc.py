"""``ivbpr auc``: the full-ranking AUC of a model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from ivbpr_cli.commands.options import argument, names, option
from ivbpr_cli.output import Answer, Screen, Table
from ivbpr_cli.paths import input_file, output_file
from ivbpr_numba.errors import CheckFailed, UsageError

__all__ = ["auc"]

SETTINGS = ("all", "cold", "stratified")

Texts = list[str] | None


def auc(
    screen: Screen,
    model: Annotated[Path, argument("A file written by 'ivbpr fit'.")],
    data: Annotated[Path | None, option("Dataset whose ids and split must be the model's.")] = None,
    features: Annotated[Path | None, option("Feature file, if it is not where the model says.")] = None,
    setting: Annotated[Texts, option("all or cold; repeatable; both where not given.")] = None,
    split: Annotated[str, option("test or valid.")] = "test",
    cold_below: Annotated[int, option("Items with fewer training pairs are cold.")] = 5,
    ties: Annotated[str, option("A tie counts nothing (strict) or one half (half).")] = "strict",
    per_user: Annotated[Path | None, option("Also write a CSV with a line a user.")] = None,
    metrics: Annotated[str | None, option("For example recall@10,ndcg@10.", metavar="LIST")] = None,
    baseline: Annotated[Texts, option("pop, inverse_popularity or cosine; repeatable.")] = None,
    fail_under: Annotated[
        float | None, option("Exit code 5 if the AUC is below (All; cold if only that is asked).")
    ] = None,
) -> None:
    """The AUC over all candidates, All Items and Cold Start, with standard errors."""
    if fail_under is not None and not 0 <= fail_under <= 1:
        raise UsageError(f"--fail-under {fail_under}: an AUC is between 0 and 1.", "Name such a number.")
    input_file(model, "model")
    for path, what in ((data, "dataset"), (features, "feature file")):
        if path is not None:
            input_file(path, what)
    if per_user is not None:
        output_file(per_user, model, data, features)

    from ivbpr_numba.datasets.dataset import Dataset

    from ivbpr_numba import evaluation
    from ivbpr_numba.datasets.features import Features
    from ivbpr_numba.models import load

    report = evaluation.auc(
        load(model),
        Dataset.read(data) if data is not None else None,
        features=Features.read(features) if features is not None else None,
        settings=tuple(setting) if setting else ("all", "cold"),
        split=split,
        cold_below=cold_below,
        ties=ties,
        per_user=per_user,
        metrics=names(metrics),
        baselines=tuple(baseline or ()),
    )
    for text in report.pop("warnings", []):
        screen.warn(text)
    rows = list(rows_of(report))
    title = f"{report['split']} items, ties {report['ties']}"
    screen.show(Answer("auc", report, rows, [Table(rows, title)]))
    if fail_under is not None:
        _check(report, "cold" if setting and set(setting) == {"cold"} else "all", fail_under)


def rows_of(report: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """One flat row a scorer and setting, the model first."""
    scorers = {report["model"]: report, **report.get("baselines", {})}
    for name, scorer in scorers.items():
        for setting in SETTINGS:
            if setting in scorer:
                result = {key: value for key, value in scorer[setting].items() if key != "cold_below"}
                low, high = result.pop("ci95", None) or (None, None)
                yield {"scorer": name, "setting": setting, **result, "ci95_low": low, "ci95_high": high}


def _check(report: dict[str, Any], setting: str, least: float) -> None:
    """Raise unless the AUC of `setting` is at least `least`; no users is a failure too."""
    reached = report[setting]["auc"]
    if reached is None:
        raise CheckFailed(
            f"--fail-under {least}: there is no user to judge ({setting}).", "Look at the split."
        )
    if reached < least:
        raise CheckFailed(f"--fail-under {least}: the AUC ({setting}) is {reached:.4f}.")
