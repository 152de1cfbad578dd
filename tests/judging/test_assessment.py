"""Attribute probabilities are judged as scikit-learn does; the command and its figure show all of it."""

from __future__ import annotations

import csv
import io
import json
import math
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, confusion_matrix, precision_score, recall_score

from ivbpr_numba import BPRMF, VBPR
from ivbpr_numba.errors import DataError, UsageError
from ivbpr_numba.features.features import Features
from ivbpr_numba.ids import Ids
from ivbpr_numba.judging.assessment import assess, average_precision, right_answers
from ivbpr_numba.judging.paired import paired_bootstrap, paired_bootstrap_ap
from ivbpr_numba.network.graph import write_network
from ivbpr_numba.network.vocabulary import AttributeGroup, Vocabulary
from ivbpr_numba.photos.preprocessing import Preprocessing
from ivbpr_numba.report.drawing import width_of
from ivbpr_numba.report.network_figure import FEWEST, network_figure
from ivbpr_numba.training.labels import Labels
from ivbpr_numba.training.splitting import part_of

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
        around = apart - apart.mean() + found["difference"]
        assert found["low"] == pytest.approx(np.quantile(around, 0.025))
        assert found["high"] == pytest.approx(np.quantile(around, 0.975))
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
            values = [one[key] for one in group["reliability"] if one["count"] >= FEWEST]
            slope, start = np.polyfit(values, points[:, axis], 1)
            assert sign * slope == pytest.approx(208, rel=0.01)
            np.testing.assert_allclose(start + slope * np.array(values), points[:, axis], atol=0.02)
    # The rows of the matrix are percentages of the values' images, the largest value first.
    rows = [t.text for t in drawn_figure.iter(f"{SVG}text") if t.get("transform") is None]
    slanted = [t.text for t in drawn_figure.iter(f"{SVG}text") if "rotate(-45 " in t.get("transform", "")]
    shown = [text for text in rows if text in COLOURS]
    assert slanted == shown  # columns are in the order of the rows
    positives = {value["value"]: value["positives"] for value in found["groups"]["colour"]["values"]}
    assert shown == sorted(shown, key=lambda name: -positives[name])
    first = next(
        c for c in found["groups"]["colour"]["confusion"] if c["value"] == c["predicted"] == shown[0]
    )
    cells = [text or "" for text in rows[rows.index(shown[0]) :]]
    assert f"{100 * first['images'] / positives[shown[0]]:.0f}" in cells[:6]


def test_bins_of_few_answers_are_hidden_and_counted() -> None:
    probabilities, labels = drawn(7, 60, 6, 0.9, False)
    found = assess(probabilities, labels, VOCABULARY)
    counts = [one["count"] for group in found["groups"].values() for one in group["reliability"]]
    few = sum(count < FEWEST for count in counts)
    assert 0 < few < len(counts)
    svg = network_figure(found, "A title", "What was judged.").svg()
    assert f"{few} bins with fewer than {FEWEST} answers are not drawn as points" in svg
    tree = ElementTree.fromstring(svg)
    bins = [len(group["reliability"]) for group in found["groups"].values()]
    discs = [p for p in tree.iter(f"{SVG}polygon") if len(p.attrib["points"].split()) == 20]
    assert len(discs) == len(counts) - few and len(bins) == 2


@pytest.mark.parametrize(("narrow", "width"), [(False, 960), (True, 390)])
def test_titles_are_whole_and_texts_readable_and_on_the_page(narrow: bool, width: int) -> None:
    names = (*(f"value {k} of a long name indeed" for k in range(20)), "the last of them all, longest")
    group = "a_group_whose_name_takes_a_good_part_of_the_line_and_then_some_more_of_the_next_one_on_paper"
    vocabulary = Vocabulary((AttributeGroup(group, names, True), AttributeGroup("tag", TAGS, False)))
    rng = np.random.default_rng(0)
    probabilities = np.concatenate(
        [rng.dirichlet(np.full(21, 0.1), 300), rng.random((300, len(TAGS)))], axis=1
    )
    values = rng.integers(0, 21, 300).astype(np.int32)
    known = labels_of(vocabulary, values, rng.random((300, len(TAGS))) < 0.5)
    title = "What a network with a very long file name of its own sees " * 2
    svg = network_figure(assess(probabilities, known, vocabulary), title, "s", narrow).svg()
    tree = ElementTree.fromstring(svg)
    texts = list(tree.iter(f"{SVG}text"))
    joined = " ".join(text.text or "" for text in texts)
    assert " ".join(title.split()) in joined and group.replace("_", " ") in joined
    assert min(float(text.attrib["font-size"]) for text in texts) >= 11
    for text in texts:
        size, x = float(text.attrib["font-size"]), float(text.attrib["x"])
        length = width_of(text.text or "", size, text.get("font-weight") == "bold")
        slanted = text.get("transform") is not None
        left = {"end": x - length, "middle": x - length / 2}.get(text.get("text-anchor", ""), x)
        assert left >= 0 and left + length * (0.7072 if slanted else 1) <= width, text.text


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


# --- the command -------------------------------------------------------------------------------------------


KNOWN = Vocabulary(
    (AttributeGroup("hue", ("red", "green", "blue"), True), AttributeGroup("mood", ("bright", "dark"), False))
)
SPLIT = {"seed": 3, "valid_share": 0.2, "test_share": 0.3, "family": 2}


def write_tiny(path: Path, record: dict[str, Any] | None = None, described: bool = True) -> Path:
    """Hue by the strongest channel of the mean pixel, bright and dark by the mean of all."""
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper

    hue = np.eye(3, dtype=np.float32) * 12
    mood = np.array([[8, -8]] * 3, np.float32)
    constants = {"hue": hue, "mood": mood, "shift": np.array([-8, 8], np.float32)}
    nodes = [
        helper.make_node("GlobalAveragePool", ["images"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["features"]),
        helper.make_node("MatMul", ["features", "hue"], ["a"]),
        helper.make_node("Softmax", ["a"], ["hues"], axis=1),
        helper.make_node("Gemm", ["features", "mood", "shift"], ["b"]),
        helper.make_node("Sigmoid", ["b"], ["moods"]),
        helper.make_node("Concat", ["hues", "moods"], ["probabilities"], axis=1),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "tiny",
        [value("images", TensorProto.FLOAT, ["n", 3, 8, 8])],
        [value(name, TensorProto.FLOAT, ["n", c]) for name, c in (("probabilities", 5), ("features", 3))],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    if described:
        preprocessing = Preprocessing((8, 8), mean=(0.0,) * 3, std=(1.0,) * 3)
        write_network(model, KNOWN, preprocessing, record or {}, path)
    else:
        onnx.save(model, path)
    return path


class Shop:
    """Plain pictures of 30 items, some with two, one broken; a table of what they are, not all of it true."""

    def __init__(self, folder: Path) -> None:
        from PIL import Image

        rng = np.random.default_rng(11)
        self.folder, self.images = folder, folder / "images"
        self.images.mkdir()
        self.items = [f"{k:02d}x" for k in range(30)]
        self.pixels: dict[str, list[np.ndarray]] = {}
        hues, moods = ["red", "green", "blue"], ["bright", "dark", "bright|dark"]
        lines, files = ["id,hue,mood,kind"], ["id,file"]
        for k, item in enumerate(self.items):
            colours = rng.integers(40, 215, (2 if k % 5 == 0 else 1, 3))
            for n, colour in enumerate(colours.tolist()):
                name = f"{item}-{n}.png"
                Image.new("RGB", (8, 8), tuple(colour)).save(self.images / name)
                files.append(f"{item},{name}")
                self.pixels.setdefault(item, []).append(np.array(colour, np.float32) / 255)
            hue = "violet" if k == 7 else "" if k == 8 else hues[int(colours.mean(axis=0).argmax())]
            hue = "red" if k in (3, 4) else hue
            lines.append(f"{item},{hue},{moods[int(colours.mean() < 128)] if k % 7 else ''},shirt")
        lines.append("99x,red,bright,hat")  # no picture
        (self.images / "broken.png").write_bytes(b"no picture")
        files.append("29x,broken.png")
        self.labels, self.table = folder / "labels.csv", folder / "files.csv"
        self.labels.write_text("\n".join(lines) + "\n")
        self.table.write_text("\n".join(files) + "\n")
        self.network = write_tiny(folder / "net.onnx", {"split": SPLIT})

    def arguments(self, *more: object) -> list[object]:
        named = ["--images", self.images, "--items", self.table, "--file", "file"]
        return ["network", "evaluate", self.network, "--labels", self.labels, "--id", "id", *named, *more]

    def expected(self, item: str) -> np.ndarray:
        """Mean probabilities over the pictures of an item."""
        each = []
        for mean in self.pixels[item]:
            powers = np.exp(12 * mean)
            mood = 1 / (1 + np.exp(-(8 * mean.sum() * np.array([1, -1]) + [-8, 8])))
            each.append(np.concatenate([powers / powers.sum(), mood]))
        return np.mean(each, axis=0)


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def document_of(done: Any) -> dict[str, Any]:
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert found["schema"] == "ivbpr.network-evaluate/1"
    return found


def test_evaluate(ivbpr: Run, shop: Shop) -> None:
    tags = ["--groups", "hue", "--tags", "mood:|"]
    found = document_of(ivbpr(*shop.arguments(*tags, "--format", "json")))
    hue, mood = found["groups"]["hue"], found["groups"]["mood"]
    assert (found["items"], found["images"], found["split"]) == (30, 36, "all")
    assert (hue["images"], found["other_values"]["hue"], found["items_without_image"]) == (28, 1, 1)
    assert (
        found["bad"] == [{"image": "broken.png", "item": "29x", "reason": found["bad"][0]["reason"]}]
        and found["provider"] == "CPUExecutionProvider"
    )
    items = [item for item in shop.items if item not in ("07x", "08x")]
    truth = {line.split(",")[0]: line.split(",")[1] for line in shop.labels.read_text().splitlines()}
    said = [KNOWN.groups[0].values[int(shop.expected(item)[:3].argmax())] for item in items]
    right = np.array([truth[item] == answer for item, answer in zip(items, said)])
    assert hue["accuracy"] == pytest.approx(right.mean()) and 0 < right.mean() < 1
    chances = [shop.expected(item)[KNOWN.groups[0].values.index(truth[item])] for item in items]
    assert hue["log_loss"] == pytest.approx(-np.log(chances).mean(), rel=1e-4)
    assert (
        mood["images"] == 30
        and sum(mood["confusion"][0][k] for k in mood["confusion"][0] if k != "value") == 30
    )
    parts = part_of(Ids.collect(shop.items), **SPLIT)
    assert found["trained_on"] == np.count_nonzero(parts == 0) and 0 < found["trained_on"] < 30
    learned = [truth[item] for item, part in zip(shop.items, parts) if part == 0]
    often = max(KNOWN.groups[0].values, key=learned.count)
    assert hue["majority"] == pytest.approx(np.mean([truth[item] == often for item in items]))
    # One group alone gives the same; so does the feature file.
    alone = document_of(ivbpr(*shop.arguments("--groups", "hue", "--format", "json")))
    assert alone["groups"] == {"hue": hue}


def test_evaluate_a_part_and_a_feature_file(ivbpr: Run, shop: Shop) -> None:
    more = ["--groups", "hue", "--format", "json"]
    tested = document_of(ivbpr(*shop.arguments("--split", "test", *more)))
    parts = part_of(Ids.collect(shop.items), **SPLIT)
    assert tested["items"] == np.count_nonzero(parts[np.array(shop.items) != "08x"] == 2) > 0
    assert tested["trained_on"] == 0
    out = shop.folder / "f.h5"
    named = ["--items", shop.table, "--id", "id", "--file", "file"]
    done = ivbpr("features", "extract", shop.images, "--model", shop.network, *named, "-o", out)
    assert done.code == 0, done.err
    base = ["network", "evaluate", shop.network, "--labels", shop.labels, "--id", "id", "--features", out]
    again = document_of(ivbpr(*base, "--split", "test", *more))
    assert again["groups"] == tested["groups"] and again["provider"] is None
    other = write_tiny(shop.folder / "other.onnx", {"split": {**SPLIT, "seed": 4}})
    done = ivbpr("network", "evaluate", other, *base[3:], *more)
    assert done.code == 3 and "another network" in done.err


def test_evaluate_with_labels_in_json(ivbpr: Run, shop: Shop) -> None:
    """Tags of which only some are known, and an item of which nothing is."""
    known = {"00x": {"mood": {"bright": True}}, "01x": {"mood": ["dark"], "hue": "red"}, "02x": {}}
    groups = [{"name": "mood", "exclusive": False}, {"name": "hue", "exclusive": True}]
    labels = shop.folder / "labels.json"
    labels.write_text(json.dumps({"groups": groups, "items": known}))
    pictures = ["--images", shop.images, "--items", shop.table, "--id", "id", "--file", "file"]
    command = ["network", "evaluate", shop.network, "--labels", labels, *pictures, "--format", "json"]
    found = document_of(ivbpr(*command))
    assert [*found["groups"]] == ["hue", "mood"] and found["items"] == 2
    bright, dark = found["groups"]["mood"]["confusion"]
    assert [sum(one[k] for k in one if k != "value") for one in (bright, dark)] == [2, 1]
    assert [value["positives"] for value in found["groups"]["mood"]["values"]] == [1, 1]
    assert found["groups"]["hue"]["images"] == 1


def test_evaluate_in_words_and_lines(ivbpr: Run, shop: Shop) -> None:
    out = shop.folder / "out.svg"
    done = ivbpr(*shop.arguments("--groups", "hue", "--tags", "mood:|", "--plot", out))
    assert done.code == 0, done.err
    for said in ("taken for", "other values", "trained on", "broken.png", "CPUExecutionProvider", "hardest"):
        assert said in done.out, said
    texts = [text.text for text in ElementTree.parse(out).getroot().iter(f"{SVG}text")]
    assert {"hue", "mood", "red", "green", "blue", "bright", "dark"} <= set(texts)
    lines = ivbpr(*shop.arguments("--groups", "hue", "--tags", "mood:|", "--format", "csv")).out
    rows = list(csv.DictReader(io.StringIO(lines)))
    assert [(row["group"], row["value"]) for row in rows] == [
        ("hue", ""), ("hue", "red"), ("hue", "green"), ("hue", "blue"),
        ("mood", ""), ("mood", "bright"), ("mood", "dark"),
    ]  # fmt: skip
    assert rows[0]["accuracy"] and not rows[1]["accuracy"] and rows[1]["recall"]


def test_evaluate_without_torch(shop: Shop) -> None:
    pictures = ["--images", str(shop.images), "--items", str(shop.table), "--file", "file"]
    code = (
        "import sys; from ivbpr_cli.app import run; code = run(sys.argv[1:]); "
        "print([m for m in ('torch', 'onnx', 'matplotlib') if m in sys.modules], file=sys.stderr); sys.exit(code)"
    )
    command = [
        "network",
        "evaluate",
        str(shop.network),
        "--labels",
        str(shop.labels),
        "--id",
        "id",
        *pictures,
    ]
    done = subprocess.run(
        [sys.executable, "-c", code, *command, "--groups", "hue"], capture_output=True, text=True
    )
    assert done.returncode == 0 and done.stderr.strip().endswith("[]"), done.stderr


def test_wrong_command_lines(ivbpr: Run, shop: Shop) -> None:
    plain = write_tiny(shop.folder / "plain.onnx", described=False)
    unsplit = write_tiny(shop.folder / "unsplit.onnx")
    broken = write_tiny(shop.folder / "broken.onnx", {"split": {"seed": "many"}})
    foreign = shop.folder / "foreign.csv"
    foreign.write_text("id,hue\nA,red\nB,blue\n")
    features = shop.folder / "dense.h5"
    Features.from_arrays(["00x"], np.ones((1, 2))).write(features)
    hue = ["--groups", "hue"]
    for position, value, more, code, said in [
        (2, plain, hue, 2, "network train"),
        (2, unsplit, [*hue, "--split", "test"], 2, "records no split"),
        (2, broken, hue, 3, "split is broken"),
        (2, shop.folder / "none.onnx", hue, 2, "does not exist"),
        (2, shop.labels, hue, 3, "onnxruntime"),
        (4, foreign, hue, 3, "first image is '00x'"),
        (4, shop.folder / "none.csv", hue, 2, "does not exist"),
        (6, "nr", hue, 3, "nr"),
        (6, "id", ["--groups", "hues"], 2, "Did you mean 'hue'?"),
        (6, "id", ["--groups", "mood"], 2, "--tags"),
        (6, "id", ["--tags", "hue"], 2, "--groups"),
        (6, "id", [*hue, "--split", "tests"], 2, "Did you mean 'test'?"),
        (6, "id", [*hue, "--plot", shop.folder / "x.gif"], 2, ".svg"),
        (6, "id", [*hue, "--plot", shop.network], 2, ".svg"),
        (6, "id", [*hue, "--device", "gpu"], 2, "Unknown device"),
        (6, "id", [*hue, "--features", features], 2, "--images"),
        (8, shop.folder / "none", hue, 2, "do not exist"),
        (8, shop.labels, hue, 3, "labels.csv"),
    ]:
        arguments = shop.arguments(*more)
        arguments[position] = value
        done = ivbpr(*arguments)
        assert done.code == code and said in done.err, (value, more, done)
        assert len(done.err.splitlines()) == 1
    base = ["network", "evaluate", shop.network, "--labels", shop.labels, "--id", "id", *hue]
    done = ivbpr(*base, "--features", features)
    assert done.code == 3 and "no column 'hue=red'" in done.err
    assert ivbpr(*base).code == 2
    nothing = shop.folder / "nothing"
    nothing.mkdir()
    (nothing / "00x.png").write_bytes(b"no picture")
    done = ivbpr(*base, "--images", nothing)
    assert done.code == 3 and "None of the 1 labelled images can be used" in done.err


def test_the_benchmark_compares_on_the_test_part(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from PIL import Image

    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    import network_quality

    images = shop.folder / "one"
    images.mkdir()
    for item, colours in shop.pixels.items():
        colour = tuple(np.round(colours[0] * 255).astype(int).tolist())
        Image.new("RGB", (8, 8), colour).save(images / f"{item}.png")
    covered = shop.items[:-1]
    np.save(shop.folder / "dense.npy", np.stack([shop.pixels[item][0] for item in reversed(covered)]))
    (shop.folder / "ids.txt").write_text("\n".join(reversed(covered)))
    out = shop.folder / "found.json"
    split = ["--seed", 3, "--valid-share", 0.2, "--test-share", 0.3, "--family", 2, "--min-images", 1]
    files = ["--images", images, "--labels", shop.labels, "--id", "id", "--json", out]
    dense = ["--dense", shop.folder / "dense.npy", "--ids", shop.folder / "ids.txt"]
    more = ["--groups", "hue", "--network", f"tiny={shop.network}", "--resamples", 20]
    command = ["network_quality.py", *files, *split, *dense, *more]
    monkeypatch.setattr(sys, "argv", [str(argument) for argument in command])
    network_quality.main()
    printed = capsys.readouterr().out
    found = json.loads(out.read_text())
    assert [*found["assessments"]] == ["most frequent", "regression", "tiny"]
    parts = part_of(Ids.collect(covered), **SPLIT)
    truth = {line.split(",")[0]: line.split(",")[1] for line in shop.labels.read_text().splitlines()}
    items = [item for item, part in zip(covered, parts) if part == 2 and truth[item]]
    hue = {name: judged["groups"]["hue"] for name, judged in found["assessments"].items()}
    assert {group["images"] for group in hue.values()} == {len(items)}
    answers = [KNOWN.groups[0].values[int(shop.pixels[item][0].argmax())] for item in items]
    assert hue["tiny"]["accuracy"] == pytest.approx(np.mean([truth[i] == a for i, a in zip(items, answers)]))
    assert hue["most frequent"]["accuracy"] == pytest.approx(hue["tiny"]["majority"])
    pairs = [(row["a"], row["b"]) for row in found["differences"]]
    assert pairs == [("regression", "most frequent"), ("tiny", "most frequent"), ("tiny", "regression")]
    apart = hue["tiny"]["accuracy"] - hue["regression"]["accuracy"]
    assert found["differences"][2]["mean accuracy"]["difference"] == pytest.approx(apart)
    assert f"{hue['tiny']['accuracy']:.4f}" in printed


def test_the_benchmark_of_the_claim_counts_and_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    from small_models import ATTRIBUTES, DATA

    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    sys.modules.pop("quality", None)
    import claim

    fitted = VBPR(factors=3, visual_factors=4, iterations=2, eval_every=1).fit(DATA, ATTRIBUTES)
    sizes = claim.sizes(fitted, DATA)
    n_columns, n_users, n_items = len(ATTRIBUTES.names), len(DATA.users), len(DATA.items)
    assert (sizes["columns"], sizes["of_features"]) == (n_columns, 5 * n_columns)
    shared = n_items + 3 * (n_users + n_items) + 4 * n_users
    assert sizes["parameters"] == shared + 5 * n_columns
    assert claim.sizes(BPRMF(iterations=1, eval_every=1).fit(DATA), DATA)["columns"] == 0

    rng = np.random.default_rng(0)
    rows, seen = [], [rng.integers(0, 3, 30) for _ in range(2)]
    for split in range(2):
        for name, level in (("n", 0.7), (claim.CATALOGUE, 0.6), (claim.DENSE, 0.5), (claim.NONE, 0.4)):
            # Two tenths more where the photo was trained with.
            values = level + 0.2 * (seen[split] == 0) * (name == "n") + 0.01 * np.tile([1, -1], 15)
            users = {"all": values, "cold": values[:10]}
            rows.append({"split": split, "contender": name, "users": users, "parts": {"n": seen[split]}})
    text = claim.differences(rows, ["n"])
    trained = np.mean([np.mean(parts == 0) for parts in seen])
    assert f"n − {claim.DENSE}".ljust(48) + f"{0.2 + 0.2 * trained:+8.4f}" in text
    apart = {
        line.split("(")[0].strip(): line.split(")")[1].split()[0]
        for line in text.splitlines()
        if " users)" in line
    }
    assert apart[f"n − {claim.CATALOGUE}, train"] == "+0.3000"
    assert apart[f"n − {claim.CATALOGUE}, test"] == apart[f"n − {claim.CATALOGUE}, valid"] == "+0.1000"
    assert "0.9" in claim.by_part(rows, "n").splitlines()[1]
