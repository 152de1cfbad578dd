"""Compile every kernel that a fit or a judgement can need, by running them on a handful of numbers."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from ivbpr_numba import backends
from ivbpr_numba.datasets.dataset import Dataset
from ivbpr_numba.features.features import Features
from ivbpr_numba.kernels.compiling import cache_directory
from ivbpr_numba.models.registry import create
from ivbpr_numba.ranking import scores
from ivbpr_numba.worlds.world import generate

__all__ = ["warmup"]

STORED = (np.float16, np.float32, np.uint8)


def warmup(progress: Callable[[dict[str, Any]], None] | None = None) -> dict[str, Any]:
    """Compile all kernels and keep them in the cache.

    Returns
    -------
    dict
        ``device device_reason threads seconds cache files``: compiled files now in the cache folder.
    """
    begun = time.perf_counter()
    device, why = backends.choose_device("auto")
    rng = np.random.default_rng(0)
    users = np.repeat(np.arange(12), 6)
    items = np.concatenate([rng.choice(30, 6, replace=False) for _ in range(12)])
    data = Dataset.from_pairs([f"u{u:02}" for u in users], [f"i{i:02}" for i in items])
    fits: list[tuple[str, Features | None, str]] = [("rand", None, ""), ("bpr-mf", None, "ordered")]
    matrix = rng.integers(0, 2, (len(data.items), 5))
    for dtype in STORED:
        features = Features.from_arrays(data.items, matrix.astype(dtype), kind="dense")
        fits += [("vbpr", features, "ordered"), ("vbpr", features, "hogwild")]
    for done, (name, given, update) in enumerate(fits):
        if progress is not None:
            progress({"done": done, "total": len(fits) + 1})
        options: dict[str, Any] = {"iterations": 1, "update": update, "factors": 1} if update else {}
        scores(create(name, **options).fit(data, given).scorer(), np.zeros(1, np.int64))
    generate("tiny", users=2)
    cache = cache_directory()
    return {
        "device": device,
        "device_reason": why,
        "threads": backends.thread_count(None),
        "seconds": round(time.perf_counter() - begun, 3),
        "cache": str(cache),
        "files": sum(1 for _ in cache.rglob("*.nbc")) if cache.is_dir() else 0,
    }
