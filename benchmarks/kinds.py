"""Purchases of many kinds: whole sets, samples of other size and density, and generated worlds.

`kinds(DATA)` names them; DATA is the folder that benchmarks/quality.py uses. Each makes, for a split seed, a
dataset and its catalogue attributes, where there are any.
"""

from __future__ import annotations

import csv
import gzip
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.planted import attributes_of
from benchmarks.quality import HM_COLUMNS
from ivbpr_numba import Dataset, Features
from ivbpr_numba.datasets.prepare import prepare
from ivbpr_numba.features.tables import build_feature_table
from ivbpr_numba.questions.auc import dataset_of
from ivbpr_numba.worlds.world import generate

__all__ = ["KINDS", "made"]

Rows = list[tuple[str, str, str]]  # user, item, time
Cut = Callable[[Rows], Rows]


def hm(source: Path) -> Rows:
    """Every purchase of the H&M sample."""
    return _columns(source / "hm" / "transactions.csv.gz", "customer_id", "article_id", "t_dat")


def rtr(source: Path) -> Rows:
    """Every rental of RentTheRunway."""
    return _columns(source / "rtr" / "rtr_interactions.csv.gz", "user_id", "item_id", "review_date")


def films(source: Path) -> Rows:
    """Every rating of MovieLens 100K."""
    with gzip.open(source / "ml100k" / "u.data.gz", "rt") as lines:
        return [(u, i, t) for u, i, _, t in (line.split() for line in lines)]


def amazon(source: Path) -> Rows:
    """Amazon's clothing 5-core; the place in a user's line is the time."""
    with gzip.open(source / "amazon_clothing_5core" / "user_sequence.txt.gz", "rt") as lines:
        lists = [line.split() for line in lines]
    return [(user, item, str(place)) for user, *items in lists for place, item in enumerate(items)]


def fashion(source: Path) -> Rows:
    """Amazon's fashion reviews of 2018, a few dozen articles."""
    with gzip.open(source / "amazon_fashion_2018" / "AMAZON_FASHION_5.json.gz", "rt") as lines:
        found = [json.loads(line) for line in lines]
    return [(row["reviewerID"], row["asin"], str(row["unixReviewTime"])) for row in found]


def _columns(path: Path, *names: str) -> Rows:
    with gzip.open(path, "rt", newline="") as lines:
        return [tuple(row[name] for name in names) for row in csv.DictReader(lines)]  # type: ignore[misc]


# --- cuts ---


def users(share: float) -> Cut:
    """A share of the users, drawn at random."""

    def cut(rows: Rows) -> Rows:
        everybody = sorted({row[0] for row in rows})
        order = np.random.default_rng(0).permutation(len(everybody))
        kept = {everybody[k] for k in order[: round(share * len(everybody))]}
        return [row for row in rows if row[0] in kept]

    return cut


def latest(n: int) -> Cut:
    """Every user's latest purchases."""

    def cut(rows: Rows) -> Rows:
        of: dict[str, Rows] = {}
        for row in rows:
            of.setdefault(row[0], []).append(row)
        return [row for own in of.values() for row in sorted(own, key=lambda row: (row[2], row[1]))[-n:]]

    return cut


def ranks(first: int, last: int | None = None) -> Cut:
    """Items of these ranks by purchases, from 0."""

    def cut(rows: Rows) -> Rows:
        counts = Counter(row[1] for row in rows)
        kept = set(sorted(counts, key=lambda item: (-counts[item], item))[first:last])
        return [row for row in rows if row[1] in kept]

    return cut


def core(of_users: int, of_items: int) -> Cut:
    """Users and items with at least so many purchases, until nothing more falls out."""

    def cut(rows: Rows) -> Rows:
        rows = list(dict.fromkeys(rows))
        while True:
            by_user, by_item = Counter(row[0] for row in rows), Counter(row[1] for row in rows)
            kept = [row for row in rows if by_user[row[0]] >= of_users and by_item[row[1]] >= of_items]
            if len(kept) == len(rows):
                return rows
            rows = kept

    return cut


def both(*cuts: Cut) -> Cut:
    """One cut after the other."""

    def cut(rows: Rows) -> Rows:
        for one in cuts:
            rows = one(rows)
        return rows

    return cut


def of_articles(column: str, value: str, source: Path) -> Cut:
    """H&M's articles with this value."""
    table = _columns(source / "hm" / "articles.csv.gz", "article_id", column, column)
    kept = {article for article, found, _ in table if found == value}
    return lambda rows: [row for row in rows if row[1] in kept]


def everything(rows: Rows) -> Rows:
    """All of it."""
    return rows


Reader = Callable[[Path], Rows]
KINDS: dict[str, tuple[Reader | str, Cut | tuple[str, str]]] = {
    "hm": (hm, everything),
    "hm-half": (hm, users(0.5)),
    "hm-ladies": (hm, ("index_group_name", "Ladieswear")),
    "rtr": (rtr, everything),
    "rtr-core": (rtr, core(6, 6)),
    "rtr-tail": (rtr, ranks(1000)),
    "ml100k": (films, everything),
    "ml-tail": (films, ranks(200)),
    "ml-short": (films, latest(15)),
    "amazon-2000": (amazon, users(0.05)),
    "amazon-8000": (amazon, users(0.2)),
    "amazon-core": (amazon, both(core(5, 7), users(0.4))),
    "amazon-head": (amazon, ranks(0, 3000)),
    "fashion": (fashion, everything),
    "tiny": ("tiny", everything),
    "demo": ("demo", everything),
}
_ATTRIBUTES = {
    hm: ("articles.csv.gz", "article_id", HM_COLUMNS),
    rtr: ("rtr_interactions.csv.gz", "item_id", ["category"]),
}


def made(name: str, source: Path, work: Path, seed: int) -> tuple[Dataset, Features | None]:
    """A dataset of one split seed (of a world, its own seed) and the catalogue's attributes of its items."""
    read, cut = KINDS[name]
    if isinstance(read, str):
        world = generate(read, seed)
        return dataset_of(world), attributes_of(world, work / f"{name}-{seed}")
    attributes = _attributes(read, source, work)
    table = work / f"{name}.csv"
    if not table.exists():
        chosen = of_articles(*cut, source) if isinstance(cut, tuple) else cut
        with table.open("w", newline="") as out:
            writer = csv.writer(out)
            writer.writerow(["user", "item", "time"])
            writer.writerows(chosen(read(source)))
    covered = [attributes] if attributes is not None else []
    data = prepare(table, user="user", item="item", time="time", features=covered, seed=seed)
    return data, Features.read(attributes) if attributes is not None else None


def _attributes(read: Reader, source: Path, work: Path) -> Path | None:
    if read not in _ATTRIBUTES:
        return None
    file, id_column, columns = _ATTRIBUTES[read]
    out = work / f"{read.__name__}-attributes.h5"
    if not out.exists():
        folder = source / read.__name__
        how = {"aggregate": "share"} if read is rtr else {}
        build_feature_table(folder / file, id_column=id_column, columns=columns, out=out, **how)
    return out
