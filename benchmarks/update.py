"""A model brought up to date beside one that is fitted anew: what is lost, and what it costs.

    python benchmarks/update.py DATA --data-set hm drift demo --splits 3
    python benchmarks/update.py DATA --data-set hm --choose

The data are split at random as ever, then cut at the moment before which four fifths of the training pairs
lie (`--before`). A model is fitted to what was there by then, and brought up to date with all the rest by
`partial_fit`: new users, new items, new purchases. It is judged on the test items of all users, beside

- the model as it was, new users and items known by nothing but looks (their vectors and biases are 0);
- `full`: the updated model trained further until its patience ends;
- the model that is fitted to everything from the beginning.

Time is CPU time of all threads, as a share of that of the fit from the beginning, judging included. With
--choose the *validation* AUC of all users is asked for other ways to update: which rows move, and how often.
"""

from __future__ import annotations

import argparse
import copy
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from drift import prepared
from fold_in import kept, markdown, means
from quality import data_sets

from ivbpr_numba import Dataset, Features, create
from ivbpr_numba.datasets.interactions import Interactions
from ivbpr_numba.ids import Ids
from ivbpr_numba.models import growing, item_triples
from ivbpr_numba.models.base import Model
from ivbpr_numba.models.growing import Moved
from ivbpr_numba.questions.protocol import Protocol
from ivbpr_numba.worlds.world import generate

MODELS = {"hm": ("bpr-mf", "i-vbpr", "i-tvbpr"), "demo": ("bpr-mf", "i-vbpr"), "drift": ("i-vbpr", "i-tvbpr")}
SETTINGS = ("all", "cold")
# Items that move after the users: none, the new ones, all that were bought; how often; triples of an item.
WAYS = (("none", 1, 512), ("new", 1, 512), ("all", 1, 512), ("all", 2, 512), ("all", 1, 2048))


def data_of(name: str, source: Path, work: Path, seed: int) -> tuple[Dataset, Features]:
    """A dataset and the attributes of its items."""
    if name == "hm":
        data, features = data_sets(name, source, work, seed)
        return data, features["i-vbpr"]
    return prepared(generate(name, seed))


def until(data: Dataset, moment: int) -> Dataset:
    """What was there before a moment: users with a training pair, and items with anything."""
    parts = [kept(part, part.times < moment) for part in (data.train, data.valid, data.test)]
    users = np.flatnonzero(np.diff(parts[0].indptr))
    there = np.zeros(len(data.users), bool)
    there[users] = True
    parts = [kept(part, there[part.users]) for part in parts]
    items = np.unique(np.concatenate([part.indices for part in parts]))
    row = np.full(len(data.items), -1, np.int32)
    row[items] = np.arange(len(items))
    own = [
        Interactions(np.concatenate([[0], np.cumsum(np.diff(p.indptr)[users])]), row[p.indices], p.times)
        for p in parts
    ]
    ids = Ids(data.users.values[users], "user"), Ids(data.items.values[items], "item")
    return Dataset(*ids, *own, {}, {"has_times": data.has_times})


def auc_of(model: Model, data: Dataset, split: str = "test") -> dict[str, float]:
    """All and cold."""
    protocol = Protocol.of(data, split)
    found = protocol.results(protocol.count(model.scorer()))
    return {setting: found[setting]["auc"] for setting in SETTINGS}


def timed(work: Any) -> tuple[Any, float]:
    begun = time.process_time()
    done = work()
    return done, time.process_time() - begun


def often(rounds: int) -> Any:
    def move(self: growing.Grower, rows: Moved) -> None:
        for _ in range(rounds):
            self.move_users(rows.users)
            self.move_items(rows.items)

    return move


def nothing_moves(data: Dataset, growth: Any) -> Moved:
    return Moved(np.zeros(0, np.int64), np.zeros(0, np.int64))


def updated(model: Model, data: Dataset, features: Features | None, **options: Any) -> Model:
    return copy.copy(model).partial_fit(data, features, **options)


def compare(name: str, data: Dataset, features: Features, share: float, seed: int) -> list[dict[str, Any]]:
    """One row a model."""
    before, rows = until(data, int(np.quantile(data.train.times, share))), []
    for kind in MODELS[name]:
        own = features if "vbpr" in kind else None
        old = create(kind, seed=seed).fit(before, own)
        anew, of_anew = timed(lambda kind=kind, own=own: create(kind, seed=seed).fit(data, own))
        quick, of_quick = timed(lambda old=old, own=own: updated(old, data, own))
        full, of_full = timed(lambda old=old, own=own: updated(old, data, own, full=True))
        with patch("ivbpr_numba.models.updating.moved_rows", nothing_moves):
            still = updated(old, data, own)
        ways = {"as it was": still, "updated": quick, "full": full, "anew": anew}
        found = {way: auc_of(one, data) for way, one in ways.items()}
        row: dict[str, Any] = {"model": kind, "new users": len(data.users) - len(before.users)}
        row["new items"] = len(data.items) - len(before.items)
        about = quick.provenance_["update"]
        row["moved"] = (about["moved_users"] + about["moved_items"]) / (len(data.users) + len(data.items))
        for setting in SETTINGS:
            row |= {f"{setting}: {way}": one[setting] for way, one in found.items()}
        rows.append(row | {"time: updated": of_quick / of_anew, "time: full": of_full / of_anew})
    return rows


def choose(name: str, data: Dataset, features: Features, share: float, seed: int) -> list[dict[str, Any]]:
    """Validation AUC of ways to update; one row a model."""
    before, rows = until(data, int(np.quantile(data.train.times, share))), []

    def only(which: str) -> Any:
        def rows_of(data: Dataset, growth: Any) -> Moved:
            found = growing.moved_rows(data, growth)
            new = found.items[growth.items[found.items] < 0]
            return Moved(found.users, {"none": found.items[:0], "new": new}.get(which, found.items))

        return rows_of

    for kind in MODELS[name]:
        own = features if "vbpr" in kind else None
        old = create(kind, seed=seed).fit(before, own)
        row: dict[str, Any] = {
            "model": kind,
            "anew": auc_of(create(kind, seed=seed).fit(data, own), data, "valid")["all"],
        }
        for which, rounds, triples in WAYS:
            with (
                patch.object(growing.Grower, "move", often(rounds)),
                patch.object(item_triples, "TRIPLES", triples),
                patch.object(growing, "TRIPLES", triples),
                patch("ivbpr_numba.models.updating.moved_rows", only(which)),
            ):
                row[f"{which} × {rounds}, {triples}"] = auc_of(updated(old, data, own), data, "valid")["all"]
        rows.append(row)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--data-set", nargs="+", choices=tuple(MODELS), default=list(MODELS))
    parser.add_argument("--splits", type=int, default=3)
    parser.add_argument(
        "--before", type=float, default=0.8, help="share of the training pairs before the cut"
    )
    parser.add_argument("--choose", action="store_true", help="by validation items, for other ways")
    given = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name in given.data_set:
            for seed in range(given.splits):
                data, features = data_of(name, given.data, Path(folder), seed)
                for row in (choose if given.choose else compare)(name, data, features, given.before, seed):
                    print(json.dumps({"data": name, "split": seed, **row}), file=sys.stderr, flush=True)
                    rows.append({"data": name, **row})
    print(markdown(means(rows, ["data", "model"], [key for key in rows[0] if key not in ("data", "model")])))


if __name__ == "__main__":
    main()
