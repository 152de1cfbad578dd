"""Whether a fit in parts learns like one in one part: paired by seed, with the bytes that a round moves.

    python -m benchmarks.parts dataset.h5 --features attributes.h5 --models bpr-mf i-vbpr --parts 2 4 8

A line of JSON for each fit, then a table: the test AUC of all items, and for each number of parts the mean of
the differences to one part and their 90 % interval by Student's t. Bytes are those that all parts together
send and fetch in an iteration, which is one round.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from ivbpr_numba import Dataset, Features
from ivbpr_numba.models.parts import Parts
from ivbpr_numba.models.registry import create

GOAL = 0.003  # of AUC: what a fit in parts may differ


def fits(
    data: Dataset, features: Features | None, models: Iterable[str], parts: Iterable[int], seeds: int
) -> Iterator[dict[str, Any]]:
    """One row a fit."""
    moved: list[int] = []
    advance = Parts._advance

    def noted(self: Parts, iteration: int) -> Any:
        found = advance(self, iteration)
        assert self._held is not None
        side = sum(table.nbytes for raw, _ in self._held.blocks for table in raw.values())
        moved[:] = [self.bytes_a_round, side * len(self.users)]
        return found

    Parts._advance = noted  # type: ignore[method-assign]
    for seed in range(seeds):
        for model in models:
            for size in (1, *parts):
                moved[:] = []
                begun = time.process_time()
                fitted = create(model, seed=seed, parts=size).fit(data, features if "vbpr" in model else None)
                metrics, history = fitted.metrics_, fitted.history_
                best = max(history, key=lambda row: row["valid_auc"])
                yield {
                    "model": model,
                    "parts": size,
                    "seed": seed,
                    "best_iteration": best["iteration"],
                    **{split: round(metrics[split]["all"]["auc"], 6) for split in ("valid", "test")},
                    "cold": round(metrics["test"]["cold"]["auc"], 6),
                    "triples": len(data.train.indices),
                    "bytes": moved[:] or None,
                    "cpu_seconds": round(time.process_time() - begun, 1),
                }


def table(rows: Iterable[dict[str, Any]]) -> str:
    """The differences to one part, in Markdown."""
    by_kind: dict[tuple[str, int], dict[int, dict[str, Any]]] = {}
    for row in rows:
        by_kind.setdefault((row["model"], row["parts"]), {})[row["seed"]] = row
    lines = [
        "| model | parts | test | difference | 90 % | cold | best iteration | MB sent + fetched |",
        "|---" * 8 + "|",
    ]
    for (model, size), found in by_kind.items():
        seeds = [seed for seed in found if seed in by_kind[model, 1]]
        values = np.array([[found[seed][name] for name in ("test", "cold")] for seed in seeds])
        base = np.array([[by_kind[model, 1][seed][name] for name in ("test", "cold")] for seed in seeds])
        iterations = np.mean([found[seed]["best_iteration"] for seed in seeds])
        row = [model, str(size), f"{values[:, 0].mean():.4f}"]
        if size == 1:
            row += ["", "", "", f"{iterations:.0f}", ""]
        else:
            less = values - base
            wide = stats.t.ppf(0.95, len(seeds) - 1) * less.std(axis=0, ddof=1) / math.sqrt(len(seeds))
            low, high = less[:, 0].mean() - wide[0], less[:, 0].mean() + wide[0]
            moved = [found[seed]["bytes"] for seed in seeds]
            sent, fetched = np.mean(moved, axis=0) / 1e6
            within = "" if -GOAL <= low and high <= GOAL else " !"
            row += [
                f"{less[:, 0].mean():+.4f}{within}",
                f"{low:+.4f} … {high:+.4f}",
                f"{less[:, 1].mean():+.4f}",
                f"{iterations:.0f}",
                f"{sent:.2f} + {fetched:.2f}",
            ]
        lines.append("| " + " | ".join(row) + " |")
    return "\n".join(lines)


def main() -> None:
    """Fit and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--features", type=Path)
    parser.add_argument("--models", nargs="+", default=["bpr-mf"])
    parser.add_argument("--parts", nargs="+", type=int, default=[2, 4, 8])
    parser.add_argument("--seeds", type=int, default=10)
    given = parser.parse_args()
    features = Features.read(given.features) if given.features else None
    rows = []
    for row in fits(Dataset.read(given.dataset), features, given.models, given.parts, given.seeds):
        rows.append(row)
        print(json.dumps(row), flush=True)
    print(table(rows))


if __name__ == "__main__":
    main()
