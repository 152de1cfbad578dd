"""One trial on one rung: a fit, and its validation AUC."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ivbpr_numba.errors import UsageError
from ivbpr_numba.events import Observer
from ivbpr_numba.models.registry import create
from ivbpr_numba.models.training import Diverged
from ivbpr_numba.tuning.parts import with_questions_of
from ivbpr_numba.tuning.rungs import Result

if TYPE_CHECKING:
    from ivbpr_numba.datasets.dataset import Dataset
    from ivbpr_numba.features.features import Features

__all__ = ["Inputs", "fit_trial"]


@dataclass(frozen=True)
class Inputs:
    """What all trials of a search have in common.

    Attributes
    ----------
    model : str
    early, last : Dataset
        Without test parts, for the early rungs and for the last one; they differ in who is asked.
    features : Features, list of Features, or None
        As `Model.fit` takes them.
    fixed : dict
        Options of all trials.
    """

    model: str
    early: Dataset
    last: Dataset
    features: Any
    fixed: dict[str, Any]

    @classmethod
    def of(
        cls,
        model: str,
        data: Dataset,
        features: Sequence[Features],
        first: np.ndarray,
        fixed: Mapping[str, Any],
    ) -> Inputs:
        """Of data without a test part; `first` are the users whom early rungs ask."""
        given = list(features) if len(features) > 1 else next(iter(features), None)
        return cls(model, with_questions_of(data, first), data, given, dict(fixed))


def fit_trial(inputs: Inputs, job: Mapping[str, Any], tell: Observer) -> dict[str, Any]:
    """Fit a trial, and give its `Result` as a dictionary.

    A fit that diverges has one too, and one that is refused: a space may hold options that don't go with
    these data, such as ``idf`` with features that every item has. What the defaults can't do is an error.

    Parameters
    ----------
    inputs : Inputs
    job : mapping
        ``options``, ``iterations`` and ``last``.
    tell : callable
        Nothing is told: a trial is the unit of a search.
    """
    given = {**inputs.fixed, **job["options"], "iterations": job["iterations"]}
    data = inputs.last if job["last"] else inputs.early
    try:
        model = create(inputs.model, **given).fit(data, inputs.features)
    except UsageError as problem:
        refused = not isinstance(problem, Diverged)
        if refused and job["number"] == 0:
            raise
        return asdict(Result(None, None, 0, 0, 0, 0.0, problem.message, refused))
    reached, history = model.metrics_["valid"]["all"], model.history_
    best = max(history, key=lambda row: (row["valid_auc"], -row["iteration"]))
    return asdict(
        Result(
            reached["auc"],
            reached["stderr"],
            reached["users"],
            history[-1]["iteration"],
            best["iteration"],
            history[-1]["seconds"],
            meant={
                name: model.config_[name]
                for name, value in job["options"].items()
                if isinstance(value, str) and model.config_[name] != value
            },
        )
    )
