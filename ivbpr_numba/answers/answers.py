"""The best items for shoppers, items alike, and the reasons of a score; all from a view."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ivbpr_numba import expected
from ivbpr_numba.answers.because import Because
from ivbpr_numba.answers.explaining import sensitivities, terms_of
from ivbpr_numba.answers.reasons import has_reasons, reasons_of
from ivbpr_numba.answers.shoppers import PARTS, Shoppers, stored
from ivbpr_numba.answers.views import View
from ivbpr_numba.errors import DataError, UsageError, did_you_mean, parameter
from ivbpr_numba.events import Event, Observer
from ivbpr_numba.parameters import VisualParameters
from ivbpr_numba.processes import Crew, in_order
from ivbpr_numba.ranking import ItemSide, RowScorer, top_of_vectors

if TYPE_CHECKING:
    from ivbpr_numba.datasets.dataset import Dataset
    from ivbpr_numba.ids import Ids

__all__ = [
    "Asked",
    "allowed_items",
    "check_number",
    "explain",
    "recommend_all",
    "rows_of",
    "similar",
    "title_of",
]

USERS_A_BLOCK = 4096
COMPARED = 5000  # values among which a near miss is looked for: it takes long among more
KINDS = ("item bias", "latent", "boost", "attribute", "level")  # of terms, in this order

Where = Mapping[str, str | Sequence[str]]


def recommend_all(
    view: View,
    n: int = 10,
    *,
    where: Where | None = None,
    because: str | None = None,
    exclude: Sequence[str] = PARTS,
    reasons: bool | None = False,
) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The best items of every user, block by block: pairs (user, rows as `recommend` gives them)."""
    return Asked.of(view, n, where, because, reasons).every(view, exclude)


@dataclass(frozen=True)
class Asked:
    """What is asked of recommendations, checked once for all shoppers.

    Attributes
    ----------
    n : int
    allowed : (I,) bool
    because : Because or None
        Items are ranked by this attribute.
    reasons, demanded : bool
        Whether rows get reasons, and whether it is an error where they can't be had.
    """

    n: int
    allowed: np.ndarray
    because: Because | None
    reasons: bool
    demanded: bool

    @classmethod
    def of(cls, view: View, n: int, where: Where | None, because: str | None, reasons: bool | None) -> Asked:
        """Check what was asked of a view; see `Model.recommend`."""
        check_number(n)
        allowed = allowed_items(view.fitted.data, where)
        ranked_by = None if because is None else Because.asked(view, because, allowed)
        return cls(n, allowed, ranked_by, has_reasons(view, reasons), reasons is True)

    def every(
        self, view: View, exclude: Sequence[str], crew: Crew | None = None
    ) -> Iterator[tuple[str, list[dict[str, Any]]]]:
        """Every user and the answer, block by block; a crew answers several blocks at a time."""
        stored(view, np.zeros(0, np.int64), exclude)  # wrong parts are refused now, not at the first row
        return self._blocks(view, exclude, crew)

    def _blocks(
        self, view: View, exclude: Sequence[str], crew: Crew | None
    ) -> Iterator[tuple[str, list[dict[str, Any]]]]:
        users = view.fitted.data.users
        starts = range(0, len(users), USERS_A_BLOCK)
        if crew is None:
            for start in starts:
                yield from zip(_named(users, start), self.block(view, exclude, start))
            return
        said: set[str] = set()

        def tell(number: int, event: Event) -> None:
            if event["event"] == "warning" and event["message"] not in said:
                said.add(event["message"])
                view.remark(event["message"])

        with crew.begin(_answer_block, (self, view, tuple(exclude))) as hands:
            for start, found in zip(starts, in_order(hands.run(starts, tell))):
                yield from zip(_named(users, start), found)

    def block(self, view: View, exclude: Sequence[str], start: int) -> list[list[dict[str, Any]]]:
        """The answers for a block of users, from a row on."""
        stop = min(start + USERS_A_BLOCK, len(view.fitted.data.users))
        return self.rows(view, stored(view, np.arange(start, stop), exclude))

    def rows(self, view: View, shoppers: Shoppers) -> list[list[dict[str, Any]]]:
        """The answer for each shopper."""
        column = None
        if self.because is None:
            best = shoppers.best(view, self.n, self.allowed)
        else:
            best, column = self.because.best(view, shoppers, self.n), self.because.column
        found = [rows_of(view.fitted.data, items, scores) for items, scores in zip(*best)]
        if self.reasons:
            try:
                reasons = reasons_of(view, shoppers, best[0], column)
            except DataError as problem:  # rows that nobody had read before
                if self.demanded:
                    raise
                view.remark(f"There are no reasons: {problem.message}")
                return found
            asked_for = shoppers.asked_for(view, best[0])
            for rows, of_steps, of_taste in zip(found, asked_for, reasons):
                for row, asked, own in zip(rows, of_steps, of_taste):
                    row["because"] = asked + own
        return found


def _named(users: Ids, start: int) -> list[str]:
    return [users[row] for row in range(start, min(start + USERS_A_BLOCK, len(users)))]


def _answer_block(
    shared: tuple[Asked, View, Sequence[str]], start: int, tell: Observer
) -> list[list[dict[str, Any]]]:
    asked, view, exclude = shared
    return asked.block(view, exclude, start)


def explain(view: View, shopper: Shoppers, item_row: int) -> dict[str, Any]:
    """The terms of one score: ``item title score terms``; see `Model.explain`."""
    terms = [*_terms(view, shopper, [item_row])[0], *shopper.terms_asked_for(view, item_row)]
    terms.sort(key=lambda term: KINDS.index(term["kind"]))
    if not terms:
        raise UsageError(f"The scores of {view.fitted.name} have no terms.", "Explain a model that learns.")
    return {
        "item": view.fitted.data.items[item_row],
        "title": title_of(view.fitted.data, item_row),
        "score": sum(term["contribution"] for term in terms),
        "terms": terms,
    }


def similar(view: View, item_row: int, n: int = 10, where: Where | None = None) -> list[dict[str, Any]]:
    """The nearest items; see `Model.similar`."""
    data = view.fitted.data
    check_number(n)
    if isinstance(view.scorer, RowScorer) or not view.scorer.items.vectors.shape[1]:
        raise UsageError(f"{view.fitted.name} learns nothing about items alone.", "Ask another model.")
    # Latent factors of items that nobody bought are still where they started: style is what compares them.
    parameters = view.parameters
    begin = parameters.item_factors.shape[1] if isinstance(parameters, VisualParameters) else 0
    vectors = view.scorer.items.vectors[:, begin:].astype(np.float64)
    vectors -= vectors.mean(axis=0)
    norms = np.sqrt(np.square(vectors).sum(axis=1))
    vectors /= np.where(norms > 0, norms, 1.0)[:, None]
    unit = vectors.astype(np.float32)
    cosine = ItemSide(unit, np.zeros(len(unit), np.float32))
    owned = (np.array([0, 1]), np.array([item_row], np.int32))
    found = top_of_vectors(cosine, unit[item_row : item_row + 1], n, owned, allowed_items(data, where))
    items, scores = (part[0] for part in found)
    return rows_of(data, items, scores)


def allowed_items(data: Dataset, where: Where | None) -> np.ndarray:
    """Items whose kept columns have one of the wanted values in every named column, (I,) bool.

    Raises
    ------
    UsageError
        A column that was not kept, or a value that no item has.
    """
    allowed = np.ones(len(data.items), dtype=bool)
    for column, values in expected.values_by_column("where", where).items():
        if column not in data.item_columns:
            known = sorted(data.item_columns)
            hint = did_you_mean(column, known) or (
                f"Kept columns: {', '.join(known)}."
                if known
                else f"Keep columns with {parameter('keep', of='prepare')}, or, from a frame of items, with "
                "Dataset.with_items."
            )
            raise UsageError(f"The items have no column '{column}'.", hint)
        cells = data.item_columns[column]
        inside = np.zeros(len(cells), dtype=bool)
        for value in values:
            same = cells == value.encode()
            if not same.any():
                known = [cell.decode() for cell in np.unique(cells).tolist()]
                near = did_you_mean(value, known) if len(known) <= COMPARED else ""
                hint = near or f"There are {len(known):,} other values."
                raise UsageError(f"No item has {column}={value}.", hint)
            inside |= same
        allowed &= inside
    return allowed


def title_of(data: Dataset, item_row: int) -> str | None:
    """Title of an item, None where it has none."""
    column = data.item_columns.get("title")
    return None if column is None else column[item_row].decode() or None


def rows_of(data: Dataset, items: np.ndarray, scores: np.ndarray) -> list[dict[str, Any]]:
    """Items in order of their rank, without reasons."""
    return [
        {
            "rank": rank,
            "item": data.items[int(item)],
            "title": title_of(data, int(item)),
            "score": float(score),
            "because": [],
        }
        for rank, (item, score) in enumerate(zip(items, scores), 1)
    ]


def check_number(n: int) -> None:
    """Refuse fewer items than one, and what is no whole number."""
    expected.whole("n", n, 1)


def _terms(
    view: View, shopper: Shoppers, item_rows: Sequence[int] | np.ndarray
) -> list[list[dict[str, Any]]]:
    """The terms of one shopper's scores of some items."""
    parameters, record = view.parameters, view.fitted.features
    latent = shopper.latent(view)[0]
    if not isinstance(parameters, VisualParameters) or record is None:
        return [terms_of(parameters, latent, int(item)) for item in item_rows]
    felt = sensitivities(parameters, record, shopper.visual(view)[0])
    values = view.values(item_rows)
    return [terms_of(parameters, latent, int(item), record, felt, v) for item, v in zip(item_rows, values)]
