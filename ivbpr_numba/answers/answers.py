"""The best items for shoppers, items alike, and the reasons of a score; all from a view."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ivbpr_numba.answers.explaining import sensitivities, terms_of
from ivbpr_numba.answers.shoppers import PARTS, Shoppers, stored
from ivbpr_numba.answers.views import View
from ivbpr_numba.errors import DataError, UsageError, did_you_mean, parameter
from ivbpr_numba.parameters import VisualParameters
from ivbpr_numba.ranking import ItemSide, RowScorer, top_of_vectors

if TYPE_CHECKING:
    from ivbpr_numba.datasets.dataset import Dataset

__all__ = ["allowed_items", "check_number", "explain", "recommend", "recommend_all", "similar", "title_of"]

BECAUSE = 3  # reasons beside a recommendation
USERS_A_BLOCK = 4096

Where = Mapping[str, Sequence[str]]


def recommend(
    view: View,
    shopper: Shoppers,
    n: int = 10,
    *,
    where: Where | None = None,
    because: str | None = None,
    reasons: bool = True,
) -> list[dict[str, Any]]:
    """The best items for one shopper; see `Model.recommend`."""
    allowed = allowed_items(view.fitted.data, where)
    check_number(n)
    if because is None:
        items, scores = (part[0] for part in shopper.best(view, n, allowed))
    else:
        items, scores = _because(view, shopper, because, n, allowed)
    found = _rows(view.fitted.data, items, scores)
    if reasons and isinstance(view.parameters, VisualParameters):
        for entry, terms in zip(found, _terms(view, shopper, items)):
            good = [t for t in terms if t["kind"] == "attribute" and t["contribution"] > 0]
            entry["because"] = [
                {"term": t["term"], "contribution": t["contribution"]} for t in good[:BECAUSE]
            ]
    return found


def recommend_all(
    view: View, n: int = 10, *, where: Where | None = None, exclude: Sequence[str] = PARTS
) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The best items of every user, block by block: pairs (user, rows as `recommend`, without reasons)."""
    data = view.fitted.data
    allowed = allowed_items(data, where)
    check_number(n)
    for start in range(0, len(data.users), USERS_A_BLOCK):
        rows = np.arange(start, min(start + USERS_A_BLOCK, len(data.users)))
        found = stored(view, rows, exclude).best(view, n, allowed)
        for row, items, scores in zip(rows.tolist(), *found):
            yield data.users[row], _rows(data, items, scores)


def explain(view: View, shopper: Shoppers, item_row: int) -> dict[str, Any]:
    """The terms of one score: ``item title score terms``; see `Model.explain`."""
    terms = _terms(view, shopper, [item_row])[0]
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
    begin = view.fitted.config["factors"] if isinstance(view.parameters, VisualParameters) else 0
    vectors = view.scorer.items.vectors[:, begin:].astype(np.float64)
    vectors -= vectors.mean(axis=0)
    norms = np.sqrt(np.square(vectors).sum(axis=1))
    vectors /= np.where(norms > 0, norms, 1.0)[:, None]
    unit = vectors.astype(np.float32)
    cosine = ItemSide(unit, np.zeros(len(unit), np.float32))
    owned = (np.array([0, 1]), np.array([item_row], np.int32))
    found = top_of_vectors(cosine, unit[item_row : item_row + 1], n, owned, allowed_items(data, where))
    items, scores = (part[0] for part in found)
    return _rows(data, items, scores)


def allowed_items(data: Dataset, where: Where | None) -> np.ndarray:
    """Items whose kept columns have one of the wanted values in every named column, (I,) bool.

    Raises
    ------
    UsageError
        A column that was not kept, or a value that no item has.
    """
    allowed = np.ones(len(data.items), dtype=bool)
    for column, values in (where or {}).items():
        if column not in data.item_columns:
            known = sorted(data.item_columns)
            hint = did_you_mean(column, known) or (
                f"Kept columns: {', '.join(known)}."
                if known
                else f"Keep columns with {parameter('keep', of='prepare')}."
            )
            raise UsageError(f"The items have no column '{column}'.", hint)
        cells = data.item_columns[column]
        inside = np.zeros(len(cells), dtype=bool)
        for value in values:
            same = cells == value.encode()
            if not same.any():
                known = [cell.decode() for cell in np.unique(cells).tolist()]
                hint = did_you_mean(value, known) or f"There are {len(known):,} other values."
                raise UsageError(f"No item has {column}={value}.", hint)
            inside |= same
        allowed &= inside
    return allowed


def title_of(data: Dataset, item_row: int) -> str | None:
    """Title of an item, None where it has none."""
    column = data.item_columns.get("title")
    return None if column is None else column[item_row].decode() or None


def _rows(data: Dataset, items: np.ndarray, scores: np.ndarray) -> list[dict[str, Any]]:
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
    """Refuse fewer items than one."""
    if n < 1:
        raise UsageError(f"-n {n}: at least one item must be asked for.", "Give a positive number.")


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


def _because(
    view: View, shopper: Shoppers, feature: str, n: int, allowed: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Items ranked by one attribute's contribution alone, then by the score; with their scores."""
    parameters, record = view.parameters, view.fitted.features
    found = view.views.find_features()
    assert isinstance(parameters, VisualParameters) and record is not None
    column = found.column(feature)
    weight = float(sensitivities(parameters, record, shopper.visual(view)[0]).centred[column])
    value = (
        found.matrix[:, column][found.rows_of_all(view.fitted.data.items)].astype(np.float64) * found.scale
    )
    scores = shopper.scores(view)[0]
    candidates = np.flatnonzero(allowed & (value != 0))
    candidates = candidates[~np.isin(candidates, shopper.owned[1])]
    if not len(candidates):
        raise DataError(f"No item is left that has '{found.names[column]}'.", f"Widen {parameter('where')}.")
    order = np.lexsort((candidates, -scores[candidates], -weight * value[candidates]))[:n]
    return candidates[order], scores[candidates[order]]
