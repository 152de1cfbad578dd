"""What a product looks like on the page: its photo made small, or a card drawn from its attributes."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

from ivbpr_numba.documents.shop import Shop
from ivbpr_numba.report.cards import cards
from ivbpr_numba.report.item_pictures import ItemPictures, open_pictures
from ivbpr_numba.report.swatch import swatch

__all__ = ["Drawings", "open_photos"]

LARGEST = (720, 540)  # pixels, height and width: sharp on a dense screen, about 40 kB
KEPT_BYTES = 64 << 20
KEPT_DRAWINGS = 5_000  # of about 2 kB


def open_photos(source: Path) -> ItemPictures:
    """The photos of the products, for many visitors; see `report.item_pictures.open_pictures`."""
    return open_pictures(source, largest=LARGEST, kept_bytes=KEPT_BYTES, hold=True)


class Drawings:
    """Cards of products without a photo, made from their attributes and kept for the next visitor."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        self._made: OrderedDict[str, bytes] = OrderedDict()

    def of(self, item: str) -> bytes | None:
        """An SVG file; None where nothing is known of the product."""
        if item in self._made:
            self._made.move_to_end(item)
            return self._made[item]
        if self._shop.features is None:
            return None
        card = cards(self._shop.data, self._shop.features, {}, [item])[item]
        assert card is not None
        self._made[item] = swatch(card)
        while len(self._made) > KEPT_DRAWINGS:
            self._made.popitem(last=False)
        return self._made[item]
