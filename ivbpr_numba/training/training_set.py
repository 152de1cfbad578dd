"""Pictures and labels as arrays, a row a picture: what a training needs of a task."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ivbpr_numba.errors import DataError, parameter
from ivbpr_numba.network.vocabulary import Vocabulary

if TYPE_CHECKING:
    from ivbpr_numba.training.task import Task

__all__ = ["TrainingSet", "judge", "only_trainable", "training_set"]


@dataclass(frozen=True)
class TrainingSet:
    """Pictures in memory, or what a fixed network makes of them, with their labels.

    Attributes
    ----------
    vocabulary : Vocabulary
    pixels : ndarray of uint8, shape (n, H, W, 3)
        RGB; or features, float32 (n, D).
    targets : tuple of ndarray
        For each group (n,) numbers of values or (n, C) 1 and 0 a tag; negative is unknown.
    train, valid : ndarray of int64
        Rows to learn from and to choose by.
    """

    vocabulary: Vocabulary
    pixels: np.ndarray
    targets: tuple[np.ndarray, ...]
    train: np.ndarray
    valid: np.ndarray

    def digest(self) -> str:
        """SHA-256 of all that the result depends on."""
        found = hashlib.sha256(self.vocabulary.to_json().encode())
        for values in (self.pixels, *self.targets, self.train, self.valid):
            found.update(f"{values.dtype.str}{values.shape}".encode())
            found.update(np.ascontiguousarray(values).data.cast("B"))
        return found.hexdigest()


def training_set(task: Task, pixels: np.ndarray, usable: np.ndarray) -> TrainingSet:
    """Join the pixels, or features, of a task's pictures with its labels.

    Parameters
    ----------
    task : Task
        m pictures.
    pixels : ndarray of uint8, shape (m, H, W, 3), or of float32, shape (m, D)
    usable : ndarray of bool, shape (m,)
        False where a picture could not be read; it takes part in nothing.
    """
    rows = task.picture_rows
    return TrainingSet(
        task.labels.vocabulary,
        pixels,
        tuple(values[rows] for values in task.labels.values),
        np.flatnonzero(usable & (task.part[rows] == 0)),
        np.flatnonzero(usable & (task.part[rows] == 1)),
    )


def only_trainable(data: TrainingSet) -> tuple[TrainingSet, list[str]]:
    """Leave out groups without any label among the training pictures; their names are given back.

    Raises
    ------
    DataError
        No training picture, or no group is left.
    """
    if not len(data.train):
        raise DataError(
            "There is no picture to train on.", f"Give more images, or a smaller {parameter('valid_share')}."
        )
    keep = [k for k, values in enumerate(data.targets) if (values[data.train] >= 0).any()]
    if not keep:
        raise DataError(
            "No training picture has a label of any group.",
            f"Check {parameter('id_column')} and {parameter('groups')}.",
        )
    groups = data.vocabulary.groups
    dropped = [group.name for k, group in enumerate(groups) if k not in keep]
    if not dropped:
        return data, []
    vocabulary = Vocabulary(tuple(groups[k] for k in keep))
    targets = tuple(data.targets[k] for k in keep)
    return TrainingSet(vocabulary, data.pixels, targets, data.train, data.valid), dropped


def judge(logits: Sequence[np.ndarray], targets: Sequence[np.ndarray]) -> list[float]:
    """Accuracy of each group's known labels; NaN where there is none.

    Exclusive groups: share of pictures whose most probable value is the label. Tags: share of right decisions
    at a probability of one half.
    """
    found = []
    for values, target in zip(logits, targets):
        known = target >= 0
        if not known.any():
            found.append(float("nan"))
        elif target.ndim == 1:
            found.append(float(np.mean(values[known].argmax(axis=1) == target[known])))
        else:
            found.append(float(np.mean((values > 0)[known] == (target[known] == 1))))
    return found
