"""The handlers: what a request asks to a document, that of a command where there is one."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from ivbpr_cli.web.asking import Query, conditions
from ivbpr_cli.web.pictures import Drawings
from ivbpr_cli.web.refusals import Refused
from ivbpr_cli.web.routes import TRENDS
from ivbpr_cli.web.sessions import known, known_user, session_of
from ivbpr_cli.web.trending import Trending
from ivbpr_numba.documents import sessions
from ivbpr_numba.documents.shop import Shop
from ivbpr_numba.errors import UsageError
from ivbpr_numba.parameters import TemporalParameters
from ivbpr_numba.questions.alike import alike
from ivbpr_numba.questions.new_item import Looker, Seen
from ivbpr_numba.questions.session import Session
from ivbpr_numba.report.item_pictures import ItemPictures

__all__ = ["HANDLERS", "Served"]

Content = dict[str, Any]


@dataclass
class Served:
    """What all requests share.

    Attributes
    ----------
    shop : Shop
    photos : ItemPictures or None
        Of the products.
    network : Looker or None
        What reads the photos of visitors.
    title : str
        Headline of the page.
    """

    shop: Shop
    photos: ItemPictures | None = None
    network: Looker | None = None
    title: str | None = None
    drawings: Drawings = field(init=False)
    trending: Trending = field(init=False)

    def __post_init__(self) -> None:
        self.drawings, self.trending = Drawings(self.shop), Trending(self.shop)

    def ready(self) -> None:
        """Make what the first visitor would wait for: what is known of the shop, and a first list."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # it is said to every visitor whom it concerns
            self.shop.facts()
            self.shop.items()
            for index in (self.shop.items_by_text, self.shop.users_by_text):
                index.search("a", 1)
            session = Session(self.shop.model, self.shop.data.users[0], features=self.shop.features)
            sessions.recommend(session, 1)
            if self.shop.features is not None:
                sessions.recommend(session.boost(self.shop.features.names[0]), 1)
            if isinstance(self.shop.model.parameters_, TemporalParameters):
                self.trending.of((), TRENDS)
            with suppress(UsageError):  # RAND has no taste to find
                new = Session(self.shop.model, likes=self.shop.data.items[:1], features=self.shop.features)
                sessions.recommend(new, 1)

    def conditions(self, query: Query) -> dict[str, list[str]]:
        """Wanted values by column of the items."""
        return conditions(query, self.shop.data.item_columns)

    def with_pictures(self, cards: Iterable[Content]) -> list[Content]:
        """Each item with ``image``, its address or None, and ``drawn``: whether that is no photo."""
        found = []
        for card in cards:
            photo = self.photos is not None and card["item"] in self.photos
            some = photo or self.shop.features is not None
            image = f"/images/{quote(card['item'], safe='')}" if some else None
            found.append({**card, "image": image, "drawn": bool(some and not photo)})
        return found

    def cards(self, items: Iterable[Content]) -> list[Content]:
        """Rows of a list of items, with what is shown of them."""
        listed = list(items)
        ids = [row["item"] for row in listed]
        cards = self.shop.cards(self.shop.data.items.find(ids)) if ids else []
        return self.with_pictures({**card, **row} for card, row in zip(cards, listed))


def model(served: Served, query: Query, _: str) -> Content:
    found = served.shop.facts(served.title).as_dict()
    return {**found, "images": served.photos is not None, "photo": served.network is not None}


def recommend(served: Served, query: Query, _: str) -> Content:
    session = session_of(served.shop, query)
    found = sessions.recommend(session, query.number("n"), where=served.conditions(query)).as_dict()
    named = set() if served.shop.features is None else set(served.shop.features.names)
    for row in found["items"]:
        row["because"] = [_reason(reason, named) for reason in row["because"]]
    found["items"] = served.cards(found["items"])
    found["session"] = {**found["session"], "url": query.link("n")}
    return found


def _reason(reason: Content, named: set[str]) -> Content:
    feature = reason["term"] if reason["term"] in named else None
    return {**reason, "kind": reason.get("kind", "attribute"), "feature": feature}


def explain(served: Served, query: Query, _: str) -> Content:
    item = query.one("item")
    if item is None:
        raise Refused(400, "Which item?", "Name it with item=ID.")
    item = known(served.shop.data.items, item)
    return sessions.explain(session_of(served.shop, query), item).as_dict()


def affinity(served: Served, query: Query, _: str) -> Content:
    return sessions.affinity(session_of(served.shop, query), query.number("n")).as_dict()


def users(served: Served, query: Query, _: str) -> Content:
    return served.shop.users(query.one("q") or "", query.number("n")).as_dict()


def user(served: Served, query: Query, name: str) -> Content:
    found = served.shop.user(known_user(served.shop, name)).as_dict()
    return {**found, "items": served.with_pictures(found["items"])}


def items(served: Served, query: Query, _: str) -> Content:
    where = served.conditions(query)
    found = served.shop.items(query.one("q") or "", query.number("n"), where).as_dict()
    return {**found, "items": served.with_pictures(found["items"])}


def item(served: Served, query: Query, name: str) -> Content:
    found = served.shop.item(known(served.shop.data.items, name)).as_dict()
    (card,) = served.with_pictures([found])
    return {**card, "similar": served.with_pictures(found["similar"])}


def trends(served: Served, query: Query, _: str) -> Content:
    found, examples = served.trending.of(tuple(query.all("feature")), query.number("n"))
    shown = [{"feature": name, "items": served.cards(rows)} for name, rows in examples.items()]
    return {**found, "examples": shown}


def photo(served: Served, query: Query, seen: Seen) -> Content:
    """What a photo was read as; `seen` is what the network gave."""
    user = query.one("user")
    if user is not None:
        user = known_user(served.shop, user)
    found = alike(served.shop.model, seen, query.number("n"), user, query.one("at"), served.shop.features)
    return {"schema": "ivbpr.photo/1", **found, "items": served.cards(found["items"])}


HANDLERS: dict[str, Callable[..., Content]] = {
    one.__name__: one
    for one in (model, recommend, explain, affinity, users, user, items, item, trends, photo)
}
