"""From the parameters of a request to the session that they describe."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ivbpr_cli.web.asking import Query, split_amount
from ivbpr_cli.web.refusals import Refused
from ivbpr_numba.errors import DataError
from ivbpr_numba.questions.session import Session

if TYPE_CHECKING:
    from ivbpr_numba.documents.shop import Shop
    from ivbpr_numba.ids import Ids

__all__ = ["known", "known_user", "session_of"]

STEPS = ("boost", "toward")


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
    for name, value in query.pairs:
        if name in STEPS and value:
            target, amount = split_amount(value)
            if name == "boost":
                session = session.boost(target, amount)
            else:
                session = session.toward(known(shop.data.items, target), amount)
    return session


def known(ids: Ids, text: str) -> str:
    """An id that is among those known.

    Raises
    ------
    Refused
        404.
    """
    try:
        return ids[ids.row(text)]
    except DataError as problem:
        raise Refused(404, problem.message, problem.hint) from None


def known_user(shop: Shop, text: str) -> str:
    """A shopper whom the model knows; 404 names some to try."""
    from ivbpr_numba.answers.shoppers import row_of_user

    try:
        return shop.data.users[row_of_user(shop.data, text)]
    except DataError as problem:
        raise Refused(404, problem.message, problem.hint) from None
