"""Writing feature files: rows in any order, each once, checked, never all in memory."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ivbpr_numba.features.layout import PAYLOAD, Group, check_finite, feature_tree
from ivbpr_numba.ids import Ids
from ivbpr_numba.store.atomic import Lock, PathLike
from ivbpr_numba.store.matrix import MatrixSink, writing_matrix

__all__ = ["FeatureSink", "features_sink", "write_features"]


def write_features(
    path: PathLike,
    items: Ids,
    names: Sequence[str],
    groups: Sequence[Group],
    kind: str,
    scale: float,
    blocks: Iterable[np.ndarray],
    dtype: np.dtype | str,
    shape: tuple[int, int],
    *,
    attrs: Mapping[str, str | int | float] | None = None,
    source: Mapping[str, Any] | None = None,
    keep_lock: Lock | None = None,
) -> str:
    """Write a feature file from blocks of rows in the order of the ids.

    Parameters
    ----------
    path : path
        Target, in an existing folder.
    items : Ids
        Item ids by row.
    names, groups, kind, scale
        As in `Features`.
    blocks : iterable of ndarray (n, F)
        Stored values, together `shape`; never more than one block is held.
    dtype : dtype
        float16, float32 or uint8; the blocks have it too.
    shape : (int, int)
        Items and columns.
    attrs : mapping, optional
        Further root attributes (``network_sha256``).
    source : mapping, optional
        Where the features come from; anything JSON can hold.
    keep_lock : Lock, optional
        A lock that the caller holds on `path`.

    Returns
    -------
    str
        ``payload_sha256``.

    Raises
    ------
    DataError
        A value is NaN or infinite (its item and column are named), or nothing is left to write.
    UsageError, EnvironmentProblem
        See `ivbpr_numba.store.matrix.writing_matrix`.
    """
    with features_sink(
        path,
        items,
        names,
        groups,
        kind,
        scale,
        dtype,
        shape[1],
        attrs=attrs,
        source=source,
        keep_lock=keep_lock,
    ) as sink:
        start = 0
        for block in blocks:
            sink.put(np.arange(start, start + len(block)), block)
            start += len(block)
    return sink.payload_sha256


class FeatureSink:
    """Takes rows of stored values in any order, each exactly once, and refuses NaN and infinity."""

    def __init__(self, sink: MatrixSink, items: Ids, names: Sequence[str]) -> None:
        self._sink = sink
        self._items = items
        self._names = names

    @property
    def payload_sha256(self) -> str:
        """Digest of the payload, once the file is complete."""
        return self._sink.payload_sha256

    def put(self, rows: np.ndarray, block: np.ndarray) -> None:
        """Write `block` (n, F) as the rows numbered `rows`."""
        check_finite(block, self._items, self._names, rows)
        self._sink.put(rows, block)


@contextlib.contextmanager
def features_sink(
    path: PathLike,
    items: Ids,
    names: Sequence[str],
    groups: Sequence[Group],
    kind: str,
    scale: float,
    dtype: np.dtype | str,
    columns: int,
    *,
    attrs: Mapping[str, str | int | float] | None = None,
    source: Mapping[str, Any] | None = None,
    keep_lock: Lock | None = None,
) -> Iterator[FeatureSink]:
    """Write a feature file whose rows come in any order; see `write_features`."""
    stored = np.dtype(dtype)
    tree = feature_tree(items, names, groups, kind, scale, (len(items), columns), stored, attrs, source)
    with writing_matrix(path, tree, PAYLOAD, (len(items), columns), stored, keep_lock) as sink:
        yield FeatureSink(sink, items, names)
