"""One option at a time: what each default is worth on real purchases and on planted worlds.

    python benchmarks/ablation.py DATA --model i-vbpr --splits 3
    python benchmarks/ablation.py DATA --model bpr-mf --variant "lambda_theta=0.05 iterations=300"

DATA is the folder that benchmarks/quality.py uses. Choices are made on the *validation* AUC: the table shows
the default's, and each variant's difference to it, paired by split or seed; test AUC and cold test AUC of the
same fits stand beside it for the record.
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
from quality import data_sets

from ivbpr_numba import Dataset, Features, create
from ivbpr_numba.questions.auc import dataset_of
from ivbpr_numba.worlds.world import generate

WORLDS = {"i-vbpr": ("tiny", "demo"), "bpr-mf": ("tiny", "demo"), "i-tvbpr": ("drift", "no-drift")}
REAL = {"i-vbpr": ("hm", "rtr"), "vbpr": ("hm",), "bpr-mf": ("hm", "rtr", "ml100k")}
VARIANTS: dict[str, list[str]] = {
    "i-vbpr": [
        *("init=uniform01", "learning_rate=0.005", "learning_rate=0.02"),
        *("lambda_theta=0.03", "lambda_theta=0.1", "lambda_theta=1"),
        *("lambda_visual=0.001", "lambda_visual=0.005", "lambda_bias=0.03", "lambda_bias=0.1"),
        "lambda_visual=0.005 lambda_bias=0.1",
        "lambda_theta=0.03 lambda_visual=0.005 lambda_bias=0.1",
        "lambda_theta=0.1 lambda_visual=0.003 lambda_bias=0.05",
        *("negatives=uniform", "negatives=popularity", "sampling=interactions"),
        *("average=0", "average=0.8", "average=0.95"),
        *("feature_scaling=idf", "feature_scaling=standard", "reg_scope=user_visual"),
        *("block=1", "block=64", "block=4096"),
        *("factors=0", "visual_factors=5", "visual_factors=20", "visual_factors=40", "ensemble=4"),
        *("visual_rate=0.1", "visual_rate=auto", "learning_rate=0.1 visual_rate=auto lambda_theta=0.1"),
    ],
    "vbpr": [
        *("feature_scaling=max", "feature_scaling=none learning_rate=0.0001", "init=uniform01"),
        *("learning_rate=0.005", "learning_rate=0.02", "lambda_theta=0.1", "lambda_theta=1"),
        *("lambda_visual=0.001", "lambda_bias=0.1", "negatives=uniform", "average=0"),
        *("block=1", "block=64", "visual_factors=20", "visual_factors=40", "visual_rate=auto", "ensemble=4"),
    ],
    "bpr-mf": [
        *("iterations=300", "init=uniform01", "learning_rate=0.02", "learning_rate=0.1"),
        *("lambda_theta=0.01", "lambda_theta=0.05", "lambda_bias=0.01", "lambda_bias=0.1"),
        *("negatives=trained", "average=0.9", "factors=20", "ensemble=4"),
        "iterations=300 lambda_theta=0.05",
        "iterations=300 lambda_theta=0.05 average=0.9",
        "iterations=300 lambda_theta=0.05 lambda_bias=0.01 average=0.9",
        "iterations=300 lambda_theta=0.05 lambda_bias=0.1 average=0.9",
        "iterations=300 lambda_theta=0.05 lambda_bias=0.1 average=0.9 negatives=trained",
    ],
}
VARIANTS["i-tvbpr"] = [
    *("lambda_bias=0.03", "lambda_bias=0.1", "lambda_visual=0.001", "lambda_visual=0.005"),
    *("lambda_theta=0.1", "epochs=3", "epochs=8", "segment_every=5", "segment_every=20"),
    *("segment_on=valid", "segment_negatives=100", "temporal_init=paper", "bin_type=quantile", "block=128"),
    *("visual_rate=auto", "ensemble=4"),
]
REAL["i-tvbpr"] = REAL["i-vbpr"]
WORLDS["mm-mf"] = WORLDS["bpr-mf"]
VARIANTS["mm-mf"] = [*VARIANTS["bpr-mf"], "margin=0 learning_rate=0.1", "margin=0.5", "margin=2"]
REAL["mm-mf"] = REAL["bpr-mf"]


def cases(model: str, source: Path | None, work: Path, splits: int) -> dict[str, list[tuple[Dataset, Any]]]:
    """Datasets by name, one per split or seed, with the features for this model."""
    found: dict[str, list[tuple[Dataset, Any]]] = {}
    for name in REAL[model] if source is not None else ():
        for seed in range(splits):
            data, features = data_sets(name, source, work, seed)
            found.setdefault(name, []).append((data, features.get(model)))
    for name in WORLDS.get(model, ()):
        for seed in range(splits):
            world = generate(name, seed)
            folder = work / f"{name}-{seed}"
            features = attributes_of(world, folder) if "vbpr" in model else None
            found.setdefault(name, []).append((dataset_of(world), features))
    return found


def parsed(text: str) -> dict[str, Any]:
    """Options from ``name=value name=value``."""
    options: dict[str, Any] = {}
    for part in text.split():
        name, _, value = part.partition("=")
        try:
            options[name] = json.loads(value)
        except ValueError:
            options[name] = value
    return options


def judge(model: str, options: dict[str, Any], runs: list[tuple[Dataset, Features | None]]) -> np.ndarray:
    """Validation AUC, test AUC, cold test AUC of every run, (runs, 3)."""
    rows = []
    for data, features in runs:
        m = create(model, **options).fit(data, features).metrics_
        figures = (m["valid"]["all"]["auc"], m["test"]["all"]["auc"], m["test"]["cold"]["auc"])
        rows.append([np.nan if value is None else value for value in figures])
    return np.array(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("--model", default="i-vbpr", choices=sorted(VARIANTS))
    parser.add_argument("--splits", type=int, default=3)
    parser.add_argument("--variant", nargs="+", help="instead of the built-in list")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        found = cases(chosen.model, chosen.data, Path(work), chosen.splits)
        base = {name: judge(chosen.model, {}, runs) for name, runs in found.items()}
        print(f"{chosen.model:56}" + "".join(f"{name:^26}" for name in found))
        print(" " * 56 + "".join(f"{'valid':>9}{'test':>8}{'cold':>8} " for _ in found))
        shown = (f"{v:9.4f}{t:8.4f}{c:8.4f} " for v, t, c in (rows.mean(axis=0) for rows in base.values()))
        print(f"{'default':56}" + "".join(shown), flush=True)
        for variant in chosen.variant or VARIANTS[chosen.model]:
            cells = []
            for name, runs in found.items():
                try:
                    v, t, c = (judge(chosen.model, parsed(variant), runs) - base[name]).mean(axis=0)
                    cells.append(f"{v:+9.4f}{t:+8.4f}{c:+8.4f} ")
                except Exception as problem:  # a variant may diverge: that is a result
                    cells.append(f"{type(problem).__name__:>25} ")
                    print(f"{variant}: {problem}", file=sys.stderr)
            print(f"{variant:56}" + "".join(cells), flush=True)


if __name__ == "__main__":
    main()
