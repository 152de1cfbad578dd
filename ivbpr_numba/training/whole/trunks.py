"""Convolutional trunks: images in, maps of several levels out.

The parameters of `squeezenet1_1`, `alexnet` and `resnet18` have the names and shapes of torchvision's state
dicts, so that published weights load by name. Only the convolutions are here: what torchvision's models call
``classifier`` or ``fc`` is no part of a trunk.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ivbpr_numba.errors import UsageError, did_you_mean
from ivbpr_numba.training.whole.with_torch import torch

__all__ = ["TRUNKS", "AlexNet", "ResNet18", "Small", "SqueezeNet", "Trunk", "make_trunk"]

if TYPE_CHECKING:  # to a type checker without torch these are anything
    from torch import Tensor, nn
else:
    nn, Tensor = torch.nn, torch.Tensor


class Trunk(nn.Module):
    """Base of the trunks.

    Attributes
    ----------
    channels : tuple of int
        Of the maps that `forward` gives, from the earliest level to the last.
    smallest : int
        Shortest side of an image that leaves at least one pixel at every level.
    """

    channels: tuple[int, ...] = ()
    smallest = 32

    def forward(self, images: Tensor) -> list[Tensor]:
        """Maps of all levels, each (N, channels, height, width), not negative."""
        raise NotImplementedError

    def convolutions(self) -> list[tuple[str, nn.Conv2d, nn.BatchNorm2d | None]]:
        """Every convolution in the order of the graph, with its name and the normalisation behind it."""
        raise NotImplementedError


class _Sequence(Trunk):
    """A trunk that is one `features` sequence; levels are taken behind some of its places."""

    taken: tuple[int, ...] = ()

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.features = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> list[Tensor]:
        """See `Trunk.forward`."""
        levels = []
        for place, layer in enumerate(self.features):
            images = layer(images)
            if place in self.taken:
                levels.append(images)
        return levels

    def convolutions(self) -> list[tuple[str, nn.Conv2d, nn.BatchNorm2d | None]]:
        """See `Trunk.convolutions`."""
        found: list[tuple[str, nn.Conv2d, nn.BatchNorm2d | None]] = []
        for name, module in self.named_modules():
            if isinstance(module, nn.Conv2d):
                found.append((name, module, None))
            elif isinstance(module, nn.BatchNorm2d):  # stands right behind its convolution
                found[-1] = (*found[-1][:2], module)
        return found


class Small(_Sequence):
    """For images of about 64 × 64: four levels, 0.2 million parameters."""

    channels = (24, 48, 96, 128)
    taken = (2, 6, 10, 14)
    smallest = 16

    def __init__(self) -> None:
        layers: list[nn.Module] = [nn.Conv2d(3, 24, 3, stride=2, padding=1, bias=False)]
        layers += [nn.BatchNorm2d(24), nn.ReLU()]
        for before, after in ((24, 48), (48, 96), (96, 128)):
            layers += [nn.MaxPool2d(2), nn.Conv2d(before, after, 3, padding=1, bias=False)]
            layers += [nn.BatchNorm2d(after), nn.ReLU()]
        super().__init__(*layers)


class Fire(nn.Module):
    """SqueezeNet's module: fewer channels, then 1 × 1 and 3 × 3 convolutions side by side."""

    def __init__(self, before: int, squeezed: int, expanded: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(before, squeezed, 1)
        self.expand1x1 = nn.Conv2d(squeezed, expanded, 1)
        self.expand3x3 = nn.Conv2d(squeezed, expanded, 3, padding=1)

    def forward(self, maps: Tensor) -> Tensor:
        """(N, before, H, W) → (N, 2 · expanded, H, W)."""
        maps = torch.relu(self.squeeze(maps))
        return torch.relu(torch.cat([self.expand1x1(maps), self.expand3x3(maps)], 1))


class SqueezeNet(_Sequence):
    """SqueezeNet 1.1 (Iandola et al. 2016); levels are all eight of its modules, fire2 to fire9."""

    channels = (128, 128, 256, 256, 384, 384, 512, 512)
    taken = (3, 4, 6, 7, 9, 10, 11, 12)

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(3, 64, 3, stride=2),
            nn.ReLU(),
            nn.MaxPool2d(3, 2, ceil_mode=True),
            Fire(64, 16, 64),
            Fire(128, 16, 64),
            nn.MaxPool2d(3, 2, ceil_mode=True),
            Fire(128, 32, 128),
            Fire(256, 32, 128),
            nn.MaxPool2d(3, 2, ceil_mode=True),
            Fire(256, 48, 192),
            Fire(384, 48, 192),
            Fire(384, 64, 256),
            Fire(512, 64, 256),
        )


class AlexNet(_Sequence):
    """AlexNet as torchvision has it (Krizhevsky 2014); levels are behind convolutions 1, 2, 3 and 5."""

    channels = (64, 192, 384, 256)
    taken = (1, 4, 7, 11)
    smallest = 64

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(3, 64, 11, stride=4, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(64, 192, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(192, 384, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(384, 256, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(256, 256, 3, padding=1),
            nn.ReLU(),
        )


class BasicBlock(nn.Module):
    """Two convolutions and a way around them (He et al. 2016)."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(after)
        self.downsample: nn.Sequential | None = None
        if stride > 1:
            way = nn.Conv2d(before, after, 1, stride=stride, bias=False)
            self.downsample = nn.Sequential(way, nn.BatchNorm2d(after))

    def forward(self, maps: Tensor) -> Tensor:
        """(N, before, H, W) → (N, after, H / stride, W / stride)."""
        found = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(maps)))))
        around = maps if self.downsample is None else self.downsample(maps)
        return torch.relu(found + around)


class ResNet18(Trunk):
    """ResNet-18; the levels are the outputs of its four stages."""

    channels = (64, 128, 256, 512)

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(3, 2, padding=1)
        self.layer1 = nn.Sequential(BasicBlock(64, 64, 1), BasicBlock(64, 64, 1))
        self.layer2 = nn.Sequential(BasicBlock(64, 128, 2), BasicBlock(128, 128, 1))
        self.layer3 = nn.Sequential(BasicBlock(128, 256, 2), BasicBlock(256, 256, 1))
        self.layer4 = nn.Sequential(BasicBlock(256, 512, 2), BasicBlock(512, 512, 1))

    def forward(self, images: Tensor) -> list[Tensor]:
        """See `Trunk.forward`."""
        maps = self.maxpool(torch.relu(self.bn1(self.conv1(images))))
        levels = []
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            maps = stage(maps)
            levels.append(maps)
        return levels

    def convolutions(self) -> list[tuple[str, nn.Conv2d, nn.BatchNorm2d | None]]:
        """See `Trunk.convolutions`: exporters write the way around a block behind its two convolutions."""
        found: list[tuple[str, nn.Conv2d, nn.BatchNorm2d | None]] = [("conv1", self.conv1, self.bn1)]
        for number in range(1, 5):
            for place, block in enumerate(getattr(self, f"layer{number}")):
                name = f"layer{number}.{place}"
                found.append((f"{name}.conv1", block.conv1, block.bn1))
                found.append((f"{name}.conv2", block.conv2, block.bn2))
                if block.downsample is not None:
                    found.append((f"{name}.downsample.0", *block.downsample))
        return found


TRUNKS: dict[str, Callable[[], Trunk]] = {
    "small": Small,
    "squeezenet1_1": SqueezeNet,
    "alexnet": AlexNet,
    "resnet18": ResNet18,
}


def make_trunk(name: str) -> Trunk:
    """The trunk of that name, drawn anew from torch's generator.

    Weights are normal with variance 2 / (inputs of a unit) (He et al. 2015), biases 0.

    Raises
    ------
    UsageError
        An unknown name.
    """
    if name not in TRUNKS:
        hint = did_you_mean(name, TRUNKS) or f"Use {', '.join(TRUNKS)}."
        raise UsageError(f"Unknown trunk '{name}'.", hint)
    trunk = TRUNKS[name]()
    for _, convolution, _ in trunk.convolutions():
        nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
        if convolution.bias is not None:
            nn.init.zeros_(convolution.bias)
    return trunk
