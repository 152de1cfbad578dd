"""The best that was found on real purchases, option by option, for "What was tried" in ABLATION.md.

    python benchmarks/gains.py DATA --data-set hm rtr ml100k --splits 3

DATA is the folder that benchmarks/quality.py uses. Validation AUC decided, test AUC on All and Cold stands
beside it. Differences are paired by split with the first row of the same model.

The last rows of RentTheRunway know more columns than the category: shares by product of what rentals were
for, of sizes, fits and ratings. They are taken from rentals of users who are not in the dataset, so that
nothing that is learned from or asked for is in them.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from ablation import judge, parsed
from quality import data_sets

from ivbpr_numba import Dataset, Features

PULL = 5.0  # mean rentals that a product's shares are pulled by
SIZES = [-1, 1, 4, 8, 12, 16, 20, 24, 32, 99]
RATES = "sampling=interactions learning_rate=0.2 visual_rate=auto lambda_theta=0.1"

# data: rows of (features, model, options); features "more" are those of `with_more_columns`
STEPS: dict[str, list[tuple[str, str, str]]] = {
    "hm": [
        ("own", "i-vbpr", "visual_factors=40"),
        ("own", "i-vbpr", "visual_factors=40 sampling=interactions"),
        ("own", "i-vbpr", "visual_factors=40 sampling=interactions ensemble=4"),
        ("own", "i-vbpr", f"visual_factors=40 {RATES}"),
        ("own", "i-vbpr", f"visual_factors=40 {RATES} ensemble=4"),
        ("own", "i-tvbpr", "visual_factors=40"),
        ("own", "i-tvbpr", "visual_factors=40 sampling=interactions"),
        ("own", "i-tvbpr", "visual_factors=40 sampling=interactions ensemble=4"),
    ],
    "rtr": [
        ("own", "i-vbpr", ""),
        ("own", "i-vbpr", "sampling=interactions"),
        ("own", "i-vbpr", RATES),
        ("own", "i-vbpr", f"{RATES} ensemble=4"),
        ("more", "i-vbpr", "feature_scaling=none"),
        ("more", "i-vbpr", f"feature_scaling=none {RATES}"),
        ("more", "i-vbpr", f"feature_scaling=none {RATES} ensemble=4"),
    ],
    "ml100k": [
        ("own", "bpr-mf", ""),
        ("own", "bpr-mf", "factors=16 lambda_theta=0.02 average=0.95"),
        ("own", "bpr-mf", "factors=16 lambda_theta=0.02 average=0.95 ensemble=4"),
    ],
}


def shares(values: pd.Series, items: pd.Series, wanted: list[str]) -> pd.DataFrame:
    """Share of each value among the rentals of each wanted item, pulled to the mean over all rentals."""
    counted = pd.crosstab(items, values).reindex(wanted).fillna(0)
    mean = counted.sum() / counted.to_numpy().sum()
    return (counted + PULL * mean).div(counted.sum(axis=1) + PULL, axis=0)


def with_more_columns(table: Path, data: Dataset) -> Features:
    """Category, and shares of what rentals of users outside the data were for, their fits, ratings, sizes."""
    rentals, wanted = pd.read_csv(table, dtype=str), data.items.texts()
    category = pd.crosstab(rentals["item_id"], rentals["category"]).reindex(wanted)
    parts = {"category": category.div(category.sum(axis=1), axis=0)}
    others = rentals[~rentals["user_id"].isin(set(data.users.texts()))]
    others = others.assign(size=pd.cut(others["size"].astype(float), SIZES).astype(str))
    for column in ("rented_for", "fit", "rating", "size"):
        known = others.dropna(subset=[column])
        parts[column] = shares(known[column], known["item_id"], wanted)
    names = [f"{column}={value}" for column, part in parts.items() for value in part.columns]
    groups = [column for column, part in parts.items() for _ in part.columns]
    values = np.concatenate([part.to_numpy() for part in parts.values()], axis=1).astype(np.float32)
    return Features.from_matrix(values, ids=wanted, names=names, groups=groups, kind="attributes")


def run(name: str, source: Path, work: Path, splits: int) -> None:
    """Print the rows of one data set."""
    found = [data_sets(name, source, work, seed) for seed in range(splits)]
    print(f"{name:76}{'valid':>8}{'test':>8}{'cold':>8}    valid − first      ±")
    first: dict[str, np.ndarray] = {}
    for kind, model, text in STEPS[name]:
        runs: list[tuple[Dataset, Any]] = [(data, features.get(model)) for data, features in found]
        if kind == "more":
            table = source / "rtr" / "rtr_interactions.csv.gz"
            runs = [(data, with_more_columns(table, data)) for data, _ in found]
        rows = judge(model, parsed(text), runs)
        base = first.setdefault(model, rows)
        difference = rows[:, 0] - base[:, 0]
        error = difference.std(ddof=1) / np.sqrt(splits) if splits > 1 else np.nan
        label = f"{model}{', more columns' if kind == 'more' else ''} {text}"
        figures = "".join(f"{value:8.4f}" for value in rows.mean(axis=0))
        print(f"{label:76}{figures}    {difference.mean():+13.4f} {error:6.4f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--data-set", nargs="+", choices=sorted(STEPS), default=sorted(STEPS))
    parser.add_argument("--splits", type=int, default=3)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        for name in chosen.data_set:
            run(name, chosen.data, Path(work), chosen.splits)


if __name__ == "__main__":
    main()
