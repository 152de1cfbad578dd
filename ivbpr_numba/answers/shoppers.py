"""A shopper as answers see one: a vector beside the items, and what is already owned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ivbpr_numba import expected
from ivbpr_numba.answers.views import View
from ivbpr_numba.errors import DataError, UsageError, did_you_mean
from ivbpr_numba.parameters import VisualParameters
from ivbpr_numba.ranking import ItemSide, RowScorer, VectorScorer, scores_of_vectors, top_of_vectors
from ivbpr_numba.ranking import scores as scores_of_rows
from ivbpr_numba.ranking import top as top_of_rows

if TYPE_CHECKING:
    from ivbpr_numba.datasets.dataset import Dataset

__all__ = ["PARTS", "Best", "Shoppers", "owned_items", "row_of_user", "stored", "users_to_try"]

PARTS = ("train", "valid", "test")
Best = tuple[list[np.ndarray], list[np.ndarray]]
Reasons = list[dict[str, Any]]


@dataclass(frozen=True)
class Shoppers:
    """Some shoppers of a view.

    Attributes
    ----------
    vectors : (m, L) float32
        [γ_u, θ_u]: stored, folded in or steered. Of a model that scores by rows (RAND) L is 0.
    owned : CSR, (m + 1,) int64 and (n,) int32
        Items that are never recommended, ascending within a shopper.
    rows : (m,) int64 or None
        Their rows in the data, where they have one.
    """

    vectors: np.ndarray
    owned: tuple[np.ndarray, np.ndarray]
    rows: np.ndarray | None = None

    def latent(self, view: View) -> np.ndarray:
        """γ_u, (m, K): without features the whole vector."""
        return self.vectors[:, : self._split(view)]

    def visual(self, view: View) -> np.ndarray:
        """θ_u, (m, D)."""
        return self.vectors[:, self._split(view) :]

    def _split(self, view: View) -> int:
        if isinstance(view.parameters, VisualParameters):
            return view.parameters.item_factors.shape[1]
        return self.vectors.shape[1]

    def scores(self, view: View) -> np.ndarray:
        """For all items, (m, I)."""
        if isinstance(view.scorer, RowScorer):
            return scores_of_rows(view.scorer, self._known_rows(view))
        return scores_of_vectors(view.scorer.items, self.vectors)

    def best(self, view: View, n: int, allowed: np.ndarray) -> Best:
        """At most `n` best items each, and their scores; see `ranking.top`."""
        if isinstance(view.scorer, RowScorer):
            return top_of_rows(view.scorer, self._known_rows(view), n, self.owned, allowed)
        return top_of_vectors(view.scorer.items, self.vectors, n, self.owned, allowed, view.kernels)

    def best_among(self, view: View, which: np.ndarray, run: np.ndarray, n: int) -> Best:
        """At most `n` best of the items `run` (ascending) for some of the shoppers, and their scores."""
        assert isinstance(view.scorer, VectorScorer)
        side = view.scorer.items
        few = ItemSide(side.vectors[run], side.bias[run])
        every = np.ones(len(run), dtype=bool)
        found, scores = top_of_vectors(
            few, self.vectors[which], n, self._owned_among(view, which, run), every, view.kernels
        )
        return [run[own] for own in found], scores

    def _owned_among(self, view: View, which: np.ndarray, run: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What some of the shoppers own of the items `run`, as places in it."""
        place = np.full(len(view.fitted.data.items), -1, np.int32)
        place[run] = np.arange(len(run))
        indptr, owned = self.owned
        sizes = np.diff(indptr)[which]
        begin = np.repeat(indptr[:-1][which] - np.cumsum(sizes) + sizes, sizes)
        there = place[owned[np.arange(sizes.sum()) + begin]]
        of = np.repeat(np.arange(len(which)), sizes)[there >= 0]
        ends = np.concatenate([[0], np.cumsum(np.bincount(of, minlength=len(which)))]).astype(np.int64)
        return ends, there[there >= 0]

    def asked_for(self, view: View, items: list[np.ndarray]) -> list[list[Reasons]]:
        """Reasons beside those of the taste, for each shopper's items; of a `Steered` one his steps."""
        return [[[] for _ in own] for own in items]

    def terms_asked_for(self, view: View, item_row: int) -> Reasons:
        """Terms of the one shopper's score of an item beside those of the model."""
        return []

    def _known_rows(self, view: View) -> np.ndarray:
        if self.rows is None:
            raise UsageError(f"{view.fitted.name} knows shoppers by their row alone.", "Ask another model.")
        return self.rows


def users_to_try(data: Dataset) -> str:
    """A hint that names users of the data."""
    count = len(data.users)
    rows = dict.fromkeys((count // 4, count // 2, 3 * count // 4))
    return f"Users to try: {', '.join(repr(data.users[row]) for row in rows)}."


def row_of_user(data: Dataset, user: object) -> int:
    """Row of a user by id.

    Raises
    ------
    DataError
        An unknown user; the hint names a near miss and some who are there.
    """
    try:
        return data.users.row(user)
    except DataError as problem:
        raise DataError(problem.message, f"{problem.hint} {users_to_try(data)}".strip()) from None


def stored(view: View, rows: np.ndarray, exclude: Sequence[str] = PARTS) -> Shoppers:
    """Users of the data by row, (m,), as they were learned.

    Parameters
    ----------
    view : View
    rows : (m,) int64
    exclude : sequence of str
        Parts of the split whose items they already have.

    Raises
    ------
    UsageError
        Unknown part.
    """
    rows = np.asarray(rows, dtype=np.int64)
    owned = owned_items(view.fitted.data, rows, exclude)
    if isinstance(view.scorer, RowScorer):
        return Shoppers(np.zeros((len(rows), 0), np.float32), owned, rows)
    return Shoppers(view.scorer.user_vectors[rows], owned, rows)


def owned_items(data: Dataset, rows: np.ndarray, parts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Items of some users in some parts of the split as CSR, ascending within a user."""
    parts = expected.names("exclude", parts)
    for part in parts:
        if part not in PARTS:
            hint = did_you_mean(part, PARTS) or f"Known: {', '.join(PARTS)}."
            raise UsageError(f"Unknown part '{part}' to exclude.", hint)
    users, items = [np.zeros(0, np.int64)], [np.zeros(0, np.int32)]
    for part in (getattr(data, name) for name in dict.fromkeys(parts)):
        sizes = np.diff(part.indptr)[rows]
        begin = np.repeat(part.indptr[:-1][rows] - np.cumsum(sizes) + sizes, sizes)
        users.append(np.repeat(np.arange(len(rows)), sizes))
        items.append(part.indices[np.arange(sizes.sum()) + begin])
    user, item = np.concatenate(users), np.concatenate(items)
    order = np.lexsort((item, user))
    indptr = np.concatenate([[0], np.cumsum(np.bincount(user, minlength=len(rows)))])
    return indptr.astype(np.int64), item[order].astype(np.int32)
