"""Purchases in any table: which column is the user, the item, the time."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from ivbpr_numba.errors import DataError, UsageError, parameter
from ivbpr_numba.readers.amazon import LOOKS_LIKE_ITEM, LOOKS_LIKE_USER
from ivbpr_numba.readers.badlines import BadLines
from ivbpr_numba.readers.rows import Reader, Rows, matching
from ivbpr_numba.readers.tables import Table, shown
from ivbpr_numba.readers.time_column import FORMS, TimeColumn
from ivbpr_numba.readers.times import are_compact_dates, are_times

__all__ = ["purchases"]

# Names that tell the role of a column, without case, blanks and underscores; earlier ones win.
_NAMES = {
    "user": "user userid customerid customer reviewerid reviewer buyerid buyer visitorid uid".split(),
    "item": "item itemid articleid article productid product asin parentasin movieid sku iid".split(),
    "time": "time timestamp unixreviewtime unixtime datetime date tdat reviewdate purchasedate ts".split(),
}
_MOSTLY = 0.8


def purchases(
    table: Table, user: str | None, item: str | None, time: str | None, time_format: str | None = None
) -> Reader:
    """Decide which columns are meant.

    Columns that are given are taken; the others are found by their names, in a file without header by
    their places. The time is looked for only when no column is given.

    Raises
    ------
    UsageError
        One column is given twice, or a form of times without a column of them.
    DataError
        A given column does not exist, user and item can't be guessed, the columns look swapped, or the
        column of times holds none.
    """
    given = {"user": user, "item": item, "time": time}
    if _by_number(table, given):
        table = table.without_header()
    for name in given.values():
        if name is not None:
            table.position(name)
    guessed = _by_name(table) if table.has_header else _by_place(table)
    chosen = {role: name for role, name in given.items() if name is not None}
    if chosen:
        guessed.pop("time", None)
    for role in ("user", "item", "time"):
        if role not in chosen and role in guessed and guessed[role] not in chosen.values():
            chosen[role] = guessed[role]
    _check(table, chosen)
    if time_format is not None and "time" not in chosen:
        raise UsageError(
            f"No column of '{table.stream.path}' holds times as far as known, but their form is given.",
            f"Name the column with {parameter('time')}.",
        )
    compact = "time" in chosen and _check_times(table, chosen["time"], time_format)
    taken = [role for role in chosen if given[role] is None]
    reason = "by name" if table.has_header else "by place, as there is no header"
    why = "; ".join(
        part
        for part in (
            "columns as given" if any(given.values()) else "",
            f"{', '.join(taken)} {reason}" if taken else "",
            "times are dates of eight digits" if compact else "",
        )
        if part
    )
    read = partial(_read, table, chosen)
    return Reader(table.stream, "table", table.kind, why, chosen, read, compact, table.unit, time_format)


def _by_number(table: Table, given: dict[str, str | None]) -> bool:
    """Whether columns are given by number although the first line was taken for a header."""
    names = [name for name in given.values() if name is not None]
    numbers = all(re.fullmatch("[1-9][0-9]{0,5}", name) and int(name) <= len(table.columns) for name in names)
    lines = table.kind not in ("JSON lines", "Parquet")
    return table.has_header and lines and bool(names) and numbers and not set(names) & set(table.columns)


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]", "", name).casefold()


def _by_name(table: Table) -> dict[str, str]:
    found = {}
    for role, known in _NAMES.items():
        hits = [(known.index(_plain(name)), name) for name in table.columns if _plain(name) in known]
        if hits:
            found[role] = min(hits)[1]
    return found


def _by_place(table: Table) -> dict[str, str]:
    if len(table.columns) < 2:
        return {}
    found = {"user": "1", "item": "2"}
    # user item time, or user item rating time
    for place in ("3", "4"):
        if place in table.columns and _times_share(table.sampled(place), 100_000_000) >= _MOSTLY:
            found["time"] = place
            break
    return found


def _times_share(values: list[Any], above: int = 0) -> float:
    texts = [value for value in values if value not in (None, "")]
    if not texts:
        return 0.0
    compact = are_compact_dates([str(value).strip() for value in texts])
    return float(are_times(texts, compact, above).mean())


def _check(table: Table, chosen: dict[str, str]) -> None:
    where, known = f"'{table.stream.path}'", table.listing
    for role in ("user", "item"):
        if role not in chosen:
            raise DataError(
                f"Which column of {where} is the {role}? It has {known}.", f"Name it with {parameter(role)}."
            )
    if len(set(chosen.values())) < len(chosen):
        raise UsageError(f"A column of {where} was given two roles.", f"It has {known}.")
    names_swapped = _plain(chosen["user"]) in _NAMES["item"] and _plain(chosen["item"]) in _NAMES["user"]
    users, items = (table.sampled(chosen[role])[:200] for role in ("user", "item"))
    ids_swapped = matching(users, LOOKS_LIKE_ITEM) >= _MOSTLY and matching(items, LOOKS_LIKE_USER) >= _MOSTLY
    if names_swapped or ids_swapped:
        raise DataError(
            f"The columns of {where} look swapped: '{chosen['user']}' holds items, '{chosen['item']}' users.",
            f"Use {parameter('user', chosen['item'])} {parameter('item', chosen['user'])}.",
        )


def _check_times(table: Table, name: str, form: str | None) -> bool:
    """Refuse a column that holds no times; returns whether they are dates of eight digits."""
    texts = [value for value in table.sampled(name) if value not in (None, "")]
    if form is not None:
        fitting = TimeColumn(form=form).read(texts, np.arange(len(texts))).good
    else:
        fitting = are_times(texts, are_compact_dates([str(value).strip() for value in texts]))
    if texts and not fitting.any():
        kind = f"times of the form '{form}'" if form else "times"
        raise DataError(
            f"The column '{name}' of '{table.stream.path}' holds no {kind}, but {shown(str(texts[0]))}.",
            f"Make {parameter('time_format')} fit it."
            if form
            else "Times are ISO dates (2020-09-01) or unix time in seconds or finer units; others need "
            f"{parameter('time_format')}, {FORMS}.",
        )
    return form is None and are_compact_dates([str(value).strip() for value in texts])


def _read(table: Table, chosen: dict[str, str], bad: BadLines) -> Iterator[Rows]:
    roles = [role for role in ("user", "item", "time") if role in chosen]
    for chunk in table.chunks([chosen[role] for role in roles], bad):
        users, items, *times = chunk.values
        yield Rows(chunk.lines, users, items, times[0] if times else None)
