"""How long a step of a session takes: a list of 24 with reasons after a boost, or a step toward an item.

    python -m benchmarks.steering --items 100000 1400000 --attributes 400 --tags 6

A random I-VBPR model (K = D = 10) is built in memory, with one-hot groups of 40 attributes and further tags.
One JSON object is printed for each size: medians and largest times in seconds, and CPU seconds of
all threads, the better figure where other programs share the cores.

    first            the first list of a process that has read the model: its items are measured once
    boost, toward    one step further from a session that is at hand
    replay           a session anew from its user and four steps, as a server does for every request
    knn …            the same by nearness in attribute space
    explain          the terms of one score after four steps
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

import numpy as np

from benchmarks.answer_time import USERS, random_model
from ivbpr_numba import Features, Session, backends
from ivbpr_numba.features.layout import Group
from ivbpr_numba.models import VBPR

SHOWN = 24
VALUES = 40  # of a group


def build(n_items: int, n_attributes: int, tags: float, seed: int = 0) -> tuple[VBPR, Features]:
    """A random model and its features: groups of one-hots, the last of them tags where `tags` is above 0."""
    from scipy.sparse import csr_array

    rng = np.random.default_rng(seed)
    sizes = [min(VALUES, n_attributes - start) for start in range(0, n_attributes, VALUES)]
    offsets = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    tagged = sizes[-1] if tags and len(sizes) > 1 else 0
    groups = [
        Group(f"g{k}", int(offset), size, not (tagged and k == len(sizes) - 1))
        for k, (offset, size) in enumerate(zip(offsets, sizes))
    ]
    rows, columns = [], []
    for group in groups:
        if group.exclusive:
            rows.append(np.arange(n_items))
            columns.append(group.offset + rng.integers(0, group.size, n_items))
        else:
            there = rng.random((n_items, group.size), dtype=np.float32) < tags / group.size
            row, column = np.nonzero(there)
            rows.append(row)
            columns.append(group.offset + column)
    row, column = np.concatenate(rows), np.concatenate(columns)
    matrix = csr_array((np.ones(len(row), np.float32), (row, column)), shape=(n_items, n_attributes))
    names = [f"{group.name}=v{c}" for group in groups for c in range(group.size)]
    ids = [f"p{i:08}" for i in range(n_items)]
    features = Features.from_matrix(matrix, ids=ids, names=names, groups=groups, kind="attributes")
    mean = np.bincount(column, minlength=n_attributes).astype(np.float32) / n_items
    model = random_model(features, mean, rng)
    model.scorer(features)
    return model, features


def measure(n_items: int, n_attributes: int, tags: float, rounds: int) -> dict[str, Any]:
    """Times of each way of asking, in seconds."""
    model, features = build(n_items, n_attributes, tags)
    names, items = features.names, features.items
    draws = iter(np.random.default_rng(1).integers(0, 2**31, 100 * rounds + 100).tolist())

    def user() -> str:
        return f"u{next(draws) % USERS:06}"

    def boosted(session: Session) -> Session:
        return session.boost(names[next(draws) % len(names)], 0.7)

    def toward(session: Session) -> Session:
        return session.toward(items[next(draws) % n_items])

    def walked(by: str) -> Session:
        return toward(boosted(toward(boosted(Session(model, user(), by=by)))))

    begun = time.perf_counter()
    boosted(Session(model, user())).recommend(SHOWN)
    found: dict[str, Any] = {"first": round(time.perf_counter() - begun, 5)}
    for by, mark in (("model", ""), ("knn", "knn ")):
        known = boosted(Session(model, user(), by=by))
        known.recommend(SHOWN)
        asked = {
            "boost": lambda known=known: boosted(known).recommend(SHOWN),
            "toward": lambda known=known: toward(known).recommend(SHOWN),
            "replay": lambda by=by: walked(by).recommend(SHOWN),
        }
        for name, ask in asked.items():
            found[mark + name] = spent(ask, rounds)
    session, item = walked("model"), items[0]
    found["explain"] = spent(lambda: session.explain(item), rounds)
    filled = model.views.aligned().stored
    return {
        "items": n_items,
        "attributes": n_attributes,
        "values_an_item": round((filled.slots.shape[1] * n_items + len(filled.values)) / n_items, 2),
        "threads": backends.thread_count(None),
        "seconds": found,
    }


def spent(ask: Any, rounds: int) -> dict[str, float]:
    """Of several calls, after one that isn't counted: median, largest, and median of their CPU seconds."""
    ask()
    wall, cpu = [], []
    for _ in range(rounds):
        begun, worked = time.perf_counter(), time.process_time()
        ask()
        wall.append(time.perf_counter() - begun)
        cpu.append(time.process_time() - worked)
    found = {"median": np.median(wall), "largest": max(wall), "cpu": np.median(cpu)}
    return {name: round(float(value), 5) for name, value in found.items()}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, nargs="+", default=[100_000])
    parser.add_argument("--attributes", type=int, default=400)
    parser.add_argument("--tags", type=float, default=6.0, help="further tags an item, in the mean")
    parser.add_argument("--rounds", type=int, default=9)
    chosen = parser.parse_args(arguments)
    for n_items in chosen.items:
        print(json.dumps(measure(n_items, chosen.attributes, chosen.tags, chosen.rounds)), flush=True)


if __name__ == "__main__":
    main()
