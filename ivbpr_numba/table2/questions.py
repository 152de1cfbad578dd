"""Whom a table asked about what, apart from anybody's answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ivbpr_numba.ranking import COLD_BELOW

if TYPE_CHECKING:
    from ivbpr_numba.questions.protocol import Protocol

__all__ = ["Questions"]


@dataclass(frozen=True)
class Questions:
    """Whom one run of a corpus asked about what: one held-out item a user.

    Attributes
    ----------
    user : (n,) int32
        Row of the user in the corpus; the same one in every run.
    item : (n,) int32
        Row of the held-out item in the corpus.
    bought, owned : (n,) int32
        Training pairs of that item, and of the user.
    """

    user: np.ndarray
    item: np.ndarray
    bought: np.ndarray
    owned: np.ndarray

    @classmethod
    def of(cls, protocol: Protocol) -> Questions:
        """Those of a protocol."""
        owned = np.diff(protocol.data.train.indptr)[protocol.asked.users]
        arrays = (protocol.asked.users, protocol.asked.targets, protocol.bought, owned)
        return cls(*(one.astype(np.int32) for one in arrays))

    def arrays(self) -> dict[str, np.ndarray]:
        """By name."""
        return dict(vars(self))

    @property
    def classes(self) -> np.ndarray:
        """Class of each held-out item: 0 never bought in training, 1 up to four times, 2 more often; int8."""
        return ((self.bought >= 1).astype(np.int8) + (self.bought >= COLD_BELOW)).astype(np.int8)

    def cold(self, below: int) -> np.ndarray:
        """Which held-out items have fewer training pairs, (n,) bool."""
        return self.bought < below
