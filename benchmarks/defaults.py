"""How good the defaults are on data that did not choose them, beside a grid of settings and `implicit`.

    python -m benchmarks.defaults DATA --splits 3 --json rows.jsonl            # BPR-MF on every kind of data
    python -m benchmarks.defaults DATA --model i-vbpr --data-set hm rtr demo --without-implicit
    python -m benchmarks.defaults --read rows.jsonl                            # the tables again

DATA is the folder that benchmarks/quality.py uses; benchmarks/kinds.py says what is made of it. Every setting
of the grid learns every split; *tuned* is the setting with the best validation AUC of its split. λ_Θ of the
default is c / m (models/choosing.py). For each source of data (H&M, RentTheRunway, MovieLens, Amazon, the
generated worlds) c is chosen by the validation AUC on all other sources; what it gives on the one left out
stands beside tuned, on the test items.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.kinds import KINDS, made
from benchmarks.peers import PEERS, Options
from ivbpr_numba import Dataset, Features, auc, create
from ivbpr_numba.models.choosing import LEAST, MOST
from ivbpr_numba.questions.auc import auc_of_scores

Row = dict[str, Any]
SETTINGS = ("all", "cold", "stratified")
LAMBDAS = (0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.4)
CANDIDATES = (0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.8)  # for c
# Quicker than the default, which asks everybody: the grid asks 2,000 in a validation.
COMMON = {"iterations": 500, "patience": 100, "eval_every": 5, "valid_users": 2000}
NEW = {**COMMON, "learning_rate": 0.2, "negatives": "trained", "lambda_bias": 0.1, "sampling": "interactions"}
BEFORE = {
    **{"negatives": "trained", "lambda_theta": 0.03, "lambda_bias": 0.05, "learning_rate": 0.05},
    **{"iterations": 300, "eval_every": 5, "patience": 30, "sampling": "users"},
}
GRIDS: dict[str, list[dict[str, Any]]] = {
    "bpr-mf": [
        BEFORE,
        *({**NEW, "lambda_theta": value} for value in LAMBDAS),
        {**NEW, "negatives": "popularity", "lambda_theta": 0.2, "lambda_bias": 0.05},
        *({**NEW, "sampling": "users", "lambda_theta": value} for value in (0.1, 0.3)),
    ],
    "i-vbpr": [
        {
            **{"sampling": "users", "learning_rate": 0.01, "visual_rate": 1, "lambda_theta": 0.3},
            **{"visual_factors": 10, "iterations": 300, "patience": 40},
        },
        {},
        {"sampling": "users"},
        {"visual_factors": 10},
        {"visual_factors": 20},
        {"learning_rate": 0.2},
        {"lambda_theta": "auto"},
        {"lambda_visual": 0.01},
        {"learning_rate": 0.01, "visual_rate": 1, "lambda_theta": 0.3},
    ],
}
# Rate, decay and iterations of implicit's BPR.
IMPLICIT = [
    *((0.01, 0.01, 100), (0.01, 0.1, 100), (0.05, 0.01, 30), (0.05, 0.01, 100), (0.05, 0.03, 100)),
    *((0.05, 0.1, 100), (0.05, 0.01, 300), (0.05, 0.03, 300), (0.05, 0.1, 300), (0.1, 0.01, 300)),
    *((0.1, 0.03, 100), (0.1, 0.1, 300)),
]


def source_of(name: str) -> str:
    """What a data set is a part of."""
    return "worlds" if isinstance(KINDS[name][0], str) else name.partition("-")[0].replace("ml100k", "ml")


def ours(model: str, options: dict[str, Any], data: Dataset, features: Features | None) -> Row:
    """AUC of one setting on both held-out parts, and where the fit stopped."""
    fitted = create(model, threads=1, **options).fit(data, features)
    found = {split: auc(fitted, split=split) for split in ("valid", "test")}
    best = max(fitted.history_, key=lambda row: row["valid_auc"] or 0)
    last = fitted.history_[-1]["iteration"]
    return {**{split: figures(one) for split, one in found.items()}, "best": best["iteration"], "last": last}


def theirs(options: tuple[float, float, int], data: Dataset, seed: int) -> Row:
    """The same of implicit's BPR."""
    rate, decay, iterations = options
    scores = PEERS["implicit"].learn(data, Options(10, rate, decay, iterations, seed=seed)).scores()
    return {split: figures(auc_of_scores(scores, data, split=split)) for split in ("valid", "test")}


def figures(report: Any) -> Row:
    """All, Cold and stratified."""
    return {setting: report[setting]["auc"] for setting in SETTINGS}


def runs(
    source: Path, work: Path, model: str, names: Iterable[str], splits: int, beside: bool
) -> Iterator[Row]:
    """One row for each split, data set and setting, implicit's with the model "implicit"."""
    for split in range(splits):
        for name in names:
            data, features = made(name, source, work, split)
            used = features if "vbpr" in model else None
            pairs, items = len(data.train.indices), int(np.count_nonzero(data.train_counts))
            sizes = {"users": len(data.users), "items": len(data.items), "trained": items, "pairs": pairs}
            common = {"data": name, "split": split, **sizes}
            for options in GRIDS[model]:
                yield {"model": model, **common, "config": options, **ours(model, options, data, used)}
            for setting in IMPLICIT if beside else ():
                yield {"model": "implicit", **common, "config": setting, **theirs(setting, data, split)}


# --- tables ---


class Table:
    """The rows of a grid, by data set and split."""

    def __init__(self, rows: list[Row]) -> None:
        self.rows = rows
        self.names = list(dict.fromkeys(row["data"] for row in rows))

    def of(self, name: str, split: int, model: str) -> list[Row]:
        """Rows of one data set, split and program."""
        wanted = (name, split, model)
        return [row for row in self.rows if (row["data"], row["split"], row["model"]) == wanted]

    def splits(self, name: str) -> list[int]:
        """Splits with rows of ours."""
        return sorted({row["split"] for row in self.rows if row["data"] == name})

    def pairs_per_vector(self, name: str) -> float:
        """m, mean over the splits."""
        own = {(r["split"]): r["pairs"] / (r["users"] + r["trained"]) for r in self.rows if r["data"] == name}
        return float(np.mean(list(own.values())))

    def tuned(self, name: str, model: str) -> list[Row]:
        """Of each split the setting with the best validation AUC."""
        found = [self.of(name, split, model) for split in self.splits(name)]
        return [max(rows, key=lambda row: row["valid"]["all"]) for rows in found if rows]

    def with_options(self, name: str, **options: Any) -> list[Row]:
        """Of each split the setting with these options."""
        return [
            row
            for row in self.rows
            if row["data"] == name
            and row["model"] == "bpr-mf"
            and all(row["config"].get(key) == value for key, value in options.items())
        ]

    def by_rule(self, name: str, c: float) -> list[Row]:
        """Of each split the setting of the grid nearest to λ_Θ = c / m."""
        wanted = min(max(c / self.pairs_per_vector(name), LEAST), MOST)
        nearest = min(LAMBDAS, key=lambda value: abs(np.log(value / wanted)))
        return self.with_options(name, **NEW | {"lambda_theta": nearest})


def mean(rows: list[Row], part: str, setting: str) -> float:
    """Mean over splits; NaN where nobody is asked."""
    values = [row[part][setting] for row in rows if row[part][setting] is not None]
    return float(np.mean(values)) if values else float("nan")


def chosen_without(table: Table, left_out: str) -> float:
    """c with the best validation AUC, All and stratified, over the other sources, each counting alike."""
    sources = {source_of(name) for name in table.names} - {left_out}

    def worth(c: float) -> float:
        each = [
            np.mean(
                [
                    mean(table.by_rule(name, c), "valid", setting)
                    for name in table.names
                    if source_of(name) == source
                    for setting in ("all", "stratified")
                ]
            )
            for source in sources
        ]
        return float(np.mean(each))

    return max(CANDIDATES, key=worth)


def leave_one_out(table: Table) -> str:
    """The rule on data it was not chosen on, as Markdown; test AUC, means over the splits."""
    lines = [
        "| data | m | c of the others | λ_Θ | All / Cold / stratified | tuned | All, stratified: less tuned "
        "| before | implicit, tuned |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name in sorted(table.names, key=table.pairs_per_vector):
        c = chosen_without(table, source_of(name))
        default, best = table.by_rule(name, c), table.tuned(name, "bpr-mf")
        cells = [f"{table.pairs_per_vector(name):.2f}", f"{c:g}", f"{default[0]['config']['lambda_theta']:g}"]
        cells += [three(default), three(best)]
        gaps = [mean(default, "test", s) - mean(best, "test", s) for s in ("all", "stratified")]
        cells += [" ".join(f"{gap:+.3f}" for gap in gaps), three(table.with_options(name, **BEFORE))]
        cells += [three(table.tuned(name, "implicit"))]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def three(rows: list[Row]) -> str:
    """All, Cold and stratified test AUC, three digits; empty without rows."""
    if not rows:
        return ""
    values = [mean(rows, "test", setting) for setting in SETTINGS]
    return " / ".join("–" if np.isnan(value) else f"{value:.3f}".removeprefix("0") for value in values)


def by_lambda(table: Table) -> str:
    """Validation AUC, All, by λ_Θ with everything else as the default, as Markdown."""
    lines = ["| data | m | " + " | ".join(f"{value:g}" for value in LAMBDAS) + " | users, .1 | users, .3 |"]
    lines.append("|---" * (len(LAMBDAS) + 4) + "|")
    for name in sorted(table.names, key=table.pairs_per_vector):
        found = [mean(table.with_options(name, **NEW | {"lambda_theta": v}), "valid", "all") for v in LAMBDAS]
        for value in (0.1, 0.3):
            options = NEW | {"sampling": "users", "lambda_theta": value}
            found.append(mean(table.with_options(name, **options), "valid", "all"))
        best = max(found)
        cells = (f"**{v:.3f}**" if v == best else f"{v:.3f}" for v in found)
        lines.append(f"| {name} | {table.pairs_per_vector(name):.2f} | {' | '.join(cells)} |")
    return "\n".join(lines)


def each_setting(table: Table, model: str) -> str:
    """Every setting of a grid on every data set, as Markdown: validation AUC, then test AUC."""
    lines = ["| " + " | ".join(["setting", *table.names]) + " |", "|---" * (len(table.names) + 1) + "|"]
    for options in GRIDS[model]:
        cells = []
        for name in table.names:
            rows = [row for row in table.rows if (row["data"], row["config"]) == (name, options)]
            cells.append(f"{mean(rows, 'valid', 'all'):.3f}: {three(rows)}" if rows else "")
        said = ", ".join(f"{key} {value}" for key, value in options.items()) or "default"
        lines.append(f"| {said} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("--model", default="bpr-mf", choices=sorted(GRIDS))
    parser.add_argument("--data-set", nargs="+", choices=sorted(KINDS), default=list(KINDS))
    parser.add_argument("--splits", type=int, default=3)
    parser.add_argument("--without-implicit", action="store_true")
    parser.add_argument("--json", type=Path, help="also write every row, one JSON object a line")
    parser.add_argument("--read", type=Path, nargs="+", help="rows of earlier runs instead of DATA")
    chosen = parser.parse_args()
    rows: list[Row] = []
    if chosen.read:
        rows = [json.loads(line) for path in chosen.read for line in path.read_text().splitlines()]
    elif chosen.data is None:
        parser.error("name DATA, or rows to --read")
    else:
        with tempfile.TemporaryDirectory() as folder:
            beside = not chosen.without_implicit
            found = runs(chosen.data, Path(folder), chosen.model, chosen.data_set, chosen.splits, beside)
            for row in found:
                rows.append(row)
                line = json.dumps(row)
                print(line, file=sys.stderr, flush=True)
                if chosen.json is not None:
                    with chosen.json.open("a") as out:
                        out.write(line + "\n")
    table = Table(rows)
    if chosen.model == "bpr-mf":
        print(by_lambda(table), leave_one_out(table), sep="\n\n")
    else:
        print(each_setting(table, chosen.model))


if __name__ == "__main__":
    main()
