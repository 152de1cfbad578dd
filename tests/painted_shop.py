"""A shop whose pictures are of one colour each, and the tiny network that reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ivbpr_numba.network.graph import write_network
from ivbpr_numba.network.vocabulary import AttributeGroup, Vocabulary
from ivbpr_numba.photos.preprocessing import Preprocessing

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
