"""Models that learn by stochastic gradient ascent."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ivbpr_numba.models.base import Model
from ivbpr_numba.models.fitting import Run
from ivbpr_numba.models.learned import Learned
from ivbpr_numba.models.learners import Learner, placed
from ivbpr_numba.models.training import TrainingState, diverged, run_iterations
from ivbpr_numba.models.validation import sampled
from ivbpr_numba.signals import stop_signals

if TYPE_CHECKING:
    from ivbpr_numba.datasets.dataset import Dataset

__all__ = ["Trained"]


class Trained(Model):
    """Base of these models: a learner, the fit loop, checkpoints."""

    def _train(
        self, learner: Learner, data: Dataset, options: dict[str, Any], run: Run, **known: Any
    ) -> Learned:
        """Run a learner to its end, from the state of an unfinished fit where there is one.

        `known` is passed on to `Learned`.
        """
        asked = sampled(data, options)
        if not len(asked.users):
            run.warn("No user has a validation item: all iterations are done and the last one is kept.")
        if run.start is not None:
            learner.begin(run.start)
        state = TrainingState(raw=learner.tables)
        if run.checkpoint is not None and run.checkpoint.there():
            state = run.checkpoint.read(learner.tables)
        learner.place()
        state.raw = learner.tables
        state.averaged, state.best = placed(state.averaged, run.kernels), placed(state.best, run.kernels)
        with stop_signals() as stopped:
            state = run_iterations(
                learner,
                state,
                options,
                asked if len(asked.users) else None,
                len(data.items),
                [run.tell],
                run.checkpoint,
                stopped,
                run.crew,
            )
        parameters = learner.parameters(state.chosen)
        if not all(np.isfinite(array).all() for array in parameters.arrays().values()):
            raise diverged("a parameter is no longer a finite number")
        return Learned(
            parameters,
            state.history,
            state.iteration,
            state.best_iteration,
            state.best_auc if math.isfinite(state.best_auc) else None,
            state.seconds,
            **known,
        )
