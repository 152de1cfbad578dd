"""Models that don't learn: RAND and POP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ivbpr_numba.models.base import Model
from ivbpr_numba.models.fitting import Run
from ivbpr_numba.models.learned import Learned
from ivbpr_numba.models.options import RunOptions
from ivbpr_numba.models.specifications import SPECIFICATIONS, Specification
from ivbpr_numba.parameters import Parameters, PopularityParameters

if TYPE_CHECKING:
    from ivbpr_numba.datasets.dataset import Dataset
    from ivbpr_numba.features.features import Features

__all__ = ["Popularity", "Random"]


@dataclass(kw_only=True, eq=False, repr=False)
class Random(RunOptions, Model):
    """RAND: an independent uniform score for every user and item (paper 4.3).

    Parameters
    ----------
    preset : str, optional
        ``default`` or ``paper``; they agree.
    seed : int, optional
        0 by default.
    threads : int, optional
        All of the machine by default.
    device : str, optional
        ``cpu`` (default), ``cuda`` or ``auto``.
    """

    specifications: ClassVar[tuple[Specification, ...]] = (SPECIFICATIONS["rand"],)

    def _learn(self, data: Dataset, features: Features | None, options: dict[str, Any], run: Run) -> Learned:
        return Learned(Parameters())


@dataclass(kw_only=True, eq=False, repr=False)
class Popularity(RunOptions, Model):
    """POP: the number of training pairs of an item (paper 4.3).

    Parameters
    ----------
    preset : str, optional
        ``default`` or ``paper``; they agree.
    seed : int, optional
        Accepted, because every model accepts it; nothing is drawn.
    threads : int, optional
        All of the machine by default.
    device : str, optional
        ``cpu`` (default), ``cuda`` or ``auto``.
    """

    specifications: ClassVar[tuple[Specification, ...]] = (SPECIFICATIONS["pop"],)

    def _learn(self, data: Dataset, features: Features | None, options: dict[str, Any], run: Run) -> Learned:
        return Learned(PopularityParameters(data.train_counts.astype(np.float32)))
