"""``features table``: a catalogue becomes a feature file."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from ivbpr_numba.features.encoding import check_choices, encode
from ivbpr_numba.features.layout import check_layout, is_sparse
from ivbpr_numba.features.writing import write_csr_features, write_features
from ivbpr_numba.readers.item_columns import Tags, read_columns
from ivbpr_numba.store.atomic import PathLike
from ivbpr_numba.store.blocks import row_blocks
from ivbpr_numba.store.sparse import dense_rows

__all__ = ["build_feature_table"]


def build_feature_table(
    path: PathLike,
    *,
    id_column: str,
    columns: Sequence[str] = (),
    tags: Tags = (),
    min_count: int = 1,
    aggregate: str = "error",
    layout: str = "auto",
    out: PathLike,
) -> dict[str, Any]:
    """Turn a catalogue into a feature file of kind ``attributes``, float16.

    Parameters
    ----------
    path : path
        Any table that `tables.read_table` understands.
    id_column : str
        The column of item ids.
    columns : sequence of str
        Each becomes an exclusive group: one column per value, named ``column=value``, in the order of the
        values' UTF-8 bytes. Blanks around values are dropped.
    tags : sequence of str, or mapping of str to str or None
        ``COLUMN`` or ``COLUMN:SEPARATOR`` (``;`` by default), or columns with their separators: the parts of
        a cell become a non-exclusive group. A list (JSON lines, Parquet) holds the parts itself, and so does
        the text of a list, ``['red', 'big']``, in other tables; other text of lists and objects is refused.
    min_count : int
        Values that fewer items have get no column; their items have an all-zero row in that group.
    aggregate : str
        Where rows of one item disagree: ``error`` names them, ``first`` takes the first row, ``share``
        stores the proportion of the item's rows that have each value. Use ``share`` only for columns that
        describe the item: of a column that describes a purchase it would leak held-out purchases.
    layout : str
        ``dense``, ``sparse``, or ``auto`` (see `Features.from_matrix`).
    out : path
        The feature file.

    Returns
    -------
    dict
        ``file input rows items columns merged_rows aggregate disagreeing_items first_disagreeing
        items_without_values first_without_values layout payload_sha256``; ``lists_in_text``: rows ``column
        rows first`` of the columns in which text was read as a list; ``groups``: rows ``group columns
        exclusive values_seen numbers values_dropped items_without_value items_dropped first_without_value
        first_items_dropped dropped``. `numbers`: its values are many and all of
        them numbers. `items_without_value` had an empty cell, `items_dropped` lost their
        last value to `min_count`, `dropped` lists the lost values as rows ``value items``; ``first_…`` are up
        to five ids.

    Raises
    ------
    UsageError
        Repeated columns, nothing chosen, an unknown aggregate or layout.
    DataError
        A column that the table has not, an empty id, a list where one value is due, rows of an item that
        disagree, or no value left.
    """
    check_choices(min_count, aggregate)
    check_layout(layout)
    rows, read = read_columns(path, id_column, columns, tags)
    encoded = encode(rows, read, min_count, aggregate, path)
    source = {
        "command": "features table",
        "input": os.path.basename(os.fspath(path)),
        "columns": [column.name for column in read if column.exclusive],
        "tags": dict(tags) if isinstance(tags, Mapping) else [tags] if isinstance(tags, str) else list(tags),
        "min_count": min_count,
        "aggregate": aggregate,
    }
    parts = (out, encoded.items, encoded.names, encoded.groups, "attributes", 1.0)
    csr = encoded.csr()
    sparse = is_sparse(layout, "attributes", len(csr.indices), encoded.shape)
    if sparse:
        digest = write_csr_features(*parts, csr, source=source)
    else:
        blocks = row_blocks(encoded.shape, csr.values.dtype)
        dense = (dense_rows(csr, rows, len(encoded.names)) for rows in blocks)
        digest = write_features(*parts, dense, csr.values.dtype, encoded.shape, source=source)
    return {
        "file": os.fspath(out),
        "input": os.fspath(path),
        **encoded.report,
        "layout": "sparse" if sparse else "dense",
        "payload_sha256": digest,
    }
