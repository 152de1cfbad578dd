"""Answers for every user, or for many products, as one file: CSV or JSON lines, written row by row."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import orjson

from ivbpr_numba.answers.answers import Asked
from ivbpr_numba.answers.shoppers import PARTS
from ivbpr_numba.distributed import crew_of
from ivbpr_numba.documents import items
from ivbpr_numba.documents.document import Document, columns_of, schema_of
from ivbpr_numba.store.atomic import PathLike, write_bytes
from ivbpr_numba.store.kinds import refuse_form

if TYPE_CHECKING:
    from ivbpr_numba.features.features import Features
    from ivbpr_numba.models.base import Model

__all__ = ["recommend_all", "score_many"]

PIECE = 1 << 20  # characters that are written at once

Found = Iterable[tuple[str, list[dict[str, Any]]]]


def recommend_all(
    model: Model,
    out: PathLike,
    n: int = 10,
    *,
    at: object = None,
    where: Mapping[str, Sequence[str]] | None = None,
    because: str | None = None,
    exclude: Sequence[str] = PARTS,
    reasons: bool = False,
    features: Features | None = None,
    lines: bool = False,
    device: str = "cpu",
    client: Any = None,
) -> Document:
    """Write the best items of every user to a file, user by user, and tell how many there are.

    Parameters
    ----------
    out : path
    because, reasons
        See `Model.recommend`; a feature to rank by is named in the reasons.
    lines : bool
        A JSON document of layout ``ivbpr.recommend/1`` for every user; else CSV: ``user rank item score``,
        ``title`` before the score where the data have titles, and ``because`` with reasons.
    device : str
        What ranks: see `questions.auc.auc`; the items are the same.
    client : distributed.Client, optional
        Of a Dask cluster whose workers answer (extra ``dask``), a block of users each.

    Raises
    ------
    UsageError, DataError
        As `Model.recommend`; the name of the file promises another form.
    EnvironmentProblem
        The file can't be written.
    """
    refuse_form(out, lines)
    view, computed = model.view(at, features).ranked_by(device)
    with_reasons = reasons or because is not None
    asked = Asked.of(view, n, where, because, with_reasons)
    columns = ["rank", "item", "score"]
    if "title" in model.data_.item_columns:
        columns.insert(2, "title")
    columns += ["because"] * with_reasons
    row: dict[str, Any] = {"out": str(out), "users": 0, "rows": 0}
    crew = None if client is None else crew_of(client)
    counted = _counted(asked.every(view, exclude, crew), row)
    if lines:
        write_bytes(out, _pieces(_as_lines(counted, columns)))
    else:
        write_bytes(out, _pieces(_csv(["user", *columns], _csv_rows(counted, columns))))
    return Document("recommend-all", {**row, **computed, "warnings": view.remarks}, [row])


def score_many(found: Mapping[str, Any], out: PathLike, lines: bool = False) -> Document:
    """Write what `questions.new_items.judge_many` found, a product a row, and tell how many there are.

    Parameters
    ----------
    found : mapping
    out : path
    lines : bool
        A JSON document of layout ``ivbpr.score/1`` for every product; else CSV, see `items.score_many`.

    Raises
    ------
    UsageError
        The name of the file promises another form.
    EnvironmentProblem
        The file can't be written.
    """
    refuse_form(out, lines)
    products = found["products"]
    if lines:
        schema = schema_of("score")
        texts = (orjson.dumps({"schema": schema, **product}).decode() + "\n" for product in products)
        write_bytes(out, _pieces(texts))
    else:
        rows = items.score_many(found).rows
        write_bytes(out, _pieces(_csv(columns_of(rows), ([list(row.values())] for row in rows))))
    lost = {key: found[key] for key in ("bad", "others", "left_out")}
    images = sum(len(product["images"]) for product in products)
    row = {"out": str(out), "products": len(products), "images": images, "bad_images": len(found["bad"])}
    return Document("score-many", {**row, **lost, "warnings": found["warnings"]}, [row])


def _counted(found: Found, row: dict[str, Any]) -> Found:
    for user, best in found:
        row["users"] += 1
        row["rows"] += len(best)
        yield user, best


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


def _csv(columns: Sequence[str], blocks: Iterable[Iterable[Sequence[Any]]]) -> Iterator[str]:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for rows in blocks:
        writer.writerows(rows)
        yield text.getvalue()
        text.seek(0)
        text.truncate()
    yield text.getvalue()  # the header, where there is no row


def _csv_rows(found: Found, columns: Sequence[str]) -> Iterator[list[list[Any]]]:
    written = {"score": repr, "because": items.because_text}
    for user, best in found:
        yield [[user, *(written.get(name, _same)(item[name]) for name in columns)] for item in best]


def _same(value: Any) -> Any:
    return value


def _as_lines(found: Found, columns: Sequence[str]) -> Iterator[str]:
    for user, best in found:
        brief = [{name: item[name] for name in columns} for item in best]
        yield orjson.dumps({"schema": schema_of("recommend"), "user": user, "items": brief}).decode() + "\n"
