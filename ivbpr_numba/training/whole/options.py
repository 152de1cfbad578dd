"""Settings of the torch training, and what the machine makes of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

from ivbpr_numba.errors import EnvironmentProblem, UsageError, parameter
from ivbpr_numba.training.figures import CRITERIA
from ivbpr_numba.training.whole.with_torch import torch

__all__ = ["TorchOptions", "choose_device", "choose_precision", "quiet_settings"]

DEVICES = ("auto", "cpu", "cuda")
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class TorchOptions:
    """How to train.

    Attributes
    ----------
    trunk : str
        A name of `trunks.TRUNKS`.
    hidden : int or None
        Units of each branch's hidden layer; None: 64 for the small trunk, else 128.
    dropout : float
        Of features and hidden units.
    head_epochs, epochs : int
        Epochs of the branches on the fixed trunk (none from scratch), then of all layers.
    patience : int or None
        Stop so many epochs of all layers after the best one; 0 never.
    batch : int
        Pictures a step.
    learning_rate, trunk_rate : float
        Largest rates of the branches and, when all layers learn, of the trunk; both rise for a short while
        and then follow a cosine to 0. In the second phase the branches learn at ``learning_rate`` times
        `again`.
    again : float
    scratch_rate : float
        Rate of the trunk and the branches without initial weights.
    weight_decay : float
    balance : float
        Exponent of class-balanced sampling; see `batches.epoch_order`.
    smoothing : float
        Of labels.
    average : float
        Decay of the averaged weights, which are what is validated and kept; 0 is off.
    flip, shift, zoom, jitter
        See `batches.augment`.
    criterion : str
        What the best epoch has: the least ``log_loss`` (after calibration) or the highest ``accuracy``, both
        the mean over groups on validation pictures.
    seed : int
    threads : int or None
        None: as torch chooses.
    device : str
        auto, cpu or cuda.
    precision : str
        auto, float32, bfloat16 or float16 (on a GPU), of the forward and backward pass; weights are float32.
    """

    trunk: str = "squeezenet1_1"
    hidden: int | None = None
    dropout: float = 0.3
    head_epochs: int = 12
    epochs: int | None = None
    patience: int | None = None
    batch: int = 64
    learning_rate: float = 1e-3
    again: float = 0.6
    trunk_rate: float = 6e-4
    scratch_rate: float = 2e-3
    weight_decay: float = 0.01
    balance: float = 0.0
    smoothing: float = 0.0
    average: float = 0.98
    flip: bool = True
    shift: float = 0.04
    zoom: float = 0.05
    jitter: float = 0.0
    criterion: str = "log_loss"
    seed: int = 0
    threads: int | None = None
    device: str = "auto"
    precision: str = "auto"

    def resolved(self, pretrained: bool) -> TorchOptions:
        """The same with every None replaced: from scratch it takes many more epochs, and no fixed trunk."""
        return replace(
            self,
            hidden=self.hidden or (64 if self.trunk == "small" else 128),
            head_epochs=self.head_epochs if pretrained else 0,
            epochs=self.epochs if self.epochs is not None else (4 if pretrained else 30),
            patience=self.patience if self.patience is not None else (2 if pretrained else 6),
        )

    def checked(self) -> TorchOptions:
        """The same, if every value makes sense.

        Raises
        ------
        UsageError
            One that doesn't.
        """
        positive = ("hidden", "batch", "learning_rate", "again", "trunk_rate", "scratch_rate")
        shares = ("dropout", "smoothing", "average", "shift", "zoom", "jitter")
        given = {name: value for name, value in asdict(self).items() if value is not None}
        for name in positive:
            if not given.get(name, 1) > 0:
                raise UsageError(f"{parameter(name, getattr(self, name))} is not above 0.", "Give more.")
        for name in ("head_epochs", "epochs", "patience", "weight_decay", "balance", "seed"):
            if not given.get(name, 0) >= 0:
                raise UsageError(f"{parameter(name, getattr(self, name))} is negative.", "Give 0 or more.")
        for name in shares:
            if not 0 <= getattr(self, name) < 1:
                raise UsageError(f"{parameter(name, getattr(self, name))} is no share.", "Give 0 up to 1.")
        if self.epochs == 0 and self.head_epochs == 0:
            raise UsageError("No epochs at all.", f"Give {parameter('epochs')}.")
        if self.threads is not None and self.threads < 1:
            raise UsageError(f"{parameter('threads', self.threads)} is below 1.", "Give at least 1.")
        for name, known in (
            ("device", DEVICES),
            ("precision", ("auto", *PRECISIONS)),
            ("criterion", CRITERIA),
        ):
            if getattr(self, name) not in known:
                raise UsageError(
                    f"{parameter(name, getattr(self, name))} is unknown.", f"Use {', '.join(known)}."
                )
        return self

    def identity(self) -> dict[str, Any]:
        """What a training that goes on must have in common with its first part."""
        return {k: v for k, v in asdict(self).items() if k not in ("threads", "device", "patience")}


def choose_device(asked: str) -> Any:
    """The torch device for ``auto``, ``cpu`` or ``cuda``.

    Raises
    ------
    EnvironmentProblem
        ``cuda`` was asked for and there is none.
    """
    there = torch.cuda.is_available()
    if asked == "cuda" and not there:
        why = "this build of torch has no CUDA" if torch.version.cuda is None else "torch finds no GPU"
        raise EnvironmentProblem(
            f"{parameter('device', 'cuda')}: {why}.",
            f"Use {parameter('device', 'cpu')}, or install torch for CUDA.",
        )
    return torch.device("cuda" if there and asked != "cpu" else "cpu")


def choose_precision(asked: str, device: Any) -> str:
    """The precision for ``auto``: bfloat16 where the hardware computes in it, float16 on older GPUs."""
    if asked == "auto":
        if device.type == "cuda":
            return "bfloat16" if torch.cuda.is_bf16_supported() else "float16"
        fast = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
        return "bfloat16" if fast() else "float32"
    if asked == "float16" and device.type == "cpu":
        raise UsageError(f"{parameter('precision', 'float16')} is for GPUs.", "Use float32 or bfloat16.")
    return asked


@contextmanager
def quiet_settings(threads: int | None) -> Iterator[None]:
    """Deterministic algorithms, so many threads and a generator of one's own; all put back at the end."""
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    tuned = torch.backends.cudnn.benchmark
    if torch.cuda.is_available():
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    try:
        with torch.random.fork_rng():
            torch.set_num_threads(threads or before[0])
            torch.use_deterministic_algorithms(True, warn_only=True)
            torch.backends.cudnn.benchmark = False
            yield
    finally:
        torch.set_num_threads(before[0])
        torch.use_deterministic_algorithms(before[1])
        torch.backends.cudnn.benchmark = tuned
