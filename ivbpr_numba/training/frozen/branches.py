"""Branches of an attribute network in NumPy: for each group FC–ReLU–FC, its loss and its gradient.

Model specification 6. The hidden layers of all branches are one matrix, side by side: one product instead of
many.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache

import numpy as np
from threadpoolctl import ThreadpoolController

from ivbpr_numba.network.vocabulary import Vocabulary
from ivbpr_numba.processes import cores

__all__ = ["Branches", "known_labels", "loss_and_gradient", "product", "start_branches"]

ROWS = 64  # of a product that a thread computes at a time


@dataclass(frozen=True)
class Branches:
    """One hidden layer and one output layer for each group.

    Attributes
    ----------
    exclusive : tuple of bool
        Soft-max over a group's values, or a sigmoid for each of its tags; for each of G groups.
    first : ndarray, shape (D, G · h)
        Hidden units of the groups, side by side.
    first_bias : ndarray, shape (G · h,)
    second : tuple of ndarray, shape (h, C)
        For each group of C values.
    second_bias : tuple of ndarray, shape (C,)
    """

    exclusive: tuple[bool, ...]
    first: np.ndarray
    first_bias: np.ndarray
    second: tuple[np.ndarray, ...]
    second_bias: tuple[np.ndarray, ...]

    @property
    def hidden(self) -> int:
        """h, hidden units of a group."""
        return len(self.first_bias) // len(self.exclusive)

    @property
    def parameters(self) -> list[np.ndarray]:
        """All arrays: the first layer's two, then two for each group."""
        pairs = zip(self.second, self.second_bias)
        return [self.first, self.first_bias, *(array for pair in pairs for array in pair)]

    def with_parameters(self, parameters: Sequence[np.ndarray]) -> Branches:
        """The same with other arrays, in the order of `parameters`."""
        return Branches(
            self.exclusive, parameters[0], parameters[1], tuple(parameters[2::2]), tuple(parameters[3::2])
        )

    def astype(self, dtype: type) -> Branches:
        """The same in another precision."""
        return self.with_parameters([array.astype(dtype) for array in self.parameters])

    def logits(self, features: np.ndarray) -> list[np.ndarray]:
        """Logits of each group.

        Parameters
        ----------
        features : ndarray, shape (n, D)

        Returns
        -------
        list of ndarray, shape (n, C)
        """
        hidden = np.maximum(product(features, self.first) + self.first_bias, 0)
        h = self.hidden
        return [
            product(hidden[:, k * h : (k + 1) * h], weights) + bias
            for k, (weights, bias) in enumerate(zip(self.second, self.second_bias))
        ]

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        """Probabilities of all values of all groups, side by side, (n, F)."""
        logits = self.logits(features)
        return np.concatenate([_squash(z, e) for z, e in zip(logits, self.exclusive)], axis=1)

    def folded(self, shift: np.ndarray, factor: np.ndarray, temperatures: Sequence[float]) -> Branches:
        """Branches for raw features and calibrated probabilities.

        Parameters
        ----------
        shift, factor : ndarray, shape (D,)
            These branches were made for ``(features − shift) · factor``.
        temperatures : sequence of float
            What to divide the logits of each group by.

        Returns
        -------
        Branches
            float64.
        """
        wide = self.astype(np.float64)
        first = wide.first * factor.astype(np.float64)[:, None]
        return Branches(
            self.exclusive,
            first,
            wide.first_bias - (shift.astype(np.float64)[:, None] * first).sum(axis=0),
            tuple(weights / t for weights, t in zip(wide.second, temperatures)),
            tuple(bias / t for bias, t in zip(wide.second_bias, temperatures)),
        )


def start_branches(inputs: int, vocabulary: Vocabulary, hidden: int, seed: int) -> Branches:
    """Branches to train from: normal, of variances 1 / (27 D) and 1 / (3 h), biases 0, float32.

    Much less than He's 2 / D: with thousands of features, many of them alike, branches that start small
    generalise better.
    """
    generator = np.random.default_rng([seed, 1])

    def normal(rows: int, columns: int, variance: float) -> np.ndarray:
        drawn = generator.standard_normal((rows, columns), dtype=np.float32)
        drawn *= np.float32(np.sqrt(variance))
        return drawn

    groups = vocabulary.groups
    return Branches(
        tuple(group.exclusive for group in groups),
        normal(inputs, len(groups) * hidden, 1 / (27 * inputs)),
        np.zeros(len(groups) * hidden, dtype=np.float32),
        tuple(normal(hidden, len(group.values), 1 / (3 * hidden)) for group in groups),
        tuple(np.zeros(len(group.values), dtype=np.float32) for group in groups),
    )


def product(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """``one @ other``, whose bits do not depend on the number of BLAS threads.

    Parameters
    ----------
    one : ndarray, shape (n, k)
    other : ndarray, shape (k, m)

    Notes
    -----
    How OpenBLAS cuts a product for its threads, and with that the order of the sums at the edges, depends on
    their number and on the CPU. So it computes with one, and rows are shared out here, in blocks that are the
    same for any number of threads. A product with a vector is computed in yet another way.
    """
    if 1 in (one.shape[0], other.shape[1]):
        return np.asarray((one[:, :, None] * other[None]).sum(axis=1))
    total = np.empty((one.shape[0], other.shape[1]), np.result_type(one, other))

    def block(start: int) -> None:
        with np.errstate(over="ignore", invalid="ignore"):  # what diverges is told by its loss
            np.matmul(one[start : start + ROWS], other, out=total[start : start + ROWS])

    with _libraries().limit(limits=1, user_api="blas"):
        list(_threads().map(block, range(0, one.shape[0], ROWS)))
    return total


@cache
def _libraries() -> ThreadpoolController:
    return ThreadpoolController()


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(cores(), "ivbpr-products")


def known_labels(targets: Sequence[np.ndarray]) -> int:
    """Σ_g Σ_n m_ng: how many images have a known label, summed over groups."""
    return sum(int((t >= 0).sum() if t.ndim == 1 else (t >= 0).any(axis=1).sum()) for t in targets)


def loss_and_gradient(
    branches: Branches,
    features: np.ndarray,
    targets: Sequence[np.ndarray],
    known: float | None = None,
    smoothing: float = 0.0,
    mask: np.ndarray | None = None,
) -> tuple[float, list[np.ndarray]]:
    """Masked loss of a batch and its gradient.

    ``L = Σ_g Σ_n m_ng ℓ_ng / Σ_g Σ_n m_ng``: ℓ is the cross-entropy of an exclusive group, or the sum of the
    binary cross-entropies of an image's known tags; m is 1 where anything is known.

    Parameters
    ----------
    branches : Branches
    features : ndarray, shape (n, D)
    targets : sequence of ndarray of int
        For each group (n,) numbers of values or (n, C) 1 and 0 a tag; negative is unknown.
    known : float, optional
        Denominator; that of the batch by default.
    smoothing : float
        Share of each exclusive label that is spread over the group's values.
    mask : ndarray, shape (n, G · h), optional
        Factors of the hidden units (dropout).

    Returns
    -------
    loss : float
        0 where nothing is known.
    gradient : list of ndarray
        In the order of ``branches.parameters``.
    """
    denominator = float(known if known is not None else known_labels(targets)) or 1.0
    before = product(features, branches.first)
    before += branches.first_bias
    hidden = np.maximum(before, 0)
    if mask is not None:
        hidden *= mask
    h, loss = branches.hidden, 0.0
    back = np.empty_like(hidden)
    outer: list[np.ndarray] = []
    for k, (weights, bias, target) in enumerate(zip(branches.second, branches.second_bias, targets)):
        own = hidden[:, k * h : (k + 1) * h]
        logits = product(own, weights)
        logits += bias
        part, slope = (_softmax_loss if branches.exclusive[k] else _sigmoid_loss)(logits, target, smoothing)
        loss += part / denominator
        slope /= slope.dtype.type(denominator)
        outer += [product(own.T, slope), slope.sum(axis=0)]
        back[:, k * h : (k + 1) * h] = product(slope, weights.T)
    if mask is not None:
        back *= mask
    back *= before > 0
    return loss, [product(features.T, back), back.sum(axis=0), *outer]


def _softmax_loss(logits: np.ndarray, target: np.ndarray, smoothing: float) -> tuple[float, np.ndarray]:
    """Sum of the cross-entropies of known labels and its derivative by the logits, (n, C)."""
    rows = np.flatnonzero(target >= 0)
    own = target[rows]
    logits = logits - logits.max(axis=1, keepdims=True)
    total = np.log(np.exp(logits).sum(axis=1, keepdims=True))
    slope = np.exp(logits - total)
    log_probability = logits[rows] - total[rows]
    likelihood = (1 - smoothing) * log_probability[np.arange(len(rows)), own].sum(dtype=np.float64)
    if smoothing:
        likelihood += smoothing * log_probability.mean(axis=1).sum(dtype=np.float64)
        slope -= slope.dtype.type(smoothing / logits.shape[1])
    slope[rows, own] -= slope.dtype.type(1 - smoothing)
    slope[target < 0] = 0
    return -float(likelihood), slope


def _sigmoid_loss(logits: np.ndarray, target: np.ndarray, smoothing: float) -> tuple[float, np.ndarray]:
    """Sum of the binary cross-entropies of known tags and its derivative by the logits, (n, C)."""
    known = target >= 0
    has = target == 1
    losses = np.logaddexp(0, np.where(has, -logits, logits))
    slope = _sigmoid(logits)
    slope -= has
    slope *= known
    return float(losses.sum(where=known, dtype=np.float64)), slope


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    # Written with tanh, which overflows nowhere.
    return 0.5 * (1 + np.tanh(0.5 * logits))


def _squash(logits: np.ndarray, exclusive: bool) -> np.ndarray:
    if not exclusive:
        return _sigmoid(logits)
    grown = np.exp(logits - logits.max(axis=1, keepdims=True))
    return grown / grown.sum(axis=1, keepdims=True)
