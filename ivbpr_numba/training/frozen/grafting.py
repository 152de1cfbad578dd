"""Trained branches appended to a backbone: one ONNX file that needs nothing else, checked on real images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ivbpr_numba.network.file import start_session
from ivbpr_numba.network.format import FEATURES, PROBABILITIES
from ivbpr_numba.network.graph import (
    check_outputs,
    inner_values,
    onnx_package,
    opset_of,
    write_network,
)
from ivbpr_numba.store.atomic import Lock, PathLike
from ivbpr_numba.training.frozen.branches import Branches
from ivbpr_numba.training.frozen.levels import FEATURES_WIDE, renamed

if TYPE_CHECKING:
    import onnx

    from ivbpr_numba.network.vocabulary import Vocabulary
    from ivbpr_numba.photos.preprocessing import Preprocessing

__all__ = ["IMAGES", "graft", "write_grafted"]

IMAGES = "images"


def graft(backbone: onnx.ModelProto, input: str, branches: Branches) -> onnx.ModelProto:
    """Append branches to a pooled backbone.

    Parameters
    ----------
    backbone : ModelProto
        Of `levels.pooled`.
    input : str
        The name of its input, which becomes ``images``.
    branches : Branches
        For raw features; they are rounded to float32 here.

    Returns
    -------
    ModelProto
        Outputs ``probabilities`` (batch, F) and ``features`` (batch, D); operators of the version that the
        backbone uses.
    """
    onnx = onnx_package()
    # Names of ours that the backbone uses for something else make room.
    taken = {IMAGES, PROBABILITIES, FEATURES}
    weights = {one.name for one in backbone.graph.initializer}
    used = {*inner_values(backbone), *weights}
    moved = {name: f"ivbpr/backbone/{name}" for name in taken & used}
    model = renamed(backbone, {**moved, input: IMAGES, FEATURES_WIDE: FEATURES})
    graph = model.graph
    make = onnx.helper.make_node

    def constant(name: str, values: np.ndarray) -> str:
        array = np.ascontiguousarray(values, dtype=np.float32)
        graph.initializer.append(onnx.numpy_helper.from_array(array, name))
        return name

    first = constant("ivbpr/first", branches.first)
    bias = constant("ivbpr/first_bias", branches.first_bias)
    graph.node.append(make("Gemm", [FEATURES, first, bias], ["ivbpr/before"]))
    graph.node.append(make("Relu", ["ivbpr/before"], ["ivbpr/hidden"]))
    count, h, parts = len(branches.exclusive), branches.hidden, []
    own = [f"ivbpr/hidden_{k}" for k in range(count)]
    if count == 1:
        own = ["ivbpr/hidden"]
    elif opset_of(model) >= 13:  # sizes are an input since
        sizes = onnx.numpy_helper.from_array(np.full(count, h, dtype=np.int64), "ivbpr/sizes")
        graph.initializer.append(sizes)
        graph.node.append(make("Split", ["ivbpr/hidden", "ivbpr/sizes"], own, axis=1))
    else:
        graph.node.append(make("Split", ["ivbpr/hidden"], own, axis=1, split=[h] * count))
    for k, (matrix, offset, exclusive) in enumerate(
        zip(branches.second, branches.second_bias, branches.exclusive)
    ):
        names = [own[k], constant(f"ivbpr/second_{k}", matrix), constant(f"ivbpr/second_bias_{k}", offset)]
        graph.node.append(make("Gemm", names, [f"ivbpr/logits_{k}"]))
        parts.append(f"ivbpr/probabilities_{k}")
        if exclusive:
            graph.node.append(make("Softmax", [f"ivbpr/logits_{k}"], parts[-1:], axis=1))
        else:
            graph.node.append(make("Sigmoid", [f"ivbpr/logits_{k}"], parts[-1:]))
    graph.node.append(make("Concat", parts, [PROBABILITIES], axis=1))
    columns = sum(len(offset) for offset in branches.second_bias)
    output = onnx.helper.make_tensor_value_info(PROBABILITIES, onnx.TensorProto.FLOAT, ["batch", columns])
    wide = onnx.ModelProto()
    wide.CopyFrom(model)
    del graph.output[:]
    graph.output.extend([output, *wide.graph.output])
    return model


def write_grafted(
    model: onnx.ModelProto,
    images: np.ndarray,
    features: np.ndarray,
    logits: Sequence[np.ndarray],
    vocabulary: Vocabulary,
    preprocessing: Preprocessing,
    record: Mapping[str, Any],
    out: PathLike,
    keep_lock: Lock | None = None,
) -> dict[str, Any]:
    """Check a grafted network against what was trained, and write it.

    Parameters
    ----------
    model : ModelProto
        Of `graft`.
    images : ndarray of float32, shape (n, …)
        Real ones, as input.
    features : ndarray of float32, shape (n, D)
        What the backbone gave for them.
    logits : sequence of ndarray, shape (n, C)
        What the branches as trained make of the features, calibrated.
    vocabulary, preprocessing, record, out, keep_lock
        See `onnx_graph.write_network`.

    Returns
    -------
    dict
        ``parameters opset largest_difference bytes``.

    Raises
    ------
    DataError
        A probability differs by more than 1e-4 from SciPy's soft-max or sigmoid of `logits`, or a feature by
        as much of the largest one.
    """
    parameters = sum(int(np.prod(one.dims)) for one in model.graph.initializer if one.data_type == 1)
    difference = _largest_difference(model, images, features, logits, vocabulary, out)
    facts = {"parameters": parameters, "opset": opset_of(model), "largest_difference": difference}
    write_network(model, vocabulary, preprocessing, {**record, **facts}, out, keep_lock)
    return {**facts, "bytes": model.ByteSize()}


def _largest_difference(
    model: onnx.ModelProto,
    images: np.ndarray,
    features: np.ndarray,
    logits: Sequence[np.ndarray],
    vocabulary: Vocabulary,
    out: PathLike,
) -> float:
    from scipy.special import expit, softmax

    wanted = np.concatenate(
        [
            softmax(values, axis=1) if group.exclusive else expit(values)
            for group, values in zip(vocabulary.groups, logits)
        ],
        axis=1,
    )
    session = start_session(model.SerializeToString(), out, IMAGES, [PROBABILITIES, FEATURES], device="cpu")
    return max(
        check_outputs(session.run(images[rows]), [wanted[rows], features[rows]], "NumPy", out)
        for rows in (slice(0, 1), slice(0, None))
    )
