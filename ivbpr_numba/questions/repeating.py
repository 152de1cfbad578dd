"""How far a model's figures move when it is fitted again: other splits, other seeds.

The standard error of an AUC tells what other users would have changed. What another split and another start
would have changed is seen by doing it: the model's own configuration is fitted to N splits of the same
interactions, the first run with the seeds of its record, each further one with seeds larger by one, and each
run is judged by itself. Over the runs

    auc         = mean of AUC_k
    stderr_runs = sd(AUC_k) / √N, with N − 1 degrees of freedom

beside ``stderr``, the mean over runs of the standard error over users. Runs share their users and most of
their purchases, so ``stderr_runs`` is about splits and starts only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ivbpr_numba.datasets.resplit import is_random, split_again
from ivbpr_numba.errors import Interrupted, UsageError
from ivbpr_numba.events import Observer
from ivbpr_numba.kernels.compilation import computing_clock
from ivbpr_numba.models.registry import create
from ivbpr_numba.questions.auc import auc, refuse_other_data
from ivbpr_numba.questions.comparing import compare, listed_features, named_models
from ivbpr_numba.questions.own_features import own_features
from ivbpr_numba.questions.results import RESULTS, Repeats, scorers_of

if TYPE_CHECKING:
    from ivbpr_numba.datasets.dataset import Dataset
    from ivbpr_numba.features.features import Features
    from ivbpr_numba.models.base import Model
    from ivbpr_numba.questions.comparing import Comparable

__all__ = ["compare_again", "cost", "repeat"]


def cost(model: Model, runs: int) -> dict[str, Any]:
    """What `repeat` is going to take, by the model's own record.

    Returns
    -------
    dict
        ``runs``, ``seconds_each`` (computing, of the fit alone) and ``seconds``.
    """
    history = model.views.fitted.history
    each = float(history[-1]["seconds"]) if history else 0.0
    return {"runs": runs, "seconds_each": round(each, 1), "seconds": round(runs * each, 1)}


def repeat(
    model: Model,
    runs: int,
    data: Dataset | None = None,
    *,
    features: Features | None = None,
    observers: Sequence[Observer] = (),
    **options: Any,
) -> Repeats:
    """Fit a model's own configuration again, to several splits of the same interactions, and judge each run.

    Parameters
    ----------
    model : Model
        Fitted or loaded; it stays as it is. Epochs that it chose itself (``auto``) stay chosen.
    runs : int
        How many, the first with the seeds of the model itself.
    data : Dataset, optional
        That of the fit; needed for a loaded model, whose file does not say how its data were split. A split
        at random is drawn anew in each run; ``last`` and ``time`` stay, and only the fit's seed varies.
    features : Features, optional
        As for `auc`.
    observers : sequence of callables
        Each is told ``{"step": "run 2 of 3"}`` and the events of each fit.
    **options
        As for `auc`: ``split settings cold_below ties metrics baselines``.

    Returns
    -------
    Repeats
        A dictionary, ready for JSON: ``model``; ``varies`` (``split and fit seed`` or ``fit seed``);
        ``runs``: for each ``run split_seed fit_seed payload_sha256`` (POP has no seed of its own) and what
        `auc` says of it; ``mean``: by scorer, in the shape of `auc`'s report, ``auc stderr_runs stderr
        users``, of a metric ``value`` instead of ``auc``; ``seconds``.

    Raises
    ------
    UsageError
        Fewer than one run; the data don't say how they were split; as `auc` and `Model.fit`.
    DataError
        Data or features are not those of the fit.
    Interrupted
        After SIGINT or SIGTERM; nothing was written.
    """
    begun = computing_clock()
    refuse_other_data(model, data)
    used = [model.find_features(features) if model.uses_features else None]
    found = Repeats(model=model.name, varies=_varies(data or model.views.fitted.data), runs=[])
    for run, (again,) in _runs([model], runs, data or model.views.fitted.data, used, observers):
        report = auc(again, features=features, **options)
        judged = {key: value for key, value in report.items() if key not in ("model", "warnings")}
        seed = again.views.fitted.config.get("seed")
        found["runs"].append({**run, "fit_seed": seed, "payload_sha256": again.payload_sha256_, **judged})
    found["mean"] = _means(found)
    found["seconds"] = round(computing_clock() - begun, 3)
    return found


def compare_again(
    models: Sequence[Comparable] | Mapping[str, Comparable],
    runs: int,
    data: Dataset,
    *,
    features: Features | Sequence[Features] | None = None,
    observers: Sequence[Observer] = (),
    **options: Any,
) -> dict[str, Any]:
    """Fit several models again, all to the same split in each run, and compare them in each.

    Parameters
    ----------
    models
        As for `comparing.compare`, but fitted models or their files only.
    runs, data, features, observers
        As for `repeat`.
    **options
        As for `comparing.compare`: ``split cold_below ties baselines``.

    Returns
    -------
    dict
        Ready for JSON: ``varies``; ``runs``: for each ``run split_seed``, ``fit_seeds`` by model, and
        ``models`` and ``differences`` as `compare` gives them; ``mean``, a list: for each pair and ``all``,
        ``cold``, ``stratified``: ``a b setting difference stderr_runs stderr users``.

    Raises
    ------
    UsageError, DataError, Interrupted
        As `repeat` and `comparing.compare`.
    """
    named = named_models(models)
    for name, _, model in named:
        if not hasattr(model, "option_names"):
            raise UsageError(f"'{name}' can't be fitted again.", "Give fitted models or their files.")
        refuse_other_data(model, data)
    names, fitted = [name for name, *_ in named], [model for *_, model in named]
    given = listed_features(features)
    owned = own_features(fitted, given, spare="cosine" in options.get("baselines", ()))
    used = [one.find_features(own) if one.uses_features else None for one, own in zip(fitted, owned)]
    found: dict[str, Any] = {"varies": _varies(data), "runs": []}
    for run, again in _runs(fitted, runs, data, used, observers):
        report = compare(dict(zip(names, again)), features=given, **options)
        seeds = {name: one.views.fitted.config.get("seed") for name, one in zip(names, again)}
        judged = {key: report[key] for key in ("models", "differences")}
        found["runs"].append({**run, "fit_seeds": seeds, **judged})
    by_run = [
        {(row["a"], row["b"], row["setting"]): row for row in run["differences"] if row["setting"] in RESULTS}
        for run in found["runs"]
    ]
    found["mean"] = [
        {"a": a, "b": b, "setting": s, **_mean([run[a, b, s] for run in by_run], "difference")}
        for a, b, s in by_run[0]
    ]
    return found


def _varies(data: Dataset) -> str:
    return "split and fit seed" if is_random(data) else "fit seed"


def _runs(
    models: Sequence[Model],
    runs: int,
    data: Dataset,
    features: Sequence[Features | None],
    observers: Sequence[Observer],
) -> Iterator[tuple[dict[str, Any], list[Model]]]:
    """Number and split seed of each run, and the models fitted again to its split."""
    if runs < 1:
        raise UsageError(f"There can't be {runs} runs.", "Give one or more.")
    drawn, first = is_random(data), int(data.source.get("seed", 0))
    for run in range(runs):
        split_seed = first + run if drawn else first
        fresh = split_again(data, split_seed) if drawn else data
        again = []
        for model, own in zip(models, features):
            what = f"run {run + 1} of {runs}" + (f": {model.name}" if len(models) > 1 else "")
            for observer in observers:
                observer({"step": what})
            try:
                again.append(_unfitted(model, run).fit(fresh, own, observers=observers))
            except Interrupted as stop:
                number = stop.exit_code - 128
                raise Interrupted(f"Interrupted in {what}; nothing was written.", "", number, None) from stop
        yield {"run": run + 1, "split_seed": split_seed}, again


def _unfitted(model: Model, run: int) -> Model:
    """A model of the same configuration, as it is recorded, with the seed of the run."""
    config = model.views.fitted.config
    known = [name for name in model.option_names() if name in config and name not in ("kind", "threads")]
    options = {name: config[name] for name in known}
    if options.get("seed") is not None:  # POP has none
        options["seed"] += run
    return create(model.name, **options)


def _means(found: Repeats) -> dict[str, dict[str, Any]]:
    """Over the runs, in the shape of a report: by scorer, setting and metric."""
    runs = [scorers_of(found["model"], run) for run in found["runs"]]
    means: dict[str, dict[str, Any]] = {}
    for name in runs[0]:
        own = [run[name] for run in runs]
        means[name] = {s: _mean([one[s] for one in own], "auc") for s in RESULTS if s in own[0]}
        if "metrics" in own[0]:
            means[name]["metrics"] = {
                metric: {s: _mean([one["metrics"][metric][s] for one in own], "value") for s in by_setting}
                for metric, by_setting in own[0]["metrics"].items()
            }
    return means


def _mean(results: Sequence[dict[str, Any]], key: str) -> dict[str, Any]:
    """Of runs without a user to judge nothing is known; their number is not counted."""
    values = np.array([one[key] for one in results if one[key] is not None])
    errors = [one["stderr"] for one in results if one["stderr"] is not None]
    n = len(values)
    return {
        key: float(values.mean()) if n else None,
        "stderr_runs": float(values.std(ddof=1) / np.sqrt(n)) if n > 1 else None,
        "stderr": float(np.mean(errors)) if errors else None,
        "users": float(np.mean([one["users"] for one in results])),
    }
