"""What a benchmark asks of another program, and what it answers."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from typing import Any, Protocol

import numpy as np

from benchmarks.registry import Missing
from ivbpr_numba import Dataset

__all__ = ["Learned", "Options", "Peer", "clock", "matrix_of", "version_of"]


@dataclass(frozen=True)
class Options:
    """Of a factorization.

    Attributes
    ----------
    factors : int
    rate, decay : float
        η, and λ of the factors of users and items.
    iterations : int
        Each as many triples as there are training pairs.
    threads, seed : int
    """

    factors: int = 10
    rate: float = 0.05
    decay: float = 0.0025
    iterations: int = 30
    threads: int = 1
    seed: int = 0


@dataclass(frozen=True)
class Learned:
    """What a program learned, and how long the triples took without its first iteration.

    Attributes
    ----------
    triples : int
    seconds, cpu_seconds : float
    user_factors, item_factors : (U, K), (I, K) float32, or None
        None: the program keeps them to itself.
    item_bias : (I,) float32 or None
    auc : float or None
        As the program itself says, by its own protocol.
    """

    triples: int
    seconds: float
    cpu_seconds: float
    user_factors: np.ndarray | None = None
    item_factors: np.ndarray | None = None
    item_bias: np.ndarray | None = None
    auc: float | None = None

    def arrays(self) -> dict[str, np.ndarray]:
        """The learned arrays by the names of a model's parameters."""
        named = {name: getattr(self, name) for name in ("user_factors", "item_factors", "item_bias")}
        return {name: array for name, array in named.items() if array is not None}

    def scores(self) -> np.ndarray:
        """(U, I) float32."""
        if self.user_factors is None or self.item_factors is None:
            raise ValueError("the program keeps its factors to itself")
        return (self.user_factors @ self.item_factors.T + self.item_bias).astype(np.float32)


class Peer(Protocol):
    """Another program."""

    name: str

    def version(self) -> str:
        """Its version.

        Raises
        ------
        Missing
            It is not installed.
        """
        ...

    def learn(self, data: Dataset, options: Options) -> Learned:
        """Factorize the training pairs.

        Raises
        ------
        Missing
            It is not installed.
        """
        ...


def version_of(package: str) -> str:
    """Version of an installed package."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError as problem:
        raise Missing(f"the package '{package}' is not installed") from problem


def matrix_of(data: Dataset) -> Any:
    """Training pairs as a SciPy CSR matrix of ones."""
    from scipy.sparse import csr_matrix

    train = data.train
    values = np.ones(len(train), np.float32)
    return csr_matrix((values, train.indices, train.indptr), shape=(len(data.users), len(data.items)))


def clock(work: Callable[[], Any]) -> tuple[Any, float, float]:
    """What a call gives, with its wall and CPU seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    found = work()
    return found, time.perf_counter() - wall, time.process_time() - cpu
