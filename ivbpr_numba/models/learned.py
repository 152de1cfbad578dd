"""What the learning of a model hands over, and what becomes of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ivbpr_numba.backends import Kernels
from ivbpr_numba.parameters import Parameters
from ivbpr_numba.processes import Crew
from ivbpr_numba.ranking import COLD_BELOW, Scorer, all_and_cold, count, item_classes, questions

if TYPE_CHECKING:
    from ivbpr_numba.datasets.dataset import Dataset
    from ivbpr_numba.features.features import Features
    from ivbpr_numba.features.inputs import FeatureInput
    from ivbpr_numba.features.record import FeatureRecord

__all__ = ["Learned", "metrics_of"]


@dataclass(frozen=True)
class Learned:
    """Parameters and how learning came to them.

    Attributes
    ----------
    parameters : Parameters
    history : list of dict
        One row per evaluation.
    iterations, best_iteration : int
        0 where nothing was learned, or nothing validated.
    best_auc : float or None
        On validation.
    seconds : float
        Computing time.
    features, source : Features, FeatureInput or None
        What it learned from.
    record : FeatureRecord or None
    config : dict
        Options that learning decided itself.
    facts : dict
        More for the provenance.
    """

    parameters: Parameters
    history: list[dict[str, Any]] = field(default_factory=list)
    iterations: int = 0
    best_iteration: int = 0
    best_auc: float | None = None
    seconds: float = 0.0
    features: Features | None = None
    source: FeatureInput | None = None
    record: FeatureRecord | None = None
    config: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)


def metrics_of(
    scorer: Scorer, data: Dataset, kernels: Kernels, crew: Crew | None = None
) -> dict[str, dict[str, Any]]:
    """AUC of a finished model on both held-out parts, All Items and Cold Start, counted by these kernels."""
    classes = item_classes(data.train_counts)
    metrics: dict[str, dict[str, Any]] = {}
    for split in ("valid", "test"):
        asked = questions(data, split)
        cold = data.train_counts[asked.targets] < COLD_BELOW
        counts = count(scorer, asked, classes, kernels, crew)
        metrics[split] = all_and_cold(counts, cold, cold_below=COLD_BELOW)
    return metrics
