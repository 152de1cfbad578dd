"""The cut of every garment in every fit: parts, seams, and the places for trimmings.

Numbers are in units of half a picture. A cut is made once for each kind and fit and kept; a picture moves,
tilts and scales it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import NamedTuple

import numpy as np

from ivbpr_numba.worlds.wardrobe.geometry import bend, hem, join, mirrored, through

__all__ = ["CUTS", "FITS", "Cut", "Part", "cut_of"]

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


@cache
def cut_of(garment: str, fit: str, flared: bool) -> Cut:
    """The cut of a kind of garment in a fit, with or without a flared hem."""
    return CUTS[garment](FITS[fit], flared)


# --- garments with a neck ---


def _body(
    cut: Cut,
    neck: float,
    top: float,
    shoulder: tuple[float, float],
    arm: tuple[float, float],
    waist: tuple[float, float],
    low: tuple[float, float],
    depth: float,
    flared: bool,
    neckline: str = "round",
    sag: float = 0.02,
    straps: bool = False,
) -> None:
    """Front and lining of everything above the waist; `low` is the corner of the hem."""
    if flared:
        swing = (low[0] * 1.06 + 0.17, low[1] - 0.03)
        knee = (waist[0] + 0.3 * (low[0] - waist[0]), waist[1] + 0.42 * (low[1] - waist[1]))
        side = join(through([arm, waist, knee]), bend(knee, swing, 0.12))
        edge = hem(swing, (-swing[0], swing[1]), 0.06, 4, 0.026)
    else:
        side = through([arm, waist, low])
        edge = hem(low, (-low[0], low[1]), sag)
    collar = {
        "round": join(bend((-neck, top), (0, top + depth), 0.22), bend((0, top + depth), (neck, top), 0.22)),
        "v": join([(-neck, top), (0, top + depth), (neck, top)]),
    }[neckline]
    armhole = bend(shoulder, arm, 0.15 if straps else 0.1)
    right = join(collar[-1:], [shoulder], armhole, side)
    front = join(right, edge, mirrored(right), collar)
    back = join(bend((-neck, top), (neck, top), -0.1), collar[::-1])
    cut.behind.append(Part(back, INSIDE))
    cut.parts.append(Part(front))
    cut.lines.append(Line(collar, 0.014))
    cut.edges.append(edge[::-1])
    cut.neck = (neck, top, depth)
    y = low[1] - 0.05
    cut.stitches.append(edge[::-1] - (0, 0.05))
    middle = 0.45 * arm[1] + 0.55 * low[1]
    wide = 0.5 * (waist[0] + low[0])
    cut.pleats.append(join([(-waist[0] * 0.92, waist[1]), (waist[0] * 0.92, waist[1])], [edge[-1], edge[0]]))
    cut.tiers.append(hem((-arm[0] * 0.96, arm[1] + 0.04), (arm[0] * 0.96, arm[1] + 0.04), 0.03))
    cut.holes += [
        (-0.5 * wide, middle, 0.12),
        (0.45 * wide, y - 0.12, 0.13),
        (0.4 * arm[0], arm[1] + 0.02, 0.1),
        (-0.3 * wide, y - 0.02, 0.1),
    ]


def _sleeves(
    cut: Cut,
    shoulder: tuple[float, float],
    arm: tuple[float, float],
    length: float,
    angle: float,
    cuff: float,
    flared: bool,
    puff: float = 0.0,
    rib: float = 0.0,
    band: float = 0.0,
    seam: bool = True,
) -> None:
    """Both sleeves, hanging from the armhole by `angle` (degrees) off the vertical."""
    a = np.deg2rad(angle)
    down, across = np.array([np.sin(a), np.cos(a)]), np.array([-np.cos(a), np.sin(a)])
    start = np.asarray(shoulder) - (0.012, 0)
    outer = start + down * length
    inner = outer + across * cuff
    if flared and length > 0.5:
        outer, inner = outer - across * 0.09, inner + across * 0.07
    under = np.asarray(arm) + np.array([-0.02, 0.03])
    right = join(
        bend(tuple(start), tuple(outer), -0.04 - puff),
        [tuple(inner)],
        bend(tuple(inner), tuple(under), 0.02 - puff),
        [(arm[0] - 0.14, (shoulder[1] + arm[1]) / 2), (shoulder[0] - 0.1, shoulder[1] + 0.02)],
    )
    cut.parts += [Part(right, SLEEVE, RIGHT), Part(mirrored(right), SLEEVE, LEFT)]
    if seam:
        cut.both(bend(shoulder, (arm[0] - 0.005, arm[1] + 0.02), 0.1), 0.014, 78)
    edge = np.array([inner, outer])
    if length > 0.5:
        cut.edges += [edge, mirrored(edge)]
    for width, kind in ((rib, "rib"), (band, "band")):
        if width:
            quad = join(edge, [tuple(outer - down * width), tuple(inner - down * width)])
            if kind == "rib":
                cut.ribs += [quad, mirrored(quad, backwards=False)]
            cut.both(quad[2:], 0.012)
    cut.sew(edge - down * 0.045)


def _shape(fit: Fit, narrow: float = 0.6) -> float:
    """Factor of the shoulders, which change less than the rest."""
    return 1 + (fit.width - 1) * narrow


def by_fit(fit: Fit, **sizes: float) -> float:
    """The size for this fit; cropped is as wide as regular."""
    return sizes.get(fit.name, sizes["regular"])


def _motif(cut: Cut, x: float, y: float, size: float) -> None:
    """A place for a sprig, on one side as embroidery is."""
    cut.motifs.append((x, y, size))


def t_shirt(fit: Fit, flared: bool) -> Cut:
    cut, w, s = Cut(), fit.width, _shape(fit)
    top, low = -0.62, -0.62 + 1.2 * fit.length
    shoulder, arm = (0.4 * s, top + 0.09 + fit.drop), (0.385 * w, top + 0.4 + fit.drop)
    _sleeves(cut, shoulder, arm, 0.36 + 0.9 * fit.drop, 52 - 100 * fit.drop, 0.25 * s, flared, band=0.03)
    waist = 0.36 * w if w < 1 else 0.38 * w
    _body(cut, 0.17, top, shoulder, arm, (waist, min(-0.05, low - 0.2)), (0.385 * w, low), 0.15, flared)
    ring = join(bend((-0.17, top), (0, top + 0.15), 0.22), bend((0, top + 0.15), (0.17, top), 0.22))
    cut.lines.append(Line(ring * (1.2, 1) + (0, 0.032), 0.01))
    _motif(cut, 0.18 * s, top + 0.42, 0.26)
    return cut


def sweater(fit: Fit, flared: bool) -> Cut:
    cut, w, s = Cut(), fit.width, _shape(fit)
    top, low = -0.62, -0.62 + 1.2 * fit.length
    shoulder, arm = (0.36 * s, top + 0.09 + fit.drop), (0.37 * w, top + 0.42 + fit.drop)
    _sleeves(cut, shoulder, arm, 0.98 + fit.drop, 19, 0.16 * s, flared, 0.02, rib=0.11)
    _body(cut, 0.16, top, shoulder, arm, (0.36 * w, low - 0.3), (0.35 * w, low), 0.1, flared)
    x = 0.35 * w
    if not flared:
        cut.ribs.append(join(hem((-x, low - 0.11), (x, low - 0.11), 0.02), hem((x, low), (-x, low), 0.02)))
        cut.lines.append(Line(hem((-x, low - 0.11), (x, low - 0.11), 0.02)))
    ring = join(bend((-0.16, top), (0, top + 0.1), 0.22), bend((0, top + 0.1), (0.16, top), 0.22))
    wide = ring * (1.3, 1) + (0, 0.06)
    cut.ribs.append(join(ring, wide[::-1]))
    cut.lines.append(Line(wide))
    _motif(cut, 0.17 * s, top + 0.45, 0.28)
    return cut


def cardigan(fit: Fit, flared: bool) -> Cut:
    cut, w, s = Cut(), fit.width, _shape(fit)
    top, low = -0.64, -0.64 + 1.26 * fit.length
    shoulder, arm = (0.35 * s, top + 0.09 + fit.drop), (0.355 * w, top + 0.42 + fit.drop)
    depth = 0.56 * min(1, fit.length + 0.12)
    _sleeves(cut, shoulder, arm, 0.98 + fit.drop, 19, 0.16 * s, flared, 0.02, rib=0.1)
    _body(cut, 0.17, top, shoulder, arm, (0.35 * w, low - 0.3), (0.345 * w, low), depth, flared, "v")
    # The band runs along the neckline and down the front, in ribs.
    right = join([(0.17, top), (0.0, top + depth), (0.0, low + 0.02)])
    outer = right + np.array([(0.055, 0.01), (0.05, 0.02), (0.05, 0.0)])
    for side in (1, -1):
        band = join(right, outer[::-1]) * (side, 1)
        cut.ribs.append(band)
        cut.lines.append(Line(outer * (side, 1), 0.012))
    cut.lines.append(Line(join([(0, top + depth), (0, low + 0.02)]), 0.022, 62))
    n = max(2, round((low - top - depth) / 0.16))
    cut.buttons += [(0.026, float(y), 0.03) for y in np.linspace(top + depth + 0.04, low - 0.06, n)]
    x = 0.345 * w
    if not flared:
        cut.lines.append(Line(hem((-x, low - 0.09), (x, low - 0.09), 0.02)))
    for side in (1, -1):
        pocket = join(
            [(0.1 * s, low - 0.36), (0.29 * w, low - 0.36)], [(0.29 * w, low - 0.13), (0.1 * s, low - 0.13)]
        )
        if fit.name != "cropped":
            cut.lines.append(Line(join(pocket, pocket[:1]) * (side, 1), 0.012))
    _motif(cut, 0.19 * s, top + 0.5, 0.26)
    return cut


def blouse(fit: Fit, flared: bool) -> Cut:
    cut, w, s = Cut(), fit.width, _shape(fit)
    top, low = -0.6, -0.6 + 1.16 * fit.length
    shoulder, arm = (0.33 * s, top + 0.1 + fit.drop), (0.35 * w, top + 0.4 + fit.drop)
    _sleeves(cut, shoulder, arm, 0.9 + fit.drop, 24, 0.13 * s, flared, 0.1, band=0.08)
    _body(
        cut, 0.12, top, shoulder, arm, (0.3 * w, top + 0.72 * fit.length), (0.38 * w, low - 0.05),
        0.2, flared, "v", 0.09,
    )  # fmt: skip
    # A pointed collar, and a placket with small buttons.
    wing = join(
        [(0.0, top + 0.2), (0.11, top - 0.05), (0.16, top + 0.03), (0.21, top + 0.2), (0.11, top + 0.25)]
    )
    cut.parts += [Part(wing, 140), Part(mirrored(wing), 140)]
    cut.lines += [Line(join(wing, wing[:1])), Line(join(mirrored(wing), mirrored(wing)[:1]))]
    cut.both([(0.04, top + 0.24), (0.04, low + 0.02)], 0.01)
    n = max(3, round((low - top) / 0.17))
    cut.buttons += [(0.0, float(y), 0.018) for y in np.linspace(top + 0.29, low - 0.05, n)]
    _motif(cut, 0.2 * s, top + 0.42, 0.26)
    return cut


def _lapels(cut: Cut, top: float, depth: float, wide: float) -> None:
    """Collar and lapels down to the first button."""
    lapel = join(
        [
            (0.0, top + depth),
            (0.1, top + 0.02),
            (wide, top + 0.26),
            (wide - 0.03, top + 0.33),
            (0.03, top + depth),
        ]
    )
    collar = join(
        [
            (0.1, top - 0.03),
            (0.17, top + 0.02),
            (wide + 0.02, top + 0.22),
            (wide - 0.05, top + 0.25),
            (0.1, top + 0.06),
        ]
    )
    for part, tone in ((lapel, 139), (collar, 132)):
        cut.parts += [Part(part, tone), Part(mirrored(part), tone)]
        cut.both(join(part, part[:1]), 0.014, 70)


def blazer(fit: Fit, flared: bool) -> Cut:
    cut, w, s = Cut(), fit.width, _shape(fit)
    top, low = -0.64, -0.64 + 1.28 * fit.length
    shoulder, arm = (0.39 * s, top + 0.08 + fit.drop), (0.365 * w, top + 0.42 + fit.drop)
    depth = 0.66 * min(1, fit.length + 0.16)
    _sleeves(cut, shoulder, arm, 1.02 + fit.drop, 15, 0.16 * s, flared)
    _body(
        cut, 0.13, top, shoulder, arm, (0.315 * w, top + 0.68 * fit.length), (0.39 * w, low),
        depth, flared, "v",
    )  # fmt: skip
    _lapels(cut, top, depth, 0.24)
    cut.lines.append(
        Line(
            join([(0.0, top + depth), (0.02, low - 0.1)], bend((0.02, low - 0.1), (0.13, low + 0.02), 0.15)),
            0.02,
            60,
        )
    )
    cut.buttons += [(0.0, top + depth + 0.03, 0.034), (0.015, top + depth + 0.16, 0.034)]
    y = low - 0.34 * fit.length
    for side in (1, -1):
        flap = join([(0.15, y), (0.31 * w, y - 0.02), (0.31 * w, y + 0.05), (0.15, y + 0.07), (0.15, y)])
        cut.lines.append(Line(flap * (side, 1), 0.014, 74))
    cut.lines.append(Line(join([(0.17, top + 0.42), (0.28 * s, top + 0.4)]), 0.02, 74))
    _motif(cut, 0.24 * s, top + 0.56, 0.26)
    return cut


def coat(fit: Fit, flared: bool) -> Cut:
    cut, w, s = Cut(), fit.width, _shape(fit)
    top, low = -0.8, -0.8 + 1.64 * min(fit.length, 1.03)
    shoulder, arm = (0.35 * s, top + 0.08 + fit.drop), (0.34 * w, top + 0.4 + fit.drop)
    depth = 0.46
    _sleeves(cut, shoulder, arm, 1.08 + fit.drop, 14, 0.17 * s, flared, band=0.1)
    _body(
        cut, 0.13, top, shoulder, arm, (0.32 * w, top + 0.7 * fit.length), (0.41 * w, low),
        depth, flared, "v",
    )  # fmt: skip
    _lapels(cut, top, depth, 0.26)
    cut.lines.append(
        Line(join([(0.0, top + depth), (0.1, top + depth + 0.02), (0.1, low + 0.02)]), 0.018, 64)
    )
    rows = 3 if fit.name != "cropped" else 2
    for y in np.linspace(top + depth + 0.06, top + depth + 0.06 + 0.17 * (rows - 1), rows):
        cut.buttons += [(0.07, float(y), 0.032), (-0.1, float(y), 0.032)]
    y = top + 0.86 * (1 if fit.name != "cropped" else 0.84)
    # A belt with its buckle is what makes a coat of it, whatever its length.
    x = 0.335 * w
    belt = join(hem((-x, y - 0.05), (x, y - 0.05), 0.012), hem((x, y + 0.03), (-x, y + 0.03), 0.012))
    cut.parts.append(Part(belt, 112))
    cut.lines += [
        Line(hem((-x, y - 0.05), (x, y - 0.05), 0.012), 0.014, 60),
        Line(hem((-x, y + 0.03), (x, y + 0.03), 0.012), 0.014, 60),
    ]
    cut.lines.append(
        Line(
            join(
                [
                    (-0.05, y - 0.055),
                    (0.06, y - 0.055),
                    (0.06, y + 0.055),
                    (-0.05, y + 0.055),
                    (-0.05, y - 0.055),
                ]
            ),
            0.022,
            200,
        )
    )
    if fit.name != "cropped":
        cut.both([(0.15, y + 0.14), (0.27 * w, y + 0.34)], 0.024, 70)
    _motif(cut, 0.23 * s, top + 0.52, 0.23)
    return cut


def dress(fit: Fit, flared: bool) -> Cut:
    cut, w = Cut(), fit.width
    s = _shape(fit, 0.35)
    top = -0.78
    low = top + 1.6 * (0.74 if fit.name == "cropped" else min(fit.length, 1.03))
    waist_y = top + 0.62
    waist = 0.215 * (w if w < 1 else 1 + (w - 1) * 1.2)
    wide = by_fit(fit, slim=0.25, regular=0.44, loose=0.56, oversized=0.74)
    if fit.name == "cropped":
        wide = 0.36
    shoulder, arm = (0.235 * s, top + 0.025), (0.265 * (1 + (w - 1) * 0.8), top + 0.32)
    hips = (waist + 0.55 * (wide - waist), waist_y + 0.42 * (low - waist_y))
    _body(cut, 0.15, top, shoulder, arm, (waist, waist_y), (wide, low), 0.22, flared, straps=True)
    if not flared and w <= 1:  # hips
        part = cut.parts.pop()
        right = join(
            [(0.15, top), shoulder],
            bend(shoulder, arm, 0.15),
            through([arm, (waist, waist_y), hips, (wide, low)]),
        )
        cut.parts.append(
            part._replace(
                outline=join(
                    right, hem((wide, low), (-wide, low), 0.03), mirrored(right), cut.lines[0].points
                )
            )
        )
    cut.lines.append(Line(hem((-waist, waist_y), (waist, waist_y), 0.02), 0.02, 76))
    cut.both(bend((0.13, top + 0.34), (0.11, waist_y), 0.04), 0.01, 92)
    for x in (0.3, 0.62):  # folds of the skirt
        cut.both(bend((waist * x, waist_y + 0.02), (wide * x, low - 0.08), 0.03), 0.012, 104)
    _motif(cut, 0.3 * wide, low - 0.34, 0.25)
    cut.tiers = [hem((-hips[0] * 0.97, hips[1]), (hips[0] * 0.97, hips[1]), 0.03)]
    return cut


def jumpsuit(fit: Fit, flared: bool) -> Cut:
    cut, w = Cut(), fit.width
    s = _shape(fit, 0.35)
    top, waist_y = -0.82, -0.26
    waist = 0.215 * (w if w < 1 else 1 + (w - 1) * 0.9)
    shoulder, arm = (0.225 * s, top + 0.025), (0.25 * (1 + (w - 1) * 0.7), top + 0.3)
    collar = join([(-0.13, top), (0, top + 0.3), (0.13, top)])
    right = join([(0.13, top), shoulder], bend(shoulder, arm, 0.15), through([arm, (waist, waist_y)]))
    low = waist_y + 1.1 * (0.68 if fit.name == "cropped" else min(fit.length, 1.02))
    _legs(
        cut,
        waist,
        waist_y - 0.02,
        waist_y + 0.36,
        0.3 * _shape(fit, 0.8),
        low,
        0.16 * (w if w < 1 else 1 + (w - 1) * 1.3),
        flared,
    )
    cut.behind.append(Part(join(bend((-0.13, top), (0.13, top), -0.1), collar[::-1]), INSIDE))
    cut.parts.append(Part(join(right, mirrored(right), collar)))
    cut.lines.append(Line(collar, 0.014))
    belt = join(
        [(-waist - 0.005, waist_y - 0.04), (waist + 0.005, waist_y - 0.04)],
        [(waist + 0.01, waist_y + 0.05), (-waist - 0.01, waist_y + 0.05)],
    )
    cut.parts.append(Part(belt, 108))
    cut.lines += [Line(belt[:2], 0.016, 60), Line(belt[2:], 0.016, 60)]
    bow = join([(0, waist_y), (0.05, waist_y + 0.22), (0.1, waist_y + 0.2), (0.01, waist_y)])
    cut.parts.append(Part(bow, 100))
    cut.neck, cut.waist = (0.13, top, 0.3), None
    cut.tiers = [hem((-arm[0] * 0.9, arm[1] + 0.03), (arm[0] * 0.9, arm[1] + 0.03), 0.03)]
    cut.holes.append((-0.06, arm[1] + 0.1, 0.1))
    cut.motifs.clear()
    _motif(cut, 0.11 * s, arm[1] + 0.1, 0.19)
    cut.both(bend((0.09, top + 0.24), (0.09, waist_y - 0.04), 0.02), 0.01, 96)
    return cut


# --- garments of legs and skirts ---


def _legs(
    cut: Cut,
    waist: float,
    top: float,
    crotch: float,
    hip: float,
    low: float,
    leg: float,
    flared: bool,
    gap: float = 0.03,
    middle: float | None = None,
) -> None:
    """Two legs; `leg` is the width of a hem, which is centred below the middle of the thigh."""
    if middle is None:
        middle = 0.5 * hip + 0.02 + 0.35 * max(0.0, leg - 0.16)
    bell = flared and leg + 0.2
    wide = bell or leg
    knee = crotch + 0.5 * (low - crotch)
    outer_low, inner_low = middle + wide / 2, max(gap * 0.7, middle - wide / 2)
    if flared:
        k = min(leg, 0.22) if low - crotch > 0.6 else 0.9 * leg
        outer = join(
            through([(waist, top), (hip, top + 0.45 * (crotch - top)), (middle + k / 2 + 0.02, knee)]),
            bend((middle + k / 2 + 0.02, knee), (outer_low, low), 0.08),
        )
        inner = join(
            [(inner_low, low)],
            bend((inner_low, low), (max(0.02, middle - k / 2), knee), 0.06),
            [(0.012, crotch)],
        )
    else:
        outer = through(
            [
                (waist, top),
                (hip, top + 0.5 * (crotch - top)),
                (0.5 * (hip + outer_low) + 0.01, knee),
                (outer_low, low),
            ]
        )
        inner = join(bend((inner_low, low), (0.012, crotch), 0.02))
    edge = hem((outer_low, low), (inner_low, low), 0.012, 2 if flared else 0, 0.015, 17)
    right = join([(0, top)], outer, edge, inner, [(0, crotch)])
    cut.parts += [Part(right), Part(mirrored(right))]
    cut.lines.append(Line(join([(0, top), (0, crotch + 0.01)]), 0.014))
    cut.edges += [edge[::-1], mirrored(edge, backwards=False)]
    cut.stitches += [edge[::-1] - (0, 0.045), mirrored(edge - (0, 0.045))]
    cut.waist = (waist, top)
    pleat = join([(0.2 * waist, top + 0.03), (0.95 * waist, top + 0.03)], [edge[-1], edge[0]])
    cut.pleats += [pleat, mirrored(pleat, backwards=False)[[1, 0, 3, 2]]]
    y = crotch + 0.35 * (low - crotch)
    x = 0.5 * (middle + 0.5 * hip)
    cut.holes += [
        (x, y, 0.13),
        (-x, y + 0.2 * (low - crotch), 0.13),
        (-x * 1.05, crotch - 0.05, 0.1),
        (x * 0.9, low - 0.12, 0.1),
    ]
    t = top + 0.72 * (crotch - top)
    cut.tiers.append(
        hem((-hip * 0.97, top + 0.5 * (crotch - top)), (hip * 0.97, top + 0.5 * (crotch - top)), 0.03)
    )
    _motif(cut, 0.5 * hip, t + 0.2, 0.22)


def _band(cut: Cut, waist: float, top: float, height: float = 0.09) -> None:
    """A waistband, and the lining that shows behind it."""
    cut.behind.append(
        Part(
            join(hem((-waist, top), (waist, top), -0.03), [(waist, top + 0.04), (-waist, top + 0.04)]), INSIDE
        )
    )
    band = join(
        hem((-waist, top), (waist, top), 0.025),
        hem((waist + 0.008, top + height), (-waist - 0.008, top + height), 0.025),
    )
    cut.parts.append(Part(band, 122))
    cut.lines += [
        Line(hem((-waist, top), (waist, top), 0.025), 0.014, 74),
        Line(hem((-waist, top + height), (waist, top + height), 0.025), 0.014, 74),
    ]


def _jeans_seams(cut: Cut, waist: float, hip: float, top: float, crotch: float) -> None:
    """Fly, round pockets, belt loops and a button: what jeans and shorts share."""
    y = top + 0.09
    cut.buttons.append((0.0, top + 0.07, 0.03))
    fly = join(
        [(0.065, y + 0.02), (0.065, crotch - 0.12)], bend((0.065, crotch - 0.12), (0.0, crotch - 0.02), 0.2)
    )
    cut.lines.append(Line(fly, 0.012))
    cut.stitches.append(fly)
    pocket = bend((0.5 * waist, y), (hip * 0.97, y + 0.17), -0.24)
    cut.both(pocket, 0.014, 72)
    cut.sew(pocket + np.array([0, 0.02]))
    for x in (0.32, 0.8):
        cut.both([(x * waist, top - 0.012), (x * waist, y + 0.012)], 0.032, 108)


def jeans(fit: Fit, flared: bool) -> Cut:
    cut = Cut()
    top = -0.82
    waist, hip = 0.27 * _shape(fit, 0.35), 0.325 * _shape(fit, 0.6)
    crotch = top + 0.5
    low = top + 1.64 * (0.74 if fit.name == "cropped" else min(fit.length, 1.02))
    leg = by_fit(fit, slim=0.135, regular=0.22, loose=0.31, oversized=0.42)
    _legs(cut, waist, top, crotch, hip, low, leg, flared)
    _band(cut, waist, top)
    _jeans_seams(cut, waist, hip, top, crotch)
    cut.sew(through([(waist * 0.9, top + 0.12), (hip * 0.92, top + 0.25), (hip * 0.86, crotch + 0.1)]))
    x, y = 0.55 * hip, crotch + 0.16  # worn pale where the thighs are
    a = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    for size, tone in ((1.0, 136), (0.82, 144), (0.64, 152), (0.46, 159), (0.28, 164)):
        oval = np.column_stack([0.1 * size * np.cos(a) + x, 0.36 * size * np.sin(a) + y])
        cut.fades += [(oval, tone), (mirrored(oval), tone)]
    return cut


def trousers(fit: Fit, flared: bool) -> Cut:
    cut = Cut()
    top = -0.82
    waist, hip = 0.26 * _shape(fit, 0.35), 0.33 * _shape(fit, 0.7)
    crotch = top + 0.54
    low = top + 1.64 * (0.74 if fit.name == "cropped" else min(fit.length, 1.02))
    leg = by_fit(fit, slim=0.17, regular=0.28, loose=0.37, oversized=0.48)
    _legs(cut, waist, top, crotch, hip, low, leg, flared, gap=0.02)
    _band(cut, waist, top, 0.075)
    middle = 0.5 * hip + 0.02 + 0.35 * max(0.0, leg - 0.16)
    cut.both(bend((0.52 * waist, top + 0.08), (middle, low - 0.01), 0.01), 0.022, 190)  # the crease
    cut.both(bend((0.52 * waist + 0.018, top + 0.08), (middle + 0.02, low - 0.01), 0.01), 0.02, 70)
    cut.both([(0.74 * waist, top + 0.09), (hip * 0.97, top + 0.34)], 0.018, 66)
    cut.buttons.append((0.03, top + 0.055, 0.022))
    return cut


def shorts(fit: Fit, flared: bool) -> Cut:
    cut = Cut()
    top = -0.42
    waist, hip = 0.35 * _shape(fit, 0.3), 0.42 * _shape(fit, 0.5)
    crotch = top + 0.5
    low = crotch + by_fit(fit, cropped=0.12, regular=0.4, loose=0.42, oversized=0.46)
    leg = by_fit(fit, slim=0.33, regular=0.44, loose=0.56, oversized=0.7)
    middle = 0.035 + leg / 2
    _legs(cut, waist, top, crotch, hip, low, leg, flared, middle=middle)
    _band(cut, waist, top, 0.1)
    _jeans_seams(cut, waist, hip, top, crotch)
    cuff = [(0.03, low - 0.075), (0.035 + leg, low - 0.075)]
    if not flared:
        cut.both(cuff, 0.014)
    return cut


def skirt(fit: Fit, flared: bool) -> Cut:
    cut = Cut()
    top = -0.62
    low = top + by_fit(fit, cropped=0.72, regular=1.2, loose=1.26, oversized=1.4)
    waist = 0.27 * _shape(fit, 0.35)
    wide = by_fit(fit, slim=0.3, regular=0.48, loose=0.62, oversized=0.8)
    if fit.name == "cropped":
        wide = 0.44
    hip = (max(0.35 * _shape(fit, 0.5), waist + 0.45 * (wide - waist)), top + 0.36 * (low - top))
    if flared:
        knee = (0.5 * (hip[0] + wide) * 0.93, top + 0.62 * (low - top))
        swing = (wide + 0.18, low - 0.03)
        side = join(through([(waist, top), hip, knee]), bend(knee, swing, 0.12))
        edge = hem(swing, (-swing[0], swing[1]), 0.07, 4, 0.03)
    else:
        side = through([(waist, top), hip, (wide, low)])
        edge = hem((wide, low), (-wide, low), 0.05)
    cut.parts.append(Part(join(side, edge, mirrored(side))))
    _band(cut, waist, top)
    cut.edges.append(edge[::-1])
    cut.stitches.append(edge[::-1] - (0, 0.05))
    cut.waist = (waist, top)
    cut.pleats.append(join([(-waist * 0.97, top + 0.09), (waist * 0.97, top + 0.09)], [edge[-1], edge[0]]))
    for x in (0.25, 0.65):
        cut.both(bend((waist * x, top + 0.14), (wide * x, low - 0.06), 0.03), 0.014, 104)
    cut.tiers.append(hem((-hip[0] * 0.98, hip[1] + 0.06), (hip[0] * 0.98, hip[1] + 0.06), 0.04))
    _motif(cut, 0.3 * wide, low - 0.36, 0.26)
    middle = 0.5 * (top + low)
    cut.holes += [
        (-0.4 * hip[0], middle, 0.13),
        (0.4 * wide, low - 0.2, 0.13),
        (0.35 * hip[0], middle - 0.15, 0.1),
        (-0.3 * wide, low - 0.1, 0.11),
    ]
    return cut


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
