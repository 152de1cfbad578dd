"""What time costs: triples a second of TVBPR beside VBPR, the segmentation, and memory, on random data.

    python benchmarks/time_cost.py --columns 512 4096

20,000 users × 20,000 items × 360,000 training pairs with random float16 features; K = D = 10, five epochs.
Both models do the same iterations in turn; the figure is the median of several, each compiled before.
"""

from __future__ import annotations

import argparse
import resource
import time
from functools import partial
from typing import Any

import numpy as np

from ivbpr_numba import Dataset
from ivbpr_numba.arrays import stored_bits
from ivbpr_numba.datasets.interactions import Interactions
from ivbpr_numba.features.inputs import DenseInput
from ivbpr_numba.features.alignment import fit_scaling
from ivbpr_numba.ids import Ids
from ivbpr_numba.models.learners import VisualLearner
from ivbpr_numba.models.presets import resolve
from ivbpr_numba.models.temporal_learner import TemporalLearner

USERS, ITEMS, OWN = 20_000, 20_000, 18
AUTHORS_SEGMENTATION = (
    20.0  # CPU seconds, recorded: 20k events × 1000 negatives × 5 epochs × 80 bins, F = 512
)


def random_data(rng: np.random.Generator) -> Dataset:
    """Skewed items, uniform users, uniform times."""
    popularity = 1 / np.arange(1, ITEMS + 1) ** 0.8
    pairs = rng.choice(ITEMS, (USERS, 3 * OWN), p=popularity / popularity.sum())
    rows = [np.sort(np.unique(row)[:OWN]).astype(np.int32) for row in pairs]
    indptr = np.concatenate([[0], np.cumsum([len(row) for row in rows])])
    items = np.concatenate(rows)
    times = rng.integers(1_400_000_000, 1_500_000_000, len(items))
    one = Interactions(np.arange(USERS + 1), rng.integers(0, ITEMS, USERS).astype(np.int32), times[:USERS])
    users, own = (np.array([f"{n:06}".encode() for n in range(size)]) for size in (USERS, ITEMS))
    train = Interactions(indptr.astype(np.int64), items, times)
    return Dataset(Ids(users), Ids(own), train, one, one, source={"has_times": True})


def seconds(work: Any) -> tuple[float, float]:
    """Wall and CPU seconds of one call."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--columns", type=int, nargs="+", default=[512])
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    rng = np.random.default_rng(0)
    data = random_data(rng)
    for columns in chosen.columns:
        matrix = np.empty((ITEMS, columns), np.float16)
        for start in range(0, ITEMS, 1000):
            matrix[start : start + 1000] = rng.random((1000, columns), np.float32)
        matrix.flags.writeable = False
        source = DenseInput(stored_bits(matrix), np.arange(ITEMS), 1.0)
        scaling = fit_scaling(source, "standard")
        fixed = {"block": 1024, "iterations": 1}
        plain = VisualLearner(
            resolve("vbpr", None, fixed, "dense"),
            data.train.indptr,
            data.train.indices,
            ITEMS,
            source,
            scaling,
        )
        options = {**fixed, "epochs": chosen.epochs, "segment_every": 10**6, "patience": 10**7}
        timed = TemporalLearner(resolve("tvbpr", None, options, "dense"), data, source, scaling)
        plain.compile(), timed.compile()
        rows = []
        for k in range(1, chosen.rounds + 1):
            rows.append((seconds(partial(plain.iterate, k)), seconds(partial(timed.iterate, k))))
        wall = np.median([[a[0], b[0]] for a, b in rows], axis=0)
        cpu = np.median([[a[1], b[1]] for a, b in rows], axis=0)
        n = plain.sampler.n_draws
        for name, w, c in (("VBPR", wall[0], cpu[0]), ("TVBPR", wall[1], cpu[1])):
            print(f"F={columns} {name:6} {n / w:12,.0f} triples/s {n / c:12,.0f} per CPU second")
        clock, own = wall[1] / wall[0], cpu[1] / cpu[0]
        print(f"  a triple of TVBPR costs × {clock:.2f} by the clock, × {own:.2f} of CPU")
        if columns == chosen.columns[0]:
            timed.options["segment_negatives"] = 1000
            timed.likelihoods(1)
            wall_s, cpu_s = seconds(partial(timed.likelihoods, 2))
            print(
                f"segmentation, {len(timed.events[0]):,} events × 1,000 negatives × {chosen.epochs} epochs:"
            )
            print(f"  {wall_s:.2f} s by the clock, {cpu_s:.2f} CPU s")
            faster = AUTHORS_SEGMENTATION / cpu_s
            print(f"  × {faster:.1f} the authors' {AUTHORS_SEGMENTATION:.0f} CPU s for 5 epochs (recorded)")
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        own = sum(table.nbytes for table in timed.tables.values()) / 1e6
        matrix_mb = matrix.nbytes / 1e6
        print(f"  matrix {matrix_mb:.0f} MB, tables of TVBPR {own:.0f} MB, peak {peak:.2f} GB", flush=True)


if __name__ == "__main__":
    main()
