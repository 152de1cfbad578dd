"""The small network of the package: what it says about itself, and what it knows of unseen worlds."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from ivbpr_numba import EnvironmentProblem, Features
from ivbpr_numba.judging.assessment import assess
from ivbpr_numba.network import shipped
from ivbpr_numba.network.extraction import extract
from ivbpr_numba.network.file import Network
from ivbpr_numba.network.shipped import shipped_network
from ivbpr_numba.report.photos import labels_of
from ivbpr_numba.worlds.pictures import VALUES, write_pictures
from ivbpr_numba.worlds.world import generate

ASSETS = Path(__file__).parents[2] / "data" / "assets.md"
MARGIN = 0.03  # a small world has 300 products


def stated() -> dict[str, tuple[float, float]]:
    """Accuracy and mean AP by group, as the document states them."""
    rows = re.findall(r"^\| (\w+) \| [\d.]+ \| ([\d.]+) \| ([\d.]+) \|", ASSETS.read_text(), re.MULTILINE)
    return {name: (float(accuracy), float(ap)) for name, accuracy, ap in rows}


def test_it_is_small_and_says_what_it_is() -> None:
    path = shipped_network()
    network = Network.read(path)
    assert path.stat().st_size < 2_000_000
    assert network.outputs == ("probabilities", "features") and network.input_shape[0] is None
    assert network.vocabulary is not None and network.preprocessing is not None
    named = {group.name: set(group.values) for group in network.vocabulary.groups}
    assert named == {group: set(values) for group, values in VALUES.items()}
    assert [group.name for group in network.vocabulary.groups if not group.exclusive] == ["tags"]
    options = network.record["options"]
    assert network.record["trunk"] == options["trunk"] == "small"
    text = ASSETS.read_text()
    for name in ("epochs", "seed", "hidden", "dropout"):
        assert f"--{name} {options[name]}" in text, name
    assert network.sha256 in text


def test_it_knows_the_products_of_a_world_that_it_never_saw(tmp_path: Path) -> None:
    network = Network.read(shipped_network())
    world = generate("tiny", 4321)
    images = write_pictures(world, tmp_path / "images")
    found = extract(images, network.path, tmp_path / "f.h5", device="cpu")
    assert found["items"] == 300 and not found["bad"]
    features = Features.read(tmp_path / "f.h5")
    assert network.vocabulary is not None
    values = features.values(features.rows_of_all(world.items))
    judged = assess(values, labels_of(world, network.vocabulary), network.vocabulary)["groups"]
    figures = stated()
    assert set(figures) == set(judged) == set(VALUES)
    for name, (accuracy, _) in figures.items():
        assert judged[name]["accuracy"] >= accuracy - MARGIN, name
        assert judged[name]["accuracy"] > judged[name]["majority"] + 0.2
        assert judged[name]["calibration_error"] < 0.08, name
    assert judged["tags"]["mean_ap"] >= figures["tags"][1] - MARGIN
    assert np.isfinite(values).all()


def test_a_package_without_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipped, "NAME", "missing.onnx")
    with pytest.raises(EnvironmentProblem, match=r"missing\.onnx"):
        shipped_network()
