"""Tiny ONNX networks for tests: made with the package onnx, a few kilobytes, random but repeatable weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ivbpr_numba.network.vocabulary import AttributeGroup, Vocabulary
from ivbpr_numba.photos.preprocessing import Preprocessing

VOCABULARY = Vocabulary(
    (
        AttributeGroup("colour", ("Black", "Red", "White"), True),
        AttributeGroup("tags", ("striped", "warm"), False),
    )
)
SIZE = (12, 8)  # height, width
PREPROCESSING = Preprocessing(SIZE)
CHANNELS = 4


def named_network(path: Path, wrong: str = "", seed: int = 0) -> Path:
    """A network with our metadata: ``probabilities`` (N, 5) of VOCABULARY, ``features`` (N, 4).

    Parameters
    ----------
    wrong : str
        ``nan``: NaN for dark images; ``sum``: the soft-max is missing; ``range``: the probabilities are logits.
    """
    pytest.importorskip("onnx", reason="networks for tests are made with onnx")
    from ivbpr_numba.network.graph import write_network

    nodes, weights, helper = _trunk("images", seed)
    rng = np.random.default_rng(seed + 1)
    weights["w"] = rng.normal(0, 3, (CHANNELS, VOCABULARY.size)).astype(np.float32)
    weights["b"] = rng.normal(0, 1, VOCABULARY.size).astype(np.float32)
    weights["sizes"] = np.array([3, 2])
    weights["dark"] = np.array([1.9], dtype=np.float32)
    if wrong == "nan":
        nodes += [
            helper.make_node("GlobalAveragePool", ["images"], ["light"]),
            helper.make_node("Flatten", ["light"], ["lights"]),
            helper.make_node("ReduceMean", ["lights"], ["lightness"], axes=[1], keepdims=1),
            helper.make_node("Add", ["lightness", "dark"], ["shifted"]),
            helper.make_node("Log", ["shifted"], ["logged"]),
            helper.make_node("Add", ["pooled", "logged"], ["features"]),
        ]
    else:
        nodes.append(helper.make_node("Identity", ["pooled"], ["features"]))
    nodes += [
        helper.make_node("Gemm", ["features", "w", "b"], ["logits"]),
        helper.make_node("Split", ["logits", "sizes"], ["one", "two"], axis=1),
        helper.make_node({"sum": "Sigmoid"}.get(wrong, "Softmax"), ["one"], ["p1"]),
        helper.make_node("Sigmoid", ["two"], ["p2"]),
        helper.make_node("Concat", ["p1", "p2"], ["joined"], axis=1),
        helper.make_node("Identity", ["logits" if wrong == "range" else "joined"], ["probabilities"]),
    ]
    shapes = {"probabilities": ["batch", VOCABULARY.size], "features": ["batch", CHANNELS]}
    model = _model(nodes, weights, "images", ["batch", 3, *SIZE], shapes)
    write_network(model, VOCABULARY, PREPROCESSING, {"made": "for a test"}, path)
    return path


def plain_network(path: Path, batch: int | None = None, seed: int = 0) -> Path:
    """A network without metadata: input ``data``, inner value ``inner`` (N, 4, 12, 8), output ``y`` (N, 4).

    Parameters
    ----------
    batch : int, optional
        A fixed number of images; any where not given.
    """
    onnx = pytest.importorskip("onnx", reason="networks for tests are made with onnx")
    nodes, weights, helper = _trunk("data", seed)
    nodes.append(helper.make_node("Tanh", ["pooled"], ["y"]))
    first: Any = batch or "batch"
    model = _model(nodes, weights, "data", [first, 3, *SIZE], {"y": [first, CHANNELS]})
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString())
    return path


def _trunk(input: str, seed: int) -> tuple[list[Any], dict[str, np.ndarray], Any]:
    """Convolution, ReLU (``inner``), average (``pooled``, (N, 4))."""
    from onnx import helper

    rng = np.random.default_rng(seed)
    weights = {"kernel": rng.normal(0, 0.4, (CHANNELS, 3, 3, 3)).astype(np.float32)}
    nodes = [
        helper.make_node("Conv", [input, "kernel"], ["conv"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["conv"], ["inner"]),
        helper.make_node("GlobalAveragePool", ["inner"], ["gap"]),
        helper.make_node("Flatten", ["gap"], ["pooled"]),
    ]
    return nodes, weights, helper


def _model(
    nodes: list[Any],
    weights: dict[str, np.ndarray],
    input: str,
    shape: list[Any],
    outputs: dict[str, list[Any]],
) -> Any:
    from onnx import TensorProto, helper, numpy_helper

    used = {name for node in nodes for name in node.input}
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(input, TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, sides) for name, sides in outputs.items()],
        [numpy_helper.from_array(value, name) for name, value in weights.items() if name in used],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def toy(
    path: Path, batch: int | None = None, opset: int = 17, layout: str = "NCHW", side: int = 32, **names: str
) -> Path:
    """Random convolutions of 8, 16 and 24 channels, each halving the image, and a classifier of ten.

    Values are called map_0 … map_2 after the ReLU, squeeze (4 channels) between the last two, y at the end;
    `names` calls them otherwise.
    """
    pytest.importorskip("onnx", reason="networks for tests are made with onnx")
    import onnx
    import onnx.checker
    import onnx.helper
    import onnx.numpy_helper

    helper, rng = onnx.helper, np.random.default_rng(5)
    nodes, weights, value, before = [], {}, "data", 3
    if layout == "NHWC":
        nodes.append(helper.make_node("Transpose", ["data"], ["turned"], perm=[0, 3, 1, 2]))
        value = "turned"

    def convolution(channels: int, stride: int, result: str) -> None:
        nonlocal value, before
        scale = np.sqrt(2 / (9 * before))
        weights[f"w_{result}"] = rng.normal(0, scale, (channels, before, 3, 3)).astype(np.float32)
        weights[f"b_{result}"] = rng.normal(0, 0.1, channels).astype(np.float32)
        inputs = [value, f"w_{result}", f"b_{result}"]
        nodes.append(
            helper.make_node("Conv", inputs, [f"c_{result}"], pads=[1, 1, 1, 1], strides=[stride] * 2)
        )
        nodes.append(helper.make_node("Relu", [f"c_{result}"], [result]))
        value, before = result, channels

    convolution(8, 2, "map_0")
    convolution(16, 2, "map_1")
    convolution(4, 1, "squeeze")
    convolution(24, 2, "map_2")
    nodes.append(helper.make_node("GlobalAveragePool", [value], ["square"]))
    # As many exporters write it: with the number of images inside where that is fixed.
    weights["shape"] = np.array([batch or -1, 24])
    nodes.append(helper.make_node("Reshape", ["square", "shape"], ["flat"]))
    weights["w"] = rng.normal(0, 0.2, (24, 10)).astype(np.float32)
    weights["b"] = np.zeros(10, np.float32)
    nodes.append(helper.make_node("Gemm", ["flat", "w", "b"], ["logits"]))
    nodes.append(helper.make_node("Softmax", ["logits"], ["y"], axis=1))
    for node in nodes:
        node.input[:] = [names.get(one, one) for one in node.input]
        node.output[:] = [names.get(one, one) for one in node.output]
    first = batch or "N"
    sides = [first, 3, side, side] if layout == "NCHW" else [first, side, side, 3]
    inputs = [helper.make_tensor_value_info(names.get("data", "data"), 1, sides)]
    if opset < 9:  # before, weights had to be listed as inputs
        inputs += [
            helper.make_tensor_value_info(k, 7 if k == "shape" else 1, v.shape) for k, v in weights.items()
        ]
    graph = helper.make_graph(
        nodes,
        "toy",
        inputs,
        [helper.make_tensor_value_info(names.get("y", "y"), 1, [first, 10])],
        [onnx.numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    version = 3 if opset < 9 else 8
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=version)
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString())
    return path
