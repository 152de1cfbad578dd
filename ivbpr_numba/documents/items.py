"""Documents about items: the best for a user, those alike, why a score is what it is, a new product."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ivbpr_numba.answers import answers
from ivbpr_numba.answers.answers import Asked
from ivbpr_numba.answers.shoppers import PARTS, row_of_user, stored
from ivbpr_numba.documents.document import Document

if TYPE_CHECKING:
    from ivbpr_numba.features.features import Features
    from ivbpr_numba.models.base import Model

__all__ = [
    "BRIEF",
    "attributes_text",
    "because_text",
    "explain",
    "flat",
    "likely",
    "percent",
    "recommend",
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


def recommend(
    model: Model,
    user: object,
    n: int = 10,
    *,
    at: object = None,
    where: Where | None = None,
    because: str | None = None,
    exclude: Sequence[str] = PARTS,
    reasons: bool | None = None,
    reasons_in_rows: bool = False,
    features: Features | None = None,
) -> Document:
    """The best items for a user; see `Model.recommend`.

    Its content has ``notes``, sentences about the ranking, and ``warnings``, what a reader must know.

    Parameters
    ----------
    reasons_in_rows : bool
        Whether the rows have a column ``because``, the reasons as one text.
    """
    data = model.data_
    row = row_of_user(data, user)
    view = model.view(at, features)
    shopper = stored(view, np.array([row]), exclude)
    asked = Asked.of(view, n, where, because, reasons)
    items = asked.rows(view, shopper)[0]
    note = ""
    if asked.because is not None:
        note = asked.because.ties(data.items.find([item["item"] for item in items]), shopper.owned[1])
    content = {
        "user": data.users[row],
        "at": at,
        "model": model.name,
        "items": items,
        "notes": [note for note in (note, without_reasons(model, reasons)) if note],
        "warnings": view.remarks,
    }
    return Document("recommend", content, flat(items, reasons_in_rows), columns=BRIEF)


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


def explain(
    model: Model, user: object, item: object, *, at: object = None, features: Features | None = None
) -> Document:
    """The terms of one score; see `Model.explain`. Its content has ``warnings``, what a reader must know."""
    data = model.data_
    row, item_row = row_of_user(data, user), data.items.row(item)
    view = model.view(at, features)
    found = answers.explain(view, stored(view, np.array([row])), item_row)
    content = {"user": data.users[row], **found, "at": at, "model": model.name, "warnings": view.remarks}
    return Document("explain", content, found["terms"])


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
    return ", ".join(f"{reason['term']} {signed(reason['contribution'])}" for reason in reasons)


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
