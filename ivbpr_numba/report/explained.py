"""One shopper of a built-in world: the recommendations, and the top one term by term beside the truth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ivbpr_numba.answers.explaining import Sensitivities, sensitivities
from ivbpr_numba.parameters import VisualParameters
from ivbpr_numba.questions.planted import PlantedTaste, noteworthy
from ivbpr_numba.report.shoppers import owned
from ivbpr_numba.worlds.world import truth_vectors

if TYPE_CHECKING:
    from ivbpr_numba.datasets.dataset import Dataset
    from ivbpr_numba.features.features import Features
    from ivbpr_numba.models.base import Model
    from ivbpr_numba.worlds.truth import Truth

__all__ = ["chosen_shopper", "explained"]

RECOMMENDATIONS = 5
LIKES = 3


def chosen_shopper(data: Dataset) -> int:
    """Row of the user with the most purchases; the first by id where several have as many."""
    return int(np.argmax(_purchases(data)))


def explained(truth: Truth, model: Model, features: Features) -> dict[str, Any]:
    """The chosen shopper's list, and its first product explained by the model and by the truth.

    Returns
    -------
    dict
        ``user purchases kept candidates``; ``owned`` (see `shoppers.owned`) and ``more``, 0; ``likes`` (the
        attributes that the shopper was made to like most, with both tastes); ``list`` (as
        `Model.recommend`, with ``truth_rank``, and in each reason ``has``: whether the product really has
        the attribute); ``item title score utility``; ``terms`` (``term kind learned planted``, of attributes
        also ``seen``, the value that the model knows, and ``has``), whose ``learned`` sum to ``score`` and
        whose ``planted`` sum to ``utility``. What the product has not, and was hardly seen to have, is one
        term of kind ``rest``.
    """
    data, record = model.data_, model.features_
    assert isinstance(model.parameters_, VisualParameters) and record is not None
    row = chosen_shopper(data)
    user = data.users[row]
    ranks, candidates = _truth_ranks(truth, data, row)
    taste = PlantedTaste(truth, features, data.items)
    entries = []
    for entry in model.recommend(user, RECOMMENDATIONS):
        item_row = data.items.row(entry["item"])
        has = dict(zip(features.names, (taste.has[item_row] > 0).tolist()))
        because = [{**reason, "has": has[reason["term"]]} for reason in entry["because"]]
        entries.append({**entry, "because": because, "truth_rank": int(ranks[item_row])})
    planted = taste.sensitivities(truth.users.row(user))
    learned = sensitivities(model.parameters_, record, model.parameters_.user_visual[row])
    item = entries[0]["item"]
    terms = _terms(truth, model, features, taste, planted, user, item)
    best = np.argsort(-planted.centred, kind="stable")[:LIKES]
    bought = owned(data, row)
    return {
        "user": user,
        "purchases": int(_purchases(data)[row]),
        "candidates": candidates,
        "kept": sum(product["kept"] for product in bought),
        "owned": bought,
        "more": 0,
        "likes": [
            {
                "term": features.names[k],
                "planted": float(planted.centred[k]),
                "learned": float(learned.centred[k]),
            }
            for k in best.tolist()
        ],
        "list": entries,
        "item": item,
        "title": entries[0]["title"],
        "truth_rank": entries[0]["truth_rank"],
        "terms": terms,
        "score": entries[0]["score"],
        "utility": sum(term["planted"] for term in terms),
    }


def _purchases(data: Dataset) -> np.ndarray:
    return np.sum([np.diff(part.indptr) for part in (data.train, data.valid, data.test)], axis=0)


def owned_items(data: Dataset, row: int) -> set[int]:
    """Rows of the items that a user bought."""
    return {
        int(i)
        for part in (data.train, data.valid, data.test)
        for i in part.indices[part.indptr[row] : part.indptr[row + 1]]
    }


def _truth_ranks(truth: Truth, data: Dataset, row: int) -> tuple[np.ndarray, int]:
    """Rank of every item by the true utility among those that the user doesn't own, and their number."""
    vectors = truth_vectors(truth, [data.users[row]], data.items.values, with_time=False)
    utility = vectors.items @ vectors.users[0] + vectors.item_bias[0]
    free = np.ones(len(utility), dtype=bool)
    free[sorted(owned_items(data, row))] = False
    better = np.sort(-utility[free])
    return 1 + np.searchsorted(better, -utility, side="left"), int(free.sum())


def _terms(
    truth: Truth,
    model: Model,
    features: Features,
    taste: PlantedTaste,
    planted: Sensitivities,
    user: str,
    item: str,
) -> list[dict[str, Any]]:
    """The model's terms with what the truth holds in their place."""
    user_row, item_row = truth.users.row(user), truth.items.row(item)
    row = model.data_.items.row(item)
    values = features.values(features.rows(model.data_.items)[[row]])[0]
    has = taste.has[row]
    column = {name: k for k, name in enumerate(features.names)}
    kept = noteworthy(has, values)
    others = {
        "item bias": float(truth.popularity[item_row]),
        "latent": float(truth.user_latent[user_row] @ truth.item_latent[item_row]),
    }
    levels = {
        group.name: float(level * has[group.offset : group.offset + group.size].sum())
        for group, level in zip(features.groups, planted.level)
    }
    found: list[dict[str, Any]] = []
    rest, counted = 0.0, 0
    named = set()
    for term in model.explain(user, item)["terms"]:
        one = {"term": term["term"], "kind": term["kind"], "learned": term["contribution"]}
        if term["kind"] != "attribute":
            found.append(
                {**one, "planted": (levels if term["kind"] == "level" else others).get(term["term"], 0.0)}
            )
            continue
        k = column[term["term"]]
        named.add(k)
        if kept[k]:
            found.append(_attribute(one, k, planted, has, values))
        else:
            rest, counted = rest + term["contribution"], counted + 1
    for k in np.flatnonzero(kept).tolist():
        if k not in named:  # the product has it, and the model knows nothing of it
            one = {"term": features.names[k], "kind": "attribute", "learned": 0.0}
            found.append(_attribute(one, k, planted, has, values))
    if counted:
        found.append({"term": "rest", "kind": "rest", "learned": rest, "planted": 0.0, "attributes": counted})
    return found


def _attribute(
    term: dict[str, Any], k: int, planted: Sensitivities, has: np.ndarray, values: np.ndarray
) -> dict[str, Any]:
    return {
        **term,
        "planted": float(planted.centred[k] * has[k]),
        "seen": float(values[k]),
        "has": bool(has[k]),
    }
