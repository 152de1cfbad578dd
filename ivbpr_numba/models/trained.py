"""Models that learn by stochastic gradient ascent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ivbpr_numba.errors import DataError
from ivbpr_numba.models.base import Learned, Model
from ivbpr_numba.models.checkpoint import Checkpoint
from ivbpr_numba.models.learners import Learner
from ivbpr_numba.models.training import Observer, TrainingState, run
from ivbpr_numba.ranking import questions
from ivbpr_numba.signals import stop_signals

if TYPE_CHECKING:
    from ivbpr_numba.datasets.dataset import Dataset
    from ivbpr_numba.features.features import Features

__all__ = ["Trained"]


class Trained(Model):
    """Base of these models: a learner, the fit loop, checkpoints."""

    def _learner(self, data: Dataset, features: Features | None, options: dict[str, Any]) -> Learner:
        raise NotImplementedError

    def _learn(
        self,
        data: Dataset,
        features: Features | None,
        options: dict[str, Any],
        tell: Observer,
        checkpoint: Checkpoint | None,
    ) -> Learned:
        asked = questions(data, "valid")
        if not len(asked.users):
            text = "No user has a validation item: all iterations are done and the last one is kept."
            tell({"event": "warning", "message": text})
        learner = self._learner(data, features, options)
        state = TrainingState(raw=learner.tables)
        if checkpoint is not None and checkpoint.path.exists():
            state = checkpoint.read(learner.tables)
        with stop_signals() as stopped:
            state = run(
                learner,
                state,
                options,
                asked if len(asked.users) else None,
                len(data.items),
                [tell],
                checkpoint,
                stopped,
            )
        parameters = learner.parameters(state.chosen)
        if not all(np.isfinite(array).all() for array in parameters.arrays().values()):
            raise DataError(
                "The fit diverged: a parameter is no longer a finite number.",
                "Lower --learning-rate, or scale the features (--feature-scaling standard).",
            )
        return Learned(parameters, state)
