"""Any ONNX network as a fixed backbone: cut at some layers, its batch and image size made free."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ivbpr_numba.errors import DataError, UsageError, parameter
from ivbpr_numba.network.file import Network, NetworkSession, start_session
from ivbpr_numba.network.graph import onnx_package, parse
from ivbpr_numba.photos.preprocessing import Preprocessing
from ivbpr_numba.store.atomic import PathLike
from ivbpr_numba.training.frozen.levels import FEATURES_WIDE, Level, choose_levels, named_levels, pooled

if TYPE_CHECKING:
    import onnx

__all__ = ["Backbone", "open_backbone"]


@dataclass(frozen=True)
class Backbone:
    """A network cut at some layers, whose means and maxima are one vector.

    Attributes
    ----------
    network : Network
        The file that it comes from.
    levels : list of Level
    preprocessing : Preprocessing
    model : ModelProto
        See `levels.pooled`.
    """

    network: Network
    levels: list[Level]
    preprocessing: Preprocessing
    model: onnx.ModelProto

    @property
    def columns(self) -> int:
        """D, features of an image."""
        return sum(level.columns for level in self.levels)

    def session(self, device: str = "auto", threads: int | None = None) -> NetworkSession:
        """Start it; see `Network.session`."""
        return start_session(
            self.model.SerializeToString(),
            self.network.path,
            self.network.input,
            [FEATURES_WIDE],
            device=device,
            threads=threads,
        )


def open_backbone(
    path: PathLike,
    outputs: Sequence[str] = (),
    preprocessing: Preprocessing | None = None,
    size: tuple[int, int] | None = None,
) -> Backbone:
    """Cut an ONNX network at some layers and make its batch, and where asked its image size, free.

    Parameters
    ----------
    path : path
        Any ONNX network of images, also one of ours.
    outputs : sequence of str
        Names of inner values; about four of rising depth where none is given (see `levels.choose_levels`).
    preprocessing : Preprocessing, optional
        Instead of what the network says about itself; needed where it says nothing.
    size : (int, int), optional
        Height and width of the input instead of those of the preprocessing. The layers must not depend on
        the size of the image.

    Raises
    ------
    UsageError
        No such file, an unknown layer, no preprocessing, or a size that the network can't take.
    DataError
        The file is no network of images, or its batch can't be made free.
    EnvironmentProblem
        The package onnx is not installed.
    """
    onnx_package()
    network = Network.read(path)
    known = preprocessing or network.preprocessing
    if known is None or size is None:
        prepared = network.prepared_by(preprocessing)
    else:
        prepared = known.with_size(size)
    sides = (None, *prepared.size, 3) if prepared.layout == "NHWC" else (None, 3, *prepared.size)
    model = parse(network.content(), path)
    if outputs:
        levels = named_levels(model, outputs, network.input, sides, path)
    else:
        levels = choose_levels(model, network.input, sides)
    backbone = Backbone(network, levels, prepared, pooled(model, levels, network.input, sides, path))
    _try(backbone, size is not None)
    return backbone


def _try(backbone: Backbone, resized: bool) -> None:
    """Whether images of a batch are independent of each other, and of the expected form."""
    height, width = backbone.preprocessing.size
    where = backbone.network.path
    pixels = np.random.default_rng(0).integers(0, 256, (3, height, width, 3), dtype=np.uint8)
    images = backbone.preprocessing.normalise(pixels)
    try:
        session = backbone.session("cpu", 1)
        (together,) = session.run(images)
        (alone,) = session.run(images[1:2])
    except DataError as problem:
        if resized:
            raise UsageError(
                f"'{where}' can't take images of {height} × {width} up to these layers: {problem.message}",
                f"Leave {parameter('size')} out, or name earlier layers with {parameter('output')}.",
            ) from None
        raise DataError(
            f"'{where}' can't take several images at once: {problem.message}",
            f"Export it with a free batch dimension, or name earlier layers with {parameter('output')}.",
        ) from None
    if together.shape != (3, backbone.columns) or alone.shape != (1, backbone.columns):
        raise DataError(
            f"'{where}' gives {together.shape} for 3 images where (3, {backbone.columns}) is expected.",
            f"Name other layers with {parameter('output')}.",
        )
    scale = float(np.abs(together).max(initial=0.0)) or 1.0
    if not np.isfinite(together).all() or np.abs(together[1] - alone[0]).max() > 1e-3 * scale:
        raise DataError(
            f"'{where}' mixes the images of a batch, or gives what is not finite.",
            f"Check the network and its preprocessing, or name other layers with {parameter('output')}.",
        )
