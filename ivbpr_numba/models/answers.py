"""Answers about a fitted model: the best items for a user, items alike, the reasons of a score."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ivbpr_numba.errors import DataError, UsageError, did_you_mean
from ivbpr_numba.models.explaining import sensitivities, terms_of
from ivbpr_numba.parameters import Parameters, TemporalParameters, VisualParameters
from ivbpr_numba.ranking import RowScorer, TemporalScorer, VectorScorer, top
from ivbpr_numba.ranking import scores as all_scores
from ivbpr_numba.readers.times import parse_moment

if TYPE_CHECKING:
    from ivbpr_numba.datasets.dataset import Dataset
    from ivbpr_numba.features.features import Features
    from ivbpr_numba.models.base import Model

__all__ = ["View", "allowed_items", "explain", "owned_items", "recommend", "recommend_all", "similar", "view"]

PARTS = ("train", "valid", "test")
BECAUSE = 3  # reasons beside a recommendation
USERS_A_BLOCK = 4096

Where = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class View:
    """A model at one moment: without time the model itself, else that of one epoch.

    Attributes
    ----------
    scorer : VectorScorer or RowScorer
    parameters : Parameters
    epoch : int or None
    """

    scorer: VectorScorer | RowScorer
    parameters: Parameters
    epoch: int | None = None


def view(model: Model, at: object = None, features: Features | None = None) -> View:
    """The model at a time; by default, and for all later times, its last epoch.

    Raises
    ------
    UsageError
        A time for a model without time, or one that can't be read.
    """
    scorer = model.scorer(features)
    if not isinstance(scorer, TemporalScorer):
        if at is not None:
            raise UsageError(f"{model.name} knows no time, so --at means nothing to it.", "Leave it out.")
        return View(scorer, model.parameters_)
    assert isinstance(model.parameters_, TemporalParameters)
    epoch = len(scorer.edges) - 2
    if at is not None:
        epoch = int(scorer.epochs(np.array([parse_moment(at)]))[0])
    return View(scorer.at(epoch), model.parameters_.at(epoch), epoch)


def recommend(
    model: Model,
    user: object,
    n: int = 10,
    *,
    at: object = None,
    where: Where | None = None,
    because: str | None = None,
    exclude: Sequence[str] = PARTS,
    reasons: bool = True,
    features: Features | None = None,
) -> list[dict[str, Any]]:
    """The best items for one user; see `Model.recommend`."""
    row = model.data_.users.row(user)
    allowed = allowed_items(model.data_, where)
    _check_number(n)
    owned = owned_items(model.data_, np.array([row]), exclude)
    now = view(model, at, features)
    if because is None:
        items, scores = (part[0] for part in top(now.scorer, np.array([row]), n, owned, allowed))
    else:
        items, scores = _because(model, now, row, because, n, owned[1], allowed, features)
    found = [_row(model.data_, rank, item, score) for rank, (item, score) in enumerate(zip(items, scores), 1)]
    if reasons and isinstance(now.parameters, VisualParameters):
        for entry, terms in zip(found, _terms(model, now, row, items, features)):
            good = [t for t in terms if t["kind"] == "attribute" and t["contribution"] > 0]
            entry["because"] = [
                {"term": t["term"], "contribution": t["contribution"]} for t in good[:BECAUSE]
            ]
    return found


def recommend_all(
    model: Model,
    n: int = 10,
    *,
    at: object = None,
    where: Where | None = None,
    exclude: Sequence[str] = PARTS,
    features: Features | None = None,
) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The best items of every user, block by block: pairs (user, rows as `recommend`, without reasons)."""
    data, scorer = model.data_, view(model, at, features).scorer
    allowed = allowed_items(data, where)
    _check_number(n)
    for start in range(0, len(data.users), USERS_A_BLOCK):
        rows = np.arange(start, min(start + USERS_A_BLOCK, len(data.users)))
        found = top(scorer, rows, n, owned_items(data, rows, exclude), allowed)
        for row, items, scores in zip(rows.tolist(), *found):
            pairs = enumerate(zip(items, scores), 1)
            yield data.users[row], [_row(data, rank, item, score) for rank, (item, score) in pairs]


def explain(
    model: Model, user: object, item: object, at: object = None, features: Features | None = None
) -> dict[str, Any]:
    """The terms of one score; see `Model.explain`."""
    user_row, item_row = model.data_.users.row(user), model.data_.items.row(item)
    terms = _terms(model, view(model, at, features), user_row, [item_row], features)[0]
    if not terms:
        raise UsageError(f"The scores of {model.name} have no terms.", "Explain a model that learns.")
    return {
        "user": model.data_.users[user_row],
        "item": model.data_.items[item_row],
        "title": title_of(model.data_, item_row),
        "score": sum(term["contribution"] for term in terms),
        "terms": terms,
    }


def similar(
    model: Model, item: object, n: int = 10, where: Where | None = None, features: Features | None = None
) -> list[dict[str, Any]]:
    """The nearest items; see `Model.similar`."""
    row = model.data_.items.row(item)
    _check_number(n)
    scorer = view(model, None, features).scorer
    if not isinstance(scorer, VectorScorer) or not scorer.item_vectors.shape[1]:
        raise UsageError(f"{model.name} learns nothing about items alone.", "Ask another model.")
    # Latent factors of items that nobody bought are still where they started: style is what compares them.
    begin = model.config_["factors"] if isinstance(model.parameters_, VisualParameters) else 0
    vectors = scorer.item_vectors[:, begin:].astype(np.float64)
    vectors -= vectors.mean(axis=0)
    norms = np.sqrt(np.square(vectors).sum(axis=1))
    vectors /= np.where(norms > 0, norms, 1.0)[:, None]
    unit = vectors.astype(np.float32)
    cosine = VectorScorer(unit[row : row + 1], unit, np.zeros(len(unit), np.float32))
    owned = (np.array([0, 1]), np.array([row], np.int32))
    items, scores = (
        part[0] for part in top(cosine, np.zeros(1, np.int64), n, owned, allowed_items(model.data_, where))
    )
    return [
        _row(model.data_, rank, other, score) for rank, (other, score) in enumerate(zip(items, scores), 1)
    ]


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
                f"Kept columns: {', '.join(known)}." if known else "Keep columns with 'ivbpr prepare --keep'."
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


def _row(data: Dataset, rank: int, item: int, score: float) -> dict[str, Any]:
    item = int(item)
    return {
        "rank": rank,
        "item": data.items[item],
        "title": title_of(data, item),
        "score": float(score),
        "because": [],
    }


def _check_number(n: int) -> None:
    if n < 1:
        raise UsageError(f"-n {n}: at least one item must be asked for.", "Give a positive number.")


def owned_items(data: Dataset, rows: np.ndarray, parts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Items of some users in some parts of the split as CSR, ascending within a user."""
    for part in parts:
        if part not in PARTS:
            raise UsageError(f"Unknown part '{part}' to exclude.", did_you_mean(part, PARTS) or "Use train.")
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


def _values(model: Model, item_rows: Sequence[int] | np.ndarray, features: Features | None) -> np.ndarray:
    """Values (n, F) float64 of some items."""
    found = model.find_features(features)
    rows = found.items.find(model.data_.items.values[np.asarray(item_rows, dtype=np.int64)])
    return found.take(rows).astype(np.float64) * found.scale


def _terms(
    model: Model, now: View, user_row: int, item_rows: Sequence[int] | np.ndarray, features: Features | None
) -> list[list[dict[str, Any]]]:
    parameters, record = now.parameters, model.features_
    if not isinstance(parameters, VisualParameters) or record is None:
        return [terms_of(parameters, None, user_row, int(item), None) for item in item_rows]
    found = sensitivities(parameters, record, user_row)
    values = _values(model, item_rows, features)
    return [terms_of(parameters, record, user_row, int(item), v, found) for item, v in zip(item_rows, values)]


def _because(
    model: Model,
    now: View,
    user_row: int,
    feature: str,
    n: int,
    owned: np.ndarray,
    allowed: np.ndarray,
    features: Features | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Items ranked by one attribute's contribution alone, then by the score; with their scores."""
    parameters, record = now.parameters, model.features_
    found = model.find_features(features)
    assert isinstance(parameters, VisualParameters) and record is not None
    column = found.column(feature)
    weight = float(sensitivities(parameters, record, user_row).centred[column])
    value = found.matrix[:, column][found.rows_of_all(model.data_.items)].astype(np.float64) * found.scale
    scores = all_scores(now.scorer, np.array([user_row]))[0]
    candidates = np.flatnonzero(allowed & (value != 0))
    candidates = candidates[~np.isin(candidates, owned)]
    if not len(candidates):
        raise DataError(f"No item is left that has '{found.names[column]}'.", "Widen --where.")
    order = np.lexsort((candidates, -scores[candidates], -weight * value[candidates]))[:n]
    return candidates[order], scores[candidates[order]]
