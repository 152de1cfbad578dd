"""New shoppers: vectors for people the fit did not know, from what they like."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ivbpr_numba import backends, expected
from ivbpr_numba.answers.shoppers import Shoppers
from ivbpr_numba.answers.views import View
from ivbpr_numba.errors import DataError, UsageError
from ivbpr_numba.kernels.arguments import NegativeLaw, Pairs
from ivbpr_numba.parameters import FactorParameters, VisualParameters
from ivbpr_numba.ranking import RowScorer

__all__ = ["NewShopper", "fold", "folded", "liked_rows"]

# Triples a shopper, dealt out evenly over the likes: the noise of the drawn negatives falls with its root.
TRIPLES = 2048
# λ of a fit that has less. Without a penalty few likes have no optimum: every negative can be told apart, and
# the longer the vector the better. A fit stops before it gets there; a solver would not.
LEAST_DECAY = 1e-3
BLOCK = 512  # shoppers whose triples are in memory together
CLOSE = 1e-9  # of the objective, that a vector may miss


class NewShopper(NamedTuple):
    """What the fit would have learned of a shopper, all else being as it is.

    Attributes
    ----------
    user_factors : (K,) float32
        γ_u; empty of a model without factors.
    user_visual : (D,) float32
        θ_u; empty of a model without features.
    """

    user_factors: np.ndarray
    user_visual: np.ndarray


def liked_rows(view: View, items: Any) -> np.ndarray:
    """Rows of liked items by id, ascending, (k,) int32.

    Raises
    ------
    UsageError
        One id where a list belongs; an item that is named twice.
    DataError
        An unknown item; the hint names a near miss.
    """
    known = view.fitted.data.items
    rows: dict[int, object] = {}
    for item in expected.several("likes", items):
        row = known.row(item)
        if row in rows:
            raise UsageError(f"The item '{item}' is liked twice.", "Name every liked item once.")
        rows[row] = item
    return np.array(sorted(rows), dtype=np.int32)


def folded(view: View, item_rows: Sequence[int] | np.ndarray, owned: np.ndarray | None = None) -> Shoppers:
    """One new shopper from the rows of the liked items.

    Parameters
    ----------
    view : View
        In time the items are those of its epoch.
    item_rows : (k,) int, distinct, in any order
    owned : (n,) int, optional
        Rows of the items that are never recommended; by default the liked ones.

    Returns
    -------
    Shoppers
        Of one row that is none of the data.

    Raises
    ------
    UsageError
        The model knows shoppers by their row alone (RAND).
    """
    likes = np.unique(np.asarray(item_rows, dtype=np.int32))
    kept = likes if owned is None else np.unique(np.asarray(owned, dtype=np.int32))
    vectors = fold(view, (np.array([0, len(likes)]), likes))
    return Shoppers(vectors, (np.array([0, len(kept)], np.int64), kept))


def fold(view: View, likes: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """The vectors [γ_u, θ_u] that maximise the shoppers' own BPR objective, all item parameters fixed.

    Of each shopper: mean over his triples (i, j) of ln σ(x̂_ui − x̂_uj) (of MM-MF minus the hinge), less
    ½ λ ‖γ_u‖² + ½ λ ‖θ_u‖² with the λ that the fit applies once a triple. The positives are his likes, taken
    in turn; the negatives are drawn by the law of the fit, as a function of its seed and of his likes alone.
    The optimum is unique, and does not depend on threads or on who else is folded in.

    Parameters
    ----------
    view : View
    likes : CSR, (m + 1,) int64 and (n,) int32
        Rows of liked items, ascending and distinct within a shopper.

    Returns
    -------
    (m, L) float32
        Zeros for a shopper who likes nothing, or everything.

    Raises
    ------
    UsageError
        As `folded`.
    """
    if isinstance(view.scorer, RowScorer):
        raise UsageError(f"{view.fitted.name} knows shoppers by their row alone.", "Ask another model.")
    indptr, items = np.asarray(likes[0], dtype=np.int64), np.ascontiguousarray(likes[1], dtype=np.int32)
    vectors, bias = view.scorer.items.rows
    out = np.zeros((len(indptr) - 1, vectors.shape[1]))
    if not isinstance(view.parameters, FactorParameters):
        return out.astype(np.float32)
    config, data, kernels = view.fitted.config, view.fitted.data, backends.kernels()
    law = NegativeLaw.of(config["negatives"], data.train_counts)
    decay = decays(view)
    for begin in range(0, len(out), BLOCK):
        stop = min(begin + BLOCK, len(out))
        own = Pairs(indptr[begin : stop + 1] - indptr[begin], items[indptr[begin] : indptr[stop]])
        places = triple_places(own.indptr, len(bias))
        negatives = np.empty(places[-1], np.int32)
        kernels.fold_negatives(np.uint64(config["seed"]), own, places, law, data.train.indices, negatives)
        left = np.empty(stop - begin)
        margin = np.float64(config.get("margin", -1.0))
        kernels.fold_in(own, places, negatives, vectors, bias, decay, margin, out[begin:stop], left)
        if not np.all(left <= CLOSE):
            raise DataError(
                f"Folding in did not converge: an objective may still gain {left.max():.3g}.",
                "The parameters of the model are out of all proportion; fit it with a lower learning rate.",
            )
    return out.astype(np.float32)


def triple_places(indptr: np.ndarray, n_items: int) -> np.ndarray:
    """First triple of each shopper, (m + 1,) int64: as many for each of his likes; none where none exist."""
    sizes = np.diff(indptr)
    each = -(-TRIPLES // np.maximum(sizes, 1))
    triples = np.where(sizes < n_items, sizes * each, 0)
    return np.concatenate([[0], np.cumsum(triples)]).astype(np.int64)


def decays(view: View) -> np.ndarray:
    """λ of each coordinate of [γ_u, θ_u] as the fit applied it, (L,) float64; see `LEAST_DECAY`."""
    config, parameters = view.fitted.config, view.parameters
    assert isinstance(parameters, FactorParameters)
    of_theta = float(config["lambda_theta"])
    of_gamma = of_theta if config.get("reg_scope", "all") == "all" else 0.0
    latent = parameters.item_factors.shape[1]
    visual = len(parameters.embedding) if isinstance(parameters, VisualParameters) else 0
    return np.maximum(np.repeat([of_gamma, of_theta], [latent, visual]), LEAST_DECAY)
