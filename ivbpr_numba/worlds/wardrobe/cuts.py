"""The cut of every garment in every fit.

A cut is made once for each kind and fit and kept; a picture moves, tilts and scales it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from ivbpr_numba.worlds.wardrobe.bottoms import jeans, shorts, skirt, trousers
from ivbpr_numba.worlds.wardrobe.cut import FITS, Cut, Fit
from ivbpr_numba.worlds.wardrobe.dresses import dress, jumpsuit
from ivbpr_numba.worlds.wardrobe.outerwear import blazer, coat
from ivbpr_numba.worlds.wardrobe.tops import blouse, cardigan, sweater, t_shirt

__all__ = ["CUTS", "cut_of"]

CUTS: dict[str, Callable[[Fit, bool], Cut]] = {
    "dress": dress,
    "jeans": jeans,
    "jumpsuit": jumpsuit,
    "blouse": blouse,
    "skirt": skirt,
    "coat": coat,
    "sweater": sweater,
    "t-shirt": t_shirt,
    "trousers": trousers,
    "blazer": blazer,
    "shorts": shorts,
    "cardigan": cardigan,
}


@cache
def cut_of(garment: str, fit: str, flared: bool) -> Cut:
    """The cut of a kind of garment in a fit, with or without a flared hem."""
    return CUTS[garment](FITS[fit], flared)
