"""Training of branches on fixed features with NumPy: Adam, dropout, averaged weights, early stopping.

Same seed, data, options, machine type and versions: same bits, also for another number of BLAS threads (see
`branches.product`). Whatever is done element by element is done in pieces that stay in the cache.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ivbpr_numba.errors import Interrupted, UsageError, parameter
from ivbpr_numba.events import Observer
from ivbpr_numba.network.vocabulary import Vocabulary
from ivbpr_numba.training.figures import CRITERIA, figures_of, score
from ivbpr_numba.training.frozen.branches import Branches, known_labels, loss_and_gradient, start_branches

__all__ = ["BranchOptions", "TrainedBranches", "train_branches"]

MOMENTUM, SQUARES, TINY = 0.9, 0.999, 1e-8  # Adam's usual constants
AHEAD = 10  # steps after which the average of weights reaches far back
PIECE = 1 << 15  # values updated at once
ROWS = 1024  # rows judged or summed at once


@dataclass(frozen=True)
class BranchOptions:
    """How to train.

    Attributes
    ----------
    hidden : int
        Hidden units of each group.
    dropout, input_dropout : float
        Share of hidden units and of features that are left out at random.
    epochs : int
    patience : int
        Stop so many epochs after the best one; 0 never.
    batch : int
        Images a step.
    learning_rate : float
        Falls along a cosine to 0 over `epochs`.
    weight_decay : float
        Of the weight matrices, as a share of the rate.
    smoothing : float
        Of exclusive labels.
    average : float
        Decay of the averaged weights, which are what is validated and kept; 0 is off.
    criterion : str
        What the best epoch has: the least ``log_loss`` (after calibration) or the highest ``accuracy``, both
        the mean over groups on validation images.
    seed : int
    """

    hidden: int = 256
    dropout: float = 0.6
    input_dropout: float = 0.4
    epochs: int = 20
    patience: int = 0
    batch: int = 128
    learning_rate: float = 1e-3
    weight_decay: float = 0.1
    smoothing: float = 0.0
    average: float = 0.99
    criterion: str = "log_loss"
    seed: int = 0

    def checked(self) -> BranchOptions:
        """The same, if every value makes sense.

        Raises
        ------
        UsageError
            One that doesn't.
        """
        for name in ("hidden", "epochs", "batch", "learning_rate"):
            value = getattr(self, name)
            if not (value > 0 and math.isfinite(value)):
                raise UsageError(f"{parameter(name, value)} is not above 0.", "Give more.")
        for name in ("patience", "weight_decay", "seed"):
            if not getattr(self, name) >= 0:
                raise UsageError(f"{parameter(name, getattr(self, name))} is negative.", "Give 0 or more.")
        for name in ("dropout", "input_dropout", "smoothing", "average"):
            if not 0 <= getattr(self, name) < 1:
                raise UsageError(f"{parameter(name, getattr(self, name))} is no share.", "Give 0 up to 1.")
        if self.criterion not in CRITERIA:
            raise UsageError(
                f"{parameter('criterion', self.criterion)} is unknown.", f"Use {' or '.join(CRITERIA)}."
            )
        return self


@dataclass(frozen=True)
class TrainedBranches:
    """The best branches that a training found.

    Attributes
    ----------
    branches : Branches
        For raw features: standardisation and temperatures are folded in. float64.
    unfolded : Branches
        As trained, float32: for ``(features − shift) · factor``.
    shift, factor : ndarray of float32, shape (D,)
    temperatures : list of float
    best : dict
        The row of `history` that it comes from.
    history : list of dict
        ``epoch epochs loss valid_accuracy valid_log_loss groups learning_rate seconds`` after each epoch;
        None where no validation label is known.
    """

    branches: Branches
    unfolded: Branches
    shift: np.ndarray
    factor: np.ndarray
    temperatures: list[float]
    best: dict[str, Any]
    history: list[dict[str, Any]]

    def logits(self, features: np.ndarray) -> list[np.ndarray]:
        """Calibrated logits of raw features, computed without folding, float64."""
        wide = features.astype(np.float64)
        wide -= self.shift
        wide *= self.factor
        found = self.unfolded.astype(np.float64).logits(wide)
        return [values / t for values, t in zip(found, self.temperatures)]


def standardisation(features: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean of some rows and one over their spread, float32 (D,); a feature that never changes gets 0."""
    total = np.zeros(features.shape[1])
    for start in range(0, len(rows), ROWS):
        total += features[rows[start : start + ROWS]].sum(axis=0, dtype=np.float64)
    mean = total / len(rows)
    squares = np.zeros(features.shape[1])
    for start in range(0, len(rows), ROWS):
        squares += ((features[rows[start : start + ROWS]] - mean) ** 2).sum(axis=0)
    spread = np.sqrt(squares / len(rows))
    steady = spread <= 1e-6 * np.maximum(np.abs(mean), 1e-6)
    factor = np.where(steady, 0.0, 1 / np.where(steady, 1.0, spread))
    return mean.astype(np.float32), factor.astype(np.float32)


def train_branches(
    features: np.ndarray,
    targets: Sequence[np.ndarray],
    vocabulary: Vocabulary,
    train: np.ndarray,
    valid: np.ndarray,
    options: BranchOptions | None = None,
    progress: Observer | None = None,
    stopped: Callable[[], int] = lambda: 0,
) -> TrainedBranches:
    """Train branches and calibrate them on validation rows.

    Parameters
    ----------
    features : ndarray of float32, shape (n, D)
        In memory or mapped.
    targets : sequence of ndarray
        For each group (n,) numbers of values or (n, C) 1 and 0 a tag; negative is unknown. Each group has a
        known label among the rows of `train`.
    vocabulary : Vocabulary
    train, valid : ndarray of int64
        Rows to learn from and to choose and calibrate by; without the latter the last epoch is taken and
        probabilities stay as they are.
    options : BranchOptions, optional
    progress : callable, optional
        Called with ``{"done": images, "total": n}`` and ``{"event": "evaluation", …}``.
    stopped : callable, optional
        Polled after every step: the number of a signal, or 0.

    Raises
    ------
    UsageError
        Options that make no sense, or a loss that is no longer finite.
    Interrupted
        `stopped` said so.
    """
    options = (options or BranchOptions()).checked()
    tell = progress or (lambda event: None)
    begun = time.perf_counter()
    training = _Training(features, targets, vocabulary, train, options)
    history: list[dict[str, Any]] = []
    best: tuple[Branches, list[float], dict[str, Any]] | None = None
    for epoch in range(options.epochs):
        for done in training.epoch(epoch):
            tell({"done": done, "total": len(train)})
            if number := stopped():
                raise Interrupted(
                    f"Interrupted in epoch {epoch + 1} of {options.epochs} of the branches.",
                    f"The activations are kept; {parameter('resume', True)} goes on from there.",
                    number,
                )
        if not math.isfinite(training.loss):
            raise UsageError(
                f"The training diverged in epoch {epoch + 1}: the loss is no longer finite.",
                f"Lower {parameter('learning_rate')}.",
            )
        averaged = training.averaged()
        pieces = [training.inputs(valid[at : at + ROWS]) for at in range(0, len(valid), ROWS)]
        judged = [averaged.logits(piece) for piece in pieces]
        logits = [np.concatenate(part) for part in zip(*judged)] or [
            np.empty((0, len(group.values)), np.float32) for group in vocabulary.groups
        ]
        figures, temperatures = figures_of(logits, [target[valid] for target in targets], vocabulary)
        row = {
            "phase": "branches",
            "epoch": epoch + 1,
            "epochs": options.epochs,
            "loss": training.loss,
            **figures,
            "learning_rate": training.rate,
            "seconds": round(time.perf_counter() - begun, 3),
        }
        history.append(row)
        tell({"event": "evaluation", **row})
        if best is None or score(row, options.criterion) >= score(best[2], options.criterion):
            best = averaged, temperatures, row
        elif options.patience and epoch + 1 - best[2]["epoch"] >= options.patience:
            break
    assert best is not None  # there is at least one epoch
    branches, temperatures, row = best
    shift, factor = training.shift, training.factor
    folded = branches.folded(shift, factor, temperatures)
    return TrainedBranches(folded, branches, shift, factor, temperatures, row, history)


class _Training:
    """Weights, Adam's moments, and the running average of the weights."""

    def __init__(
        self,
        features: np.ndarray,
        targets: Sequence[np.ndarray],
        vocabulary: Vocabulary,
        train: np.ndarray,
        options: BranchOptions,
    ) -> None:
        self.features, self.targets, self.train, self.options = features, targets, train, options
        self.shift, self.factor = standardisation(features, train)
        self.branches = start_branches(features.shape[1], vocabulary, options.hidden, options.seed)
        self.values = [array.reshape(-1) for array in self.branches.parameters]
        self.first_moments = [np.zeros_like(value) for value in self.values]
        self.second_moments = [np.zeros_like(value) for value in self.values]
        self.average = [value.copy() for value in self.values]
        self.known_share = known_labels([target[train] for target in targets]) / len(train)
        self.batches = -(-len(train) // options.batch)
        self.steps = 0
        self.loss = 0.0
        self.rate = options.learning_rate

    def inputs(self, rows: np.ndarray) -> np.ndarray:
        """Standardised features."""
        found: np.ndarray = self.features[rows] - self.shift
        found *= self.factor
        return found

    def averaged(self) -> Branches:
        """A copy of the averaged weights."""
        shapes = [array.shape for array in self.branches.parameters]
        return self.branches.with_parameters(
            [value.reshape(shape).copy() for value, shape in zip(self.average, shapes)]
        )

    def epoch(self, number: int) -> Any:
        """One pass over the training rows; yields how many are done after each step."""
        options = self.options
        generator = np.random.default_rng([options.seed, 2, number])
        order = self.train[generator.permutation(len(self.train))]
        total = 0.0
        # Batches of nearly equal size: a last one of a few rows would be a step as large as any.
        ends = [len(order) * (k + 1) // self.batches for k in range(self.batches)]
        for start, end in zip([0, *ends], ends):
            rows = order[start:end]
            x = self.inputs(rows)
            if options.input_dropout:
                x *= _mask(generator, x.shape, options.input_dropout)
            mask = None
            if options.dropout:
                mask = _mask(generator, (len(rows), len(self.branches.first_bias)), options.dropout)
            own = [target[rows] for target in self.targets]
            # The expected number of known labels, so that labels of all batches weigh the same.
            known = self.known_share * len(rows)
            loss, gradient = loss_and_gradient(self.branches, x, own, known, options.smoothing, mask)
            self._step(gradient)
            total += loss * len(rows)
            yield end
        self.loss = total / len(order)

    def _step(self, gradient: list[np.ndarray]) -> None:
        """Adam with decoupled weight decay, and the average that follows."""
        options = self.options
        self.rate = (
            options.learning_rate
            * 0.5
            * (1 + math.cos(math.pi * self.steps / (self.batches * options.epochs)))
        )
        self.steps += 1
        near = min(options.average, self.steps / (AHEAD + self.steps)) if options.average else 0.0
        one = np.float32
        size = one(self.rate / (1 - MOMENTUM**self.steps))
        scale = one(1 / (1 - SQUARES**self.steps))
        for k, slope in enumerate(gradient):
            kept = one(1 - self.rate * options.weight_decay) if slope.ndim == 2 else one(1)
            flat = slope.reshape(-1)
            for start in range(0, len(flat), PIECE):
                piece = slice(start, start + PIECE)
                g, value = flat[piece], self.values[k][piece]
                first, second = self.first_moments[k][piece], self.second_moments[k][piece]
                average = self.average[k][piece]
                first *= one(MOMENTUM)
                first += one(1 - MOMENTUM) * g
                g *= g
                g *= one(1 - SQUARES)
                second *= one(SQUARES)
                second += g
                np.multiply(second, scale, out=g)
                np.sqrt(g, out=g)
                g += one(TINY)
                np.divide(first, g, out=g)
                g *= size
                if kept != 1:
                    value *= kept
                value -= g
                np.subtract(value, average, out=g)
                g *= one(1 - near)
                average += g


def _mask(generator: np.random.Generator, shape: tuple[int, int], share: float) -> np.ndarray:
    """Zeros for a share of the entries, else what keeps the mean, float32."""
    kept = generator.random(shape, dtype=np.float32) >= np.float32(share)
    return kept * np.float32(1 / (1 - share))
