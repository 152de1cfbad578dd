"""Quality beside other programs on real purchases: matrix factorization at equal settings, then with an equal
small budget of tuning.

    python -m benchmarks.versus DATA --splits 3 --seeds 5

DATA is the folder that benchmarks/quality.py uses; `amazon` reads its amazon_clothing_5core/, one user a line
with his items in order, of which the first `--amazon-users` in random order take part. Everything is judged
as `ivbpr auc --scores` does, from the matrix of scores.

Equal settings, MovieLens 100K: K = 10, η = .05, λ = .0025, 30 iterations for every program, several seeds of
split and start, also by MyMediaLite's own protocol (`peers/mymedialite.py`).

Equal budget: every program may try six settings at K = 10 and is judged on the test items with the one that
has the best validation AUC, for each split anew.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers import PEERS, Options, mymedialite
from benchmarks.quality import data_sets
from benchmarks.recorded import reached_auc
from benchmarks.registry import Missing
from ivbpr_numba import Dataset, create
from ivbpr_numba.datasets.prepare import prepare
from ivbpr_numba.questions.auc import auc_of_scores

OURS = "ours"
DATA_SETS = ("ml100k", "hm", "rtr", "amazon")
EQUAL = Options(factors=10, rate=0.05, decay=0.0025, iterations=30)
# Rate, decay and iterations that each may try.
SETTINGS = [
    (0.05, 0.0025, 30),
    (0.05, 0.0025, 100),
    (0.05, 0.03, 100),
    (0.01, 0.0025, 100),
    (0.01, 0.03, 100),
    (0.1, 0.01, 100),
]
# LightFM has no penalty here: other rates instead.
UNPENALISED = [(rate, 0.0, iterations) for rate in (0.02, 0.05, 0.15) for iterations in (30, 100)]

Row = dict[str, Any]
Scores = np.ndarray


def scores_of(name: str, data: Dataset, options: Options, preset: str | None = None) -> Scores:
    """(U, I) scores of a program after learning; ours is BPR-MF, without a preset its defaults."""
    if name != OURS:
        return PEERS[name].learn(data, options).scores()
    own = {"learning_rate": options.rate, "lambda_theta": options.decay, "iterations": options.iterations}
    own |= {"factors": options.factors, "seed": options.seed}
    p = create("bpr-mf", preset=preset, **own).fit(data).parameters_
    return p.user_factors @ p.item_factors.T + p.item_bias


def judged(scores: Scores, data: Dataset, split: str) -> Row:
    """All and Cold, strict ties, as `ivbpr auc --scores` says."""
    found = auc_of_scores(scores, data, split=split)
    return {setting: found[setting]["auc"] for setting in ("all", "cold")}


def installed() -> list[str]:
    """Programs whose scores we can get, ours first; a line is printed for those that are missing."""
    names = [OURS]
    for name, peer in PEERS.items():
        try:
            peer.version()
        except Missing as problem:
            print(f"{name}: {problem}", file=sys.stderr)
            continue
        if name != "MyMediaLite":
            names.append(name)
    return names


def equal_settings(programs: list[str], data_of: Callable[[int], Dataset], seeds: int) -> Iterator[Row]:
    """Each program with the same settings, a row for every seed; MyMediaLite where it is on the PATH."""
    for seed in range(seeds):
        data = data_of(seed)
        options = Options(EQUAL.factors, EQUAL.rate, EQUAL.decay, EQUAL.iterations, seed=seed)
        for name in programs:
            scores = scores_of(name, data, options, "mymedialite")
            row = {"program": name, "seed": seed, **judged(scores, data, "test")}
            yield row | {"its protocol": mymedialite.auc(lambda users, s=scores: s[users], data)}
        try:
            found = mymedialite.run(data, "BPRMF", mymedialite.settings(options), seed)
        except Missing:
            continue
        yield {"program": "MyMediaLite", "seed": seed, "its protocol": found["AUC"]}


def equal_budget(programs: list[str], name: str, data: Dataset, seed: int) -> Iterator[Row]:
    """Each program with the best of its settings by validation AUC."""
    popular = np.broadcast_to(data.train_counts.astype(np.float32), (len(data.users), len(data.items)))
    yield {"data": name, "split": seed, "program": "most popular", **judged(popular, data, "test")}
    for program in programs:
        best, chosen, kept = -1.0, (0.0, 0.0, 0), popular
        for rate, decay, iterations in UNPENALISED if program == "LightFM" else SETTINGS:
            scores = scores_of(program, data, Options(EQUAL.factors, rate, decay, iterations, seed=seed))
            valid = judged(scores, data, "valid")["all"]
            if valid > best:
                best, chosen, kept = valid, (rate, decay, iterations), scores
        row = {"data": name, "split": seed, "program": program, "valid": best, "chosen": chosen}
        yield row | judged(kept, data, "test")


def amazon(folder: Path, work: Path, users: int, seed: int) -> Dataset:
    """A sample of the users of Amazon's clothing 5-core; the place in a user's line is the time."""
    table = work / f"amazon-{users}.csv"
    if not table.exists():
        with gzip.open(folder / "user_sequence.txt.gz", "rt") as lines:
            everybody = [line.split() for line in lines]
        chosen = np.random.default_rng(0).permutation(len(everybody))[:users]
        with table.open("w", newline="") as out:
            writer = csv.writer(out)
            writer.writerow(["user", "item", "time"])
            for k in chosen:
                user, *items = everybody[k]
                writer.writerows((user, item, place) for place, item in enumerate(items))
    return prepare(table, user="user", item="item", time="time", seed=seed)


def tables(rows: list[Row]) -> str:
    """Both comparisons as Markdown, means over seeds and splits."""
    equal = [row for row in rows if "seed" in row]
    lines = ["| equal settings, MovieLens 100K | All | by MyMediaLite's protocol | each seed |"]
    lines.append("|---|---|---|---|")
    for name in dict.fromkeys(row["program"] for row in equal):
        own = [row for row in equal if row["program"] == name]
        theirs = [row["its protocol"] for row in own]
        all_items = f"{np.mean([row['all'] for row in own]):.4f}" if "all" in own[0] else ""
        each = " ".join(f"{value:.4f}" for value in theirs)
        lines.append(f"| {name} | {all_items} | {np.mean(theirs):.4f} | {each} |")
    if not equal:
        lines = []
    elif not any(row["program"] == "MyMediaLite" for row in equal):
        lines.append(f"| MyMediaLite (recorded) | | {reached_auc('MyMediaLite BPRMF')['auc']:.4f} | |")
    tuned = [row for row in rows if "split" in row]
    lines += ["", "| equal budget | data | All | Cold | All of each split | chosen: η, λ, iterations |"]
    lines.append("|---|---|---|---|---|---|")
    for data, name in dict.fromkeys((row["data"], row["program"]) for row in tuned):
        own = [row for row in tuned if (row["data"], row["program"]) == (data, name)]
        each = " ".join(f"{row['all']:.4f}" for row in own)
        chosen = "; ".join(
            ", ".join(f"{value:g}" for value in row["chosen"]) for row in own if "chosen" in row
        )
        means = [np.mean([row[key] for row in own if row[key] is not None]) for key in ("all", "cold")]
        lines.append(f"| {name} | {data} | {means[0]:.4f} | {means[1]:.4f} | {each} | {chosen} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=" ".join(__doc__.partition("\n\n")[0].split()))
    parser.add_argument("data", type=Path)
    parser.add_argument("--data-set", nargs="+", choices=DATA_SETS, default=DATA_SETS)
    parser.add_argument("--splits", type=int, default=3, help="of the tuned comparison")
    parser.add_argument("--seeds", type=int, default=5, help="of the one at equal settings")
    parser.add_argument("--amazon-users", type=int, default=4000)
    parser.add_argument("--json", type=Path, help="also write every row, one JSON object a line")
    chosen = parser.parse_args()
    rows: list[Row] = []
    programs = installed()

    def keep(found: Iterator[Row]) -> None:
        for row in found:
            rows.append(row)
            print(json.dumps(row), file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)

        def data_of(name: str, seed: int) -> Dataset:
            if name == "amazon":
                return amazon(chosen.data / "amazon_clothing_5core", work, chosen.amazon_users, seed)
            return data_sets(name, chosen.data, work, seed)[0]

        if "ml100k" in chosen.data_set:
            keep(equal_settings(programs, lambda seed: data_of("ml100k", seed), chosen.seeds))
        for name in chosen.data_set:
            for seed in range(chosen.splits):
                keep(equal_budget(programs, name, data_of(name, seed), seed))
    print(tables(rows))
    if chosen.json is not None:
        chosen.json.write_text("".join(json.dumps(row) + "\n" for row in rows))


if __name__ == "__main__":
    main()
