"""Matrix factorisation without features: BPR-MF and MM-MF."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ivbpr_numba.models.ensemble import learner_of
from ivbpr_numba.models.fitting import Run
from ivbpr_numba.models.learned import Learned
from ivbpr_numba.models.learners import FactorLearner
from ivbpr_numba.models.options import LearningOptions
from ivbpr_numba.models.specifications import SPECIFICATIONS, Specification
from ivbpr_numba.models.trained import Trained

if TYPE_CHECKING:
    from ivbpr_numba.datasets.dataset import Dataset
    from ivbpr_numba.features.features import Features

__all__ = ["BPRMF", "MMMF"]


@dataclass(kw_only=True, eq=False, repr=False)
class BPRMF(LearningOptions, Trained):
    """BPR-MF: x̂_ui = β_i + γ_u · γ_i under the logistic loss (paper 3.2; model specification 1–2).

    Every argument left out takes the value of the preset; `fit` checks all of them.

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
        K, at least 1.
    init : str, optional
        Law of the starting factors: ``normal`` N(0, 0.1²) or ``uniform01`` U[0, 1].
    learning_rate : float, optional
        η, above 0.
    lambda_theta : float or "auto", optional
        λ of γ_u and the positive's γ_i, a tenth of it for the negative's; applied once a triple. ``auto``: by
        the training pairs of a vector, see `choosing`.
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
    """

    specifications: ClassVar[tuple[Specification, ...]] = (SPECIFICATIONS["bpr-mf"],)

    def _learn(self, data: Dataset, features: Features | None, options: dict[str, Any], run: Run) -> Learned:
        train = data.train

        def make(own: dict[str, Any]) -> FactorLearner:
            return FactorLearner(own, train.indptr, train.indices, len(data.items), run.kernels)

        return self._train(learner_of(options, make, run.flow), data, options, run)


@dataclass(kw_only=True, eq=False, repr=False)
class MMMF(BPRMF):
    """MM-MF: the same score under the hinge loss max(0, margin − x̂_uij) (paper 4.3; specification 2.2).

    Every argument left out takes the value of the preset; `fit` checks all of them.

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
        K, at least 1.
    init : str, optional
        Law of the starting factors: ``normal`` N(0, 0.1²) or ``uniform01`` U[0, 1].
    learning_rate : float, optional
        η, above 0.
    lambda_theta : float or "auto", optional
        λ of γ_u and the positive's γ_i, a tenth of it for the negative's; applied once a triple. ``auto``: by
        the training pairs of a vector, see `choosing`.
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
    margin : float, optional
        With 0 only pairs in the wrong order move anything.
    """

    specifications: ClassVar[tuple[Specification, ...]] = (SPECIFICATIONS["mm-mf"],)

    margin: float | None = None
