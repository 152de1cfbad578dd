"""Compile every kernel of `backends.KERNELS`, by running them on a handful of numbers.

What is compiled for is the types that come with the models' own ways to the kernels, so these are taken here
too; `tests/models/test_warmup.py` holds that nothing is left to compile afterwards.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from ivbpr_numba import backends
from ivbpr_numba.datasets.dataset import Dataset
from ivbpr_numba.events import Observer
from ivbpr_numba.features.features import Features
from ivbpr_numba.kernels.compiling import cache_directory
from ivbpr_numba.models.choosing import choose
from ivbpr_numba.models.learners import FactorLearner
from ivbpr_numba.models.presets import resolve
from ivbpr_numba.models.registry import create
from ivbpr_numba.ranking import RowScorer, count, item_classes, questions, scores, top
from ivbpr_numba.readers.id_index import IdIndex
from ivbpr_numba.worlds.world import generate

__all__ = ["warmup"]

STORED = (np.float16, np.float32, np.uint8)


def warmup(progress: Observer | None = None) -> dict[str, Any]:
    """Compile all kernels and keep them in the cache.

    Parameters
    ----------
    progress : callable, optional
        Told ``{"done": steps, "total": steps}`` before every step.

    Returns
    -------
    dict
        ``device device_reason threads seconds cache files``: compiled files now in the cache folder.
    """
    begun = time.perf_counter()
    device, why = backends.choose_device("auto")
    steps = [*_fits(), _rank_rows, _number_ids, lambda: generate("tiny", users=2)]
    for done, step in enumerate(steps):
        if progress is not None:
            progress({"done": done, "total": len(steps)})
        step()
    cache = cache_directory()
    return {
        "device": device,
        "device_reason": why,
        "threads": backends.thread_count(None),
        "seconds": round(time.perf_counter() - begun, 3),
        "cache": str(cache),
        "files": sum(1 for _ in cache.rglob("*.nbc")) if cache.is_dir() else 0,
    }


def _purchases(rng: np.random.Generator) -> Dataset:
    users = np.repeat(np.arange(12), 6)
    items = np.concatenate([rng.choice(30, 6, replace=False) for _ in range(12)])
    times = 1_500_000_000 + rng.permutation(len(items))
    return Dataset.from_pairs([f"u{u:02}" for u in users], [f"i{i:02}" for i in items], times)


def _fits() -> Iterator[Callable[[], None]]:
    """A fit with everything that is asked of its model: of each law, way to update, and stored type."""
    rng = np.random.default_rng(0)
    data = _purchases(rng)
    matrix = rng.integers(0, 2, (len(data.items), 5))
    quick: dict[str, Any] = {"iterations": 1, "factors": 1}
    in_time: dict[str, Any] = {**quick, "epochs": 2, "bins": 4, "segment_every": 1, "segment_negatives": 1}
    yield partial(_use, data, "rand")
    for update in ("ordered", "hogwild"):
        yield partial(_use, data, "bpr-mf", iterations=2, factors=1, update=update)  # the second averages
    yield partial(_use, data, "bpr-mf", **quick, sampling="users")
    for negatives in ("trained", "popularity"):
        options, _ = choose(resolve("bpr-mf", None, {**quick, "negatives": negatives}), data)
        yield partial(_in_rounds, data, options)
    for dtype in STORED:
        features = Features.from_arrays(data.items, matrix.astype(dtype), kind="dense")
        for update in ("ordered", "hogwild"):
            yield partial(_use, data, "vbpr", features, **quick, update=update)
        yield partial(_use, data, "tvbpr", features, **in_time)
    features = Features.from_arrays(data.items, np.eye(len(data.items), dtype=np.float16), kind="attributes")
    for update in ("ordered", "hogwild"):
        yield partial(_use, data, "i-vbpr", features, **quick, update=update)
    yield partial(_use, data, "i-tvbpr", features, **in_time)


def _use(data: Dataset, name: str, features: Features | None = None, **options: Any) -> None:
    """Fit, which also judges; score; recommend; steer; fold in."""
    model = create(name, **options).fit(data, features)
    if name != "rand":
        model.fold_in(data.items[:1])
    if features is not None:
        model.recommend(data.users[0], 1, boost={features.names[0]: 1.0})
    user = np.zeros(1, np.int64)
    scores(model.scorer(), user)
    nothing = (np.zeros(2, np.int64), np.zeros(0, np.int32))
    top(model.scorer(), user, 1, nothing, np.ones(len(data.items), bool))


def _in_rounds(data: Dataset, options: dict[str, Any]) -> None:
    """What only large data asks for."""
    learner = FactorLearner(options, data.train.indptr, data.train.indices, len(data.items))
    learner.in_rounds = True
    learner.compile()


def _rank_rows() -> None:
    """Judge another program's scores, of both types that they come in."""
    data = _purchases(np.random.default_rng(0))
    asked, classes = questions(data, "test"), item_classes(data.train_counts)
    for dtype in (np.float32, np.float64):
        rows = np.zeros((len(data.users), len(data.items)), dtype)
        count(RowScorer(lambda users, rows=rows: rows[users], len(data.items)), asked, classes)  # type: ignore[misc]


def _number_ids() -> None:
    """Number more ids than the first table holds, and read them back."""
    index = IdIndex()
    index.take(index.add([f"{n:04}" for n in range(1000)]))
