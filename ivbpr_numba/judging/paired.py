"""Whether one source of attribute probabilities is better than another: paired bootstraps over families.

Pictures of one family (the colours of one article) are alike, so they are drawn together: a family that is
drawn twice counts twice, with all its labels in every group, for both sides.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from ivbpr_numba.errors import UsageError
from ivbpr_numba.judging.assessment import check_probabilities, columns_of

if TYPE_CHECKING:
    from ivbpr_numba.network.vocabulary import Vocabulary
    from ivbpr_numba.training.labels import Labels

__all__ = ["paired_bootstrap", "paired_bootstrap_ap", "resamples"]

AT_ONCE = 64  # resamples whose weights are held at a time


def paired_bootstrap(
    right_a: np.ndarray, right_b: np.ndarray, families: np.ndarray, n: int = 1000, seed: int = 0
) -> dict[str, Any]:
    """Difference of two mean accuracies, a − b, and how far it moves when families are drawn anew.

    Parameters
    ----------
    right_a, right_b : ndarray, shape (images, groups)
        1 right, 0 wrong, NaN unknown (`assessment.right_answers`); unknown in both or in none.
    families : ndarray, shape (images,)
        What belongs together, as numbers or text.
    n, seed : int
        Resamples, and where their drawing starts.

    Returns
    -------
    dict
        ``a``, ``b``, ``difference``, ``low``, ``high`` (95 %), ``stderr``, ``families``. The mean accuracy is
        the mean over groups of the share of right answers; a group without any label is left out. The
        interval is that of the resamples around their own mean, laid around the difference: average
        precision is systematically higher where families repeat.

    Raises
    ------
    UsageError
        Shapes that differ, no label, or a label known on one side only.
    """
    right_a, right_b = (np.asarray(right, dtype=np.float64) for right in (right_a, right_b))
    if right_a.shape != right_b.shape or right_a.ndim != 2 or len(families) != len(right_a):
        raise UsageError(f"Answers of shapes {right_a.shape} and {right_b.shape}.", "Same images and groups.")
    known = ~np.isnan(right_a)
    if not np.array_equal(known, ~np.isnan(right_b)):
        raise UsageError("The two sides know different labels.", "Compare them on the same labels.")
    if not known.any():
        raise UsageError("No answer can be compared.", "There is no label.")
    used = known.any(axis=0)
    row_of, size = _families(families)
    totals = [
        _by_family(values[:, used], row_of, size)
        for values in (known, np.nan_to_num(right_a), np.nan_to_num(right_b))
    ]

    def means(weights: np.ndarray) -> np.ndarray:
        """Both mean accuracies, (2, resamples)."""
        count, *hits = (weights @ total for total in totals)
        drawn = count > 0
        shares = [np.where(drawn, hit / np.maximum(count, 1), 0.0).sum(axis=1) for hit in hits]
        return np.stack(shares) / np.maximum(drawn.sum(axis=1), 1)

    return _interval(means, size, n, seed)


def paired_bootstrap_ap(
    probabilities_a: np.ndarray,
    probabilities_b: np.ndarray,
    labels: Labels,
    vocabulary: Vocabulary,
    families: np.ndarray,
    n: int = 1000,
    seed: int = 0,
) -> dict[str, Any]:
    """Difference of two mean average precisions, means over the groups, with the same resamples.

    In every resample a group's mean is over its values that have a positive and a negative image in it.

    Parameters
    ----------
    probabilities_a, probabilities_b : ndarray, shape (images, F)
    labels : Labels
    vocabulary : Vocabulary
    families : ndarray, shape (images,)
    n, seed : int

    Returns
    -------
    dict
        As `paired_bootstrap`.

    Raises
    ------
    UsageError
        Shapes that differ, or no value with a positive and a negative image.
    """
    for given in (probabilities_a, probabilities_b):
        check_probabilities(given, vocabulary.size)
        if len(given) != len(families):
            raise UsageError(f"{len(given):,} images, {len(families):,} families.", "Same images.")
    row_of, size = _families(families)
    judged: dict[int, list[tuple[_Precision, _Precision]]] = {}
    for group, rows, k, has in _columns(labels, vocabulary):
        pair = [_Precision(given[rows, k], has, row_of[rows]) for given in (probabilities_a, probabilities_b)]
        judged.setdefault(group, []).append((pair[0], pair[1]))
    if not judged:
        raise UsageError("No average precision can be compared.", "No value has a positive and a negative.")

    def means(weights: np.ndarray) -> np.ndarray:
        total, count = np.zeros((2, len(weights))), np.zeros(len(weights))
        for group in judged.values():
            own, values = np.zeros((2, len(weights))), np.zeros(len(weights))
            for pair in group:
                counts, a = pair[0](weights)
                own += np.where(counts, [a, pair[1](weights)[1]], 0.0)
                values += counts
            total += own / np.maximum(values, 1)
            count += values > 0
        return total / np.maximum(count, 1)

    return _interval(means, size, n, seed)


class _Precision:
    """Average precision of one value under weights of the families; sorted once for all resamples."""

    def __init__(self, scores: np.ndarray, positive: np.ndarray, family: np.ndarray) -> None:
        order = np.argsort(-scores, kind="stable")
        self._ends = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
        self._positive, self._family = positive[order].astype(np.float64), family[order]

    def __call__(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Whether each resample has a positive and a negative, and its average precision."""
        of_rows = weights[:, self._family]
        drawn = np.cumsum(of_rows, axis=1)[:, self._ends]
        hits = np.cumsum(of_rows * self._positive, axis=1)[:, self._ends]
        gained = np.diff(hits, axis=1, prepend=0.0)
        total = hits[:, -1]
        area = (gained * (hits / np.maximum(drawn, 1))).sum(axis=1) / np.maximum(total, 1)
        return (total > 0) & (total < drawn[:, -1]), area


def _columns(labels: Labels, vocabulary: Vocabulary) -> Iterator[tuple[int, np.ndarray, int, np.ndarray]]:
    """Group, labelled rows, column and answers of every value that has both answers."""
    for number, (group, columns) in enumerate(columns_of(vocabulary)):
        truth = labels.values[number]
        for k in range(len(group.values)):
            own = truth if group.exclusive else truth[:, k]
            rows = np.flatnonzero(own >= 0)
            has = own[rows] == (k if group.exclusive else 1)
            if has.any() and not has.all():
                yield number, rows, columns.start + k, has


def _families(families: np.ndarray) -> tuple[np.ndarray, int]:
    distinct, row_of = np.unique(np.asarray(families), return_inverse=True)
    return row_of, len(distinct)


def _by_family(values: np.ndarray, row_of: np.ndarray, size: int) -> np.ndarray:
    total = np.zeros((size, values.shape[1]))
    np.add.at(total, row_of, values)
    return total


def resamples(size: int, n: int, seed: int) -> Iterator[np.ndarray]:
    """How often each of `size` is drawn in `n` resamples, (at most `AT_ONCE`, size) float64 at a time."""
    rng = np.random.default_rng(seed)
    for start in range(0, n, AT_ONCE):
        weights = rng.multinomial(size, np.full(size, 1 / size), size=min(AT_ONCE, n - start))
        yield weights.astype(np.float64)


def _interval(means: Any, size: int, n: int, seed: int) -> dict[str, Any]:
    """The two figures as they are, and the spread of their difference over `n` resamples."""
    if n < 2:
        raise UsageError(f"{n} resamples.", "At least two.")
    a, b = means(np.ones((1, size)))[:, 0].tolist()
    differences = []
    for weights in resamples(size, n, seed):
        resampled = means(weights)
        differences.append(resampled[0] - resampled[1])
    spread = np.concatenate(differences)
    low, high = (a - b + np.quantile(spread, [0.025, 0.975]) - spread.mean()).tolist()
    return {
        "a": a,
        "b": b,
        "difference": a - b,
        "low": low,
        "high": high,
        "stderr": float(spread.std(ddof=1)),
        "families": size,
    }
