"""One shopper of a built-in world: the recommendations, and the top one term by term beside the truth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ivbpr_numba.datasets.world import truth_vectors
from ivbpr_numba.faithful import PlantedTaste
from ivbpr_numba.models.explaining import Sensitivities, sensitivities
from ivbpr_numba.parameters import VisualParameters

if TYPE_CHECKING:
    from ivbpr_numba.datasets.dataset import Dataset
    from ivbpr_numba.datasets.features import Features
    from ivbpr_numba.datasets.world_truth import Truth
    from ivbpr_numba.models.base import Model

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
        ``user purchases candidates``; ``likes`` (the attributes that the shopper was made to like most, with
        both tastes); ``list`` (as `Model.recommend`, with ``truth_rank``); ``item title score utility``;
        ``terms`` (``term kind learned planted``), whose ``learned`` sum to ``score`` and whose ``planted``
        sum to ``utility``.
    """
    data, record = model.data_, model.features_
    assert isinstance(model.parameters_, VisualParameters) and record is not None
    row = chosen_shopper(data)
    user = data.users[row]
    ranks, candidates = _truth_ranks(truth, data, row)
    entries = [
        {**entry, "truth_rank": int(ranks[data.items.row(entry["item"])])}
        for entry in model.recommend(user, RECOMMENDATIONS)
    ]
    planted = PlantedTaste(truth, features, data.items).sensitivities(truth.users.row(user))
    learned = sensitivities(model.parameters_, record, row)
    item = entries[0]["item"]
    terms = _terms(truth, model, features, planted, user, item)
    best = np.argsort(-planted.centred, kind="stable")[:LIKES]
    return {
        "user": user,
        "purchases": int(_purchases(data)[row]),
        "candidates": candidates,
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


def _truth_ranks(truth: Truth, data: Dataset, row: int) -> tuple[np.ndarray, int]:
    """Rank of every item by the true utility among those that the user doesn't own, and their number."""
    vectors = truth_vectors(truth, [data.users[row]], data.items.values, with_time=False)
    utility = vectors.items @ vectors.users[0] + vectors.item_bias[0]
    free = np.ones(len(utility), dtype=bool)
    for part in (data.train, data.valid, data.test):
        free[part.indices[part.indptr[row] : part.indptr[row + 1]]] = False
    better = np.sort(-utility[free])
    return 1 + np.searchsorted(better, -utility, side="left"), int(free.sum())


def _terms(
    truth: Truth, model: Model, features: Features, planted: Sensitivities, user: str, item: str
) -> list[dict[str, Any]]:
    """The model's terms with what the truth holds in their place."""
    user_row, item_row = truth.users.row(user), truth.items.row(item)
    values = features.values(features.rows(model.data_.items)[[model.data_.items.row(item)]])[0]
    theirs = {
        "item bias": float(truth.popularity[item_row]),
        "latent": float(truth.user_latent[user_row] @ truth.item_latent[item_row]),
        **dict(zip(features.names, (planted.centred * values).tolist())),
    }
    levels = {
        group.name: float(level * values[group.offset : group.offset + group.size].sum())
        for group, level in zip(features.groups, planted.level)
    }
    return [
        {
            "term": term["term"],
            "kind": term["kind"],
            "learned": term["contribution"],
            "planted": (levels if term["kind"] == "level" else theirs).get(term["term"], 0.0),
        }
        for term in model.explain(user, item)["terms"]
    ]
