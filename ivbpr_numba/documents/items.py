"""Documents about items: the best for a user, those alike, why a score is what it is, a new product."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import orjson

from ivbpr_numba.answers import answers
from ivbpr_numba.answers.shoppers import PARTS
from ivbpr_numba.documents.document import Document, schema_of
from ivbpr_numba.store.atomic import PathLike, write_bytes

if TYPE_CHECKING:
    from ivbpr_numba.features.features import Features
    from ivbpr_numba.models.base import Model

__all__ = ["explain", "recommend", "recommend_all", "score", "similar"]

BRIEF = ("rank", "item", "score")
PIECE = 1 << 20  # characters that are written at once

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
    reasons: bool = True,
    reasons_in_rows: bool = False,
    features: Features | None = None,
) -> Document:
    """The best items for a user; see `Model.recommend`.

    Parameters
    ----------
    reasons_in_rows : bool
        Whether the rows have a column ``because``, the reasons as one text.
    """
    items = model.recommend(
        user, n, at=at, where=where, because=because, exclude=exclude, reasons=reasons, features=features
    )
    users = model.data_.users
    content = {"user": users[users.row(user)], "at": at, "model": model.name, "items": items}
    return Document("recommend", content, _flat(items, reasons_in_rows), columns=BRIEF)


def similar(
    model: Model, item: object, n: int = 10, *, where: Where | None = None, features: Features | None = None
) -> Document:
    """The items nearest to one; see `Model.similar`."""
    items = model.similar(item, n, where=where, features=features)
    rows = model.data_.items
    content = {"item": rows[rows.row(item)], "model": model.name, "items": items}
    return Document("similar", content, _flat(items), columns=BRIEF)


def explain(
    model: Model, user: object, item: object, *, at: object = None, features: Features | None = None
) -> Document:
    """The terms of one score; see `Model.explain`."""
    found = model.explain(user, item, at=at, features=features)
    return Document("explain", {**found, "at": at, "model": model.name}, found["terms"])


def score(found: Mapping[str, Any]) -> Document:
    """A product nobody has bought yet, from what `questions.new_item.judge` returned, without its notes."""
    content = {key: value for key, value in found.items() if key != "notes"}
    keys = ("user", "score", "rank", "of", "percentile")
    if found["user"] is None:
        return Document("score", content, found["users"], columns=keys)
    row = {"image": ", ".join(found["images"]), **{key: found[key] for key in keys}}
    return Document("score", content, [row])


def recommend_all(
    model: Model,
    out: PathLike,
    n: int = 10,
    *,
    at: object = None,
    where: Where | None = None,
    exclude: Sequence[str] = PARTS,
    features: Features | None = None,
    lines: bool = False,
) -> Document:
    """Write the best items of every user to a file, user by user, and tell how many there are.

    Parameters
    ----------
    out : path
    lines : bool
        A JSON document of layout ``ivbpr.recommend/1`` for every user; else CSV: ``user,rank,item,score``.

    Raises
    ------
    UsageError, DataError
        As `Model.recommend`.
    EnvironmentProblem
        The file can't be written.
    """
    found = answers.recommend_all(model.view(at, features), n, where=where, exclude=exclude)
    row: dict[str, Any] = {"out": str(out), "users": 0, "rows": 0}
    counted = _counted(found, row)
    write_bytes(out, _pieces(_as_lines(counted) if lines else _as_csv(counted)))
    return Document("recommend-all", row, [row])


Found = Iterable[tuple[str, list[dict[str, Any]]]]


def _flat(items: Sequence[dict[str, Any]], with_reasons: bool = False) -> list[dict[str, Any]]:
    """Recommendations as rows, all of the same columns; one that no item has anything in is left out."""
    columns = [
        name for name in ("rank", "item", "title", "score") if any(item[name] is not None for item in items)
    ]
    rows = [{name: item[name] for name in columns} for item in items]
    if with_reasons:
        for row, item in zip(rows, items):
            row["because"] = ", ".join(f"{t['term']} {t['contribution']:+.2f}" for t in item["because"])
    return rows


def _counted(found: Found, row: dict[str, Any]) -> Found:
    for user, items in found:
        row["users"] += 1
        row["rows"] += len(items)
        yield user, items


def _pieces(texts: Iterable[str]) -> Iterator[bytes]:
    """The same in larger pieces."""
    kept, size = [], 0
    for text in texts:
        kept.append(text)
        size += len(text)
        if size > PIECE:
            yield "".join(kept).encode()
            kept, size = [], 0
    yield "".join(kept).encode()


def _as_csv(found: Found) -> Iterator[str]:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("user", *BRIEF))
    for user, items in found:
        writer.writerows((user, item["rank"], item["item"], repr(item["score"])) for item in items)
        yield text.getvalue()
        text.seek(0)
        text.truncate()
    yield text.getvalue()  # the header, where there is no user


def _as_lines(found: Found) -> Iterator[str]:
    for user, items in found:
        brief = [{key: item[key] for key in BRIEF} for item in items]
        yield orjson.dumps({"schema": schema_of("recommend"), "user": user, "items": brief}).decode() + "\n"
