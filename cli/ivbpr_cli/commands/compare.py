"""``ivbpr compare``: several models on the same questions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from ivbpr_cli.commands.options import argument, option
from ivbpr_cli.output import Answer, Screen
from ivbpr_cli.paths import input_file

__all__ = ["compare"]


def compare(
    screen: Screen,
    models: Annotated[list[Path], argument("Files written by 'ivbpr fit', on one dataset.")],
    data: Annotated[Path | None, option("The dataset, to be compared with the models'.")] = None,
    features: Annotated[
        list[Path] | None,
        option("Feature file, if it is not where its model says; repeatable, each model takes its own."),
    ] = None,
    split: Annotated[str, option("test or valid.")] = "test",
    cold_below: Annotated[int, option("Items with fewer training pairs are cold.")] = 5,
    ties: Annotated[str, option("A tie counts nothing (strict) or one half (half).")] = "strict",
    baseline: Annotated[list[str] | None, option("pop, inverse_popularity or cosine; repeatable.")] = None,
    all_pairs: Annotated[
        bool, option("Show every pair, not only the first model against the others.", flags=("--all-pairs",))
    ] = False,
) -> None:
    """Judge several models by the same questions: AUCs and paired differences with their errors."""
    for path in models:
        input_file(path, "model")
    for path in features or ():
        input_file(path, "feature file")
    if data is not None:
        input_file(data, "dataset")

    from ivbpr_cli.commands.judged import comparison_tables
    from ivbpr_numba.datasets.dataset import Dataset
    from ivbpr_numba.documents import models as documents
    from ivbpr_numba.features.features import Features
    from ivbpr_numba.questions import comparing

    found = comparing.compare(
        models,
        Dataset.read(data) if data is not None else None,
        features=[Features.read(path) for path in features or ()],
        split=split,
        cold_below=cold_below,
        ties=ties,
        baselines=baseline or (),
    )
    for text in found["warnings"]:
        screen.warn(text)
    screen.show(Answer.of(documents.compare(found), list(comparison_tables(found, all_pairs))))
