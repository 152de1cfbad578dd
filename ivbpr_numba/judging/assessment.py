"""How good attribute probabilities are: accuracy, average precision, calibration, confusion.

The same figures for every source of probabilities: a network, a feature file, a logistic regression.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from ivbpr_numba.errors import DataError, UsageError

if TYPE_CHECKING:
    from ivbpr_numba.network.vocabulary import AttributeGroup, Vocabulary
    from ivbpr_numba.training.labels import Labels

__all__ = ["BINS", "assess", "average_precision", "check_probabilities", "columns_of", "right_answers"]

BINS = 15  # of the reliability diagram and of the calibration error
SURE = 0.5  # from here on a tag counts as said
LEAST = 2.0**-24  # a float32 soft-max underflows to 0, whose logarithm is infinite
ROUNDING = 1e-3  # a sum of half-precision shares may leave [0, 1] by this


def assess(
    probabilities: np.ndarray,
    labels: Labels,
    vocabulary: Vocabulary,
    training: Labels | None = None,
) -> dict[str, Any]:
    """Judge probabilities against labels, group by group; unknown labels never count.

    Parameters
    ----------
    probabilities : ndarray, shape (n, F)
        A row for each row of `labels`, columns in the order of the vocabulary.
    labels : Labels
        With the values of `vocabulary`.
    vocabulary : Vocabulary
    training : Labels, optional
        What the network learned from: its most frequent value of each group is the majority answer.
        Without it the most frequent value of `labels` is, which no real answer could know.

    Returns
    -------
    dict
        ``groups``: by name ``exclusive``, ``images`` (with a label of the group), ``accuracy``, ``majority``,
        ``mean_ap``, ``calibration_error``, ``log_loss``, ``values`` (``value``, ``positives``, ``predicted``,
        ``precision``, ``recall``, ``average_precision``), ``confusion``, ``reliability``. Then ``images``
        (with any label), ``mean_accuracy`` over the exclusive groups, ``mean_ap`` over the groups and
        ``mean_ap_of_values`` over all values that count. What can't be known is None.

        In an exclusive group the answer is the most probable value; accuracy is the share of right answers,
        ``confusion`` the cells of the confusion matrix that are not empty, the largest first, and the
        calibration error that of the answer's probability. In a group of tags a tag is said from a
        probability of one half on; accuracy is the share of right decisions about single tags, majority the
        same when each tag gets its more frequent answer, ``confusion`` the four counts of each tag, and the
        calibration error that of all tag probabilities. Calibration errors are expected errors over 15 bins
        of equal width.
        Average precision is the sum of precision times gained recall over all thresholds, equal probabilities
        being one threshold; values without a positive or without a negative image have none.

    Raises
    ------
    UsageError
        Shapes or vocabularies that do not belong together.
    DataError
        Values that are no probabilities.
    """
    check_probabilities(probabilities, vocabulary.size)
    if len(probabilities) != len(labels.items):
        raise UsageError(
            f"{len(probabilities):,} rows of probabilities for {len(labels.items):,} rows of labels.",
            "One for each.",
        )
    for given in (labels, training):
        if given is not None and given.vocabulary != vocabulary:
            raise UsageError("The labels have another vocabulary than the probabilities.", "Read them again.")
    groups: dict[str, Any] = {}
    known = np.zeros(len(probabilities), dtype=bool)
    for number, (group, columns) in enumerate(columns_of(vocabulary)):
        own = np.asarray(probabilities[:, columns], dtype=np.float64)
        truth = labels.values[number]
        past = training.values[number] if training is not None else None
        judged = _exclusive(group, own, truth, past) if group.exclusive else _tags(group, own, truth, past)
        groups[group.name] = judged
        known |= (truth >= 0) if group.exclusive else (truth >= 0).any(axis=1)
    of_values = [value["average_precision"] for found in groups.values() for value in found["values"]]
    return {
        "groups": groups,
        "images": int(np.count_nonzero(known)),
        "mean_accuracy": _mean(found["accuracy"] for found in groups.values() if found["exclusive"]),
        "mean_ap": _mean(found["mean_ap"] for found in groups.values()),
        "mean_ap_of_values": _mean(of_values),
    }


def columns_of(vocabulary: Vocabulary) -> Iterator[tuple[AttributeGroup, slice]]:
    """Every group with its columns."""
    start = 0
    for group in vocabulary.groups:
        yield group, slice(start, start + len(group.values))
        start += len(group.values)


def check_probabilities(values: np.ndarray, size: int) -> None:
    """Raise unless `values` is an (n, `size`) matrix of numbers in [0, 1]."""
    if values.ndim != 2 or values.shape[1] != size:
        raise UsageError(
            f"Probabilities of shape {values.shape} for a vocabulary of {size:,} values.",
            "One column a value.",
        )
    wrong = ~((values >= -ROUNDING) & (values <= 1 + ROUNDING))  # NaN fails both
    if wrong.any():
        row, column = np.argwhere(wrong)[0].tolist()
        raise DataError(
            f"Row {row + 1:,}, column {column + 1:,} is {values[row, column]}, which is no probability.",
            "The network's output must be soft-max or sigmoid values, and its input what it was trained on.",
        )


def right_answers(probabilities: np.ndarray, labels: Labels, vocabulary: Vocabulary) -> np.ndarray:
    """Whether each answer was right, one column an exclusive group.

    Returns
    -------
    ndarray, float64, shape (n, exclusive groups)
        1 right, 0 wrong, NaN unknown: what a paired bootstrap compares.
    """
    right = []
    for number, (group, columns) in enumerate(columns_of(vocabulary)):
        if group.exclusive:
            truth = labels.values[number]
            answer = probabilities[:, columns].argmax(axis=1)
            right.append(np.where(truth >= 0, (answer == truth).astype(np.float64), np.nan))
    return np.stack(right, axis=1) if right else np.empty((len(probabilities), 0))


def average_precision(scores: np.ndarray, positive: np.ndarray) -> float | None:
    """Area under the steps of precision over recall; equal scores are one threshold.

    Parameters
    ----------
    scores : ndarray, shape (n,)
    positive : ndarray of bool, shape (n,)

    Returns
    -------
    float or None
        None without a positive or without a negative.
    """
    n_positive = int(np.count_nonzero(positive))
    if n_positive == 0 or n_positive == len(positive):
        return None
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    hits = np.cumsum(positive[order])[ends]
    gained = np.diff(hits, prepend=0)
    return float(np.sum(gained * (hits / (ends + 1))) / n_positive)


def _exclusive(
    group: AttributeGroup, probabilities: np.ndarray, truth: np.ndarray, past: np.ndarray | None
) -> dict[str, Any]:
    size = len(group.values)
    rows = np.flatnonzero(truth >= 0)
    own, label = probabilities[rows], truth[rows]
    answer = own.argmax(axis=1) if len(rows) else np.zeros(0, dtype=np.int64)
    right = answer == label
    matrix = np.zeros((size, size), dtype=np.int64)
    np.add.at(matrix, (label, answer), 1)
    bins = _reliability(own[np.arange(len(rows)), answer], right)
    values = [
        _value(
            value,
            positives=int(matrix[k].sum()),
            predicted=int(matrix[:, k].sum()),
            hits=int(matrix[k, k]),
            precision_of=average_precision(own[:, k], label == k),
        )
        for k, value in enumerate(group.values)
    ]
    often = _most_frequent(label if past is None or not (past >= 0).any() else past[past >= 0], size)
    loss = -np.log(np.maximum(own[np.arange(len(rows)), label], LEAST))
    return {
        "exclusive": True,
        "images": len(rows),
        "accuracy": _mean(right),
        "majority": _mean(label == often),
        "mean_ap": _mean(value["average_precision"] for value in values),
        "calibration_error": _calibration_error(bins),
        "log_loss": _mean(loss),
        "values": values,
        "confusion": _cells(matrix, group.values),
        "reliability": bins,
    }


def _tags(
    group: AttributeGroup, probabilities: np.ndarray, truth: np.ndarray, past: np.ndarray | None
) -> dict[str, Any]:
    known, has, said = truth >= 0, truth == 1, probabilities >= SURE
    usual = past if past is not None else truth
    # A tie and a tag that nobody judged are answered with no.
    often = np.count_nonzero(usual == 1, axis=0) > np.count_nonzero(usual == 0, axis=0)
    counts: list[dict[str, Any]] = [
        {
            "value": value,
            "true_positives": int(np.count_nonzero(known[:, k] & has[:, k] & said[:, k])),
            "false_positives": int(np.count_nonzero(known[:, k] & ~has[:, k] & said[:, k])),
            "false_negatives": int(np.count_nonzero(known[:, k] & has[:, k] & ~said[:, k])),
            "true_negatives": int(np.count_nonzero(known[:, k] & ~has[:, k] & ~said[:, k])),
        }
        for k, value in enumerate(group.values)
    ]
    values = [
        _value(
            value,
            positives=count["true_positives"] + count["false_negatives"],
            predicted=count["true_positives"] + count["false_positives"],
            hits=count["true_positives"],
            precision_of=average_precision(probabilities[known[:, k], k], has[known[:, k], k]),
        )
        for k, (value, count) in enumerate(zip(group.values, counts))
    ]
    own, right = probabilities[known], has[known]
    bins = _reliability(own, right)
    chance = np.where(right, own, 1 - own)
    return {
        "exclusive": False,
        "images": int(np.count_nonzero(known.any(axis=1))),
        "accuracy": _mean((said == has)[known]),
        "majority": _mean((often == has)[known]),
        "mean_ap": _mean(value["average_precision"] for value in values),
        "calibration_error": _calibration_error(bins),
        "log_loss": _mean(-np.log(np.maximum(chance, LEAST))),
        "values": values,
        "confusion": counts,
        "reliability": bins,
    }


def _value(
    value: str, positives: int, predicted: int, hits: int, precision_of: float | None
) -> dict[str, Any]:
    return {
        "value": value,
        "positives": positives,
        "predicted": predicted,
        "precision": hits / predicted if predicted else None,
        "recall": hits / positives if positives else None,
        "average_precision": precision_of,
    }


def _most_frequent(label: np.ndarray, size: int) -> int:
    return int(np.bincount(label, minlength=size).argmax())


def _cells(matrix: np.ndarray, values: tuple[str, ...]) -> list[dict[str, Any]]:
    """The cells with images, the largest first: a matrix of hundreds of values is nearly empty."""
    rows, columns = np.nonzero(matrix)
    order = np.argsort(-matrix[rows, columns], kind="stable")
    return [
        {"value": values[row], "predicted": values[column], "images": int(matrix[row, column])}
        for row, column in zip(rows[order].tolist(), columns[order].tolist())
    ]


def _reliability(confidence: np.ndarray, right: np.ndarray) -> list[dict[str, Any]]:
    """Bins of equal width that hold something; the last one includes 1."""
    place = np.clip((confidence * BINS).astype(np.int64), 0, BINS - 1)
    count = np.bincount(place, minlength=BINS)
    confident, correct = (np.bincount(place, weights=of, minlength=BINS) for of in (confidence, right))
    return [
        {
            "from": k / BINS,
            "to": (k + 1) / BINS,
            "count": int(count[k]),
            "confidence": float(confident[k] / count[k]),
            "accuracy": float(correct[k] / count[k]),
        }
        for k in np.flatnonzero(count).tolist()
    ]


def _calibration_error(bins: list[dict[str, Any]]) -> float | None:
    total = sum(one["count"] for one in bins)
    apart = sum(one["count"] * abs(one["confidence"] - one["accuracy"]) for one in bins)
    return apart / total if total else None


def _mean(values: Any) -> float | None:
    """Mean of the numbers that are known."""
    kept = [value for value in values if value is not None] if not isinstance(values, np.ndarray) else values
    return float(np.mean(kept)) if len(kept) else None
