"""VBPR and I-VBPR."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ivbpr_numba.errors import DataError, UsageError, did_you_mean, parameter
from ivbpr_numba.features.alignment import Scaling, align, fit_scaling, kept_scaling, learned_as
from ivbpr_numba.features.inputs import FeatureInput
from ivbpr_numba.features.record import FeatureRecord
from ivbpr_numba.models.ensemble import learner_of
from ivbpr_numba.models.fitting import Run
from ivbpr_numba.models.learned import Learned
from ivbpr_numba.models.learners import Member, VisualLearner, visual_rate
from ivbpr_numba.models.options import VisualOptions
from ivbpr_numba.models.presets import AUTO
from ivbpr_numba.models.specifications import SPECIFICATIONS, Specification
from ivbpr_numba.models.trained import Trained

if TYPE_CHECKING:
    from ivbpr_numba.datasets.dataset import Dataset
    from ivbpr_numba.features.features import Features

__all__ = ["VBPR"]

KINDS = ("attributes", "dense")


@dataclass(kw_only=True, eq=False, repr=False)
class VBPR(VisualOptions, Trained):
    """VBPR: x̂_ui = β_i + β · f_i + γ_u · γ_i + θ_u · (E f_i) (equation 1); I-VBPR with attributes as f.

    α and β_u of equation 1 cancel in every comparison and are left out. Every argument left out takes the
    value of the preset; `fit` checks all of them.

    Parameters
    ----------
    preset : str, optional
        ``default``, ``paper`` or ``mymedialite``.
    seed : int, optional
        Of the start and of the sampling.
    threads : int, optional
        All of the machine by default.
    device : str, optional
        ``cpu`` (default), ``cuda`` or ``auto``.
    factors : int, optional
        K, latent factors; 0 leaves γ out.
    init : str, optional
        Law of the starting factors: ``normal`` N(0, 0.1²) or ``uniform01`` U[0, 1].
    learning_rate : float, optional
        η, above 0.
    lambda_theta : float or "auto", optional
        λ_Θ of γ_u, θ_u and the positive's γ_i, a tenth of it for the negative's; applied once a triple.
    lambda_bias : float, optional
        λ of β_i.
    negatives : str, optional
        Law of the negatives: ``uniform`` over all items, ``trained`` over those with a training pair, or by
        ``popularity``.
    sampling : str, optional
        ``users``: every user gets equally many triples in expectation; ``interactions``: every pair one.
    average : float, optional
        Decay of the averaged parameters per iteration, 0 ≤ a < 1; 0 is off.
    iterations : int, optional
        At most so many; one applies as many triples as there are training pairs.
    eval_every, patience : int, optional
        Iterations between validations, and from the best one to the stop.
    valid_users : int or "auto" or "all", optional
        Users who are asked in a validation, drawn once by the seed; ``auto`` is everybody, of large data as
        many as cost less than the iterations in between. The finished model is judged over everybody.
    update : str, optional
        ``ordered``: the same bits for any number of threads. ``hogwild``: threads race; faster.
    ensemble : int, optional
        S, at least 1: so many models of seeds of their own, learned side by side, whose mean score is one
        model of this kind with S times the factors.
    parts : int, optional
        N, at least 1: users are dealt to so many parts, each learns an iteration with a copy of the items'
        parameters, and what they changed is joined; see `parts`. What comes out depends on N, not on how
        many workers a cluster has for them.
    visual_factors : int, optional
        D, visual factors, at least 1.
    visual_rate : float or "auto", optional
        What η is multiplied by for E and β, above 0; ``auto``: 1 / mean ‖f_i‖² over the items,
        after scaling.
    lambda_visual : float, optional
        λ of E and β, in each column times the squared difference of the triple's two items.
    reg_scope : str, optional
        ``all``: λ_Θ acts on γ and θ_u. ``user_visual``: on θ_u alone.
    feature_scaling : str, optional
        ``none``, ``max`` (largest absolute value 1), ``standard`` (mean 0, mean squared norm of a row at
        most 10) or ``idf``; by default none for one-hot attributes, standard for a network's probabilities
        and for dense features.
    block : int or "auto", optional
        Triples between two updates of E and β.
    kind : str, optional
        ``attributes`` demands features of that kind; the model is then called I-VBPR. ``dense`` takes any as
        nameless. By default the kind of the features decides.
    """

    specifications: ClassVar[tuple[Specification, ...]] = (SPECIFICATIONS["vbpr"], SPECIFICATIONS["i-vbpr"])

    def _specified(self, features: Features | None) -> Specification:
        """By `kind`, else by that of the features; before a fit without either the nameless one."""
        kind = self.kind or (features.kind if features is not None else "dense")
        named = [one for one in self.specifications if one.kind == kind]
        return named[0] if named else self.specifications[0]

    def _learned_as(self, features: Features | None) -> str | None:
        return None if features is None else learned_as(features)

    def _resolve(self, features: Features | None) -> dict[str, Any]:
        if self.kind is not None and self.kind not in KINDS:
            hint = did_you_mean(str(self.kind), KINDS) or "Use attributes or dense."
            raise UsageError(f"kind {self.kind!r} is unknown.", hint)
        name = self._specified(features).name
        if features is None:
            raise UsageError(f"{name} needs features.", f"Give them with {parameter('features')}.")
        if self.kind == "attributes" and features.kind != "attributes":
            raise DataError(
                f"{name} needs features of the kind 'attributes', but {features.path or 'these features'} "
                f"hold '{features.kind}' ones.",
                "Make them with 'ivbpr features table' or Features.from_frame, or fit vbpr.",
            )
        return super()._resolve(features)

    def _learn(self, data: Dataset, features: Features | None, options: dict[str, Any], run: Run) -> Learned:
        assert features is not None
        source = align(features, data.items)
        if run.start is not None and run.start.scaling is not None:
            scaling = kept_scaling(source, run.start.scaling)
        else:  # once a fit, by the CPU: to the same bits whatever learns
            scaling = fit_scaling(source, options["feature_scaling"])
        _refuse_silence(scaling, features, options["feature_scaling"])
        learner = learner_of(options, lambda own: self._learner(data, source, scaling, own, run), run.flow)
        record = FeatureRecord.of(features, scaling)
        facts = {"visual_rate": visual_rate(options, scaling)} if options["visual_rate"] == AUTO else {}
        return self._train(
            learner, data, options, run, features=features, source=source, record=record, facts=facts
        )

    def _learner(
        self, data: Dataset, source: FeatureInput, scaling: Scaling, options: dict[str, Any], run: Run
    ) -> Member:
        train, n_items = data.train, len(data.items)
        return VisualLearner(options, train.indptr, train.indices, n_items, source, scaling, run.kernels)


def _refuse_silence(scaling: Scaling, features: Features, how: str) -> None:
    """Refuse idf where most values vary but every item has them: it would multiply them by 0."""
    silent = np.flatnonzero((scaling.multiplier == 0) & (scaling.mean > 0) & (scaling.mean < 1))
    if how == "idf" and 2 * len(silent) > len(features.names):
        raise UsageError(
            f"{parameter('feature_scaling', how)} counts the items that have a feature, and all have "
            f"{len(silent):,} of these {len(features.names):,}, '{features.names[silent[0]]}' for one: they "
            "would be left out.",
            f"Use {parameter('feature_scaling', 'standard')}, the default for probabilities.",
        )
