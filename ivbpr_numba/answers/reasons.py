"""Why items are recommended: the attributes that raise each score most, for many shoppers at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ivbpr_numba.answers.explaining import Centred
from ivbpr_numba.errors import DataError, UsageError
from ivbpr_numba.parameters import VisualParameters

if TYPE_CHECKING:
    from ivbpr_numba.answers.shoppers import Shoppers
    from ivbpr_numba.answers.views import View

__all__ = ["BECAUSE", "Reasons", "has_reasons", "reasons_of"]

BECAUSE = 3  # reasons beside a recommendation
BYTES = 64 << 20  # contributions held at once
LOOKED_AT = 256  # items that tell how many attributes one has

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
    centred, theta = Centred.of(parameters, record), shoppers.visual(view)
    longest = max((len(own) for own in items), default=0)
    step = max(1, BYTES // (8 * _usual_columns(view) * max(1, longest)))
    found: list[list[Reasons]] = []
    for start in range(0, len(items), step):
        block = items[start : start + step]
        user = np.repeat(np.arange(start, start + len(block)), [len(own) for own in block])
        distinct, place = np.unique(np.concatenate(block).astype(np.int64), return_inverse=True)
        present = Present.of(view, distinct)
        rows = iter(_reasons(centred, theta, user, place, present, record.names, first))
        found += [[next(rows) for _ in own] for own in block]
    return found


@dataclass(frozen=True)
class Present:
    """The attributes that some items have, ascending within an item: few of one-hot columns.

    Attributes
    ----------
    indptr : (m + 1,) int64
    columns : (n,) int64
    values : (n,) float64
        Stored times scale, none of them 0.
    """

    indptr: np.ndarray
    columns: np.ndarray
    values: np.ndarray

    @classmethod
    def of(cls, view: View, item_rows: np.ndarray) -> Present:
        """Read them, not too many rows at once."""
        assert view.fitted.features is not None
        step = max(1, BYTES // (8 * len(view.fitted.features.names)))
        sizes, columns, values = [], [np.zeros(0, np.int64)], [np.zeros(0)]
        for start in range(0, len(item_rows), step):
            block = view.values(item_rows[start : start + step])
            row, column = np.nonzero(block)
            sizes.append(np.bincount(row, minlength=len(block)))
            columns.append(column)
            values.append(block[row, column])
        indptr = np.concatenate([[0], np.cumsum(np.concatenate(sizes))]) if sizes else np.zeros(1, np.int64)
        return cls(indptr, np.concatenate(columns), np.concatenate(values))


def _usual_columns(view: View) -> int:
    """About how many attributes an item has: the most among some of the catalogue."""
    some = np.unique(np.linspace(0, len(view.fitted.data.items) - 1, LOOKED_AT).astype(np.int64))
    return max(1, int(np.diff(Present.of(view, some).indptr).max()))


def _reasons(
    centred: Centred,
    theta: np.ndarray,
    user: np.ndarray,
    place: np.ndarray,
    present: Present,
    names: Sequence[str],
    first: int | None,
) -> Iterator[Reasons]:
    """The reasons of pairs: a row of `theta` and an item of `present` each."""
    sizes = np.diff(present.indptr)
    step = max(1, BYTES // (8 * max(1, int(sizes.max(initial=0)))))
    for start in range(0, len(user), step):
        own, which = user[start : start + step], place[start : start + step]
        lanes = np.arange(int(sizes[which].max(initial=0)))
        there = lanes < sizes[which][:, None]
        at = np.where(there, present.indptr[which][:, None] + lanes, 0)
        if not at.size:
            yield from ([] for _ in own)
            continue
        columns, values = present.columns[at], present.values[at]
        contribution = np.zeros(at.shape)
        for d, row in enumerate(centred.taste):  # as `by_taste`, whose bits explanations have
            contribution += theta[own, d, None].astype(np.float64) * row[columns]
        contribution = contribution * values + centred.common[columns] * values
        contribution[~there] = -np.inf
        yield from _largest(contribution, columns, names, first)


def _largest(
    contribution: np.ndarray, columns: np.ndarray, names: Sequence[str], first: int | None
) -> list[Reasons]:
    """`BECAUSE` reasons of each row of contributions of columns, (n, P); the rows are used up."""
    every = np.arange(len(contribution))
    chosen, amounts = [], []
    for turn in range(min(BECAUSE, contribution.shape[1])):
        leading = turn == 0 and first is not None
        lane = ((columns == first) & (contribution > -np.inf) if leading else contribution).argmax(axis=1)
        amount = contribution[every, lane]
        chosen.append(columns[every, lane])
        amounts.append(np.where((amount > 0) | leading, amount, np.nan))
        contribution[every, lane] = -np.inf
    return [
        [
            {"term": names[column], "contribution": amount}
            for column, amount in zip(of_row, own)
            if amount == amount
        ]
        for of_row, own in zip(np.stack(chosen, 1).tolist(), np.stack(amounts, 1).tolist())
    ]
