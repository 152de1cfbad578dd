"""Items ranked by what one attribute contributes, for many shoppers at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ivbpr_numba.answers.explaining import Centred, by_taste
from ivbpr_numba.errors import DataError, parameter
from ivbpr_numba.parameters import VisualParameters

if TYPE_CHECKING:
    from ivbpr_numba.answers.shoppers import Shoppers
    from ivbpr_numba.answers.views import View

__all__ = ["Because"]

Best = tuple[list[np.ndarray], list[np.ndarray]]


@dataclass(frozen=True)
class Because:
    """One attribute by which items are ranked, and the items that may be.

    Attributes
    ----------
    name : str
    column : int
    value : (I,) float64
        Of every item: stored times scale.
    candidates : (n,) int64
        Allowed items that have it.
    """

    name: str
    column: int
    value: np.ndarray
    candidates: np.ndarray

    @classmethod
    def asked(cls, view: View, feature: str, allowed: np.ndarray) -> Because:
        """The attribute of that name.

        Raises
        ------
        UsageError
            The model has no features, an unknown or ambiguous name, or the features aren't found.
        DataError
            No allowed item has it.
        """
        found = view.views.find_features()
        column = found.column(feature)
        rows = found.rows_of_all(view.fitted.data.items)
        value = found.stored_column(column)[rows].astype(np.float64) * found.scale
        candidates = np.flatnonzero(allowed & (value != 0))
        if not len(candidates):
            raise DataError(
                f"No item is left that has '{found.names[column]}'.", f"Widen {parameter('where')}."
            )
        return cls(found.names[column], column, value, candidates)

    def best(self, view: View, shoppers: Shoppers, n: int) -> Best:
        """At most `n` items each, by contribution, then by score, then by row; with their scores.

        The contribution is s̃_u · v: items of the same value have the same for a shopper, so that only the
        sign of s̃_u decides which values come first.
        """
        parameters, record = view.parameters, view.fitted.features
        assert isinstance(parameters, VisualParameters) and record is not None
        centred = Centred.of(parameters, record)
        weight = by_taste(shoppers.visual(view), centred.taste[:, self.column]) + centred.common[self.column]
        items: list[list[np.ndarray]] = [[] for _ in weight]
        scores: list[list[np.ndarray]] = [[] for _ in weight]
        for sign in (1, 0, -1):
            waiting = np.flatnonzero(np.sign(weight) == sign)
            left = np.full(len(weight), n)
            for run in self._runs(sign):
                if not len(waiting):
                    break
                for u, rows, own in zip(waiting.tolist(), *shoppers.best_among(view, waiting, run, n)):
                    items[u].append(rows[: left[u]])
                    scores[u].append(own[: left[u]])
                    left[u] -= len(rows[: left[u]])
                waiting = waiting[left[waiting] > 0]
        return [np.concatenate(own) for own in items], [np.concatenate(own) for own in scores]

    def _runs(self, sign: int) -> list[np.ndarray]:
        """The candidates in runs of one contribution, the highest first."""
        if sign == 0:
            return [self.candidates]
        key = -sign * self.value[self.candidates]
        order = self.candidates[np.argsort(key, kind="stable")]
        return np.split(order, np.flatnonzero(np.diff(self.value[order])) + 1)

    def ties(self, shown: np.ndarray, owned: np.ndarray) -> str:
        """A sentence where items of the same value are told apart by their score alone; else empty.

        Parameters
        ----------
        shown : item rows, the best first
        owned : item rows that were left out
        """
        if not len(shown):
            return ""
        value = self.value[shown[0]]
        free = self.candidates[~np.isin(self.candidates, owned)]
        alike = int(np.count_nonzero(self.value[free] == value))
        if np.count_nonzero(self.value[shown] == value) < 2:
            return ""
        much = "" if value == 1 else f" ({value:g})"
        return f"{alike:,} items have {self.name} equally{much}; among them the score decides."
