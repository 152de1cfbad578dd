"""How much of a known truth the models learn: built-in worlds, ten seeds, every seed listed.

    python benchmarks/planted.py --world tiny demo --seeds 10

For each world and seed: AUC of the truth, of BPR-MF and of I-VBPR with default options; their share of the
way from 0.5 to the truth; Cold; and how faithful the explanations are: over 2,000 pairs of user and item the
correlation of learned with planted centred contributions, and how often removing the attribute with the top
learned contribution lowers the planted utility more than removing a random present one.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from ivbpr_numba import Dataset, Features, auc, create
from ivbpr_numba.datasets.feature_tables import build_feature_table
from ivbpr_numba.datasets.world import World, generate
from ivbpr_numba.datasets.world_catalogue import TAGS
from ivbpr_numba.evaluation import dataset_of, truth_auc
from ivbpr_numba.models.base import Model
from ivbpr_numba.models.explaining import sensitivities

PAIRS = 2000


def attributes_of(world: World, folder: Path) -> Features:
    """The catalogue's attributes as a user would make them."""
    paths = world.write(folder)
    columns = [name for name, _ in world.size.groups]
    out = folder / "attributes.h5"
    build_feature_table(paths["catalogue"], id_column="id", columns=columns, tags=[TAGS], out=out)
    return Features.read(out)


def faithful(world: World, data: Dataset, model: Model, features: Features, seed: int) -> dict[str, float]:
    """Learned against planted contributions of the attributes that items have."""
    rng = np.random.default_rng(seed)
    truth = world.truth
    names = [name.replace(f"{TAGS}=", "") for name in features.names]
    planted_names = [name.replace(f"{TAGS}=", "") for name in world.attributes.names]
    column = np.array([planted_names.index(name) for name in names])
    user_of = truth.users.find(data.users.values)
    values = features.values(features.rows_of_all(data.items)).astype(np.float64)
    mean = values.mean(axis=0)
    learned_all, planted_all, wins, asked = [], [], 0, 0
    style = truth.styles(None)
    for u in rng.integers(0, len(data.users), PAIRS).tolist():
        i = int(rng.integers(0, len(data.items)))
        learned = sensitivities(model.parameters_, model.features_, u).centred
        planted = (truth.taste[user_of[u]] @ truth.taste_map + style)[column]
        for group in features.groups:
            part = slice(group.offset, group.offset + group.size)
            if group.exclusive:
                planted[part] -= mean[part] @ planted[part] / mean[part].sum()
        present = np.flatnonzero(values[i])
        learned_all += learned[present].tolist()
        planted_all += planted[present].tolist()
        top = present[np.argmax(learned[present])]
        other = rng.choice(present[present != top])
        wins += planted[top] > planted[other]
        asked += 1
    return {
        "correlation": float(np.corrcoef(learned_all, planted_all)[0, 1]),
        "top_beats_random": wins / asked,
    }


def run(size: str, seed: int, options: dict[str, Any]) -> dict[str, Any]:
    """One world: a row of figures."""
    world = generate(size, seed)
    data = dataset_of(world)
    truth = truth_auc(world.truth, data)["without_time"]
    row: dict[str, Any] = {"world": size, "seed": seed, "truth": truth["all"]["auc"]}
    with tempfile.TemporaryDirectory() as folder:
        features = attributes_of(world, Path(folder))
        for name in ("bpr-mf", "i-vbpr"):
            given = options if name == "i-vbpr" else {}
            model = create(name, seed=seed, **given).fit(data, features if name == "i-vbpr" else None)
            found = auc(model)
            row[name] = found["all"]["auc"]
            row[f"{name} share"] = (found["all"]["auc"] - 0.5) / (truth["all"]["auc"] - 0.5)
            row[f"{name} cold"] = found["cold"]["auc"]
            row[f"{name} iterations"] = model.history_[-1]["iteration"]
        row |= faithful(world, data, model, features, seed)
    row["cold gain"] = row["i-vbpr cold"] - row["bpr-mf cold"]
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--world", nargs="+", default=["tiny", "demo"])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--option", nargs="*", default=[], help="of I-VBPR, as name=value")
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    options = {k: json.loads(v) for k, v in (text.split("=") for text in chosen.option)}
    rows = []
    for size in chosen.world:
        own = []
        for seed in range(chosen.seeds):
            own.append(run(size, seed, options))
            print(json.dumps(own[-1]), file=sys.stderr, flush=True)
        keys = [key for key in own[0] if key not in ("world", "seed")]
        print(f"{size:24}{'mean':>9}{'min':>9}{'max':>9}   each seed")
        for key in keys:
            values = np.array([row[key] for row in own], dtype=float)
            each = " ".join(f"{v:.3f}" if v < 10 else f"{v:.0f}" for v in values)
            print(f"  {key:22}{values.mean():9.4f}{values.min():9.4f}{values.max():9.4f}   {each}")
        rows += own
    if chosen.json is not None:
        chosen.json.write_text("".join(json.dumps(row) + "\n" for row in rows))


if __name__ == "__main__":
    main()
