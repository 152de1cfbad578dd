"""Shoppers explained: whom the page shows, what they bought, what they get, and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ivbpr_numba.answers.answers import title_of
from ivbpr_numba.parameters import PopularityParameters
from ivbpr_numba.report.numbers import worded

if TYPE_CHECKING:
    from ivbpr_numba.datasets.dataset import Dataset
    from ivbpr_numba.report.subject import Judged, Subject

__all__ = ["RULES", "chosen", "history", "owned", "owned_rows", "shopper"]

RECOMMENDED = 5
OWNED = 24  # purchases shown of one shopper
TERMS = 8  # attributes in a drawing; the others are one sum
SEEN = 0.005  # a smaller contribution would read 0.00
NAMES = {"item bias": "bought at all", "latent": "hidden taste"}
RULES = {
    "typical": "the shopper nearest to the middle both by AUC and by number of purchases",
    "heavy": "the shopper with the most purchases",
    "missed": "the shopper whose held-out purchase the model ranks lowest",
    "asked": "asked for by name",
}


def history(data: Dataset) -> np.ndarray:
    """Purchases of every user in all parts of the split, (U,)."""
    return np.sum([np.diff(part.indptr) for part in (data.train, data.valid, data.test)], axis=0)


def owned_rows(data: Dataset, row: int) -> list[int]:
    """Rows of the items that a user bought, ascending."""
    parts = (data.train, data.valid, data.test)
    return sorted({int(i) for p in parts for i in p.indices[p.indptr[row] : p.indptr[row + 1]]})


def owned(data: Dataset, row: int, most: int | None = None) -> list[dict[str, Any]]:
    """What a user bought, ``item title kept``: what the model learned from, then what was kept from it.

    Of more than `most` purchases so many of the first kind are left out.
    """
    held = {int(i) for p in (data.valid, data.test) for i in p.indices[p.indptr[row] : p.indptr[row + 1]]}
    every = owned_rows(data, row)
    seen = [i for i in every if i not in held]
    if most is not None:
        seen = seen[: max(0, most - len(held))]
    return [{**_product(data, i), "kept": i in held} for i in (*seen, *sorted(held))][:most]


def chosen(subject: Subject, users: Sequence[str] = ()) -> list[tuple[str, int]]:
    """Whom the page shows: a reason of `RULES` and a user row each, nobody twice.

    First the asked for, then a typical one, a heavy one and one whom the model misses; where several fit
    equally, the first by id.
    """
    found = [("asked", subject.data.users.row(user)) for user in dict.fromkeys(users)]
    bought = history(subject.data)
    taken = {row for _, row in found}
    per_user = subject.comparison.per_user
    asked, value = per_user.users, per_user.values(subject.first.label)
    known = np.isfinite(value)
    asked, value = asked[known], value[known]
    middle = np.abs(_place(value) - 0.5) + np.abs(_place(bought[asked]) - 0.5)
    every = np.arange(len(bought))
    for why, rows, least in (
        ("typical", asked, middle),
        ("heavy", every, -bought.astype(np.float64)),
        ("missed", asked, value),
    ):
        order = rows[np.argsort(least, kind="stable")].tolist()
        row = next((row for row in order if row not in taken), None)
        if row is not None:
            found.append((why, row))
            taken.add(row)
    return found


def _place(values: np.ndarray) -> np.ndarray:
    """Where each value stands between the lowest (0) and the highest (1), equal ones at their middle."""
    order = np.sort(values)
    low, high = np.searchsorted(order, values, "left"), np.searchsorted(order, values, "right")
    return (low + high) / (2.0 * max(len(values), 1))


def shopper(subject: Subject, why: str, row: int) -> dict[str, Any]:
    """One shopper's purchases, recommendations and reasons.

    Returns
    -------
    dict
        ``why rule user purchases kept owned more candidates`` (``kept``: how many of the purchases the model
        did not see); ``list`` (as `Model.recommend`); ``terms`` of the
        first of them (see `_terms`); ``held_out``, where the shopper has one that can be judged: ``item
        title rank candidates auc bought terms``.
    """
    data, one = subject.data, subject.first
    user = data.users[row]
    own, kept = owned_rows(data, row), sum(product["kept"] for product in owned(data, row))
    entries = one.model.recommend(user, RECOMMENDED, features=one.features, reasons=one.has_reasons)
    for entry in entries:
        entry["because"] = _distinct(entry["because"], subject.shared)
    return {
        "why": why,
        "rule": RULES[why],
        "user": user,
        "purchases": len(own),
        "kept": kept,
        "owned": owned(data, row, OWNED),
        "more": max(0, len(own) - OWNED),
        "candidates": len(data.items) - len(own),
        "list": entries,
        "terms": _terms(one, user, entries[0]["item"]) if entries else [],
        "held_out": _held_out(subject, row),
    }


def _distinct(because: list[dict[str, Any]], shared: frozenset[str]) -> list[dict[str, Any]]:
    """Reasons that read otherwise than those before."""
    found: dict[str, dict[str, Any]] = {}
    for reason in because:
        found.setdefault(worded(reason["term"], shared), reason)
    return list(found.values())


def _product(data: Dataset, row: int) -> dict[str, Any]:
    return {"item": data.items[row], "title": title_of(data, row)}


def _held_out(subject: Subject, row: int) -> dict[str, Any] | None:
    """The held-out purchase: its rank among the candidates at its moment, and its terms."""
    per_user, data, one = subject.comparison.per_user, subject.data, subject.first
    found = np.flatnonzero(per_user.users == row).tolist()
    value = float(per_user.values(one.label)[found[0]]) if found else np.nan
    if not np.isfinite(value):
        return None
    item_row = int(per_user.items[found[0]])
    others = len(data.items) - len(owned_rows(data, row))
    held = data.test
    moment = int(held.times[held.indptr[row]]) if one.in_time else None
    return {
        **_product(data, item_row),
        "rank": 1 + others - round(value * others),  # the AUC is the share of the others that are below
        "candidates": others + 1,
        "auc": value,
        "bought": int(data.train_counts[item_row]),
        "terms": _terms(one, data.users[row], data.items[item_row], moment),
    }


def _terms(one: Judged, user: str, item: str, moment: int | None = None) -> list[dict[str, Any]]:
    """The terms of a score for people: ``term kind contribution``; the sum last, of kind ``sum``.

    The largest attributes stand alone, the others are one term of kind ``rest``; what would read 0.00 is left
    out. So are levels, of which every product of a group has the same; nameless features are one term of
    kind ``features``.
    """
    if not isinstance(one.model.parameters_, PopularityParameters):
        return []
    found = one.model.explain(user, item, at=moment, features=one.features)["terms"]
    plain = [term for term in found if term["kind"] in ("item bias", "latent")]
    attributes = [term for term in found if term["kind"] == "attribute"]
    if not one.has_reasons:
        shown = []
        if one.features is not None:
            nameless = sum(t["contribution"] for t in found if t["kind"] not in ("item bias", "latent"))
            shown = [{"term": "nameless features", "kind": "features", "contribution": nameless}]
    else:
        alone = TERMS if len(attributes) > TERMS + 1 else len(attributes)  # one other is itself
        alone = min(alone, sum(abs(term["contribution"]) >= SEEN for term in attributes))
        shown = attributes[:alone]
        if attributes[alone:]:
            rest = sum(term["contribution"] for term in attributes[alone:])
            count = len(attributes) - alone
            shown = [*shown, {"term": f"{count} other attributes", "kind": "rest", "contribution": rest}]
    kept = [
        {
            "term": NAMES.get(term["kind"], term["term"]),
            **{key: term[key] for key in ("kind", "contribution")},
        }
        for term in (*shown, *plain)
    ]
    total = sum(term["contribution"] for term in kept)
    kept = [term for term in kept if abs(term["contribution"]) >= SEEN]
    return [*kept, {"term": "sum", "kind": "sum", "contribution": total}]
