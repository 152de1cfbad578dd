"""A table of items beside the purchases: titles to show and columns to filter by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ivbpr_numba.datasets.dataset import Dataset
from ivbpr_numba.datasets.item_cells import CELL_LIMIT, chosen_columns, column_of
from ivbpr_numba.datasets.reporting import listed
from ivbpr_numba.datasets.unlike import no_common_item, some_of
from ivbpr_numba.errors import DataError, UsageError, parameter
from ivbpr_numba.readers.badlines import BadLines
from ivbpr_numba.readers.id_index import REASONS, IdIndex
from ivbpr_numba.readers.tables import Table, cell_text, open_table
from ivbpr_numba.store.atomic import PathLike

__all__ = ["Catalogue"]

NAMED = 3  # items without a row that the report names


class Catalogue:
    """A catalogue that was asked for, with its columns checked; `read_into` reads it."""

    def __init__(self, table: Table, id_column: str | None, columns: dict[str, str]) -> None:
        self._table = table
        self._id = id_column
        self._columns = columns

    @classmethod
    def open(
        cls,
        path: PathLike | None,
        id_column: str | None,
        item_column: str | None,
        title: str | None,
        keep: Sequence[str],
    ) -> Catalogue | None:
        """Open the catalogue, None when there is none, and check the options before the long work begins.

        Raises
        ------
        UsageError
            Options without a catalogue, a catalogue without use, names that clash.
        DataError
            It is no table, or has not the columns.
        """
        if path is None:
            if id_column or title or keep:
                raise UsageError(
                    "Catalogue columns were named, but no catalogue.",
                    f"Give it with {parameter('catalogue')}.",
                )
            return None
        columns = chosen_columns(title, keep, f"'{path}'")
        table = open_table(path)
        for name in columns.values():
            table.position(name)
        catalogue = cls(table, id_column, columns)
        if id_column is not None:
            table.position(id_column)
        elif item_column is not None and item_column in table.columns:
            catalogue._id = item_column
        return catalogue

    def choose_id(self, item_column: str) -> None:
        """Take the column named like the item column of the purchases, unless one was given.

        Raises
        ------
        DataError
            There is none.
        """
        if self._id is None and item_column in self._table.columns:
            self._id = item_column
        if self._id is None:
            known = self._table.listing
            raise DataError(
                f"Which column of '{self._table.stream.path}' holds the item ids? It has {known}.",
                f"Name it with {parameter('catalogue_id')}.",
            )

    def read_into(self, data: Dataset, strict: bool = False, progress: Any = None) -> dict[str, Any]:
        """Read the columns into ``data.item_columns``, by item row, and return what to record.

        The first row of an item counts; other rows of it are counted.

        Raises
        ------
        DataError
            A bad line, a cell of several values, or no item of the data is in the catalogue.
        """
        assert self._id is not None
        table, stream = self._table, self._table.stream
        if progress is not None:
            progress({"step": f"reading {stream.name}"})
        rows_of, seen = IdIndex.of(data.items.values), IdIndex()
        cells = {name: [""] * len(data.items) for name in self._columns}
        described = np.zeros(len(data.items), dtype=bool)
        n_rows, n_cut = 0, 0
        bad = BadLines(stream.name, strict, table.unit)
        for chunk in table.chunks([self._id, *self._columns.values()], bad):
            ids, *values = chunk.values
            codes = seen.add(ids)
            for k in np.flatnonzero(codes < 0).tolist():
                bad.add(int(chunk.lines[k]), f"item id {REASONS[int(codes[k])]}")
            n_rows += int(np.count_nonzero(codes >= 0))
            for k, row in enumerate(rows_of.find(ids).tolist()):
                if row >= 0 and not described[row]:
                    described[row] = True
                    for column, source in zip(cells.values(), values):
                        column[row] = self._text(source[k], int(chunk.lines[k]))
                        n_cut += len(column[row]) > CELL_LIMIT
            if progress is not None:
                progress({"done": stream.done, "total": stream.size, "lines": stream.lines})
        if not n_rows:
            raise DataError(
                f"'{stream.path}' has no usable {table.unit}{': ' if bad.count else ''}{bad.summary()}.",
                bad.advice or "Check how it was made.",
            )
        found = int(np.count_nonzero(described))
        if not found:
            raise no_common_item(
                f"No item of the data is in '{stream.path}'",
                some_of(data.items.values),
                some_of(seen.take(np.arange(len(seen)))),
                f"its column '{self._id}'",
                f"Name the column of the item ids with {parameter('catalogue_id')}.",
            )
        for name, texts in cells.items():
            data.item_columns[name] = column_of(texts)
        about = {
            "name": stream.name,
            "bytes": stream.done,
            "sha256": stream.sha256,
            "id": self._id,
            "columns": self._columns,
            "rows": n_rows,
            "rows_of_an_item_seen_before": n_rows - len(seen),
            "items_without_row": len(data.items) - found,
            "cells_cut": n_cut,
            "bad_lines": bad.rows(),
        }
        _note(data, about, some_of(data.items.values[~described][:NAMED]), bad)
        return {"catalogue": about, "items_in_catalogue": len(seen)}

    def _text(self, value: Any, line: int) -> str:
        if isinstance(value, list | dict):
            where = f"'{self._table.stream.path}', {self._table.unit} {line}"
            what = "a list" if isinstance(value, list) else "an object"
            raise DataError(
                f"{where}: the cell {cell_text(value)[:60]} is {what}, but an item keeps one value a column.",
                f"Leave that column out of {parameter('keep')} and {parameter('title')}, or store its cells "
                "as text.",
            )
        return cell_text(value)


def _note(data: Dataset, about: dict[str, Any], lacking: list[str], bad: BadLines) -> None:
    """Add the step to the report of the dataset; it drops no interaction."""
    n_items, missing = len(data.items), about["items_without_row"]
    again, cut = about["rows_of_an_item_seen_before"], about["cells_cut"]
    why = [f"{n_items - missing:,} of {n_items:,} items have a row"]
    if missing:
        why.append(f"{missing:,} have none ({listed(lacking, missing)})")
    if again:
        why.append(f"{again:,} rows of an item seen before")
    if cut:
        why.append(f"{cut:,} cells cut to {CELL_LIMIT} characters")
    why += [bad.summary()] if bad.count else []
    *_, last = report = data.source["report"]  # the sum of everything stays the last row
    step = {**last, "step": f"catalogue {about['name']}", "dropped": 0, "why": "; ".join(why)}
    report.insert(len(report) - 1, step)
