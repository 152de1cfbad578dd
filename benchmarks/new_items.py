"""Articles that nobody has bought and no network has seen, known by their photo alone: who wants them?

    python benchmarks/new_items.py PURCHASES --user customer_id --item article_id --time t_dat \\
        --images images.tar.gz --network net.onnx --articles 400

The network must have been trained with a test part (`--test-share`). Articles of it are drawn at random
and every purchase of them is removed; a dataset is prepared and I-VBPR fitted on what is left, with the
network's probabilities as features. Then each removed article is judged by its photo as `ivbpr score` does:
among all articles that a customer doesn't have, what share ranks below it (percentile)? Asked of its true
buyers; beside it of all customers, which shows how much is taste and how much the article's general appeal;
chance is 0.5.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ivbpr_numba import Features, create
from ivbpr_numba.datasets.prepare import prepare
from ivbpr_numba.ids import Ids
from ivbpr_numba.network.extraction import extract
from ivbpr_numba.network.file import Network
from ivbpr_numba.questions.new_item import NewItem
from ivbpr_numba.readers.tables import read_table
from ivbpr_numba.training.splitting import PARTS, part_of

OTHERS = 500  # customers asked about every article


def run(given: argparse.Namespace, seed: int, probabilities: Features, work: Path) -> pd.DataFrame:
    """One row an article and true buyer: percentile of the article, and its mean over other customers."""
    split = Network.read(given.network).record["split"]
    rng = np.random.default_rng(seed)
    table = read_table(given.purchases, [given.user, given.item, given.time])
    bought = Ids.collect(table[given.item])
    unseen = part_of(bought, **split) == PARTS.index("test")
    candidates = bought.values[unseen & (probabilities.rows(bought) >= 0)]
    chosen = Ids(np.sort(rng.permutation(candidates)[: given.articles]), "item")
    removed = table[given.item].isin(chosen.texts())
    left = work / f"purchases-{seed}.csv"
    table[~removed].to_csv(left, index=False)
    data = prepare(
        left, user=given.user, item=given.item, time=given.time, features=[probabilities.path], seed=seed
    )
    model = create("i-vbpr", seed=seed, **json.loads(given.options)).fit(data, probabilities)
    pairs = table[removed].drop_duplicates([given.user, given.item])
    rows = []
    for item, own in pairs.groupby(given.item):
        buyers = data.users.find(own[given.user].tolist())
        buyers = buyers[buyers >= 0]
        if not len(buyers):
            continue
        photo = NewItem(model, probabilities.values(probabilities.items.find([item]))[0])
        others = rng.choice(len(data.users), min(OTHERS, len(data.users)), replace=False)
        everybody = photo.ranks(others)["percentile"].mean()
        for percentile in photo.ranks(buyers)["percentile"]:
            rows.append({"item": item, "percentile": percentile, "others": everybody})
    return pd.DataFrame(rows)


def interval(values: pd.Series, items: pd.Series) -> tuple[float, float]:
    """Mean and its standard error, articles being what was drawn."""
    own = values.groupby(items).agg(["sum", "size"])
    mean = float(own["sum"].sum() / own["size"].sum())
    residual = own["sum"] - mean * own["size"]
    return mean, float(np.sqrt((residual**2).sum()) / own["size"].sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("purchases", type=Path)
    for name in ("user", "item", "time"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--network", type=Path, required=True)
    parser.add_argument("--features", type=Path, help="probabilities that were extracted before")
    parser.add_argument("--articles", type=int, default=400)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--options", default="{}", help="of I-VBPR, as JSON")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        path = given.features
        if path is None:
            path = work / "probabilities.h5"
            extract(given.images, given.network, path)
        probabilities = Features.read(path)
        found: list[dict[str, Any]] = []
        for seed in range(given.seeds):
            rows = run(given, seed, probabilities, work)
            row: dict[str, Any] = {"seed": seed, "articles": rows["item"].nunique(), "pairs": len(rows)}
            row["true buyers"], row["±"] = interval(rows["percentile"], rows["item"])
            row["all customers"] = float(rows["others"].mean())
            difference = interval(rows["percentile"] - rows["others"], rows["item"])
            row["taste"], row["taste ±"] = difference
            found.append(row)
            print(json.dumps(row), file=sys.stderr, flush=True)
    print(pd.DataFrame(found).round(4).to_string(index=False))


if __name__ == "__main__":
    main()
