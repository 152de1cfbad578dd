"""What a page is about: fitted models of one split, judged by the same questions, the first one spoken of."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ivbpr_numba.errors import DataError, UsageError
from ivbpr_numba.models import load
from ivbpr_numba.parameters import TemporalParameters, VisualParameters
from ivbpr_numba.questions.comparing import compare
from ivbpr_numba.report.numbers import shared_values

if TYPE_CHECKING:
    from ivbpr_numba.datasets.dataset import Dataset
    from ivbpr_numba.features.features import Features
    from ivbpr_numba.models.base import Model
    from ivbpr_numba.questions.results import Comparison

__all__ = ["Judged", "Subject", "subject_of"]


@dataclass(frozen=True)
class Judged:
    """One model.

    Attributes
    ----------
    label : str
        Its name in capitals; the file beside it where several models have that name.
    file : str
        Name of its file, empty for a model in memory.
    model : Model
    features : Features or None
        Those of its fit.
    """

    label: str
    file: str
    model: Model
    features: Features | None

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
        Of the fits; with ``source`` where it is known how the data were prepared.
    comparison : Comparison
        Of all of them, by label, and of what needs no learning.
    """

    judged: tuple[Judged, ...]
    best: int
    data: Dataset
    comparison: Comparison

    @property
    def first(self) -> Judged:
        """The model that the page speaks of."""
        return self.judged[self.best]

    @property
    def shared(self) -> frozenset[str]:
        """Values that stand in several groups of that model's attributes."""
        return shared_values(self.first.features.names) if self.first.features is not None else frozenset()


def subject_of(
    models: Sequence[Model | str | os.PathLike[str]],
    data: Dataset | None = None,
    features: Sequence[Features] = (),
    best: int = 0,
) -> Subject:
    """Judge models by the same questions, beside what needs no learning.

    Parameters
    ----------
    models : sequence of Model or path
        Fitted ones, or files of such.
    data : Dataset, optional
        The dataset of the fits, which knows how it was prepared; a model file does not.
    features : sequence of Features
        Where they aren't at the places that the models remember; each model takes its own.
    best : int
        Number of the one that the page speaks of.

    Raises
    ------
    UsageError
        No model; features that aren't found.
    DataError
        Models of different splits; features that belong to none of them; nothing to judge by.
    """
    if isinstance(models, str | os.PathLike) or not isinstance(models, Sequence):
        raise UsageError("A report is about a list of models, not about one.", "Put it in brackets: [model].")
    if not models:
        raise UsageError("There is no model to report on.", "Name at least one.")
    files = [Path(one).name if isinstance(one, str | os.PathLike) else "" for one in models]
    fitted = [load(one) if isinstance(one, str | os.PathLike) else one for one in models]
    _refuse_strangers(fitted, features)
    labels = _labels(fitted, files)
    judged = tuple(
        Judged(label, file, one, _features_of(one, features))
        for label, file, one in zip(labels, files, fitted)
    )
    # What is unlearned and already a model is not there twice.
    baselines = ["inverse_popularity", *(["pop"] if all(one.name != "pop" for one in fitted) else [])]
    found = [one.features for one in (judged[best], *judged) if one.features is not None]
    comparison = compare(
        {one.label: one.model for one in judged},
        data,
        features=found,
        baselines=[*baselines, *(["cosine"] if found else [])],
    )
    if not comparison["models"][0]["all"]["users"]:
        raise DataError("No shopper has a held-out purchase to judge by.", "Prepare data with a test part.")
    known = data if data is not None else fitted[0].views.fitted.data
    return Subject(judged, best, known, comparison)


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


def _refuse_strangers(models: Sequence[Model], features: Sequence[Features]) -> None:
    wanted = {one.features_.sha256 for one in models if one.features_ is not None}
    for one in features:
        if one.payload_sha256 not in wanted:
            raise DataError(
                f"The features {one.path or '(in memory)'} ({one.payload_sha256[:12]}…) are those of none of "
                "the models.",
                "Name those of the fits, or leave them out: models know where theirs are.",
            )


def _features_of(model: Model, given: Sequence[Features]) -> Features | None:
    if not isinstance(model.parameters_, VisualParameters) or model.features_ is None:
        return None
    own = next((one for one in given if one.payload_sha256 == model.features_.sha256), None)
    return model.find_features(own)
