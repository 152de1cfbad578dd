"""Files of new purchases → data that grew: read as `prepare` reads them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ivbpr_numba import expected
from ivbpr_numba.datasets.catalogue import Catalogue
from ivbpr_numba.datasets.dataset import Dataset
from ivbpr_numba.datasets.prepare import as_paths
from ivbpr_numba.datasets.reading import read_pairs
from ivbpr_numba.errors import parameter
from ivbpr_numba.events import Observer
from ivbpr_numba.readers.recognise import check_source, recognise
from ivbpr_numba.readers.time_column import check_time_format
from ivbpr_numba.store.atomic import PathLike

__all__ = ["add_files"]


def add_files(
    data: Dataset,
    inputs: PathLike | Sequence[PathLike],
    *,
    source: str | None = None,
    user: str | None = None,
    item: str | None = None,
    time: str | None = None,
    time_format: str | None = None,
    catalogue: PathLike | None = None,
    catalogue_id: str | None = None,
    title: str | None = None,
    keep: str | Sequence[str] = (),
    split: str = "train",
    min_interactions: int = 1,
    seed: int = 0,
    strict: bool = False,
    progress: Observer | None = None,
) -> Dataset:
    """Data with the purchases of some files added.

    Parameters
    ----------
    data : Dataset
        Also those that a model remembers: ``model.data_``.
    inputs, source, user, item, time, time_format, strict, progress
        As for `prepare`.
    catalogue, catalogue_id, title, keep
        As for `prepare`; the cells of known items stay as they are.
    split, min_interactions, seed
        As for `Dataset.with_pairs`.

    Returns
    -------
    Dataset
        ``source["inputs"]`` and ``source["report"]`` are those of the new purchases.

    Raises
    ------
    UsageError, DataError, EnvironmentProblem
        As `prepare` and `Dataset.with_pairs`.
    """
    paths, keep = as_paths(inputs), expected.names("keep", keep)
    if catalogue is not None:
        expected.path(catalogue, parameter("catalogue", catalogue))
    check_time_format(time_format)
    check_source(source, user, item, time, time_format)
    described = Catalogue.open(catalogue, catalogue_id, item, title, keep)
    readers = [recognise(path, source, user, item, time, time_format) for path in paths]
    if described is not None:
        described.choose_id(readers[0].columns["item"])
    pairs, about = read_pairs(readers, strict, progress)
    if progress is not None:
        progress({"step": "adding the purchases"})
    before = Dataset(
        data.users,
        data.items,
        data.train,
        data.valid,
        data.test,
        data.item_columns,
        {"has_times": data.has_times},
    )
    grown = before.grown(pairs, split, seed, min_interactions)
    record: dict[str, Any] = {"inputs": about}
    if described is not None:
        kept = dict(grown.item_columns)
        record |= described.read_into(grown, strict, progress)
        known = data.items.find(grown.items.values) >= 0
        for name, column in kept.items():
            grown.item_columns[name] = np.where(known, column, grown.item_columns[name])
    grown.source = {**record, **grown.source}
    return grown
