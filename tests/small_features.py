"""A small matrix of features, attributes by name, and the files that are imported, for many tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ivbpr_numba.features.features import Features
from ivbpr_numba.ids import Ids

IDS = ["0108", "0020", "b", "a", "äpfel"]
VALUES = np.array([[0.5, 1, 0], [0, 2, 0.25], [3, 0, 0], [-1, 0, 7], [0, 0, 0]], dtype=np.float16)


def values_of(features: Features, ids: list[str]) -> np.ndarray:
    return features.values(features.rows(Ids.collect(ids, "item")))


def attributes() -> Features:
    names = ["colour=Black", "colour=Red", "lining=Black", "tags=a=b", "tags=leather"]
    values = np.array([[1, 0, 1, 1, 1], [0, 1, 0, 0, 0.5], [1, 0, 0, 0, 0.5]])
    return Features.from_arrays(["i1", "i2", "i3"], values, names=names, kind="attributes")


def texts(path: Path, ids: list[str]) -> Path:
    path.write_text("\n".join(ids) + "\n", encoding="utf-8")
    return path


def save_npy(folder: Path, values: np.ndarray) -> dict:
    np.save(folder / "x.npy", values)
    return {"path": folder / "x.npy", "ids": texts(folder / "ids.txt", IDS)}
