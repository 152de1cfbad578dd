"""Which values inside a backbone serve as features, and the graph that pools them into one vector."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ivbpr_numba.errors import DataError, UsageError, did_you_mean, parameter
from ivbpr_numba.network.graph import cut, inner_values, onnx_package, opset_of, with_free_sides
from ivbpr_numba.store.atomic import PathLike

if TYPE_CHECKING:
    import onnx

__all__ = ["FEATURES_WIDE", "Level", "choose_levels", "named_levels", "pooled", "renamed"]

WANTED = 4  # levels that are chosen where none is named
OLDEST_OPSET = 7  # Gemm adds a bias of one dimension since
SHOWN = 8
WEIGHTED = ("Conv", "Gemm", "MatMul", "FusedConv", "ConvInteger", "QLinearConv")
REPEATING = ("MaxPool", "AveragePool", "Dropout", "Identity", "GlobalAveragePool", "GlobalMaxPool")
FEATURES_WIDE = "ivbpr/features"


@dataclass(frozen=True)
class Level:
    """A value of the backbone.

    Attributes
    ----------
    name : str
    channels : int
    sides : tuple of int or None
        Height and width of a feature map; None for a vector.
    """

    name: str
    channels: int
    sides: tuple[int, int] | None

    @property
    def columns(self) -> int:
        """Features that it gives: mean and maximum of each channel of a map, a vector as it is."""
        return self.channels * (1 if self.sides is None else 2)

    def describe(self) -> dict[str, Any]:
        """For the report: ``output channels height width features``."""
        height, width = self.sides or (None, None)
        return {
            "output": self.name,
            "channels": self.channels,
            "height": height,
            "width": width,
            "features": self.columns,
        }


def choose_levels(model: onnx.ModelProto, input: str, shape: Sequence[int | None]) -> list[Level]:
    """About four feature maps of rising depth, the classifier left out.

    Candidates are the maps through which everything flows: where a graph is cut there, nothing else is
    needed. Of consecutive candidates with as many channels the last one counts (pooled copies don't), and
    narrow ones between wide ones (a bottleneck) are left out. Of what remains four are taken, evenly from the
    last one backwards.

    Parameters
    ----------
    model : ModelProto
    input : str
        The input of images.
    shape : sequence of int or None
        Of the input; the batch None.

    Raises
    ------
    UsageError
        There is no such map.
    """
    candidates = _narrows(with_free_sides(model, input, shape), input)
    if not candidates:
        raise UsageError(
            "The backbone has no feature map through which everything flows.",
            f"Name layers with {parameter('output')}; their values are (batch, channels, height, width) or "
            "(batch, C).",
        )
    ends: list[Level] = []
    widest = 0
    for level in candidates:
        if 2 * level.channels < widest:
            continue
        widest = max(widest, level.channels)
        if ends and ends[-1].channels == level.channels:
            ends.pop()
        ends.append(level)
    count = min(WANTED, len(ends))
    return [ends[-(-len(ends) * (k + 1) // count) - 1] for k in range(count)]


def named_levels(
    model: onnx.ModelProto, names: Sequence[str], input: str, shape: Sequence[int | None], where: PathLike
) -> list[Level]:
    """Levels by the names of their values.

    Raises
    ------
    UsageError
        Nothing in the graph is called so (the hint names a near miss and candidates), a name twice, or a
        value that is neither a map nor a vector an image.
    """
    known = inner_values(model)
    for k, name in enumerate(names):
        if name not in known:
            free = with_free_sides(model, input, shape)
            candidates = [level.name for level in _narrows(free, input)] or known
            some = ", ".join(f"'{one}'" for one in candidates[-SHOWN:])
            hint = f"{did_you_mean(name, known)} Candidates: {some}.".strip()
            raise UsageError(f"'{where}' computes no value '{name}'.", hint)
        if name in names[:k]:
            raise UsageError(f"{parameter('output', name)} is given twice.", "Name each layer once.")
    shapes = _shapes(with_free_sides(cut(model, names, where), input, shape))
    found = []
    for name in names:
        level = _level(name, shapes.get(name))
        if level is None:
            raise UsageError(
                f"'{where}': the value '{name}' has the shape {shapes.get(name)}.",
                "A layer is (batch, channels, height, width) or (batch, C), its sizes known; behind some, "
                f"images can't have another {parameter('size')}.",
            )
        found.append(level)
    return found


def pooled(
    model: onnx.ModelProto,
    levels: Sequence[Level],
    input: str,
    shape: Sequence[int | None],
    where: PathLike,
) -> onnx.ModelProto:
    """The backbone up to its levels, and their means and maxima as one vector `FEATURES_WIDE` (batch, D).

    Raises
    ------
    DataError
        Operators of a version before 7.
    """
    onnx = onnx_package()
    if opset_of(model) < OLDEST_OPSET:
        raise DataError(
            f"'{where}' uses operators of version {opset_of(model)}, older than {OLDEST_OPSET}.",
            "Convert it with onnx.version_converter.",
        )
    found = with_free_sides(cut(model, [level.name for level in levels], where), input, shape)
    # Weights are no inputs: files before version 4 list them there.
    found.ir_version = max(found.ir_version, 4)
    kept = [value for value in found.graph.input if value.name == input]
    del found.graph.input[:]
    found.graph.input.extend(kept)
    del found.graph.value_info[:]
    make, parts = onnx.helper.make_node, []
    types = {one.name: one.type.tensor_type.elem_type for one in found.graph.output}
    for k, level in enumerate(levels):
        value = level.name
        if types[value] not in (onnx.TensorProto.FLOAT, onnx.TensorProto.UNDEFINED):  # float16, for one
            value = f"ivbpr/float_{k}"
            found.graph.node.append(make("Cast", [level.name], [value], to=onnx.TensorProto.FLOAT))
        if level.sides is None:
            parts.append(value)
            continue
        for kind in ("GlobalAveragePool", "GlobalMaxPool"):
            square, flat = f"ivbpr/{kind}_{k}", f"ivbpr/{kind}_{k}_flat"
            found.graph.node.append(make(kind, [value], [square]))
            found.graph.node.append(make("Flatten", [square], [flat], axis=1))
            parts.append(flat)
    found.graph.node.append(make("Concat", parts, [FEATURES_WIDE], axis=1))
    columns = sum(level.columns for level in levels)
    del found.graph.output[:]
    found.graph.output.append(
        onnx.helper.make_tensor_value_info(FEATURES_WIDE, onnx.TensorProto.FLOAT, ["batch", columns])
    )
    return found


def renamed(model: onnx.ModelProto, names: Mapping[str, str]) -> onnx.ModelProto:
    """A copy in which values are called otherwise, wherever they are written, read or described."""
    onnx = onnx_package()
    found = onnx.ModelProto()
    found.CopyFrom(model)
    graph = found.graph
    _rename_nodes(graph.node, names)
    for value in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
        value.name = names.get(value.name, value.name)
    for sparse in graph.sparse_initializer:
        sparse.values.name = names.get(sparse.values.name, sparse.values.name)
    return found


def _rename_nodes(nodes: Iterable[onnx.NodeProto], names: Mapping[str, str]) -> None:
    for node in nodes:
        for field in (node.input, node.output):
            field[:] = [names.get(name, name) for name in field]
        for attribute in node.attribute:
            for graph in [attribute.g] if attribute.HasField("g") else list(attribute.graphs):
                _rename_nodes(graph.node, names)
                for output in graph.output:
                    output.name = names.get(output.name, output.name)


def _narrows(model: onnx.ModelProto, input: str) -> list[Level]:
    """Feature maps through which all of the last one's making flows, before the classifier, in order."""
    nodes, shapes = _computing(model, input), _shapes(model)
    weighted = [k for k, node in enumerate(nodes) if node.op_type in WEIGHTED]
    if not weighted:
        return []
    end = weighted[-1] if _is_classifier(model, nodes[weighted[-1]]) else len(nodes)
    maps = {
        k: level
        for k, node in enumerate(nodes[:end])
        if node.op_type not in REPEATING
        and (level := _level(node.output[0], shapes.get(node.output[0]))) is not None
        and level.sides not in (None, (1, 1))
    }
    if not maps:
        return []
    # What is only needed for something else, such as a branch's own pooling of an early map, doesn't count.
    needed, making = {maps[max(maps)].name}, []
    for k in range(max(maps), -1, -1):
        if needed.intersection(nodes[k].output):
            needed.update(nodes[k].input)
            making.append(k)
    last_use: dict[str, int] = {maps[max(maps)].name: len(nodes)}
    for k in reversed(making):
        last_use.update({name: max(k, last_use.get(name, -1)) for name in nodes[k].input})
    found = []
    living: set[str] = set()
    for k in reversed(making):
        living = {name for name in (*living, *nodes[k].output) if last_use.get(name, -1) > k}
        if k >= weighted[0] and k in maps and living == {maps[k].name}:
            found.append(maps[k])
    return found


def _computing(model: onnx.ModelProto, input: str) -> list[onnx.NodeProto]:
    """The nodes whose results depend on the images."""
    depends, nodes = {input}, []
    for node in model.graph.node:
        # A shape depends on how many images there are, not on what they show.
        if node.op_type not in ("Shape", "Size", "Constant") and depends.intersection(node.input):
            depends.update(node.output)
            nodes.append(node)
    return nodes


def _is_classifier(model: onnx.ModelProto, node: onnx.NodeProto) -> bool:
    """Whether the last layer with weights tells classes apart: a product, or a 1 × 1 convolution."""
    outputs = [_shapes(model).get(output.name) or [] for output in model.graph.output]
    if any(len(shape) == 4 and shape[2:] != [1, 1] for shape in outputs):
        return False  # it gives maps
    if node.op_type != "Conv":
        return node.op_type in ("Gemm", "MatMul")
    weights = {one.name: tuple(one.dims) for one in model.graph.initializer}
    return weights.get(node.input[1], ())[2:] == (1, 1)


def _shapes(model: onnx.ModelProto) -> dict[str, list[int | None]]:
    found: dict[str, list[int | None]] = {}
    for value in (*model.graph.input, *model.graph.value_info, *model.graph.output):
        tensor = value.type.tensor_type
        if tensor.HasField("shape"):
            found[value.name] = [
                side.dim_value if side.HasField("dim_value") else None for side in tensor.shape.dim
            ]
    return found


def _level(name: str, shape: list[int | None] | None) -> Level | None:
    """None where it is neither a map nor a vector of known size."""
    if shape is None or len(shape) not in (2, 4) or shape[1] is None or shape[1] < 1:
        return None
    if len(shape) == 2:
        return Level(name, shape[1], None)
    if shape[2] is None or shape[3] is None:
        return None
    return Level(name, shape[1], (shape[2], shape[3]))
