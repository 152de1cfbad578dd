"""Shoppers the fit has never seen, folded in from a few likes: what is that worth?

    python benchmarks/fold_in.py DATA --data-set hm rtr demo --splits 3
    python benchmarks/fold_in.py DATA --data-set hm --choose

A fifth of the users is drawn and everything of theirs is taken out before the fit: training, validation and
test items; the ids of the items stay. Then k of a user's training items, drawn by a seed, are his likes, and
his test item is ranked among the same candidates as ever, the items he has in no part of the split. Beside
it, over the same users: the model that was trained with all that they have; the cosine to the k likes; the
popularity among everybody else. Cold are test items with fewer than 5 training pairs of all users. "all"
likes are all training items of a user: what folding in loses against training with him.

With --choose the *validation* items of these users are ranked instead, for other numbers of triples and other
multiples of the λ of the fit: what the constants of `answers/folding.py` were chosen by.

DATA is the folder that benchmarks/quality.py uses; `demo` is the built-in world and needs none.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from drift import prepared
from quality import data_sets

from ivbpr_numba import Dataset, Features, create
from ivbpr_numba.answers import folding
from ivbpr_numba.answers.folding import Folding
from ivbpr_numba.answers.views import View
from ivbpr_numba.datasets.interactions import Interactions
from ivbpr_numba.questions.baselines import cosine_scorer, popularity_scorer
from ivbpr_numba.questions.protocol import Protocol
from ivbpr_numba.ranking import Scorer, VectorScorer
from ivbpr_numba.worlds.world import generate

HIDDEN = 0.2  # of the users
LIKES: tuple[int | None, ...] = (1, 3, 5, 10, None)  # None: all that a user has
MODELS = ("bpr-mf", "i-vbpr")
LABELS = ("folded in", "trained", "cosine", "popularity")
TRIPLES = (128, 512, 2048, 8192)
TIMES = (0.1, 0.3, 1.0, 3.0, 10.0)


def data_of(name: str, source: Path, work: Path, seed: int) -> tuple[Dataset, Features]:
    """A dataset and the attributes of its items."""
    if name == "demo":
        return prepared(generate("demo", seed))
    data, features = data_sets(name, source, work, seed)
    return data, features["i-vbpr"]


def kept(part: Interactions, which: np.ndarray) -> Interactions:
    """Only the interactions marked in `which`, (n,) bool."""
    counts = np.bincount(part.users[which], minlength=len(part.indptr) - 1)
    indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return Interactions(indptr, part.indices[which], part.times[which])


def without(data: Dataset, hidden: np.ndarray) -> Dataset:
    """The same ids, and nothing that the users marked in `hidden`, (U,) bool, have."""
    parts = (kept(part, ~hidden[part.users]) for part in (data.train, data.valid, data.test))
    return Dataset(data.users, data.items, *parts, data.item_columns, data.source)


def liking(data: Dataset, hidden: np.ndarray, k: int | None, seed: int) -> Dataset:
    """The hidden users with k of their training items each, or all, and nobody else with any."""
    draws = np.random.default_rng(seed).random(len(data.train))  # the k + 1 likes hold the k likes
    users = data.train.users
    order = np.lexsort((draws, users))
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order)) - data.train.indptr[users[order]]
    which = hidden[users] & (place < (len(order) if k is None else k))
    nothing = kept(data.valid, np.zeros(len(data.valid), bool))
    return Dataset(data.users, data.items, kept(data.train, which), nothing, nothing, {}, data.source)


def folded_in(view: View, liked: Dataset) -> VectorScorer:
    """The items of the model beside users with nothing but their likes."""
    vectors = folding.fold(view, (liked.train.indptr, liked.train.indices))
    return VectorScorer(vectors, view.scorer.items)  # type: ignore[union-attr]


def asked_of(protocol: Protocol, users: np.ndarray) -> Protocol:
    """The questions of the users marked in `users`, (U,) bool."""
    return protocol.part(np.flatnonzero(users[protocol.asked.users]))


def judged(protocol: Protocol, scorer: Scorer) -> dict[str, np.ndarray]:
    """AUC of every user, All Items and Cold Start."""
    values = protocol.count(scorer).auc()[0]
    return {"all": values, "cold": values[protocol.cold]}


def compare(data: Dataset, features: Features, hidden: np.ndarray, seed: int) -> list[dict[str, Any]]:
    """One row a model and number of likes; ± is the standard error of folded in − trained, All Items."""
    protocol, sizes, rows = Protocol.of(data), np.diff(data.train.indptr), []
    left = without(data, hidden)
    popular = popularity_scorer(left)
    for name in MODELS:
        own = features if name == "i-vbpr" else None
        trained = create(name, seed=seed).fit(data, own)
        view = create(name, seed=seed).fit(left, own).view()
        for k in LIKES:
            liked = liking(data, hidden, k, seed)
            asked = asked_of(protocol, hidden & (sizes >= (k or 1)))
            scorers = {
                "folded in": folded_in(view, liked),
                "trained": trained.scorer(),
                "cosine": cosine_scorer(liked, features),
                "popularity": popular,
            }
            found = {label: judged(asked, scorer) for label, scorer in scorers.items()}
            gap = found["folded in"]["all"] - found["trained"]["all"]
            row = {"model": name, "likes": k or "all", "users": len(gap), "cold users": int(asked.cold.sum())}
            for setting in ("all", "cold"):
                row |= {f"{setting}: {label}": float(np.nanmean(v[setting])) for label, v in found.items()}
            rows.append(row | {"±": float(np.nanstd(gap, ddof=1) / np.sqrt(len(gap)))})
    return rows


def choose(data: Dataset, features: Features, hidden: np.ndarray, seed: int) -> list[dict[str, Any]]:
    """Validation AUC of the hidden users for other constants; one row each, and for each number of likes."""
    protocol, sizes, rows = Protocol.of(data, "valid"), np.diff(data.train.indptr), []
    left, of_fit = without(data, hidden), Folding.of_users
    for name in MODELS:
        view = create(name, seed=seed).fit(left, features if name == "i-vbpr" else None).view()
        for k in LIKES:
            liked = liking(data, hidden, k, seed)
            asked = asked_of(protocol, hidden & (sizes >= (k or 1)))
            ways = [(triples, 1.0) for triples in TRIPLES] + [(folding.TRIPLES, x) for x in TIMES if x != 1]
            for triples, times in ways:
                with (
                    patch.object(folding, "TRIPLES", triples),
                    patch.object(Folding, "of_users", lambda self, n, times=times: times * of_fit(self, n)),
                ):
                    values = judged(asked, folded_in(view, liked))["all"]
                row = {"model": name, "likes": k or "all", "triples": triples, "times": times}
                rows.append(row | {"users": len(values), "valid": float(np.nanmean(values))})
    return rows


def means(rows: list[dict[str, Any]], by: list[str], of: list[str]) -> list[dict[str, Any]]:
    """Means over the splits."""
    keys = list(dict.fromkeys(tuple(row[key] for key in by) for row in rows))
    found = []
    for key in keys:
        same = [row for row in rows if tuple(row[name] for name in by) == key]
        found.append(dict(zip(by, key)) | {name: float(np.mean([row[name] for row in same])) for name in of})
    return found


def markdown(rows: list[dict[str, Any]]) -> str:
    """A table; numbers with four digits, AUCs without the 0 before the point."""
    heads = [*rows[0]]
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for row in rows:
        cells = [
            f"{value:,.0f}"
            if key.endswith(("users", "items"))
            else f"{value:.4f}".replace("0.", ".", 1 if abs(value) < 1 else 0)
            if isinstance(value, float)
            else f"{value}"
            for key, value in row.items()
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--data-set", nargs="+", choices=("hm", "rtr", "demo"), default=["hm", "rtr", "demo"])
    parser.add_argument("--splits", type=int, default=3)
    parser.add_argument("--choose", action="store_true", help="by validation items, for other constants")
    given = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name in given.data_set:
            for seed in range(given.splits):
                data, features = data_of(name, given.data, Path(folder), seed)
                hidden = np.random.default_rng(seed).random(len(data.users)) < HIDDEN
                found = (choose if given.choose else compare)(data, features, hidden, seed)
                for row in found:
                    print(json.dumps({"data": name, "split": seed, **row}), file=sys.stderr, flush=True)
                rows += [{"data": name, **row} for row in found]
    if given.choose:
        print(markdown(means(rows, ["data", "model", "likes", "triples", "times"], ["users", "valid"])))
        return
    labels = [f"{setting}: {label}" for setting in ("all", "cold") for label in LABELS]
    of = ["users", *labels[:4], "±", "cold users", *labels[4:]]
    print(markdown(means(rows, ["data", "model", "likes"], of)))


if __name__ == "__main__":
    main()
