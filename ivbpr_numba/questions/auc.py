"""How well a model ranks: the AUC of equations 3–4 and what belongs beside it (model specification 5)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ivbpr_numba import expected
from ivbpr_numba.datasets.dataset import Dataset
from ivbpr_numba.datasets.scores import open_scores
from ivbpr_numba.errors import DataError, UsageError, parameter
from ivbpr_numba.kernels.compilation import computing_clock
from ivbpr_numba.kernels.scalar.random import SAMPLE, mix64
from ivbpr_numba.questions.baselines import baseline_scorer, check_baselines, rule_of
from ivbpr_numba.questions.metrics import metric_results, parse_metrics
from ivbpr_numba.questions.protocol import SETTINGS, Protocol, check, check_protocol, unlike, warnings_of
from ivbpr_numba.questions.results import AucReport
from ivbpr_numba.ranking import (
    COLD_BELOW,
    Counts,
    ItemSide,
    RowScorer,
    Scorer,
    VectorScorer,
    count,
    count_by_epoch,
    vector_length,
)
from ivbpr_numba.store.atomic import PathLike, write_bytes
from ivbpr_numba.worlds.world import truth_vectors

if TYPE_CHECKING:
    from ivbpr_numba.features.features import Features
    from ivbpr_numba.models.base import Model
    from ivbpr_numba.worlds.truth import Truth, TruthVectors
    from ivbpr_numba.worlds.world import World

__all__ = ["auc", "auc_of_scores", "dataset_of", "judge", "truth_auc"]

TRUTH_USERS = 20_000


def auc(
    model: Model,
    data: Dataset | None = None,
    *,
    features: Features | None = None,
    split: str = "test",
    settings: Sequence[str] = SETTINGS,
    cold_below: int = COLD_BELOW,
    ties: str = "strict",
    per_user: PathLike | None = None,
    metrics: Sequence[str] = (),
    baselines: Sequence[str] = (),
    device: str = "cpu",
    client: Any = None,
) -> AucReport:
    """Exact AUC of a fitted model over all candidates, All Items and Cold Start.

    A user's held-out item is compared with every item that the user has in no part of the split.

    Parameters
    ----------
    model : Model
        Fitted or loaded.
    data : Dataset, optional
        Must have the model's ids and split; by default what the model remembers.
    features : Features, optional
        For a visual model whose features aren't at the recorded path, and for the baseline ``cosine``.
    split : str
        ``test`` or ``valid``.
    settings : sequence of str
        ``all``, ``cold``: users whose held-out item has fewer than `cold_below` training pairs.
    cold_below : int
    ties : str
        ``strict``: an equal score counts 0 (equation 3); ``half``: one half.
    per_user : path, optional
        Also write a CSV: ``user,item,time,cold,auc,pairs,ties``.
    metrics : sequence of str
        ``recall@K``, ``precision@K``, ``ndcg@K``, ``map@K``, ``mrr@K``; ties count against the model. With
        one held-out item a user: see `questions.metrics`.
    baselines : sequence of str
        ``pop``, ``cosine``; ``inverse_popularity`` is always there.
    device : str
        What counts: ``cpu``, ``cuda``, or ``auto``, CUDA where it can be used and the work is worth it. The
        counts are the same. Scores that are no product of vectors (RAND) are counted by the CPU.
    client : distributed.Client, optional
        Of a Dask cluster whose workers count (extra ``dask``); the counts are the same.

    Returns
    -------
    AucReport
        A dictionary: ``model split ties``; for each setting, and for ``stratified``, ``auc users pairs
        tied_pairs stderr ci95``; ``metrics``, if any were asked for: for each, and each setting but
        ``stratified``, ``value stderr users``; ``baselines``, each with the same keys; ``seconds``;
        ``warnings``; where another device than the CPU was asked for, ``device device_reason``. Its
        method `to_frame` gives a row for each scorer and setting.

    Raises
    ------
    UsageError
        Unknown setting, split, metric or baseline; features that aren't found.
    DataError
        Data or features are not those of the fit.
    """
    expected.model(model, "auc")
    expected.features(features, "auc")
    if data is not None:
        expected.dataset(data, "auc")
    refuse_other_data(model, data)
    data = data if data is not None else model.views.fitted.data
    if (
        "cosine" in expected.names("baselines", baselines)
        and features is None
        and model.features_ is not None
    ):
        features = model.find_features()
    return judge(
        model.name,
        lambda: model.scorer(features if model.uses_features else None),
        data,
        features=features,
        split=split,
        settings=settings,
        cold_below=cold_below,
        ties=ties,
        per_user=per_user,
        metrics=metrics,
        baselines=baselines,
        device=device,
        client=client,
        width=vector_length(model.parameters_),
    )


def auc_of_scores(scores: PathLike | np.ndarray, data: Dataset, **options: Any) -> AucReport:
    """Judge any other program's scores by the same protocol.

    Parameters
    ----------
    scores : path or array
        ``.npy`` or array of users × items in the dataset's order, or a CSV of user, item, score that holds
        every candidate.
    data : Dataset
    **options
        As for `auc`.

    Raises
    ------
    DataError
        A shape that doesn't fit, an unknown id, a candidate without score, NaN.
    """
    expected.dataset(data, "auc_of_scores")
    rows = open_scores(scores, data)
    return judge("scores", lambda: RowScorer(rows, len(data.items)), data, **options)


def judge(
    name: str,
    make_scorer: Callable[[], Scorer],
    data: Dataset,
    *,
    features: Features | None = None,
    split: str = "test",
    settings: Sequence[str] = SETTINGS,
    cold_below: int = COLD_BELOW,
    ties: str = "strict",
    per_user: PathLike | None = None,
    metrics: Sequence[str] = (),
    baselines: Sequence[str] = (),
    device: str = "cpu",
    client: Any = None,
    width: int = 0,
) -> AucReport:
    """Judge a scorer, whose vectors have `width` numbers; see `auc`.

    `make_scorer` is called once the options are known to be right.
    """
    settings, metrics = expected.names("settings", settings), expected.names("metrics", metrics)
    baselines = expected.names("baselines", baselines)
    expected.whole("cold_below", cold_below, 0)
    check("setting", settings, SETTINGS)
    check_protocol(split, ties, cold_below)
    wanted = parse_metrics(metrics)
    named = list(dict.fromkeys([*baselines, "inverse_popularity"]))
    check_baselines(named, features)
    begun = computing_clock()
    protocol = Protocol.of(data, split, ties, cold_below)
    if client is not None and device != "cpu":
        raise UsageError(
            f"{parameter('device', device)}: the workers of a cluster count with their CPUs.",
            f"Leave {parameter('device')} out.",
        )
    protocol, computed = protocol.counted_by(device, width)
    protocol = protocol.counted_on(client)
    masks = {name: mask for name, mask in protocol.masks.items() if name in settings}
    counts = protocol.count(make_scorer())
    report = AucReport(model=name, split=split, ties=ties)
    report |= protocol.results(counts, settings)
    if wanted:
        report["metrics"] = metric_results(wanted, counts, masks)
    report["baselines"] = {}
    for baseline in named:
        found = protocol.count(baseline_scorer(baseline, data, features))
        results = protocol.results(found, settings, rule_of(baseline, ties), own=False)
        report["baselines"][baseline] = results
        if wanted:
            results["metrics"] = metric_results(wanted, found, masks)
    report["seconds"] = round(computing_clock() - begun, 3)
    report |= computed
    report["warnings"] = list(warnings_of(report, settings, ties))
    if per_user is not None:
        write_bytes(per_user, _per_user(protocol, counts))
    return report


def refuse_other_data(model: Model, data: Dataset | None) -> None:
    """Refuse a dataset that isn't that of the model's fit, as far as questions are concerned.

    Raises
    ------
    DataError
    """
    different = "" if data is None else unlike(model.views.fitted.data, data)
    if different:
        raise DataError(
            f"The dataset is not that of the {model.name} model's fit: {different}.",
            "Name that dataset, or fit the model again.",
        )


def _per_user(protocol: Protocol, counts: Counts) -> Iterator[bytes]:
    """Lines of the CSV, one per user with a candidate."""
    import csv
    import io

    data, asked, cold = protocol.data, protocol.asked, protocol.cold
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("user", "item", "time", "cold", "auc", "pairs", "ties"))
    values, pairs, tied = counts.auc(protocol.ties)
    for n in range(len(asked.users)):
        if pairs[n] == 0:
            continue
        time_of = int(asked.times[n]) if data.has_times else ""
        user, item = data.users[int(asked.users[n])], data.items[int(asked.targets[n])]
        writer.writerow(
            (user, item, time_of, int(cold[n]), repr(float(values[n])), int(pairs[n]), int(tied[n]))
        )
        if text.tell() > 1 << 20:
            yield text.getvalue().encode()
            text.seek(0)
            text.truncate()
    yield text.getvalue().encode()


def truth_auc(truth: Truth, data: Dataset, split: str = "test", users: int = TRUTH_USERS) -> dict[str, Any]:
    """AUC of the true utility of a built-in world, under the very protocol that judges models.

    Parameters
    ----------
    truth : Truth
    data : Dataset
        Prepared from the world's purchases.
    split : str
    users : int
        At most so many users, drawn by seed 0, are asked.

    Returns
    -------
    dict
        ``with_time`` (the utility at the moment of the held-out purchase) and ``without_time`` (averaged
        over epochs by volume): for each ``all cold stratified`` as `auc` gives them. ``users``: asked.
    """
    protocol = Protocol.of(data, split)
    if len(protocol.asked.users) > users:
        generator = np.random.Generator(np.random.PCG64(mix64(0, SAMPLE)))
        protocol = protocol.part(np.sort(generator.choice(len(protocol.asked.users), users, replace=False)))
    asked = protocol.asked
    found: dict[str, Any] = {"users": len(asked.users)}
    epochs = truth.epoch_of(asked.times)
    vectors = truth_vectors(truth, data.users.values, data.items.values, with_time=True)
    counts = count_by_epoch(partial(_true_scorer, vectors), epochs, asked, protocol.classes)
    found["with_time"] = protocol.results(counts)
    if len(truth.style) > 1:  # otherwise both are the same
        vectors = truth_vectors(truth, data.users.values, data.items.values, with_time=False)
        counts = count(_true_scorer(vectors, 0), asked, protocol.classes)
    found["without_time"] = protocol.results(counts)
    return found


def dataset_of(world: World) -> Dataset:
    """The dataset that ``ivbpr prepare`` makes of a world's purchases by default."""
    rows = world.purchases
    users, items = world.users.values[rows.users], world.items.values[rows.items]
    return Dataset.from_pairs(users, items, rows.times, min_interactions=5)


def _true_scorer(vectors: TruthVectors, epoch: int) -> VectorScorer:
    users, items, bias = vectors.users, vectors.items, vectors.item_bias[epoch]
    return VectorScorer(users.astype(np.float32), ItemSide(items.astype(np.float32), bias.astype(np.float32)))
