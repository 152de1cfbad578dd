"""Pictures of the items that show a feature best: those with its highest values (figure 2 of the paper)."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ivbpr_numba.features.describing import examples

if TYPE_CHECKING:
    from ivbpr_numba.features.features import Features

__all__ = ["ItemPicture", "pictures", "pictures_of"]

ENDINGS = (".jpg", ".jpeg", ".png")
LOOKED_AT = 200  # items with the highest values among which pictures are looked for
LARGEST = (192, 192)  # pixels of a kept picture


@dataclass(frozen=True)
class ItemPicture:
    """A small JPEG picture of an item; `width` and `height` in pixels."""

    item: str
    jpeg: bytes
    width: int
    height: int


def pictures_of(
    features: Features, names: Iterable[str], folder: Path, count: int = 4
) -> tuple[dict[str, list[ItemPicture]], list[str]]:
    """The first `count` items that have a picture, highest value first, ties by id, for each feature.

    Parameters
    ----------
    features : Features
    names : iterable of str
        Column names.
    folder : Path
        Files ``ITEM.jpg``, ``.jpeg`` or ``.png``.
    count : int
        Pictures a feature.

    Returns
    -------
    pictures : dict
        By feature.
    notes : list of str
        What was skipped: items whose picture is missing or can't be read.
    """
    found: dict[str, list[ItemPicture]] = {}
    missing: set[str] = set()
    broken: set[str] = set()
    for name in names:
        kept = found.setdefault(name, [])
        for row in examples(features, name, LOOKED_AT):
            if len(kept) == count:
                break
            path = _file_of(folder, row["item"])
            if path is None:
                missing.add(row["item"])
                continue
            picture = _small(row["item"], path)
            if picture is None:
                broken.add(row["item"])
            else:
                kept.append(picture)
    notes = []
    for items, what in ((missing, "have no picture in"), (broken, "have a picture that can't be read in")):
        if items:
            notes.append(f"{len(items):,} items {what} {folder}, the first is '{min(items)}': skipped.")
    bare = [name for name, kept in found.items() if not kept]
    if bare:
        notes.append(f"{len(bare):,} features have no picture at all, the first is '{bare[0]}'.")
    return found, notes


def pictures(items: Iterable[str], folder: Path) -> dict[str, ItemPicture]:
    """The pictures of those items that have one."""
    found = {}
    for item in items:
        path = _file_of(folder, item)
        picture = None if path is None else _small(item, path)
        if picture is not None:
            found[item] = picture
    return found


def _file_of(folder: Path, item: str) -> Path | None:
    """The picture of an item; an id that would leave the folder has none."""
    if "/" in item or "\\" in item or "\0" in item:
        return None
    return next((path for path in (folder / f"{item}{end}" for end in ENDINGS) if path.is_file()), None)


def _small(item: str, path: Path) -> ItemPicture | None:
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as image:
            small = ImageOps.exif_transpose(image).convert("RGB")
            small.thumbnail(LARGEST)
            out = io.BytesIO()
            small.save(out, "JPEG", quality=88)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    return ItemPicture(item, out.getvalue(), *small.size)
