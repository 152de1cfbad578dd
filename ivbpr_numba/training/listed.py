"""Labels from lists of images, whose rows are known by the path of their image where that names folders."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable, Sequence

import numpy as np

from ivbpr_numba.errors import DataError, did_you_mean
from ivbpr_numba.ids import Ids, encode_ids
from ivbpr_numba.network.vocabulary import AttributeGroup, Vocabulary
from ivbpr_numba.photos.pictures import ENDINGS, Pictures
from ivbpr_numba.readers.image_lists import is_image_list, read_image_list
from ivbpr_numba.readers.streams import ByteStream
from ivbpr_numba.store.atomic import PathLike

__all__ = ["is_list", "labels_of_list", "named_by_path"]


def is_list(path: PathLike) -> bool:
    """Whether a file is a list of images by its content; what is read once, as a pipe, is never looked at."""
    if not os.path.isfile(path):
        return False
    stream = ByteStream(path)
    try:
        return is_image_list(stream.head)
    finally:
        stream.close()


def labels_of_list(
    path: PathLike, wanted: Sequence[str] = ()
) -> tuple[Ids, Vocabulary, list[np.ndarray], bool]:
    """Read a list of images.

    Parameters
    ----------
    path : path
        See `readers.image_lists`.
    wanted : sequence of str
        Groups to use; all where empty.

    Returns
    -------
    items : Ids
        (n,): names without ending, or, where any of them names a folder, paths as they are listed. A
        release that numbers the photos of each product anew has the same name many times.
    vocabulary : Vocabulary
    values : list of ndarray
        See `labels.Labels.values`.
    by_path : bool
        Whether the items are paths.

    Raises
    ------
    DataError
        See `readers.image_lists.read_image_list`; also an unknown group, or two images of one item.
    """
    read = read_image_list(path)
    names = [group.name for group in read.groups]
    for name in wanted:
        if name not in names:
            hint = did_you_mean(name, names) or f"It has {', '.join(names)}."
            raise DataError(f"'{path}' has no group '{name}'.", hint)
    by_path = any("/" in listed for listed in read.paths)
    ids = encode_ids(read.paths if by_path else map(_stem, read.paths))
    ordered, rows, times = np.unique(ids, return_index=True, return_counts=True)
    if len(ordered) < len(ids):
        twice = ordered[times > 1][0].decode()
        raise DataError(f"'{path}' has two images of the item '{twice}'.", "Keep one row an item.")
    groups = [group for group in read.groups if not wanted or group.name in wanted]
    vocabulary = Vocabulary(tuple(AttributeGroup(one.name, one.values, one.exclusive) for one in groups))
    # The vocabulary's own reader knows what a vocabulary may not be.
    vocabulary = Vocabulary.from_json(vocabulary.to_json(), os.fspath(path))
    return Ids(ordered, "item"), vocabulary, [one.labels[rows] for one in groups], by_path


def _stem(name: str) -> str:
    return posixpath.splitext(name)[0] if name.lower().endswith(ENDINGS) else name


def named_by_path(pictures: Pictures, items: Ids) -> Pictures:
    """The same pictures, each an item of its own under its path as the list has it.

    The list may count from the folder above that of the pictures, or from the one below: what finds the most
    of them is taken.

    Parameters
    ----------
    pictures : Pictures
    items : Ids
        Paths.
    """
    listed = set(items.texts())
    top = items[0].partition("/")[0]
    ways: list[Callable[[str], str]] = [
        lambda name: name,
        lambda name: f"{top}/{name}",
        lambda name: name.partition("/")[2] or name,
    ]
    found = [sum(way(one.name) in listed for one in pictures.pictures) for way in ways]
    return pictures.renamed(ways[int(np.argmax(found))])
