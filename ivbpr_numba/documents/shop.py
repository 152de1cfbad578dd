"""Documents about a whole shop, for screens on which people look around: what there is, and who buys it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ivbpr_numba.answers.answers import Where, allowed_items, title_of
from ivbpr_numba.answers.epochs import epoch_dates
from ivbpr_numba.answers.shoppers import row_of_user
from ivbpr_numba.datasets.examples import users_to_try
from ivbpr_numba.datasets.searching import TextIndex
from ivbpr_numba.documents.document import Document
from ivbpr_numba.documents.variety import varied
from ivbpr_numba.errors import DataError, UsageError
from ivbpr_numba.parameters import TemporalParameters

if TYPE_CHECKING:
    from ivbpr_numba.features.features import Features
    from ivbpr_numba.models.base import Model

__all__ = ["Shop"]

PARTS = ("train", "valid", "test")
ATTRIBUTES = 12  # of an item that are told
VALUES = 200  # of a column that can be chosen
SHOWN = 24  # purchases of a user
SIMILAR = 8

Rows = list[dict[str, Any]]


class Shop:
    """What can be said about the users and items of a model; what takes time is made once.

    Parameters
    ----------
    model : Model
        A fitted one.

    Attributes
    ----------
    features : Features or None
        Named attributes of the items, where the model has them and they are at hand.
    missing : str
        Why the features of the model aren't at hand; else empty.
    """

    def __init__(self, model: Model, features: Features | None = None) -> None:
        self.model, self.data = model, model.data_
        self.features: Features | None = None
        self.missing = ""
        record = model.features_
        if record is None:
            return
        try:
            found = model.find_features(features)
            self.features = found if record.kind == "attributes" else None
        except (UsageError, DataError) as problem:
            if features is not None:
                raise
            self.missing = problem.message

    # --- made once ---

    @cached_property
    def purchases(self) -> np.ndarray:
        """Of each item in all parts of the split, (I,) int64."""
        parts = (getattr(self.data, name).indices for name in PARTS)
        return np.bincount(np.concatenate(list(parts)), minlength=len(self.data.items)).astype(np.int64)

    @cached_property
    def bought(self) -> np.ndarray:
        """By each user in all parts of the split, (U,) int64."""
        return np.asarray(sum(np.diff(getattr(self.data, name).indptr) for name in PARTS), dtype=np.int64)

    @cached_property
    def items_by_text(self) -> TextIndex:
        """Ids and titles of the items."""
        return TextIndex(self.data.items, self.data.item_columns.get("title"), self.purchases)

    @cached_property
    def users_by_text(self) -> TextIndex:
        """Ids of the users."""
        return TextIndex(self.data.users, None, self.bought)

    @cached_property
    def filters(self) -> Rows:
        """Kept columns and their values: ``column values more``, values being rows ``value items``.

        Values by number of items, at most `VALUES`; ``more`` is how many are left out.
        """
        found = []
        for column, cells in self.data.item_columns.items():
            if column == "title":
                continue
            values, counts = np.unique(cells, return_counts=True)
            counts = np.where(values == b"", 0, counts)
            order = np.argsort(-counts, kind="stable")[: np.count_nonzero(counts)]
            rows = [
                {"value": values[k].decode("utf-8", "replace"), "items": int(counts[k])}
                for k in order[:VALUES].tolist()
            ]
            if len(rows) > 1:
                found.append({"column": column, "values": rows, "more": max(0, len(order) - VALUES)})
        return found

    @cached_property
    def groups(self) -> Rows:
        """Named attributes: ``group exclusive features``, features being rows ``feature value share``.

        The share is the mean value over the items with features, of one-hot columns the share of items.
        """
        record = self.model.features_
        if record is None or record.kind != "attributes":
            return []
        mean = record.scaling.mean.astype(np.float64)
        found = []
        for group in record.groups:
            columns = range(group.offset, group.offset + group.size)
            order = sorted(columns, key=lambda k: -mean[k])
            rows = [
                {
                    "feature": record.names[k],
                    "value": record.names[k].removeprefix(f"{group.name}="),
                    "share": float(mean[k]),
                }
                for k in order
            ]
            found.append({"group": group.name, "exclusive": group.exclusive, "features": rows})
        return found

    # --- documents ---

    def facts(self, title: str | None = None) -> Document:
        """The shop at a glance, in the layout ``ivbpr.shop/1``."""
        model, data = self.model, self.data
        parameters, record = model.parameters_, model.features_
        epochs: Rows = []
        if isinstance(parameters, TemporalParameters):
            dates = epoch_dates(parameters.epoch_edges)
            epochs = [{"epoch": n, "from": first, "to": last} for n, (first, last) in enumerate(dates)]
        counts = {
            "users": len(data.users),
            "items": len(data.items),
            "features": 0 if record is None else len(record.names),
        }
        content = {
            "name": model.name,
            "title": title,
            "payload_sha256": model.payload_sha256_,
            **counts,
            "kind": None if record is None else record.kind,
            "steering": self.features is not None,
            "epochs": epochs,
            "filters": self.filters,
            "groups": self.groups,
            "metrics": dict(model.metrics_.get("test", {})),
            "notes": [self.missing] if self.missing else [],
        }
        return Document("shop", content, [{"name": model.name, **counts}])

    def users(self, text: str = "", n: int = 20) -> Document:
        """Users ``user purchases`` by a part of their id; without one some with many and some with few.

        ``total`` counts those that fit; ``more`` says that there are still others, which weren't counted.
        """
        data = self.data
        if text.strip():
            found = self.users_by_text.search(text, n)
            rows, total, more = found.rows, found.total, found.more
        else:
            some = [one["user"] for one in users_to_try(data, n)]
            rows, total, more = data.users.find(some), len(data.users), False
        listed = [{"user": data.users[row], "purchases": int(self.bought[row])} for row in rows.tolist()]
        return Document("users", {"users": listed, "total": total, "more": more}, listed)

    def user(self, user: object, n: int = SHOWN) -> Document:
        """A user's latest purchases: ``user purchases items``, the items as in `items` and with their date.

        Raises
        ------
        DataError
            An unknown user.
        """
        data = self.data
        row = row_of_user(data, user)
        parts = [getattr(data, name) for name in PARTS]
        spans = [slice(part.indptr[row], part.indptr[row + 1]) for part in parts]
        items = np.concatenate([part.indices[span] for part, span in zip(parts, spans)])
        times = np.concatenate([part.times[span] for part, span in zip(parts, spans)])
        order = np.lexsort((items, -times))[:n]
        listed = self.cards(items[order])
        for one, time in zip(listed, times[order].tolist()):
            one["date"] = datetime.fromtimestamp(time, UTC).date().isoformat() if data.has_times else None
        content = {"user": data.users[row], "purchases": len(items), "items": listed}
        return Document("user", content, listed)

    def items(self, text: str = "", n: int = 24, where: Where | None = None) -> Document:
        """Items by a part of their id or title; without one as different ones as can be, see `varied`.

        Raises
        ------
        UsageError
            An unknown column or value.
        """
        allowed = allowed_items(self.data, where)
        if text.strip():
            found = self.items_by_text.search(text, n, allowed)
            rows, total, more = found.rows, found.total, found.more
        else:
            rows = varied(self.features, self.data.items, self.purchases, n, allowed)
            total, more = int(np.count_nonzero(allowed)), False
        listed = self.cards(rows)
        return Document("items", {"items": listed, "total": total, "more": more}, listed)

    def item(self, item: object) -> Document:
        """All that is known of an item, and those that are alike.

        Raises
        ------
        DataError
            An unknown item.
        """
        row = self.data.items.row(item)
        (content,) = self.cards([row])
        try:
            near = self.model.similar(self.data.items[row], SIMILAR)
        except UsageError:  # a model that learns nothing about items
            near = []
        known = self.cards(self.data.items.find([one["item"] for one in near])) if near else []
        content["similar"] = [{**one, "score": own["score"]} for one, own in zip(known, near)]
        return Document("item", content, [{key: content[key] for key in ("item", "title", "purchases")}])

    def cards(self, rows: Sequence[int] | np.ndarray) -> Rows:
        """What is shown of some items: ``item title purchases columns attributes``."""
        known = [column for column in self.data.item_columns if column != "title"]
        cells = self.data.item_columns
        return [
            {
                "item": self.data.items[row],
                "title": title_of(self.data, row),
                "purchases": int(self.purchases[row]),
                "columns": {name: cells[name][row].decode("utf-8", "replace") for name in known},
                "attributes": attributes,
            }
            for row, attributes in zip(np.asarray(rows).tolist(), self.attributes(rows))
        ]

    def attributes(self, rows: Sequence[int] | np.ndarray) -> list[list[tuple[str, float]]]:
        """The largest attributes of some items, at most `ATTRIBUTES` pairs of name and value."""
        if self.features is None or not len(rows):
            return [[] for _ in rows]
        at = self.features.items.find(self.data.items.values[np.asarray(rows, dtype=np.int64)])
        values = self.features.values(at)
        order = np.argsort(-values, axis=1, kind="stable")[:, :ATTRIBUTES]
        names = self.features.names
        return [
            [(names[k], round(float(own[k]), 4)) for k in largest.tolist() if own[k] > 0]
            for own, largest in zip(values, order)
        ]
