"""BPR of the package `implicit`, timed by its own callback."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from benchmarks.peers.interface import Learned, Options, matrix_of, version_of
from ivbpr_numba import Dataset

__all__ = ["Implicit"]


class Implicit:
    """See `Peer`."""

    name = "implicit"

    def version(self) -> str:
        return version_of("implicit")

    def learn(self, data: Dataset, options: Options) -> Learned:
        self.version()
        from implicit.cpu.bpr import BayesianPersonalizedRanking

        model = BayesianPersonalizedRanking(
            factors=options.factors,
            learning_rate=options.rate,
            regularization=options.decay,
            iterations=max(2, options.iterations),
            verify_negative_samples=True,
            num_threads=options.threads,
            random_state=options.seed,
        )
        marks: list[tuple[float, float]] = []

        def mark(*_: Any) -> None:
            marks.append((time.perf_counter(), time.process_time()))

        model.fit(matrix_of(data), show_progress=False, callback=mark)
        k, users, items = options.factors, np.asarray(model.user_factors), np.asarray(model.item_factors)
        return Learned(
            len(data.train) * (len(marks) - 1),
            marks[-1][0] - marks[0][0],
            marks[-1][1] - marks[0][1],
            users[:, :k],
            items[:, :k],
            items[:, k],
        )
