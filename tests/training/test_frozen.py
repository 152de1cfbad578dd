"""Training without torch: branches in NumPy, levels of a backbone, the graft, the command."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import squares
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, log_softmax, softmax
from tiny_networks import toy

from ivbpr_cli.app import run
from ivbpr_numba.errors import DataError, Interrupted, UsageError
from ivbpr_numba.network.file import Network
from ivbpr_numba.network.vocabulary import AttributeGroup, Vocabulary
from ivbpr_numba.photos.pictures import Pictures
from ivbpr_numba.photos.preprocessing import Preprocessing
from ivbpr_numba.training.frozen.branch_training import BranchOptions, standardisation, train_branches
from ivbpr_numba.training.frozen.branches import Branches, known_labels, loss_and_gradient, start_branches
from ivbpr_numba.training.labels import Labels
from ivbpr_numba.training.task import Task, make_task

onnx = pytest.importorskip("onnx", reason="grafting needs the extra 'onnx'")

from ivbpr_numba.training.frozen import activations, grafting  # noqa: E402
from ivbpr_numba.training.frozen.backbone import open_backbone  # noqa: E402
from ivbpr_numba.training.frozen.levels import choose_levels  # noqa: E402
from ivbpr_numba.training.frozen.trainer import partial_path, train_frozen  # noqa: E402

PRE = Preprocessing((32, 32))
QUICK = BranchOptions(hidden=16, epochs=3, batch=32)
LEVELS = ["map_0", "map_1", "map_2"]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("squares") / "photos"
    return folder, squares.write(folder, 120, 32)


def the_task(photos: tuple[Path, Path], groups: tuple[str, ...] = ("colour",), **options: Any) -> Task:
    options = {"tags": ("marks",), "min_images": 5, "valid_share": 0.25, **options}
    return make_task(Pictures.open(photos[0]), photos[1], id_column="item", groups=groups, **options)


def values_of(network: Path, photos: tuple[Path, Path], task: Task) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and features of the task's images through the file alone."""
    from PIL import Image

    read = Network.read(network)
    prepared = read.prepared_by(None)
    pixels = [Image.open(photos[0] / task.pictures.pictures[k].name).convert("RGB") for k in task.chosen]
    images = prepared.normalise(np.stack([np.asarray(prepared.fit(one)) for one in pixels]))
    return tuple(read.session(["probabilities", "features"], "cpu").run(images))


def test_the_file_tells_of_test_images_and_of_groups(tmp_path: Path, photos: tuple[Path, Path]) -> None:
    from ivbpr_numba.documents.summaries import network_summary

    task, out = the_task(photos, test_share=0.2), tmp_path / "net.onnx"
    backbone = open_backbone(toy(tmp_path / "b.onnx"), preprocessing=PRE)
    report = train_frozen(task, backbone, out, QUICK, device="cpu")
    summary, groups, _ = network_summary(out)
    assert summary["images"] == task.report["images_of_part"] and summary["images"]["test"] > 0
    reached = {row["group"]: row["valid_accuracy"] for row in report["groups"]}
    assert {row["group"]: row["valid_accuracy"] for row in groups} == reached


# Branches


@st.composite
def problems(draw: Any) -> tuple[Branches, np.ndarray, list[np.ndarray], np.ndarray, float]:
    """Branches of some groups, features, labels with gaps, dropout and smoothing, in float64."""
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    n, inputs, hidden = draw(st.integers(1, 5)), draw(st.integers(1, 4)), draw(st.integers(1, 3))
    groups, targets = [], []
    for k in range(draw(st.integers(1, 3))):
        size, exclusive = draw(st.integers(1, 4)), draw(st.booleans())
        groups.append(AttributeGroup(f"g{k}", tuple(f"v{j}" for j in range(size)), exclusive))
        if exclusive:
            targets.append(rng.integers(-1, size, n).astype(np.int32))
        else:
            targets.append(rng.integers(-1, 2, (n, size)).astype(np.int8))
    branches = start_branches(inputs, Vocabulary(tuple(groups)), hidden, seed % 100).astype(np.float64)
    moved = [array + rng.normal(0, 0.5, array.shape) for array in branches.parameters]
    branches = branches.with_parameters(moved)
    mask = rng.integers(0, 2, (n, hidden * len(groups))) * 2.0
    return branches, rng.normal(0, 1, (n, inputs)), targets, mask, draw(st.sampled_from([0.0, 0.1]))


@settings(max_examples=60, deadline=None)
@given(problems())
def test_gradient_against_central_differences(problem: Any) -> None:
    branches, x, targets, mask, smoothing = problem
    before = x @ branches.first + branches.first_bias
    if np.abs(before).min() < 1e-4:  # a corner of the ReLU: there is no derivative
        return
    _, gradient = loss_and_gradient(branches, x, targets, None, smoothing, mask)
    step = 1e-6
    for k, slope in enumerate(gradient):
        for place in np.ndindex(slope.shape):
            found = []
            for sign in (1, -1):
                moved = [array.copy() for array in branches.parameters]
                moved[k][place] += sign * step
                moved_branches = branches.with_parameters(moved)
                found.append(loss_and_gradient(moved_branches, x, targets, None, smoothing, mask)[0])
            assert slope[place] == pytest.approx((found[0] - found[1]) / (2 * step), abs=2e-7)


@settings(max_examples=60, deadline=None)
@given(problems())
def test_the_loss_is_the_specified_one(problem: Any) -> None:
    """L = Σ_g Σ_n m_ng ℓ_ng / Σ_g Σ_n m_ng, with SciPy's soft-max and sigmoid, label by label."""
    branches, x, targets, _, _ = problem
    total, known = 0.0, 0
    for logits, target, exclusive in zip(branches.logits(x), targets, branches.exclusive):
        for row, own in zip(logits, target):
            if exclusive and own >= 0:
                total, known = total - log_softmax(row)[own], known + 1
            elif not exclusive and (own >= 0).any():
                p = np.where(own == 1, expit(row), expit(-row))
                total, known = total - np.log(p[own >= 0]).sum(), known + 1
    assert known_labels(targets) == known
    loss, _ = loss_and_gradient(branches, x, targets)
    assert loss == pytest.approx(total / max(known, 1), rel=1e-9, abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(problems(), st.integers(0, 2**32 - 1))
def test_what_is_masked_has_no_influence(problem: Any, seed: int) -> None:
    """An image without any known label changes nothing, whatever its features."""
    branches, x, targets, _, smoothing = problem
    rng = np.random.default_rng(seed)
    strange = rng.normal(0, 100, (2, x.shape[1]))
    nothing = [np.full((2, *target.shape[1:]), -1, target.dtype) for target in targets]
    longer = [np.concatenate([target, more]) for target, more in zip(targets, nothing)]
    known = float(max(known_labels(targets), 1))
    loss, gradient = loss_and_gradient(branches, x, targets, known, smoothing)
    other, slopes = loss_and_gradient(branches, np.concatenate([x, strange]), longer, known, smoothing)
    assert other == pytest.approx(loss, rel=1e-12, abs=1e-15)
    for one, two in zip(gradient, slopes):
        np.testing.assert_allclose(two, one, rtol=1e-9, atol=1e-12)
    # … and neither has a single unknown tag: its column gets no slope from that image.
    for k, target in enumerate(targets):
        if target.ndim == 2:
            blind = [np.full_like(t, -1) for t in targets]
            blind[k][:, 0] = target[:, 0]
            _, slopes = loss_and_gradient(branches, x, blind)
            assert not slopes[2 + 2 * k][:, 1:].any() and not slopes[3 + 2 * k][1:].any()


def test_folding_changes_no_answer() -> None:
    rng = np.random.default_rng(3)
    features = (rng.normal(5, [1, 100, 0.001, 0], (50, 4))).astype(np.float32)
    vocabulary = squares.VOCABULARY
    shift, factor = standardisation(features, np.arange(40))
    assert factor[3] == 0  # it never changes
    branches = start_branches(4, vocabulary, 8, 0)
    folded = branches.folded(shift, factor, [2.0, 0.5])
    wide = (features.astype(np.float64) - shift) * factor
    for one, two, t in zip(branches.astype(np.float64).logits(wide), folded.logits(features), [2.0, 0.5]):
        np.testing.assert_allclose(two, one / t, rtol=1e-6, atol=1e-6)
    shares = branches.probabilities(wide.astype(np.float32))
    logits = branches.logits(wide.astype(np.float32))
    np.testing.assert_allclose(shares[:, :4], softmax(logits[0], axis=1), atol=1e-6)
    np.testing.assert_allclose(shares[:, 4:], expit(logits[1]), atol=1e-6)


def drawn(n: int = 300, seed: int = 1) -> tuple[np.ndarray, list[np.ndarray], Vocabulary]:
    """Features, and labels that are functions of them, some unknown."""
    rng = np.random.default_rng(seed)
    features = rng.normal(3, 2, (n, 12)).astype(np.float32)
    colour = features[:, :3].argmax(axis=1).astype(np.int32)
    tags = (features[:, 3:5] > 3).astype(np.int8)
    colour[rng.random(n) < 0.2] = -1
    tags[rng.random((n, 2)) < 0.2] = -1
    groups = (AttributeGroup("colour", ("a", "b", "c"), True), AttributeGroup("tags", ("x", "y"), False))
    return features, [colour, tags], Vocabulary(groups)


def test_training_learns_and_repeats_itself() -> None:
    features, targets, vocabulary = drawn(600)
    train, valid = np.arange(450), np.arange(450, 600)
    options = BranchOptions(hidden=32, epochs=30, batch=64, learning_rate=5e-3)
    events: list[dict[str, Any]] = []
    first = train_branches(features, targets, vocabulary, train, valid, options, events.append)
    again = train_branches(features, targets, vocabulary, train, valid, options)
    for one, two in zip(first.branches.parameters, again.branches.parameters):
        assert one.tobytes() == two.tobytes()
    other = train_branches(features, targets, vocabulary, train, valid, replace(options, seed=1))
    assert other.branches.first.tobytes() != first.branches.first.tobytes()
    assert first.best["valid_accuracy"] > 0.85
    assert first.best["valid_log_loss"] == min(row["valid_log_loss"] for row in first.history)
    assert [event["epoch"] for event in events if "event" in event] == list(range(1, 31))
    # Labels of the validation rows teach nothing, and neither do unused rows.
    changed = [target.copy() for target in targets]
    changed[0][valid], changed[1][valid] = -1, -1
    blind = train_branches(features, changed, vocabulary, train, valid, options)
    assert blind.best["valid_accuracy"] is None and blind.best["epoch"] == 30
    assert blind.temperatures == [1.0, 1.0]
    full = train_branches(features, targets, vocabulary, train, np.array([], dtype=np.int64), options)
    assert full.unfolded.first.tobytes() == blind.unfolded.first.tobytes()


def test_same_bits_for_one_and_two_threads() -> None:
    """Of the BLAS library, and of our own: the blocks of a product are the same."""
    program = (
        "import sys, hashlib, numpy as np; sys.path[:0] = sys.argv[1:]; import test_frozen as t\n"
        "rng = np.random.default_rng(0); f = rng.normal(0, 1, (700, 600)).astype(np.float32)\n"
        "y = [rng.integers(-1, 30, 700).astype(np.int32), rng.integers(-1, 2, (700, 9)).astype(np.int8)]\n"
        "v = t.Vocabulary((t.AttributeGroup('a', tuple(map(str, range(30))), True),\n"
        "                  t.AttributeGroup('b', tuple(map(str, range(9))), False)))\n"
        "o = t.BranchOptions(hidden=128, epochs=2, batch=256)\n"
        "r = t.train_branches(f, y, v, np.arange(500), np.arange(500, 700), o)\n"
        "print(hashlib.sha256(b''.join(p.tobytes() for p in r.branches.parameters)).hexdigest())\n"
    )
    found = set()
    for threads in ("1", "2"):
        limits = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), threads)
        command = [sys.executable, "-c", program, *map(str, Path(__file__).parents[:2])]
        done = subprocess.run(command, env={**os.environ, **limits}, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        found.add(done.stdout.strip())
    assert len(found) == 1 and len(found.pop()) == 64


def test_options_that_make_no_sense() -> None:
    for change in ({"hidden": 0}, {"dropout": 1.0}, {"epochs": 0}, {"criterion": "luck"}, {"seed": -1}):
        with pytest.raises(UsageError) as caught:
            replace(QUICK, **change).checked()
        assert f"{next(iter(change))}=" in str(caught.value)
    features, targets, vocabulary = drawn()
    rows = np.arange(300)
    with pytest.raises(UsageError, match="no longer finite"), np.errstate(all="ignore"):
        train_branches(features, targets, vocabulary, rows, rows, replace(QUICK, learning_rate=1e30))


def test_an_interruption_ends_the_training() -> None:
    features, targets, vocabulary = drawn()
    with pytest.raises(Interrupted) as caught:
        train_branches(features, targets, vocabulary, np.arange(300), np.arange(9), QUICK, stopped=lambda: 15)
    assert caught.value.exit_code == 143


# Levels


def test_levels_are_chosen_and_named(tmp_path: Path) -> None:
    backbone = open_backbone(toy(tmp_path / "b.onnx"), preprocessing=PRE)
    assert [level.name for level in backbone.levels] == LEVELS  # without the narrow one, without logits
    assert [level.channels for level in backbone.levels] == [8, 16, 24]
    assert [level.sides for level in backbone.levels] == [(16, 16), (8, 8), (4, 4)]
    assert backbone.columns == 2 * (8 + 16 + 24)
    chosen = open_backbone(tmp_path / "b.onnx", ["map_1", "flat"], PRE)
    assert [level.describe()["features"] for level in chosen.levels] == [32, 24]


def test_a_pooled_vector_is_mean_and_maximum(tmp_path: Path) -> None:
    path = toy(tmp_path / "b.onnx")
    images = np.random.default_rng(0).normal(0, 1, (5, 3, 32, 32)).astype(np.float32)
    backbone = open_backbone(path, ["map_1", "flat"], PRE)
    (found,) = backbone.session("cpu").run(images)
    inner, flat = Network.read(path).session(["map_1", "flat"], "cpu").run(images)
    wanted = np.concatenate([inner.mean(axis=(2, 3)), inner.max(axis=(2, 3)), flat], axis=1)
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_unknown_layers_are_refused(tmp_path: Path) -> None:
    path = toy(tmp_path / "b.onnx")
    with pytest.raises(UsageError) as caught:
        open_backbone(path, ["map_7"], PRE)
    assert "Did you mean 'map_" in str(caught.value) and "Candidates: " in str(caught.value)
    with pytest.raises(UsageError, match="twice"):
        open_backbone(path, ["map_1", "map_1"], PRE)
    with pytest.raises(UsageError, match="preprocess="):
        open_backbone(path)


def test_many_levels_are_thinned_out_evenly() -> None:
    helper = onnx.helper
    channels = [2, 3, 4, 5, 6, 7, 8, 9, 10]
    nodes, weights, value, before = [], [], "x", 3
    for k, width in enumerate(channels):
        weights.append(onnx.numpy_helper.from_array(np.zeros((width, before, 3, 3), np.float32), f"w{k}"))
        nodes.append(helper.make_node("Conv", [value, f"w{k}"], [f"y{k}"], pads=[1, 1, 1, 1]))
        value, before = f"y{k}", width
    graph = helper.make_graph(
        nodes,
        "many",
        [helper.make_tensor_value_info("x", 1, ["N", 3, 8, 8])],
        [helper.make_tensor_value_info(value, 1, ["N", 10, 8, 8])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    found = choose_levels(model, "x", (None, 3, 8, 8))
    assert [level.name for level in found] == ["y2", "y4", "y6", "y8"]


def test_a_graph_without_maps_asks_for_layers(tmp_path: Path) -> None:
    helper = onnx.helper
    weights = [onnx.numpy_helper.from_array(np.ones((192, 4), np.float32), "w")]
    nodes = [helper.make_node("Flatten", ["x"], ["f"]), helper.make_node("MatMul", ["f", "w"], ["y"])]
    graph = helper.make_graph(
        nodes,
        "flat",
        [helper.make_tensor_value_info("x", 1, ["N", 3, 8, 8])],
        [helper.make_tensor_value_info("y", 1, ["N", 4])],
        weights,
    )
    path = tmp_path / "flat.onnx"
    path.write_bytes(
        helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8
        ).SerializeToString()
    )
    with pytest.raises(UsageError, match="output="):
        open_backbone(path, preprocessing=Preprocessing((8, 8)))
    assert open_backbone(path, ["y"], Preprocessing((8, 8))).columns == 4
    with pytest.raises(UsageError, match="another size="):
        open_backbone(path, ["y"], Preprocessing((8, 8)), (16, 16))


# The graft


@pytest.mark.parametrize(
    ("opset", "batch", "layout"),
    [(17, None, "NCHW"), (7, None, "NCHW"), (11, 1, "NCHW"), (13, 4, "NCHW"), (18, None, "NHWC")],
)
def test_grafted_networks_do_what_was_trained(
    tmp_path: Path, photos: tuple[Path, Path], opset: int, batch: int | None, layout: str
) -> None:
    """Any version of operators and any layout; a fixed number of images becomes free."""
    prepared = replace(PRE, layout=layout)
    backbone = open_backbone(toy(tmp_path / "b.onnx", batch, opset, layout), preprocessing=prepared)
    task, out = the_task(photos), tmp_path / "net.onnx"
    report = train_frozen(task, backbone, out, QUICK, device="cpu", about={"split": task.split})
    assert [level["output"] for level in report["levels"]] == LEVELS
    assert report["largest_difference"] < 1e-4 and report["opset"] == opset
    assert not partial_path(out).exists()
    network = Network.read(out)
    assert network.vocabulary == task.labels.vocabulary and network.preprocessing == prepared
    assert network.record["way"] == "frozen" and network.record["split"] == task.split
    assert network.input == "images" and network.outputs == ("probabilities", "features")
    probabilities, features = values_of(out, photos, task)
    assert probabilities.shape == (120, 6) and features.shape == (120, backbone.columns)
    np.testing.assert_allclose(probabilities[:, :4].sum(axis=1), 1, atol=1e-5)
    # Weights read from the file, applied by NumPy and SciPy to the features that the file gives.
    weights = {
        one.name: onnx.numpy_helper.to_array(one).astype(np.float64)
        for one in onnx.load(out).graph.initializer
    }
    hidden = np.maximum(features @ weights["ivbpr/first"] + weights["ivbpr/first_bias"], 0)
    logits = [
        hidden[:, k * 16 : (k + 1) * 16] @ weights[f"ivbpr/second_{k}"] + weights[f"ivbpr/second_bias_{k}"]
        for k in range(2)
    ]
    wanted = np.concatenate([softmax(logits[0], axis=1), expit(logits[1])], axis=1)
    np.testing.assert_allclose(probabilities, wanted, atol=1e-4)


def test_names_of_ours_in_the_backbone_make_room(tmp_path: Path, photos: tuple[Path, Path]) -> None:
    names = {"map_0": "features", "map_1": "images", "flat": "probabilities"}
    backbone = open_backbone(toy(tmp_path / "b.onnx", **names), ["features", "probabilities"], PRE)
    report = train_frozen(the_task(photos), backbone, tmp_path / "n.onnx", QUICK, device="cpu")
    assert report["largest_difference"] < 1e-4
    assert Network.read(tmp_path / "n.onnx").outputs == ("probabilities", "features")


def test_our_own_network_is_a_backbone(tmp_path: Path, photos: tuple[Path, Path]) -> None:
    """Its preprocessing is its own; new labels on the features of an older training."""
    first = tmp_path / "first.onnx"
    task = the_task(photos)
    train_frozen(task, open_backbone(toy(tmp_path / "b.onnx"), (), PRE), first, QUICK, device="cpu")
    backbone = open_backbone(first)
    assert backbone.preprocessing == PRE and [level.name for level in backbone.levels] == LEVELS
    backbone = open_backbone(first, ["features"])
    report = train_frozen(the_task(photos, tags=()), backbone, tmp_path / "second.onnx", QUICK, device="cpu")
    assert report["levels"][0]["features"] == 96 and report["largest_difference"] < 1e-4
    _, features = values_of(tmp_path / "second.onnx", photos, task)
    np.testing.assert_allclose(features, values_of(first, photos, task)[1], atol=1e-5)


def test_another_size_of_image(tmp_path: Path, photos: tuple[Path, Path]) -> None:
    """The graph says 64 × 64; up to these layers any size fits."""
    path = toy(tmp_path / "b.onnx", batch=1, side=64)
    with pytest.raises(UsageError, match="Change the size"):
        open_backbone(path, preprocessing=PRE)
    backbone = open_backbone(path, preprocessing=PRE, size=(24, 40))
    assert backbone.preprocessing.size == (24, 40) and backbone.levels[0].sides == (12, 20)
    report = train_frozen(the_task(photos), backbone, tmp_path / "n.onnx", QUICK, device="cpu")
    assert report["largest_difference"] < 1e-4


def test_a_graft_that_differs_is_not_written(
    tmp_path: Path, photos: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone = open_backbone(toy(tmp_path / "b.onnx"), preprocessing=PRE)
    monkeypatch.setattr(
        "ivbpr_numba.training.frozen.trainer.graft",
        lambda model, input, branches: grafting.graft(
            model, input, replace(branches, first=branches.first + 1e-3)
        ),
    )
    with pytest.raises(DataError, match="differ"):
        train_frozen(the_task(photos), backbone, tmp_path / "n.onnx", QUICK, device="cpu")
    assert not (tmp_path / "n.onnx").exists()


def test_batches_that_mix_are_refused(tmp_path: Path) -> None:
    path = toy(tmp_path / "b.onnx", batch=2)
    with pytest.raises(DataError, match=r"several images|is expected"):
        open_backbone(path, ["flat"], PRE)  # behind a reshape that knows two images


# What is learned


def test_something_is_learned_from_drawn_photos(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    table = squares.write(folder, 500, 32, seed=4)
    task = the_task((folder, table), valid_share=0.2, test_share=0.2)
    options = BranchOptions(hidden=48, epochs=40, batch=64, learning_rate=3e-3, input_dropout=0.0)
    backbone = open_backbone(toy(tmp_path / "b.onnx"), preprocessing=PRE)
    report = train_frozen(task, backbone, tmp_path / "n.onnx", options, device="cpu")
    probabilities, _ = values_of(tmp_path / "n.onnx", (folder, table), task)
    test = task.part == 2
    colour, marks = (values[test] for values in task.labels.values)
    assert (probabilities[test, :4].argmax(axis=1) == colour).mean() > 0.9
    assert ((probabilities[test, 4:] > 0.5) == (marks == 1)).mean() > 0.75
    assert report["groups"][0]["valid_accuracy"] > 0.9
    assert 0.05 <= report["groups"][0]["temperature"] <= 20


def test_same_seed_same_file(tmp_path: Path, photos: tuple[Path, Path]) -> None:
    backbone = open_backbone(toy(tmp_path / "b.onnx"), preprocessing=PRE)
    for name, seed in (("one", 0), ("two", 0), ("three", 1)):
        options = replace(QUICK, seed=seed)
        train_frozen(
            the_task(photos),
            backbone,
            tmp_path / name,
            options,
            device="cpu",
            threads=2 if name == "two" else 1,
        )
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert (tmp_path / "one").read_bytes() != (tmp_path / "three").read_bytes()


def test_a_vocabulary_with_one_value(tmp_path: Path, photos: tuple[Path, Path]) -> None:
    table = tmp_path / "one.csv"
    table.write_text("item,kind\n" + "".join(f"p{k:03d},square\n" for k in range(60)))
    task = the_task((photos[0], table), ("kind",), tags=())
    backbone = open_backbone(toy(tmp_path / "b.onnx"), preprocessing=PRE)
    report = train_frozen(task, backbone, tmp_path / "n.onnx", QUICK, device="cpu")
    assert report["groups"][0]["values"] == 1 and report["groups"][0]["temperature"] == 1.0
    assert values_of(tmp_path / "n.onnx", photos, task)[0].tolist() == [[1.0]] * 60


def without_training_labels(task: Task, group: int) -> Task:
    """As if the photos of all labelled training items of a group were damaged."""
    values = [array.copy() for array in task.labels.values]
    values[group][task.part == 0] = -1
    return replace(task, labels=Labels(task.labels.items, task.labels.vocabulary, values, task.labels.report))


def test_a_group_without_training_label_is_left_out(tmp_path: Path, photos: tuple[Path, Path]) -> None:
    backbone = open_backbone(toy(tmp_path / "b.onnx"), preprocessing=PRE)
    task = without_training_labels(the_task(photos), 0)
    report = train_frozen(task, backbone, tmp_path / "n.onnx", QUICK, device="cpu")
    assert [row["group"] for row in report["groups"]] == ["marks"]
    assert any("'colour'" in note for note in report["notes"])
    assert [group.name for group in Network.read(tmp_path / "n.onnx").vocabulary.groups] == ["marks"]
    with pytest.raises(DataError, match="label of any group"):
        train_frozen(without_training_labels(task, 1), backbone, tmp_path / "m.onnx", QUICK, device="cpu")
    assert not (tmp_path / "m.onnx").exists()


def test_two_thousand_tags(tmp_path: Path, photos: tuple[Path, Path]) -> None:
    rng = np.random.default_rng(0)
    table = tmp_path / "tags.csv"
    rows = [";".join(f"t{k:04d}" for k in np.flatnonzero(rng.random(2000) < 0.3)) for _ in range(60)]
    table.write_text("item,tags\n" + "".join(f"p{k:03d},{row}\n" for k, row in enumerate(rows)))
    task = the_task((photos[0], table), (), tags=("tags",), min_images=1)
    assert task.labels.vocabulary.size == 2000
    backbone = open_backbone(toy(tmp_path / "b.onnx"), preprocessing=PRE)
    report = train_frozen(task, backbone, tmp_path / "n.onnx", QUICK, device="cpu")
    assert report["largest_difference"] < 1e-4
    found, _ = values_of(tmp_path / "n.onnx", photos, task)
    assert found.shape == (60, 2000) and ((found > 0) & (found < 1)).all()


def test_damaged_photos_take_part_in_nothing(tmp_path: Path, photos: tuple[Path, Path]) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for path in photos[0].iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "p003.png").write_bytes(b"no image")
    (folder / "p070.png").write_bytes((folder / "p070.png").read_bytes()[:50])
    backbone = open_backbone(toy(tmp_path / "b.onnx"), preprocessing=PRE)
    report = train_frozen(the_task((folder, photos[1])), backbone, tmp_path / "n.onnx", QUICK, device="cpu")
    assert [row["item"] for row in report["bad_images"]] == ["p003", "p070"]
    assert all(row["reason"] for row in report["bad_images"])
    labelled = report["groups"][0]["train_labels"] + report["groups"][0]["valid_labels"]
    assert labelled == 118


def test_a_killed_run_goes_on_or_starts_anew(
    tmp_path: Path, photos: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(activations, "BATCH", 16)
    backbone = open_backbone(toy(tmp_path / "b.onnx"), preprocessing=PRE)
    whole, out = tmp_path / "whole.onnx", tmp_path / "net.onnx"
    train_frozen(the_task(photos), backbone, whole, QUICK, device="cpu")

    def breaks(event: dict[str, Any]) -> None:
        if event.get("done") == 48:
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        train_frozen(the_task(photos), backbone, out, QUICK, device="cpu", progress=breaks)
    assert partial_path(out).exists() and not out.exists()
    with pytest.raises(UsageError, match="resume=True"):
        train_frozen(the_task(photos), backbone, out, QUICK, device="cpu")
    with pytest.raises(UsageError, match="another"):  # other layers, other activations
        other = open_backbone(tmp_path / "b.onnx", ["map_1"], PRE)
        train_frozen(the_task(photos), other, out, QUICK, device="cpu", resume=True)
    with open(partial_path(out), "ab") as file:
        file.write(b"the beginning of a record")
    report = train_frozen(the_task(photos), backbone, out, QUICK, device="cpu", resume=True)
    assert report["resumed"] == 48
    assert out.read_bytes() == whole.read_bytes() and not partial_path(out).exists()
    with pytest.raises(RuntimeError, match="killed"):
        train_frozen(the_task(photos), backbone, out, QUICK, device="cpu", progress=breaks)
    assert out.read_bytes() == whole.read_bytes()  # what was there stays
    report = train_frozen(the_task(photos), backbone, out, QUICK, device="cpu", overwrite=True)
    assert report["resumed"] == 0 and out.read_bytes() == whole.read_bytes()


# The command


def command(photos: tuple[Path, Path], out: Path, backbone: Path, *more: str) -> list[str]:
    base = ["network", "train", "--images", photos[0], "--labels", photos[1], "--id", "item"]
    base += ["--groups", "colour", "--tags", "marks", "--min-images", "5", "--valid-share", "0.25"]
    base += ["-o", out, "--frozen", backbone, "--device", "cpu", "--epochs", "2", "--format", "json"]
    return [*map(str, base), *more]


def test_the_command(tmp_path: Path, photos: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    backbone, out, log = toy(tmp_path / "b.onnx", side=64), tmp_path / "net.onnx", tmp_path / "log.jsonl"
    size = ["--preprocess", "imagenet", "--size", "32x32", "--hidden", "16"]
    assert run(command(photos, out, backbone, *size, "--log", str(log))) == 0
    document = json.loads(capsys.readouterr().out)
    assert [level["output"] for level in document["levels"]] == LEVELS
    assert document["groups"]["colour"]["values"] == 4 and document["epochs"] == 2
    events = [json.loads(line) for line in log.read_text().splitlines()]
    assert [event["event"] for event in events] == ["configuration", "evaluation", "evaluation", "end"]
    assert Network.read(out).vocabulary.size == 6
    again = [*size, "--output", "map_1", "--output", "map_2"]
    assert run(command(photos, out, backbone, *again)) == 0
    assert [level["output"] for level in json.loads(capsys.readouterr().out)["levels"]] == ["map_1", "map_2"]


def test_what_is_left_out_is_shown(
    tmp_path: Path, photos: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = tmp_path / "photos", tmp_path / "net.onnx"
    shutil.copytree(photos[0], folder)
    first = sorted(folder.iterdir())[0]
    first.write_bytes(first.read_bytes()[:40])
    (folder / "read me.txt").write_text("not a photo")
    given = ["--preprocess", "imagenet", "--size", "32x32", "--hidden", "8", "--format", "table"]
    assert run(command((folder, photos[1]), out, toy(tmp_path / "b.onnx"), *given)) == 0
    shown = capsys.readouterr().out
    assert "Images that can't be used: 1" in shown and first.name in shown
    assert "Files that are not taken for photos: 1" in shown and "read me.txt" in shown


def test_mistakes_end_with_exit_code_2(
    tmp_path: Path, photos: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    backbone, out = toy(tmp_path / "b.onnx"), tmp_path / "net.onnx"
    prepared = ["--preprocess", "imagenet", "--size", "32x32"]
    for more, said in (
        ([], "--preprocess"),
        ([*prepared, "--output", "mop_1"], "Did you mean 'map_1'?"),
        ([*prepared, "--balance", "0.5"], "--balance has no meaning with --frozen"),
        ([*prepared, "--dropout", "1"], "--dropout"),
    ):
        assert run(command(photos, out, backbone, *more)) == 2
        assert said in " ".join(capsys.readouterr().err.split())
    assert not out.exists()


def test_nothing_of_torch_is_imported(tmp_path: Path, photos: tuple[Path, Path]) -> None:
    arguments = command(photos, tmp_path / "n.onnx", toy(tmp_path / "b.onnx"), "--quiet")
    arguments += ["--preprocess", "imagenet", "--size", "32x32", "--hidden", "8"]
    program = (
        "import sys; from ivbpr_cli.app import run; code = run(sys.argv[1:]); "
        "assert not any(name.partition('.')[0] == 'torch' for name in sys.modules); sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# Real photos


@pytest.mark.real_data
def test_real_photos_beat_majority_and_logistic_regression(real_data: Path, tmp_path: Path) -> None:
    """A third of the photos: better than a logistic regression on the last layer's averages, by a margin."""
    import csv

    from sklearn.linear_model import LogisticRegression

    pictures = Pictures.open(real_data / "hm" / "images_96x144.tar.gz")
    groups = ("product_type_name", "colour_group_name", "perceived_colour_master_name")
    some = {picture.item for picture in pictures.pictures[::3]}
    table = tmp_path / "labels.csv"
    with gzip.open(real_data / "hm" / "articles.csv.gz", "rt") as file, open(table, "w", newline="") as kept:
        rows = csv.DictReader(file)
        writer = csv.DictWriter(kept, rows.fieldnames)
        writer.writeheader()
        writer.writerows(row for row in rows if row["article_id"] in some)
    task = make_task(pictures, table, id_column="article_id", groups=groups, test_share=0.2, family=7)
    backbone = open_backbone(
        real_data / "onnx_squeezenet" / "squeezenet1.1_fp32.onnx",
        preprocessing=Preprocessing.read("bgr-raw"),
        size=(144, 96),
    )
    assert [level.name for level in backbone.levels] == [f"fire{k}/concat_1" for k in (3, 5, 7, 9)]
    out = tmp_path / "net.onnx"
    train_frozen(task, backbone, out, BranchOptions(hidden=128), device="cpu")
    network = Network.read(out)
    pixels, _, _ = load(task, network.prepared_by(None))
    session = network.session(["probabilities", "features"], "cpu")
    found = [session.run(pixels[start : start + 64]) for start in range(0, len(pixels), 64)]
    probabilities, features = (np.concatenate(parts) for parts in zip(*found))
    test, train = task.images_in("test"), task.images_in("train")
    last = features[:, -1024:-512]  # means of the last layer
    last = (last - last[train].mean(axis=0)) / (last[train].std(axis=0) + 1e-6)
    ours, theirs, majority = [], [], []
    for group, values in zip(network.vocabulary.layout, task.labels.values):
        label = values[task.picture_rows]
        rows, known = test[label[test] >= 0], train[label[train] >= 0]
        answer = probabilities[rows, group.offset : group.offset + group.size].argmax(axis=1)
        ours.append((answer == label[rows]).mean())
        regression = LogisticRegression(C=0.003, max_iter=500).fit(last[known], label[known])
        theirs.append((regression.predict(last[rows]) == label[rows]).mean())
        majority.append((np.bincount(label[known]).argmax() == label[rows]).mean())
    assert np.mean(ours) > np.mean(majority) + 0.3, (ours, majority)
    assert np.mean(ours) > np.mean(theirs) + 0.08, (ours, theirs)


def load(task: Task, prepared: Preprocessing) -> tuple[np.ndarray, np.ndarray, list[dict[str, str]]]:
    from ivbpr_numba.photos.pictures import load_pixels

    pixels, usable, problems = load_pixels(task.pictures, task.chosen.tolist(), prepared.fit, prepared.size)
    return prepared.normalise(pixels), usable, problems
