"""Items of the catalogue that look like a photo: nearest to what a network sees in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ivbpr_numba.answers.affinity import nearest, shares_of
from ivbpr_numba.answers.answers import rows_of
from ivbpr_numba.errors import DataError, UsageError
from ivbpr_numba.questions.new_item import ordered, stand, values_for
from ivbpr_numba.questions.unbought import NewItems, record_of

if TYPE_CHECKING:
    from ivbpr_numba.features.features import Features
    from ivbpr_numba.models.base import Model
    from ivbpr_numba.questions.new_item import Seen

__all__ = ["alike"]

READ_AS = 24  # attributes that are told


def alike(
    model: Model,
    seen: Seen,
    n: int = 12,
    user: object = None,
    at: object = None,
    features: Features | None = None,
) -> dict[str, Any]:
    """The items nearest to a photo, by the cosine of their attributes and what was seen.

    Parameters
    ----------
    model : Model
        A fitted one that learned from attributes.
    seen : Seen
        Of one product.
    n : int
        At most so many items.
    user : id, optional
        Also where the product would stand for this one, as if nobody had bought it.
    at : date, optional
        For models in time.
    features : Features, optional
        Those of the fit, where they aren't at the recorded path.

    Returns
    -------
    dict
        ``model at attributes items standing notes warnings``: attributes are rows ``feature value``, the
        most probable first; items rows ``rank item title score because``, the score being the cosine;
        standing is ``user score rank of percentile terms``, or None without a user.

    Raises
    ------
    UsageError, DataError
        The model knows no named attributes, or the network other ones; an unknown user.
    """
    if record_of(model).kind != "attributes":
        raise UsageError(f"{model.name} learned from nameless features.", "Ask a model of named attributes.")
    values, notes = values_for(model, seen, features)
    view = model.view(at, features)
    share = shares_of(values)
    if share is None:
        raise DataError("The network sees nothing in this photo.", "Give another one.")
    allowed = np.ones(len(model.data_.items), dtype=bool)
    items, scores = nearest(view, share, n, np.zeros(0, np.int64), allowed)
    standing = None
    remarks = list(view.remarks)
    if user is not None:
        products = NewItems(model, values[None], at, features)
        (standing,) = stand(model, products, user, n)
        standing["terms"] = products.terms(model.data_.users.row(user))
        remarks += products.remarks
    return {
        "model": model.name,
        "at": at,
        "attributes": ordered(seen.names, seen.values)[:READ_AS],
        "items": rows_of(model.data_, items, scores),
        "standing": standing,
        "notes": [*seen.notes, *notes],
        "warnings": list(dict.fromkeys(remarks)),
    }
