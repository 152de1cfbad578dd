"""What a page is about: fitted models of one split, judged by the same questions, the first one spoken of."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ivbpr_numba.errors import DataError, UsageError
from ivbpr_numba.parameters import TemporalParameters, VisualParameters
from ivbpr_numba.questions.auc import auc, cosine_scorer, popularity_scorer
from ivbpr_numba.ranking import Counts, Questions, Scorer, count, item_classes, questions

if TYPE_CHECKING:
    from ivbpr_numba.datasets.dataset import Dataset
    from ivbpr_numba.features.features import Features
    from ivbpr_numba.models.base import Model

__all__ = ["Judged", "Subject", "subject_of"]

SPLIT = "test"


@dataclass(frozen=True)
class Judged:
    """One model and how well it ranks.

    Attributes
    ----------
    label : str
        Its name in capitals; the file beside it where several models have that name.
    file : str
        Name of its file, empty for a model in memory.
    model : Model
    features : Features or None
        Those of its fit.
    report : dict
        See `questions.auc.auc`.
    counts : Counts
        Its ranking of every held-out item.
    """

    label: str
    file: str
    model: Model
    features: Features | None
    report: dict[str, Any]
    counts: Counts

    @cached_property
    def each(self) -> np.ndarray:
        """AUC of every question, (n,), NaN without a candidate."""
        return self.counts.auc()[0]

    @property
    def in_time(self) -> bool:
        """Whether it knows the time of a purchase."""
        return isinstance(self.model.parameters_, TemporalParameters)

    @property
    def has_reasons(self) -> bool:
        """Whether its features have names that mean something."""
        return self.features is not None and self.features.kind == "attributes"


@dataclass(frozen=True)
class Subject:
    """Models of one split.

    Attributes
    ----------
    judged : tuple of Judged
        In the order of the page.
    best : int
        Number of the one that the page speaks of.
    data : Dataset
        Of the fit; with ``source`` where it is known how the data were prepared.
    asked : Questions
    """

    judged: tuple[Judged, ...]
    best: int
    data: Dataset
    asked: Questions

    @property
    def first(self) -> Judged:
        """The model that the page speaks of."""
        return self.judged[self.best]

    @cached_property
    def baselines(self) -> dict[str, Counts]:
        """What needs no learning: ``inverse_popularity``, ``pop`` where no model is it, ``cosine``."""
        classes = item_classes(self.data.train_counts)
        scorers: dict[str, Scorer] = {"inverse_popularity": popularity_scorer(self.data, inverse=True)}
        if all(one.model.name != "pop" for one in self.judged):
            scorers["pop"] = popularity_scorer(self.data)
        features = self.features_of_cosine
        if features is not None:
            scorers["cosine"] = cosine_scorer(self.data, features)
        return {name: count(scorer, self.asked, classes) for name, scorer in scorers.items()}

    @property
    def features_of_cosine(self) -> Features | None:
        """The page's model's, else the first that any model has."""
        every = [self.first, *self.judged]
        return next((one.features for one in every if one.features is not None), None)


def subject_of(
    models: Sequence[Model | str | os.PathLike[str]],
    data: Dataset | None = None,
    features: Iterable[Features] = (),
    best: int = 0,
) -> Subject:
    """Judge models by the same questions.

    Parameters
    ----------
    models : sequence of Model or path
        Fitted ones, or files of such.
    data : Dataset, optional
        The dataset of the fits, which knows how it was prepared; a model file does not.
    features : iterable of Features
        Where they aren't at the places that the models remember; each model takes its own.
    best : int
        Number of the one that the page speaks of.

    Raises
    ------
    UsageError
        No model; features that aren't found.
    DataError
        Models of different splits; features that belong to none of them.
    """
    from ivbpr_numba.models import load

    if isinstance(models, str | os.PathLike) or not isinstance(models, Sequence):
        raise UsageError("A report is about a list of models, not about one.", "Put it in brackets: [model].")
    if not models:
        raise UsageError("There is no model to report on.", "Name at least one.")
    files = [Path(one).name if isinstance(one, str | os.PathLike) else "" for one in models]
    fitted = [load(one) if isinstance(one, str | os.PathLike) else one for one in models]
    known = data if data is not None else fitted[0].views.fitted.data
    for n, one in enumerate(fitted):
        _refuse_another_split(one, files[n], known, files[0] if data is None else "the dataset")
    given = list(features)
    _refuse_strangers(fitted, given)
    asked, classes = questions(known, SPLIT), item_classes(known.train_counts)
    if not len(asked.users):
        raise DataError("No shopper has a held-out purchase to judge by.", "Prepare data with a test part.")
    judged = []
    for one, file, label in zip(fitted, files, _labels(fitted, files)):
        own = _features_of(one, given)
        report = auc(one, features=own)
        judged.append(Judged(label, file, one, own, report, count(one.scorer(own), asked, classes)))
    return Subject(tuple(judged), best, known, asked)


def _labels(models: Sequence[Model], files: Sequence[str]) -> list[str]:
    """I-VBPR; where that is the name of several, I-VBPR (its file) or I-VBPR 2."""
    often = Counter(one.name for one in models)
    distinct = len(set(zip([one.name for one in models], files))) == len(models)
    labels, met = [], Counter[str]()
    for one, file in zip(models, files):
        met[one.name] += 1
        label = one.name.upper()
        if often[one.name] > 1:
            label += f" ({Path(file).stem})" if file and distinct else f" {met[one.name]}"
        labels.append(label)
    return labels


def _refuse_another_split(model: Model, file: str, data: Dataset, other: str) -> None:
    own, wanted = model.views.fitted.data.objects(), data.objects()
    for path in own:
        if path.startswith(("/ids/", "/split/")) and not np.array_equal(own[path], wanted[path]):
            raise DataError(
                f"{file or model.name} and {other or 'the first model'} are not of one split: "
                f"{path.lstrip('/')} differs, so their figures can't stand side by side.",
                "Report on models that were fitted to the same dataset.",
            )


def _refuse_strangers(models: Sequence[Model], features: Sequence[Features]) -> None:
    wanted = {one.features_.sha256 for one in models if one.features_ is not None}
    for one in features:
        if one.payload_sha256 not in wanted:
            raise DataError(
                f"The features {one.path or '(in memory)'} ({one.payload_sha256[:12]}…) are those of none of "
                "the models.",
                "Name the features that a model was fitted to.",
            )


def _features_of(model: Model, given: Sequence[Features]) -> Features | None:
    if not isinstance(model.parameters_, VisualParameters) or model.features_ is None:
        return None
    own = next((one for one in given if one.payload_sha256 == model.features_.sha256), None)
    return model.find_features(own)
