"""What a cut is made of: fits, parts, seams, and the places for trimmings.

Numbers are in units of half a picture.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from ivbpr_numba.worlds.wardrobe.geometry import join, mirrored

__all__ = [
    "BODY",
    "FITS",
    "FRONT",
    "INSIDE",
    "LARGEST",
    "LEFT",
    "RIGHT",
    "SLEEVE",
    "Cut",
    "Fit",
    "Line",
    "Part",
    "add_motif",
    "by_fit",
    "shoulder_factor",
]

LARGEST = 0.9  # half of what a garment may fill of the picture
BODY, LEFT, RIGHT = 0, 1, 2  # sides: sleeves and legs have a pattern of their own direction
INSIDE = 66  # tone of the lining that a neckline shows
FRONT, SLEEVE = 130, 121


class Fit(NamedTuple):
    """How a fit changes a garment: factors of its width and length, and how far the shoulders drop."""

    name: str
    width: float
    length: float
    drop: float


FITS = {
    "regular": Fit("regular", 1.0, 1.0, 0.0),
    "slim": Fit("slim", 0.74, 1.0, 0.0),
    "loose": Fit("loose", 1.26, 1.03, 0.02),
    "oversized": Fit("oversized", 1.6, 1.1, 0.07),
    "cropped": Fit("cropped", 1.0, 0.62, 0.0),
}


class Part(NamedTuple):
    """A piece of cloth: outline (n, 2), brightness (128 is that of the cloth) and side."""

    outline: np.ndarray
    tone: int = FRONT
    side: int = BODY


class Line(NamedTuple):
    """A line on the cloth: points, width and brightness."""

    points: np.ndarray
    width: float = 0.012
    tone: int = 84


@dataclass
class Cut:
    """What is drawn of a garment.

    Attributes
    ----------
    behind, parts : list of Part
        In the order in which they lie on each other; a hood comes between the two.
    lines : list of Line
        Seams, lapels, pockets.
    fades : list of ((n, 2) array, brightness)
        Washed-out areas.
    buttons : list of (x, y, radius)
    ribs : list of (n, 2) arrays
        Quadrangles with knitted ribs: cuffs, hems, collars.
    stitches : list of (n, 2) arrays
        Seams that show their thread on denim, and as a fine line on cotton.
    edges : list of (n, 2) arrays
        Lower edges, left to right: where ruffles and flares hang.
    tiers : list of (n, 2) arrays
        Lines across the body where further ruffles hang.
    pleats : list of (left top, right top, left bottom, right bottom)
    motifs : list of (x, y, size)
        Places for embroidery.
    holes : list of (x, y, size)
        Places for holes.
    neck : (half width, y, depth) or None
        Where a hood and its cords hang.
    waist : (half width, y) or None
        Of garments without a neck, where cords hang instead.
    """

    behind: list[Part] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    fades: list[tuple[np.ndarray, int]] = field(default_factory=list)
    buttons: list[tuple[float, float, float]] = field(default_factory=list)
    ribs: list[np.ndarray] = field(default_factory=list)
    stitches: list[np.ndarray] = field(default_factory=list)
    edges: list[np.ndarray] = field(default_factory=list)
    tiers: list[np.ndarray] = field(default_factory=list)
    pleats: list[np.ndarray] = field(default_factory=list)
    motifs: list[tuple[float, float, float]] = field(default_factory=list)
    holes: list[tuple[float, float, float]] = field(default_factory=list)
    neck: tuple[float, float, float] | None = None
    waist: tuple[float, float] | None = None

    def both(
        self, line: np.ndarray | list[tuple[float, float]], width: float = 0.012, tone: int = 84
    ) -> None:
        """A seam on either side."""
        self.lines += [Line(join(line), width, tone), Line(mirrored(line), width, tone)]

    def sew(self, line: np.ndarray | list[tuple[float, float]]) -> None:
        """Stitches on either side."""
        self.stitches += [join(line), mirrored(line)]


def shoulder_factor(fit: Fit, narrow: float = 0.6) -> float:
    """Factor of the shoulders, which change less than the rest."""
    return 1 + (fit.width - 1) * narrow


def by_fit(fit: Fit, **sizes: float) -> float:
    """The size for this fit; cropped is as wide as regular."""
    return sizes.get(fit.name, sizes["regular"])


def add_motif(cut: Cut, x: float, y: float, size: float) -> None:
    """A place for a sprig, on one side as embroidery is."""
    cut.motifs.append((x, y, size))
