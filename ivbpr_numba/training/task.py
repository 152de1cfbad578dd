"""What both ways of training start from: photos joined with labels, and who trains and who judges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ivbpr_numba.errors import DataError, UsageError, parameter
from ivbpr_numba.photos.pictures import Pictures
from ivbpr_numba.store.atomic import PathLike
from ivbpr_numba.training.labels import Labels, read_labels
from ivbpr_numba.training.listed import named_by_path
from ivbpr_numba.training.splitting import PARTS, part_of

__all__ = ["Task", "make_task"]


@dataclass(frozen=True)
class Task:
    """Labelled photos.

    Attributes
    ----------
    labels : Labels
        Of the items that have a photo (n).
    part : ndarray of uint8, shape (n,)
        Position of each item in `splitting.PARTS`.
    pictures : Pictures
        Open; whoever made the task closes it. Named by their paths where the labels are.
    chosen : ndarray of int64, shape (m,)
        The photos of these items, numbers into ``pictures.pictures``; ascending.
    picture_rows : ndarray of int64, shape (m,)
        Item of each of them, a row of `labels`.
    split : dict
        ``seed valid_share test_share family``: what `splitting.part_of` needs to tell the parts again.
    report : dict
        ``labels`` (see `Labels.report`), ``items``, ``images``, ``images_of_part``, ``items_without_image``,
        ``images_without_label``.
    """

    labels: Labels
    part: np.ndarray
    pictures: Pictures
    chosen: np.ndarray
    picture_rows: np.ndarray
    split: dict[str, Any]
    report: dict[str, Any]

    def images_in(self, part: str) -> np.ndarray:
        """Positions in `chosen` of the photos of one part, int64."""
        return np.flatnonzero(self.part[self.picture_rows] == PARTS.index(part))

    def held_out(self) -> dict[str, int]:
        """How many photos are kept for a test, as ``test``; nothing where none is."""
        count = len(self.images_in("test"))
        return {"test": count} if count else {}


def make_task(
    pictures: Pictures,
    labels: PathLike,
    *,
    id_column: str | None = None,
    groups: Sequence[str] = (),
    tags: Sequence[str] = (),
    min_images: int = 20,
    seed: int = 0,
    valid_share: float = 0.1,
    test_share: float = 0.0,
    family: int | None = None,
) -> Task:
    """Join photos with labels.

    Parameters
    ----------
    pictures : Pictures
        Open photos.
    labels, id_column, groups, tags
        See `labels.read_labels`.
    min_images : int
        Values that fewer photos have are dropped and reported.
    seed, valid_share, test_share, family
        See `splitting.part_of`.

    Raises
    ------
    UsageError
        Options that make no sense.
    DataError
        No photo has a label, no value is left, or a part that was asked for is empty.
    """
    if min_images < 1:
        raise UsageError(
            f"{parameter('min_images', min_images)}: at least 1 is needed.", "Give a positive number."
        )
    read = read_labels(labels, id_column, groups, tags)
    if read.by_path:
        pictures = named_by_path(pictures, read.items)
    rows = pictures.rows_in(read.items)
    labelled = np.zeros(len(read), dtype=bool)
    for k in range(len(read.values)):
        labelled |= read.known(k)
    chosen = np.flatnonzero((rows >= 0) & labelled[rows])
    if len(chosen) == 0:
        shown = f"'{pictures.pictures[0].item}'" if pictures.pictures else "none"
        raise DataError(
            f"None of the {len(rows):,} images has a label in '{labels}': the first image is {shown}, the "
            f"first labelled item '{read.items[0]}'.",
            "The paths of the images must be those of the list."
            if read.by_path
            else "Image names without their ending must be the ids of the label table.",
        )
    having, picture_rows = np.unique(rows[chosen], return_inverse=True)
    kept = read.take(having)
    part = part_of(kept.items, seed, valid_share, test_share, family)
    for number, share in ((0, 1.0), (1, valid_share), (2, test_share)):
        if share > 0 and not (part == number).any():
            raise DataError(
                f"No image is left for the part '{PARTS[number]}': there are {len(kept):,} labelled items.",
                f"Give more images, another {parameter('seed')} or other shares.",
            )
    images = np.bincount(picture_rows, minlength=len(kept))
    kept = kept.keeping(min_images, images, part == 0)
    of_part = part[picture_rows]
    return Task(
        labels=kept,
        part=part,
        pictures=pictures,
        chosen=chosen,
        picture_rows=picture_rows.reshape(-1),
        split={"seed": seed, "valid_share": valid_share, "test_share": test_share, "family": family},
        report={
            "labels": kept.report,
            "items": len(kept),
            "images": len(chosen),
            "images_of_part": {name: int((of_part == k).sum()) for k, name in enumerate(PARTS)},
            "items_without_image": int(labelled.sum()) - len(kept),
            "images_without_label": len(rows) - len(chosen),
        },
    )
