"""``ivbpr explain``: the terms of one score."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from ivbpr_cli.commands.options import argument, option
from ivbpr_cli.output import Answer, Row, Screen, Table
from ivbpr_cli.paths import input_file

__all__ = ["explain", "term_rows"]

SHOWN = 15  # terms in the table; the rest is one line


def explain(
    screen: Screen,
    model: Annotated[Path, argument("A file written by 'ivbpr fit'.")],
    user: Annotated[str, argument("The user's id.")],
    item: Annotated[str, argument("The item's id.")],
    at: Annotated[
        str | None, option("Date for a model in time; the last epoch where not given.", metavar="DATE")
    ] = None,
    features: Annotated[Path | None, option("Feature file, if it is not where the model says.")] = None,
) -> None:
    """Why an item has its score: one term an attribute, compared with the average item; they sum to it."""
    input_file(model, "model")
    if features is not None:
        input_file(features, "feature file")

    from ivbpr_numba.documents import items as documents
    from ivbpr_numba.features.features import Features
    from ivbpr_numba.models import load

    fitted = load(model)
    given = Features.read(features) if features is not None else None
    document = documents.explain(fitted, user, item, at=at, features=given)
    found = document.content
    title = f"{found['item']} for {user}, by {fitted.name}"
    if found["title"]:
        title = f"{found['title']} ({title})"
    notes = []
    if any(term["kind"] == "attribute" for term in found["terms"]):
        notes.append(
            "Attributes compare with the average item; 'you' is this user's taste, 'everyone' the common one."
        )
    if any(term["kind"] == "level" for term in found["terms"]):
        notes.append("A level is the same for all items that have the group.")
    table = Table(list(term_rows(found)), title)
    screen.show(Answer.of(document, [table], notes))


def term_rows(found: Row) -> list[dict[str, Any]]:
    """The terms as a table that ends with the sum; many small attributes become one line."""
    terms = found["terms"]
    attributes = [term for term in terms if term["kind"] == "attribute"]
    folded = attributes[SHOWN:]
    rows = [_row(term) for term in terms if term not in folded and term["kind"] != "level"]
    if folded:
        total = {key: sum(term[key] for term in folded) for key in ("contribution", "you", "everyone")}
        rows.append(_row({"term": f"{len(folded)} more attributes", "kind": "attribute", **total}))
    rows += [_row(term) for term in terms if term["kind"] == "level"]
    return [*rows, _row({"term": "score", "kind": "sum", "contribution": found["score"]})]


def _row(term: dict[str, Any]) -> dict[str, Any]:
    return {key: term.get(key) for key in ("term", "kind", "contribution", "you", "everyone")}
