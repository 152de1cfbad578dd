"""``ivbpr explain``: the terms of one score."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from ivbpr_cli.commands.options import argument, option
from ivbpr_cli.commands.users import known_user
from ivbpr_cli.output import Answer, Row, Screen, Table
from ivbpr_cli.paths import input_file
from ivbpr_numba.errors import UsageError

__all__ = ["explain", "term_rows"]

SHOWN = 15  # attributes in the table; the rest is one line
LEAST = 0.00005  # what is below shows as zero


def explain(
    screen: Screen,
    model: Annotated[Path, argument("A file written by 'ivbpr fit'.")],
    user: Annotated[str | None, argument("The user's id.", metavar="USER")] = None,
    item: Annotated[str | None, argument("The item's id.", metavar="ITEM")] = None,
    at: Annotated[
        str | None, option("Date for a model in time; the last epoch where not given.", metavar="DATE")
    ] = None,
    full: Annotated[bool, option("Show every term on its own.")] = False,
    features: Annotated[Path | None, option("Feature file, if it is not where the model says.")] = None,
) -> None:
    """Why an item has its score: one term an attribute, compared with the average item; they sum to it."""
    input_file(model, "model")
    if features is not None:
        input_file(features, "feature file")

    from ivbpr_numba.documents import sessions
    from ivbpr_numba.features.features import Features
    from ivbpr_numba.models import load
    from ivbpr_numba.questions.session import Session

    fitted = load(model)
    known_user(fitted, user, model)
    if item is None:
        raise UsageError("Name an item.", f"Items to try: 'ivbpr recommend {model} {user}'.")
    given = Features.read(features) if features is not None else None
    document = sessions.explain(Session(fitted, user, at=at, features=given), item)
    found = document.content
    title = f"{found['item']} for {user}, by {fitted.name}"
    if found["title"]:
        title = f"{found['title']} ({title})"
    notes = []
    kinds = {term["kind"] for term in found["terms"]}
    if "attribute" in kinds:
        notes.append(
            "Attributes compare with the average item; 'you' is this user's taste, 'everyone' the common one."
        )
    if "level" in kinds:
        text = "A level is the same for all items that have the group"
        notes.append(text + ("." if full else "; --full shows each."))
    table = Table(list(term_rows(found, full)), title)
    screen.show(Answer.of(document, [table], notes))


def term_rows(found: Row, full: bool = False) -> list[dict[str, Any]]:
    """The terms as a table that ends with the sum.

    Unless it is to be `full`, small attributes become one line, those that would show as zero among them, and
    so do all terms that are the same for every item: they change no ranking.
    """
    terms = found["terms"]
    attributes = [term for term in terms if term["kind"] == "attribute"]
    seen = [term for term in attributes if abs(term["contribution"]) >= LEAST][:SHOWN]
    folded = [] if full else attributes[len(seen) :]  # the strongest come first
    levels = [term for term in terms if term["kind"] == "level"]
    same = [] if full else [term for term in levels if term["every_item"]]
    rows = [_row(term) for term in terms if term["kind"] not in ("attribute", "level")]
    rows += [_row(term) for term in attributes[: len(attributes) - len(folded)]]
    if folded:
        total = {key: sum(term[key] for term in folded) for key in ("contribution", "you", "everyone")}
        rows.append(_row({"term": f"{len(folded)} more attributes", "kind": "attribute", **total}))
    rows += [_row(term) for term in levels if term not in same]
    if same:
        total = {"contribution": sum(term["contribution"] for term in same)}
        rows.append(_row({"term": "the same for every item", "kind": "level", **total}))
    return [*rows, _row({"term": "score", "kind": "sum", "contribution": found["score"]})]


def _row(term: dict[str, Any]) -> dict[str, Any]:
    return {key: term.get(key) for key in ("term", "kind", "contribution", "you", "everyone")}
