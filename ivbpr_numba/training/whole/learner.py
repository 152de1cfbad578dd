"""A network that learns: optimiser, rates, and the running average of its weights."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from ivbpr_numba.training.whole.options import PRECISIONS, TorchOptions
from ivbpr_numba.training.whole.torch_network import AttributeNetwork
from ivbpr_numba.training.whole.with_torch import torch

__all__ = ["Learner", "rate_factor"]

WARM_UP = 0.05  # share of a phase in which the rates rise
AHEAD = 10  # steps after which the average of weights reaches far back


def rate_factor(step: int, steps: int) -> float:
    """Share of the largest rate at a step of a phase, counted from 0: a short rise, then a cosine to 0."""
    done = min(1.0, step / steps)
    rising = max(WARM_UP, 1 / steps)
    return min(1.0, (done + 1 / steps) / rising) * 0.5 * (1 + math.cos(math.pi * done))


class Learner:
    """The mechanics of one training; which pictures come, and when to stop, is decided elsewhere.

    Parameters
    ----------
    network : AttributeNetwork
        It learns in place.
    options : TorchOptions
        Resolved.
    device : torch.device
    precision : str
        Of the forward and backward pass.
    pretrained : bool
        The trunk's weights were trained: it learns more slowly, and normalisations keep their statistics.
    """

    def __init__(
        self,
        network: AttributeNetwork,
        options: TorchOptions,
        *,
        device: torch.device,
        precision: str,
        pretrained: bool,
    ) -> None:
        self.options, self.device, self.precision, self.pretrained = options, device, precision, pretrained
        own: Any = network
        self.network: AttributeNetwork = own.to(device, memory_format=torch.channels_last)
        self._followed = torch.optim.swa_utils.AveragedModel(
            self.network, multi_avg_fn=self._follow, use_buffers=True
        )
        self._followed.eval()
        self._followed.n_averaged.fill_(1)  # the weights at the start are the first of what is averaged
        self._optimiser: Any = None
        self._schedule: Any = None
        self._scaler = torch.amp.GradScaler(device.type, enabled=precision == "float16")
        self._found: dict[str, Any] = {}  # optimiser of a state that was read, until its phase goes on

    @property
    def average(self) -> AttributeNetwork:
        """The network of averaged weights, which is judged and kept."""
        followed: Any = self._followed
        found: AttributeNetwork = followed.module
        return found

    @property
    def ready(self) -> bool:
        """Whether a phase is under way."""
        return self._optimiser is not None

    @property
    def largest_rate(self) -> float:
        """The largest rate of the branches in this phase."""
        return float(self._optimiser.param_groups[-1]["initial_lr"])

    # A phase

    def begin(self, phase: str, steps: int, done: int) -> None:
        """Prepare a phase of so many steps, of which some may be done."""
        groups = []
        for parameters, rate in self._rates(phase):
            for thick in (True, False):  # biases and normalisations do not decay
                groups.append(
                    {
                        "params": [value for value in parameters if (value.dim() > 1) == thick],
                        "lr": rate,
                        "initial_lr": rate,
                        "weight_decay": self.options.weight_decay if thick else 0.0,
                    }
                )
        self._optimiser = torch.optim.AdamW([group for group in groups if group["params"]])
        if self._found:
            self._optimiser.load_state_dict(self._found)
            self._found = {}
        self._schedule = torch.optim.lr_scheduler.LambdaLR(
            self._optimiser, lambda step: rate_factor(step, steps), last_epoch=done - 1
        )

    def _rates(self, phase: str) -> list[tuple[list[torch.nn.Parameter], float]]:
        options = self.options
        trunk, branches = list(self.network.trunk.parameters()), list(self.network.branches.parameters())
        if not self.pretrained:
            return [(trunk, options.scratch_rate), (branches, options.scratch_rate)]
        if phase == "branches":
            return [(branches, options.learning_rate)]
        return [(trunk, options.trunk_rate), (branches, options.learning_rate * options.again)]

    def prepare(self) -> None:
        """Before the steps of an epoch, and after the network was used for anything else."""
        self.network.train()
        if self.pretrained:  # statistics of normalisations stay those of the initial weights
            for module in self.network.modules():
                if isinstance(module, torch.nn.BatchNorm2d):
                    module.eval()

    def step(self, loss: torch.Tensor | None) -> None:
        """Move the weights down a loss, or, without one, only let time pass."""
        if loss is not None:
            self._optimiser.zero_grad(set_to_none=True)
            self._scaler.scale(loss).backward()
            self._scaler.step(self._optimiser)
            self._scaler.update()
        with warnings.catch_warnings():  # torch warns of rates that move while the weights stay
            warnings.simplefilter("ignore")
            self._schedule.step()
        self._followed.update_parameters(self.network)

    def end(self) -> None:
        """The next phase starts from the average, and its average from there."""
        self._optimiser, self._schedule, self._found = None, None, {}
        self.network.load_state_dict(self.average.state_dict())
        self._followed.n_averaged.fill_(1)

    def _follow(self, averages: Any, values: Any, seen: torch.Tensor | int) -> None:
        """Move averages towards the values; at first quickly, so that the start is soon forgotten."""
        decay = min(self.options.average, (1 + int(seen)) / (AHEAD + int(seen)))
        torch.optim.swa_utils.get_ema_multi_avg_fn(decay if self.options.average else 0.0)(
            averages, values, seen
        )

    # What it computes

    def autocast(self) -> Any:
        """The context of a forward pass in training."""
        enabled = self.precision != "float32"
        return torch.autocast(self.device.type, dtype=PRECISIONS[self.precision], enabled=enabled)

    @torch.no_grad()
    def features(self, images: torch.Tensor) -> torch.Tensor:
        """Of the trunk that stands still, float32 on the CPU."""
        self.network.eval()
        with self.autocast():
            found = self.network.features(images)
        return found.float().cpu()

    @torch.no_grad()
    def scale_by(self, features: torch.Tensor) -> None:
        """See `AttributeNetwork.scale_by`."""
        self.network.scale_by(features)
        self.average.scale_by(features)

    @torch.no_grad()
    def judged(self, images: torch.Tensor) -> list[np.ndarray]:
        """Logits of the averaged network in float32: what is judged is what is exported."""
        return [part.float().cpu().numpy() for part in self.average(images)]

    # The state

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds of it."""
        return {
            "network": self.network.state_dict(),
            "average": self._followed.state_dict(),
            "optimiser": {} if self._optimiser is None else self._optimiser.state_dict(),
            "scaler": self._scaler.state_dict(),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from a state; the optimiser's is taken over when its phase begins."""
        self.network.load_state_dict(state["network"])
        self._followed.load_state_dict(state["average"])
        self._found = state["optimiser"]
        self._scaler.load_state_dict(state["scaler"])
