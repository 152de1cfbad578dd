"""Known drift: planted cuts, what the models in time recover, and what time costs where nothing drifts.

    python benchmarks/drift.py --seeds 10
    python benchmarks/drift.py --seeds 10 --only worlds --tune 12    # with tuned options

For each seed of the worlds `drift` and `no-drift`: AUC of the truth (with time), of I-VBPR, and of I-TVBPR
with three epochs and with the default number; the distance of every planted cut to the nearest learned one,
in bins of 1/80 of the span; the share of the gap between I-VBPR and truth that I-TVBPR recovers, after its
gain in the world without drift is subtracted. ``--tune N`` fits with the options that `tune` chose among N
trials for I-VBPR, and for I-TVBPR with three epochs. Then worlds whose cuts lie at .1 and .2, and worlds of
eight epochs.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from planted import attributes_of
from scipy.stats import spearmanr

from ivbpr_numba import TVBPR, VBPR, Dataset, Features, tune
from ivbpr_numba.answers.explaining import sensitivities
from ivbpr_numba.questions.auc import dataset_of, truth_auc
from ivbpr_numba.worlds.catalogue import TAGS
from ivbpr_numba.worlds.world import World, generate

PAIRS = 2000
CLEAR_DRIFT = 0.5  # standard deviation over epochs of a feature's planted style


def prepared(world: World) -> tuple[Dataset, Features]:
    with tempfile.TemporaryDirectory() as folder:
        features = attributes_of(world, Path(folder))
        values = features.take(np.arange(len(features)))
        return dataset_of(world), Features.from_arrays(
            features.items, values, features.names, features.groups, "attributes"
        )


def missed(world: World, model: TVBPR) -> list[float]:
    """Bins from each planted cut to the nearest learned one."""
    width = world.size.seconds / 80
    learned = model.epoch_edges_[1:-1]
    return [float(np.abs(learned - cut).min() / width) for cut in world.truth.epoch_edges[1:-1]]


def fitted(seed: int, data: Dataset, features: Features, **options: Any) -> TVBPR:
    return TVBPR(seed=seed, **options).fit(data, features)


def of_test(model: Any) -> float:
    return model.metrics_["test"]["all"]["auc"]


def planted_styles(world: World, features: Features) -> np.ndarray:
    """Centred q of every true epoch, in the order of the features, (N, F)."""
    names = [name.replace(f"{TAGS}=", "") for name in world.attributes.names]
    column = [names.index(name.replace(f"{TAGS}=", "")) for name in features.names]
    return centred(world.truth.style[:, column], features)


def centred(values: np.ndarray, features: Features) -> np.ndarray:
    values = np.array(values, dtype=np.float64)
    mean = features.take(np.arange(len(features))).astype(np.float64).mean(axis=0)
    for group in features.groups:
        part = slice(group.offset, group.offset + group.size)
        if group.exclusive:
            values[:, part] -= (values[:, part] @ mean[part] / mean[part].sum())[:, None]
    return values


def responses(model: TVBPR) -> np.ndarray:
    """Mean centred sensitivity over the users in every learned epoch, (N, F)."""
    rows = []
    for epoch in range(len(model.weight_)):
        own = model.parameters_.at(epoch)
        own.user_visual = own.user_visual.mean(axis=0, keepdims=True)
        rows.append(sensitivities(own, model.features_, own.user_visual[0]).centred)
    return np.array(rows)


def trend_correlations(world: World, features: Features, model: TVBPR) -> list[float]:
    """Rank correlation over the planted epochs of style and response, for features of clear drift."""
    planted = planted_styles(world, features)
    middles = (world.truth.epoch_edges[:-1] + world.truth.epoch_edges[1:]) // 2
    learned = responses(model)[model.scorer().epochs(middles)]
    clear = np.flatnonzero(planted.std(axis=0) > CLEAR_DRIFT)
    return [float(spearmanr(planted[:, k], learned[:, k])[0]) for k in clear if learned[:, k].std() > 0]


def faithful_in_time(world: World, data: Dataset, features: Features, model: TVBPR, seed: int) -> float:
    """Correlation of learned with planted centred contributions at the time of training purchases."""
    rng = np.random.default_rng(seed)
    truth = world.truth
    names = [name.replace(f"{TAGS}=", "") for name in world.attributes.names]
    column = [names.index(name.replace(f"{TAGS}=", "")) for name in features.names]
    style = planted_styles(world, features)
    users = truth.users.find(data.users.values)
    values = features.values(features.rows_of_all(data.items))
    learned, planted = [], []
    for n in rng.integers(0, len(data.train), PAIRS).tolist():
        u, time = int(data.train.users[n]), int(data.train.times[n])
        i = int(rng.integers(0, len(data.items)))
        taste = centred((truth.taste[users[u]] @ truth.taste_map)[column][None], features)[0]
        epoch = int(model.scorer().epochs(np.array([time]))[0])
        own = sensitivities(model.parameters_.at(epoch), model.features_, model.user_visual_[u]).centred
        present = np.flatnonzero(values[i])
        learned += own[present].tolist()
        planted += (taste + style[int(truth.epoch_of(np.array([time]))[0])])[present].tolist()
    return float(np.corrcoef(learned, planted)[0, 1])


def chosen_for(model: str, trials: int, seed: int, data: Dataset, features: Features, **given: Any) -> Any:
    """Options for one seed: `given` alone, or those that tuning chose, which go with it."""
    given = {"seed": seed, **given}
    return tune(model, data, features, trials=trials, seed=seed, options=given).best if trials else given


def run(size: str, seed: int, trials: int = 0) -> dict[str, Any]:
    world = generate(size, seed)
    data, features = prepared(world)
    truth = truth_auc(world.truth, data)
    of_three = chosen_for("i-tvbpr", trials, seed, data, features, epochs=3)
    plain, three, default = (
        VBPR(**chosen_for("i-vbpr", trials, seed, data, features)).fit(data, features),
        TVBPR(**of_three).fit(data, features),
        fitted(seed, data, features),
    )
    row = {
        "truth with time": truth["with_time"]["all"]["auc"],
        "truth without time": truth["without_time"]["all"]["auc"],
        "I-VBPR": of_test(plain),
        "I-TVBPR, 3 epochs": of_test(three),
        "I-TVBPR, default epochs": of_test(default),
    }
    row["gain, 3 epochs"] = row["I-TVBPR, 3 epochs"] - row["I-VBPR"]
    row["gap"] = row["truth with time"] - row["I-VBPR"]
    if size == "drift":
        row["worst cut, 3 epochs"] = max(missed(world, three))
        row["worst cut, default"] = max(missed(world, default))
        row["correlation at a time"] = faithful_in_time(world, data, features, three, seed)
    return row


def show(title: str, rows: list[dict[str, Any]]) -> None:
    print(f"{title:28}{'mean':>9}{'min':>9}{'max':>9}   each seed")
    for key in rows[0]:
        values = np.array([row[key] for row in rows], dtype=float)
        each = " ".join(f"{v:.3f}" for v in values)
        print(f"  {key:26}{values.mean():9.4f}{values.min():9.4f}{values.max():9.4f}   {each}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--tune", type=int, default=0, metavar="N", help="trials of a search in `worlds`")
    parser.add_argument("--only", nargs="+", choices=["worlds", "awkward", "eight"])
    chosen = parser.parse_args()
    only = chosen.only or ["worlds", "awkward", "eight"]
    found: dict[str, list[dict[str, Any]]] = {}
    for size in ("drift", "no-drift") if "worlds" in only else ():
        for seed in range(chosen.seeds):
            found.setdefault(size, []).append(run(size, seed, chosen.tune))
            print(json.dumps({"world": size, "seed": seed, **found[size][-1]}), file=sys.stderr, flush=True)
        show(size, found[size])
    if found:
        free = np.mean([row["gain, 3 epochs"] for row in found["no-drift"]])
        shares = [(row["gain, 3 epochs"] - free) / row["gap"] for row in found["drift"]]
        print(f"gap recovered less the gain without drift ({free:+.4f}): {np.mean(shares):.3f}")
        print(f"  each seed {' '.join(f'{share:.3f}' for share in shares)}")
    if "awkward" in only:
        rows = []
        for seed in range(chosen.seeds):
            world = generate("drift", seed, cuts=(0.1, 0.2))
            data, features = prepared(world)
            row: dict[str, Any] = {}
            for n in (3, 5, 8, 12):
                row[f"worst cut, {n} epochs"] = max(missed(world, fitted(seed, data, features, epochs=n)))
            automatic = fitted(seed, data, features, epochs="auto")
            row["worst cut, auto"] = max(missed(world, automatic))
            row["epochs of auto"] = automatic.config_["epochs"]
            rows.append(row)
            print(json.dumps({"world": "awkward", "seed": seed, **row}), file=sys.stderr, flush=True)
        show("cuts at .1 and .2", rows)
    if "eight" in only:
        rows = []
        for seed in range(chosen.seeds):
            world = generate("drift", seed, epochs=8)
            data, features = prepared(world)
            model = fitted(seed, data, features, epochs=8)
            trends = trend_correlations(world, features, model)
            rows.append({"median trend correlation": np.median(trends), "features": len(trends)})
            rows[-1]["worst cut, 8 epochs"] = max(missed(world, model))
        show("eight planted epochs", rows)


if __name__ == "__main__":
    main()
