"""Where a fit begins, if not at random: at the parameters of an earlier one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ivbpr_numba.errors import UsageError
from ivbpr_numba.parameters import Parameters
from ivbpr_numba.store.digest import digest_objects
from ivbpr_numba.store.tree import as_canonical

if TYPE_CHECKING:
    from ivbpr_numba.datasets.dataset import Dataset

__all__ = ["Start"]

OF_USERS = {"user_factors": 0, "user_visual": 0}  # parameters with an axis of users, and which one
OF_ITEMS = {"item_bias": 0, "item_factors": 0, "item_bias_drift": 1}


@dataclass(frozen=True)
class Start:
    """What a fit takes over from an earlier one; all else starts as ever.

    Rows of the new data are told which rows of the earlier fit they go on from, so the new data may have
    other users and items, and may have a user twice.

    Attributes
    ----------
    users : (U,) int64
        For each user of the new data his row in `parameters`, −1 for somebody new.
    items : (I,) int64
        Likewise for the items.
    parameters : Parameters or None
        Learned values to begin with; None: the usual start.
    epoch_edges : (N + 1,) int64 or None
        Seconds: epochs of a model in time that stay where they are. None: they are learned.
    """

    users: np.ndarray
    items: np.ndarray
    parameters: Parameters | None = None
    epoch_edges: np.ndarray | None = None

    def digest(self) -> str:
        """Of all of it: two fits that continue each other have it in common."""
        parts = {"/users": self.users, "/items": self.items}
        if self.parameters is not None:
            parts |= {f"/params/{name}": array for name, array in self.parameters.arrays().items()}
        if self.epoch_edges is not None:
            parts["/epoch_edges"] = self.epoch_edges
        return digest_objects({path: as_canonical(value) for path, value in parts.items()})

    def check(self, data: Dataset) -> None:
        """Refuse a start that was made for other data.

        Raises
        ------
        UsageError
        """
        for what, rows, ids in (("users", self.users, data.users), ("items", self.items, data.items)):
            if len(rows) != len(ids):
                raise UsageError(
                    f"The start speaks of {len(rows):,} {what}, the data have {len(ids):,}.",
                    "Give one row, or −1, for each of them.",
                )

    def take_over(self, named: dict[str, np.ndarray]) -> None:
        """Write what is known into the arrays that learning begins with, by name and in place.

        Raises
        ------
        UsageError
            The earlier model had other parameters or shapes.
        """
        known = self.parameters.arrays() if self.parameters is not None else {}
        for name, values in named.items():
            if name not in known:
                if known:
                    raise _unlike(name)
                continue
            rows, axis = (
                (self.users, OF_USERS[name])
                if name in OF_USERS
                else (self.items, OF_ITEMS[name])
                if name in OF_ITEMS
                else (None, 0)
            )
            if rows is None:
                if values.shape != known[name].shape:
                    raise _unlike(name)
                values[...] = known[name]
                continue
            begun, source = np.moveaxis(values, axis, 0), np.moveaxis(known[name], axis, 0)
            if begun.shape[1:] != source.shape[1:] or rows.max(initial=-1) >= len(source):
                raise _unlike(name)
            begun[rows >= 0] = source[rows[rows >= 0]]


def _unlike(name: str) -> UsageError:
    return UsageError(
        f"The start has no {name} of the size that this fit learns.",
        "Start from a model of the same kind and options.",
    )
