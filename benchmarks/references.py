"""Reference code in NumPy, float32.

It applies triples that were drawn beforehand: the drawing is not counted, in NumPy's favour. `mini-batch`
sums the updates of a batch of triples from the parameters at its start; `triple by triple` is the update as
it is defined, in a Python loop.
"""

from __future__ import annotations

import numpy as np

from benchmarks.inputs import Work
from benchmarks.registry import Run
from benchmarks.timing import counted, pairs_of, timed
from ivbpr_numba.ranking import questions

__all__ = [
    "auc_numpy",
    "best_numpy",
    "bpr_numpy_batches",
    "bpr_numpy_triples",
    "numpy_batches",
    "vbpr_numpy_blocks",
]


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

    return timed(len(triples[0]), run)


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

    return timed(len(triples[0]), run)


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

    return timed(len(users), run)


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
        return counted(work, asked, less, equal)

    return timed(pairs_of(work), run)


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

    return timed(len(users) * work.size.items, run)
