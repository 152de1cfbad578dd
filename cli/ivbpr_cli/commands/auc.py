"""``ivbpr auc``: the full-ranking AUC of a model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from ivbpr_cli.commands.options import argument, names, option
from ivbpr_cli.output import Answer, Screen
from ivbpr_cli.paths import input_file, output_file, spare_features
from ivbpr_numba.errors import CheckFailed, UsageError

if TYPE_CHECKING:
    from ivbpr_numba.datasets.dataset import Dataset
    from ivbpr_numba.models.base import Model
    from ivbpr_numba.questions.results import AucReport, Repeats

__all__ = ["auc"]

Texts = list[str] | None


def auc(
    screen: Screen,
    models: Annotated[list[Path] | None, argument("Files written by 'ivbpr fit'.")] = None,
    scores: Annotated[Path | None, option("Instead of a model: scores of any program, .npy or .csv.")] = None,
    data: Annotated[Path | None, option("The dataset: for scores; or the models', to be compared.")] = None,
    features: Annotated[Path | None, option("Feature file, if it is not where the model says.")] = None,
    setting: Annotated[Texts, option("all or cold; repeatable; both where not given.")] = None,
    split: Annotated[str, option("test or valid.")] = "test",
    cold_below: Annotated[int, option("Items with fewer training pairs are cold.")] = 5,
    ties: Annotated[str, option("A tie counts nothing (strict) or one half (half).")] = "strict",
    per_user: Annotated[Path | None, option("Also write a CSV with a line a user.")] = None,
    metrics: Annotated[
        str | None, option("recall, precision, ndcg, map, mrr @K: recall@10,ndcg@10.", metavar="LIST")
    ] = None,
    baseline: Annotated[Texts, option("pop, inverse_popularity or cosine; repeatable.")] = None,
    repeat: Annotated[
        int | None,
        option("Also fit each model again N times, on fresh splits of --data, and judge each.", metavar="N"),
    ] = None,
    fail_under: Annotated[
        float | None, option("Exit code 5 if the AUC is below (All; cold if only that is asked).")
    ] = None,
) -> None:
    """The AUC over all candidates, All Items and Cold Start, with standard errors."""
    if fail_under is not None and not 0 <= fail_under <= 1:
        raise UsageError(f"--fail-under {fail_under}: an AUC is between 0 and 1.", "Name such a number.")
    files = models or []
    if bool(files) == (scores is not None):
        raise UsageError("Judge models or --scores.", "Name one of them.")
    if scores is not None and data is None:
        raise UsageError("--scores needs the dataset.", "Name it with --data.")
    if per_user is not None and len(files) > 1:
        raise UsageError("--per-user is about one model.", "Name one, or see 'ivbpr compare'.")
    if repeat is not None and (scores is not None or data is None):
        raise UsageError("--repeat fits models again to the dataset.", "Name models and --data.")
    if repeat is not None and repeat < 1:
        raise UsageError(f"--repeat {repeat} is below 1.", "Give a positive number.")
    if len(set(files)) < len(files):
        raise UsageError("A model is named twice.", "Name each once.")
    named = (*((file, "model") for file in files), (scores, "scores"), (data, "dataset"))
    for path, what in (*named, (features, "feature file")):
        if path is not None:
            input_file(path, what)
    if per_user is not None:
        output_file(per_user, *(path for path, _ in named), features, flag="--per-user")

    from ivbpr_cli.commands.judged import auc_tables, repeat_tables
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
        "metrics": names(metrics),
        "baselines": tuple(baseline or ()),
    }
    dataset = Dataset.read(data) if data is not None else None
    reports, repeats = {}, {}
    for file in files:
        fitted = load(file)
        if per_user is not None:
            spare_features(per_user, fitted, "--per-user")
        reports[str(file)] = evaluation.auc(fitted, dataset, **options, per_user=per_user)
        if repeat is not None:
            repeats[str(file)] = _repeat(screen, fitted, repeat, dataset, options)
    if scores is not None:
        assert dataset is not None
        reports[str(scores)] = evaluation.auc_of_scores(scores, dataset, **options, per_user=per_user)
    several = len(reports) > 1
    for name, report in reports.items():
        for text in report["warnings"]:
            screen.warn(f"{name}: {text}" if several else text)
    each = {name: documents.auc(report, repeats.get(name)) for name, report in reports.items()}
    document = documents.auc_of_several(each) if several else next(iter(each.values()))
    tables = auc_tables(reports, f"{split} items, ties {ties}")
    for name, found in repeats.items():
        tables += repeat_tables(found, name, baseline or ())
    screen.show(Answer.of(document, tables))
    if fail_under is not None:
        only_cold = bool(setting) and set(setting or ()) == {"cold"}
        _check(reports, "cold" if only_cold else "all", fail_under)


def _repeat(
    screen: Screen, fitted: Model, runs: int, data: Dataset | None, options: dict[str, Any]
) -> Repeats:
    """Fit again and again, after saying what it costs."""
    from ivbpr_numba.questions import repeating

    seconds = repeating.cost(fitted, runs)["seconds"]
    takes = f"about {seconds:,.0f} s" if seconds >= 1 else "less than a second"
    screen.note(f"Fitting {fitted.name} {runs} times: {takes} of computing, by its own record.")
    with screen.progress(fitted.name) as observer:
        return repeating.repeat(fitted, runs, data, observers=[observer], **options)


def _check(reports: dict[str, AucReport], setting: str, least: float) -> None:
    """Raise unless every AUC of `setting` is at least `least`; no users is a failure too."""
    wrong = []
    for name, report in reports.items():
        reached = report[setting]["auc"]
        where = f"{name}: " if len(reports) > 1 else ""
        if reached is None:
            wrong.append(f"{where}there is no user to judge ({setting})")
        elif reached < least:
            wrong.append(f"{where}the AUC ({setting}) is {reached:.4f}")
    if wrong:
        raise CheckFailed(f"--fail-under {least}: {'; '.join(wrong)}.")
