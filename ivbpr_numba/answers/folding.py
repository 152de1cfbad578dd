"""New shoppers: vectors for people the fit did not know, from what they like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ivbpr_numba import backends, expected
from ivbpr_numba.answers.shoppers import Shoppers
from ivbpr_numba.answers.views import View
from ivbpr_numba.errors import DataError, UsageError
from ivbpr_numba.kernels.arguments import NegativeLaw, Pairs
from ivbpr_numba.parameters import FactorParameters, Parameters, VisualParameters
from ivbpr_numba.ranking import ItemSide, RowScorer

__all__ = ["Folding", "NewShopper", "fold", "folded", "liked_rows"]

# Triples a shopper, dealt out evenly over the likes. By the validation items of users who were hidden from
# the fit 2,048 rank as well as 8,192, and 128 less well (benchmarks/FOLD_IN.md).
TRIPLES = 2048
# Likes that tell nothing, beside those of a shopper: with k likes λ is 1 + 6 / k times that of the fit. A fit
# starts its users near 0 and stops, and averages, on the way to the optimum that is found here, so that few
# likes need more to hold them. By the same validation items three times λ is worth .002 to .018 more than λ
# for one like, up to .014 for a handful, on real purchases and on a generated world; nothing for twenty.
SILENT_LIKES = 6
# λ of a fit that has less. Without a penalty few likes have no optimum: every negative can be told apart, and
# the longer the vector the better. A fit stops before it gets there; a solver would not.
LEAST_DECAY = 1e-3
BLOCK = 64  # shoppers whose triples are in memory together, some 20 MB for 20 factors
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
    """The vectors [γ_u, θ_u] of new shoppers at one moment; see `Folding.users`.

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
    data = view.fitted.data
    found = Folding(view.fitted.config, view.fitted.parameters, data.train.indices, data.train_counts)
    now = np.zeros(len(likes[1]), np.int64)
    return found.users([view.scorer.items], likes, now).astype(np.float32)


@dataclass(frozen=True)
class Folding:
    """What folding in goes by: the law of the negatives and the λ of a fit.

    Attributes
    ----------
    config : dict
        Resolved options of the fit.
    parameters : Parameters
        Of which the sizes count.
    pairs : (n,) int32
        Items of all training pairs.
    counts : (I,) int64
        Training pairs of each item.
    triples : int, optional
        Of a shopper, other than `TRIPLES`.
    """

    config: Mapping[str, Any]
    parameters: Parameters
    pairs: np.ndarray
    counts: np.ndarray
    triples: int | None = None

    def users(
        self, sides: Sequence[ItemSide], likes: tuple[np.ndarray, np.ndarray], epochs: np.ndarray
    ) -> np.ndarray:
        """The vectors that maximise the shoppers' own BPR objective, all item parameters fixed.

        Of each shopper: mean over his triples (i, j) of ln σ(x̂_ui − x̂_uj) (of MM-MF minus the hinge), less
        ½ λ ‖γ_u‖² + ½ λ ‖θ_u‖² with the λ that the fit applies once a triple, more of it for few likes
        (`SILENT_LIKES`). The positives are his likes, taken in turn; the negatives are drawn by the law of
        the fit, as a function of its seed and of his likes alone. The optimum is unique, and does not depend
        on threads or on who else is folded in.

        Parameters
        ----------
        sides : sequence of ItemSide
            The items in every epoch.
        likes : CSR, (m + 1,) int64 and (n,) int32
            Rows of liked items, ascending and distinct within a shopper.
        epochs : (n,) int64
            In which of `sides` a like, and what is compared with it, is seen.

        Returns
        -------
        (m, L) float64
        """
        indptr, items = np.asarray(likes[0], dtype=np.int64), np.ascontiguousarray(likes[1], dtype=np.int32)
        out = np.zeros((len(indptr) - 1, sides[0].vectors.shape[1]))
        if not isinstance(self.parameters, FactorParameters):
            return out
        law, kernels = NegativeLaw.of(self.config["negatives"], self.counts), backends.kernels()
        for begin in range(0, len(out), BLOCK):
            stop = min(begin + BLOCK, len(out))
            part = slice(indptr[begin], indptr[stop])
            own = Pairs(indptr[begin : stop + 1] - indptr[begin], items[part])
            places, turns = liked_in_turn(own.indptr, len(self.counts), self.triples or TRIPLES)
            negatives = np.empty(places[-1], np.int32)
            kernels.fold_negatives(np.uint64(self.config["seed"]), own, places, law, self.pairs, negatives)
            x, c = differences(sides, own.indices[turns], negatives, epochs[part][turns])
            out[begin:stop] = self.solved(places, x, c, self.of_users(np.diff(own.indptr)))
        return out

    def solved(self, places: np.ndarray, x: np.ndarray, c: np.ndarray, decay: np.ndarray) -> np.ndarray:
        """Optimal rows, (n, L) float64; see `kernels.cpu.folding.fold_in`.

        Raises
        ------
        DataError
            Numbers without proportion.
        """
        out, left = np.zeros(decay.shape), np.empty(len(decay))
        margin = np.float64(self.config.get("margin", -1.0))
        backends.kernels().fold_in(places, x, c, np.maximum(decay, LEAST_DECAY), margin, out, left)
        if not np.all(left <= CLOSE):
            raise DataError(
                f"Folding in did not converge: an objective may still gain {left.max():.3g}.",
                "The parameters of the model are out of all proportion; fit it with a lower learning rate.",
            )
        return out

    def of_users(self, sizes: np.ndarray) -> np.ndarray:
        """λ of each coordinate of [γ_u, θ_u] by numbers of likes (m,); (m, L) float64; see `SILENT_LIKES`."""
        parameters = self.parameters
        assert isinstance(parameters, FactorParameters)
        visual = len(parameters.embedding) if isinstance(parameters, VisualParameters) else 0
        latent = parameters.item_factors.shape[1]
        of_fit = [self.lambda_factors, float(self.config["lambda_theta"])]
        more = 1.0 + SILENT_LIKES / np.maximum(sizes, 1)
        return more[:, None] * np.repeat(of_fit, [latent, visual])

    @property
    def lambda_factors(self) -> float:
        """λ of γ_u and of the positive's γ_i."""
        return float(self.config["lambda_theta"]) if self.config.get("reg_scope", "all") == "all" else 0.0


def liked_in_turn(indptr: np.ndarray, n_items: int, wanted: int) -> tuple[np.ndarray, np.ndarray]:
    """First triple of each shopper, (m + 1,) int64, and the like of every triple; none where none exist."""
    sizes = np.diff(indptr)
    triples = np.where(sizes < n_items, sizes * -(-wanted // np.maximum(sizes, 1)), 0)
    places = np.concatenate([[0], np.cumsum(triples)]).astype(np.int64)
    within = np.arange(places[-1]) - np.repeat(places[:-1], triples)
    return places, np.repeat(indptr[:-1], triples) + within % np.repeat(np.maximum(sizes, 1), triples)


def differences(
    sides: Sequence[ItemSide], positives: np.ndarray, negatives: np.ndarray, epochs: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """q_i − q_j (T, L) and b_i − b_j (T,) in float64, the items of every triple as seen in its epoch."""
    x, c = np.zeros((len(positives), sides[0].vectors.shape[1])), np.zeros(len(positives))
    for epoch in np.unique(epochs).tolist():
        vectors, bias = sides[epoch].rows
        own = np.flatnonzero(epochs == epoch)
        i, j = positives[own], negatives[own]
        x[own] = vectors[i].astype(np.float64) - vectors[j]
        c[own] = bias[i].astype(np.float64) - bias[j]
    return x, c
