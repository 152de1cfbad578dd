"""TVBPR and I-TVBPR: visual taste that changes from epoch to epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ivbpr_numba.errors import DataError
from ivbpr_numba.features.alignment import align, fit_scaling
from ivbpr_numba.features.record import FeatureRecord
from ivbpr_numba.models.learners import Learner, project_style, visual_scorer
from ivbpr_numba.models.temporal_learner import TemporalLearner
from ivbpr_numba.models.visual import VBPR
from ivbpr_numba.parameters import TemporalParameters
from ivbpr_numba.ranking import Scorer, TemporalScorer, VectorScorer

if TYPE_CHECKING:
    from typing import Self

    from ivbpr_numba.datasets.dataset import Dataset
    from ivbpr_numba.features.features import Features

__all__ = ["AUTO_EPOCHS", "TVBPR"]

AUTO_EPOCHS = (3, 5, 8, 12)


class TVBPR(VBPR):
    """TVBPR: θ_i(t) = (E f_i) ⊙ w(t) + ΔE(t) f_i, β(t) = β ⊙ b(t) + Δβ(t) (equation 2); I-TVBPR too.

    The epochs are learned too: every `segment_every` iterations the bins of time are cut anew so that every
    event is explained best (model specification 3). Held-out item and candidates are scored at the epoch of
    the held-out event.

    Parameters
    ----------
    epochs : int or "auto", optional
        N, at least 1. ``auto`` fits each of 3, 5, 8 and 12 and keeps the one of the best validation AUC: more
        epochs also find cuts near an end of the time span, which the equal start of few epochs misses.
    bins : int, optional
        Bins of time, at least N; the cuts between epochs lie between bins.
    bin_type : str, optional
        ``width``: bins of equal length; ``quantile``: of equally many interactions.
    segment_on : str, optional
        Events that the segmentation explains: ``train`` (at most 20,000 of them) or ``valid``.
    segment_negatives, segment_every : int, optional
        Negatives an event, and iterations between two segmentations.
    temporal_init : str, optional
        ``shared``: w = b = 1, ΔE = Δβ = 0, so every epoch starts as the same VBPR. ``paper``: w = b = 0 and
        one draw of ΔE for all epochs.
    item_drift : bool, optional
        Also let item biases drift, and those of sub-categories where the data tell them ("TVBPR+").
    preset, factors, visual_factors, init, learning_rate, lambda_theta, lambda_visual, lambda_bias, \
reg_scope, negatives, sampling, average, feature_scaling, block, iterations, eval_every, patience, update, \
seed, threads, device, interpretable
        See `VBPR`; λ_visual acts on w, b, ΔE and Δβ here.
    """

    def __init__(
        self,
        *,
        preset: str | None = None,
        factors: int | None = None,
        visual_factors: int | None = None,
        epochs: int | str | None = None,
        bins: int | None = None,
        bin_type: str | None = None,
        segment_on: str | None = None,
        segment_negatives: int | None = None,
        segment_every: int | None = None,
        temporal_init: str | None = None,
        item_drift: bool | None = None,
        init: str | None = None,
        learning_rate: float | None = None,
        lambda_theta: float | None = None,
        lambda_visual: float | None = None,
        lambda_bias: float | None = None,
        reg_scope: str | None = None,
        negatives: str | None = None,
        sampling: str | None = None,
        average: float | None = None,
        feature_scaling: str | None = None,
        block: int | str | None = None,
        iterations: int | None = None,
        eval_every: int | None = None,
        patience: int | None = None,
        update: str | None = None,
        seed: int | None = None,
        threads: int | None = None,
        device: str | None = None,
        interpretable: bool | None = None,
    ) -> None:
        self._store(locals())

    epochs: int | str | None

    def fit(self, data: Dataset, features: Features | None = None, **run: Any) -> Self:
        """As `Model.fit`; with ``epochs="auto"`` after a fit of each number of epochs."""
        if self.epochs != "auto":
            return super().fit(data, features, **run)
        told = run.get("observers", ())
        self.epochs_tried_ = {}
        for n in AUTO_EPOCHS:
            one = type(self)(**{**self.get_params(), "epochs": n})
            one.fit(data, features, observers=told)
            self.epochs_tried_[n] = one.metrics_["valid"]["all"]["auc"]
        self.epochs = max(self.epochs_tried_, key=lambda n: (self.epochs_tried_[n] or 0.0, -n))
        try:
            return super().fit(data, features, **run)
        finally:
            self.epochs = "auto"

    epochs_tried_: dict[int, float | None]

    def _facts(self) -> dict[str, Any]:
        """For the record: the validation AUC of every number of epochs that was tried."""
        tried = getattr(self, "epochs_tried_", None)
        return {} if not tried else {"epochs_tried": {str(n): value for n, value in tried.items()}}

    def _name_for(self, kind: str) -> str:
        return super()._name_for(kind).replace("vbpr", "tvbpr")

    def _learner(self, data: Dataset, features: Features | None, options: dict[str, Any]) -> Learner:
        assert features is not None
        if not data.has_times:
            raise DataError(
                "The dataset has no times, and this model learns from them.",
                "Prepare it with --time, or fit vbpr.",
            )
        source = align(features, data.items)
        scaling = fit_scaling(source, options["feature_scaling"])
        self.features_, self._found, self._source = FeatureRecord.of(features, scaling), features, source
        return TemporalLearner(options, data, source, scaling)

    def _project(self) -> np.ndarray:
        """[θ_i(t), β(t) · f_i] of every epoch and item, (N, I, D + 1)."""
        p, record = self.parameters_, self.features_
        assert isinstance(p, TemporalParameters) and record is not None
        if self._source is None:
            self._source = align(self.find_features(), self.data_.items)
        epochs = range(len(p.weight))
        return np.stack([project_style(p.at(e), self._source, record.scaling) for e in epochs])

    def _scorer_from(self, style: np.ndarray) -> Scorer:
        p = self.parameters_
        assert isinstance(p, TemporalParameters)

        def make(epoch: int) -> VectorScorer:
            return visual_scorer(p.at(epoch), style[epoch])

        return TemporalScorer(make, p.epoch_edges, len(p.item_bias))
