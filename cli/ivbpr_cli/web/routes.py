"""What can be asked of the server: every address with its parameters, and the bounds of their values.

Requests are read by this table and the OpenAPI document is made of it, so that the two agree.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["MOST_BYTES", "ROUTES", "TRENDS", "Parameter", "Route"]

LONGEST = 300  # characters of a value
MOST_BYTES = 10_000_000  # of a photo
TRENDS = 8  # attributes whose trends are shown unasked


@dataclass(frozen=True)
class Parameter:
    """One parameter of a query.

    Attributes
    ----------
    name, help : str
    kind : str
        ``text`` or ``number``, a whole one.
    most : int
        How often it may stand in a query.
    default : int or None
        Of a number.
    low, high : int
        Bounds of a number.
    choices : tuple of str
        What a text may be, where that is not anything.
    """

    name: str
    help: str
    kind: str = "text"
    most: int = 1
    default: int | None = None
    low: int = 1
    high: int = 100
    choices: tuple[str, ...] = ()

    def schema(self) -> dict[str, Any]:
        """Its JSON schema."""
        if self.kind == "number":
            return {"type": "integer", "minimum": self.low, "maximum": self.high, "default": self.default}
        one: dict[str, Any] = {"type": "string", "maxLength": LONGEST}
        if self.choices:
            one["enum"] = list(self.choices)
        return one if self.most == 1 else {"type": "array", "maxItems": self.most, "items": one}


@dataclass(frozen=True)
class Route:
    """One address.

    Attributes
    ----------
    path : str
        With ``{id}`` where an id stands.
    handler : str
        Name of the function that answers.
    summary : str
    parameters : mapping of str to Parameter
    id_help : str
        What ``{id}`` is.
    method : str
        ``GET``, which answers HEAD too, or ``POST``.
    media : str
        Type of the answer.
    also : mapping of int to str
        Statuses other than 200 that are no matter of wrong parameters.
    """

    path: str
    handler: str
    summary: str
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    id_help: str = ""
    method: str = "GET"
    media: str = "application/json"
    also: Mapping[int, str] = field(default_factory=dict)


def _named(*parameters: Parameter) -> Mapping[str, Parameter]:
    return {one.name: one for one in parameters}


def _number(default: int, high: int, help: str) -> Parameter:
    return Parameter("n", help, "number", default=default, high=high)


USER = Parameter("user", "Id of a shopper; without it the shopper is new.")
AT = Parameter("at", "Date for a model in time; the last epoch where not given.")
WHERE = Parameter(
    "where", "COLUMN:VALUE of a kept column; same column: or, other column: and.", most=50
)  # fmt: skip
SESSION = (
    USER,
    Parameter("like", "Id of an item that a new shopper likes.", most=50),
    AT,
    Parameter("by", "Rank by the model, or by nearness to the affinity.", choices=("model", "knn")),
    Parameter("boost", "ATTRIBUTE or ATTRIBUTE:AMOUNT; below 0 for less.", most=50),
    Parameter("toward", "ITEM or ITEM:AMOUNT; below 0 for away from it.", most=50),
)
Q = Parameter("q", "Part of an id or title.")
UNKNOWN = {404: "There is no such user or item."}

ROUTES = (
    Route(
        "/api/model",
        "model",
        "The shop at a glance: counts, epochs, filters, attributes with their shares, test metrics.",
    ),
    Route(
        "/api/recommend",
        "recommend",
        "The best items for a shopper, steps included, with reasons.",
        _named(*SESSION, _number(10, 100, "At most so many items."), WHERE),
        also=UNKNOWN,
    ),
    Route(
        "/api/explain",
        "explain",
        "The terms of one score, which sum to it.",
        _named(*SESSION, Parameter("item", "Id of the item; required.")),
        also=UNKNOWN,
    ),
    Route(
        "/api/affinity",
        "affinity",
        "The share of each attribute in a shopper's taste (equations 5 to 7), the largest first.",
        _named(*SESSION, _number(20, 2000, "At most so many attributes.")),
        also=UNKNOWN,
    ),
    Route(
        "/api/users",
        "users",
        "Shoppers by a part of their id; without one some with many purchases and some with few.",
        _named(Q, _number(20, 100, "At most so many.")),
    ),
    Route("/api/users/{id}", "user", "The latest purchases of a shopper.", id_help="Shopper.", also=UNKNOWN),
    Route(
        "/api/items",
        "items",
        "Items by a part of their id or title; without one as different ones as can be.",
        _named(Q, _number(24, 100, "At most so many."), WHERE),
    ),
    Route("/api/items/{id}", "item", "What is known of an item; items alike.", id_help="Item.", also=UNKNOWN),
    Route(
        "/api/trends",
        "trends",
        "How the liking of attributes changed over the epochs; without one named those that change most.",
        _named(
            Parameter("feature", "Name of an attribute.", most=20),
            _number(TRENDS, 24, "How many, where none is named."),
        ),
        also={404: "The model knows no time."},
    ),
    Route(
        "/api/photo",
        "photo",
        "What a photo was read as, and the items nearest to that; for a shopper also where it would rank.",
        _named(USER, AT, _number(12, 48, "At most so many items.")),
        method="POST",
        also={
                404: "The server was started without a network, or there is no such user.",
                408: "The photo did not arrive in time.",
                413: "The photo is too large.",
                415: "It is no photo.",
            },
    ),
    Route(
        "/images/{id}",
        "image",
        "The picture of an item: its photo, or a card drawn from its attributes.",
        id_help="Item.",
        media="image/*",
        also=UNKNOWN,
    ),
    Route("/healthz", "health", "Whether the server answers."),
    Route("/openapi.json", "openapi", "This document."),
)  # fmt: skip
