"""Visually aware recommendation that people can understand.

Public names are loaded when they are first used, so that importing the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ivbpr_numba.errors import (
    CheckFailed,
    DataError,
    EnvironmentProblem,
    Interrupted,
    IvbprError,
    NotFittedError,
    UsageError,
)

if TYPE_CHECKING:
    from ivbpr_numba.answers.folding import NewShopper
    from ivbpr_numba.datasets.dataset import Dataset
    from ivbpr_numba.datasets.prepare import prepare
    from ivbpr_numba.features.features import Features
    from ivbpr_numba.models import BPRMF, MMMF, TVBPR, VBPR, Model, Popularity, Random, create, load
    from ivbpr_numba.models.answering import Vectors
    from ivbpr_numba.network.extraction import extract
    from ivbpr_numba.questions.auc import auc, auc_of_scores
    from ivbpr_numba.questions.comparing import compare
    from ivbpr_numba.questions.session import Session
    from ivbpr_numba.questions.trends import trends
    from ivbpr_numba.report import write_report
    from ivbpr_numba.tuning import Tuning, tune

    __version__: str

_ROOMS = {
    "Dataset": "ivbpr_numba.datasets.dataset",
    "Features": "ivbpr_numba.features.features",
    "NewShopper": "ivbpr_numba.answers.folding",
    "Vectors": "ivbpr_numba.models.answering",
    "Session": "ivbpr_numba.questions.session",
    "auc": "ivbpr_numba.questions.auc",
    "auc_of_scores": "ivbpr_numba.questions.auc",
    "compare": "ivbpr_numba.questions.comparing",
    "extract": "ivbpr_numba.network.extraction",
    "prepare": "ivbpr_numba.datasets.prepare",
    "trends": "ivbpr_numba.questions.trends",
    "Tuning": "ivbpr_numba.tuning",
    "tune": "ivbpr_numba.tuning",
    "write_report": "ivbpr_numba.report",
    **dict.fromkeys(
        ("BPRMF", "MMMF", "TVBPR", "VBPR", "Model", "Popularity", "Random", "create", "load"),
        "ivbpr_numba.models",
    ),
}

__all__ = [
    "BPRMF",
    "MMMF",
    "TVBPR",
    "VBPR",
    "CheckFailed",
    "DataError",
    "Dataset",
    "EnvironmentProblem",
    "Features",
    "Interrupted",
    "IvbprError",
    "Model",
    "NewShopper",
    "NotFittedError",
    "Popularity",
    "Random",
    "Session",
    "Tuning",
    "UsageError",
    "Vectors",
    "__version__",
    "auc",
    "auc_of_scores",
    "compare",
    "create",
    "extract",
    "load",
    "prepare",
    "trends",
    "tune",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("ivbpr")
    if name not in _ROOMS:
        raise AttributeError(f"module 'ivbpr_numba' has no attribute '{name}'")
    return getattr(import_module(_ROOMS[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
