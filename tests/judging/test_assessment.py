"""Attribute probabilities are judged as scikit-learn does; unknown labels never count."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, confusion_matrix, precision_score, recall_score
from small_labels import COLOURS, VOCABULARY, drawn, labels_of

from ivbpr_numba.errors import DataError, UsageError
from ivbpr_numba.judging.assessment import assess, average_precision
from ivbpr_numba.network.vocabulary import AttributeGroup, Vocabulary

PLAIN = Vocabulary((AttributeGroup("colour", COLOURS, True),))


@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 60),
    st.sampled_from([1, 3, 50]),
    st.sampled_from([0.0, 0.3, 0.9, 1.0]),
    st.booleans(),
)
def test_as_scikit_learn(seed: int, n: int, levels: int, known: float, missing: bool) -> None:
    probabilities, labels = drawn(seed, n, levels, known, missing)
    found = assess(probabilities, labels, VOCABULARY)
    colour, tags = labels.values
    rows = np.flatnonzero(colour >= 0)
    answer = probabilities[rows, :4].argmax(axis=1)
    group = found["groups"]["colour"]
    assert group["images"] == len(rows)
    assert found["images"] == np.count_nonzero((colour >= 0) | (tags >= 0).any(axis=1))
    if len(rows):
        matrix = np.zeros((4, 4), dtype=int)
        for cell in group["confusion"]:
            matrix[COLOURS.index(cell["value"]), COLOURS.index(cell["predicted"])] = cell["images"]
        np.testing.assert_array_equal(matrix, confusion_matrix(colour[rows], answer, labels=range(4)))
        sizes = [cell["images"] for cell in group["confusion"]]
        assert sizes == sorted(sizes, reverse=True) and min(sizes) > 0
        assert group["accuracy"] == pytest.approx(np.mean(answer == colour[rows]))
        assert group["majority"] == pytest.approx(np.bincount(colour[rows]).max() / len(rows))
        chances = probabilities[rows, colour[rows]].astype(np.float64)
        assert group["log_loss"] == pytest.approx(-np.log(chances).mean())
    for k, value in enumerate(group["values"]):
        check_value(value, colour[rows] == k, answer == k, probabilities[rows, k])
    group = found["groups"]["tag"]
    assert group["images"] == np.count_nonzero((tags >= 0).any(axis=1))
    for k, (value, counts) in enumerate(zip(group["values"], group["confusion"])):
        rows = np.flatnonzero(tags[:, k] >= 0)
        has, said = tags[rows, k] == 1, probabilities[rows, 4 + k] >= 0.5
        check_value(value, has, said, probabilities[rows, 4 + k])
        (tn, fp), (fn, tp) = (
            confusion_matrix(has, said, labels=[False, True]) if len(rows) else np.zeros((2, 2))
        )
        kinds = ("true_positives", "false_positives", "false_negatives", "true_negatives")
        assert [counts[kind] for kind in kinds] == [tp, fp, fn, tn] and counts["value"] == value["value"]
    decided = tags >= 0
    if decided.any():
        right = ((probabilities[:, 4:] >= 0.5) == (tags == 1))[decided]
        assert group["accuracy"] == pytest.approx(right.mean())
        often = [max(np.sum(tags[:, k] == 1), np.sum(tags[:, k] == 0)) for k in range(3)]
        assert group["majority"] == pytest.approx(sum(often) / decided.sum())
    aps = [v["average_precision"] for g in found["groups"].values() for v in g["values"]]
    check_mean(found["mean_ap_of_values"], aps)
    check_mean(found["mean_ap"], [g["mean_ap"] for g in found["groups"].values()])
    check_mean(found["mean_accuracy"], [found["groups"]["colour"]["accuracy"]])


def check_value(value: dict[str, Any], has: np.ndarray, said: np.ndarray, scores: np.ndarray) -> None:
    assert (value["positives"], value["predicted"]) == (has.sum(), said.sum())
    for key, score, counted in (("precision", precision_score, said), ("recall", recall_score, has)):
        assert value[key] == (pytest.approx(score(has, said)) if counted.any() else None)
    both = has.any() and not has.all()
    expected = average_precision_score(has, scores) if both else None
    assert value["average_precision"] == (pytest.approx(expected) if both else None)


def check_mean(value: float | None, of: list[float | None]) -> None:
    kept = [x for x in of if x is not None]
    assert value == (pytest.approx(np.mean(kept)) if kept else None)


def slow_calibration_error(confidence: list[float], right: list[bool]) -> float:
    """15 bins of equal width, one after the other."""
    total = 0.0
    for k in range(15):
        own = [
            (c, r) for c, r in zip(confidence, right) if k / 15 <= c < (k + 1) / 15 or (k == 14 and c == 1)
        ]
        if own:
            total += abs(sum(c for c, _ in own) - sum(r for _, r in own))
    return total / len(confidence)


@given(st.integers(0, 2**32 - 1), st.integers(1, 80))
def test_calibration_error(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    raw = rng.random((n, 4)) ** 4 + 1e-9
    probabilities = np.concatenate([raw / raw.sum(axis=1, keepdims=True), rng.random((n, 3))], axis=1)
    probabilities[0, 4:] = [0, 1, 1]
    colour, tags = rng.integers(-1, 4, n).astype(np.int32), rng.integers(-1, 2, (n, 3)).astype(np.int8)
    colour[0] = tags[0, 0] = 0
    found = assess(probabilities, labels_of(VOCABULARY, colour, tags), VOCABULARY)["groups"]
    rows = [k for k in range(n) if colour[k] >= 0]
    top = [float(probabilities[k, :4].max()) for k in rows]
    right = [int(probabilities[k, :4].argmax()) == colour[k] for k in rows]
    assert found["colour"]["calibration_error"] == pytest.approx(slow_calibration_error(top, right))
    cells = [(k, c) for k in range(n) for c in range(3) if tags[k, c] >= 0]
    said = [float(probabilities[k, 4 + c]) for k, c in cells]
    assert found["tag"]["calibration_error"] == pytest.approx(
        slow_calibration_error(said, [tags[k, c] == 1 for k, c in cells])
    )
    for name, size in (("colour", len(rows)), ("tag", len(cells))):
        bins = found[name]["reliability"]
        assert sum(one["count"] for one in bins) == size
        assert all(one["from"] <= one["confidence"] <= one["to"] + 1e-12 for one in bins)
    chance = [p if tags[k, c] else 1 - p for (k, c), p in zip(cells, said)]
    loss = -np.mean([math.log(max(p, 2**-24)) for p in chance])
    assert found["tag"]["log_loss"] == pytest.approx(loss)


@given(st.integers(0, 2**32 - 1))
def test_unknown_labels_never_count(seed: int) -> None:
    """Other probabilities where no label is known change nothing."""
    probabilities, labels = drawn(seed, 40, 5, 0.6, False)
    colour, tags = labels.values
    other = probabilities.copy()
    other[colour < 0, :4] = [0, 0, 0, 1]
    other[:, 4:][tags < 0] = 1
    assert assess(other, labels, VOCABULARY) == assess(probabilities, labels, VOCABULARY)


def test_groups_without_labels_are_null() -> None:
    probabilities, _ = drawn(1, 8, 5, 1, False)
    none = labels_of(VOCABULARY, np.full(8, -1, np.int32), np.full((8, 3), -1, np.int8))
    found = assess(probabilities, none, VOCABULARY, none)
    keys = ("accuracy", "majority", "mean_ap", "calibration_error", "log_loss")
    for group in found["groups"].values():
        assert [group[key] for key in keys] == [None] * 5 and group["images"] == 0
        assert all(value["positives"] == 0 and value["recall"] is None for value in group["values"])
        assert group["reliability"] == []
    assert (found["images"], found["mean_ap"], found["mean_accuracy"]) == (0, None, None)
    one = Vocabulary((AttributeGroup("only", ("x",), True),))
    found = assess(np.ones((3, 1)), labels_of(one, np.zeros(3, np.int32)), one)
    assert (
        found["groups"]["only"]["accuracy"] == 1 and found["mean_ap"] is None and found["mean_accuracy"] == 1
    )


def test_the_majority_is_that_of_the_training_labels() -> None:
    colour = np.array([0, 0, 0, 1], np.int32)
    tags = np.array([[1, 0, 1]] * 3 + [[0, 0, -1]], np.int8)
    labels = labels_of(VOCABULARY, colour, tags)
    probabilities = np.full((4, 7), 0.25)
    learned = labels_of(VOCABULARY, np.array([1, 1, 2, -1], np.int32), np.array([[0, 1, -1]] * 4, np.int8))
    own, past = (assess(probabilities, labels, VOCABULARY, of)["groups"] for of in (None, learned))
    assert (own["colour"]["majority"], past["colour"]["majority"]) == (0.75, 0.25)
    assert own["tag"]["majority"] == pytest.approx(10 / 11)
    assert past["tag"]["majority"] == pytest.approx(1 / 11)  # only the one image without 'long' is met


def test_what_is_no_probability() -> None:
    probabilities, labels = drawn(2, 6, 5, 1, False)
    for wrong in (np.nan, -0.1, 1.1, np.inf):
        changed = probabilities.copy()
        changed[3, 2] = wrong
        with pytest.raises(DataError, match="Row 4, column 3"):
            assess(changed, labels, VOCABULARY)
    with pytest.raises(UsageError, match="shape"):
        assess(probabilities[:, :6], labels, VOCABULARY)
    with pytest.raises(UsageError, match="5 rows"):
        assess(probabilities[:5], labels, VOCABULARY)
    with pytest.raises(UsageError, match="another vocabulary"):
        assess(probabilities[:, :4], labels, PLAIN)


def test_average_precision_by_hand() -> None:
    assert average_precision(np.array([0.9, 0.8, 0.7]), np.array([True, False, True])) == pytest.approx(5 / 6)
    # Three equal scores are one threshold, whatever their order.
    for positive in ([True, False, False], [False, False, True]):
        assert average_precision(np.ones(3), np.array(positive)) == pytest.approx(1 / 3)
    assert average_precision(np.ones(2), np.array([True, True])) is None
    assert average_precision(np.ones(0), np.zeros(0, bool)) is None
