"""What is worth showing of an item: its title and kept columns, as texts by item row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ivbpr_numba import expected
from ivbpr_numba.datasets.unlike import no_common_item, some_of
from ivbpr_numba.errors import DataError, UsageError, did_you_mean, parameter
from ivbpr_numba.ids import Ids, encode_ids
from ivbpr_numba.readers.tables import cell_text

__all__ = ["CELL_LIMIT", "TITLE", "chosen_columns", "column_of", "columns_of_frame"]

# Characters of a title or kept cell. Every row of a fixed-length text column is as wide as its widest cell.
CELL_LIMIT = 200
TITLE = "title"


def column_of(texts: Sequence[str]) -> np.ndarray:
    """Fixed-width UTF-8 of some texts, cut to `CELL_LIMIT` characters; NUL becomes a blank."""
    cells = [text[:CELL_LIMIT].replace("\0", " ").encode("utf-8", "replace") for text in texts]
    return np.array(cells, dtype=f"S{max(map(len, cells), default=0) or 1}")


def chosen_columns(title: str | None, keep: Sequence[str], where: str) -> dict[str, str]:
    """Columns by the name they get here.

    Raises
    ------
    UsageError
        None, or two of one name.
    """
    columns = ({TITLE: title} if title else {}) | {name: name for name in keep if name != title}
    if title and TITLE in keep and title != TITLE:
        raise UsageError(
            "Two columns would be called 'title'.", f"Leave 'title' out of the kept ones, or '{title}'."
        )
    if not columns:
        raise UsageError(
            f"Nothing of {where} is wanted.",
            f"Name columns with {parameter('title')} or {parameter('keep')}.",
        )
    return columns


def columns_of_frame(
    items: Ids, frame: Any, id: str, title: str | None, keep: str | Sequence[str]
) -> dict[str, np.ndarray]:
    """Columns of a frame of items by item row; see `Dataset.with_items`. The first row of an item counts."""
    hint = f"A file of items goes to {parameter('catalogue', of='prepare')}."
    expected.frame(frame, "with_items", hint)
    expected.label("id", id)
    expected.label("title", title)
    columns = chosen_columns(title, expected.names("keep", keep), "the frame")
    known = list(map(str, frame.columns))
    for name in (id, *columns.values()):
        if name not in frame.columns:
            hint = did_you_mean(str(name), known) or f"It has {', '.join(known[:30])}."
            raise DataError(f"The frame has no column '{name}'.", hint)
    ids, first = np.unique(encode_ids(frame[id].tolist()), return_index=True)
    rows = items.find(ids)
    if not (rows >= 0).any():
        raise no_common_item(
            "No item of the data is in the frame", some_of(items.values), some_of(ids), f"its column '{id}'"
        )
    found = {}
    for name, source in columns.items():
        cells, texts = frame[source].tolist(), [""] * len(items)
        for row, position in zip(rows.tolist(), first.tolist()):
            if row >= 0:
                texts[row] = _text(cells[position], source, position)
        found[name] = column_of(texts)
    return found


def _text(value: Any, column: str, position: int) -> str:
    if isinstance(value, list | tuple | dict | set | np.ndarray):
        raise DataError(
            f"The cell of row {position + 1:,}, column '{column}', holds several values; an item keeps one.",
            "Leave that column out, or store its cells as text.",
        )
    return cell_text(value)
