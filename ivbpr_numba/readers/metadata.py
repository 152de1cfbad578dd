"""Amazon metadata: category paths and titles of items (model specification 4.2)."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ivbpr_numba.errors import DataError, UsageError, did_you_mean, parameter
from ivbpr_numba.readers import jsonl
from ivbpr_numba.readers.badlines import BadLines
from ivbpr_numba.readers.id_index import REASONS, IdIndex
from ivbpr_numba.readers.streams import ByteStream
from ivbpr_numba.store.atomic import PathLike

__all__ = [
    "CATEGORIES",
    "SEPARATOR",
    "Metadata",
    "category_paths",
    "check_category",
    "check_known",
    "is_in_category",
    "read_metadata",
]

CATEGORIES = ("clothing", "women", "men", "girls", "boys", "baby")
_ROOT = "clothing shoes & jewelry"
_SOME_IDS = 1000
SEPARATOR = ";"  # between the categories of one item
NODE_DEPTH = 4  # depth of the sub-category whose bias may drift


def check_category(category: str | None, meta: Sequence[PathLike]) -> None:
    """Refuse an unknown category, and one without the metadata that tells it.

    Raises
    ------
    UsageError
    """
    if category is None:
        return
    check_known(category)
    if not meta:
        raise UsageError(
            "A category needs the items' metadata.", f"Give the metadata file with {parameter('meta')}."
        )


def check_known(category: str) -> None:
    """Refuse a category that is none of `CATEGORIES`.

    Raises
    ------
    UsageError
    """
    if category not in CATEGORIES:
        hint = did_you_mean(category, CATEGORIES) or f"Known are {', '.join(CATEGORIES)}."
        raise UsageError(f"Unknown category '{category}'.", hint)


def category_paths(record: dict[str, Any]) -> list[list[str]]:
    """Category paths of one item: a list of paths in 2014, one flat path in 2018 and 2023.

    Raises
    ------
    TypeError
        When they are neither.
    """
    found = record.get("categories", record.get("category"))
    if found is None:
        return []
    if not isinstance(found, list):
        raise TypeError("categories that are no list")
    paths = found if found and all(isinstance(part, list) for part in found) else [found]
    if not all(isinstance(part, str) for path in paths for part in path):
        raise TypeError("categories that are no text")
    return paths


def is_in_category(paths: Iterable[list[str]], category: str) -> bool:
    """Whether a path leads to the category; ``clothing`` is everything under its root.

    Commas and HTML escapes in names don't count: the releases differ in them.
    """
    for path in paths:
        names = [html.unescape(name).replace(",", "").strip().casefold() for name in path[:2]]
        if names and names[0] == _ROOT and (category == "clothing" or names[1:] == [category]):
            return True
    return False


@dataclass
class Metadata:
    """What the metadata say about the items of an `IdIndex`.

    Attributes
    ----------
    known : (I,) bool
        By item code: described at all.
    member : (I,) bool
        In the category (all described items when none was asked for).
    titles, nodes, categories : dict of int to str
        By item code: title, the first four names of its first category path that is that long, and which of
        `CATEGORIES` it is in, ``clothing;women`` for one.
    described, members : int
        Distinct items in the metadata, and of those in the category.
    some_ids : list of str
        A few ids of the metadata, for messages.
    titles_cut : int
        Titles longer than asked for.
    inputs : list of dict
        ``name bytes compression sha256 recognised lines bad_lines`` of each file.
    """

    known: np.ndarray
    member: np.ndarray
    titles: dict[int, str] = field(default_factory=dict)
    nodes: dict[int, str] = field(default_factory=dict)
    categories: dict[int, str] = field(default_factory=dict)
    described: int = 0
    members: int = 0
    some_ids: list[str] = field(default_factory=list)
    titles_cut: int = 0
    inputs: list[dict[str, Any]] = field(default_factory=list)


def read_metadata(
    paths: Sequence[PathLike],
    category: str | None,
    items: IdIndex,
    longest_title: int,
    strict: bool = False,
    progress: Any = None,
) -> Metadata:
    """Read metadata of the 2014, 2018 or 2023 release, JSON or Python literals.

    Parameters
    ----------
    paths : sequence of path
    category : str or None
        One of `CATEGORIES`.
    items : IdIndex
        The items that matter; others are only counted.
    longest_title : int
        Titles are cut to so many characters.
    strict : bool
        A bad line is an error.
    progress : callable, optional
        See `reading.read_pairs`.

    Raises
    ------
    DataError
        A file holds no metadata.
    """
    found = Metadata(np.zeros(len(items), bool), np.zeros(len(items), bool))
    catalogue = IdIndex()
    members = np.zeros(0, dtype=bool)
    for path in paths:
        stream = ByteStream(path)
        bad = BadLines(stream.name, strict)
        source, key = _recognise(stream)
        if progress is not None:
            progress({"step": f"reading {stream.name}"})
        for lines, records in jsonl.json_records(stream, bad, literal=True):
            ids = jsonl.column(records, key)
            entries, codes = catalogue.add(ids), items.find(ids)
            members = np.concatenate([members, np.zeros(len(catalogue) - len(members), dtype=bool)])
            for k, record in enumerate(records):
                if entries[k] < 0:
                    bad.add(int(lines[k]), f"item id {REASONS[int(entries[k])]}")
                    continue
                try:
                    own = category_paths(record)
                    belongs = category is None or is_in_category(own, category)
                except TypeError as problem:
                    bad.add(int(lines[k]), str(problem))
                    continue
                members[entries[k]] |= belongs
                code, title = int(codes[k]), record.get("title")
                if code >= 0:
                    found.known[code] = True
                    found.member[code] |= belongs
                    if isinstance(title, str) and title and code not in found.titles:
                        whole = html.unescape(title)
                        found.titles[code] = whole[:longest_title]
                        found.titles_cut += len(whole) > longest_title
                    member_of = SEPARATOR.join(one for one in CATEGORIES if is_in_category(own, one))
                    if member_of and code not in found.categories:
                        found.categories[code] = member_of
                    deep = next((path for path in own if len(path) >= NODE_DEPTH), None)
                    if deep is not None and code not in found.nodes:
                        found.nodes[code] = html.unescape(" > ".join(deep[:NODE_DEPTH]))[:longest_title]
            if progress is not None:
                progress({"done": stream.done, "total": stream.size, "lines": stream.lines})
        found.inputs.append(
            {
                "name": stream.name,
                "bytes": stream.done,
                "compression": stream.codec,
                "sha256": stream.sha256,
                "recognised": f"{source} metadata",
                "lines": stream.lines,
                "bad_lines": bad.rows(),
            }
        )
    found.described, found.members = len(catalogue), int(np.count_nonzero(members))
    some = catalogue.take(np.arange(min(len(catalogue), _SOME_IDS)))
    found.some_ids = [value.decode() for value in some.tolist()]
    return found


def _recognise(stream: ByteStream) -> tuple[str, str]:
    """Release of the metadata and its key of the item id."""
    objects = jsonl.first_objects(stream.head)
    reviews = sum("reviewerID" in record or "user_id" in record for record in objects)
    for source, key, marks in (
        ("amazon-2023", "parent_asin", ("categories", "main_category")),
        ("amazon-2014", "asin", ("categories",)),
        ("amazon-2018", "asin", ("category", "title", "also_buy", "imageURL")),
    ):
        fitting = sum(key in record and any(mark in record for mark in marks) for record in objects)
        if objects and fitting > len(objects) / 2 and not reviews:
            return source, key
    stream.close()
    what = "reviews" if reviews else "no Amazon metadata"
    raise DataError(
        f"'{stream.path}' holds {what}.",
        f"Give the meta_*.json.gz file of the release; a table of items goes to {parameter('catalogue')}.",
    )
