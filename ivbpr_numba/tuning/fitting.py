"""One trial on one rung: a fit, and its validation AUC."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ivbpr_numba.datasets.dataset import Dataset
from ivbpr_numba.features.features import Features
from ivbpr_numba.models.registry import create
from ivbpr_numba.models.training import Diverged
from ivbpr_numba.tuning.parts import with_questions_of
from ivbpr_numba.tuning.rungs import Result

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Fitter", "FromFiles"]


class Fitter:
    """Fits trials to data without a test part.

    Parameters
    ----------
    model : str
    data : Dataset
        As `parts.without_test` gives it.
    features : Features, list of Features, or None
    first : array of user rows
        Whom the early rungs ask.
    fixed : mapping
        Options that all trials have in common.
    threads : int or None
    """

    def __init__(
        self,
        model: str,
        data: Dataset,
        features: Any,
        first: np.ndarray,
        fixed: Mapping[str, Any],
        threads: int | None,
    ) -> None:
        self.model, self.features, self.fixed, self.threads = model, features, dict(fixed), threads
        self._parts = {True: data, False: with_questions_of(data, first)}

    def __call__(
        self, number: int, rung: int, options: Mapping[str, Any], iterations: int, last: bool
    ) -> dict[str, Any]:
        """Fit, and tell the `Result` as a dictionary; a fit that diverges has one too."""
        given = {**self.fixed, **options, "iterations": iterations, "threads": self.threads}
        data = self._parts[last]
        try:
            model = create(self.model, **given).fit(data, self.features)
        except Diverged as problem:
            return asdict(Result(None, None, 0, 0, 0, 0.0, problem.message))
        reached = model.metrics_["valid"]["all"]
        history = model.history_
        best = max(history, key=lambda row: (row["valid_auc"], -row["iteration"]))
        return asdict(
            Result(
                reached["auc"],
                reached["stderr"],
                reached["users"],
                history[-1]["iteration"],
                best["iteration"],
                history[-1]["seconds"],
            )
        )


class FromFiles(Fitter):
    """The same in a process of its own, which reads what it needs.

    Parameters
    ----------
    model : str
    data : path
        Of a dataset file.
    features : list of paths
    first : list of int
    fixed, threads
        As of `Fitter`.
    """

    def __init__(
        self,
        model: str,
        data: str,
        features: Sequence[str],
        first: Sequence[int],
        fixed: Mapping[str, Any],
        threads: int,
    ) -> None:
        import numpy as np

        found = [Features.read(path) for path in features]
        rows = np.array(first, np.int64)
        super().__init__(model, Dataset.read(data), as_given(found), rows, fixed, threads)


def as_given(features: Sequence[Features]) -> Any:
    """None, one, or a list: as `Model.fit` takes them."""
    return list(features) if len(features) > 1 else next(iter(features), None)
