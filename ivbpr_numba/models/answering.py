"""What a fitted model can be asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ivbpr_numba import expected
from ivbpr_numba.answers import answers
from ivbpr_numba.answers.folding import NewShopper, folded, liked_rows
from ivbpr_numba.answers.shoppers import PARTS, row_of_user, stored
from ivbpr_numba.answers.steps import steps_of
from ivbpr_numba.answers.views import View, Views
from ivbpr_numba.answers.visits import Reading, Visit
from ivbpr_numba.errors import UsageError, parameter
from ivbpr_numba.ranking import RowScorer, Scorer, scores, scores_of_pairs

if TYPE_CHECKING:
    import pandas as pd

    from ivbpr_numba.features.features import Features

__all__ = ["Answering", "Vectors"]


class Vectors(NamedTuple):
    """Rows for a nearest-neighbour index.

    Attributes
    ----------
    ids : list of str
    vectors : (n, L + 1) float32
    """

    ids: list[str]
    vectors: np.ndarray

    def __repr__(self) -> str:
        rows, columns = self.vectors.shape
        return f"Vectors({rows:,} ids × {columns:,} columns, {self.vectors.dtype})"

    def to_frame(self) -> pd.DataFrame:
        """A row for each id."""
        import pandas as pd

        return pd.DataFrame(self.vectors, index=pd.Index(self.ids, name="id"))


class Answering:
    """The questions that every fitted model answers, from its views."""

    @property
    def views(self) -> Views:
        """The fitted model at its moments."""
        raise NotImplementedError

    # --- scores ---

    def view(self, at: object = None, features: Features | None = None) -> View:
        """The fitted model at one moment, by default the last; see `answers.views.Views.at`."""
        return self.views.at(at, features)

    def scorer(self, features: Features | None = None) -> Scorer:
        """The scorer for `ranking`; kept for the next call.

        Parameters
        ----------
        features : Features, optional
            For a visual model that was loaded: its features, where they aren't at the recorded path.
        """
        return self.views.scorer(features)

    def find_features(self, given: Features | None = None) -> Features:
        """The features of the fit: `given`, those that are still at hand, or those at the recorded path.

        Raises
        ------
        UsageError
            The model uses none, or they aren't found.
        DataError
            They are not those of the fit.
        """
        return self.views.find_features(given)

    def scores(
        self, users: Sequence[object], items: Sequence[object] | None = None, *, at: object = None
    ) -> np.ndarray:
        """Scores of users for all items, or of pairs of user and item.

        Parameters
        ----------
        users : sequence of ids
        items : sequence of ids, optional
            As many as `users`: the scores of these pairs.
        at : date, text or seconds, optional
            For models in time; by default the last epoch.

        Returns
        -------
        (n, I) or (n,) float32 or float64
            Items in the order of ``data_.items``.

        Raises
        ------
        DataError
            A user or item is unknown.
        UsageError
            Users and items differ in number.
        """
        users = expected.several("scores", users)
        items = None if items is None else expected.several("scores", items)
        scorer, data = self.view(at).scorer, self.views.fitted.data
        rows = np.array([data.users.row(user) for user in users], dtype=np.int64)
        if items is None:
            return scores(scorer, rows)
        item_rows = np.array([data.items.row(item) for item in items], dtype=np.int64)
        if len(rows) != len(item_rows):
            raise UsageError(f"{len(rows)} users and {len(item_rows)} items make no pairs.", "Give one each.")
        return scores_of_pairs(scorer, rows, item_rows)

    def user_vectors(self, at: object = None) -> Vectors:
        """Every user as a vector: its product with one of `item_vectors` is the score.

        Returns
        -------
        Vectors
            ``ids`` and ``vectors`` (U, L + 1) float32, [γ_u, θ_u, 1].

        Raises
        ------
        UsageError
            RAND has no vectors; a time for a model without time.
        """
        users, _ = self._vectors(at)
        return Vectors(
            self.views.fitted.data.users.texts(), _with_column(users, np.ones(len(users), np.float32))
        )

    def item_vectors(self, at: object = None) -> Vectors:
        """Every item as a vector, its bias in the last column; for any index of inner products.

        Returns
        -------
        Vectors
            ``ids`` and ``vectors`` (I, L + 1) float32, [γ_i, E f_i, β_i + β · f_i].

        Raises
        ------
        UsageError
            RAND has no vectors; a time for a model without time.
        """
        _, (vectors, bias) = self._vectors(at)
        return Vectors(self.views.fitted.data.items.texts(), _with_column(vectors, bias))

    def _vectors(self, at: object) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
        scorer = self.view(at).scorer
        if isinstance(scorer, RowScorer):
            raise UsageError(f"{self.views.fitted.name} has no vectors.", "Ask another model.")
        return scorer.user_vectors, (scorer.items.vectors, scorer.items.bias)

    def fold_in(
        self, items: Sequence[object], *, at: object = None, features: Features | None = None
    ) -> NewShopper:
        """The factors of somebody the fit did not know, from the items he likes (model specification 7).

        They maximise his own BPR objective, all that belongs to items fixed: likes against negatives that
        the law of the fit draws, less the penalty of the fit. The same likes give the same bits, in any
        order.

        Parameters
        ----------
        items : sequence of ids
            Distinct; none: all factors are 0.
        at : date, text or seconds, optional
            For models in time: the epoch in which the items are seen; by default the last.
        features : Features, optional
            Where they aren't at the recorded path.

        Returns
        -------
        NewShopper
            ``user_factors`` (K,) and ``user_visual`` (D,), float32.

        Raises
        ------
        DataError
            An unknown item.
        UsageError
            An item that is named twice; RAND has no factors; a time for a model without time.
        """
        view = self.view(at, features)
        shopper = folded(view, liked_rows(view, items))
        return NewShopper(shopper.latent(view)[0], shopper.visual(view)[0])

    # --- answers ---

    def recommend(
        self,
        user: object = None,
        n: int = 10,
        *,
        at: object = None,
        where: Mapping[str, str | Sequence[str]] | None = None,
        because: str | None = None,
        exclude: Sequence[str] = PARTS,
        reasons: bool | None = None,
        boost: Mapping[str, float] | None = None,
        toward: Mapping[str, float] | Sequence[object] | str | None = None,
        likes: Sequence[object] | None = None,
        by: str = "model",
        features: Features | None = None,
    ) -> list[dict[str, Any]]:
        """The best items for a user, or for a new shopper, over the whole catalogue.

        Parameters
        ----------
        user : id, optional
            Without it, and with `likes`, `boost` or `toward`, the shopper is new.
        n : int
            At most so many; never padded.
        at : date, text or seconds, optional
            For models in time; by default the last epoch.
        where : mapping of column to values, optional
            Kept item columns: one of the values in each column; one value alone is a list of one.
        because : str, optional
            A feature: rank by its contribution alone, then by the score; it stands first in the reasons.
        exclude : sequence of str
            Parts of the split whose items the user already has.
        reasons : bool, optional
            Whether visual models add the attributes that raise each score most: True, or it is an error;
            False; by default where the features are still there, else without them and with a warning.
        boost : mapping of feature to amount, optional
            More, or below 0 less, of an attribute: an item that surely has it is lifted by so many standard
            deviations of this shopper's scores.
        toward : mapping of item to amount, list of items, or item, optional
            More like an item, by 1 where no amount is given: the item itself gains so many standard
            deviations over the average item.
        likes : sequence of ids, optional
            What a new shopper likes; see `fold_in`. It is not recommended.
        by : str
            ``model`` or ``knn``; see `Session`, which takes such steps one after the other.
        features : Features, optional
            Where they aren't at the recorded path.

        Returns
        -------
        list of dict
            ``rank item title score because``; ties in order of the ids. What was asked for stands first in
            ``because``, with the ``kind`` ``boost``. ``pandas.DataFrame`` takes it as it is.

        Warns
        -----
        UserWarning
            `at` lies outside the data; there are no reasons, because the features are gone or damaged; an
            item to go toward is as the average item.

        Raises
        ------
        DataError
            Unknown user or item; no item left for `because`.
        UsageError
            Unknown column, value, feature or part; a user and likes; a model without attributes.
        """
        if user is None and boost is None and toward is None and likes is None:
            raise UsageError(
                "There is nobody to recommend to.",
                f"Name a user, or what a new shopper likes: {parameter('likes')}.",
            )
        visit = Visit.begin(
            self.views, user, () if likes is None else likes,
            at=at, reading=Reading(by), exclude=exclude, features=features,
        )  # fmt: skip
        visit = replace(visit, steps=tuple(steps_of(visit.view, boost, toward, by)))
        for text in visit.remarks:
            visit.view.remark(text)
        return visit.recommend(n, where, because, reasons)[0]

    def recommend_all(
        self,
        n: int = 10,
        *,
        at: object = None,
        where: Mapping[str, str | Sequence[str]] | None = None,
        because: str | None = None,
        exclude: Sequence[str] = PARTS,
        reasons: bool | None = False,
        features: Features | None = None,
        device: str = "cpu",
    ) -> Iterator[tuple[str, list[dict[str, Any]]]]:
        """The best items of every user, made block by block; the parameters are those of `recommend`.

        Parameters
        ----------
        device : str
            What ranks: ``cpu``, ``cuda``, or ``auto``, CUDA where it can be used and the work is worth it.
            The items are the same; RAND is ranked by the CPU.

        Yields
        ------
        (str, list of dict)
            A user and what `recommend` returns for him; the list is empty where nothing is left.
        """
        view, _ = self.view(at, features).ranked_by(device)
        return answers.recommend_all(view, n, where=where, because=because, exclude=exclude, reasons=reasons)

    def explain(
        self, user: object, item: object, *, at: object = None, features: Features | None = None
    ) -> dict[str, Any]:
        """The terms of a score, which sum to it (model specification 7); in time those of the epoch of `at`.

        Returns
        -------
        dict
            ``user item title score terms``; a term has ``term kind contribution``, kind being ``item bias``,
            ``latent``, ``attribute`` or ``level``. An attribute's contribution compares with the average item
            of the catalogue and is split into ``you`` (θ_u) and ``everyone`` (β). A level says with
            ``every_item`` whether it is the same for every item.

        Raises
        ------
        DataError
            Unknown user or item.
        """
        data = self.views.fitted.data
        row, item_row = row_of_user(data, user), data.items.row(item)
        view = self.view(at, features)
        return {"user": data.users[row], **answers.explain(view, stored(view, np.array([row])), item_row)}

    def similar(
        self,
        item: object,
        n: int = 10,
        *,
        where: Mapping[str, str | Sequence[str]] | None = None,
        features: Features | None = None,
    ) -> list[dict[str, Any]]:
        """The items nearest to one: cosine of the centred style vectors E f_i, or of γ_i without features.

        Returns
        -------
        list of dict
            ``rank item title score because``, the score being the cosine. ``pandas.DataFrame`` takes it as it
            is.
        """
        row = self.views.fitted.data.items.row(item)
        return answers.similar(self.view(None, features), row, n, where)


def _with_column(vectors: np.ndarray, column: np.ndarray) -> np.ndarray:
    return np.concatenate([vectors, column[:, None]], axis=1)
