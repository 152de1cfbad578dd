"""Purchases → dataset: recognise, read, filter, split, add what is worth showing about the items."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from ivbpr_numba import expected
from ivbpr_numba.datasets.catalogue import NAMED, Catalogue
from ivbpr_numba.datasets.dataset import Dataset
from ivbpr_numba.datasets.item_cells import CELL_LIMIT, column_of
from ivbpr_numba.datasets.pairs import Pairs, assemble, check_options
from ivbpr_numba.datasets.reading import read_pairs
from ivbpr_numba.datasets.reporting import listed
from ivbpr_numba.datasets.sharing import shared_out
from ivbpr_numba.datasets.unlike import no_common_item, some_of
from ivbpr_numba.errors import UsageError, parameter
from ivbpr_numba.events import Observer
from ivbpr_numba.readers.badlines import summarise
from ivbpr_numba.readers.id_index import IdIndex
from ivbpr_numba.readers.metadata import Metadata, check_category, read_metadata
from ivbpr_numba.readers.recognise import check_source, recognise
from ivbpr_numba.readers.time_column import check_time_format
from ivbpr_numba.readers.times import parse_moment
from ivbpr_numba.store.atomic import PathLike

__all__ = ["as_paths", "prepare"]


def prepare(
    inputs: PathLike | Sequence[PathLike],
    *,
    out: PathLike | None = None,
    source: str | None = None,
    user: str | None = None,
    item: str | None = None,
    time: str | None = None,
    time_format: str | None = None,
    meta: PathLike | Sequence[PathLike] = (),
    category: str | None = None,
    features: PathLike | Sequence[PathLike] = (),
    catalogue: PathLike | None = None,
    catalogue_id: str | None = None,
    title: str | None = None,
    keep: str | Sequence[str] = (),
    min_interactions: int = 5,
    split: str = "random",
    valid_from: object = None,
    test_from: object = None,
    seed: int = 0,
    strict: bool = False,
    progress: Observer | None = None,
    client: Any = None,
) -> Dataset:
    """Prepare the data of an experiment (model specification 4).

    The steps, in this order: read all inputs; keep items of the category; keep items that every feature
    file covers; merge repeated pairs of user and item, with the latest time; keep users with enough
    different items, counted once; split; keep the items that still have an interaction.

    Parameters
    ----------
    inputs : path or sequence of paths
        Purchases, ratings or reviews; see `recognise.recognise`.
    out : path, optional
        Write the dataset file there, too.
    source : str, optional
        ``amazon-2014``, ``amazon-2018``, ``amazon-2023``, ``simple`` or ``table``; otherwise recognised.
    user, item, time : str, optional
        Columns of a table; positions "1", "2", … where it has no header.
    time_format : str, optional
        Form of a table's times as in `datetime.strptime`, such as ``%d/%m/%Y``; ISO dates, unix time and
        dates whose day can't be a month are understood without.
    meta : path or sequence of paths
        Amazon metadata: categories, and titles unless `catalogue` gives them.
    category : str, optional
        ``clothing``, ``women``, ``men``, ``girls``, ``boys`` or ``baby``.
    features : path or sequence of paths
        Feature files; items that one of them lacks are left out, so that all models see the same items.
    catalogue : path, optional
        A table of items.
    catalogue_id, title : str, optional
        Its columns of item ids (by default named like the item column) and of titles.
    keep : str or sequence of str
        Its columns to keep, for filters.
    min_interactions : int
        Users with fewer different items are dropped.
    split : str
        ``random``, ``last`` or ``time``; see `split.split_pairs`.
    valid_from, test_from : date, text or seconds, optional
        For the split by time.
    seed : int
        Of the random split, and of the draws among equal times.
    strict : bool
        A bad line is an error instead of a counted drop.
    progress : callable, optional
        Called with ``{"step"}`` and with ``{"done", "total", "lines"}``: bytes read, in all, lines read.
    client : distributed.Client, optional
        Of a Dask cluster whose workers read the inputs, which must be there for all of them by the same paths
        (extra ``dask``). The payload is the same.

    Returns
    -------
    Dataset
        ``source`` tells where everything comes from; ``source["report"]`` each step with what is left
        after it (``interactions users items``), how many interactions it ``dropped``, and ``why``;
        `reporting.lines_left_out` names the lines that could not be used.

    Raises
    ------
    UsageError
        A missing file, unknown source, category or split, options that contradict.
    DataError
        Malformed input, another format than named, a missing column, nothing left; with `strict` the first
        bad line.
    EnvironmentProblem
        A file may not be read, or Parquet without pyarrow; a cluster that can't be used, or a worker that
        can't read an input.
    """
    paths = as_paths(inputs)
    meta, features = expected.paths("meta", meta), expected.paths("features", features)
    keep = expected.names("keep", keep)
    for name, place in (("catalogue", catalogue), ("out", out)):
        if place is not None:
            expected.path(place, parameter(name, place))
    check_time_format(time_format)
    if out is not None and not os.path.isdir(folder := os.path.dirname(os.path.abspath(out))):
        raise UsageError(f"The output folder {folder} does not exist.", f"Create it: mkdir -p {folder}")
    moments = [None if m is None else parse_moment(m) for m in (valid_from, test_from)]
    check_options(split, seed, min_interactions, *moments)
    check_source(source, user, item, time, time_format)
    check_category(category, meta)
    described = Catalogue.open(catalogue, catalogue_id, item, title, keep)
    coverage = [_covered_items(path) for path in features]
    opened = partial(recognise, source=source, user=user, item=item, time=time, time_format=time_format)
    readers = [opened(path) for path in paths]
    if described is not None:
        described.choose_id(readers[0].columns["item"])

    if client is None:
        pairs, about_inputs = read_pairs(readers, strict, progress)
    else:
        with shared_out(client, opened, readers, strict) as shares:
            pairs, about_inputs = read_pairs(readers, strict, progress, shares)
    items = pairs.item_ids
    assert isinstance(items, IdIndex)
    record: dict[str, Any] = {
        "inputs": about_inputs,
        "recognised": _one_or_many([row["recognised"] for row in about_inputs]),
        "why": _one_or_many([row["why"] for row in about_inputs]),
    }
    metadata = read_metadata(meta, category, items, CELL_LIMIT, strict, progress) if meta else None
    if metadata is not None:
        record |= _filter_by_category(pairs, items, metadata, category)
    about_features = _filter_by_coverage(pairs, items, features, coverage)
    if progress is not None:
        progress({"step": "filtering and splitting"})
    # `items` must outlive the renumbering: titles of the metadata are known by its codes.
    parts = assemble(
        pairs,
        split=split,
        seed=seed,
        min_interactions=min_interactions,
        valid_from=moments[0],
        test_from=moments[1],
    )
    data = Dataset.of(parts)
    if described is not None:
        record |= described.read_into(data, strict, progress)
    for column, known in _of_metadata(metadata):
        if column not in data.item_columns and known:
            codes = items.find_bytes(data.items.values).tolist()
            data.item_columns[column] = column_of([known.get(code, "") for code in codes])
    data.source = {**record, **data.source}
    data.source["filters"] |= {"category": category, "features": about_features}
    if out is not None:
        data.write(out)
    return data


def _of_metadata(metadata: Metadata | None) -> list[tuple[str, dict[int, str]]]:
    """Item columns that the metadata give, with the text of each item code."""
    if metadata is None:
        return []
    return [
        ("title", metadata.titles),
        ("category", metadata.nodes),
        ("categories", metadata.categories),
    ]


def as_paths(inputs: PathLike | Sequence[PathLike]) -> list[PathLike]:
    if hasattr(inputs, "columns"):
        raise UsageError("prepare reads files, not frames.", "Frames go to Dataset.from_frame.")
    paths = expected.paths("inputs", inputs)
    if not paths:
        raise UsageError("There is no input.", "Name one or more files of purchases.")
    real = [os.path.realpath(path) for path in paths]
    for path, where in zip(paths, real):
        if real.count(where) > 1 and os.path.isfile(where):
            raise UsageError(f"'{path}' is named twice.", "Name each input once.")
    return paths


def _covered_items(path: PathLike) -> np.ndarray:
    from ivbpr_numba.features.features import Features

    return Features.read(path).items.values


def _one_or_many(texts: list[str]) -> str:
    return "; ".join(dict.fromkeys(texts))


def _filter_by_category(
    pairs: Pairs, items: IdIndex, metadata: Metadata, category: str | None
) -> dict[str, Any]:
    counts = {"items_described": metadata.described, "metadata": metadata.inputs}
    present = np.bincount(pairs.items, minlength=len(metadata.known)) > 0
    known, total = int(np.count_nonzero(present & metadata.known)), int(np.count_nonzero(present))
    names = " and ".join(str(about["name"]) for about in metadata.inputs)
    if not known:
        ours = items.take(np.flatnonzero(present)[:1000])
        raise no_common_item(
            f"No item of the purchases is in {names}", some_of(ours), metadata.some_ids, "the metadata"
        )
    why = [f"{known:,} of {total:,} items are described"]
    if known < total:
        lacking = some_of(items.take(np.flatnonzero(present & ~metadata.known)[:NAMED]))
        why.append(f"{total - known:,} are not ({listed(lacking, total - known)})")
    if metadata.titles_cut:
        why.append(f"{metadata.titles_cut:,} titles cut to {CELL_LIMIT} characters")
    why += [
        f"{about['name']}: {summarise(rows)}" for about in metadata.inputs if (rows := about["bad_lines"])
    ]
    pairs.note(f"metadata {names}", 0, "; ".join(why))
    if category is None:
        return counts
    why_not = (
        f"items not under '{category}' ({total - known:,} items are not in the metadata); "
        f"the metadata hold {metadata.members:,} items of it"
    )
    pairs.keep_items(metadata.member, "category", why_not)
    return {**counts, "items_in_category": metadata.members}


def _filter_by_coverage(
    pairs: Pairs, items: IdIndex, paths: Sequence[PathLike], coverage: list[np.ndarray]
) -> list[dict[str, Any]]:
    about = []
    for path, covered in zip(paths, coverage):
        codes = items.find_bytes(covered)
        known = np.zeros(len(items), dtype=bool)
        known[codes[codes >= 0]] = True
        name = os.path.basename(os.fspath(path))
        present = np.bincount(pairs.items, minlength=len(items)) > 0
        lacking = np.flatnonzero(present & ~known)
        why = f"items without a row in {name}, which has {len(covered):,}"
        if present.any() and not (present & known).any():
            raise no_common_item(
                f"No user is left after the step 'features {name}': no item of the purchases is in it",
                some_of(items.take(lacking[:1000])),
                some_of(covered),
                name,
            )
        if len(lacking):
            named = listed(some_of(items.take(lacking[:NAMED])), len(lacking))
            why = f"{len(lacking):,} {why} ({named})"
        pairs.keep_items(known, f"features {name}", why)
        about.append({"name": name, "items": len(covered)})
    return about
