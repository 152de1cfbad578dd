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
    UsageError,
)

if TYPE_CHECKING:
    from ivbpr_numba.datasets.dataset import Dataset
    from ivbpr_numba.features.features import Features
    from ivbpr_numba.models import BPRMF, MMMF, TVBPR, VBPR, Popularity, Random, create, load
    from ivbpr_numba.questions.auc import auc
    from ivbpr_numba.questions.trends import trends

_ROOMS = {
    "Dataset": "ivbpr_numba.datasets.dataset",
    "Features": "ivbpr_numba.features.features",
    "auc": "ivbpr_numba.questions.auc",
    "trends": "ivbpr_numba.questions.trends",
    **dict.fromkeys(
        ("BPRMF", "MMMF", "TVBPR", "VBPR", "Popularity", "Random", "create", "load"), "ivbpr_numba.models"
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
    "Popularity",
    "Random",
    "UsageError",
    "auc",
    "create",
    "load",
    "trends",
]


def __getattr__(name: str) -> Any:
    if name not in _ROOMS:
        raise AttributeError(f"module 'ivbpr_numba' has no attribute '{name}'")
    return getattr(import_module(_ROOMS[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
