"""The steps of a visit: what a shopper asks for, one thing at a time, checked and by its canonical name."""

from __future__ import annotations

import math
import re
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ivbpr_numba import expected
from ivbpr_numba.errors import DataError, UsageError, parameter
from ivbpr_numba.parameters import VisualParameters

if TYPE_CHECKING:
    from ivbpr_numba.answers.views import View

__all__ = [
    "AMOUNTS",
    "Step",
    "boost",
    "item_row",
    "like",
    "read_steps",
    "split_amount",
    "steps_of",
    "told",
    "toward",
]

# One step where nobody says how much; simulated shoppers decided (benchmarks/STEERING.md).
AMOUNTS = {"model": {"boost": 1.0, "toward": 1.0}, "knn": {"boost": 1.0, "toward": 1.0}}
MOST = 1000.0  # of an amount; more would drown the scores in rounding
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
KINDS = {"boost": "feature", "toward": "item", "like": "item", "unlike": "item"}


class Step(NamedTuple):
    """One thing that was asked for.

    Attributes
    ----------
    kind : str
        ``boost``, ``toward``, ``like`` or ``unlike``.
    row : int
        Column of the feature, or row of the item.
    amount : float
        0 of likes, which have none.
    """

    kind: str
    row: int
    amount: float = 0.0


def boost(view: View, feature: object, amount: object, how: str) -> Step:
    """More of a feature, or less where `amount` is below 0; None is the usual amount of the ranking `how`.

    Raises
    ------
    UsageError
        The model knows no attributes; an unknown or ambiguous name; an amount that is no finite number.
    """
    names = _named_features(view)
    expected.text("boost", feature)
    return Step("boost", names.column(str(feature)), _amount("boost", amount, how))


def toward(view: View, item: object, amount: object, how: str) -> Step:
    """Like an item, or unlike it where `amount` is below 0.

    Raises
    ------
    UsageError
        See `boost`.
    DataError
        An unknown item.
    """
    _named_features(view)
    return Step("toward", item_row(view, item), _amount("toward", amount, how))


def like(view: View, item: object, kind: str = "like") -> Step:
    """An item that a new shopper likes, or, of the kind ``unlike``, no longer does.

    Raises
    ------
    DataError
        An unknown item.
    """
    return Step(kind, item_row(view, item))


def item_row(view: View, item: object) -> int:
    """Row of an item by id; an unknown one is a `DataError` with a hint."""
    return int(view.fitted.data.items.row(item))


def told(view: View, step: Step) -> dict[str, Any]:
    """A step as people and files read it; see `questions.session.Session.steps`."""
    if step.kind == "boost":
        assert view.fitted.features is not None
        return {"step": "boost", "feature": view.fitted.features.names[step.row], "amount": step.amount}
    named = {"step": step.kind, "item": view.fitted.data.items[step.row]}
    return named | ({"amount": step.amount} if step.kind == "toward" else {})


def read_steps(view: View, listed: object, how: str) -> list[Step]:
    """Steps as `told` gives them.

    Raises
    ------
    DataError
        A list of something else.
    """
    if not isinstance(listed, list):
        raise DataError("'steps' of the session is no list.", "Save the session again.")
    found = []
    for number, one in enumerate(listed, 1):
        kind = str(one.get("step")) if isinstance(one, Mapping) else ""
        name = one.get(KINDS[kind]) if kind in KINDS else None
        amount = one.get("amount") if kind in AMOUNTS[how] else 0.0
        if not isinstance(name, str) or isinstance(amount, bool) or not isinstance(amount, int | float):
            raise DataError(f"Step {number} of the session can't be read.", "Save the session again.")
        if kind == "boost":
            found.append(boost(view, name, amount, how))
        elif kind == "toward":
            found.append(toward(view, name, amount, how))
        else:
            found.append(like(view, name, kind))
    return found


def steps_of(view: View, boosts: object, towards: object, how: str) -> list[Step]:
    """What one call asks for.

    Parameters
    ----------
    boosts : mapping of feature to amount, or None
    towards : mapping of item to amount, list of items, one item, or None

    Raises
    ------
    UsageError, DataError
        They are something else; see `boost` and `toward`.
    """
    found = []
    if boosts is not None:
        if not isinstance(boosts, Mapping):
            raise UsageError(
                f"{parameter('boost', boosts)}: it is no mapping of features to amounts.",
                'Give a number for each: {"leather": 0.5}.',
            )
        found += [boost(view, feature, amount, how) for feature, amount in boosts.items()]
    if towards is not None:
        if isinstance(towards, Mapping):
            pairs: Iterable[tuple[object, object]] = towards.items()
        elif isinstance(towards, Sequence) and not isinstance(towards, str | bytes):
            pairs = [(item, None) for item in towards]
        else:
            pairs = [(towards, None)]
        found += [toward(view, item, amount, how) for item, amount in pairs]
    return found


def split_amount(text: str, mark: str = "=", known: Container[str] = ()) -> tuple[str, float | None]:
    """A name and the amount behind the last `mark`, None where no number follows: ``leather=0.5``.

    Parameters
    ----------
    text, mark : str
    known : container of str
        Names that are taken whole, whatever they end with: ``size=38``.
    """
    name, found, amount = text.rpartition(mark)
    if not (found and name and NUMBER.fullmatch(amount.strip())) or text in known:
        return text, None
    return name, float(amount)


def _named_features(view: View) -> Any:
    if not isinstance(view.parameters, VisualParameters):
        raise UsageError(
            f"{view.fitted.name} knows no attributes: there is nothing to ask for more or less of.",
            "Ask vbpr, i-vbpr or a model in time.",
        )
    return view.views.find_features()


def _amount(name: str, value: object, how: str) -> float:
    if value is None:
        return AMOUNTS[how][name]
    try:
        found = math.nan if isinstance(value, bool | str | bytes) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        found = math.nan
    if not abs(found) <= MOST:
        raise UsageError(
            f"{parameter(name, value)}: an amount is a number from {-MOST:g} to {MOST:g}.",
            f"Leave it out for {AMOUNTS[how][name]:g}; below 0 is less.",
        )
    return found
