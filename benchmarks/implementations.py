"""The ways to do a case's work: ours, reference code in NumPy, and other packages.

How each implementation is timed:

ours        A real `fit` with a log: the triples_per_second of its evaluation rows, without the first. For
            the AUC the seconds of the report, which hold the AUC baseline of every report as well, or the
            counting alone. CPU seconds of a fit are those of the iterations that no validation follows.
NumPy       Reference code below, in float32. It applies triples that were drawn beforehand: the drawing is
            not counted, in NumPy's favour. `mini-batch` sums the updates of a batch of triples from the
            parameters at its start; `triple by triple` is the update as it is defined, in a Python loop.
implicit    The BPR of the package `implicit`, if it is installed, timed by its own callback without the
            first iteration. A triple is one of its samples, a training pair an iteration; it draws negatives
            by popularity, positives by pair, and skips a triple whose negative the user owns.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from inputs import Work

from ivbpr_numba import BPRMF, VBPR
from ivbpr_numba.backends import threads as using
from ivbpr_numba.questions.auc import judge
from ivbpr_numba.ranking import Questions, count, item_classes, questions, top

__all__ = [
    "Implementation",
    "Missing",
    "Run",
    "auc_count",
    "auc_numpy",
    "auc_report",
    "best_items",
    "best_numpy",
    "bpr_hogwild",
    "bpr_implicit",
    "bpr_numpy_batches",
    "bpr_numpy_triples",
    "bpr_ordered",
    "numpy_batches",
    "vbpr_hogwild",
    "vbpr_numpy_blocks",
    "vbpr_ordered",
]


class Missing(Exception):
    """An optional package that an implementation needs is not installed."""


@dataclass(frozen=True)
class Run:
    """One measurement: amounts with the wall and CPU seconds they took, and what came out.

    Wall and CPU time may cover different amounts, because a fit logs only the first.
    """

    amount: float
    seconds: float
    cpu_amount: float
    cpu_seconds: float
    result: dict[str, np.ndarray] = field(default_factory=dict, repr=False)


Implementation = Callable[[Work, int], Run]


def _timed(amount: float, function: Callable[[], dict[str, np.ndarray]]) -> Run:
    wall, cpu = time.perf_counter(), time.process_time()
    result = function()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return Run(amount, wall, amount, cpu, result)


def _pairs(work: Work) -> float:
    """Candidates of all questions about the test items."""
    asked = questions(work.data, "test")
    return float(len(asked.users) * len(work.data.items) - len(asked.items))


def _counted(work: Work, asked: Questions, less: np.ndarray, equal: np.ndarray) -> dict[str, np.ndarray]:
    """Counts of each question, with what the report says of them."""
    pairs = len(work.data.items) - np.diff(asked.indptr)
    return {"less": less, "equal": equal, "auc": np.mean(less / pairs), "ties": equal.sum()}


# --- ours ---


def _fit(work: Work, threads: int, make: Callable[..., Any], update: str) -> Run:
    """A fit, timed by its own log."""
    marks: list[tuple[str, float]] = []

    def mark(event: Mapping[str, Any]) -> None:
        marks.append((event["event"], time.process_time()))

    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log.jsonl"
        model = make(**work.options(), update=update, threads=threads)
        model.fit(work.data, work.features, observers=[mark], log=log)
        rows = [json.loads(line) for line in log.read_text().splitlines()][1:]
    before = [0, *(row["triples"] for row in rows)]
    windows = [(after["triples"] - b, after["triples_per_second"]) for b, after in zip(before, rows)]
    windows = windows[1:] or windows
    per_iteration = rows[-1]["triples"] / rows[-1]["iteration"]
    # Between two of these events lies one iteration; before an evaluation there is a validation too.
    steps = [b - a for (_, a), (kind, b) in pairwise(marks[1:]) if kind == "iteration"]
    return Run(
        sum(amount for amount, _ in windows),
        sum(amount / rate for amount, rate in windows),
        per_iteration * len(steps),
        sum(steps),
        dict(model.parameters_.arrays()),
    )


def bpr_ordered(work: Work, threads: int) -> Run:
    return _fit(work, threads, BPRMF, "ordered")


def bpr_hogwild(work: Work, threads: int) -> Run:
    return _fit(work, threads, BPRMF, "hogwild")


def vbpr_ordered(work: Work, threads: int) -> Run:
    return _fit(work, threads, VBPR, "ordered")


def vbpr_hogwild(work: Work, threads: int) -> Run:
    return _fit(work, threads, VBPR, "hogwild")


def auc_report(work: Work, threads: int) -> Run:
    """The whole report, as `auc` and the command make it."""
    cpu = time.process_time()
    with using(threads):
        report = judge("vectors", lambda: work.vectors, work.data)
    cpu = time.process_time() - cpu
    pairs = _pairs(work)
    result = {"auc": np.array(report["all"]["auc"]), "ties": np.array(report["all"]["tied_pairs"])}
    return Run(pairs, report["seconds"], pairs, cpu, result)


def auc_count(work: Work, threads: int) -> Run:
    """The counts alone, without baselines and means."""
    asked, classes = questions(work.data, "test"), item_classes(work.data.train_counts)

    def counts() -> dict[str, np.ndarray]:
        found = count(work.vectors, asked, classes)
        return _counted(work, asked, found.less.sum(axis=1), found.equal.sum(axis=1))

    with using(threads):
        return _timed(_pairs(work), counts)


def best_items(work: Work, threads: int) -> Run:
    """Ten best items of every user, without those of the training part."""
    train, everything = work.data.train, np.ones(work.size.items, bool)
    users = questions(work.data, "test").users

    def best() -> dict[str, np.ndarray]:
        found, scores = top(work.vectors, users, 10, (train.indptr, train.indices), everything)
        return {"items": np.array(found), "scores": np.array(scores)}

    with using(threads):
        return _timed(len(users) * work.size.items, best)


# --- NumPy ---


def _add_rows(table: np.ndarray, rows: np.ndarray, values: np.ndarray) -> None:
    """table[rows] += values with repeated rows summed; NumPy's quick path wants one dimension."""
    width = table.shape[1]
    np.add.at(table.reshape(-1), (rows[:, None] * width + np.arange(width)).ravel(), values.ravel())


def numpy_batches(
    tables: dict[str, np.ndarray],
    triples: tuple[np.ndarray, np.ndarray, np.ndarray],
    batch: int,
    rate: float,
    decay: float,
    projected: np.ndarray | None = None,
) -> np.ndarray:
    """Move the biases, factors and visual factors of `tables` batch by batch.

    Parameters
    ----------
    projected : (T, D + 1) float32, optional
        [E Δ, β · Δ] of each triple; the visual part of the score.

    Returns
    -------
    (T, D + 1) float32
        d · [θ_u, 1] with θ_u as read before its update; (T, 1) without features.
    """
    bias, users, items = tables["item_bias"], tables["user_factors"], tables["item_factors"]
    rate, decay = np.float32(rate), np.float32(decay)
    pulls = np.ones((len(triples[0]), 1 if projected is None else projected.shape[1]), np.float32)
    for lo in range(0, len(triples[0]), batch):
        u, i, j = (part[lo : lo + batch].astype(np.int64) for part in triples)
        of_u, of_i, of_j = users[u], items[i], items[j]
        difference = of_i - of_j
        x = np.einsum("bk,bk->b", of_u, difference) + bias[i] - bias[j]
        pull = pulls[lo : lo + batch]
        if projected is not None:
            theta, visual = tables["user_visual"][u], projected[lo : lo + batch]
            x += np.einsum("bk,bk->b", theta, visual[:, :-1]) + visual[:, -1]
            pull[:, :-1] = theta
        slope = 1 / (1 + np.exp(x))
        pull *= slope[:, None]
        gain = slope[:, None] * of_u
        _add_rows(users, u, rate * (slope[:, None] * difference - decay * of_u))
        _add_rows(items, i, rate * (gain - decay * of_i))
        _add_rows(items, j, rate * (-gain - np.float32(0.1) * decay * of_j))
        np.add.at(bias, i, rate * slope)
        np.add.at(bias, j, -rate * slope)
        if projected is not None:
            step = rate * (slope[:, None] * visual[:, :-1] - decay * theta)
            _add_rows(tables["user_visual"], u, step)
    return pulls


def bpr_numpy_batches(work: Work, threads: int) -> Run:
    """Mini-batches of `size.batch` triples, vectorised."""
    tables, triples, o = work.start(), work.triples, work.options()

    def run() -> dict[str, np.ndarray]:
        numpy_batches(tables, triples, work.size.batch, o["learning_rate"], o["lambda_theta"])
        return tables

    return _timed(len(triples[0]), run)


def bpr_numpy_triples(work: Work, threads: int) -> Run:
    """One triple after the other, a few NumPy calls each."""
    tables, o = work.start(), work.options()
    rate, decay = np.float32(o["learning_rate"]), np.float32(o["lambda_theta"])
    decay_j = np.float32(0.1) * decay
    triples = [part[: work.size.slow_triples].tolist() for part in work.triples]

    def run() -> dict[str, np.ndarray]:
        bias, users, items = tables["item_bias"], tables["user_factors"], tables["item_factors"]
        for u, i, j in zip(*triples):
            of_u, of_i, of_j = users[u], items[i], items[j]
            difference = of_i - of_j
            slope = 1 / (1 + np.exp(of_u @ difference + bias[i] - bias[j]))
            gain = slope * of_u
            of_u += rate * (slope * difference - decay * of_u)
            of_i += rate * (gain - decay * of_i)
            of_j -= rate * (gain + decay_j * of_j)
            bias[i] += rate * slope
            bias[j] -= rate * slope
        return tables

    return _timed(len(triples[0]), run)


def vbpr_numpy_blocks(work: Work, threads: int) -> Run:
    """The block rule with two matrix products a block; inside a block, factors move by mini-batches."""
    tables, o, size = work.start(), work.options(), work.size
    users, positives, negatives = work.triples
    matrix, multiplier = work.scaled_features
    rate = np.float32(o["learning_rate"])

    def run() -> dict[str, np.ndarray]:
        embedding = np.concatenate([tables["embedding"], tables["visual_bias"][None]])
        for lo in range(0, len(users), size.block):
            part = slice(lo, lo + size.block)
            difference = matrix[positives[part]].astype(np.float32)
            difference -= matrix[negatives[part]]
            difference *= multiplier
            triples = (users[part], positives[part], negatives[part])
            pulls = numpy_batches(
                tables, triples, size.batch, rate, o["lambda_theta"], difference @ embedding.T
            )
            embedding += rate * (pulls.T @ difference)
        return {**tables, "embedding": embedding[:-1], "visual_bias": embedding[-1]}

    return _timed(len(users), run)


def auc_numpy(work: Work, threads: int) -> Run:
    """One matrix product and two comparisons for every 256 users."""
    asked, vectors = questions(work.data, "test"), work.vectors
    others = vectors.items.vectors.T.copy()
    owner = np.repeat(np.arange(len(asked.users)), np.diff(asked.indptr))

    def run() -> dict[str, np.ndarray]:
        less, equal = (np.empty(len(asked.users), np.int64) for _ in range(2))
        for lo in range(0, len(asked.users), 256):
            rows = slice(lo, min(lo + 256, len(asked.users)))
            scores = vectors.user_vectors[asked.users[rows]] @ others
            scores += vectors.items.bias
            target = scores[np.arange(len(scores)), asked.targets[rows]][:, None]
            less[rows] = np.count_nonzero(scores < target, axis=1)
            equal[rows] = np.count_nonzero(scores == target, axis=1)
            own = slice(asked.indptr[lo], asked.indptr[rows.stop])
            user, mine = owner[own] - lo, scores[owner[own] - lo, asked.items[own]]
            np.subtract.at(less, user + lo, mine < target[user, 0])
            np.subtract.at(equal, user + lo, mine == target[user, 0])
        return _counted(work, asked, less, equal)

    return _timed(_pairs(work), run)


def best_numpy(work: Work, threads: int) -> Run:
    """One matrix product and one partition for every 256 users."""
    train, vectors, users = work.data.train, work.vectors, questions(work.data, "test").users
    others = vectors.items.vectors.T.copy()
    owner = np.repeat(np.arange(work.size.users), np.diff(train.indptr))

    def run() -> dict[str, np.ndarray]:
        items = np.empty((len(users), 10), np.int32)
        for lo in range(0, len(users), 256):
            rows = users[lo : lo + 256]
            scores = vectors.user_vectors[rows] @ others
            scores += vectors.items.bias
            own = slice(train.indptr[rows[0]], train.indptr[rows[-1] + 1])
            scores[owner[own] - rows[0], train.indices[own]] = -np.inf
            best = np.argpartition(scores, -10, axis=1)[:, -10:]
            order = np.argsort(-np.take_along_axis(scores, best, axis=1), axis=1, kind="stable")
            items[lo : lo + 256] = np.take_along_axis(best, order, axis=1)
        return {"items": items}

    return _timed(len(users) * work.size.items, run)


# --- implicit ---


def bpr_implicit(work: Work, threads: int) -> Run:
    """BPR of the package `implicit` with our options, on the same training pairs."""
    try:
        from implicit.cpu.bpr import BayesianPersonalizedRanking
    except ImportError as problem:
        raise Missing("the package 'implicit' is not installed") from problem
    from scipy.sparse import csr_matrix

    train, size, o = work.data.train, work.size, work.options()
    values = np.ones(len(train), np.float32)
    matrix = csr_matrix((values, train.indices, train.indptr), shape=(size.users, size.items))
    model = BayesianPersonalizedRanking(
        factors=size.factors,
        learning_rate=o["learning_rate"],
        regularization=o["lambda_theta"],
        iterations=size.iterations,
        verify_negative_samples=True,
        num_threads=threads,
        random_state=0,
    )
    marks: list[tuple[float, float]] = []

    def mark(*_: Any) -> None:
        marks.append((time.perf_counter(), time.process_time()))

    model.fit(matrix, show_progress=False, callback=mark)
    first = marks[0]
    amount = len(train) * max(1, len(marks) - 1)
    k = size.factors
    result = {
        "user_factors": np.asarray(model.user_factors)[:, :k],
        "item_factors": np.asarray(model.item_factors)[:, :k],
        "item_bias": np.asarray(model.item_factors)[:, k],
    }
    return Run(amount, marks[-1][0] - first[0], amount, marks[-1][1] - first[1], result)
