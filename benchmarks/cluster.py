"""What a cluster costs: two workers with a thread each beside one process with two threads, on this machine.

    python -m benchmarks.cluster --rounds 3

A line of JSON for each measurement: AUC of a model, and iterations of a fit in two parts, beside the same AUC
and the fit in one part, taken in turn so that both meet the same machine. Everything is done once before, so
that nothing is compiled or sent for the first time.

    python -m benchmarks.cluster --simulate

What more workers would do, by arithmetic: an iteration takes the triples of a part, the joining, the bytes on
their way and the tasks; joining and a task are measured here, a triple's seconds and the link are given.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.cases.sizes import S1, S2
from benchmarks.inputs import Size, random_purchases
from ivbpr_numba import Dataset, Features, auc, backends, create
from ivbpr_numba.distributed import cluster
from ivbpr_numba.models.joining import Changes, Pull, joined
from ivbpr_numba.models.parts import BLOCK, Parts

SIZES = {
    "tiny": Size(400, 300, 10, asked=100),
    "S1": S1,
    "S2": S2,
    "S3": Size(1_000_000, 100_000, 20, asked=2_000),
    "auc": Size(60_000, 60_000, 10, asked=60_000, factors=50),
}
ITERATIONS = 12
GROUPS, VALUES = 9, 500  # of the attributes


def attributes(data: Dataset) -> Features:
    """Nine one-hot groups of the items."""
    rng = np.random.default_rng(1)
    sizes = np.full(GROUPS, VALUES // GROUPS)
    one_hot = [np.eye(size, dtype=np.float16)[rng.integers(0, size, len(data.items))] for size in sizes]
    names = [f"g{g}=v{v}" for g, size in enumerate(sizes) for v in range(size)]
    return Features.from_arrays(data.items, np.concatenate(one_hot, axis=1), names, kind="attributes")


def seconds_of_iterations(model: str, data: Dataset, features: Features | None, **run: Any) -> float:
    """Median seconds of an iteration after the first two, between two of its events."""
    ends: list[float] = []

    def note(event: dict[str, Any]) -> None:
        if event["event"] == "iteration":
            ends.append(time.perf_counter())

    client, parts, threads = run.get("client"), run.get("parts", 1), run.get("threads")
    own = create(model, iterations=ITERATIONS, eval_every=None, patience=None, parts=parts, threads=threads)
    own.fit(data, features, observers=note, client=client)
    return statistics.median(np.diff(ends[1:]).tolist())


def fits(
    sizes: Iterable[str], models: Iterable[str], rounds: int, client: Any, workers: int
) -> Iterator[dict[str, Any]]:
    """Seconds an iteration, here and there, in turn."""
    for size in sizes:
        s = SIZES[size]
        data = random_purchases(s.users, s.items, s.per_user, s.asked)
        for model in models:
            features = attributes(data) if "vbpr" in model else None
            bytes_a_round: list[int] = []
            advance = Parts._advance

            def noted(
                self: Parts, iteration: int, advance: Any = advance, kept: list[int] = bytes_a_round
            ) -> Any:
                found = advance(self, iteration)
                kept.append(self.bytes_a_round)
                return found

            Parts._advance = noted  # type: ignore[method-assign]
            try:
                for n in range(rounds + 1):
                    here = seconds_of_iterations(model, data, features, threads=workers)
                    there = seconds_of_iterations(model, data, features, parts=workers, client=client)
                    alone = seconds_of_iterations(model, data, features, parts=workers, threads=1)
                    if n:
                        triples = s.users * s.per_user
                        yield {
                            "what": f"fit {model} {size}",
                            "triples": triples,
                            "here": round(here, 4),
                            "there": round(there, 4),
                            "ratio": round(there / here, 3),
                            "parts_here_one_thread": round(alone, 4),
                            "sent_mb": round(statistics.median(bytes_a_round) / 1e6, 2),
                        }
            finally:
                Parts._advance = advance  # type: ignore[method-assign]


def aucs(size: str, rounds: int, client: Any, workers: int) -> Iterator[dict[str, Any]]:
    """Seconds of an AUC, here and there, in turn."""
    s = SIZES[size]
    data = random_purchases(s.users, s.items, s.per_user, s.asked)
    model = create("bpr-mf", factors=s.factors, iterations=1, eval_every=None, patience=None).fit(data)
    for n in range(rounds + 1):
        found, spent = [], []
        for more in ({}, {"client": client}):
            begun = time.perf_counter()
            with backends.threads(workers):
                found.append(auc(model, **more))
            spent.append(time.perf_counter() - begun)
        if {**found[0], "seconds": 0} != {**found[1], "seconds": 0}:
            raise SystemExit("The cluster counted something else.")
        if n:
            pairs = s.asked * s.items
            here, there = spent
            ratio = round(there / here, 3)
            yield {
                "what": "auc",
                "pairs": pairs,
                "here": round(here, 3),
                "there": round(there, 3),
                "ratio": ratio,
            }


@dataclass(frozen=True)
class Load:
    """A fit of I-VBPR, for the arithmetic: sizes, and the numbers of a row."""

    users: float
    items: float
    triples: float
    user_bytes: int = 4 * (16 + 48)  # γ_u and θ_u, K = 10 and D = 40
    item_bytes: int = 4 * 16  # γ_i and β_i


LOADS = {
    "S3": Load(1e6, 1e5, 2e7),
    "a shop": Load(1e7, 1e6, 1e9),
    "the largest": Load(1e8, 1e7, 1e10),
}


def join_seconds() -> float:
    """To join a number of an item's row that a part has moved; median of five."""
    items, parts, width = 100_000, 8, 16
    rng = np.random.default_rng(0)
    before = {"items": rng.normal(size=(items, width)).astype(np.float32)}
    rate = np.full(width, 0.01, np.float32)
    changes = [
        Changes({"items": before["items"] / 9}, {"items": Pull(rng.integers(1, 9, (items, 1)), rate)})
        for _ in range(parts)
    ]
    spent = []
    for _ in range(5):
        begun = time.perf_counter()
        joined(before, changes)
        spent.append(time.perf_counter() - begun)
    return statistics.median(spent) / (items * parts * width)


def task_seconds(tasks: int = 2000) -> float:
    """Of the scheduler, for a task that does nothing and needs another one."""
    with cluster(workers=2) as crew:
        assert crew is not None
        begun = time.perf_counter()
        first = crew.client.submit(int, 1)
        crew.client.gather([crew.client.submit(max, first, n) for n in range(tasks)])
        return (time.perf_counter() - begun) / tasks


def simulate(triple: float, link: float, join: float, task: float) -> Iterator[dict[str, Any]]:
    """Seconds of an iteration with N parts on N workers.

    Parameters
    ----------
    triple : float
        Seconds of a triple, one thread.
    link : float
        Bytes a second of each worker, in and out.
    join, task : float
        Seconds to join a number that a part moved, and of a task.
    """
    for name, load in LOADS.items():
        side = load.items * load.item_bytes
        for workers in (1, 8, 32, 128):
            learning = load.triples / workers * triple
            if workers == 1:
                yield {"load": name, "workers": 1, "seconds": round(learning, 3), "speed_up": 1.0}
                continue
            blocks = max(1, min(workers, -(-int(side) // BLOCK)))
            # A worker that joins a block gets it from every part, and gives the new one to every part.
            touched = min(1.0, 2 * load.triples / workers / load.items)
            moved = touched * side / blocks * workers + side / blocks * workers
            joining = touched * side / 4 / blocks * workers * join
            moving = moved / link
            telling = workers * (3 + blocks) * task + blocks * task
            whole = learning + joining + moving + telling
            yield {
                "load": name,
                "workers": workers,
                "learning": round(learning, 3),
                "joining": round(joining, 3),
                "moving": round(moving, 3),
                "tasks": round(telling, 3),
                "seconds": round(whole, 3),
                "speed_up": round(load.triples * triple / whole, 1),
                "gb_a_round": round(workers * (touched + 1) * side / 1e9, 2),
                "gb_a_worker": round(
                    (
                        load.users / workers * load.user_bytes * 2
                        + load.triples / workers * (4 + 24)
                        + 4 * side
                    )
                    / 1e9,
                    2,
                ),
            }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--sizes", nargs="+", default=["S1", "S2", "S3"], choices=list(SIZES))
    parser.add_argument("--models", nargs="+", default=["bpr-mf", "i-vbpr"])
    parser.add_argument("--auc", default="auc", choices=list(SIZES))
    parser.add_argument("--simulate", action="store_true")
    parser.add_argument("--triple", type=float, default=172e-9, help="seconds of a triple, one thread")
    parser.add_argument("--link", type=float, default=1.25e9, help="bytes a second of a worker's network")
    given = parser.parse_args()
    if given.simulate:
        rates = {"triple": given.triple, "link": given.link, "join": join_seconds(), "task": task_seconds()}
        print(json.dumps(rates))
        for row in simulate(**rates):
            print(json.dumps(row), flush=True)
        return
    with cluster(workers=given.workers) as crew:
        assert crew is not None
        for row in aucs(given.auc, given.rounds, crew.client, given.workers):
            print(json.dumps(row), flush=True)
        for row in fits(given.sizes, given.models, given.rounds, crew.client, given.workers):
            print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
