"""``ivbpr compare``: several models on the same questions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from ivbpr_cli.commands.options import argument, option
from ivbpr_cli.output import Answer, Screen
from ivbpr_cli.paths import input_file
from ivbpr_numba.errors import UsageError

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
    repeat: Annotated[
        int | None,
        option("Also fit all of them N times to --data, from the second on another split.", metavar="N"),
    ] = None,
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

    if repeat is not None and data is None:
        raise UsageError("--repeat fits models again to the dataset.", "Name it with --data.")
    if repeat is not None and repeat < 1:
        raise UsageError(f"--repeat {repeat} is below 1.", "Give a positive number.")

    from ivbpr_cli.commands.judged import comparison_tables, repeated_differences, say_cost
    from ivbpr_numba.datasets.dataset import Dataset
    from ivbpr_numba.documents import models as documents
    from ivbpr_numba.features.features import Features
    from ivbpr_numba.questions import comparing

    dataset = Dataset.read(data) if data is not None else None
    options: dict[str, Any] = {
        "features": [Features.read(path) for path in features or ()],
        "split": split,
        "cold_below": cold_below,
        "ties": ties,
        "baselines": baseline or (),
    }
    found = comparing.compare(models, dataset, **options)
    for text in found["warnings"]:
        screen.warn(text)
    tables, again = list(comparison_tables(found, all_pairs)), None
    if repeat is not None:
        assert dataset is not None
        from ivbpr_numba.models import load
        from ivbpr_numba.questions import repeating

        say_cost(screen, [load(path) for path in models], repeat)
        with screen.progress("compare") as observer:
            again = repeating.compare_again(models, repeat, dataset, observers=[observer], **options)
        tables += repeated_differences(again, all_pairs)
    screen.show(Answer.of(documents.compare(found, again), tables))
