"""VBPR and I-VBPR."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ivbpr_numba.errors import DataError, UsageError
from ivbpr_numba.features.alignment import align, fit_scaling, learned_as
from ivbpr_numba.features.record import FeatureRecord
from ivbpr_numba.models.learners import Learner, VisualLearner, project_style, visual_scorer
from ivbpr_numba.models.presets import resolve
from ivbpr_numba.models.trained import Trained
from ivbpr_numba.parameters import Parameters, VisualParameters
from ivbpr_numba.ranking import Scorer

if TYPE_CHECKING:
    from ivbpr_numba.datasets.dataset import Dataset
    from ivbpr_numba.features.features import Features

__all__ = ["VBPR"]


class VBPR(Trained):
    """VBPR: x̂_ui = β_i + β · f_i + γ_u · γ_i + θ_u · (E f_i) (equation 1); I-VBPR with attributes as f.

    α and β_u of equation 1 cancel in every comparison and are left out.

    Parameters
    ----------
    preset, init, learning_rate, lambda_bias, negatives, sampling, average, iterations, eval_every, \
patience, update, seed, threads, device
        See `BPRMF`.
    factors : int, optional
        K, latent factors; 0 leaves γ out.
    visual_factors : int, optional
        D, visual factors, at least 1.
    lambda_theta : float, optional
        λ_Θ of γ_u, γ_i and θ_u; of γ_j a tenth.
    lambda_visual : float, optional
        λ of E and β, only in the columns in which the two items of a triple differ.
    reg_scope : str, optional
        ``all``: λ_Θ acts on γ and θ_u. ``user_visual``: on θ_u alone.
    feature_scaling : str, optional
        ``none``, ``max`` (largest absolute value 1), ``standard`` (mean 0, mean squared norm of a row at
        most 10) or ``idf``; by default none for one-hot attributes, standard for a network's probabilities
        and for dense features.
    block : int or "auto", optional
        Triples between two updates of E and β.
    interpretable : bool, optional
        True demands features of the kind ``attributes``; the model is then called I-VBPR. By default the
        kind of the features decides.
    """

    uses_features = True
    interpretable: bool | None

    def __init__(
        self,
        *,
        preset: str | None = None,
        factors: int | None = None,
        visual_factors: int | None = None,
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

    @property
    def name(self) -> str:
        """``i-vbpr`` for attributes, else ``vbpr``."""
        return self._name_for(self.features_.kind if self.features_ is not None else "")

    def _name_for(self, kind: str) -> str:
        attributes = kind == "attributes" if self.interpretable is None else self.interpretable
        return "i-vbpr" if attributes else "vbpr"

    def _named(self, features: Features | None) -> str:
        if features is None:
            raise UsageError(f"{self._name_for('')} needs features.", "Name a feature file with --features.")
        name = self._name_for(features.kind)
        if name == "i-vbpr" and features.kind != "attributes":
            raise DataError(
                f"{name} needs features of the kind 'attributes', but {features.path or 'these features'} "
                f"hold '{features.kind}' ones.",
                "Make them with 'ivbpr features table', or fit vbpr.",
            )
        return name

    def _resolve(self, features: Features | None) -> dict[str, Any]:
        name = self._named(features)
        assert features is not None
        given = {key: value for key, value in self.get_params().items() if key != "interpretable"}
        return resolve(name, given.pop("preset"), given, learned_as(features))

    def _learner(self, data: Dataset, features: Features | None, options: dict[str, Any]) -> Learner:
        assert features is not None
        source = align(features, data.items)
        scaling = fit_scaling(source, options["feature_scaling"])
        self.features_, self._found, self._source = FeatureRecord.of(features, scaling), features, source
        return VisualLearner(options, data.train.indptr, data.train.indices, len(data.items), source, scaling)

    def _set_parameters(self, parameters: Parameters) -> None:
        super()._set_parameters(parameters)
        self._style = None

    @property
    def style(self) -> np.ndarray | None:
        """[θ_i, β · f_i] of every epoch and item, (N, I, D + 1) float32, once it was computed or read."""
        return self._style

    def keep_style(self, style: np.ndarray) -> None:
        """Use what a model file kept, instead of projecting the features again."""
        self._style = style

    _source: Any = None
    _style: np.ndarray | None = None

    def _make_scorer(self, features: Features | None) -> Scorer:
        assert isinstance(self.parameters_, VisualParameters) and self.features_ is not None
        if features is not None:
            self.find_features(features)
        elif self._found is None and self._style is not None:
            self.features_.refuse_changed()
        if self._style is None:
            self._style = self._project()
        return self._scorer_from(self._style)

    def _project(self) -> np.ndarray:
        """[E f_i, β · f_i] of every item, (1, I, D + 1): there is one epoch."""
        assert isinstance(self.parameters_, VisualParameters) and self.features_ is not None
        if self._source is None:
            self._source = align(self.find_features(), self.data_.items)
        return project_style(self.parameters_, self._source, self.features_.scaling)[None]

    def _scorer_from(self, style: np.ndarray) -> Scorer:
        assert isinstance(self.parameters_, VisualParameters)
        return visual_scorer(self.parameters_, style[0])
