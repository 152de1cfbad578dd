"""What the network saw on the drawn photos of a built-in world, beside what is really on them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ivbpr_numba.answers.answers import title_of
from ivbpr_numba.judging.assessment import assess, columns_of
from ivbpr_numba.training.labels import Labels
from ivbpr_numba.worlds.catalogue import TAGS

if TYPE_CHECKING:
    from ivbpr_numba.datasets.dataset import Dataset
    from ivbpr_numba.features.features import Features
    from ivbpr_numba.network.file import Network
    from ivbpr_numba.network.vocabulary import Vocabulary
    from ivbpr_numba.worlds.world import World

__all__ = ["photos"]

EXAMPLES, MISTAKES = 12, 4
SURE = 0.5  # from here on a tag counts as seen


def photos(world: World, data: Dataset, features: Features, network: Network) -> dict[str, Any]:
    """How well the network knows this world, with examples.

    Parameters
    ----------
    world : World
    data : Dataset
        Examples are among its items.
    features : Features
        The network's probabilities for the world's items.
    network : Network
        With a vocabulary.

    Returns
    -------
    dict
        ``items columns size kilobytes``; ``groups`` (``name exclusive values accuracy majority mean_ap
        calibration_error``); ``mean_ap``; ``wrong`` (the share of items with a wrong value in any exclusive
        group); ``examples``, one a kind of the first group, and ``mistakes``, the surest wrong answers; each
        has ``item title`` and ``seen`` (``group value probability right truth``).
    """
    assert network.vocabulary is not None and network.preprocessing is not None
    labels = labels_of(world, network.vocabulary)
    probabilities = features.values(features.rows_of_all(world.items)).astype(np.float64)
    judged = assess(probabilities, labels, network.vocabulary)
    groups = [
        {
            "name": name,
            "values": len(found["values"]),
            **{
                key: found[key]
                for key in ("exclusive", "accuracy", "majority", "mean_ap", "calibration_error")
            },
        }
        for name, found in judged["groups"].items()
    ]
    rows = world.items.find(data.items.values)
    answers = _answers(probabilities, labels, network.vocabulary)
    wrong = np.zeros(len(world.items), dtype=bool)
    for _, right in answers.values():
        wrong |= ~right
    shown = {
        name: [_shown(int(row), item, data, probabilities, labels, network.vocabulary) for row, item in found]
        for name, found in (
            ("examples", _examples(labels, rows)),
            ("mistakes", _mistakes(answers, rows)),
        )
    }
    return {
        "items": len(world.items),
        "columns": network.vocabulary.size,
        "size": list(network.preprocessing.size),
        "kilobytes": round(Path(network.path).stat().st_size / 1000),
        "trained_on": dict(network.record.get("images") or {}),
        "groups": groups,
        "mean_ap": judged["mean_ap"],
        "wrong": float(wrong.mean()),
        **shown,
    }


def labels_of(world: World, vocabulary: Vocabulary) -> Labels:
    """The world's catalogue as labels."""
    has = world.attributes.dense()
    column = {name: k for k, name in enumerate(world.attributes.names)}
    values = []
    for group in vocabulary.groups:
        own = has[:, [column[f"{group.name}={value}"] for value in group.values]]
        values.append(own.argmax(axis=1).astype(np.int32) if group.exclusive else own.astype(np.int8))
    return Labels(world.items, vocabulary, values)


def _answers(
    probabilities: np.ndarray, labels: Labels, vocabulary: Vocabulary
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Of each exclusive group the probability of the answer, and whether it is right."""
    found = {}
    for n, (group, columns) in enumerate(columns_of(vocabulary)):
        if group.exclusive:
            own = probabilities[:, columns]
            found[group.name] = own.max(axis=1), own.argmax(axis=1) == labels.values[n]
    return found


def _examples(labels: Labels, rows: np.ndarray) -> list[tuple[int, int]]:
    """Row in the world and in the dataset of the first product of each kind."""
    kinds = labels.values[0][rows]
    first = [int(np.argmax(kinds == kind)) for kind in np.unique(kinds).tolist()]
    return [(int(rows[n]), n) for n in first[:EXAMPLES]]


def _mistakes(
    answers: Mapping[str, tuple[np.ndarray, np.ndarray]], rows: np.ndarray
) -> list[tuple[int, int]]:
    """The same of the surest wrong answers, one a product."""
    sure = np.zeros(len(rows))
    for probability, right in answers.values():
        sure = np.maximum(sure, np.where(right[rows], 0.0, probability[rows]))
    order = np.argsort(-sure, kind="stable")[:MISTAKES]
    return [(int(rows[n]), n) for n in order.tolist() if sure[n] > 0]


def _shown(
    row: int,
    item_row: int,
    data: Dataset,
    probabilities: np.ndarray,
    labels: Labels,
    vocabulary: Vocabulary,
) -> dict[str, Any]:
    item = data.items[item_row]
    seen = []
    for n, (group, columns) in enumerate(columns_of(vocabulary)):
        own, truth = probabilities[row, columns], labels.values[n][row]
        if group.exclusive:
            best = int(np.argmax(own))
            seen.append(_one(group.name, group.values[best], own[best], best == truth, group.values[truth]))
        else:
            for k, value in enumerate(group.values):
                if own[k] >= SURE or truth[k] == 1:
                    right = (own[k] >= SURE) == (truth[k] == 1)
                    seen.append(_one(TAGS, value, own[k], right, "there" if truth[k] == 1 else "not there"))
    return {
        "item": item,
        "title": title_of(data, item_row),
        "seen": seen,
    }


def _one(group: str, value: str, probability: float, right: bool, truth: str) -> dict[str, Any]:
    return {
        "group": group,
        "value": value,
        "probability": float(probability),
        "right": bool(right),
        "truth": truth,
    }
