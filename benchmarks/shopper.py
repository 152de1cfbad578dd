"""How far one step of steering should go: simulated shoppers who want one attribute, over φ.

    python -m benchmarks.shopper --world demo --seeds 3 --out rows.jsonl
    python -m benchmarks.shopper --data hm/dataset.h5 --features hm/attributes.h5 --name H&M --out hm.jsonl
    python -m benchmarks.shopper --read rows.jsonl hm.jsonl --markdown table.md --plot steering.svg

Every shopper wants an attribute that he was given by lot, among those that 3 to 40 % of the items have, and
looks at ten items at a time. *more*: he asks for more of it, again and again. *toward*: he clicks the first
item of his ranking that has it and that he has not clicked yet. At most `MOST` steps are taken. Rankings and
steps are those of the library: ``model``; ``knn``; ``knn, literal`` (equation 6 as printed, which "more" does
not use). How many shoppers equation 5 as printed would refuse is counted beside.

steps8, steps10    medians over the shoppers: steps until 8 and 10 of the ten have the attribute
within3_8, …       shares of shoppers for whom `THEN`, or `MOST`, steps are enough
new, felt, swamped after one step: new items of ten, mean; shares of shoppers with at least 2, and with 9
start, first, then before any step, after one, after `THEN`:
having             how many of the ten have the attribute, mean
all                AUC of the held-out item among all items
alike              the same among the items that have the attribute if the held-out one has, else among the
                   others: what of the shopper's own taste is left apart from the wish
utility            the planted utility of the ten in spreads of the shopper's own utilities, generated worlds
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.planted import attributes_of
from benchmarks.shopper_page import figure, table
from ivbpr_numba import Dataset, Features, create
from ivbpr_numba.answers import affinity
from ivbpr_numba.answers.shoppers import owned_items, stored
from ivbpr_numba.answers.steering import Steering
from ivbpr_numba.answers.views import View
from ivbpr_numba.errors import UsageError
from ivbpr_numba.models.base import Model
from ivbpr_numba.questions.auc import dataset_of
from ivbpr_numba.worlds.world import generate

AMOUNTS = (0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 4.0)
SHARES = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)  # by nearness: times 1/F, the mean share of an affinity; and
PLAIN = (0.25, 0.5)  # as numbers, whatever F
WAYS = ("model", "knn", "knn, literal")
WISHES = ("more", "toward")
LEAST, MUCH = 0.03, 0.4
SHOWN, ENOUGH, MOST, THEN = 10, 8, 20, 3
SEEN = ("train", "valid")  # the held-out item is still to be found


@dataclass(frozen=True)
class Shop:
    """A fitted model, its items, and the shoppers who come to it.

    Attributes
    ----------
    view : View
    values : (I, F) float64
        v of all items.
    users : (S,) int64
        Rows of the shoppers, each with a held-out item.
    wanted : (S,) int64
        The column that each wants.
    utility : (S, I) float64 or None
        What was planted, in spreads of the shopper.
    """

    view: View
    values: np.ndarray
    users: np.ndarray
    wanted: np.ndarray
    utility: np.ndarray | None

    @classmethod
    def open(cls, model: Model, features: Features, shoppers: int, seed: int, truth: Any = None) -> Shop:
        """Draw the shoppers and what they want."""
        view = model.view(None, features)
        data, rng = view.fitted.data, np.random.default_rng(seed)
        values = view.values(np.arange(len(data.items)))
        share = (values > 0.5).mean(axis=0)
        known = np.flatnonzero((share >= LEAST) & (share <= MUCH))
        held = np.flatnonzero(np.diff(data.test.indptr))
        users = np.sort(rng.permutation(held)[:shoppers])
        utility = None
        if truth is not None:
            rows = truth.users.find([data.users[u] for u in users])
            utility = truth.utility(rows)[:, truth.items.find(list(data.items))]
            utility = (utility - utility.mean(axis=1)[:, None]) / utility.std(axis=1)[:, None]
        return cls(view, values, users, known[rng.integers(0, len(known), len(users))], utility)

    @property
    def has(self) -> np.ndarray:
        """Whether each item has what each shopper wants, (S, I) bool."""
        return np.asarray((self.values > 0.5).T[self.wanted])

    @property
    def owned(self) -> np.ndarray:
        """What each shopper already has, (S, I) bool."""
        indptr, items = owned_items(self.view.fitted.data, self.users, SEEN)
        found = np.zeros((len(self.users), len(self.values)), dtype=bool)
        found[np.repeat(np.arange(len(self.users)), np.diff(indptr)), items] = True
        return found

    @property
    def held_out(self) -> np.ndarray:
        """Row of each shopper's first held-out item."""
        test = self.view.fitted.data.test
        return np.asarray(test.indices[test.indptr[self.users]], dtype=np.int64)


class ByModel:
    """x̂_ui + σ_u Σ_k δ_k v_ik, for all shoppers at once."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.base = stored(shop.view, shop.users, SEEN).scores(shop.view).astype(np.float64)
        self.spread = self.base.std(axis=1)
        self.delta = np.zeros((len(shop.users), shop.values.shape[1]))

    def more(self, which: int, column: int, amount: float) -> None:
        self.delta[which] += Steering.of(self.shop.view, {column: [amount]}, {}).weights

    def toward(self, which: int, item: int, amount: float) -> None:
        self.delta[which] += Steering.of(self.shop.view, {}, {item: [amount]}).weights

    def scores(self) -> np.ndarray:
        return np.asarray(self.base + self.spread[:, None] * (self.delta @ self.shop.values.T))


class ByNearness:
    """The cosine of p and v_i; `literal` reads equation 6 as it is printed."""

    def __init__(self, shop: Shop, literal: bool) -> None:
        self.shop, self.literal = shop, literal
        self.p = np.zeros((len(shop.users), shop.values.shape[1]))
        self.gone = np.zeros((len(shop.users), len(shop.values)), dtype=bool)
        norms = np.sqrt(np.square(shop.values).sum(axis=1))
        self.gone[:, norms == 0] = True
        self.directions = shop.values / np.where(norms > 0, norms, 1.0)[:, None]
        for which, row in enumerate(shop.users):
            self.p[which] = affinity.affinity(shop.view, stored(shop.view, np.array([row]), SEEN))

    def more(self, which: int, column: int, amount: float) -> None:
        self.p[which] = affinity.boosted(self.p[which], column, amount)

    def toward(self, which: int, item: int, amount: float) -> None:
        self.p[which] = affinity.toward(self.p[which], self.shop.values[item], amount, self.literal)
        self.gone[which, item] = True

    def scores(self) -> np.ndarray:
        found = self.p @ self.directions.T
        found /= np.sqrt(np.square(self.p).sum(axis=1))[:, None]
        found = np.round(found, affinity.DIGITS)
        found[self.gone] = -np.inf
        return np.asarray(found)


def ranking(shop: Shop, way: str) -> ByModel | ByNearness:
    """Where the shoppers are before their first step."""
    return ByModel(shop) if way == "model" else ByNearness(shop, way.endswith("literal"))


def first(scores: np.ndarray, n: int) -> np.ndarray:
    """The best `n` of each row, of equal ones the smaller column first."""
    last = np.partition(scores, -n, axis=1)[:, -n]
    found = np.empty((len(scores), n), np.int64)
    for which, row in enumerate(scores):
        some = np.flatnonzero(row >= last[which])
        found[which] = some[np.argsort(-row[some], kind="stable")[:n]]
    return found


def auc_against(scores: np.ndarray, held: np.ndarray, among: np.ndarray) -> np.ndarray:
    """The share of the items `among` (S, I) that stand below the held-out one; NaN without any."""
    own = scores[np.arange(len(held)), held][:, None]
    with np.errstate(invalid="ignore", divide="ignore"):
        below = ((scores < own) + 0.5 * (scores == own)) * among
        return np.asarray(below.sum(axis=1) / among.sum(axis=1))


def judged(shop: Shop, scores: np.ndarray, top: np.ndarray, owned: np.ndarray) -> dict[str, np.ndarray]:
    """How good rankings are by the shoppers' own taste: a figure each."""
    held, has, each = shop.held_out, shop.has, np.arange(len(shop.users))
    free = ~owned & np.isfinite(scores)
    free[each, held] = False
    seen = np.where(np.isfinite(scores), scores, -np.inf)
    found = {
        "all": auc_against(seen, held, free),
        "alike": auc_against(seen, held, free & (has == has[each, held][:, None])),
    }
    lost = ~np.isfinite(scores[each, held])  # clicked: no longer ranked, so it can't be judged
    for values in found.values():
        values[lost] = np.nan
    if shop.utility is not None:
        found["utility"] = np.take_along_axis(shop.utility, top, axis=1).mean(axis=1)
    return found


def walk(shop: Shop, way: str, wish: str, amount: float) -> dict[str, Any]:
    """All shoppers step by step: a row of figures."""
    at, has, owned = ranking(shop, way), shop.has, shop.owned
    clicked = owned.copy()
    each = np.arange(len(shop.users))
    steps = {need: np.full(len(each), MOST + 1) for need in (ENOUGH, SHOWN)}
    found: dict[str, Any] = {}
    before = np.zeros(0)
    for step in range(MOST + 1):
        scores = at.scores()
        ranked = np.where(owned, -np.inf, scores)
        top = first(ranked, SHOWN)
        having = np.take_along_axis(has, top, axis=1).sum(axis=1)
        for need, when in steps.items():
            when[(having >= need) & (when > step)] = step
        if step == 0:
            before = top
            found["start"] = {"having": mean(having), **means(judged(shop, scores, top, owned))}
        if step == 1:
            new = (~(top[:, :, None] == before[:, None, :]).any(axis=2)).sum(axis=1)
            found |= {"new": mean(new), "felt": mean(new >= 2), "swamped": mean(new >= 9)}
        if step in (1, THEN):
            good = judged(shop, scores, top, owned)
            found["first" if step == 1 else "then"] = {"having": mean(having), **means(good)}
        if step == MOST or (step >= THEN and (steps[SHOWN] <= MOST).all()):
            break
        choice = np.where(has & ~clicked, scores, -np.inf)
        for which in each:
            if wish == "more":
                at.more(which, int(shop.wanted[which]), amount)
            else:
                item = int(choice[which].argmax())
                clicked[which, item] = True
                at.toward(which, item, amount)
    for need, when in steps.items():
        found[f"steps{need}"] = float(np.median(when)) if np.median(when) <= MOST else None
        found[f"within3_{need}"], found[f"within_{need}"] = mean(when <= THEN), mean(when <= MOST)
    return found | {"shoppers": len(each)}


def refused(shop: Shop) -> int:
    """How many shoppers equation 5 as printed has no answer for: the sum that divides is not above 0."""
    found = 0
    for row in shop.users:
        try:
            affinity.affinity(shop.view, stored(shop.view, np.array([row]), SEEN), "paper")
        except UsageError:
            found += 1
    return found


def mean(values: np.ndarray) -> float | None:
    """The mean of those that are there."""
    values = np.asarray(values, dtype=np.float64)
    return round(float(np.nanmean(values)), 5) if np.isfinite(values).any() else None


def means(found: dict[str, np.ndarray]) -> dict[str, float | None]:
    """The mean of each figure."""
    return {name: mean(values) for name, values in found.items()}


def measure(shop: Shop, amounts: Sequence[float] = AMOUNTS) -> Iterator[dict[str, Any]]:
    """A row for every way, wish and amount."""
    lost, n_features = refused(shop), shop.values.shape[1]
    by_nearness = [*(times / n_features for times in SHARES), *PLAIN]
    for way in WAYS:
        for wish in WISHES if not way.endswith("literal") else WISHES[1:]:
            for amount in amounts if way == "model" else by_nearness:
                found = walk(shop, way, wish, amount)
                row = {"way": way, "wish": wish, "amount": amount, "shares": round(amount * n_features, 4)}
                yield row | found | {"equation 5 refused": lost}


def shops(chosen: argparse.Namespace) -> Iterator[tuple[dict[str, Any], Shop]]:
    """The shops that the arguments name."""
    for seed in range(chosen.seeds):
        if chosen.data is not None:
            data, features = Dataset.read(chosen.data), Features.read(chosen.features)
            model = create("i-vbpr", seed=seed).fit(data, features)
            yield {"shop": chosen.name, "seed": seed}, Shop.open(model, features, chosen.shoppers, seed)
            continue
        world = generate(chosen.world, seed)
        with tempfile.TemporaryDirectory() as folder:
            features = attributes_of(world, Path(folder))
            model = create("i-vbpr", seed=seed).fit(dataset_of(world), features)
            yield (
                {"shop": chosen.world, "seed": seed},
                Shop.open(model, features, chosen.shoppers, seed, world.truth),
            )


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--world", default="demo")
    parser.add_argument("--data", type=Path, help="a dataset instead of a world")
    parser.add_argument("--features", type=Path)
    parser.add_argument("--name", default="data")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--shoppers", type=int, default=300)
    parser.add_argument("--amounts", type=float, nargs="+", default=AMOUNTS)
    parser.add_argument("--out", type=Path, help="rows as JSON lines")
    parser.add_argument("--read", type=Path, nargs="+", help="rows of earlier runs")
    parser.add_argument("--markdown", type=Path)
    parser.add_argument("--plot", type=Path)
    chosen = parser.parse_args(arguments)
    rows: list[dict[str, Any]] = []
    if chosen.read:
        rows = [json.loads(line) for path in chosen.read for line in path.read_text().splitlines()]
    else:
        for named, shop in shops(chosen):
            for row in measure(shop, chosen.amounts):
                rows.append(named | row)
                print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    if chosen.markdown is not None:
        chosen.markdown.write_text(table(rows), encoding="utf-8")
    if chosen.plot is not None:
        chosen.plot.write_text(figure(rows, rows[0]["shop"]).svg(), encoding="utf-8")
    if chosen.out is not None:
        chosen.out.write_text("".join(json.dumps(row) + "\n" for row in rows))


if __name__ == "__main__":
    main()
