"""The dates of epochs, as every answer names them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np

__all__ = ["epoch_dates"]

DAY = 86_400


def epoch_dates(edges: np.ndarray) -> list[tuple[str, str]]:
    """First and last date of each epoch: the days whose beginning lies in it.

    With an epoch of less than two days, its first and last second instead.

    Parameters
    ----------
    edges : (N + 1,) int64
        Seconds.
    """
    whole = min(np.diff(edges), default=0) >= 2 * DAY
    found = []
    for n, (start, stop) in enumerate(pairwise(edges.tolist())):
        first, last = _moment(start), _moment(stop - 1)
        if whole:
            # Times before the first epoch count to it, so it has its day from the beginning.
            begins = first if n == 0 or start % DAY == 0 else first + timedelta(days=1)
            found.append((begins.date().isoformat(), last.date().isoformat()))
        else:
            found.append((f"{first:%Y-%m-%dT%H:%M:%S}", f"{last:%Y-%m-%dT%H:%M:%S}"))
    return found


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
