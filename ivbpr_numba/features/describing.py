"""A look into features: their shape and sparsity, and the items that show one best."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ivbpr_numba.features.writing import row_blocks

if TYPE_CHECKING:
    from ivbpr_numba.features.features import Features

__all__ = ["describe", "examples"]


def describe(features: Features) -> dict[str, Any]:
    """Shape, groups and sparsity of features (``ivbpr features info``); reads every row once.

    Returns
    -------
    dict
        ``file items columns kind dtype scale payload_sha256 min max zero_share source`` and ``groups``: rows
        ``group columns exclusive items_with_value share_with_value``. `min` and `max` are values
        (stored × scale); shares are of all items, or of all stored numbers for ``zero_share``.
    """
    low, high, nonzero = np.inf, -np.inf, 0
    having = np.zeros(len(features.groups), dtype=np.int64)
    for rows in row_blocks(features.matrix):
        block = features.take(rows)
        low, high = min(low, float(block.min())), max(high, float(block.max()))
        filled = block != 0
        nonzero += int(np.count_nonzero(filled))
        for k, group in enumerate(features.groups):
            part = filled[:, group.offset : group.offset + group.size]
            having[k] += int(np.count_nonzero(part.any(axis=1)))
    count, columns = features.matrix.shape
    return {
        "file": features.path,
        "items": count,
        "columns": columns,
        "kind": features.kind,
        "dtype": features.matrix.dtype.name,
        "scale": features.scale,
        "min": low * features.scale,
        "max": high * features.scale,
        "zero_share": 1.0 - nonzero / (count * columns),
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
        At most so many; for attributes only items whose value is above 0.

    Returns
    -------
    list of dict
        ``rank item feature value``, highest first, ties by id.
    """
    column = features.column(name)
    values = np.concatenate([features.take(rows)[:, column] for rows in row_blocks(features.matrix)])
    values = values.astype(np.float64) * features.scale
    order = np.argsort(-values, kind="stable")[: max(0, n)]  # stable: rows, and so ties, are in id order
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
