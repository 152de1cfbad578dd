"""The attribute network in torch: a trunk, mean and maximum of several levels, a branch for each group."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ivbpr_numba.network.vocabulary import Vocabulary
from ivbpr_numba.training.whole.trunks import Trunk
from ivbpr_numba.training.whole.with_torch import torch

__all__ = ["AttributeNetwork", "Deployed", "masked_loss"]

LEAST = 0.01  # keeps the root's slope finite where nothing was found

if TYPE_CHECKING:  # to a type checker without torch these are anything
    from torch import Tensor, nn
else:
    nn, Tensor = torch.nn, torch.Tensor


class AttributeNetwork(nn.Module):
    """Images to logits, as it is trained.

    Two fixed scalings make the training independent of what the trunk is used to: the input's (images of
    0 to 255 next to images of unit variance) and that of the pooled features. `Deployed` folds both away.

    Parameters
    ----------
    trunk : Trunk
    vocabulary : Vocabulary
    hidden : int
        Units of each branch's hidden layer.
    dropout : float
        Share of features and hidden units left out in training.
    input_factor : float
        A power of two, so that folding it into the first convolution changes no bit.
    """

    shift: Tensor
    spread: Tensor

    def __init__(
        self,
        trunk: Trunk,
        vocabulary: Vocabulary,
        hidden: int,
        dropout: float = 0.0,
        input_factor: float = 1.0,
    ) -> None:
        super().__init__()
        self.trunk = trunk
        self.input_factor = input_factor
        _, first, _ = trunk.convolutions()[0]
        with torch.no_grad():
            first.weight.div_(input_factor)
        width = 2 * sum(trunk.channels)
        self.register_buffer("shift", torch.zeros(width))
        self.register_buffer("spread", torch.ones(width))
        self.dropout = nn.Dropout(dropout)
        self.branches = nn.ModuleList(
            nn.Sequential(
                nn.Linear(width, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, len(group.values))
            )
            for group in vocabulary.groups
        )

    def scale_by(self, features: Tensor) -> None:
        """Take the scale of the pooled features from those of some pictures."""
        values = root(features)
        spread = values.std(0, unbiased=False)
        self.shift.copy_(values.mean(0))
        self.spread.copy_(torch.where(spread > 1e-6 * spread.max(), spread, spread.max() + 1e-6))

    def features(self, images: Tensor) -> Tensor:
        """Mean and maximum of each level, (N, 2 · channels): level by level, the means first."""
        return pooled(self.trunk(images * self.input_factor))

    def logits(self, features: Tensor) -> list[Tensor]:
        """One (N, C_g) a group."""
        features = self.dropout((root(features) - self.shift) / self.spread)
        return [branch(features) for branch in self.branches]

    def forward(self, images: Tensor) -> list[Tensor]:
        """Images (N, 3, H, W) to one (N, C_g) a group."""
        return self.logits(self.features(images))


def root(features: Tensor) -> Tensor:
    """What the branches see of pooled features: their long tail weighs less under a root."""
    return torch.sqrt(features + LEAST)


def pooled(levels: Sequence[Tensor]) -> Tensor:
    """Mean and maximum over the places of each level.

    The maximum is taken along one axis, so that its gradient goes to one place: half the time of that of
    ``amax``, which shares it among equal ones, and a quarter less time for a whole training.
    """
    found = []
    for maps in levels:
        places = maps.permute(0, 2, 3, 1).flatten(1, 2)
        found += [maps.mean((2, 3)), places.max(1).values]
    return torch.cat(found, 1)


class Deployed(nn.Module):
    """The same network as it is exported: images to probabilities and features, nothing left to scale.

    Parameters
    ----------
    network : AttributeNetwork
        Stays as it is.
    vocabulary : Vocabulary
    temperatures : sequence of float
        One a group; its logits are divided by it.
    """

    def __init__(
        self, network: AttributeNetwork, vocabulary: Vocabulary, temperatures: Sequence[float]
    ) -> None:
        super().__init__()
        self.exclusive = [group.exclusive for group in vocabulary.groups]
        network = copy.deepcopy(network).cpu().float().eval()
        self.trunk = network.trunk
        self.branches = nn.ModuleList()
        branch: Any
        with torch.no_grad():
            self.trunk.convolutions()[0][1].weight.mul_(network.input_factor)
            for branch, temperature in zip(network.branches, temperatures):
                first, last = branch[0], branch[-1]
                weight = first.weight.double() / network.spread.double()
                first.bias.copy_(first.bias.double() - weight @ network.shift.double())
                first.weight.copy_(weight)
                last.weight.div_(temperature)
                last.bias.div_(temperature)
                self.branches.append(nn.Sequential(first, nn.ReLU(), last))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 3, H, W) to probabilities (N, F) and features (N, C)."""
        levels = self.trunk(images)
        features = torch.cat([kind for maps in levels for kind in (maps.mean((2, 3)), maps.amax((2, 3)))], 1)
        found = []
        for branch, exclusive in zip(self.branches, self.exclusive):
            logits = branch(root(features))
            found.append(torch.softmax(logits, 1) if exclusive else torch.sigmoid(logits))
        return torch.cat(found, 1), features


def masked_loss(
    logits: Sequence[Tensor], targets: Sequence[Tensor], smoothing: float = 0.0
) -> tuple[Tensor, int]:
    """Sum of the cross-entropies of known labels, and how many labels are known (model specification 6).

    Parameters
    ----------
    logits : sequence of (N, C_g)
    targets : sequence of (N,) or (N, C_g)
        Numbers of values where one dimension; 1 and 0 a tag where two. Negative is unknown.
    smoothing : float
        Share of the target that is spread evenly over the values.

    Returns
    -------
    tuple of (scalar, int)
        A tag group's ℓ is the sum over its known tags; it counts as one label where any tag is known.
    """
    total, known = logits[0].new_zeros((), dtype=torch.float32), 0
    for found, target in zip(logits, targets):
        found = found.float()
        if target.dim() == 1:
            there = target >= 0
            total = total + nn.functional.cross_entropy(
                found,
                target.long().clamp(min=-1),
                ignore_index=-1,
                reduction="sum",
                label_smoothing=smoothing,
            )
        else:
            mask = target >= 0
            there = mask.any(1)
            wanted = target.clamp(min=0).float() * (1 - smoothing) + smoothing / 2
            each = nn.functional.binary_cross_entropy_with_logits(found, wanted, reduction="none")
            total = total + each.masked_fill(~mask, 0.0).sum()
        known += int(there.sum())
    return total, known
