"""Why items are recommended: the attributes that raise each score most, for many shoppers at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ivbpr_numba.answers.explaining import sensitivities
from ivbpr_numba.errors import DataError, UsageError
from ivbpr_numba.parameters import VisualParameters

if TYPE_CHECKING:
    from ivbpr_numba.answers.shoppers import Shoppers
    from ivbpr_numba.answers.views import View

__all__ = ["BECAUSE", "Reasons", "has_reasons", "reasons_of"]

BECAUSE = 3  # reasons beside a recommendation
BYTES = 64 << 20  # contributions held at once

Reasons = list[dict[str, Any]]


def has_reasons(view: View, wanted: bool | None) -> bool:
    """Whether recommendations get reasons.

    Parameters
    ----------
    view : View
    wanted : bool or None
        None: where they can be had. Scores are kept in the model, values of the items are not: where the
        features are gone or damaged there are no reasons, and the view remarks it.

    Raises
    ------
    UsageError, DataError
        They are wanted, and the features are gone or damaged.
    """
    if wanted is False or not isinstance(view.parameters, VisualParameters):
        return False
    try:
        view.views.find_features()
    except (UsageError, DataError) as problem:
        if wanted:
            raise
        if view.views.damage is None:  # said already
            view.remark(f"There are no reasons: {problem.message}")
        return False
    return True


def reasons_of(
    view: View, shoppers: Shoppers, items: Sequence[np.ndarray], first: int | None = None
) -> list[list[Reasons]]:
    """The attributes that raise each score most, the strongest first.

    Parameters
    ----------
    view : View
        Of a visual model.
    shoppers : Shoppers, m
    items : m arrays of item rows
    first : int, optional
        A column that stands first, whatever it contributes.

    Returns
    -------
    list of m lists, for each item a list of dict
        ``term contribution``, at most `BECAUSE`: `first`, then contributions above 0, of equal ones the
        smaller column first. They are those of `explaining.terms_of`.
    """
    parameters, record = view.parameters, view.fitted.features
    assert isinstance(parameters, VisualParameters) and record is not None
    theta, columns = shoppers.visual(view), len(record.names)
    longest = max((len(own) for own in items), default=0)
    step = max(1, BYTES // (8 * columns * max(1, longest)))
    found: list[list[Reasons]] = []
    for start in range(0, len(items), step):
        block = items[start : start + step]
        felt = sensitivities(parameters, record, theta[start : start + step])
        user = np.repeat(np.arange(len(block)), [len(own) for own in block])
        distinct, place = np.unique(np.concatenate(block).astype(np.int64), return_inverse=True)
        values = view.values(distinct)[place]
        contribution = felt.you[user] * values + felt.everyone * values
        rows = iter(_largest(contribution, record.names, first))
        found += [[next(rows) for _ in own] for own in block]
    return found


def _largest(contribution: np.ndarray, names: Sequence[str], first: int | None) -> list[Reasons]:
    """`BECAUSE` reasons of each row, (n, F); the rows are used up."""
    every = np.arange(len(contribution))
    chosen, amounts = [], []
    for turn in range(min(BECAUSE, len(names))):
        leading = turn == 0 and first is not None
        column = np.full(len(every), first) if leading else contribution.argmax(axis=1)
        amount = contribution[every, column]
        chosen.append(column)
        amounts.append(np.where((amount > 0) | leading, amount, np.nan))
        contribution[every, column] = -np.inf
    return [
        [
            {"term": names[column], "contribution": amount}
            for column, amount in zip(columns, own)
            if amount == amount
        ]
        for columns, own in zip(np.stack(chosen, 1).tolist(), np.stack(amounts, 1).tolist())
    ]
