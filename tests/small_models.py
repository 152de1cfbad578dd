"""Small purchases of two tastes, features of both kinds, and models fitted to them, for many tests."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ivbpr_numba import Dataset, Features, create
from ivbpr_numba.models.base import Model

RNG = np.random.default_rng(11)
N_USERS, N_ITEMS = 60, 45


def purchases() -> Dataset:
    """Users of two tastes: even users buy mostly from the first half of the catalogue."""
    users, items = [], []
    for u in range(N_USERS):
        half = np.arange(N_ITEMS) < N_ITEMS // 2
        weight = np.where(half == (u % 2 == 0), 6.0, 1.0)
        chosen = RNG.choice(N_ITEMS, int(RNG.integers(6, 14)), replace=False, p=weight / weight.sum())
        users += [f"u{u:03}"] * len(chosen)
        items += [f"i{i:03}" for i in chosen]
    return Dataset.from_pairs(users, items, np.arange(len(users)) * 1000 + 1_500_000_000, seed=5)


DATA = purchases()
HALF = np.array([int(text[1:]) < N_ITEMS // 2 for text in DATA.items.texts()])
NAMES = ["side=left", "side=right", "hue=red", "hue=blue", "hue=green"]
HUE = RNG.integers(0, 3, len(HALF))
ONE_HOT = np.concatenate([np.stack([HALF, ~HALF], 1), np.eye(3, dtype=bool)[HUE]], axis=1)
ATTRIBUTES = Features.from_arrays(DATA.items, ONE_HOT.astype(np.float16), NAMES, kind="attributes")
DENSE = Features.from_arrays(
    DATA.items, (ONE_HOT @ RNG.normal(size=(5, 20)) + RNG.normal(0, 0.2, (len(HALF), 20))).astype(np.float16)
)
FEATURES = {"vbpr": DENSE, "i-vbpr": ATTRIBUTES, "tvbpr": DENSE, "i-tvbpr": ATTRIBUTES}


def made(name: str, **options: Any) -> Model:
    """A small model of that name."""
    if name not in ("rand", "pop"):
        options = {"iterations": 8, "eval_every": 2, "patience": 40, **options}
    return create(name, **options)


def fitted(name: str, run: dict[str, Any] | None = None, **options: Any) -> Model:
    return made(name, **options).fit(DATA, FEATURES.get(name), **(run or {}))


def saved(path: Path, name: str, **options: Any) -> str:
    return fitted(name, {"out": path}, **options).payload_sha256_


AnyModel = TypeVar("AnyModel", bound=Model)


def changed(model: AnyModel, **parts: Any) -> AnyModel:
    """The model with other parts of its `fitted_` (``parameters=…``), its features still at hand."""
    fitted = replace(model.fitted_, **parts)
    views = model.views
    return model.adopt(fitted, type(views)(fitted, views.found, views.source))
