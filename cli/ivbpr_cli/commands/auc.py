"""``ivbpr auc``: the full-ranking AUC of a model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from ivbpr_cli.commands.options import Scheduler, Workers, argument, client_of, names, option, say_device
from ivbpr_cli.output import Answer, Screen
from ivbpr_cli.paths import input_file, output_file, spare_features
from ivbpr_numba.errors import CheckFailed, UsageError
from ivbpr_numba.store.kinds import refuse_form

if TYPE_CHECKING:
    from ivbpr_numba.questions.results import AucReport

__all__ = ["auc"]

Texts = list[str] | None


def auc(
    screen: Screen,
    models: Annotated[list[Path] | None, argument("Files written by 'ivbpr fit'.")] = None,
    scores: Annotated[Path | None, option("Instead of a model: scores of any program, .npy or .csv.")] = None,
    data: Annotated[Path | None, option("The dataset: for scores; or the models', to be compared.")] = None,
    features: Annotated[
        list[Path] | None,
        option("Feature file, if it is not where its model says; repeatable, each model takes its own."),
    ] = None,
    setting: Annotated[Texts, option("all or cold; repeatable; both where not given.")] = None,
    split: Annotated[str, option("test or valid.")] = "test",
    cold_below: Annotated[int, option("Items with fewer training pairs are cold.")] = 5,
    ties: Annotated[str, option("A tie counts nothing (strict) or one half (half).")] = "strict",
    per_user: Annotated[Path | None, option("Also write a CSV with a line a user.")] = None,
    metrics: Annotated[
        str | None,
        option(
            "recall, precision, ndcg, map, mrr @K: recall@10,ndcg@10; ties count against.", metavar="LIST"
        ),
    ] = None,
    baseline: Annotated[Texts, option("pop, inverse_popularity or cosine; repeatable.")] = None,
    repeat: Annotated[
        int | None,
        option(
            "Also fit each model N times to --data, from the second on another split, and judge each.",
            metavar="N",
        ),
    ] = None,
    device: Annotated[str, option("What counts: cpu, cuda or auto; the counts are the same.")] = "cpu",
    scheduler: Scheduler = None,
    workers: Workers = None,
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
    if scores is not None and device != "cpu":
        raise UsageError("Rows of --scores are counted by the CPU.", "Leave --device out.")
    if (scheduler is not None or workers is not None) and (scores is not None or repeat is not None):
        raise UsageError(
            "A cluster counts for models, without --scores and --repeat.",
            "Leave --scheduler and --workers out.",
        )
    if len(set(files)) < len(files):
        raise UsageError("A model is named twice.", "Name each once.")
    named = [*((file, "model") for file in files), (scores, "scores"), (data, "dataset")]
    named += [(path, "feature file") for path in features or ()]
    for path, what in named:
        if path is not None:
            input_file(path, what)
    if per_user is not None:
        refuse_form(per_user)
        output_file(per_user, *(path for path, _ in named), flag="--per-user")

    from ivbpr_cli.commands.judged import auc_tables, repeat_tables, say_cost, short_names
    from ivbpr_numba.datasets.dataset import Dataset
    from ivbpr_numba.documents import models as documents
    from ivbpr_numba.features.features import Features
    from ivbpr_numba.models import load
    from ivbpr_numba.questions import auc as evaluation
    from ivbpr_numba.questions import repeating
    from ivbpr_numba.questions.own_features import own_features

    options: dict[str, Any] = {
        "settings": tuple(setting) if setting else ("all", "cold"),
        "split": split,
        "cold_below": cold_below,
        "ties": ties,
        "metrics": names(metrics),
        "baselines": tuple(baseline or ()),
        "device": device,
    }
    dataset = Dataset.read(data) if data is not None else None
    given = [Features.read(path) for path in features or ()]
    fitted = [load(file) for file in files]
    own = own_features(fitted, given, spare=not any(model.uses_features for model in fitted))
    reports, repeats = {}, {}
    with client_of(scheduler, workers) as client:
        for file, model, its in zip(files, fitted, own):
            if per_user is not None:
                spare_features(per_user, model, "--per-user")
            options["features"] = its if model.uses_features else next(iter(given), None)
            reports[str(file)] = evaluation.auc(model, dataset, **options, per_user=per_user, client=client)
            if repeat is not None:
                say_cost(screen, [model], repeat)
                with screen.progress(model.name) as observer:
                    again = repeating.repeat(model, repeat, dataset, observers=[observer], **options)
                repeats[str(file)] = again
    if scores is not None:
        assert dataset is not None
        options["features"] = next(iter(given), None)
        del options["device"]
        reports[str(scores)] = evaluation.auc_of_scores(scores, dataset, **options, per_user=per_user)
    several = len(reports) > 1
    for name, report in reports.items():
        for text in report["warnings"]:
            screen.warn(f"{name}: {text}" if several else text)
        say_device(screen, report)
    each = {name: documents.auc(report, repeats.get(name)) for name, report in reports.items()}
    document = documents.auc_of_several(each) if several else next(iter(each.values()))
    tables = auc_tables(reports, f"{split} items, ties {ties}")
    for name, short in short_names(list(repeats)).items():
        tables += repeat_tables(repeats[name], short, baseline or ())
    screen.show(Answer.of(document, tables))
    if fail_under is not None:
        only_cold = bool(setting) and set(setting or ()) == {"cold"}
        _check(reports, "cold" if only_cold else "all", fail_under)


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
