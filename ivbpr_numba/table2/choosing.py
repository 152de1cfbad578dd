"""Options of a cell chosen by tuning, on the validation items of its own run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ivbpr_numba.events import Observer
from ivbpr_numba.tuning import Tuning, tune

if TYPE_CHECKING:
    from ivbpr_numba.datasets.dataset import Dataset
    from ivbpr_numba.features.features import Features

__all__ = ["Chosen", "choose"]


@dataclass(frozen=True)
class Chosen:
    """What tuning chose.

    Attributes
    ----------
    options : dict
        For `create`.
    different : dict
        Those that are not the model's defaults.
    facts : dict or None
        ``trials valid_auc default_valid_auc importance``; None without tuning.
    """

    options: dict[str, Any]
    different: dict[str, Any]
    facts: dict[str, Any] | None


def choose(
    model: str,
    data: Dataset,
    features: Features | None,
    trials: int,
    fixed: Mapping[str, Any],
    place: Path | None,
    tell: Observer,
) -> Chosen:
    """Search, or go on with a search, or read one that is finished.

    Parameters
    ----------
    model : str
    data : Dataset
        Its test part is not looked at.
    features : Features or None
    trials : int
    fixed : mapping
        Options that are not searched; the seed is also that of the search.
    place : path
        Where the search is kept until the table is finished; nothing of another table lies there. None:
        nowhere.
    tell : callable
    """
    if place is not None and place.exists():
        found = Tuning.read(place)
    else:
        found = tune(
            model,
            data,
            features,
            trials=trials,
            seed=int(fixed["seed"]),
            processes=1,
            options=fixed,
            out=place,
            resume=place is not None,
            observers=[tell],
        )
    first = found.trials[0]["options"]
    different = {name: value for name, value in found.best.items() if first.get(name, value) != value}
    facts = {
        "trials": len(found.trials),
        "valid_auc": found.valid_auc,
        "default_valid_auc": found.default_auc,
        "importance": [dict(row) for row in found.importance],
    }
    return Chosen(dict(found.best), different, facts)
