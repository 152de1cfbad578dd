"""What a product looks like on the page: its photo, or a card drawn from the names of its attributes."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from ivbpr_numba.report.numbers import named, shortened

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ivbpr_numba.datasets.dataset import Dataset
    from ivbpr_numba.features.features import Features
    from ivbpr_numba.report.item_pictures import ItemPicture

__all__ = ["cards"]

LINES, LENGTH = 3, 16  # words on a drawn card
SURE = 0.5  # from here on a network's attribute counts as the product's
# Colours that catalogues name, the longer names first: "dark blue" is not "blue".
COLOURS = {
    "off white": "#f5f1e6", "dark blue": "#1f2f5c", "light blue": "#a8c8e4", "dark green": "#1f4a34",
    "light green": "#b4d8a8", "dark grey": "#4b4b4d", "light grey": "#cfcfcf", "dark red": "#7c1420",
    "light pink": "#f5c9d3", "dark pink": "#c0356f", "light beige": "#ece0c8", "dark beige": "#b59a6f",
    "light purple": "#c9b5de", "light orange": "#f8bf86", "dark orange": "#c75a14", "light yellow": "#f7eda2",
    "turquoise": "#3fb6b2", "burgundy": "#6b1b2c", "greenish": "#7f8f5c", "yellowish": "#d8b83c",
    "black": "#1c1c1c", "white": "#ffffff", "beige": "#dac7a3", "brown": "#70492c", "khaki": "#8a8455",
    "orange": "#ee8a2c", "purple": "#7a4a9c", "yellow": "#f1d030", "silver": "#c3c7cb", "bronze": "#9a6a3a",
    "mustard": "#d1a02a", "violet": "#7a4a9c", "denim": "#4a6a92", "ivory": "#f5f1e0", "green": "#3c8a4c",
    "navy": "#1f2f5c", "grey": "#8e8e90", "gray": "#8e8e90", "blue": "#3566b0", "pink": "#ea8fae",
    "gold": "#c9a648", "mole": "#8f8378", "lilac": "#b9a0d4", "teal": "#23787a", "rose": "#e79aae",
    "red": "#c22a30", "tan": "#c8a57c",
}  # fmt: skip

_NAMED = re.compile(rf"\b({'|'.join(COLOURS)})\b")  # whole words: nothing red about "embroidered"


def cards(
    data: Dataset, features: Features | None, pictures: Mapping[str, ItemPicture], items: Iterable[str]
) -> dict[str, dict[str, Any] | None]:
    """A card of each item: ``jpeg width height`` of a photo, or ``colour words``, or None.

    Parameters
    ----------
    data : Dataset
    features : Features or None
        Attributes, whose names are drawn where there is no photo.
    pictures : mapping
        Photos by item id.
    items : iterable of str
    """
    asked = list(dict.fromkeys(items))
    made: dict[str, dict[str, Any] | None] = {}
    for item in asked:
        photo = pictures.get(item)
        if photo is not None:
            jpeg = base64.b64encode(photo.jpeg).decode("ascii")
            made[item] = {"jpeg": jpeg, "width": photo.width, "height": photo.height}
        else:
            made[item] = None if features is None else _drawn(features, data, item)
    return made


def _drawn(features: Features, data: Dataset, item: str) -> dict[str, Any]:
    """The first attributes of an item as words, and the first colour that any of them names, if one does."""
    place = features.items.find(data.items.values[[data.items.row(item)]])
    values = features.values(place)[0]
    names = []
    for group in features.groups:
        own = values[group.offset : group.offset + group.size]
        if group.exclusive:
            columns = [int(own.argmax())] if own.size and own.max() > 0 else []
        else:
            columns = np.flatnonzero(own >= SURE).tolist()
        names += [named(features.names[group.offset + k])[0] for k in columns]
    met = (_NAMED.search(name.lower()) for name in names)
    colour = next((COLOURS[found[0]] for found in met if found), None)
    return {"colour": colour, "words": [shortened(name, LENGTH) for name in names[:LINES]]}
