"""How well a model ranks: the AUC of equations 3–4 and what belongs beside it (model specification 5)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ivbpr_numba.datasets.dataset import Dataset
from ivbpr_numba.datasets.scores import open_scores
from ivbpr_numba.errors import DataError, UsageError, did_you_mean
from ivbpr_numba.kernels.compilation import computing_clock
from ivbpr_numba.kernels.scalar.random import SAMPLE, mix64
from ivbpr_numba.questions.results import AucReport
from ivbpr_numba.ranking import (
    COLD_BELOW,
    Counts,
    ItemSide,
    Questions,
    RowScorer,
    Scorer,
    VectorScorer,
    all_and_cold,
    count,
    count_by_epoch,
    item_classes,
    questions,
    summary,
)
from ivbpr_numba.store.atomic import PathLike, write_bytes
from ivbpr_numba.worlds.world import truth_vectors

if TYPE_CHECKING:
    from ivbpr_numba.features.features import Features
    from ivbpr_numba.models.base import Model
    from ivbpr_numba.worlds.truth import Truth, TruthVectors
    from ivbpr_numba.worlds.world import World

__all__ = [
    "BASELINES",
    "auc",
    "auc_of_scores",
    "cosine_scorer",
    "dataset_of",
    "judge",
    "popularity_scorer",
    "truth_auc",
]

SETTINGS = ("all", "cold")
SPLITS = ("test", "valid")
TIES = ("strict", "half")
BASELINES = ("pop", "inverse_popularity", "cosine")
TRUTH_USERS = 20_000
MANY_TIES = 0.01  # share of tied pairs above which a strict AUC says little about the ranking


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
        ``recall@K``, ``ndcg@K``; ties count against the model.
    baselines : sequence of str
        ``pop``, ``cosine``; ``inverse_popularity`` is always there.

    Returns
    -------
    AucReport
        A dictionary: ``model split ties``; for each setting, and for ``stratified``, ``auc users pairs
        tied_pairs stderr ci95``; ``baselines``; ``seconds``; ``warnings``. Its method `to_frame` gives a row
        for each scorer and setting.

    Raises
    ------
    UsageError
        Unknown setting, split, metric or baseline; features that aren't found.
    DataError
        Data or features are not those of the fit.
    """
    _check_same(model, data)
    data = data if data is not None else model.views.fitted.data
    if "cosine" in baselines and features is None and model.features_ is not None:
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
) -> AucReport:
    """Judge a scorer; see `auc`. `make_scorer` is called once the options are known to be right."""
    _check("setting", settings, SETTINGS)
    _check("split", [split], SPLITS)
    _check("rule for ties", [ties], TIES)
    _check("baseline", baselines, BASELINES)
    wanted = [_parse_metric(metric) for metric in metrics]
    if cold_below < 0:
        raise UsageError(f"--cold-below {cold_below} is negative.", "Give 0 or more.")
    if "cosine" in baselines and features is None:
        raise UsageError("The baseline 'cosine' needs features.", "Name a feature file with --features.")
    begun = computing_clock()
    asked, trained = questions(data, split), data.train_counts
    classes = item_classes(trained)
    cold = trained[asked.targets] < cold_below
    scorer = make_scorer()
    counts = count(scorer, asked, classes)
    report = AucReport(model=name, split=split, ties=ties)
    report |= _settings(counts, cold, settings, ties, cold_below)
    for metric, value in zip(metrics, wanted):
        report.setdefault("metrics", {})[metric] = _metric(counts, *value)
    report["baselines"] = {}
    for baseline in dict.fromkeys([*baselines, "inverse_popularity"]):
        rule = "half" if baseline == "inverse_popularity" else ties
        found = count(_baseline(baseline, data, features), asked, classes)
        report["baselines"][baseline] = _settings(found, cold, settings, rule, None)
    report["seconds"] = round(computing_clock() - begun, 3)
    report["warnings"] = list(_warnings(report, settings))
    if per_user is not None:
        write_bytes(per_user, _per_user(data, asked, counts, cold, ties))
    return report


def _check(what: str, given: Iterable[str], known: Sequence[str]) -> None:
    for name in given:
        if name not in known:
            hint = did_you_mean(name, known) or f"Use {' or '.join(known)}."
            raise UsageError(f"Unknown {what} '{name}'.", hint)


def _parse_metric(text: str) -> tuple[str, int]:
    found = re.fullmatch(r"(recall|ndcg)@([1-9][0-9]*)", text)
    if not found:
        raise UsageError(f"Unknown metric '{text}'.", "Use recall@K or ndcg@K, for example recall@10.")
    return found[1], int(found[2])


def _check_same(model: Model, data: Dataset | None) -> None:
    if data is None:
        return
    own, other = model.views.fitted.data.objects(), data.objects()
    for path in own:
        if path.startswith(("/ids/", "/split/")) and not np.array_equal(own[path], other[path]):
            raise DataError(
                f"The dataset is not that of the {model.name} model's fit: {path.lstrip('/')} differs.",
                "Name that dataset, or fit the model again.",
            )


def _settings(
    counts: Counts, cold: np.ndarray, settings: Sequence[str], ties: str, cold_below: int | None
) -> dict[str, Any]:
    """All, cold and stratified results of one scorer."""
    both = all_and_cold(counts, cold, ties, cold_below)
    found: dict[str, Any] = {name: both[name] for name in SETTINGS if name in settings}
    found["stratified"] = summary(*counts.auc(ties, stratified=True))
    return found


def _metric(counts: Counts, name: str, k: int) -> float | None:
    """Mean of 1[r ≤ k] (recall) or 1[r ≤ k] / log₂(1 + r) (ndcg) over the users with a candidate."""
    rank = counts.rank()[counts.pairs.sum(axis=1) > 0]
    if not len(rank):
        return None
    hit = rank <= k
    return float(np.mean(hit if name == "recall" else hit / np.log2(1.0 + rank)))


def _warnings(report: dict[str, Any], settings: Sequence[str]) -> Iterator[str]:
    for setting in settings:
        found = report[setting]
        if found["users"] == 0:
            yield f"No user to judge ({setting}): no held-out item of this kind has a candidate."
        elif found["tied_pairs"] > MANY_TIES * found["pairs"]:
            share = found["tied_pairs"] / found["pairs"]
            worth = "nothing" if report["ties"] == "strict" else "one half"
            yield f"{share:.1%} of the pairs ({setting}) are ties and count {worth}; --ties changes the rule."


def _baseline(name: str, data: Dataset, features: Features | None) -> Scorer:
    if name == "cosine":
        assert features is not None
        return cosine_scorer(data, features)
    return popularity_scorer(data, inverse=name == "inverse_popularity")


def popularity_scorer(data: Dataset, inverse: bool = False) -> VectorScorer:
    """Score by the number of training pairs, or by its negative."""
    bias = data.train_counts.astype(np.float32)
    nothing = np.zeros((len(data.users), 0), np.float32)
    return VectorScorer(nothing, ItemSide(np.zeros((len(bias), 0), np.float32), -bias if inverse else bias))


def cosine_scorer(data: Dataset, features: Features) -> VectorScorer:
    """Mean over a user's training items of the cosine with the candidate, features scaled by √idf.

    Nothing is learned: it shows what content alone is worth (model specification 5).
    """
    values = features.values(features.rows_of_all(data.items))
    n_items = len(values)
    having = np.count_nonzero(values > 0, axis=0)
    values *= np.sqrt(np.maximum(np.log(n_items / (1.0 + having)), 0.0)).astype(np.float32)
    norms = np.sqrt(np.square(values, dtype=np.float64).sum(axis=1))
    values /= np.where(norms > 0, norms, 1.0)[:, None].astype(np.float32)
    train = data.train
    users = np.zeros((len(data.users), values.shape[1]), np.float32)
    np.add.at(users, train.users, values[train.indices])
    users /= np.maximum(np.diff(train.indptr), 1)[:, None]
    return VectorScorer(users, ItemSide(values, np.zeros(n_items, np.float32)))


def _per_user(
    data: Dataset, asked: Questions, counts: Counts, cold: np.ndarray, ties: str
) -> Iterator[bytes]:
    """Lines of the CSV, one per user with a candidate."""
    import csv
    import io

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("user", "item", "time", "cold", "auc", "pairs", "ties"))
    values, pairs, tied = counts.auc(ties)
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
    asked, trained = questions(data, split), data.train_counts
    if len(asked.users) > users:
        generator = np.random.Generator(np.random.PCG64(mix64(0, SAMPLE)))
        asked = asked.part(np.sort(generator.choice(len(asked.users), users, replace=False)))
    classes, cold = item_classes(trained), trained[asked.targets] < COLD_BELOW
    found: dict[str, Any] = {"users": len(asked.users)}
    for name, with_time in (("with_time", True), ("without_time", False)):
        vectors = truth_vectors(truth, data.users.values, data.items.values, with_time)
        epochs = truth.epoch_of(asked.times) if with_time else np.zeros(len(asked.users), np.int64)
        counts = count_by_epoch(partial(_true_scorer, vectors), epochs, asked, classes)
        found[name] = _settings(counts, cold, SETTINGS, "strict", COLD_BELOW)
    return found


def dataset_of(world: World) -> Dataset:
    """The dataset that ``ivbpr prepare`` makes of a world's purchases by default."""
    rows = world.purchases
    users, items = world.users.values[rows.users], world.items.values[rows.items]
    return Dataset.from_pairs(users, items, rows.times, min_interactions=5)


def _true_scorer(vectors: TruthVectors, epoch: int) -> VectorScorer:
    users, items, bias = vectors.users, vectors.items, vectors.item_bias[epoch]
    return VectorScorer(users.astype(np.float32), ItemSide(items.astype(np.float32), bias.astype(np.float32)))
