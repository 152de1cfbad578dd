"""Where a fit begins, if not at random: at the parameters of an earlier one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ivbpr_numba.errors import UsageError
from ivbpr_numba.features.alignment import Scaling
from ivbpr_numba.parameters import Parameters
from ivbpr_numba.store.digest import digest_objects
from ivbpr_numba.store.tree import as_canonical

__all__ = ["OF_ITEMS", "OF_USERS", "Start"]

OF_USERS = ("user_factors", "user_visual")  # a row a user
OF_ITEMS = {"item_bias": 0, "item_factors": 0, "item_bias_drift": 1}  # and their axis of items


@dataclass(frozen=True)
class Start:
    """What a fit takes over from an earlier one; all else starts as ever.

    Rows of the new data are told which rows of the earlier fit they go on from, so the new data may have
    other users and items, and may have a user twice.

    Attributes
    ----------
    parameters : Parameters or None
        Learned values to begin with; None: the usual start.
    users : (U,) int64 or None
        For each user of the new data his row in `parameters`, −1 for somebody new; None: the same users.
    items : (I,) int64 or None
        Likewise for the items.
    epoch_edges : (N + 1,) int64 or None
        Seconds: epochs of a model in time that stay where they are. None: they are learned.
    scaling : Scaling or None
        Shift and multiplier of the features that stay as they are. None: they are found as ever.
    facts : dict
        For the provenance; nothing that is learned depends on them.
    """

    parameters: Parameters | None = None
    users: np.ndarray | None = None
    items: np.ndarray | None = None
    epoch_edges: np.ndarray | None = None
    scaling: Scaling | None = None
    facts: dict[str, Any] = field(default_factory=dict)

    def digest(self) -> str:
        """Of all of it: two fits that continue each other have it in common."""
        parts = {"/users": self.users, "/items": self.items, "/epoch_edges": self.epoch_edges}
        if self.scaling is not None:
            parts |= {"/shift": self.scaling.shift, "/multiplier": self.scaling.multiplier}
        if self.parameters is not None:
            parts |= {f"/params/{name}": array for name, array in self.parameters.arrays().items()}
        return digest_objects(
            {path: as_canonical(value) for path, value in parts.items() if value is not None}
        )

    def take_over(self, named: dict[str, np.ndarray]) -> None:
        """Write what is known into the arrays that learning begins with, by name and in place.

        Raises
        ------
        UsageError
            The earlier model had other parameters or shapes, or the rows are not those of the new data.
        """
        if self.parameters is None:
            return
        known = self.parameters.arrays()
        for name, begun in named.items():
            if name not in known:
                raise _unlike(name)
            source, rows = known[name], None
            if name in OF_USERS:
                rows = self.users
            elif name in OF_ITEMS:
                rows = self.items
                axis = OF_ITEMS[name]
                begun, source = np.moveaxis(begun, axis, 0), np.moveaxis(source, axis, 0)
            rows = np.arange(len(source)) if rows is None else rows
            if len(rows) != len(begun) or begun.shape[1:] != source.shape[1:]:
                raise _unlike(name)
            if rows.max(initial=-1) >= len(source):
                raise _unlike(name)
            begun[rows >= 0] = source[rows[rows >= 0]]


def _unlike(name: str) -> UsageError:
    return UsageError(
        f"The start has no {name} of the size that this fit learns.",
        "Start from a model of the same kind and options.",
    )
