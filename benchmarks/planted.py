"""How much of a known truth the models learn: built-in worlds, ten seeds, every seed listed.

    python benchmarks/planted.py --world tiny demo --seeds 10
    python benchmarks/planted.py --world demo --seeds 3 --features photos
    python benchmarks/planted.py --world demo --seeds 10 --tune 16

For each world and seed: AUC of the truth, of BPR-MF and of I-VBPR with default options, with ``--tune N`` of
I-VBPR with those that `tune` chose among N trials; their share of the way from 0.5 to the truth; Cold; and
how faithful the explanations are: over 2,000 pairs of user and item the
correlation of learned with planted centred contributions, and how often removing the attribute with the top
learned contribution lowers the planted utility more than removing a random present one.

I-VBPR sees the catalogue's attributes, or, with ``--features photos``, what the network of the package sees
on drawn photos of the products; then the network's accuracy by group is listed too.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from ivbpr_numba import Features, auc, create, tune
from ivbpr_numba.features.tables import build_feature_table
from ivbpr_numba.judging.assessment import assess
from ivbpr_numba.network.extraction import extract
from ivbpr_numba.network.file import Network
from ivbpr_numba.network.shipped import shipped_network
from ivbpr_numba.questions.auc import dataset_of, truth_auc
from ivbpr_numba.questions.planted import faithful
from ivbpr_numba.report.photos import labels_of
from ivbpr_numba.worlds.catalogue import TAGS
from ivbpr_numba.worlds.pictures import write_pictures
from ivbpr_numba.worlds.world import World, generate


def attributes_of(world: World, folder: Path) -> Features:
    """The catalogue's attributes as a user would make them."""
    paths = world.write(folder)
    columns = [name for name, _ in world.size.groups]
    out = folder / "attributes.h5"
    build_feature_table(paths["catalogue"], id_column="id", columns=columns, tags=[TAGS], out=out)
    return Features.read(out)


def photo_attributes_of(world: World, folder: Path) -> tuple[Features, dict[str, float]]:
    """What the network of the package sees on photos of the products, and its accuracy by group."""
    network = Network.read(shipped_network())
    images = write_pictures(world, folder / "images")
    out = folder / "photo-attributes.h5"
    extract(images, network.path, out, device="cpu")
    features = Features.read(out)
    labels = labels_of(world, network.vocabulary)
    judged = assess(features.values(features.rows_of_all(world.items)), labels, network.vocabulary)
    return features, {f"{name} right": found["accuracy"] for name, found in judged["groups"].items()}


def run(
    size: str, seed: int, options: dict[str, Any], source: str = "catalogue", trials: int = 0
) -> dict[str, Any]:
    """One world: a row of figures; `source` of the features is ``catalogue`` or ``photos``."""
    world = generate(size, seed)
    data = dataset_of(world)
    truth = truth_auc(world.truth, data)["without_time"]
    row: dict[str, Any] = {"world": size, "seed": seed, "truth": truth["all"]["auc"]}
    with tempfile.TemporaryDirectory() as folder:
        if source == "photos":
            features, accuracy = photo_attributes_of(world, Path(folder))
            row |= accuracy
        else:
            features = attributes_of(world, Path(folder))
        if trials:
            found = tune(
                "i-vbpr", data, features, trials=trials, seed=seed, options={"seed": seed, **options}
            )
            options = found.best
            row |= {"default valid": found.default_auc, "tuned valid": found.valid_auc}
        for name in ("bpr-mf", "i-vbpr"):
            given = options if name == "i-vbpr" else {}
            model = create(name, **{"seed": seed, **given}).fit(data, features if name == "i-vbpr" else None)
            report = auc(model)
            row[name] = report["all"]["auc"]
            row[f"{name} share"] = (report["all"]["auc"] - 0.5) / (truth["all"]["auc"] - 0.5)
            row[f"{name} cold"] = report["cold"]["auc"]
            row[f"{name} iterations"] = model.history_[-1]["iteration"]
        row |= faithful(world.truth, model, features, seed=seed)
    row["cold gain"] = row["i-vbpr cold"] - row["bpr-mf cold"]
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--world", nargs="+", default=["tiny", "demo"])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--option", nargs="*", default=[], help="of I-VBPR, as name=value")
    parser.add_argument("--features", choices=("catalogue", "photos"), default="catalogue")
    parser.add_argument("--tune", type=int, default=0, metavar="N", help="trials of a search for I-VBPR's")
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    options = {k: json.loads(v) for k, v in (text.split("=") for text in chosen.option)}
    rows = []
    for size in chosen.world:
        own = []
        for seed in range(chosen.seeds):
            own.append(run(size, seed, options, chosen.features, chosen.tune))
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
