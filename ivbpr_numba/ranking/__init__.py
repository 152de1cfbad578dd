"""From parameters to rankings: scores, counts and AUCs, for any scorer and in one place.

A scorer answers for user rows and all items. What belongs to the items of one moment is an `ItemSide`, made
once and owned by itself; a user is a vector beside it, stored, folded in or steered. `VectorScorer` (an item
side and the stored user vectors) covers every learned model; `RowScorer` produces whole rows (hashes, another
library's scores). Counts are exact: every item that isn't the user's own is a candidate (equations 3–4, model
specification 5).
"""

from __future__ import annotations

from ivbpr_numba.ranking.best import scores, scores_of_pairs, scores_of_vectors, top, top_of_vectors
from ivbpr_numba.ranking.counting import (
    COLD_BELOW,
    Counts,
    Questions,
    all_and_cold,
    count,
    count_by_epoch,
    item_classes,
    questions,
    summary,
)
from ivbpr_numba.ranking.scorers import (
    ItemSide,
    RowScorer,
    Scorer,
    TemporalScorer,
    VectorScorer,
    at_time,
    random_scorer,
    scorer_of,
    vector_length,
)

__all__ = [
    "COLD_BELOW",
    "Counts",
    "ItemSide",
    "Questions",
    "RowScorer",
    "Scorer",
    "TemporalScorer",
    "VectorScorer",
    "all_and_cold",
    "at_time",
    "count",
    "count_by_epoch",
    "item_classes",
    "questions",
    "random_scorer",
    "scorer_of",
    "scores",
    "scores_of_pairs",
    "scores_of_vectors",
    "summary",
    "top",
    "top_of_vectors",
    "vector_length",
]
