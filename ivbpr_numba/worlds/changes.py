"""What changes in a built-in world by itself: seasons that return every year, and trends that go on."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from ivbpr_numba.worlds.world import WorldSize

__all__ = ["YEAR", "Changes", "planted_changes"]

YEAR = 365.2425 * 86_400  # seconds
_STREAM = 1  # of the seed: the world's other draws are as they would be without planted changes


class Changes(NamedTuple):
    """Planted changes of the common style, by feature; 0 where there is none.

    Attributes
    ----------
    season : ndarray (F,)
        Amplitude of a yearly cosine.
    peak : ndarray (F,)
        Its highest time as a fraction of the year.
    trend : ndarray (F,)
        A year.
    """

    season: np.ndarray
    peak: np.ndarray
    trend: np.ndarray

    def styles(self, edges: np.ndarray) -> np.ndarray:
        """What they add to the style of each epoch, its value in the middle of it; (N, F)."""
        years = np.asarray(edges, dtype=np.float64) / YEAR
        middle = ((years[:-1] + years[1:]) / 2)[:, None]
        slow = self.trend * (middle - (years[0] + years[-1]) / 2)
        return self.season * np.cos(2 * np.pi * (middle - self.peak)) + slow


def planted_changes(size: WorldSize, seed: int) -> Changes:
    """The planted changes of a world: none unless its size has ``seasonal`` or ``trending`` features."""
    n_features = sum(n for _, n in size.groups) + size.tags
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, _STREAM])))
    chosen = rng.permutation(n_features)[: size.seasonal + size.trending]
    changes = Changes(np.zeros(n_features), np.zeros(n_features), np.zeros(n_features))
    seasonal, trending = chosen[: size.seasonal], chosen[size.seasonal :]
    changes.season[seasonal] = size.season_style
    changes.peak[seasonal] = rng.random(size.seasonal)
    changes.trend[trending] = size.trend_style * rng.choice([-1.0, 1.0], size.trending)
    return changes
