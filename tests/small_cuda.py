"""For the ring `cuda`: arrays on the device and back, tuples of arrays keeping their kind; purchases of few."""

from typing import Any

import numpy as np

from ivbpr_numba import Dataset, Features
from ivbpr_numba.kernels.cuda.target import Shape, cuda

# Launches that must give the same bits: one block, several, and threads that leave work for a second round.
SHAPES = (Shape(1, 32), Shape(3, 16))
PANEL_SHAPES = (Shape(1, (4, 1)), Shape(3, (2, 2)))


def on(value: Any) -> Any:
    """A copy on the device of an array, or of every array of a named tuple."""
    if isinstance(value, tuple):
        return type(value)(*(on(part) for part in value))
    return cuda.to_device(np.ascontiguousarray(value)) if isinstance(value, np.ndarray) else value


def back(value: Any) -> Any:
    """A copy on the host."""
    if isinstance(value, tuple):
        return type(value)(*(back(part) for part in value))
    return value.copy_to_host() if hasattr(value, "copy_to_host") else value


def purchases() -> Dataset:
    rng = np.random.default_rng(0)
    users = np.repeat(np.arange(9), 6)
    items = np.concatenate([rng.choice(14, 6, replace=False) for _ in range(9)])
    times = 1_500_000_000 + rng.permutation(len(items))
    return Dataset.from_pairs([f"u{u}" for u in users], [f"i{i:02}" for i in items], times)


DATA = purchases()
N = len(DATA.items)
DENSE = Features.from_arrays(
    DATA.items, np.random.default_rng(1).normal(size=(N, 7)).astype(np.float16), kind="dense"
)
ONE_HOT = Features.from_arrays(
    DATA.items,
    np.eye(6, dtype=np.float16)[np.arange(N) % 6],
    [f"c=v{n}" for n in range(6)],
    kind="attributes",
)
