"""The paper's claim: attribute probabilities of a network do what black-box features do, with fewer numbers.

    python benchmarks/claim.py DATA --network tuned=tuned.onnx --network frozen=frozen.onnx --splits 3

DATA holds `hm/` as CONTRIBUTING.md says. Compared on the same purchases, for several split seeds, default
options throughout: I-VBPR on the probabilities of each network (`ivbpr features extract`), I-VBPR on the
catalogue's own labels of the same five groups (one-hot), VBPR on the activations of an ImageNet network, and
no features at all (BPR-MF). Only articles that every feature file covers take part.

A network saw photos of some articles, with their labels, when it was trained. Test items are therefore also
judged apart, by the part of the network's recorded split that they are in.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from quality import HM_COLUMNS

from ivbpr_numba import Dataset, Features, auc, create
from ivbpr_numba.datasets.prepare import prepare
from ivbpr_numba.features.importing import import_features
from ivbpr_numba.features.tables import build_feature_table
from ivbpr_numba.judging.evaluating import recorded_parts
from ivbpr_numba.models.base import Model
from ivbpr_numba.network.extraction import extract
from ivbpr_numba.network.file import Network
from ivbpr_numba.ranking import count, item_classes, questions
from ivbpr_numba.training.splitting import PARTS

GROUPS = HM_COLUMNS[:5]
CATALOGUE, DENSE, NONE = "catalogue labels", "ImageNet activations", "no features"
PAPER = 4096  # columns of the black-box features of the paper's data
FIGURES = ("all", "cold", "stratified")


def feature_files(source: Path, work: Path, networks: dict[str, Path]) -> dict[str, Path]:
    """A feature file for each contender that has one; those that exist are used again."""
    hm = source / "hm"
    found = {CATALOGUE: work / "catalogue.h5", DENSE: work / "dense.h5"}
    if not found[CATALOGUE].exists():
        build_feature_table(
            hm / "articles.csv.gz", id_column="article_id", columns=GROUPS, out=found[CATALOGUE]
        )
    if not found[DENSE].exists():
        ids = hm / "squeezenet512.ids.txt"
        import_features(hm / "squeezenet512.f16.npy", ids=ids, out=found[DENSE])
    for name, path in networks.items():
        digest = Network.read(path).sha256
        found[name] = work / f"network-{digest[:16]}.h5"
        if not found[name].exists():
            done = extract(hm / "images_96x144.tar.gz", path, found[name])
            speed = done["images_per_second"]
            print(f"{name}: {done['images']:,} images, {speed} a second", file=sys.stderr)
    return found


def runs(
    source: Path,
    files: dict[str, Path],
    networks: dict[str, Path],
    splits: int,
    options: dict[str, Any],
    of_networks: dict[str, Any],
) -> Iterator[dict[str, Any]]:
    """One row for every split seed and contender."""
    features = {name: Features.read(path) for name, path in files.items()}
    for seed in range(splits):
        data = prepare(
            source / "hm" / "transactions.csv.gz",
            user="customer_id",
            item="article_id",
            time="t_dat",
            features=list(files.values()),
            seed=seed,
        )
        seen = {name: parts_of(data, path) for name, path in networks.items()}
        for name in [*networks, CATALOGUE, DENSE, NONE]:
            model = "vbpr" if name == DENSE else "bpr-mf" if name == NONE else "i-vbpr"
            given = of_networks if name in networks else options if name != NONE else {}
            begun = time.perf_counter()
            fitted = create(model, **given).fit(data, features.get(name))
            seconds = time.perf_counter() - begun
            found = auc(fitted, features=features.get(name))
            row = {"split": seed, "contender": name, "model": model, "seconds": round(seconds, 1)}
            row |= {key: found[key]["auc"] for key in FIGURES} | sizes(fitted, data)
            yield row | {"users": per_user(fitted), "parts": seen}


def parts_of(data: Dataset, network: Path) -> np.ndarray:
    """For each test item, the part of the network's training that its photo was in."""
    parts = recorded_parts(Network.read(network), data.items)
    if parts is None:
        raise SystemExit(f"{network} records no split.")
    return parts[questions(data, "test").targets]


def sizes(fitted: Model, data: Dataset) -> dict[str, Any]:
    """How many numbers are learned, and how many of them belong to the features: (D + 1) F."""
    arrays = fitted.parameters_.arrays()
    visual = sum(arrays[name].size for name in ("embedding", "visual_bias") if name in arrays)
    columns = arrays["visual_bias"].size if "visual_bias" in arrays else 0
    return {
        "columns": columns,
        "of_features": visual,
        "parameters": fitted.parameters_.count(),
        "n_users": len(data.users),
        "n_items": len(data.items),
    }


def table(rows: list[dict[str, Any]]) -> str:
    """Means over the splits, and All of each split."""
    lines = [f"{'':40}{'All':>8}{'Cold':>8}{'strat.':>8}   All of each split"]
    for name in dict.fromkeys(row["contender"] for row in rows):
        own = [row for row in rows if row["contender"] == name]
        cells = "".join(f"{np.mean([row[key] for row in own]):8.4f}" for key in FIGURES)
        label = f"{own[0]['model']}, {name}"
        each = " ".join(f"{row['all']:.4f}" for row in own)
        lines.append(f"  {label:38}{cells}   {each}")
    return "\n".join(lines)


def differences(rows: list[dict[str, Any]], networks: list[str]) -> str:
    """Differences over the same users: mean over the splits, ± the standard error of one split."""
    of = {(row["split"], row["contender"]): row for row in rows}
    splits = sorted({row["split"] for row in rows})
    lines = ["paired differences over users" + 25 * " " + "All       ±    Cold       ±"]
    pairs = [(one, other) for one in networks for other in [*networks, CATALOGUE, DENSE, NONE]]
    pairs = [(a, b) for a, b in pairs if a != b and (b not in networks or a < b)] + [(CATALOGUE, DENSE)]
    for one, other in pairs:
        cells = []
        for setting in ("all", "cold"):
            cells.append(
                _cell([of[s, one]["users"][setting] - of[s, other]["users"][setting] for s in splits])
            )
        lines.append(f"  {one} − {other}".ljust(50) + "".join(cells))
    lines.append("the same on All, by the part of the network's training that the test item's photo was in")
    for one in networks:
        for other in (CATALOGUE, DENSE):
            for part, name in enumerate(PARTS):
                apart = [
                    (of[s, one]["users"]["all"] - of[s, other]["users"]["all"])[
                        of[s, one]["parts"][one] == part
                    ]
                    for s in splits
                ]
                label = f"  {one} − {other}, {name} ({np.mean([len(d) for d in apart]):.0f} users)"
                lines.append(label.ljust(50) + _cell(apart))
    return "\n".join(lines)


def by_part(rows: list[dict[str, Any]], network: str) -> str:
    """AUC of every contender on the test items of each part."""
    heads = "".join(f"{name:>8}" for name in PARTS)
    lines = [f"{f'All, by the part of {network}':40}{heads}"]
    for name in dict.fromkeys(row["contender"] for row in rows):
        own = [row for row in rows if row["contender"] == name]
        cells = []
        for part in range(len(PARTS)):
            means = [row["users"]["all"][row["parts"][network] == part].mean() for row in own]
            cells.append(f"{np.mean(means):8.4f}")
        lines.append(f"  {name:38}{''.join(cells)}")
    return "\n".join(lines)


def counts(rows: list[dict[str, Any]]) -> str:
    """Columns and learned numbers of each contender in the first split."""
    lines = [f"{'':40}{'F':>8}{'(D+1)F':>10}{'learned':>12}{f'(D+1)F to {PAPER:,}':>18}"]
    first = [row for row in rows if row["split"] == rows[0]["split"]]
    for row in first:
        share = f"{row['columns'] / PAPER:18.1%}" if row["columns"] else f"{'–':>18}"
        label = f"{row['model']}, {row['contender']}"
        lines.append(f"  {label:38}{row['columns']:8,}{row['of_features']:10,}{row['parameters']:12,}{share}")
    lines.append(f"  {first[0]['n_users']:,} users, {first[0]['n_items']:,} items")
    return "\n".join(lines)


def _cell(apart: list[np.ndarray]) -> str:
    errors = [d.std(ddof=1) / np.sqrt(len(d)) for d in apart]
    return f"{np.mean([d.mean() for d in apart]):+8.4f}{np.mean(errors):8.4f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--network", action="append", required=True, metavar="NAME=FILE")
    parser.add_argument("--splits", type=int, default=3)
    parser.add_argument("--option", nargs="*", default=[], help="of all visual models, as name=value")
    parser.add_argument("--network-option", nargs="*", default=[], help="of those on probabilities only")
    parser.add_argument("--keep", type=Path, help="folder: feature files are kept here and used again")
    parser.add_argument("--json", type=Path, help="also write every run, one JSON object a line")
    chosen = parser.parse_args()
    networks = {name: Path(path) for name, _, path in (text.partition("=") for text in chosen.network)}
    options = dict(map(_option, chosen.option))
    own = options | dict(map(_option, chosen.network_option))
    rows = []
    with tempfile.TemporaryDirectory() as work:
        files = feature_files(chosen.data, chosen.keep or Path(work), networks)
        for row in runs(chosen.data, files, networks, chosen.splits, options, own):
            rows.append(row)
            print(json.dumps(_plain(row)), file=sys.stderr, flush=True)
    print(table(rows))
    print(differences(rows, list(networks)))
    for name in networks:
        print(by_part(rows, name))
    print(counts(rows))
    if chosen.json is not None:
        chosen.json.write_text("".join(json.dumps(_plain(row)) + "\n" for row in rows))


def _option(text: str) -> tuple[str, Any]:
    name, _, value = text.partition("=")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def per_user(fitted: Model) -> dict[str, np.ndarray]:
    """Test AUC of every user, and of those whose test item is cold."""
    data = fitted.data_
    asked = questions(data, "test")
    values, _, _ = count(fitted.scorer(), asked, item_classes(data.train_counts)).auc()
    return {"all": values, "cold": values[data.train_counts[asked.targets] < 5]}


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """A row without the figures of single users."""
    return {key: value for key, value in row.items() if key not in ("users", "parts")}


if __name__ == "__main__":
    main()
