"""Small inputs that several test files build, and what they share around kernels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numba
import numpy as np
import pytest

needs_two_threads = pytest.mark.skipif(
    numba.config.NUMBA_NUM_THREADS < 2, reason="numba may use a single thread here"
)


def csr(lists: Sequence[Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Lists of ascending item rows as (indptr, indices)."""
    indptr = np.concatenate([[0], np.cumsum([len(items) for items in lists])]).astype(np.int64)
    return indptr, np.array([i for items in lists for i in items], dtype=np.int32)


def random_lists(
    rng: np.random.Generator, n_users: int, n_items: int, low: int, high: int
) -> list[list[int]]:
    """For each user between `low` and `high` distinct items, ascending."""
    sizes = rng.integers(low, high + 1, n_users)
    return [sorted(rng.choice(n_items, size, replace=False).tolist()) for size in sizes]


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Run numba's parallel kernels with `count` threads inside."""
    before = numba.get_num_threads()
    numba.set_num_threads(count)
    try:
        yield
    finally:
        numba.set_num_threads(before)


def with_threads(count: int, function: Callable[[], Any]) -> Any:
    """What `function` returns when kernels run with `count` threads."""
    with threads(count):
        return function()
