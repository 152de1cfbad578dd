"""What a fitted model is at one moment: its items, made once, and shoppers as vectors beside them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from ivbpr_numba.answers.epochs import epoch_dates
from ivbpr_numba.answers.space import Space
from ivbpr_numba.backends import Kernels
from ivbpr_numba.errors import UsageError, parameter
from ivbpr_numba.features.alignment import align, project_style
from ivbpr_numba.features.inputs import FeatureInput
from ivbpr_numba.fitted.fitted import Fitted
from ivbpr_numba.parameters import Parameters, PopularityParameters, TemporalParameters, VisualParameters
from ivbpr_numba.ranking import (
    RowScorer,
    Scorer,
    TemporalScorer,
    VectorScorer,
    at_time,
    random_scorer,
    scorer_of,
)
from ivbpr_numba.readers.times import parse_moment

if TYPE_CHECKING:
    from ivbpr_numba.datasets.dataset import Dataset
    from ivbpr_numba.features.features import Features

__all__ = ["View", "Views", "outside_the_data"]


@dataclass
class Views:
    """The views of one fitted model; what takes time is made when first needed, and kept.

    Attributes
    ----------
    fitted : Fitted
    found : Features or None
        The features of the fit, once they are at hand.
    source : FeatureInput or None
        Their rows for the items of the data, once they were needed.
    style : (N, I, D + 1) float32 or None
        [θ_i, β · f_i] of every epoch and item (N = 1 without time), once it was computed or read.
    damage : str or None
        What is wrong with the recorded features, where `style` makes them dispensable.
    """

    fitted: Fitted
    found: Features | None = None
    source: FeatureInput | None = None
    style: np.ndarray | None = None
    damage: str | None = None
    _scorer: Scorer | None = None
    _space: Space | None = None

    def find_features(self, given: Features | None = None) -> Features:
        """The features of the fit: `given`, those that are at hand, or those at the recorded path.

        Raises
        ------
        UsageError
            The model uses none, or they aren't found.
        DataError
            They are not those of the fit.
        """
        if self.fitted.features is None:
            raise UsageError(f"{self.fitted.name} knows no attributes.", "Ask vbpr or i-vbpr.")
        if given is not None or self.found is None:
            self.found = self.fitted.features.find(given)
        return self.found

    def aligned(self) -> FeatureInput:
        """The features of the fit, a row for each item of the data.

        Raises
        ------
        UsageError, DataError
            See `find_features`.
        """
        if self.source is None:
            self.source = align(self.find_features(), self.fitted.data.items)
        return self.source

    @property
    def space(self) -> Space:
        """The items as points in the space of their attributes; raises as `aligned`."""
        if self._space is None:
            self._space = Space(self.aligned())
        return self._space

    def scorer(self, features: Features | None = None) -> Scorer:
        """The scorer of all moments.

        Parameters
        ----------
        features : Features, optional
            For a visual model that was read: its features, where they aren't at the recorded path.
        """
        record = self.fitted.features
        if record is not None and features is not None:
            self.find_features(features)
        if self._scorer is None:
            if record is not None and self.found is None and self.style is not None:
                self.damage = record.refuse_others()
            self._scorer = self._make()
        return self._scorer

    def _make(self) -> Scorer:
        parameters, data = self.fitted.parameters, self.fitted.data
        if not isinstance(parameters, PopularityParameters):
            return random_scorer(len(data.items), self.fitted.config["seed"])
        if not isinstance(parameters, VisualParameters):
            return scorer_of(parameters, len(data.users))
        if self.style is None:
            self.style = self._project(parameters)
        return scorer_of(parameters, len(data.users), self.style.__getitem__)

    def _project(self, parameters: VisualParameters) -> np.ndarray:
        record = self.fitted.features
        assert record is not None
        source = self.aligned()
        moments = [parameters]
        if isinstance(parameters, TemporalParameters):
            moments = [parameters.at(epoch) for epoch in range(len(parameters.weight))]
        return np.stack([project_style(one, source, record.scaling) for one in moments])

    def at(self, moment: object = None, features: Features | None = None) -> View:
        """The model at a time; by default, and for all later times, its last epoch.

        Parameters
        ----------
        moment : date, text or seconds, optional
        features : Features, optional
            See `scorer`.

        Warns
        -----
        UserWarning
            The time lies outside the data, or the recorded features are damaged; see `View.remarks`.

        Raises
        ------
        UsageError
            A time for a model without time, or one that can't be read.
        """
        scorer, parameters = self.scorer(features), self.fitted.parameters
        if moment is not None and not isinstance(scorer, TemporalScorer):
            raise UsageError(
                f"{self.fitted.name} knows no time, so {parameter('at')} means nothing to it.",
                "Leave it out.",
            )
        seconds = None if moment is None else parse_moment(moment)
        now, epoch = at_time(scorer, seconds)
        if isinstance(parameters, TemporalParameters) and epoch is not None:
            parameters = parameters.at(epoch)
        view = View(self, now, parameters, epoch)
        if self.damage is not None:
            view.remark(f"Scores are kept in the model, so they stand; there are no reasons: {self.damage}")
        if seconds is not None and isinstance(scorer, TemporalScorer):
            outside = outside_the_data(self.fitted.data, seconds, scorer.edges)
            if outside:
                view.remark(outside)
        return view


@dataclass(frozen=True)
class View:
    """A model at one moment: without time the model itself, else that of one epoch.

    Attributes
    ----------
    views : Views
        Of the model, at all moments.
    scorer : VectorScorer or RowScorer
    parameters : Parameters
        Without time: those of the epoch.
    epoch : int or None
    remarks : list of str
        What a reader of the answers must know, as sentences; each was also a `UserWarning`.
    kernels : Kernels or None
        Of the device that ranks; None: the CPU's.
    """

    views: Views
    scorer: VectorScorer | RowScorer
    parameters: Parameters
    epoch: int | None = None
    remarks: list[str] = field(default_factory=list)
    kernels: Kernels | None = None

    def remark(self, text: str) -> None:
        """Say something beside the answers."""
        self.remarks.append(text)
        warnings.warn(text, stacklevel=4)

    @property
    def fitted(self) -> Fitted:
        """What is looked at."""
        return self.views.fitted

    def values(self, item_rows: Sequence[int] | np.ndarray) -> np.ndarray:
        """Stored feature values times scale of some items, (n, F) float64."""
        found = self.views.find_features()
        rows = found.items.find(self.fitted.data.items.values[np.asarray(item_rows, dtype=np.int64)])
        return found.take(rows).astype(np.float64) * found.scale


def outside_the_data(data: Dataset, seconds: int, edges: np.ndarray) -> str:
    """A sentence where a day lies before the first or after the last purchase's; else empty.

    Parameters
    ----------
    data : Dataset
    seconds : int
    edges : (N + 1,) int64
        Of the epochs.
    """
    times = np.concatenate([part.times for part in (data.train, data.valid, data.test)])
    first, last = int(times.min()), int(times.max())
    if _date(first) <= _date(seconds) <= _date(last):  # a date alone is its midnight
        return ""
    dates = epoch_dates(edges)
    where = f"before the first purchase ({_date(first)})"
    answering = f"the first epoch, until {dates[0][1]}"
    if seconds > last:
        where = f"after the last purchase ({_date(last)})"
        answering = f"the last epoch, from {dates[-1][0]} on"
    return f"{_date(seconds)} lies {where}; {answering}, answers."


def _date(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).date().isoformat()
