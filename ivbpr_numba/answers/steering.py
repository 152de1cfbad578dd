"""What a shopper asked for, added to the scores of the model (model specification 7).

The score of an item becomes x̂_ui + σ_u Σ_k δ_k v_ik. σ_u is the spread of this shopper's scores over the
items, so that amounts mean the same for everybody. A boost adds to one δ_k, "toward item i" the direction
φ (v_i − v̄) / ‖v_i − v̄‖². All is linear, so the order of steps does not matter, and undoing is exact.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ivbpr_numba.answers.reasons import BECAUSE
from ivbpr_numba.answers.shoppers import Best, Shoppers
from ivbpr_numba.ranking import RowScorer, top

if TYPE_CHECKING:
    from ivbpr_numba.answers.views import View

__all__ = ["Steered", "Steering", "spread_of"]

SAME = 1e-12  # share of ‖v_i‖² below which ‖v_i − v̄‖² is rounding


@dataclass(frozen=True)
class Steering:
    """δ, and where it comes from; amounts of the same wish are summed exactly, whatever their order.

    Attributes
    ----------
    columns, amounts : (b,) int64 and float64
        What was boosted, ascending, and by how much.
    toward : list of str
        The items that were asked for, by row.
    directions : (m, F) float64
        φ (v_i − v̄) / ‖v_i − v̄‖² of each.
    average : (F,) float64
        v̄.
    without_direction : list of str
        Items that are as the average item: nothing leads toward them.
    """

    columns: np.ndarray
    amounts: np.ndarray
    toward: list[str]
    directions: np.ndarray
    average: np.ndarray
    without_direction: list[str]

    @classmethod
    def of(
        cls, view: View, boosts: Mapping[int, Iterable[float]], toward: Mapping[int, Iterable[float]]
    ) -> Steering:
        """Sum what was asked for.

        Parameters
        ----------
        view : View
            Of a visual model, its features at hand.
        boosts : mapping of column to amounts
        toward : mapping of item row to amounts
        """
        record = view.fitted.features
        assert record is not None
        columns = np.array(sorted(boosts), np.int64)
        amounts = np.array([math.fsum(boosts[k]) for k in columns.tolist()], np.float64)
        rows = sorted(toward)
        average = record.scaling.mean.astype(np.float64)
        directions, names, without = [np.zeros((0, len(average)))], [], []
        for row, values in zip(rows, view.values(rows) if rows else ()):
            away = values - average
            size = np.square(away).sum()
            if size <= SAME * np.square(values).sum():
                without.append(view.fitted.data.items[row])
                continue
            names.append(view.fitted.data.items[row])
            directions.append((math.fsum(toward[row]) / size * away)[None])
        return cls(columns, amounts, names, np.concatenate(directions), average, without)

    @property
    def weights(self) -> np.ndarray:
        """δ, (F,) float64."""
        delta = self.directions.sum(axis=0)
        delta[self.columns] += self.amounts
        return np.asarray(delta)

    def parts(self, values: np.ndarray) -> np.ndarray:
        """What each boost, then each item adds to items with values (n, F), in spreads: (n, b + m).

        What "toward item i" adds is compared with the average item, for which it is 0: item i has φ.
        """
        found = np.empty((len(values), len(self.columns) + len(self.directions)))
        found[:, : len(self.columns)] = values[:, self.columns] * self.amounts
        for place, one in enumerate(self.directions, len(self.columns)):
            found[:, place] = ((values - self.average) * one).sum(axis=1)
        return found

    @property
    def level(self) -> float:
        """What `parts` leaves out, the same for every item: Σ_k δ_k v̄_k of the directions, in spreads."""
        return float((self.directions * self.average).sum())

    def terms(self, view: View) -> list[str]:
        """How `parts` are called."""
        assert view.fitted.features is not None
        names = view.fitted.features.names
        return [*(names[k] for k in self.columns.tolist()), *(f"toward {item}" for item in self.toward)]


def spread_of(scores: np.ndarray) -> float:
    """σ_u: the standard deviation of a shopper's scores over the items; 1 where all are equal."""
    found = float(np.std(scores, dtype=np.float64))
    return found if found > 0 and math.isfinite(found) else 1.0


@dataclass(frozen=True, kw_only=True)
class Steered(Shoppers):
    """One shopper who asked for something.

    Attributes
    ----------
    steering : Steering
    spread : float
        σ_u.
    row : (1, I) float32
        The scores, what was asked for among them.
    """

    steering: Steering
    spread: float
    row: np.ndarray

    @classmethod
    def of(
        cls, view: View, shopper: Shoppers, scores: np.ndarray, spread: float, steering: Steering
    ) -> Steered:
        """Add what was asked for to the `scores` (I,) of a shopper."""
        lift = spread * view.views.space.products(steering.weights)
        row = (scores + lift).astype(np.float32)[None]
        return cls(
            vectors=shopper.vectors, owned=shopper.owned, rows=shopper.rows,
            steering=steering, spread=spread, row=row,
        )  # fmt: skip

    def scores(self, view: View) -> np.ndarray:
        """For all items, (1, I)."""
        return self.row

    def best(self, view: View, n: int, allowed: np.ndarray) -> Best:
        """At most `n` best items, and their scores; see `ranking.top`."""
        return _best(self.row, n, self.owned, allowed)

    def best_among(self, view: View, which: np.ndarray, run: np.ndarray, n: int) -> Best:
        """At most `n` best of the items `run` (ascending), and their scores."""
        owned = self._owned_among(view, which, run)
        found, scores = _best(self.row[:, run], n, owned, np.ones(len(run), dtype=bool))
        return [run[own] for own in found], scores

    def asked_for(self, view: View, items: list[np.ndarray]) -> list[list[list[dict[str, Any]]]]:
        """What was asked for as reasons beside those of the taste, above 0, at most `BECAUSE` an item."""
        (rows,) = items
        found: list[list[dict[str, Any]]] = [[] for _ in rows]
        names = self.steering.terms(view)
        for own, parts in zip(found, self.spread * self.steering.parts(view.values(rows))):
            order = np.argsort(-parts, kind="stable")[:BECAUSE]
            own += [_boost(names[k], float(parts[k])) for k in order.tolist() if parts[k] > 0]
        return [found]

    def terms_asked_for(self, view: View, item_row: int) -> list[dict[str, Any]]:
        """The terms of one score that were asked for; with those of the taste they sum to the score."""
        names, parts = self.steering.terms(view), self.steering.parts(view.values([item_row]))[0]
        terms = [_boost(name, self.spread * part) for name, part in zip(names, parts.tolist())]
        level = self.spread * self.steering.level
        if level:
            terms.append({"term": "toward", "kind": "level", "contribution": level, "every_item": True})
        return terms


def _best(row: np.ndarray, n: int, owned: tuple[np.ndarray, np.ndarray], allowed: np.ndarray) -> Best:
    given = RowScorer(lambda _: row, row.shape[1])
    return top(given, np.zeros(1, np.int64), n, owned, allowed)


def _boost(name: str, contribution: float) -> dict[str, Any]:
    return {"term": name, "contribution": contribution, "kind": "boost"}
