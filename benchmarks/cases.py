"""The registry of benchmark cases: a piece of work, our implementation, and what others do with it.

`benchmarks/speed.py` measures every case at its full size; `tests/test_benchmarks.py` runs every case at a
tiny size and compares the results of its implementations, so that what is timed is known to be right.

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
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from ivbpr_numba import BPRMF, VBPR, Dataset, Features
from ivbpr_numba.datasets.interactions import Interactions
from ivbpr_numba.features.alignment import align, fit_scaling
from ivbpr_numba.ids import Ids
from ivbpr_numba.models.learners import draw_initial
from ivbpr_numba.models.triples import TripleSampler
from ivbpr_numba.questions.auc import judge
from ivbpr_numba.ranking import ItemSide, Questions, VectorScorer, count, item_classes, questions

__all__ = ["CASES", "Case", "Goal", "Missing", "Peer", "Run", "Size", "Work", "random_purchases"]


class Missing(Exception):
    """An optional package that an implementation needs is not installed."""


@dataclass(frozen=True)
class Size:
    """How large a case is.

    Attributes
    ----------
    users, items, per_user : int
        Training pairs a user; a test and a validation item come on top.
    asked : int
        Users with held-out items.
    factors, visual_factors, columns : int
        K, D and F.
    iterations, every : int
        Of a fit, and between its evaluation rows.
    block : int
        B, triples between two moves of the embedding.
    batch : int
        Triples whose updates vectorised NumPy sums; 1 makes it the definition.
    triples, slow_triples : int
        At most so many go through vectorised NumPy, and through a Python loop.
    rate : float
        η.
    """

    users: int
    items: int
    per_user: int
    asked: int
    factors: int = 10
    visual_factors: int = 10
    columns: int = 512
    iterations: int = 10
    every: int = 5
    block: int = 1024
    batch: int = 1024
    triples: int = 1 << 40
    slow_triples: int = 20_000
    rate: float = 0.05


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


def random_purchases(users: int, items: int, per_user: int, asked: int, seed: int = 0) -> Dataset:
    """Purchases without structure: all users alike, items of skewed popularity.

    Every user has `per_user` distinct training items; the first `asked` users also have a test and a
    validation item. The r-th most popular item, in random order of the ids, has weight 1 / (r + items / 50).
    """
    rng = np.random.default_rng(seed)
    weights = np.cumsum(1.0 / (rng.permutation(items) + items / 50))
    wanted = per_user + 2
    draws = 2 * wanted
    while True:
        drawn = np.searchsorted(weights, rng.random((users, draws)) * weights[-1], side="right")
        drawn = np.minimum(drawn, items - 1)
        order = np.argsort(drawn, axis=1, kind="stable")
        inverse = np.argsort(order, axis=1)
        ranked = np.take_along_axis(drawn, order, axis=1)
        repeated = np.zeros_like(ranked, dtype=bool)
        repeated[:, 1:] = ranked[:, 1:] == ranked[:, :-1]
        fresh = ~np.take_along_axis(repeated, inverse, axis=1)
        if fresh.sum(axis=1).min() >= wanted:
            break
        draws *= 2
    # The first `wanted` distinct items of each user, in the order drawn.
    kept = np.take_along_axis(drawn, np.argsort(~fresh, axis=1, kind="stable")[:, :wanted], axis=1)
    train = np.sort(kept[:, 2:], axis=1).astype(np.int32)

    def part(columns: np.ndarray) -> Interactions:
        sizes = np.full(users, columns.shape[1])
        sizes[len(columns) :] = 0
        indptr = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        return Interactions(indptr, columns.ravel().astype(np.int32), np.zeros(columns.size, np.int64))

    def names(letter: str, n: int) -> Ids:
        return Ids(np.array([f"{letter}{k:08d}".encode() for k in range(n)]))

    held = kept[:asked]
    return Dataset(names("u", users), names("i", items), part(train), part(held[:, :1]), part(held[:, 1:2]))


class Work:
    """The inputs of a case at one size; made when first asked for, outside every clock."""

    def __init__(self, size: Size, features: bool) -> None:
        self.size = size
        self.data = random_purchases(size.users, size.items, size.per_user, size.asked)
        self.features: Features | None = None
        if features:
            rng = np.random.default_rng(1)
            matrix = rng.random((size.items, size.columns), np.float32).astype(np.float16)
            self.features = Features.from_arrays(self.data.items, matrix)

    def options(self) -> dict[str, Any]:
        """Options of our fit, all that decide the work: new defaults don't change what is measured."""
        size = self.size
        options: dict[str, Any] = {
            "factors": size.factors,
            "iterations": size.iterations,
            "eval_every": size.every,
            "patience": size.iterations,
            "learning_rate": size.rate,
            "lambda_theta": 0.0025,
            "lambda_bias": 0.0,
            "init": "normal",
            "negatives": "uniform",
            "sampling": "users",
            "average": 0.0,
            "seed": 0,
        }
        if self.features is not None:
            options |= {
                "visual_factors": size.visual_factors,
                "block": size.block,
                "lambda_visual": 0.0,
                "reg_scope": "all",
                "feature_scaling": "standard",
            }
        return options

    @cached_property
    def triples(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Users, positives and negatives of our first iteration."""
        train = self.data.train
        sampler = TripleSampler(
            train.indptr,
            train.indices,
            len(self.data.items),
            seed=0,
            negatives="uniform",
            sampling="users",
        )
        drawn = sampler.draw(1)
        n = self.size.triples
        return drawn.users[:n].copy(), drawn.positives[:n].copy(), drawn.negatives[:n].copy()

    def start(self) -> dict[str, np.ndarray]:
        """Starting values as our fits draw them: names as in a model's parameters."""
        size, options = self.size, {"seed": 0, "init": "normal"}
        tables = {
            "item_bias": np.zeros(size.items, np.float32),
            "user_factors": draw_initial(options, "user_factors", (size.users, size.factors)),
            "item_factors": draw_initial(options, "item_factors", (size.items, size.factors)),
        }
        if self.features is not None:
            d = size.visual_factors
            tables["user_visual"] = draw_initial(options, "user_visual", (size.users, d))
            tables["embedding"] = draw_initial(options, "embedding", (d, size.columns))
            tables["visual_bias"] = np.zeros(size.columns, np.float32)
        return tables

    @cached_property
    def scaled_features(self) -> tuple[np.ndarray, np.ndarray]:
        """Stored feature rows by item, and the multiplier of each column."""
        assert self.features is not None
        source = align(self.features, self.data.items)
        matrix = source.matrix.view(np.float16) if source.matrix.dtype == np.uint16 else source.matrix
        return matrix[source.rows], fit_scaling(source, "standard").multiplier * np.float32(source.scale)

    @cached_property
    def vectors(self) -> VectorScorer:
        """Vectors on a coarse grid: float32 sums of their products are exact in any order, ties included."""
        rng = np.random.default_rng(2)
        size = self.size

        def grid(*shape: int) -> np.ndarray:
            return (np.round(rng.normal(0, 1, shape) * 64) / 64).astype(np.float32)

        return VectorScorer(
            grid(size.users, size.factors), ItemSide(grid(size.items, size.factors), grid(size.items))
        )


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


def auc_report(work: Work, threads: int) -> Run:
    """The whole report, as `auc` and the command make it."""
    from ivbpr_numba.backends import threads as using

    cpu = time.process_time()
    with using(threads):
        report = judge("vectors", lambda: work.vectors, work.data)
    cpu = time.process_time() - cpu
    pairs = _pairs(work)
    result = {"auc": np.array(report["all"]["auc"]), "ties": np.array(report["all"]["tied_pairs"])}
    return Run(pairs, report["seconds"], pairs, cpu, result)


def auc_count(work: Work, threads: int) -> Run:
    """The counts alone, without baselines and means."""
    from ivbpr_numba.backends import threads as using

    asked, classes = questions(work.data, "test"), item_classes(work.data.train_counts)

    def counts() -> dict[str, np.ndarray]:
        found = count(work.vectors, asked, classes)
        return _counted(work, asked, found.less.sum(axis=1), found.equal.sum(axis=1))

    with using(threads):
        return _timed(_pairs(work), counts)


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


# --- the registry ---


@dataclass(frozen=True)
class Peer:
    """A program that is not run here: rates recorded on a machine of this kind, a CPU second.

    By the clock it is taken to be twice as fast at two threads, even if it computes on one.

    Attributes
    ----------
    name : str
    rate : float
    implicit : float
        Rate of implicit recorded beside it, to carry `rate` over to this machine.
    """

    name: str
    rate: float
    implicit: float = 3.1e6


@dataclass(frozen=True)
class Goal:
    """Our rate should be at least `times` that of `of`.

    Attributes
    ----------
    times : float
        Of the rate at two threads, by the clock.
    of : Peer or str
        A recorded program, or the label of an implementation of the case.
    """

    times: float
    of: Peer | str


Implementation = Callable[[Work, int], Run]


@dataclass(frozen=True)
class Case:
    """A named piece of work.

    Attributes
    ----------
    name, unit : str
        The unit is what a rate counts.
    what : str
        One line for the table.
    full, tiny : Size
    ours, references : dict of str to Implementation
        By label.
    goals : tuple of Goal
    features : bool
    """

    name: str
    unit: str
    what: str
    full: Size
    tiny: Size
    ours: dict[str, Implementation]
    references: dict[str, Implementation]
    goals: tuple[Goal, ...]
    features: bool = False

    @property
    def implementations(self) -> dict[str, Implementation]:
        return {**self.ours, **self.references}

    def work(self, size: Size) -> Work:
        """Inputs at one size."""
        return Work(size, self.features)


_ONCE = {"iterations": 1, "every": 1, "batch": 1}
_TINY = Size(60, 90, 6, 60, columns=20, block=16, **_ONCE)
_BPR_OURS = {"ours, ordered": bpr_ordered, "ours, hogwild": bpr_hogwild}
_BPR_OTHERS = {
    "NumPy, mini-batch 1024": bpr_numpy_batches,
    "NumPy, triple by triple": bpr_numpy_triples,
    "implicit": bpr_implicit,
}
_IMPLICIT_S2 = 2.05e6

CASES = {
    case.name: case
    for case in (
        Case(
            "bpr-mf S1",
            "triples",
            "BPR-MF, K=10, 20,000 users × 20,000 items, 360,000 training pairs",
            Size(20_000, 20_000, 18, 500),
            _TINY,
            _BPR_OURS,
            _BPR_OTHERS,
            (
                Goal(4, "implicit"),
                Goal(4, Peer("cornac BPR", 3.2e6)),
                Goal(30, Peer("MyMediaLite BPRMF", 0.8e6)),
            ),
        ),
        Case(
            "bpr-mf S2",
            "triples",
            "BPR-MF, K=10, 100,000 users × 300,000 items, 1,500,000 training pairs",
            Size(100_000, 300_000, 15, 100, iterations=6, every=3, triples=360_000),
            _TINY,
            _BPR_OURS,
            _BPR_OTHERS,
            (
                Goal(4, "implicit"),
                Goal(4, Peer("cornac BPR", 1.65e6, implicit=_IMPLICIT_S2)),
                Goal(30, Peer("MyMediaLite BPRMF", 0.6e6, implicit=_IMPLICIT_S2)),
            ),
        ),
        Case(
            "vbpr F=512",
            "triples",
            "VBPR, K=D=10, F=512 dense float16, 20,000 users × 20,000 items, 360,000 training pairs",
            Size(20_000, 20_000, 18, 500, iterations=6, every=3, triples=100_000, rate=0.01),
            _TINY,
            {"ours, ordered": vbpr_ordered, "ours, hogwild": vbpr_hogwild},
            {"NumPy, blocks of 1024": vbpr_numpy_blocks},
            (
                Goal(40, Peer("C++ of VBPR's authors", 65e3)),
                Goal(150, Peer("cornac VBPR", 14.8e3)),
            ),
            features=True,
        ),
        Case(
            "auc D=20",
            "pairs",
            "full-ranking AUC, 20 numbers a vector, 20,000 users × 20,000 items",
            Size(20_000, 20_000, 18, 20_000, factors=20),
            Size(60, 300, 6, 60, factors=20),
            {"ours, auc report": auc_report, "ours, counts alone": auc_count},
            {"NumPy, sgemm and compare": auc_numpy},
            (Goal(40, Peer("C++ of VBPR's authors", 5.9e7)), Goal(1500, Peer("MyMediaLite", 1.1e6))),
        ),
    )
}
