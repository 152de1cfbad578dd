"""A look into features: their shape and sparsity, and the items that show one best."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ivbpr_numba.errors import UsageError
from ivbpr_numba.store.blocks import row_blocks

if TYPE_CHECKING:
    from ivbpr_numba.features.features import Features

__all__ = ["describe", "examples"]

NAMED = 5  # items and columns of zeros that are named


def describe(features: Features) -> dict[str, Any]:
    """Shape, groups and sparsity of features (``ivbpr features info``); reads every row once.

    Returns
    -------
    dict
        ``file items columns kind dtype scale payload_sha256 min max zero_share items_without_values
        first_without_values columns_without_values first_empty_columns source`` and ``groups``: rows ``group
        columns exclusive items_with_value share_with_value``. `min` and `max` are values (stored × scale);
        shares are of all items, or of all stored numbers for ``zero_share``; ``…_without_values`` count rows
        and columns of zeros, and up to five of each are named.
    """
    low, high, nonzero = np.inf, -np.inf, 0
    having = np.zeros(len(features.groups), dtype=np.int64)
    used = np.zeros(features.shape[1], dtype=bool)
    bare: list[np.ndarray] = []
    for rows in row_blocks(features.shape, features.dtype):
        block = features.take(rows)
        low, high = min(low, float(block.min())), max(high, float(block.max()))
        filled = block != 0
        nonzero += int(np.count_nonzero(filled))
        used |= filled.any(axis=0)
        bare.append(rows[~filled.any(axis=1)])
        for k, group in enumerate(features.groups):
            part = filled[:, group.offset : group.offset + group.size]
            having[k] += int(np.count_nonzero(part.any(axis=1)))
    count, columns = features.shape
    without, unused = np.concatenate(bare), np.flatnonzero(~used)
    return {
        "file": features.path,
        "items": count,
        "columns": columns,
        "kind": features.kind,
        "dtype": features.dtype.name,
        "layout": "sparse" if features.sparse else "dense",
        "scale": features.scale,
        "min": low * features.scale,
        "max": high * features.scale,
        "zero_share": 1.0 - nonzero / (count * columns),
        "items_without_values": len(without),
        "first_without_values": [features.items[int(row)] for row in without[:NAMED]],
        "columns_without_values": len(unused),
        "first_empty_columns": [features.names[column] for column in unused[:NAMED]],
        "payload_sha256": features.payload_sha256,
        **features.attrs,
        "source": features.source,
        "groups": [
            {
                "group": group.name,
                "columns": group.size,
                "exclusive": group.exclusive,
                "items_with_value": int(with_value),
                "share_with_value": int(with_value) / count,
            }
            for group, with_value in zip(features.groups, having)
        ],
    }


def examples(features: Features, name: str, n: int = 10) -> list[dict[str, Any]]:
    """Items with the highest value of a feature (``ivbpr features examples``).

    Parameters
    ----------
    features : Features
    name : str
        As for `Features.column`.
    n : int
        At most so many, 1 or more; for attributes only items whose value is above 0.

    Returns
    -------
    list of dict
        ``rank item feature value``, highest first, ties by id.

    Raises
    ------
    UsageError
        An unknown or ambiguous feature, or no positive `n`.
    """
    if n < 1:
        raise UsageError(f"{n} items can't be shown.", "Ask for a positive number.")
    column = features.column(name)
    values = features.stored_column(column).astype(np.float64) * features.scale
    order = np.argsort(-values, kind="stable")[:n]  # stable: rows, and so ties, are in id order
    if features.kind == "attributes":
        order = order[values[order] > 0]
    return [
        {
            "rank": k + 1,
            "item": features.items[int(row)],
            "feature": features.names[column],
            "value": float(values[row]),
        }
        for k, row in enumerate(order)
    ]
