"""AUC of every model on real purchases: `ivbpr table2` on the data sets that this project is measured by.

    python benchmarks/quality.py DATA --data-set hm rtr ml100k --runs 3 --tune 30 --out tables/

DATA is a folder with `hm/`, `rtr/` and `ml100k/`, laid out as CONTRIBUTING.md says; nothing of it is part of
this repository. Every table is a file of its own, which goes on where it was ended; below each stand single
models with other options than the defaults.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ivbpr_numba import Dataset, Features
from ivbpr_numba.datasets.prepare import prepare
from ivbpr_numba.features.importing import import_features
from ivbpr_numba.features.tables import build_feature_table
from ivbpr_numba.table2 import Table, table2

HM_COLUMNS = (
    "product_type_name graphical_appearance_name colour_group_name perceived_colour_value_name "
    "perceived_colour_master_name department_name index_name section_name garment_group_name"
).split()

# What else is measured: (name of the table, its columns, options)
BESIDE: dict[str, list[tuple[str, list[str], dict[str, Any]]]] = {
    "hm": [
        ("paper", ["vbpr", "i-vbpr"], {"preset": "paper"}),
        ("10-visual-factors", ["vbpr", "i-vbpr", "i-tvbpr"], {"visual_factors": 10}),
    ],
    "rtr": [("paper", ["i-vbpr"], {"preset": "paper"})],
    "ml100k": [("mymedialite", ["mm-mf", "bpr-mf"], {"preset": "mymedialite"})],
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


def tables(
    name: str, source: Path, out: Path, runs: int, tune: int | None, processes: int | None
) -> Iterator[tuple[str, Table]]:
    """The table of a data set, then those with other options; each is kept as a file in `out`."""
    data, features = data_sets(name, source, out, 0)
    given: Mapping[str, Any] = {
        "attributes": features.get("i-vbpr"),
        "dense": features.get("vbpr"),
        "runs": runs,
        "tune": tune,
        "processes": processes,
    }
    dataset = out / f"{name}-dataset.h5"
    data.write(dataset)
    yield name, table2(dataset, **given, out=out / f"{name}.h5")
    for label, models, options in BESIDE[name]:
        whole = table2(dataset, **given, models=models, options=options, out=out / f"{name}-{label}.h5")
        yield f"{name}, {label}", whole


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--data-set", nargs="+", choices=sorted(BESIDE), default=sorted(BESIDE))
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--tune", type=int, help="trials before each fit; the defaults where not given")
    parser.add_argument("--processes", type=int)
    parser.add_argument("--out", type=Path, required=True, help="folder of the tables; made where missing")
    chosen = parser.parse_args()
    chosen.out.mkdir(exist_ok=True)
    for name in chosen.data_set:
        made = tables(name, chosen.data, chosen.out, chosen.runs, chosen.tune, chosen.processes)
        for title, table in made:
            print(f"## {title}\n\n{table.markdown()}", flush=True)


if __name__ == "__main__":
    main()
