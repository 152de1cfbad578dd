"""BPR of the package `cornac`, timed by the difference of a long fit and one of a single iteration."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.peers.interface import Learned, Options, clock, matrix_of, version_of
from ivbpr_numba import Dataset

__all__ = ["Cornac"]


class Cornac:
    """See `Peer`."""

    name = "cornac"

    def version(self) -> str:
        return version_of("cornac")

    def learn(self, data: Dataset, options: Options) -> Learned:
        self.version()
        import cornac

        pairs = matrix_of(data).tocoo()
        # The ids are the rows of the dataset, so that what is learned comes in its order.
        users = {row: row for row in range(len(data.users))}
        items = {row: row for row in range(len(data.items))}
        train = cornac.data.Dataset(
            len(users), len(items), users, items, (pairs.row, pairs.col, pairs.data.astype(float)), seed=0
        )
        iterations = max(2, options.iterations)

        def fitted(n: int) -> Any:
            model = cornac.models.BPR(
                k=options.factors,
                max_iter=n,
                learning_rate=options.rate,
                lambda_reg=options.decay,
                num_threads=options.threads,
                seed=options.seed,
            )
            return model.fit(train)

        _, first, first_cpu = clock(lambda: fitted(1))
        model, seconds, cpu = clock(lambda: fitted(iterations))
        if min(seconds - first, cpu - first_cpu) <= 0:  # too small for a difference: the whole fit counts
            iterations, first, first_cpu = iterations + 1, 0.0, 0.0
        return Learned(
            len(data.train) * (iterations - 1),
            seconds - first,
            cpu - first_cpu,
            np.asarray(model.u_factors, np.float32),
            np.asarray(model.i_factors, np.float32),
            np.asarray(model.i_biases, np.float32),
        )
