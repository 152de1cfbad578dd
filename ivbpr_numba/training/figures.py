"""How good an epoch was on the validation pictures, which epoch is the best, and the groups of a report."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ivbpr_numba.network.vocabulary import Vocabulary
from ivbpr_numba.training.calibration import fit_temperature, log_loss
from ivbpr_numba.training.training_set import TrainingSet, judge

__all__ = ["CRITERIA", "figures_of", "group_rows", "score"]

CRITERIA = ("log_loss", "accuracy")


def figures_of(
    logits: Sequence[np.ndarray], targets: Sequence[np.ndarray], vocabulary: Vocabulary
) -> tuple[dict[str, Any], list[float]]:
    """Judge and calibrate logits.

    Parameters
    ----------
    logits : sequence of ndarray, shapes (n, C_g)
    targets : sequence of ndarray of int
        For each group (n,) numbers of values or (n, C_g) 1 and 0 a tag; negative is unknown.
    vocabulary : Vocabulary

    Returns
    -------
    dict
        ``valid_accuracy`` and ``valid_log_loss`` (after calibration), means over groups, and ``groups``:
        ``accuracy log_loss temperature`` by name; None where no label is known.
    list of float
        The temperature of each group.
    """
    triples = [
        (found, target, group.exclusive) for found, target, group in zip(logits, targets, vocabulary.groups)
    ]
    temperatures = [fit_temperature(*triple) for triple in triples]
    losses = [log_loss(*triple, temperature) for triple, temperature in zip(triples, temperatures)]
    accuracies = judge(logits, targets)
    figures = {
        "valid_accuracy": _mean(accuracies),
        "valid_log_loss": _mean(losses),
        "groups": {
            group.name: {"accuracy": _number(a), "log_loss": _number(b), "temperature": t}
            for group, a, b, t in zip(vocabulary.groups, accuracies, losses, temperatures)
        },
    }
    return figures, temperatures


def score(figures: Mapping[str, Any] | None, criterion: str) -> float:
    """What early stopping compares, the larger the better; without validation all epochs are equally good."""
    if figures is None:
        return -math.inf
    if criterion == "accuracy":
        return figures["valid_accuracy"] if figures["valid_accuracy"] is not None else 0.0
    return -figures["valid_log_loss"] if figures["valid_log_loss"] is not None else 0.0


def group_rows(data: TrainingSet, figures: Mapping[str, Any]) -> list[dict[str, Any]]:
    """``group values train_labels valid_labels valid_accuracy valid_log_loss temperature`` for the report."""
    rows = []
    for group, target in zip(data.vocabulary.groups, data.targets):
        known: np.ndarray = np.any(target.reshape(len(target), -1) >= 0, axis=1)
        own = figures["groups"][group.name]
        rows.append(
            {
                "group": group.name,
                "values": len(group.values),
                "train_labels": int(known[data.train].sum()),
                "valid_labels": int(known[data.valid].sum()),
                "valid_accuracy": own["accuracy"],
                "valid_log_loss": own["log_loss"],
                "temperature": own["temperature"],
            }
        )
    return rows


def _mean(values: Sequence[float]) -> float | None:
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else None


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value
