"""Small pictures of items out of a folder, zip or tar, and those that show a feature best (figure 2)."""

from __future__ import annotations

import io
import unicodedata
from collections import OrderedDict
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from itertools import chain
from threading import Lock
from typing import TYPE_CHECKING

from ivbpr_numba.features.describing import examples
from ivbpr_numba.photos.decoding import decode
from ivbpr_numba.photos.pictures import Pictures

if TYPE_CHECKING:
    from ivbpr_numba.features.features import Features
    from ivbpr_numba.store.atomic import PathLike

__all__ = ["ItemPicture", "ItemPictures", "open_pictures", "pictures_of"]

LOOKED_AT = 200  # items with the highest values among which pictures are looked for
LARGEST = (192, 192)  # pixels of a kept picture, height and width
QUALITY = 88  # of its JPEG


@dataclass(frozen=True)
class ItemPicture:
    """A small JPEG picture of an item; `width` and `height` in pixels."""

    item: str
    jpeg: bytes
    width: int
    height: int


class ItemPictures:
    """Small pictures by item id; made by `open_pictures`. Several threads may ask.

    Attributes
    ----------
    path : path
        Folder or archive.
    largest : (int, int)
        Height and width that a picture may have.
    broken : dict of str to str
        Items whose photo was asked for and can't be used, and why.
    notes : list of str
        What might surprise about names and ids, for people.
    """

    def __init__(
        self, photos: Pictures, largest: tuple[int, int] = LARGEST, kept_bytes: int | None = None
    ) -> None:
        self.path = photos.path
        self.largest = largest
        self.broken: dict[str, str] = {}
        self.notes = list(photos.notes)
        self._photos = photos
        self._made: OrderedDict[str, ItemPicture] = OrderedDict()  # what was asked for last is at its end
        self._kept_bytes, self._bytes = kept_bytes, 0
        self._lock = Lock()
        # Photos are sorted by item and name: the first of an item with several counts.
        self._at: dict[str, int] = {}
        again = set()
        for index, photo in enumerate(photos.pictures):
            if self._at.setdefault(photo.item, index) != index:
                again.add(photo.item)
        if again:
            first = min(again)
            self.notes.append(
                f"{len(again):,} items have several photos in {self.path}; the first by name is shown, of "
                f"'{first}' {photos.pictures[self._at[first]].name}."
            )

    def __contains__(self, item: object) -> bool:
        return isinstance(item, str) and self._find(item) is not None

    def small(self, item: str) -> ItemPicture | None:
        """The picture of one item; None where it has none that can be used."""
        return self.many([item]).get(item)

    def many(self, items: Iterable[str]) -> dict[str, ItemPicture]:
        """Pictures of those items that have one, in the order given.

        One call reads a compressed archive once, however many items there are; pictures made before are kept.
        """
        asked = list(dict.fromkeys(items))
        found, new = self._known(asked), {}
        for item in asked:
            index = self._find(item)
            if index is not None and item not in found and item not in self.broken:
                new[index] = item
        with closing(self._photos.read(list(new))) as contents:  # type: ignore[type-var]
            for index, content in contents:
                picture = self._picture(new[index], content)
                if picture is not None:
                    found[new[index]] = picture
                    self._keep(picture)
        return {item: found[item] for item in asked if item in found}

    def _known(self, items: Iterable[str]) -> dict[str, ItemPicture]:
        """Those that were made before."""
        found = {}
        with self._lock:
            for item in items:
                picture = self._made.get(item)
                if picture is not None:
                    self._made.move_to_end(item)
                    found[item] = picture
        return found

    def _keep(self, picture: ItemPicture) -> None:
        with self._lock:
            if picture.item in self._made:  # another thread was faster
                return
            self._made[picture.item] = picture
            self._bytes += len(picture.jpeg)
            while self._kept_bytes is not None and self._bytes > self._kept_bytes:
                _, oldest = self._made.popitem(last=False)
                self._bytes -= len(oldest.jpeg)

    def _find(self, item: str) -> int | None:
        """Position of its photo; ids of photos are composed (NFC), those of features perhaps not."""
        found = self._at.get(item)
        return found if found is not None else self._at.get(unicodedata.normalize("NFC", item))

    def _picture(self, item: str, content: bytes | str) -> ItemPicture | None:
        """The content of a photo made small, or None where it can't be used, which is then in `broken`."""
        if isinstance(content, str):
            self.broken[item] = content
            return None
        decoded = decode(content, self.largest)
        if decoded.image is None:
            self.broken[item] = decoded.reason or "it can't be decoded"
            return None
        image, out = decoded.image, io.BytesIO()
        image.thumbnail(self.largest[::-1])
        image.save(out, "JPEG", quality=QUALITY)
        return ItemPicture(item, out.getvalue(), *image.size)


def open_pictures(
    source: PathLike, *, largest: tuple[int, int] = LARGEST, kept_bytes: int | None = None, hold: bool = False
) -> ItemPictures:
    """Photos of items in a folder (and its folders), zip or tar (plain, gzip, bzip2, xz), ``ITEM.jpg`` or so.

    Which files count, and how ids are made of names, is as for ``ivbpr features extract``. Nothing outside
    the folder or archive is looked at, whatever an id says: ids are looked up among what it lists.

    Parameters
    ----------
    source : path
    largest : (int, int)
        Height and width that a picture may have.
    kept_bytes : int, optional
        Pictures made are kept up to this size together, those asked for last; without it all are.
    hold : bool
        Keep an archive open, and a compressed tar unpacked in a temporary file, for many pictures one by one.

    Raises
    ------
    UsageError
        There is no such folder or file.
    DataError
        No photos, or a damaged archive.
    EnvironmentProblem
        It may not be read.
    """
    photos = Pictures.open(source)
    if hold:
        photos.hold()
    return ItemPictures(photos, largest, kept_bytes)


def pictures_of(
    features: Features, names: Iterable[str], pictures: ItemPictures, count: int = 4
) -> tuple[dict[str, list[ItemPicture]], list[str]]:
    """The first `count` items that have a picture, highest value first, ties by id, for each feature.

    Parameters
    ----------
    features : Features
    names : iterable of str
        Column names.
    pictures : ItemPictures
    count : int
        Pictures a feature.

    Returns
    -------
    found : dict
        By feature.
    notes : list of str
        What was skipped: items whose picture is missing or can't be used.
    """
    ranked = {name: [row["item"] for row in examples(features, name, LOOKED_AT)] for name in names}
    having = {name: [item for item in items if item in pictures] for name, items in ranked.items()}
    before = -1
    while len(pictures.broken) != before:  # the next ones step in for those found broken
        before = len(pictures.broken)
        chosen = {
            name: [item for item in items if item not in pictures.broken][:count]
            for name, items in having.items()
        }
        made = pictures.many(chain.from_iterable(chosen.values()))
    found = {name: [made[item] for item in items] for name, items in chosen.items()}
    missing: set[str] = set()
    broken: dict[str, str] = {}
    for name, items in ranked.items():
        last = items.index(chosen[name][-1]) if len(chosen[name]) == count else len(items)
        missing.update(item for item in items[:last] if item not in pictures)
        broken |= {item: pictures.broken[item] for item in items[:last] if item in pictures.broken}
    notes = []
    if missing:
        first = min(missing)
        notes.append(f"{len(missing):,} items have no picture in {pictures.path}, the first is '{first}'.")
    if broken:
        first = min(broken)
        notes.append(
            f"{len(broken):,} items have a picture in {pictures.path} that can't be used and was skipped, "
            f"'{first}': {broken[first]}."
        )
    bare = [name for name, kept in found.items() if not kept]
    if bare:
        notes.append(f"{len(bare):,} features have no picture at all, the first is '{bare[0]}'.")
    return found, [*pictures.notes, *notes]
