"""The loss "bpr" of the package `lightfm`, timed without its first iteration.

Its penalty shrinks all parameters with every triple, so that no λ of ours means the same; it is 0 here.
"""

from __future__ import annotations

import numpy as np

from benchmarks.peers.interface import Learned, Options, clock, matrix_of, version_of
from ivbpr_numba import Dataset

__all__ = ["LightFM"]


class LightFM:
    """See `Peer`."""

    name = "LightFM"

    def version(self) -> str:
        return version_of("lightfm")

    def learn(self, data: Dataset, options: Options) -> Learned:
        self.version()
        import lightfm

        # adagrad, its default, divides the rate by the gradients so far.
        model = lightfm.LightFM(
            no_components=options.factors,
            loss="bpr",
            learning_rate=options.rate,
            random_state=options.seed,
        )
        pairs = matrix_of(data).tocoo()

        def more(n: int) -> object:
            return model.fit_partial(pairs, epochs=n, num_threads=options.threads)

        iterations = max(2, options.iterations)
        more(1)
        _, seconds, cpu = clock(lambda: more(iterations - 1))
        return Learned(
            len(data.train) * (iterations - 1),
            seconds,
            cpu,
            np.asarray(model.user_embeddings),
            np.asarray(model.item_embeddings),
            np.asarray(model.item_biases),
        )
