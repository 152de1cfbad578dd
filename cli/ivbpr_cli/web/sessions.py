"""From the parameters of a request to the session that they describe."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ivbpr_cli.web.asking import Query
from ivbpr_cli.web.refusals import Refused
from ivbpr_numba.answers.shoppers import users_to_try
from ivbpr_numba.answers.steps import split_amount
from ivbpr_numba.questions.session import Session

if TYPE_CHECKING:
    from ivbpr_numba.documents.shop import Shop
    from ivbpr_numba.ids import Ids

__all__ = ["known", "known_user", "session_of"]


def session_of(shop: Shop, query: Query) -> Session:
    """The shopper, the ranking and every step, in the order in which they stand.

    Raises
    ------
    Refused
        404 for an unknown shopper or item; 400 for a shopper of the model who likes items.
    UsageError, DataError
        See `Session`.
    """
    user, liked = query.one("user"), [known(shop.data.items, item) for item in query.all("like") if item]
    if user is not None:
        known_user(shop, user)
    if user is not None and liked:
        raise Refused(400, "user= and like= are two shoppers.", "Likes are for a new shopper; drop user=.")
    session = Session(
        shop.model,
        user,
        likes=liked,
        at=query.one("at"),
        by=query.one("by") or "model",
        features=shop.features,
    )
    record, items = shop.model.features_, shop.data.items
    names = record.names if record is not None else ()
    for name, value in query.pairs:
        if name == "boost" and value:
            session = session.boost(*split_amount(value, ":", names))
        elif name == "toward" and value:
            item, amount = split_amount(value, ":", items)
            session = session.toward(known(items, item), amount)
    return session


def known(ids: Ids, text: str) -> str:
    """An id that is among those known.

    Raises
    ------
    Refused
        404. It names no near miss: looking for one among all items takes longer than an answer may.
    """
    if text not in ids:
        raise Refused(404, f"Unknown {ids.what} '{text}'.", f"Search: /api/{ids.what}s?q=PART_OF_THE_ID.")
    return text


def known_user(shop: Shop, text: str) -> str:
    """A shopper whom the model knows; 404 names some to try."""
    if text not in shop.data.users:
        raise Refused(404, f"Unknown user '{text}'.", users_to_try(shop.data))
    return text
