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
