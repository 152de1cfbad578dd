"""Several models on the very same questions, and how sure their differences are.

Every user is asked once: one held-out item, ranked among the same candidates by every model. So models are
compared user by user. With d_u = AUC_u(a) − AUC_u(b) over the n users with a candidate,

    difference = mean of d_u
    stderr     = sd(d_u) / √n, with n − 1 degrees of freedom
    ci95       = difference ± 1.96 stderr, within −1 … 1

which is mostly far narrower than what two standard errors of the models themselves would allow, because easy
and hard questions are the same for both.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ivbpr_numba import expected
from ivbpr_numba.errors import DataError, UsageError
from ivbpr_numba.features.features import Features
from ivbpr_numba.kernels.compilation import computing_clock
from ivbpr_numba.models.registry import load
from ivbpr_numba.questions.baselines import baseline_scorer, check_baselines, rule_of
from ivbpr_numba.questions.own_features import own_features
from ivbpr_numba.questions.protocol import Protocol, check_protocol, unlike, warnings_of
from ivbpr_numba.questions.results import Comparison, PerUser
from ivbpr_numba.ranking import COLD_BELOW, Scorer, summary

if TYPE_CHECKING:
    from ivbpr_numba.datasets.dataset import Dataset
    from ivbpr_numba.models.base import Model
    from ivbpr_numba.store.atomic import PathLike

    Comparable = Model | PathLike

__all__ = ["bins_by", "compare", "listed_features", "named_models"]

STARTS = (0, 1, 5, 10, 30, 100, 300, 1000, 3000, 10_000)  # of the bins of training purchases
FEWEST = 10  # users in a bin of its own


def compare(
    models: Sequence[Comparable] | Mapping[str, Comparable],
    data: Dataset | None = None,
    *,
    features: Features | Sequence[Features] | None = None,
    split: str = "test",
    cold_below: int = COLD_BELOW,
    ties: str = "strict",
    baselines: Sequence[str] = (),
) -> Comparison:
    """Judge several models by the same held-out items, and say how sure their differences are.

    Parameters
    ----------
    models : sequence or mapping
        Fitted models, paths of model files, or anything with a ``name`` and a method ``scorer``; two at
        least, baselines counted. A mapping names them; else each goes by its own name, those of one name by
        that of their file.
    data : Dataset, optional
        Must have the models' ids and split; by default what they remember.
    features : Features or sequence of Features, optional
        For visual models whose features aren't at the recorded path: each takes those of its fit. The
        baseline ``cosine`` takes the first, else those of the first visual model.
    split : str
        ``test`` or ``valid``.
    cold_below : int
        Held-out items with fewer training pairs are cold.
    ties : str
        ``strict``: an equal score counts 0 (equation 3); ``half``: one half.
    baselines : sequence of str
        ``pop``, ``inverse_popularity`` (its ties always count one half), ``cosine``.

    Returns
    -------
    Comparison
        A dictionary, ready for JSON: ``split ties cold_below``; ``settings``, the names of ``all``, ``cold``,
        ``stratified`` and of each bin of training purchases of the held-out item, such as ``bought 1-4``;
        ``models``: for each ``model file baseline`` and its result in each setting, as `auc` gives it;
        ``differences``: for each pair, in the order of ``models``, and each setting ``a b setting difference
        stderr ci95 users``; ``seconds``; ``warnings``. Bins begin at 0, 1, 5, 10, 30, 100, …; one with fewer
        than ten users is joined to the one below it. The attribute `per_user` keeps each user's AUC.

    Raises
    ------
    UsageError
        Fewer than two, one file twice, unknown options, features or a file that aren't found.
    DataError
        Models of different ids or splits, a file that holds no model, features that belong to none of them.
    """
    check_protocol(split, ties, cold_below)
    given = listed_features(features)
    contenders = _contenders(named_models(models), given, spare="cosine" in baselines)
    named = list(dict.fromkeys(baselines))
    content = given[0] if given else None
    check_baselines([name for name in named if name != "cosine"], None)
    if len(contenders) + len(named) < 2:
        there = "one model" if contenders or named else "no model"
        raise UsageError(
            f"There is {there} to compare.", "Name two or more, or a baseline; 'auc' judges a single one."
        )
    data = _same_data(contenders, data)
    if "cosine" in named and content is None:
        content = next((one.find() for one in contenders if one.find is not None), None)
    check_baselines(named, content)
    begun = computing_clock()
    protocol = Protocol.of(data, split, ties, cold_below)
    judged = [_Judged(one.name, one.file, False, ties, one.scorer) for one in contenders]
    for name in named:
        own = f"{name} (baseline)" if name in [one.name for one in contenders] else name
        judged.append(
            _Judged(own, None, True, rule_of(name, ties), partial(baseline_scorer, name, data, content))
        )
    bins = bins_of(protocol)
    masks = {**protocol.masks, "stratified": protocol.masks["all"], **bins}
    per_user = PerUser(protocol.asked.users, protocol.asked.targets, protocol.bought, masks)
    entries, warnings = [], []
    for one in judged:
        counts = protocol.count(one.scorer())
        by_setting = {name: counts.auc(one.ties, stratified=name == "stratified") for name in masks}
        found = {name: summary(*(part[masks[name]] for part in by_setting[name])) for name in masks}
        per_user.auc[one.name] = by_setting["all"][0]
        per_user.stratified[one.name] = by_setting["stratified"][0]
        entries.append({"model": one.name, "file": one.file, "baseline": one.baseline, **found})
        if not one.baseline:
            warnings += [f"{one.name}: {text}" for text in warnings_of(found, ("all", "cold"), one.ties)]
    report = Comparison(split=split, ties=ties, cold_below=cold_below, settings=list(masks), models=entries)
    report.per_user = per_user
    report["differences"] = [
        report.difference(a.name, b.name, setting) for a, b in combinations(judged, 2) for setting in masks
    ]
    report["seconds"] = round(computing_clock() - begun, 3)
    report["warnings"] = warnings
    return report


@dataclass(frozen=True)
class _Contender:
    """Who is to be judged: how to score, and the data of its fit where they are known."""

    name: str
    file: str | None
    scorer: Callable[[], Scorer]
    data: Dataset | None
    find: Callable[[], Features] | None = None

    @property
    def shown(self) -> str:
        return f"'{self.file}'" if self.file is not None else f"'{self.name}'"


@dataclass(frozen=True)
class _Judged:
    name: str
    file: str | None
    baseline: bool
    ties: str
    scorer: Callable[[], Scorer]


def named_models(
    models: Sequence[Comparable] | Mapping[str, Comparable],
) -> list[tuple[str, str | None, Any]]:
    """Name, file and model of each that was given to `compare`; files are read.

    Raises
    ------
    UsageError
        One file twice, or something that is no model.
    DataError
        A file that holds no model.
    """
    if isinstance(models, str | os.PathLike) or hasattr(models, "scorer"):
        models = [models]  # type: ignore[list-item]
    if not isinstance(models, Iterable):
        hint = "Give fitted models or paths of model files, in a list."
        raise UsageError(f"compare takes models, not {expected.kind_of(models)}.", hint)
    listed: list[Any] = list(models.values()) if isinstance(models, Mapping) else list(models)
    files = [os.fspath(one) if isinstance(one, str | os.PathLike) else None for one in listed]
    places = [os.path.realpath(file) for file in files if file is not None]
    for file in files:
        if file is not None and places.count(os.path.realpath(file)) > 1:
            raise UsageError(f"'{file}' is named twice.", "Name each model once.")
    fitted = [one if file is None else load(file) for one, file in zip(listed, files)]
    for one in fitted:
        if not (hasattr(one, "scorer") and hasattr(one, "name")):
            raise UsageError(
                f"compare takes models, not {expected.kind_of(one)}.",
                "Give fitted models or paths of model files.",
            )
        if hasattr(type(one), "views"):
            one.views  # noqa: B018 - says so where it is not fitted
    names = list(models) if isinstance(models, Mapping) else distinct_names([o.name for o in fitted], files)
    return list(zip(names, files, fitted))


def _contenders(
    named: Sequence[tuple[str, str | None, Any]], features: Sequence[Features], spare: bool
) -> list[_Contender]:
    found = []
    owned = own_features([one for *_, one in named], features, spare)
    for (name, file, one), own in zip(named, owned):
        scorer = one.scorer if own is None else partial(one.scorer, own)
        data = one.views.fitted.data if hasattr(one, "views") else None
        find = one.find_features if getattr(one, "features_", None) is not None else None
        found.append(_Contender(name, file, scorer, data, find))
    return found


def listed_features(features: Features | Sequence[Features] | None) -> list[Features]:
    """One, several or none as a list."""
    if features is None:
        return []
    return [features] if isinstance(features, Features) else list(features)


def distinct_names(names: Sequence[str], files: Sequence[str | None]) -> list[str]:
    """Names that differ: a model's own one, else that of its file, else its path, else a number behind it."""
    ways = [[name, *([] if file is None else [Path(file).stem, file])] for name, file in zip(names, files)]
    level = [0] * len(ways)
    while True:
        found = [way[at] for way, at in zip(ways, level)]
        again = [n for n, name in enumerate(found) if found.count(name) > 1 and level[n] + 1 < len(ways[n])]
        if not again:
            break
        for n in again:
            level[n] += 1
    return [
        f"{name} ({found[: n + 1].count(name)})" if found.count(name) > 1 else name
        for n, name in enumerate(found)
    ]


def bins_of(protocol: Protocol) -> dict[str, np.ndarray]:
    """Which held-out items belong to each bin of training purchases, (n,) bool, by the bin's name."""
    bought = protocol.bought
    return {f"bought {name}": (bought >= start) & (bought < end) for name, start, end in bins_by(bought)}


def bins_by(counts: np.ndarray) -> list[tuple[str, int, float]]:
    """Bins of numbers of purchases, as name, first number and first one beyond (the last bin has no end).

    A bin of fewer than `FEWEST` of them is joined to the one below it; the lowest to the one above.

    Parameters
    ----------
    counts : (n,) int
    """
    starts = [start for start in STARTS if start == 0 or start <= counts.max(initial=0)]
    kept = list(starts)
    for start in reversed(starts[1:]):
        end = np.inf if start == kept[-1] else kept[kept.index(start) + 1]
        if np.count_nonzero((counts >= start) & (counts < end)) < FEWEST:
            kept.remove(start)
    if len(kept) > 1 and np.count_nonzero(counts < kept[1]) < FEWEST:
        del kept[1]
    found: list[tuple[str, int, float]] = []
    for start, end in pairwise(kept):
        found.append((f"{start}" if end == start + 1 else f"{start}-{end - 1}", start, end))
    return [*found, (f"{kept[-1]}+", kept[-1], np.inf)]


def _same_data(contenders: Sequence[_Contender], data: Dataset | None) -> Dataset:
    """The data of all of them; refused where two differ."""
    known = [one for one in contenders if one.data is not None]
    if data is None and not known:
        raise UsageError("No model knows the data of its fit.", "Give the dataset.")
    first = known[0] if known else None
    for one in known:
        assert one.data is not None and first is not None and first.data is not None
        different = unlike(first.data, one.data)
        if different:
            raise DataError(
                f"{first.shown} and {one.shown} can't be compared, because they were fitted to different "
                f"data: {different}.",
                "Fit both to one dataset file; 'auc' judges each for itself.",
            )
    if data is not None and first is not None and first.data is not None:
        different = unlike(first.data, data)
        if different:
            raise DataError(
                f"The dataset is not that of the fit of {first.shown}: {different}.",
                "Name that dataset, or fit the models again.",
            )
    found = data if data is not None else first.data if first is not None else None
    assert found is not None
    return found
