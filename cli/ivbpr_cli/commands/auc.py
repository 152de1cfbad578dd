"""``ivbpr auc``: the full-ranking AUC of a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from ivbpr_cli.commands.options import argument, names, option
from ivbpr_cli.output import Answer, Screen, Table
from ivbpr_cli.paths import input_file, output_file, spare_features
from ivbpr_numba.errors import CheckFailed, UsageError

__all__ = ["auc"]

Texts = list[str] | None


def auc(
    screen: Screen,
    model: Annotated[Path | None, argument("A file written by 'ivbpr fit'.")] = None,
    scores: Annotated[Path | None, option("Instead of a model: scores of any program, .npy or .csv.")] = None,
    data: Annotated[Path | None, option("The dataset: for scores; or a model's, to be compared.")] = None,
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
    if (model is None) == (scores is None):
        raise UsageError("Judge a model or --scores.", "Name one of them.")
    if scores is not None and data is None:
        raise UsageError("--scores needs the dataset.", "Name it with --data.")
    named = ((model, "model"), (scores, "scores"), (data, "dataset"), (features, "feature file"))
    for path, what in named:
        if path is not None:
            input_file(path, what)
    if per_user is not None:
        output_file(per_user, *(path for path, _ in named), flag="--per-user")

    from ivbpr_numba.datasets.dataset import Dataset
    from ivbpr_numba.documents import models as documents
    from ivbpr_numba.features.features import Features
    from ivbpr_numba.models import load
    from ivbpr_numba.questions import auc as evaluation

    options: dict[str, Any] = {
        "features": Features.read(features) if features is not None else None,
        "settings": tuple(setting) if setting else ("all", "cold"),
        "split": split,
        "cold_below": cold_below,
        "ties": ties,
        "per_user": per_user,
        "metrics": names(metrics),
        "baselines": tuple(baseline or ()),
    }
    dataset = Dataset.read(data) if data is not None else None
    if model is not None:
        fitted = load(model)
        if per_user is not None:
            spare_features(per_user, fitted, "--per-user")
        report = evaluation.auc(fitted, dataset, **options)
    else:
        assert scores is not None and dataset is not None
        report = evaluation.auc_of_scores(scores, dataset, **options)
    for text in report["warnings"]:
        screen.warn(text)
    document = documents.auc(report)
    title = f"{report['split']} items, ties {report['ties']}"
    notes = [f"{name}: {value:.4f}" for name, value in report.get("metrics", {}).items() if value is not None]
    screen.show(Answer.of(document, [Table(document.rows, title)], notes))
    if fail_under is not None:
        _check(report, "cold" if setting and set(setting) == {"cold"} else "all", fail_under)


def _check(report: dict[str, Any], setting: str, least: float) -> None:
    """Raise unless the AUC of `setting` is at least `least`; no users is a failure too."""
    reached = report[setting]["auc"]
    if reached is None:
        raise CheckFailed(
            f"--fail-under {least}: there is no user to judge ({setting}).", "Look at the split."
        )
    if reached < least:
        raise CheckFailed(f"--fail-under {least}: the AUC ({setting}) is {reached:.4f}.")
