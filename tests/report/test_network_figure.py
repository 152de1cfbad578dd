"""The figure of what a network sees: every group and value, readable, on the page."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest
from small_labels import COLOURS, TAGS, VOCABULARY, drawn, labels_of

from ivbpr_numba.judging.assessment import assess
from ivbpr_numba.network.vocabulary import AttributeGroup, Vocabulary
from ivbpr_numba.report.drawing import width_of
from ivbpr_numba.report.network_figure import FEWEST, network_figure

SVG = "{http://www.w3.org/2000/svg}"


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
