"""TVBPR and I-TVBPR: visual taste that changes from epoch to epoch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from ivbpr_numba.errors import DataError, parameter
from ivbpr_numba.features.alignment import Scaling
from ivbpr_numba.features.inputs import FeatureInput
from ivbpr_numba.models.fitting import Run
from ivbpr_numba.models.learned import Learned
from ivbpr_numba.models.learners import Member
from ivbpr_numba.models.options import TimeOptions
from ivbpr_numba.models.presets import AUTO, AUTO_EPOCHS
from ivbpr_numba.models.specifications import SPECIFICATIONS, Specification
from ivbpr_numba.models.temporal_learner import TemporalLearner
from ivbpr_numba.models.visual import VBPR

if TYPE_CHECKING:
    from ivbpr_numba.datasets.dataset import Dataset
    from ivbpr_numba.features.features import Features

__all__ = ["TVBPR"]


@dataclass(kw_only=True, eq=False, repr=False)
class TVBPR(TimeOptions, VBPR):
    """TVBPR: θ_i(t) = (E f_i) ⊙ w(t) + ΔE(t) f_i, β(t) = β ⊙ b(t) + Δβ(t) (equation 2); I-TVBPR too.

    The epochs are learned too: every `segment_every` iterations the bins of time are cut anew so that every
    event is explained best (model specification 3). Held-out item and candidates are scored at the epoch of
    the held-out event. Every argument left out takes the value of the preset; `fit` checks all of them.

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
        What η is multiplied by for E and β, w, b, ΔE and Δβ, above 0; ``auto``: 1 / mean ‖f_i‖² over the
        items, after scaling.
    lambda_visual : float, optional
        λ of w, and of b, ΔE and Δβ, there in each column times the squared difference of the triple's items.
    reg_scope : str, optional
        ``all``: λ_Θ acts on γ and θ_u. ``user_visual``: on θ_u alone.
    feature_scaling : str, optional
        ``none``, ``max`` (largest absolute value 1), ``standard`` (mean 0, mean squared norm of a row at
        most 10) or ``idf``; by default none for one-hot attributes, standard for a network's probabilities
        and for dense features.
    block : int or "auto", optional
        Triples between two updates of E and β.
    kind : str, optional
        ``attributes`` demands features of that kind; the model is then called I-TVBPR. ``dense`` takes any as
        nameless. By default the kind of the features decides.
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
    """

    specifications: ClassVar[tuple[Specification, ...]] = (SPECIFICATIONS["tvbpr"], SPECIFICATIONS["i-tvbpr"])

    def _learn(self, data: Dataset, features: Features | None, options: dict[str, Any], run: Run) -> Learned:
        if not data.has_times:
            raise DataError(
                "The dataset has no times, and this model learns from them.",
                f"Prepare it with {parameter('time', of='prepare')}, or fit vbpr.",
            )
        if options["epochs"] != AUTO:
            return super()._learn(data, features, options, run)
        return self._try_epochs(data, features, options, run)

    def _try_epochs(
        self, data: Dataset, features: Features | None, options: dict[str, Any], run: Run
    ) -> Learned:
        """Learn with each number of epochs, keep the one that validates best.

        The numbers tried so far are part of the state of an unfinished fit. Where the best of them was
        learned before an interruption, it is learned again, to the same bits.
        """
        noted = run.checkpoint.noted() if run.checkpoint is not None else {}
        tried: dict[str, float | None] = noted.get("epochs_tried", {})
        best: Learned | None = None

        def learn(n: int) -> Learned:
            trial = run.of_trial(epochs=n, epochs_tried=tried)
            return super(TVBPR, self)._learn(data, features, {**options, "epochs": n}, trial)

        def chosen() -> int:
            return max(map(int, tried), key=lambda n: (tried[str(n)] or 0.0, -n))

        for n in AUTO_EPOCHS:
            if str(n) in tried:
                continue
            learned = learn(n)
            tried = {**tried, str(n): learned.best_auc}
            if chosen() == n:
                best = learned
        if best is None:
            best = learn(chosen())
        return replace(best, config={"epochs": chosen()}, facts={**best.facts, "epochs_tried": tried})

    @property
    def epochs_tried_(self) -> dict[int, float | None]:
        """Of ``epochs="auto"``: the validation AUC, of those who were asked, of every number tried."""
        tried: dict[str, float | None] = self.views.fitted.provenance.get("epochs_tried", {})
        return {int(n): value for n, value in tried.items()}

    def _learner(
        self, data: Dataset, source: FeatureInput, scaling: Scaling, options: dict[str, Any], run: Run
    ) -> Member:
        return TemporalLearner(options, data, source, scaling, run.kernels)
