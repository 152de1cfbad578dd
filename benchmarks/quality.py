"""AUC of every model on real purchases, for several split seeds: what the README's table is made of.

    python benchmarks/quality.py DATA --data-set hm rtr ml100k --splits 3

DATA is a folder with `hm/`, `rtr/` and `ml100k/`, laid out as CONTRIBUTING.md says; nothing of it is part of
this repository. Every run goes through the library as a user would: feature files, dataset, fit, auc.
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

from ivbpr_numba import Dataset, Features, auc, create
from ivbpr_numba.datasets.prepare import prepare
from ivbpr_numba.features.importing import import_features
from ivbpr_numba.features.tables import build_feature_table
from ivbpr_numba.models.base import Model
from ivbpr_numba.ranking import count, item_classes, questions

HM_COLUMNS = (
    "product_type_name graphical_appearance_name colour_group_name perceived_colour_value_name "
    "perceived_colour_master_name department_name index_name section_name garment_group_name"
).split()

# (label, model, options)
DEFAULTS: list[tuple[str, str, dict[str, Any]]] = [
    ("rand", "rand", {}),
    ("pop", "pop", {}),
    ("mm-mf", "mm-mf", {}),
    ("bpr-mf", "bpr-mf", {}),
    ("vbpr", "vbpr", {}),
    ("i-vbpr", "i-vbpr", {}),
    ("tvbpr", "tvbpr", {}),
    ("i-tvbpr", "i-tvbpr", {}),
]
BESIDE: dict[str, list[tuple[str, str, dict[str, Any]]]] = {
    "hm": [
        ("i-vbpr, paper preset", "i-vbpr", {"preset": "paper"}),
        ("vbpr, paper preset", "vbpr", {"preset": "paper"}),
        ("i-vbpr, 10 visual factors", "i-vbpr", {"visual_factors": 10}),
        ("i-tvbpr, 10 visual factors", "i-tvbpr", {"visual_factors": 10}),
        ("vbpr, 10 visual factors", "vbpr", {"visual_factors": 10}),
    ],
    "rtr": [("i-vbpr, paper preset", "i-vbpr", {"preset": "paper"})],
    "ml100k": [
        ("mm-mf, mymedialite preset", "mm-mf", {"preset": "mymedialite"}),
        ("bpr-mf, mymedialite preset", "bpr-mf", {"preset": "mymedialite"}),
    ],
}


def data_sets(name: str, source: Path, work: Path, seed: int) -> tuple[Dataset, dict[str, Features]]:
    """The dataset of one split seed and the features of each visual model."""
    if name == "hm":
        attributes, dense = work / "hm-attributes.h5", work / "hm-squeezenet.h5"
        if not attributes.exists():
            articles = source / "hm" / "articles.csv.gz"
            build_feature_table(articles, id_column="article_id", columns=HM_COLUMNS, out=attributes)
            matrix = source / "hm" / "squeezenet512.f16.npy"
            import_features(matrix, ids=source / "hm" / "squeezenet512.ids.txt", out=dense)
        data = prepare(
            source / "hm" / "transactions.csv.gz",
            user="customer_id",
            item="article_id",
            time="t_dat",
            features=[attributes, dense],
            seed=seed,
        )
        own = {"i-": Features.read(attributes), "": Features.read(dense)}
        return data, {f"{kind}{model}": own[kind] for kind in own for model in ("vbpr", "tvbpr")}
    if name == "rtr":
        attributes, table = work / "rtr-attributes.h5", source / "rtr" / "rtr_interactions.csv.gz"
        if not attributes.exists():
            build_feature_table(
                table, id_column="item_id", columns=["category"], aggregate="share", out=attributes
            )
        data = prepare(
            table, user="user_id", item="item_id", time="review_date", features=[attributes], seed=seed
        )
        return data, dict.fromkeys(("i-vbpr", "i-tvbpr"), Features.read(attributes))
    path = source / "ml100k" / "u.data.gz"
    return prepare(path, user="1", item="2", time="4", seed=seed), {}


def runs(
    name: str, source: Path, work: Path, splits: int, only: list[str] | None
) -> Iterator[dict[str, Any]]:
    """One row for every split seed and model."""
    for seed in range(splits):
        data, features = data_sets(name, source, work, seed)
        for label, model, options in [*DEFAULTS, *BESIDE[name]]:
            if ("vbpr" in model and model not in features) or (only and label not in only):
                continue
            begun = time.perf_counter()
            fitted = create(model, **options).fit(data, features.get(model))
            seconds = time.perf_counter() - begun
            attributes = features.get("i-vbpr")
            extra = ["cosine"] if attributes is not None and label == "i-vbpr" else []
            found = auc(fitted, features=features.get(model), baselines=extra)
            best = max(fitted.history_, key=lambda row: row["valid_auc"] or 0, default={"iteration": 0})
            row = {"data": name, "split": seed, "model": label, "seconds": round(seconds, 1)}
            yield row | {"best_iteration": best["iteration"], **_flat(found), "users": per_user(fitted)}
            if label == ("i-vbpr" if features else "bpr-mf"):
                for baseline, result in found["baselines"].items():
                    yield {"data": name, "split": seed, "model": baseline.replace("_", " "), **_flat(result)}


def _flat(found: dict[str, Any]) -> dict[str, Any]:
    return {
        key: value
        for setting in ("all", "cold", "stratified")
        for key, value in ((setting, found[setting]["auc"]), (f"{setting}_stderr", found[setting]["stderr"]))
    }


PAIRS = [
    ("i-vbpr", "vbpr"),
    ("tvbpr", "vbpr"),
    ("i-tvbpr", "i-vbpr"),
    ("i-tvbpr", "tvbpr"),
    ("i-vbpr", "bpr-mf"),
]
PAIRS += [("i-tvbpr, 10 visual factors", "i-vbpr, 10 visual factors")]


def paired(rows: list[dict[str, Any]]) -> str:
    """Differences of two models over the same users, mean over the splits; ± is the error of one split."""
    lines = ["paired differences over users" + 18 * " " + "All       ±    Cold       ±"]
    for name in dict.fromkeys(row["data"] for row in rows):
        of = {
            (row["split"], row["model"]): row["users"]
            for row in rows
            if row["data"] == name and "users" in row
        }
        for one, other in PAIRS:
            splits = [s for s, model in of if model == one and (s, other) in of]
            if not splits:
                continue
            cells = []
            for setting in ("all", "cold"):
                found = [of[s, one][setting] - of[s, other][setting] for s in splits]
                errors = [d.std(ddof=1) / np.sqrt(len(d)) for d in found]
                cells.append(f"{np.mean([d.mean() for d in found]):+8.4f}{np.mean(errors):8.4f}")
            lines.append(f"  {name}: {one} − {other}".ljust(44) + "".join(cells))
    return "\n".join(lines)


def per_user(fitted: Model) -> dict[str, np.ndarray]:
    """Test AUC of every user, and of those whose test item is cold."""
    data = fitted.data_
    asked = questions(data, "test")
    values, _, _ = count(fitted.scorer(), asked, item_classes(data.train_counts)).auc()
    return {"all": values, "cold": values[data.train_counts[asked.targets] < 5]}


def table(rows: list[dict[str, Any]]) -> str:
    """Means over the splits; the standard error is that of one figure."""
    lines = [f"{'':34}{'All':>8}{'±':>8}{'Cold':>8}{'±':>8}{'strat.':>8}   All of each split"]
    for name in dict.fromkeys(row["data"] for row in rows):
        lines.append(name)
        own = [row for row in rows if row["data"] == name]
        for label in dict.fromkeys(row["model"] for row in own):
            same = [row for row in own if row["model"] == label]

            def mean(key: str, same: list[dict[str, Any]] = same) -> str:
                values = [row[key] for row in same if row[key] is not None]
                return f"{np.mean(values):8.4f}" if values else f"{'–':>8}"

            each = " ".join(f"{row['all']:.4f}" for row in same)
            keys = ("all", "all_stderr", "cold", "cold_stderr", "stratified")
            lines.append(f"  {label:32}{''.join(map(mean, keys))}   {each}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--data-set", nargs="+", choices=sorted(BESIDE), default=sorted(BESIDE))
    parser.add_argument("--splits", type=int, default=3)
    parser.add_argument("--only", nargs="+", help="labels of the table")
    parser.add_argument("--json", type=Path, help="also write every run, one JSON object a line")
    chosen = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as work:
        for name in chosen.data_set:
            for row in runs(name, chosen.data, Path(work), chosen.splits, chosen.only):
                rows.append(row)
                print(json.dumps(plain(row)), file=sys.stderr, flush=True)
    print(table(rows))
    print(paired(rows))
    if chosen.json is not None:
        chosen.json.write_text("".join(json.dumps(plain(row)) + "\n" for row in rows))


def plain(row: dict[str, Any]) -> dict[str, Any]:
    """A row without the figures of single users."""
    return {key: value for key, value in row.items() if key != "users"}


if __name__ == "__main__":
    main()
