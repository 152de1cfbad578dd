"""Products outside the catalogue as a model sees them: scores, ranks, reasons, and who would like them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ivbpr_numba.answers.explaining import sensitivities, terms_of
from ivbpr_numba.answers.shoppers import PARTS, owned_items
from ivbpr_numba.errors import UsageError
from ivbpr_numba.parameters import VisualParameters
from ivbpr_numba.ranking import scores

if TYPE_CHECKING:
    from ivbpr_numba.features.features import Features
    from ivbpr_numba.features.record import FeatureRecord
    from ivbpr_numba.models.base import Model

__all__ = ["NewItem", "NewItems", "record_of"]

SCORE_BYTES = 64 << 20  # scores of a block of users held at once
FEW = 16  # products; for more, sorting a user's scores is faster than comparing with each


def record_of(model: Model) -> FeatureRecord:
    """What a model knows of its features.

    Raises
    ------
    UsageError
        It uses none.
    """
    if model.features_ is None:
        raise UsageError(
            f"{model.name} knows products by their purchases alone and can't judge a photo.",
            "Fit i-vbpr, vbpr or one of them in time.",
        )
    return model.features_


class NewItems:
    """Products outside the catalogue, as a model sees them.

    They have no latent factors, and the item bias that the model gives to products nobody has bought: the
    mean over the catalogue's items without a training purchase, or over all items where every one has some.

    Parameters
    ----------
    model : Model
        A fitted visual model.
    values : ndarray of float64, shape (P, F)
        In the order of the model's features, on their scale.
    at : date, optional
        For a model in time; the last epoch by default.
    features : Features, optional
        Those of the fit, where they aren't at the recorded path.

    Attributes
    ----------
    item_bias : float
    bias_from : str
        In words, where it comes from.
    remarks : list of str
        What a reader must know; see `answers.views.View`.

    Raises
    ------
    UsageError
        The model uses no features, or a time for a model without time.
    """

    def __init__(
        self, model: Model, values: np.ndarray, at: object = None, features: Features | None = None
    ) -> None:
        self._model = model
        self._record = record_of(model)
        self._values = np.asarray(values, dtype=np.float64)
        self._now = model.view(at, features)
        self.remarks = self._now.remarks
        parameters = self._now.parameters
        assert isinstance(parameters, VisualParameters)
        self._parameters = parameters
        unbought = np.flatnonzero(model.data_.train_counts == 0)
        if len(unbought):
            self.bias_from = f"the mean of the {len(unbought):,} catalogue items that nobody bought"
        else:
            unbought = np.arange(len(parameters.item_bias))
            self.bias_from = f"the mean of all {len(unbought):,} catalogue items"
        self.item_bias = float(parameters.item_bias[unbought].astype(np.float64).mean())

    def scores(self, user_rows: np.ndarray) -> np.ndarray:
        """x̂ of users for the products (equation 1, γ_i = 0), float64 (n, P)."""
        scaling = self._record.scaling
        taste = self._parameters.user_visual[user_rows].astype(np.float64)
        embedding = self._parameters.embedding.astype(np.float64)
        everyone = self._parameters.visual_bias.astype(np.float64)
        found = np.empty((len(taste), len(self._values)))
        # One after the other, so that a product's numbers don't depend on its neighbours.
        for p, values in enumerate(self._values):
            f = (values - scaling.shift) * scaling.multiplier
            style = (embedding * f).sum(axis=1)
            found[:, p] = self.item_bias + float((everyone * f).sum()) + (taste * style).sum(axis=1)
        return found

    def ranks(self, user_rows: np.ndarray) -> dict[str, np.ndarray]:
        """Where each product stands among all catalogue items that each user doesn't have.

        Returns
        -------
        dict of str to ndarray, shape (n, P)
            ``score`` float64; ``rank`` int64, 1 for the best, ties behind; ``of`` int64, the product and
            its rivals; ``percentile`` float64, the share of rivals that rank below it, ties as half.
        """
        blocks = [found for _, found in self._blocks(np.asarray(user_rows, dtype=np.int64))]
        if not blocks:
            return self._ranked(np.zeros(0, np.int64))
        return {key: np.concatenate([found[key] for found in blocks]) for key in blocks[0]}

    def best_users(self, n: int) -> dict[str, np.ndarray]:
        """The users who would rank each product best, by percentile, then score, then row.

        Returns
        -------
        dict of str to ndarray, shape (at most n, P)
            ``row`` of the user, and what `ranks` gives.
        """
        best: dict[str, np.ndarray] = {}
        for rows, found in self._blocks(np.arange(len(self._model.data_.users))):
            new = {"row": np.repeat(rows[:, None], len(self._values), axis=1), **found}
            both = {key: np.concatenate([best[key], new[key]]) if best else new[key] for key in new}
            # Stable: of equal users the one with the smaller row, which came before.
            order = np.lexsort((-both["score"], -both["percentile"]), axis=0)[:n]
            best = {key: np.take_along_axis(values, order, axis=0) for key, values in both.items()}
        return best

    def terms(self, user_row: int, product: int = 0) -> list[dict[str, Any]]:
        """The terms of a user's score, which sum to it; see `answers.explaining.terms_of`."""
        alone = replace(self._parameters, item_bias=np.array([self.item_bias]))
        taste = sensitivities(alone, self._record, alone.user_visual[user_row])
        return terms_of(alone, np.zeros(0, np.float32), 0, self._record, taste, self._values[product])

    def _blocks(self, user_rows: np.ndarray) -> Iterator[tuple[np.ndarray, dict[str, np.ndarray]]]:
        step = max(1, SCORE_BYTES // (4 * max(1, len(self._model.data_.items))))
        for start in range(0, len(user_rows), step):
            rows = user_rows[start : start + step]
            yield rows, self._ranked(rows)

    def _ranked(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        own = self.scores(rows)
        better, equal = np.zeros(own.shape, np.int64), np.zeros(own.shape, np.int64)
        indptr, items = owned_items(self._model.data_, rows, PARTS)
        for k, row in enumerate(scores(self._now.scorer, rows)):
            row[items[indptr[k] : indptr[k + 1]]] = -np.inf
            # The product's own score in the precision of its rivals.
            better[k], equal[k] = _above(row, own[k].astype(np.float32))
        rivals = np.repeat(len(self._model.data_.items) - np.diff(indptr)[:, None], own.shape[1], axis=1)
        percentile = (rivals - better - equal / 2) / np.maximum(rivals, 1)
        return {"score": own, "rank": better + equal + 1, "of": rivals + 1, "percentile": percentile}


class NewItem:
    """One product outside the catalogue: `NewItems` of one, whose answers have no axis of products.

    Parameters
    ----------
    model : Model
    values : ndarray of float64, shape (F,)
    at, features
        See `NewItems`.
    """

    def __init__(
        self, model: Model, values: np.ndarray, at: object = None, features: Features | None = None
    ) -> None:
        self._alone = NewItems(model, np.asarray(values, dtype=np.float64)[None], at, features)
        self.item_bias, self.bias_from = self._alone.item_bias, self._alone.bias_from

    def scores(self, user_rows: np.ndarray) -> np.ndarray:
        """See `NewItems.scores`, float64 (n,)."""
        found: np.ndarray = self._alone.scores(user_rows)[:, 0]
        return found

    def ranks(self, user_rows: np.ndarray) -> dict[str, np.ndarray]:
        """See `NewItems.ranks`, each (n,)."""
        return {key: values[:, 0] for key, values in self._alone.ranks(user_rows).items()}

    def terms(self, user_row: int) -> list[dict[str, Any]]:
        """See `NewItems.terms`."""
        return self._alone.terms(user_row)


def _above(row: np.ndarray, mine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How many of a row are above each of some scores, and how many equal to it."""
    if len(mine) < FEW:
        return (
            np.array([np.count_nonzero(row > score) for score in mine]),
            np.array([np.count_nonzero(row == score) for score in mine]),
        )
    row = np.sort(row)
    first, last = np.searchsorted(row, mine, side="left"), np.searchsorted(row, mine, side="right")
    return len(row) - last, last - first
