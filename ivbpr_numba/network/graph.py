"""Editing and writing ONNX graphs, for what onnxruntime can't do: needs the extra ``onnx``."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ivbpr_numba.errors import DataError, EnvironmentProblem, UsageError, did_you_mean
from ivbpr_numba.network.format import FEATURES, KEYS, PROBABILITIES, VERSION
from ivbpr_numba.network.weights import outside_weights
from ivbpr_numba.store.atomic import Lock, PathLike, write_bytes

if TYPE_CHECKING:
    import onnx

    from ivbpr_numba.network.vocabulary import Vocabulary
    from ivbpr_numba.photos.preprocessing import Preprocessing

__all__ = [
    "TOLERANCE",
    "check_outputs",
    "cut",
    "inner_values",
    "onnx_package",
    "opset_of",
    "parse",
    "with_free_sides",
    "write_network",
]

MAIN_DOMAINS = ("", "ai.onnx")
TOLERANCE = 1e-4  # between what was trained and what the file computes


def onnx_package() -> Any:
    """The package ``onnx``.

    Raises
    ------
    EnvironmentProblem
        It is not installed.
    """
    try:
        import onnx
        import onnx.checker
        import onnx.helper
        import onnx.numpy_helper
        import onnx.shape_inference
    except ImportError:
        raise EnvironmentProblem(
            "Changing an ONNX graph needs the package onnx.", 'pip install "ivbpr[onnx]".'
        ) from None
    return onnx


def parse(content: bytes, where: PathLike) -> onnx.ModelProto:
    """The model in the bytes of a file, as `weights.read_network` gives them.

    Raises
    ------
    DataError
        It is none, or its weights are in other files.
    EnvironmentProblem
        The package onnx is not installed.
    """
    onnx = onnx_package()
    try:
        model = onnx.load_model_from_string(content)
        outside = outside_weights(content)
    except Exception as problem:  # protobuf's own exception class depends on its implementation
        raise DataError(f"'{where}' is no ONNX file ({type(problem).__name__}).", "Check the path.") from None
    if outside:
        raise DataError(
            f"'{where}' keeps weights in other files ('{outside[0]}').", "Save it with its weights inside."
        )
    return model


def inner_values(model: onnx.ModelProto) -> list[str]:
    """Names of everything that the nodes of a graph compute, in their order."""
    return [name for node in model.graph.node for name in node.output if name]


def cut(model: onnx.ModelProto, outputs: Sequence[str], where: PathLike) -> onnx.ModelProto:
    """The part of a graph that `outputs` need, with them as its outputs.

    Parameters
    ----------
    model : ModelProto
        Stays as it is.
    outputs : sequence of str
        Names of inner values or outputs.
    where : path
        Its file, for messages.

    Raises
    ------
    UsageError
        A name that nothing in the graph computes.
    """
    onnx = onnx_package()
    known = inner_values(model)
    for name in outputs:
        if name not in known:
            last = ", ".join(f"'{one}'" for one in known[-3:])
            hint = did_you_mean(name, known) or f"Its last ones are {last}."
            raise UsageError(f"'{where}' computes no value '{name}'.", hint)
    needed = set(outputs)
    nodes = []
    for node in reversed(model.graph.node):
        if needed.intersection(node.output):
            nodes.append(node)
            needed.update(_reads(node))
    found = onnx.ModelProto()
    found.CopyFrom(model)
    graph = found.graph
    _set(graph.node, reversed(nodes))
    _set(graph.initializer, [one for one in model.graph.initializer if one.name in needed])
    _set(
        graph.sparse_initializer, [one for one in model.graph.sparse_initializer if one.values.name in needed]
    )
    _set(graph.input, [one for one in model.graph.input if one.name in needed])
    shapes = {one.name: one for one in (*model.graph.value_info, *model.graph.output)}
    # Without a type onnxruntime finds it by itself; a network may well compute in float16.
    anything = onnx.helper.make_empty_tensor_value_info
    _set(graph.output, [shapes.get(name) or anything(name) for name in outputs])
    _set(graph.value_info, [one for name, one in shapes.items() if name in needed and name not in outputs])
    return found


def with_free_sides(model: onnx.ModelProto, input: str, shape: Sequence[int | None]) -> onnx.ModelProto:
    """A copy whose input has `shape`, None being any number, and whose other shapes are inferred anew."""
    onnx = onnx_package()
    found = onnx.ModelProto()
    found.CopyFrom(model)
    value = next(one for one in found.graph.input if one.name == input)
    sides = [f"side_{k}" if side is None else side for k, side in enumerate(shape)]
    if shape[0] is None:
        sides[0] = "batch"
    kind = value.type.tensor_type.elem_type
    value.CopyFrom(onnx.helper.make_tensor_value_info(input, kind, sides))
    _set(found.graph.value_info, [])
    for output in found.graph.output:
        output.CopyFrom(onnx.helper.make_empty_tensor_value_info(output.name))
    return onnx.shape_inference.infer_shapes(found)


def write_network(
    model: onnx.ModelProto,
    vocabulary: Vocabulary,
    preprocessing: Preprocessing,
    record: Mapping[str, Any],
    path: PathLike,
    keep_lock: Lock | None = None,
) -> None:
    """Describe a network in its own metadata, check it and write it atomically.

    Parameters
    ----------
    model : ModelProto
        Input ``images`` (batch, 3, H, W) or (batch, H, W, 3); outputs ``probabilities`` (batch, F) and
        ``features`` (batch, C). Its metadata is replaced.
    vocabulary, preprocessing
        Of its output and input.
    record : mapping
        How it was trained; anything that JSON can hold.
    path : path
    keep_lock : Lock, optional
        A lock that the caller holds on `path`.

    Raises
    ------
    DataError
        The graph is not valid, or not of that form.
    UsageError, EnvironmentProblem
        See `ivbpr_numba.store.atomic.replacing`.
    """
    onnx = onnx_package()
    described = {
        KEYS["format"]: VERSION,
        KEYS["vocabulary"]: vocabulary.to_json(),
        KEYS["preprocessing"]: preprocessing.to_json(),
        KEYS["record"]: json.dumps(record, ensure_ascii=False, sort_keys=True),
    }
    onnx.helper.set_model_props(model, described)
    try:
        onnx.checker.check_model(model, full_check=True)
    except Exception as problem:  # checker and inference have exception classes of their own
        detail = str(problem).strip().partition("\n")[0]
        raise DataError(f"The graph for '{path}' is not valid: {detail}.", "Report this.") from problem
    inputs = [one.name for one in model.graph.input]
    outputs = {one.name: one for one in model.graph.output}
    if inputs != ["images"] or list(outputs) != [PROBABILITIES, FEATURES]:
        raise DataError(
            f"The graph for '{path}' has inputs {inputs} and outputs {list(outputs)}.",
            f"It needs 'images', '{PROBABILITIES}' and '{FEATURES}'.",
        )
    for name, value in {"images": model.graph.input[0], **outputs}.items():
        sides = value.type.tensor_type.shape.dim
        if len(sides) != (4 if name == "images" else 2) or sides[0].HasField("dim_value"):
            raise DataError(f"The graph for '{path}': '{name}' has no free batch dimension.", "Report this.")
    columns = outputs[PROBABILITIES].type.tensor_type.shape.dim[1].dim_value
    if columns not in (0, vocabulary.size):
        raise DataError(
            f"The graph for '{path}' has {columns} probabilities for {vocabulary.size} values.",
            "Report this.",
        )
    write_bytes(path, model.SerializeToString(deterministic=True), keep_lock)


def check_outputs(
    found: Sequence[np.ndarray], wanted: Sequence[np.ndarray], trained_with: str, path: PathLike
) -> float:
    """How far a network's outputs are from those of what was trained.

    Parameters
    ----------
    found, wanted : sequence of ndarray
        Outputs of onnxruntime, and the same as trained.
    trained_with : str
        "torch" or "NumPy", for messages.
    path : path
        Where the network will be written, for messages.

    Returns
    -------
    float
        The largest difference, relative to the largest value of an output where that is above 1.

    Raises
    ------
    DataError
        It is more than `TOLERANCE`, or shapes differ, or a value is not finite.
    """
    worst = 0.0
    for own, right in zip(found, wanted, strict=True):
        if own.shape != right.shape or not np.isfinite(own).all():
            raise DataError(f"'{path}': onnxruntime's output is not {trained_with}'s.", "Report this.")
        scale = max(1.0, float(np.abs(right).max(initial=0.0)))
        worst = max(worst, float(np.abs(own - right).max(initial=0.0)) / scale)
    if worst > TOLERANCE:
        raise DataError(
            f"'{path}': onnxruntime and {trained_with} differ by {worst:.2g}, more than {TOLERANCE:g}.",
            "Report this with the versions of torch, onnx and onnxruntime.",
        )
    return worst


def opset_of(model: onnx.ModelProto) -> int:
    """Version of the standard operators that a model uses."""
    return max((one.version for one in model.opset_import if one.domain in MAIN_DOMAINS), default=1)


def _reads(node: onnx.NodeProto) -> Iterator[str]:
    """Names that a node reads, also from inside its branches and loop bodies."""
    yield from (name for name in node.input if name)
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            for inner in graph.node:
                yield from _reads(inner)
            yield from (one.name for one in graph.output)


def _set(field: Any, values: Iterable[Any]) -> None:
    kept = list(values)
    del field[:]
    field.extend(kept)
