"""Starting from weights that somebody else has trained: a torchvision state dict, or an ONNX file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ivbpr_numba.errors import DataError, UsageError, parameter
from ivbpr_numba.network.file import Network
from ivbpr_numba.network.graph import onnx_package, parse
from ivbpr_numba.network.weights import read_network
from ivbpr_numba.photos.preprocessing import PRESETS, Preprocessing
from ivbpr_numba.store.atomic import PathLike, os_problem
from ivbpr_numba.training.whole.trunks import Trunk
from ivbpr_numba.training.whole.with_torch import torch

if TYPE_CHECKING:
    import onnx

__all__ = ["initialise", "starting_preprocessing"]

SMALL_SIDE = (64, 64)
HINT = (
    f"Name the trunk that the weights belong to with {parameter('trunk')}, or leave {parameter('init')} out."
)


def initialise(trunk: Trunk, path: PathLike) -> list[str]:
    """Fill the convolutions (and their normalisations) of a trunk.

    Parameters
    ----------
    trunk : Trunk
        Changed in place.
    path : path
        ``*.onnx``: weights of the first convolutions of the graph, in its order. Else a state dict saved by
        torch, read with ``weights_only=True``, whose names are those of the trunk; what lies behind the
        convolutions is left alone.

    Returns
    -------
    list of str
        Sentences about what might surprise: a layer with another stride or padding than the trunk's.

    Raises
    ------
    UsageError
        The file does not exist.
    DataError
        It can't be read, or a layer is missing or has another shape: both shapes are named.
    """
    if not Path(path).is_file():
        raise UsageError(f"The initial weights '{path}' are no file.", "Check the path.")
    if Path(path).suffix == ".onnx":
        return _from_onnx(trunk, path)
    _from_state(trunk, path)
    return []


def _from_state(trunk: Trunk, path: PathLike) -> None:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as problem:
        raise os_problem(problem, path, "read") from problem
    except Exception as problem:  # torch raises many kinds for what is no file of its own
        raise DataError(
            f"'{path}' is no state dict ({type(problem).__name__}).",
            "Save one with torch.save(model.state_dict(), FILE), or name an .onnx file.",
        ) from problem
    if isinstance(state, Mapping) and isinstance(state.get("state_dict"), Mapping):
        state = state["state_dict"]
    if not isinstance(state, Mapping):
        raise DataError(f"'{path}' holds a {type(state).__name__} instead of a state dict.", HINT)
    own = trunk.state_dict()
    for name, value in own.items():
        if name.endswith("num_batches_tracked"):
            continue
        found = state.get(name)
        if not isinstance(found, torch.Tensor):
            raise DataError(f"'{path}' has no layer '{name}' of shape {tuple(value.shape)}.", HINT)
        here, there = tuple(value.shape), tuple(found.shape)
        if here != there:
            raise DataError(f"'{path}': the layer '{name}' has shape {there} instead of {here}.", HINT)
        own[name] = found.to(value.dtype)
    trunk.load_state_dict(own)


@dataclass(frozen=True)
class _Layer:
    """A convolution of an ONNX graph; `scale` and `shift` are those of a normalisation behind it."""

    name: str
    weight: np.ndarray
    bias: np.ndarray
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    normalised: dict[str, np.ndarray] | None


def _from_onnx(trunk: Trunk, path: PathLike) -> list[str]:
    layers = _layers(parse(read_network(path).content, path), path)
    notes = []
    for name, convolution, normalisation in trunk.convolutions():
        wanted = tuple(convolution.weight.shape)
        layer = next(layers, None)
        if layer is None:
            raise DataError(f"'{path}' has no convolution for the layer '{name}' of shape {wanted}.", HINT)
        if layer.weight.shape != wanted:
            raise DataError(
                f"'{path}': the convolution '{layer.name}' has shape {layer.weight.shape} instead of the "
                f"{wanted} of the layer '{name}'.",
                HINT,
            )
        padding = tuple(convolution.padding) * 2
        if layer.stride != tuple(convolution.stride) or layer.padding != padding:
            notes.append(
                f"'{layer.name}' has stride {layer.stride} and padding {layer.padding}, the layer '{name}' "
                f"{tuple(convolution.stride)} and {padding}: its maps will differ."
            )
        _fill(layer, convolution, normalisation)
    return notes


def _fill(layer: _Layer, convolution: Any, normalisation: Any) -> None:
    weight, bias, found = layer.weight, layer.bias, layer.normalised
    if normalisation is None and found is not None:
        factor = found["scale"] / np.sqrt(found["var"] + found["epsilon"])
        weight, bias = weight * factor[:, None, None, None], found["bias"] + (bias - found["mean"]) * factor
    elif normalisation is not None:
        if found is None:  # folded into the convolution by the exporter
            one = np.ones_like(bias)
            found = {"scale": one, "bias": bias, "mean": 0 * bias, "var": one, "epsilon": np.zeros(())}
            bias = 0 * bias
        with torch.no_grad():
            for own, value in (
                (normalisation.weight, found["scale"]),
                (normalisation.bias, found["bias"]),
                (normalisation.running_mean, found["mean"] - bias),
                (normalisation.running_var, found["var"] + (found["epsilon"] - normalisation.eps)),
            ):
                own.copy_(torch.as_tensor(np.array(value, dtype=np.float32)))
    with torch.no_grad():
        convolution.weight.copy_(torch.as_tensor(weight.astype(np.float32)))
        if convolution.bias is not None:
            convolution.bias.copy_(torch.as_tensor(bias.astype(np.float32)))


def _layers(model: onnx.ModelProto, where: PathLike) -> Iterator[_Layer]:
    """Convolutions with constant weights, in the order of the graph."""
    onnx = onnx_package()
    constants = {one.name: one for one in model.graph.initializer}
    readers: dict[str, Any] = {}
    for node in model.graph.node:
        if node.op_type == "Constant":
            constants |= {
                name: one.t for name in node.output for one in node.attribute if one.name == "value"
            }
        elif node.op_type == "Identity" and node.input[0] in constants:  # equal weights are kept once
            constants[node.output[0]] = constants[node.input[0]]
        for name in node.input:
            readers.setdefault(name, node)

    def value(name: str) -> np.ndarray:
        return onnx.numpy_helper.to_array(constants[name]).astype(np.float64)

    for node in model.graph.node:
        if node.op_type != "Conv" or node.input[1] not in constants:
            continue
        settings = {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}
        weight = value(node.input[1])
        has_bias = len(node.input) > 2 and node.input[2] in constants
        normalised = None
        behind = readers.get(node.output[0])
        if behind is not None and behind.op_type == "BatchNormalization":
            unknown = [name for name in behind.input[1:] if name not in constants]
            if unknown:
                raise DataError(
                    f"'{where}': '{unknown[0]}' of a normalisation is no constant.", "Export the model again."
                )
            normalised = dict(zip(("scale", "bias", "mean", "var"), map(value, behind.input[1:])))
            epsilon = [one.f for one in behind.attribute if one.name == "epsilon"]
            normalised["epsilon"] = np.array(epsilon[0] if epsilon else 1e-5)
        yield _Layer(
            node.name or node.output[0],
            weight,
            value(node.input[2]) if has_bias else np.zeros(len(weight)),
            tuple(settings.get("strides", (1, 1))),
            tuple(settings.get("pads", (0, 0, 0, 0))),
            normalised,
        )


def starting_preprocessing(
    init: PathLike | None, given: str | None, size: tuple[int, int] | None, trunk: str
) -> Preprocessing:
    """What photos must become for a network that starts from `init`.

    Parameters
    ----------
    init : path, optional
    given : str, optional
        A preset or file; see `Preprocessing.read`.
    size : (int, int), optional
        Height and width instead of those of the preprocessing.
    trunk : str

    Returns
    -------
    Preprocessing
        `given`, or that of an ONNX file that describes itself, or the preset imagenet, which is what
        published state dicts were trained with.

    Raises
    ------
    UsageError
        An ONNX file that does not say what it was trained with, and nothing given.
    """
    found = Preprocessing.read(given) if given is not None else None
    if found is None and init is not None and Path(init).suffix == ".onnx":
        found = Network.read(init).preprocessing
        if found is None:
            raise UsageError(
                f"'{init}' doesn't say how photos become its input.",
                f"Describe it with {parameter('preprocess', 'FILE.json')}, or name a preset: imagenet or "
                "bgr-raw.",
            )
    if found is None:
        found = PRESETS["imagenet"]
        size = size or (SMALL_SIDE if trunk == "small" else None)
    return replace(found if size is None else found.with_size(size), layout="NCHW")
