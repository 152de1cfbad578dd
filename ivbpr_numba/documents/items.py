"""Documents about items: those alike, a new product; and what the rows of lists have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ivbpr_numba.documents.document import Document

if TYPE_CHECKING:
    from ivbpr_numba.features.features import Features
    from ivbpr_numba.models.base import Model

__all__ = [
    "BRIEF",
    "attributes_text",
    "because_text",
    "flat",
    "likely",
    "percent",
    "score",
    "score_many",
    "similar",
    "users_text",
    "without_reasons",
]

BRIEF = ("rank", "item", "score")
STANDING = ("score", "rank", "of", "percentile")  # of a product among the items that a user doesn't have
SHOWN = 12  # attributes of a photo that are named; JSON has all
ALIKE = 1e-6  # cosines that differ by less are equal but for rounding
LEAST = 0.05  # probability of an attribute worth naming

Where = Mapping[str, Sequence[str]]


def without_reasons(model: Model, reasons: bool | None) -> str:
    """Why a model can't give the reasons that were asked for; empty where it can."""
    record = model.features_
    if not reasons or (record is not None and record.kind == "attributes"):
        return ""
    return f"{model.name} knows no named attributes, so there are no reasons."


def similar(
    model: Model, item: object, n: int = 10, *, where: Where | None = None, features: Features | None = None
) -> Document:
    """The items nearest to one; see `Model.similar`. Its content has ``notes``, sentences about the list."""
    items = model.similar(item, n, where=where, features=features)
    rows = model.data_.items
    notes = []
    for wanted in (n + 1, len(rows)):  # all are ranked only where the next one ties
        every = model.similar(item, wanted, where=where, features=features)
        more = sum(one["score"] > items[-1]["score"] - ALIKE for one in every[n:])
        if not more:
            break
    if more:
        verb = "item is" if more == 1 else "items are"
        notes = [f"{more:,} more {verb} as near as the last of these."]
    content = {"item": rows[rows.row(item)], "model": model.name, "items": items, "notes": notes}
    return Document("similar", content, flat(items), columns=BRIEF)


def score(found: Mapping[str, Any]) -> Document:
    """A product nobody has bought yet, from what `questions.new_item.judge` returned, without its notes."""
    content = {key: value for key, value in found.items() if key != "notes"}
    keys = ("user", *STANDING)
    if found["user"] is None:
        return Document("score", content, found["users"], columns=keys)
    row = {"image": ", ".join(found["images"]), **{key: found[key] for key in keys}}
    return Document("score", content, [row])


def score_many(found: Mapping[str, Any]) -> Document:
    """Many products nobody has bought yet: what `questions.new_items.judge_many` found, without its notes.

    A row a product: ``item images attributes``, the attributes as one text; then ``user score rank of
    percentile``, or ``users``, those who would like it most as one text.
    """
    content = {key: value for key, value in found.items() if key != "notes"}
    rows = [product_row(product) for product in found["products"]]
    return Document("score", content, rows, columns=("item", "images", "attributes"))


def product_row(product: Mapping[str, Any]) -> dict[str, Any]:
    """A product as a row of `score_many`."""
    row = {
        "item": product["item"],
        "images": ", ".join(product["images"]),
        "attributes": attributes_text(product["attributes"]),
    }
    if product["user"] is not None:
        return row | {key: product[key] for key in ("user", *STANDING)}
    return row | {"users": users_text(product["users"])}


def likely(attributes: Sequence[Mapping[str, Any]], most: int = SHOWN) -> list[Mapping[str, Any]]:
    """The attributes that may well be there, at most so many, of those seen in a photo."""
    return [one for one in attributes if one["value"] >= LEAST][:most]


def attributes_text(attributes: Sequence[Mapping[str, Any]], most: int = SHOWN) -> str:
    """The same as one text."""
    return ", ".join(f"{one['feature']} {one['value']:.2f}" for one in likely(attributes, most))


def users_text(users: Sequence[Mapping[str, Any]]) -> str:
    """Users who would like a product as one text."""
    return ", ".join(f"{one['user']} ({percent(one['percentile'])})" for one in users)


def percent(share: float) -> str:
    """A share as people read it: ``99.6 %``."""
    return f"{100 * share:.1f} %"


def because_text(reasons: Sequence[Mapping[str, Any]]) -> str:
    """Reasons as one text."""
    return ", ".join(f"{_named(reason)} {signed(reason['contribution'])}" for reason in reasons)


def _named(reason: Mapping[str, Any]) -> str:
    """A reason in words: an attribute that was asked for is told from one of the shopper's taste."""
    term = str(reason["term"])
    return f"more {term}" if reason.get("kind") == "boost" and not term.startswith("toward ") else term


def signed(value: float) -> str:
    """With two decimals and its sign; what rounds to nothing has none below it."""
    return f"{round(value, 2) + 0.0:+.2f}"


def flat(items: Sequence[dict[str, Any]], with_reasons: bool = False) -> list[dict[str, Any]]:
    """Recommendations as rows, all of the same columns; one that no item has anything in is left out."""
    columns = [
        name for name in ("rank", "item", "title", "score") if any(item[name] is not None for item in items)
    ]
    rows = [{name: item[name] for name in columns} for item in items]
    if with_reasons:
        for row, item in zip(rows, items):
            row["because"] = because_text(item["because"])
    return rows
