"""Do 95 % intervals hold the truth in 95 of 100 cases? Of AUCs, of paired differences, and of runs.

    python -m benchmarks.intervals
    python -m benchmarks.intervals --table table.h5

(A file `coverage.py` here would be taken for the package of that name by scripts of this folder.)

*Events.* A planted world, models fitted once. The customers are the population; what each would buy next is
drawn by the world's own law, softmax of the true utility over what he does not own. So a model's true AUC is
known exactly: the mean over customers of Σ_i p_u(i) AUC_u(i). A thousand test sets are drawn, each of other
customers and one purchase of each, and each gives its intervals. Beside it the same customers every time.

*Runs.* Small worlds' customers, drawn anew for each table, fitted in three runs with another split and start
each: the combined interval and the one over users, against the mean of all tables.

*Users.* Of a finished table (``--table``), the users of a real corpus are the population: a thousand samples
of as many, drawn with replacement, each with all his runs.

*Chance.* Users, runs and their meeting as normal noise of known size: when the combined interval is too wide.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.planted import attributes_of
from ivbpr_numba import Dataset, create
from ivbpr_numba.datasets.resplit import split_again
from ivbpr_numba.questions.auc import dataset_of
from ivbpr_numba.questions.baselines import cosine_scorer
from ivbpr_numba.questions.protocol import Protocol
from ivbpr_numba.ranking import VectorScorer, item_classes
from ivbpr_numba.table2 import Table
from ivbpr_numba.table2.columns import SETTINGS
from ivbpr_numba.table2.resampling import compared
from ivbpr_numba.table2.spread import Spread, spread_of
from ivbpr_numba.worlds.world import World, generate

PAIRS = (("pop", "bpr-mf"), ("bpr-mf", "i-vbpr"), ("cosine", "i-vbpr"))
ASKED = 500  # customers of a test set
RESAMPLES = 1000
RUNS = 3
GIVEN = ("figure", "sd of users", "of runs", "of both")  # columns that are no shares


@dataclass(frozen=True)
class Population:
    """Customers whose next purchase can be drawn at will.

    Attributes
    ----------
    law : (U, I) float64
        Cumulative probability of the next purchase.
    chance : (U, I) float64
        Probability of each item.
    cold : (I,) bool
    auc : dict of str to (U, I) float32
        By scorer: the AUC of a customer if the next purchase is that item.
    stratified : dict of str to (U, I) float32
    """

    law: np.ndarray
    chance: np.ndarray
    cold: np.ndarray
    auc: dict[str, np.ndarray]
    stratified: dict[str, np.ndarray]

    def truth(self, scorer: str, setting: str, users: np.ndarray | None = None) -> float:
        """The true AUC over all customers, or over some."""
        rows = slice(None) if users is None else users
        values = (self.stratified if setting == "stratified" else self.auc)[scorer][rows].astype(np.float64)
        weight = self.chance[rows] * (self.cold if setting == "cold" else 1.0)
        weight = np.where(np.isfinite(values), weight, 0.0)
        return float((weight * np.nan_to_num(values)).sum() / weight.sum())

    def draw(self, users: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """One next purchase of each, item rows."""
        return np.array([np.searchsorted(self.law[u], x) for u, x in zip(users, rng.random(len(users)))])

    def values(self, scorer: str, setting: str, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """What the customers come to with these purchases, (1, n); NaN where one does not count."""
        table = self.stratified if setting == "stratified" else self.auc
        found = table[scorer][users, items].astype(np.float64)
        return np.where(self.cold[items], found, np.nan)[None] if setting == "cold" else found[None]


def population(world: World, folder: Path) -> Population:
    """Fit the models, and judge each by every purchase that a customer might make next."""
    data = dataset_of(world)
    features = attributes_of(world, folder)
    scorers: dict[str, Any] = {
        "pop": create("pop").fit(data).scorer(),
        "bpr-mf": create("bpr-mf").fit(data).scorer(),
        "i-vbpr": create("i-vbpr").fit(data, features).scorer(features),
        "cosine": cosine_scorer(data, features),
    }
    owned = np.zeros((len(data.users), len(data.items)), bool)
    for part in (data.train, data.valid, data.test):
        owned[part.users, part.indices] = True
    rows = world.users.find(data.users.values)
    columns = world.items.find(data.items.values)
    utility = world.size.kappa * world.utility(rows)[:, columns]
    chance = np.where(owned, 0.0, np.exp(utility - utility.max(axis=1, keepdims=True)))
    chance /= chance.sum(axis=1, keepdims=True)
    law = np.minimum(np.cumsum(chance, axis=1), 1.0)
    law[:, -1] = 1.0
    classes = item_classes(data.train_counts)
    everything = np.zeros(len(classes), np.int8)
    return Population(
        law,
        chance,
        data.train_counts < 5,
        {name: aucs(scorer, owned, everything) for name, scorer in scorers.items()},
        {name: aucs(scorer, owned, classes) for name, scorer in scorers.items()},
    )


def aucs(scorer: VectorScorer, owned: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """AUC_u(i): the share of a customer's other candidates of the class of i below i, ties 0; (U, I)."""
    scores = scorer.user_vectors @ scorer.items.vectors.T + scorer.items.bias
    found = np.full(owned.shape, np.nan, np.float32)
    for u in range(len(owned)):
        for kind in np.unique(classes).tolist():
            own = np.flatnonzero(~owned[u] & (classes == kind))
            if len(own) > 1:
                below = np.searchsorted(np.sort(scores[u, own]), scores[u, own], side="left")
                found[u, own] = below / (len(own) - 1)
    return found


def of_events(
    people: Population, sets: int, resampled: int, seed: int, fixed: bool
) -> Iterator[dict[str, Any]]:
    """Coverage over test sets, a row a figure or difference; bootstraps of the first `resampled` sets."""
    rng = np.random.default_rng(seed)
    n_users = len(people.law)
    same = rng.choice(n_users, ASKED)
    within = same if fixed else None
    names = list(people.auc)
    held: dict[tuple[str, str], list[bool]] = {}
    truth = {(s, c): people.truth(c, s, within) for s in SETTINGS for c in names}
    for number in range(sets):
        users = same if fixed else rng.choice(n_users, ASKED)
        items = people.draw(users, rng)
        values = {(s, c): people.values(c, s, users, items) for s in SETTINGS for c in names}
        for (setting, name), own in values.items():
            held.setdefault((name, setting), []).append(inside(spread_of(own), truth[setting, name]))
        for setting in SETTINGS:
            for a, b in PAIRS:
                true, own = truth[setting, b] - truth[setting, a], values[setting, b] - values[setting, a]
                held.setdefault((f"{b} − {a}", setting), []).append(inside(spread_of(own), true))
        for row in compared(values, PAIRS, SETTINGS, number, RESAMPLES) if number < resampled else ():
            setting, a, b = row["setting"], row["a"], row["b"]
            true = truth[setting, b] - truth[setting, a]
            what = f"{b} − {a}, {resampled} sets resampled"
            held.setdefault((what, setting), []).append(row["low"] <= true <= row["high"])
    for what in dict.fromkeys(name for name, _ in held):
        yield {"figure": what, **{s: share(held[what, s]) for s in SETTINGS}}


def of_tables(tables: int, seed: int) -> Iterator[dict[str, Any]]:
    """Coverage over whole tables of three runs, each of other customers; the truth is the mean of all."""
    world = generate("tiny", seed, users=400 * tables)
    rows = world.purchases
    found: dict[str, list[Spread]] = {"bpr-mf": [], "bpr-mf − pop": []}
    for number in range(tables):
        own = (rows.users >= 400 * number) & (rows.users < 400 * (number + 1))
        users, items = world.users.values[rows.users[own]], world.items.values[rows.items[own]]
        data = Dataset.from_pairs(users, items, rows.times[own], min_interactions=5, seed=RUNS * number)
        values = {name: np.full((RUNS, len(data.users)), np.nan) for name in ("pop", "bpr-mf")}
        for run in range(RUNS):
            split = split_again(data, RUNS * number + run)
            protocol = Protocol.of(split)
            for name, own in values.items():
                options = {"seed": RUNS * number + run} if name == "bpr-mf" else {}
                counts = protocol.count(create(name, **options).fit(split).scorer())
                own[run, protocol.asked.users] = counts.auc()[0]
        found["bpr-mf"].append(spread_of(values["bpr-mf"]))
        found["bpr-mf − pop"].append(spread_of(values["bpr-mf"] - values["pop"]))
    for what, spreads in found.items():
        truth = float(np.mean([one.mean for one in spreads]))
        users_only = [abs(one.mean - truth) <= 1.96 * one.stderr_users for one in spreads]
        runs_only = [abs(one.mean - truth) <= 4.303 * one.stderr_runs for one in spreads]
        both = [inside(one, truth) for one in spreads]
        ways = {"over users": users_only, "over runs": runs_only, "combined": both}
        yield {"figure": what, **{name: share(own) for name, own in ways.items()}}


def of_users(table: Table, sets: int, seed: int) -> Iterator[dict[str, Any]]:
    """Coverage over samples of the users of a finished table, each with all his runs."""
    rng = np.random.default_rng(seed)
    values = {(s, c): table.values(0, s, c) for s in SETTINGS for c in table.columns}
    n_users = table.subsets[0]["users"]
    truth = {key: spread_of(own).mean for key, own in values.items()}
    held: dict[tuple[str, str], list[bool]] = {}
    for _ in range(sets):
        drawn = rng.choice(n_users, n_users)
        for (setting, column), own in values.items():
            spread, true = spread_of(own[:, drawn]), truth[setting, column]
            if true is None or spread.mean is None or spread.stderr_users is None:
                continue  # too few users count
            near = abs(spread.mean - true) <= 1.96 * spread.stderr_users
            held.setdefault((column, setting), []).append(bool(near))
    for column in table.columns:
        yield {"figure": column, **{s: share(held.get((column, s), [])) for s in SETTINGS}}


def of_noise(tables: int, seed: int) -> Iterator[dict[str, Any]]:
    """Coverage of the combined interval where the parts of chance are known."""
    rng = np.random.default_rng(seed)
    for users, runs, meeting in (
        *((0.2, 0.0, 0.2), (0.2, 0.005, 0.2), (0.2, 0.01, 0.2), (0.1, 0.02, 0.2)),
        *((0.0, 0.0, 0.2), (0.0, 0.05, 0.2)),
    ):
        row: dict[str, Any] = {"sd of users": users, "of runs": runs, "of both": meeting}
        for count in (3, 10):
            held, alone = [], []
            for _ in range(tables):
                values = users * rng.standard_normal((1, ASKED)) + runs * rng.standard_normal((count, 1))
                spread = spread_of(values + meeting * rng.standard_normal((count, ASKED)))
                held.append(inside(spread, 0.0))
                assert spread.mean is not None and spread.stderr_users is not None
                alone.append(abs(spread.mean) <= 1.96 * spread.stderr_users)
            row |= {f"{count} runs: over users": share(alone), f"{count} runs: combined": share(held)}
        yield row


def inside(spread: Spread, truth: float) -> bool:
    """Whether the interval holds the truth."""
    assert spread.low is not None and spread.high is not None
    return spread.low <= truth <= spread.high


def share(held: Sequence[bool]) -> float:
    return float(np.mean(held)) if held else float("nan")


def markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as a Markdown table; shares in per cent."""
    heads = list(rows[0])
    lines = [" | ".join(heads), " | ".join(["---"] * len(heads))]
    for row in rows:
        cells = [
            f"{100 * row[h]:.1f}"
            if isinstance(row[h], float) and not h.startswith(("sd", "of"))
            else str(row[h])
            for h in heads
        ]
        lines.append(" | ".join(cells))
    return "\n".join(f"| {line} |" for line in lines)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--world", default="demo", help="of the events")
    parser.add_argument("--sets", type=int, default=1000, help="test sets, samples of users, tables of noise")
    parser.add_argument("--resampled", type=int, default=200, help="of the test sets, by bootstrap too")
    parser.add_argument("--tables", type=int, default=200, help="whole tables of three runs; 0 for none")
    parser.add_argument("--table", type=Path, help="a finished table whose users are resampled")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        people = population(generate(chosen.world, chosen.seed), Path(folder))
    for title, fixed in (("events of other customers", False), ("events of the same customers", True)):
        rows = of_events(people, chosen.sets, chosen.resampled, chosen.seed + fixed, fixed)
        print(f"\n## {title}\n\n{markdown(list(rows))}")
        sys.stdout.flush()
    if chosen.table is not None:
        print(f"\n## users\n\n{markdown(list(of_users(Table.read(chosen.table), chosen.sets, chosen.seed)))}")
    print(f"\n## noise\n\n{markdown(list(of_noise(chosen.sets, chosen.seed)))}")
    sys.stdout.flush()
    if chosen.tables:
        print(f"\n## runs\n\n{markdown(list(of_tables(chosen.tables, chosen.seed)))}")


if __name__ == "__main__":
    main()
