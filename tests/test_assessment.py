"""Attribute probabilities are judged as scikit-learn does; the command and its figure show all of it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, confusion_matrix, precision_score, recall_score

from ivbpr_numba.attributes.assessment import assess, average_precision, right_answers
from ivbpr_numba.attributes.labels import Labels
from ivbpr_numba.attributes.paired import paired_bootstrap, paired_bootstrap_ap
from ivbpr_numba.attributes.vocabulary import AttributeGroup, Vocabulary
from ivbpr_numba.errors import DataError, UsageError
from ivbpr_numba.ids import Ids
from ivbpr_numba.report.network_figure import network_figure

Run = Callable[..., Any]
SVG = "{http://www.w3.org/2000/svg}"
COLOURS, TAGS = ("red", "green", "blue", "<b>"), ("long", "warm", "soft")
VOCABULARY = Vocabulary((AttributeGroup("colour", COLOURS, True), AttributeGroup("tag", TAGS, False)))
PLAIN = Vocabulary((AttributeGroup("colour", COLOURS, True),))


def labels_of(vocabulary: Vocabulary, *values: np.ndarray) -> Labels:
    items = Ids.collect(f"i{k:05d}" for k in range(len(values[0])))
    return Labels(items, vocabulary, list(values), {})


def drawn(seed: int, n: int, levels: int, known: float, missing: bool) -> tuple[np.ndarray, Labels]:
    """Probabilities with ties, masked labels, and with `missing` a value that no image has."""
    rng = np.random.default_rng(seed)
    colour = rng.integers(0, 3 if missing else 4, n).astype(np.int32)
    tags = rng.integers(0, 2, (n, 3)).astype(np.int8)
    raw = rng.integers(1, levels + 1, (n, 4)).astype(np.float64)
    raw[np.arange(n), colour] += rng.integers(0, levels, n)
    said = rng.integers(0, levels + 1, (n, 3)) / levels
    if missing:
        tags[:, 1] = 0
    colour[rng.random(n) >= known] = -1
    tags[rng.random((n, 3)) >= known] = -1
    probabilities = np.concatenate([raw / raw.sum(axis=1, keepdims=True), said], axis=1)
    return probabilities.astype(np.float32), labels_of(VOCABULARY, colour, tags)


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
    check_mean(found["mean_ap"], aps)
    check_mean(found["mean_ap_of_groups"], [g["mean_ap"] for g in found["groups"].values()])
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


# --- paired bootstraps -------------------------------------------------------------------------------------


def sides(seed: int, n: int = 60) -> tuple[np.ndarray, np.ndarray, Labels, np.ndarray]:
    rng = np.random.default_rng(seed)
    a, labels = drawn(seed, n, 6, 0.8, False)
    b = a.copy()
    b[:, :4] = b[rng.permutation(n), :4]
    b[:, 4:] = np.abs(b[:, 4:] - 0.1)
    return a, b, labels, np.array([f"f{k}" for k in rng.integers(0, 20, n)])


def test_a_bootstrap_resamples_families() -> None:
    """Each resample as if its families were laid side by side, accuracies and average precisions."""
    a, b, labels, families = sides(3)
    right = [right_answers(p, labels, VOCABULARY) for p in (a, b)]
    names, seed, n = np.unique(families), 5, 40
    drawn_weights = np.concatenate(
        [np.random.default_rng(seed).multinomial(len(names), np.full(len(names), 1 / len(names)), size=n)]
    )
    accuracies, precisions = [], []
    for weights in drawn_weights:
        rows = np.concatenate(
            [np.flatnonzero(families == f) for f, w in zip(names, weights) for _ in range(w)]
        )
        accuracies.append([np.nanmean(r[rows, 0]) for r in right])
        taken = labels_of(VOCABULARY, labels.values[0][rows], labels.values[1][rows])
        precisions.append([assess(p[rows], taken, VOCABULARY)["mean_ap"] for p in (a, b)])
    for found, each in (
        (paired_bootstrap(*right, families, n, seed), accuracies),
        (paired_bootstrap_ap(a, b, labels, VOCABULARY, families, n, seed), precisions),
    ):
        apart = np.subtract(*np.array(each).T)
        assert found["low"] == pytest.approx(np.quantile(apart, 0.025))
        assert found["high"] == pytest.approx(np.quantile(apart, 0.975))
        assert found["stderr"] == pytest.approx(apart.std(ddof=1))
        assert found["difference"] == pytest.approx(found["a"] - found["b"]) and found["families"] == len(
            names
        )
    whole = assess(a, labels, VOCABULARY)
    assert paired_bootstrap(*right, families)["a"] == pytest.approx(whole["mean_accuracy"])
    assert paired_bootstrap_ap(a, b, labels, VOCABULARY, families, 2)["a"] == pytest.approx(whole["mean_ap"])


def test_a_bootstrap_keeps_its_promises() -> None:
    a, b, labels, families = sides(4)
    right = right_answers(a, labels, VOCABULARY)
    same = paired_bootstrap(right, right, families)
    assert same["difference"] == same["low"] == same["high"] == same["stderr"] == 0
    one, two = (right_answers(p, labels, VOCABULARY) for p in (a, b))
    assert paired_bootstrap(one, two, families, 99, 1) == paired_bootstrap(one, two, families, 99, 1)
    assert paired_bootstrap(one, two, families, 99, 1) != paired_bootstrap(one, two, families, 99, 2)
    # Copies of a family say nothing new: the spread stays, while single images would halve it.
    many = paired_bootstrap(np.tile(one, (4, 1)), np.tile(two, (4, 1)), np.tile(families, 4), 99, 1)
    assert many["stderr"] == pytest.approx(paired_bootstrap(one, two, families, 99, 1)["stderr"])
    for wrong in (
        lambda: paired_bootstrap(one, two[:-1], families),
        lambda: paired_bootstrap(one, np.full_like(two, np.nan), families),
        lambda: paired_bootstrap(one * np.nan, two * np.nan, families),
        lambda: paired_bootstrap(one, two, families, 1),
        lambda: paired_bootstrap_ap(a, b[:-1], labels, VOCABULARY, families),
    ):
        with pytest.raises(UsageError):
            wrong()


# --- the figure --------------------------------------------------------------------------------------------


def test_the_figure_shows_every_group() -> None:
    probabilities, labels = drawn(7, 200, 20, 0.9, False)
    found = assess(probabilities, labels, VOCABULARY)
    svg = network_figure(found, "A title", "What was judged.").svg()
    drawn_figure = ElementTree.fromstring(svg)
    texts = [text.text or "" for text in drawn_figure.iter(f"{SVG}text")]
    assert {"A title", "What was judged.", "colour", "tag", *COLOURS, *TAGS} <= set(texts)
    assert any(f"accuracy {found['groups']['colour']['accuracy']:.3f}" in text for text in texts)
    assert "<script" not in svg and "http" not in svg.replace('xmlns="http://www.w3.org/2000/svg"', "")
    lines = [line for line in drawn_figure.iter(f"{SVG}polyline") if line.get("data-name") == "reliability"]
    for line, group in zip(lines, found["groups"].values(), strict=True):
        points = np.array([pair.split(",") for pair in line.attrib["points"].split()], dtype=float)
        for axis, key, sign in ((0, "confidence", 1), (1, "accuracy", -1)):
            values = [one[key] for one in group["reliability"]]
            slope, start = np.polyfit(values, points[:, axis], 1)
            assert sign * slope == pytest.approx(208, rel=0.01)
            np.testing.assert_allclose(start + slope * np.array(values), points[:, axis], atol=0.02)
    # The rows of the matrix are percentages of the values' images, the largest value first.
    shown = [text for text in texts if text in COLOURS]
    positives = {value["value"]: value["positives"] for value in found["groups"]["colour"]["values"]}
    assert shown == sorted(shown, key=lambda name: -positives[name])
    first = next(
        c for c in found["groups"]["colour"]["confusion"] if c["value"] == c["predicted"] == shown[0]
    )
    cells = texts[texts.index(shown[0]) :]
    assert f"{100 * first['images'] / positives[shown[0]]:.0f}" in cells[:6]


def test_the_figure_of_many_values_and_of_none() -> None:
    rng = np.random.default_rng(0)
    names = tuple(f"value number {k} with a very long name" for k in range(40))
    many = Vocabulary((AttributeGroup("many", names, True), AttributeGroup("empty_group", ("x", "y"), True)))
    probabilities = np.concatenate([rng.dirichlet(np.full(40, 0.1), 500), np.full((500, 2), 0.5)], axis=1)
    labels = labels_of(many, rng.integers(0, 40, 500).astype(np.int32), np.full(500, -1, np.int32))
    svg = network_figure(assess(probabilities, labels, many), "t" * 200, "s").svg()
    drawn_figure = ElementTree.fromstring(svg)
    texts = [text.text or "" for text in drawn_figure.iter(f"{SVG}text")]
    assert "other" in texts and "and 28 rarer values" in texts and "0 labelled images" in texts
    numbers = [float(n) for n in re.findall(r'\bx="([\d.]+)"', svg)]
    assert max(numbers) <= 960
    for polygon in drawn_figure.iter(f"{SVG}polygon"):
        points = np.array([pair.split(",") for pair in polygon.attrib["points"].split()], dtype=float)
        assert points[:, 0].max() <= 960 - 28 and points[:, 1].max() <= float(drawn_figure.attrib["height"])
