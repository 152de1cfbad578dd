"""Pictures and labels as tensors, as the network is given them."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from ivbpr_numba.photos.preprocessing import Preprocessing
from ivbpr_numba.training.training_set import TrainingSet
from ivbpr_numba.training.whole.batches import augment, epoch_order, holders
from ivbpr_numba.training.whole.options import TorchOptions
from ivbpr_numba.training.whole.starting import seed_of
from ivbpr_numba.training.whole.with_torch import torch

__all__ = ["Feed"]

LOOKED_AT = 256  # pictures that tell the scale of the input


class Feed:
    """The training set on its way into the network.

    Orders and changes are pure functions of seed, phase, epoch and step: an interruption changes none of
    them.

    Parameters
    ----------
    data : TrainingSet
    preprocessing : Preprocessing
    options : TorchOptions
    device : torch.device
    """

    def __init__(
        self, data: TrainingSet, preprocessing: Preprocessing, options: TorchOptions, device: torch.device
    ) -> None:
        self.data, self.options, self.device = data, options, device
        # Channels last is how the pixels lie there already, and what convolutions compute fastest in.
        self._prepared = replace(preprocessing, layout="NHWC")
        sizes = [len(group.values) for group in data.vocabulary.groups]
        self._having = holders([target[data.train] for target in data.targets], sizes)

    def order(self, phase: int, epoch: int) -> np.ndarray:
        """The training pictures of an epoch, positions in ``data.train``, int64."""
        generator = np.random.default_rng([seed_of(self.options.seed, "order"), phase, epoch])
        return epoch_order(self._having, len(self.data.train), self.options.balance, generator)

    def steps(self, phase: int, epochs: int) -> int:
        """Steps of a whole phase."""
        return sum(-(-len(self.order(phase, epoch)) // self.options.batch) for epoch in range(epochs))

    def images(self, rows: np.ndarray) -> torch.Tensor:
        """Pictures as they are, float32 (n, 3, H, W)."""
        return self._tensor(self.data.pixels[rows])

    def changed(self, rows: np.ndarray, phase: int, epoch: int, step: int) -> torch.Tensor:
        """Pictures changed a little, as `batches.augment` does, float32 (n, 3, H, W)."""
        options = self.options
        generator = np.random.default_rng([seed_of(options.seed, "change"), phase, epoch, step])
        pixels = self.data.pixels[rows]
        return self._tensor(
            augment(pixels, generator, options.flip, options.shift, options.zoom, options.jitter)
        )

    def targets(self, rows: np.ndarray) -> list[torch.Tensor]:
        """Labels of each group; negative is unknown."""
        return [torch.from_numpy(target[rows]).to(self.device) for target in self.data.targets]

    def input_factor(self) -> float:
        """The power of two that brings the input nearest to unit variance."""
        rows = self.data.train[:: max(1, len(self.data.train) // LOOKED_AT)]
        spread = float(self._prepared.normalise(self.data.pixels[rows]).std())
        return 2.0 ** round(-math.log2(spread)) if spread > 0 else 1.0

    def _tensor(self, pixels: np.ndarray) -> torch.Tensor:
        images = torch.from_numpy(self._prepared.normalise(pixels)).permute(0, 3, 1, 2)
        return images.to(self.device)
