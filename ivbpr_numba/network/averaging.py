"""Rows of images become rows of items, their averages, in a feature file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ivbpr_numba.errors import DataError, parameter
from ivbpr_numba.features.layout import Group
from ivbpr_numba.features.writing import features_sink
from ivbpr_numba.ids import Ids, encode_ids
from ivbpr_numba.network.format import PROBABILITIES
from ivbpr_numba.network.running import Run, check_probabilities, interrupted
from ivbpr_numba.store.atomic import Lock, PathLike

__all__ = ["Written", "write_averages"]

_BLOCK_BYTES = 8 << 20


@dataclass(frozen=True)
class Written:
    """How many items were written, which were left out, and the payload's digest."""

    items: int
    left_out: list[str]
    payload_sha256: str


def write_averages(
    run: Run,
    out: PathLike,
    dtype: str,
    source: dict[str, Any],
    keep_lock: Lock,
    stopped: Callable[[], int],
) -> Written:
    """Average the images of each item and write the feature file.

    Parameters
    ----------
    run : Run
        Done.
    out, dtype, source, keep_lock
        See `features.features_sink`.
    stopped : callable
        The number of a signal, 0 while none came.

    Raises
    ------
    DataError
        Averages that are no probabilities, or too large for `dtype`.
    Interrupted
        After a signal.
    """
    assert run.columns is not None
    # Sorted by item, then name: the images of an item are neighbours, and summed in that order.
    usable = np.flatnonzero(run.places >= 0)
    owners = [run.pictures.pictures[index].item for index in usable.tolist()]
    firsts = [k for k, owner in enumerate(owners) if k == 0 or owner != owners[k - 1]]
    starts = np.array([*firsts, len(owners)], dtype=np.int64)
    kept = [owners[k] for k in firsts]
    every = {picture.item for picture in run.pictures.pictures}
    every |= {picture.item for picture, _ in run.pictures.missing if picture.item}
    names, groups = _names(run)
    step = max(1, _BLOCK_BYTES // (8 * run.columns))
    with features_sink(
        out,
        Ids(encode_ids(kept), "item"),
        names,
        groups,
        run.kind,
        1.0,
        dtype,
        run.columns,
        attrs={"network_sha256": run.network.sha256},
        source={**source, "items": len(kept)},
        keep_lock=keep_lock,
    ) as sink:
        for first in range(0, len(kept), step):
            rows = np.arange(first, min(first + step, len(kept)))
            means = _means(run, usable, starts[rows[0] : rows[-1] + 2])
            if run.kind == "attributes":
                called = [f"item '{item}'" for item in kept[first : first + len(rows)]]
                check_probabilities(means, run.network, called.__getitem__)
                np.clip(means, 0.0, 1.0, out=means)
            sink.put(rows, _stored(means, dtype, kept[first:]))
            number = stopped()
            if number and rows[-1] + 1 < len(kept):
                raise interrupted("while writing; all images are done", run.journal, number)
    return Written(len(kept), sorted(every - set(kept)), sink.payload_sha256)


def _means(run: Run, usable: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Mean row of each item, float64: `starts` bounds their images in `usable`."""
    assert run.columns is not None
    counts = np.diff(starts)
    total = np.zeros((len(counts), run.columns))
    for turn in range(int(counts.max())):
        having = np.flatnonzero(counts > turn)
        places = run.places[usable[starts[having] + turn]]
        total[having] += run.journal.rows_at(places, run.columns)
    total /= counts[:, None]
    return total


def _names(run: Run) -> tuple[list[str], list[Group]]:
    assert run.columns is not None
    vocabulary = run.network.vocabulary
    if vocabulary is not None and run.output == PROBABILITIES and vocabulary.size == run.columns:
        return vocabulary.names, vocabulary.layout
    return [str(k) for k in range(run.columns)], [Group(run.kind, 0, run.columns, False)]


def _stored(values: np.ndarray, dtype: str, items: Sequence[str]) -> np.ndarray:
    with np.errstate(over="ignore", under="ignore"):
        stored = values.astype(dtype)
    if dtype == "float16" and not np.isfinite(stored).all():
        row = int(np.flatnonzero(~np.isfinite(stored).all(axis=1))[0])
        raise DataError(
            f"The features of item '{items[row]}' are up to {np.abs(values[row]).max():g}, too large for "
            "float16.",
            f"Use {parameter('dtype', 'float32')}: no image is run again.",
        )
    return stored
