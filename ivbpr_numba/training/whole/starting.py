"""From options to a trunk that can be trained: all that is refused without looking at a picture."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ivbpr_numba.errors import UsageError, parameter
from ivbpr_numba.network.graph import onnx_package
from ivbpr_numba.photos.preprocessing import Preprocessing
from ivbpr_numba.store.atomic import PathLike
from ivbpr_numba.training.whole.initialising import initialise
from ivbpr_numba.training.whole.options import TorchOptions, choose_device, choose_precision
from ivbpr_numba.training.whole.trunks import Trunk, make_trunk
from ivbpr_numba.training.whole.with_torch import torch

__all__ = ["Start", "seed_of", "start"]


@dataclass(frozen=True)
class Start:
    """What a training begins with.

    Attributes
    ----------
    options : TorchOptions
        Checked and resolved.
    preprocessing : Preprocessing
        NCHW.
    trunk : Trunk
        With its initial weights; the training changes them.
    pretrained : bool
        They were given.
    init : dict or None
        ``name sha256`` of the file that they are from.
    device : torch.device
    precision : str
    drawn : Tensor
        State of torch's generator behind the trunk, from where the branches are drawn.
    notes : tuple of str
        Sentences about what might surprise.
    """

    options: TorchOptions
    preprocessing: Preprocessing
    trunk: Trunk
    pretrained: bool
    init: Mapping[str, str] | None
    device: Any
    precision: str
    drawn: Any
    notes: tuple[str, ...]

    def identity(self) -> dict[str, Any]:
        """What a training that goes on must have in common with its first part, pictures and labels apart."""
        return {
            "options": self.options.identity(),
            "initial weights": self.init and self.init["sha256"],
            "preprocessing": self.preprocessing.to_json(),
            "precision": self.precision,
        }

    def record(self) -> dict[str, Any]:
        """What the network's record says of it."""
        return {
            "way": "torch",
            "trunk": self.options.trunk,
            "init": self.init,
            "options": asdict(self.options),
            "device": str(self.device),
            "precision": self.precision,
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
        }


def start(options: TorchOptions, preprocessing: Preprocessing, init: PathLike | None = None) -> Start:
    """Check the options, choose device and precision, and make the trunk.

    Parameters
    ----------
    options : TorchOptions
    preprocessing : Preprocessing
        Its size is that of the pixels to come.
    init : path, optional
        See `initialising.initialise`.

    Raises
    ------
    UsageError
        Options that make no sense, pictures that are too small for the trunk, no such file.
    DataError
        Initial weights of another trunk.
    EnvironmentProblem
        No GPU where one was asked for, no onnx.
    """
    options = options.checked().resolved(init is not None)
    if options.head_epochs + (options.epochs or 0) == 0:
        raise UsageError(
            f"From scratch there is no epoch without {parameter('epochs')}.",
            f"Give {parameter('epochs')}, or {parameter('init')}.",
        )
    onnx_package()  # an hour of training must not end with the news that it is missing
    device = choose_device(options.device)
    precision = choose_precision(options.precision, device)
    torch.manual_seed(seed_of(options.seed, "start"))
    trunk = make_trunk(options.trunk)
    if min(preprocessing.size) < trunk.smallest:
        raise UsageError(
            f"The trunk {options.trunk} needs images of at least {trunk.smallest} pixels a side, not "
            f"{preprocessing.size[0]} × {preprocessing.size[1]}.",
            f"Give a larger {parameter('size')}.",
        )
    notes, source = [], None
    if init is None:
        notes.append(
            "There are no weights to start from: the network starts from random ones and needs many more "
            "pictures."
        )
    else:
        notes += initialise(trunk, init)
        source = {"name": Path(init).name, "sha256": _file_digest(init)}
    return Start(
        options,
        replace(preprocessing, layout="NCHW"),
        trunk,
        init is not None,
        source,
        device,
        precision,
        torch.get_rng_state(),
        tuple(notes),
    )


def seed_of(*parts: object) -> int:
    """A number below 2 ** 63 that depends on all parts."""
    digest = hashlib.sha256(":".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def _file_digest(path: PathLike) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
