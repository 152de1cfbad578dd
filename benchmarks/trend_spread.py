"""Whether the bands of `trends` hold what other customers say, and how features should be ranked by change.

    python benchmarks/trend_spread.py DATA --data-set hm --halvings 20

Many times over the customers are split at random into halves A and B that share nobody. I-TVBPR is fitted to
A, bands come from refits of A alone, and B is fitted on its own, with another seed and the epochs of A: how
often does the value of B lie in the band? Beside the refits of the library (on halves of A) stand refits on
customers of A drawn with replacement, from a random start and going on from A for 40 iterations.

DATA is laid out as CONTRIBUTING.md says; the data set ``drift`` is a generated world and needs none. There
the planted change of each feature is looked for in the bands, too. Halvings can be shared among processes:
``--first 10 --halvings 10 --out rows.jsonl``, then ``--read *.jsonl`` makes the table of all.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from drift import prepared
from quality import data_sets
from scipy.special import stdtrit

from ivbpr_numba import TVBPR, Dataset, Features
from ivbpr_numba.datasets.drawn import draw_users
from ivbpr_numba.models.epochs import epoch_of
from ivbpr_numba.models.start import Start
from ivbpr_numba.questions.planted import PlantedTaste
from ivbpr_numba.questions.refits import half_band, refits
from ivbpr_numba.questions.response import changes, response
from ivbpr_numba.worlds.truth import Truth
from ivbpr_numba.worlds.world import generate

FITS, TOP, WARM = 8, 20, 40
WAYS = ("halves", "resampled", "warm")


def loaded(name: str, source: Path, work: Path) -> tuple[Dataset, Features, Truth | None]:
    if name == "drift":
        world = generate("drift", 0)
        return (*prepared(world), world.truth)
    data, features = data_sets(name, source, work, 0)
    return data, features["i-tvbpr"], None


def drawn(data: Dataset, rng: np.random.Generator) -> np.ndarray:
    return np.sort(rng.integers(0, len(data.users), len(data.users)))


def band_of_resamples(draws: np.ndarray) -> np.ndarray:
    """± t_{n−1} √2 s: of n refits on as many customers as the model has."""
    return stdtrit(len(draws) - 1, 0.975) * np.sqrt(2.0) * draws.std(axis=0, ddof=1)


def by_halves(model: TVBPR, features: Features, seed: int) -> list[np.ndarray]:
    return [response(other) for other in refits(model, features, FITS, seed)]


def resampled(model: TVBPR, features: Features, seed: int) -> list[np.ndarray]:
    found = []
    for n in range(FITS):
        rows = drawn(model.data_, np.random.default_rng([seed, n]))
        other = TVBPR(**{**options_of(model), "seed": seed + n})
        start = Start(epoch_edges=model.epoch_edges_)
        found.append(response(other.fit(draw_users(model.data_, rows), features, start=start)))
    return found


def warm(model: TVBPR, features: Features, seed: int) -> list[np.ndarray]:
    found = []
    for n in range(FITS):
        rows = drawn(model.data_, np.random.default_rng([seed, n]))
        given = {**options_of(model), "seed": seed + n, "iterations": WARM, "eval_every": WARM}
        start = Start(model.parameters_, users=rows, epoch_edges=model.epoch_edges_)
        found.append(response(TVBPR(**given).fit(draw_users(model.data_, rows), features, start=start)))
    return found


def options_of(model: TVBPR) -> dict[str, Any]:
    return {name: model.config_[name] for name in TVBPR.option_names() if name in model.config_}


RUNS: dict[str, tuple[Callable[..., list[np.ndarray]], Callable[[np.ndarray], np.ndarray]]] = {
    "halves": (by_halves, half_band),
    "resampled": (resampled, band_of_resamples),
    "warm": (warm, band_of_resamples),
}


def ranked(size: np.ndarray, events: np.ndarray, common: np.ndarray) -> np.ndarray:
    """The columns of the largest change, as `trends --top` ranks them."""
    weight = (events / events.sum())[:, None]
    by = np.sqrt((weight * np.square(size)).sum(axis=0))
    by[~common] = -1.0
    return np.argsort(-by, kind="stable")[:TOP]


def planted_changes(truth: Truth, features: Features, data: Dataset, edges: np.ndarray) -> np.ndarray:
    """Planted style in each learned epoch, by time, minus its mean over the epochs, (N, F)."""
    styles = PlantedTaste(truth, features, data.items).styles()
    moments = np.linspace(edges[0], edges[-1] - 1, 4000).astype(np.int64)
    own, planted = epoch_of(moments, edges), styles[epoch_of(moments, truth.epoch_edges)]
    return changes(np.stack([planted[own == n].mean(axis=0) for n in range(len(edges) - 1)]))


def halving(
    data: Dataset, features: Features, truth: Truth | None, number: int, ways: Sequence[str], epochs: int
) -> dict[str, Any]:
    """Figures of one halving."""
    order = np.random.default_rng([17, number]).permutation(len(data.users))
    half = len(order) // 2
    ours, theirs = (draw_users(data, np.sort(part)) for part in (order[:half], order[half:]))
    a = TVBPR(seed=2 * number, epochs=epochs).fit(ours, features)
    b = TVBPR(seed=2 * number + 1, epochs=epochs).fit(
        theirs, features, start=Start(epoch_edges=a.epoch_edges_)
    )
    events = np.bincount(epoch_of(ours.train.times, a.epoch_edges_), minlength=epochs)
    having = a.features_.scaling.mean * len(data.items)
    common = having >= max(5, 0.01 * len(data.items))
    values = {"response": (response(a), response(b))}
    values["change"] = tuple(map(changes, values["response"]))
    top = ranked(values["change"][0], events, common)
    row: dict[str, Any] = {"halving": number, "users": half, "epochs": epochs}
    for what, (one, other) in values.items():
        row[f"{what}: size"] = rms(one[:, top])
        row[f"{what}: A - B"] = rms((one - other)[:, top])
    for way in ways:
        run, band = RUNS[way]
        begun = time.process_time()
        draws = np.stack(run(a, features, 1000 * (number + 1)))
        row[f"{way}: CPU s a refit"] = (time.process_time() - begun) / FITS
        for what, (one, other) in values.items():
            width = band(draws if what == "response" else changes(draws))
            inside = np.abs(other - one) <= width
            row[f"{way}: {what} of the top inside"] = inside[:, top].mean()
            row[f"{way}: {what} of all inside"] = inside[:, common].mean()
            row[f"{way}: {what} band"] = rms(width[:, top])
        one, other = values["change"]
        if way == "halves":  # 1.41 were the law of a mean
            apart = changes(draws)[0::2] - changes(draws)[1::2]
            of_samples = rms((one - other)[:, common])
            row["halves: difference of halves over A - B"] = rms(apart[:, :, common]) / of_samples
        certain, alike = np.abs(one) > width, np.sign(one) == np.sign(other)
        row[f"{way}: certain of the top"] = certain[:, top].mean()
        row[f"{way}: signs B shares"] = alike[:, top].mean()
        row[f"{way}: signs B shares of certain"] = mean(alike[:, top][certain[:, top]])
        surest = ranked(one / width, events, common)
        row[f"{way}: signs B shares, top by change/band"] = alike[:, surest].mean()
        row[f"{way}: change that B repeats"] = repeated(one[:, top], other[:, top])
        row[f"{way}: change that B repeats, top by change/band"] = repeated(one[:, surest], other[:, surest])
        if truth is not None:
            planted = planted_changes(truth, features, data, a.epoch_edges_)
            row[f"{way}: planted of the top inside"] = (np.abs(planted - one) <= width)[:, top].mean()
            row[f"{way}: planted signs of certain"] = mean(
                (np.sign(planted) == np.sign(one))[:, top][certain[:, top]]
            )
            row["planted: size"] = rms(planted[:, top])
            row["planted: slope of learned"] = float((planted * one).sum() / np.square(planted).sum())
    return row


def rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.square(values).mean()))


def mean(values: np.ndarray) -> float | None:
    return float(values.mean()) if len(values) else None


def repeated(one: np.ndarray, other: np.ndarray) -> float:
    """What B changes along A's changes, root mean square: how much of a list is there again."""
    return float((one * other).mean() / rms(one))


def show(rows: list[dict[str, Any]]) -> None:
    print(f"{len(rows)} halvings of {rows[0]['users']} users each, {rows[0]['epochs']} epochs")
    for key in rows[0]:
        values = np.array([row[key] for row in rows if row.get(key) is not None], dtype=float)
        if key not in ("halving", "users", "epochs") and len(values):
            error = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
            print(f"  {key:52}{values.mean():8.3f} ± {error:.3f}   {values.min():.3f} to {values.max():.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, nargs="?", default=Path())
    parser.add_argument("--data-set", default="hm", choices=["hm", "rtr", "drift"])
    parser.add_argument("--halvings", type=int, default=20)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--read", type=Path, nargs="+")
    given = parser.parse_args()
    if given.read:
        show([json.loads(line) for path in given.read for line in path.read_text().splitlines()])
        return
    rows = []
    with tempfile.TemporaryDirectory() as work:
        data, features, truth = loaded(given.data_set, given.data, Path(work))
        for number in range(given.first, given.first + given.halvings):
            rows.append(halving(data, features, truth, number, given.ways, given.epochs))
            print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
            if given.out is not None:
                given.out.write_text("".join(json.dumps(row) + "\n" for row in rows))
    show(rows)


if __name__ == "__main__":
    main()
