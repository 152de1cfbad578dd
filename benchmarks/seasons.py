"""Planted seasons and planted trends: does a model in time tell them apart, and how many epochs does it need?

    python benchmarks/seasons.py --seeds 3

Worlds `seasons` (three years; eight features follow the year, eight others rise or fall), as they are and
with changes a third as large. For each number of epochs: the area under the curve of seasonal against
trending features, ranked by the ratio of their learned wave to their learned slope; the share of the 16 in
which the larger of the two is the planted one; the share that is said to show what was planted (`kind`); the
learned amplitude and slope as shares of the planted ones; the mean distance of the peak, in months; whether
`ivbpr trends` would tell seasons from trends; and the correlation of learned with planted changes by month.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

import numpy as np
from drift import prepared

import ivbpr_numba.questions.seasons as asked
from ivbpr_numba import TVBPR, Dataset, Features
from ivbpr_numba.models.epochs import epoch_of
from ivbpr_numba.questions.planted import PlantedTaste
from ivbpr_numba.questions.seasons import Seasons, decompose
from ivbpr_numba.questions.trends import measure
from ivbpr_numba.worlds.catalogue import TAGS
from ivbpr_numba.worlds.changes import planted_changes
from ivbpr_numba.worlds.world import World, generate

EPOCHS = (5, 6, 8, 10, 12, 18, 24, 36)
STRENGTHS = {"as it is": {}, "a third": {"season_style": 0.8 / 3, "trend_style": 0.2}}


def columns(world: World, features: Features) -> np.ndarray:
    """Column of the world of each feature."""
    names = [name.replace(f"{TAGS}=", "") for name in world.attributes.names]
    return np.array([names.index(name.replace(f"{TAGS}=", "")) for name in features.names])


def told_anyway(edges: np.ndarray, events: np.ndarray, response: np.ndarray) -> tuple[bool, Seasons]:
    """Whether seasons are told, and what they would be if nothing were refused."""
    told = decompose(edges, events, response).told
    kept = asked.FEWEST_A_YEAR, asked.SPARE, asked.WORST_CONDITION
    asked.FEWEST_A_YEAR, asked.SPARE, asked.WORST_CONDITION = 0.0, 1, 1e9
    try:
        return told, decompose(edges, events, response)
    finally:
        asked.FEWEST_A_YEAR, asked.SPARE, asked.WORST_CONDITION = kept


def area(high: np.ndarray, low: np.ndarray) -> float:
    return float((high[:, None] > low[None]).mean() + (high[:, None] == low[None]).mean() / 2)


def judged(world: World, data: Dataset, features: Features, epochs: int, seed: int) -> dict[str, Any]:
    model = TVBPR(epochs=epochs, seed=seed).fit(data, features)
    found = measure(model, fits=0)
    told, learned = told_anyway(found.edges, found.events, found.response)
    styles = PlantedTaste(world.truth, features, data.items).styles()
    planted = decompose(world.truth.epoch_edges, world.truth.volume, styles)
    changes, own = planted_changes(world.size, world.seed), columns(world, features)
    seasonal, trending = changes.season[own] > 0, changes.trend[own] != 0
    wave, slope = learned.season / np.sqrt(2), np.abs(learned.trend) * learned.years / np.sqrt(12)
    right = np.concatenate([wave[seasonal] > slope[seasonal], slope[trending] > wave[trending]])
    said = [learned.kind(int(k)) == "season" for k in np.flatnonzero(seasonal)]
    said += [learned.kind(int(k)) == "trend" for k in np.flatnonzero(trending)]
    apart = np.abs((learned.peak - planted.peak + 0.5) % 1 - 0.5)[seasonal]
    months = (world.truth.epoch_edges[:-1] + world.truth.epoch_edges[1:]) // 2
    by_month = found.response[epoch_of(months, found.edges)]
    both = [(values - values.mean(axis=0)).ravel() for values in (by_month, styles)]
    return {
        "auc": area((wave / slope)[seasonal], (wave / slope)[trending]),
        "right": float(right.mean()),
        "said": float(np.mean(said)),
        "amplitude": float(learned.season[seasonal].mean() / planted.season[seasonal].mean()),
        "slope": float(np.abs(learned.trend[trending]).mean() / np.abs(planted.trend[trending]).mean()),
        "peak": float(apart.mean() * 12),
        "told": float(told),
        "correlation": float(np.corrcoef(*both)[0, 1]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, nargs="+", default=EPOCHS)
    parser.add_argument("--strengths", nargs="+", choices=[*STRENGTHS], default=[*STRENGTHS])
    chosen = parser.parse_args()
    for strength in chosen.strengths:
        rows: dict[int, list[dict[str, Any]]] = {n: [] for n in chosen.epochs}
        for seed in range(chosen.seeds):
            world = generate("seasons", seed, **STRENGTHS[strength])
            data, features = prepared(world)
            for n in chosen.epochs:
                rows[n].append(judged(world, data, features, n, seed))
                print(json.dumps({"seed": seed, "epochs": n, **rows[n][-1]}), file=sys.stderr, flush=True)
        keys = [*rows[chosen.epochs[0]][0]]
        print(f"changes {strength}\n{'epochs':>7}" + "".join(f"{key:>13}" for key in keys))
        for n, found in rows.items():
            means = [np.mean([row[key] for row in found]) for key in keys]
            print(f"{n:7}" + "".join(f"{mean:13.3f}" for mean in means), flush=True)


if __name__ == "__main__":
    main()
