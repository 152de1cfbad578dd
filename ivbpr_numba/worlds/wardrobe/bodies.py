"""What covers a body above the waist, and its sleeves: shared by all garments with a neck."""

from __future__ import annotations

import numpy as np

from ivbpr_numba.worlds.wardrobe.cut import INSIDE, LEFT, RIGHT, SLEEVE, Cut, Line, Part
from ivbpr_numba.worlds.wardrobe.geometry import bend, hem, join, mirrored, through

__all__ = ["add_body", "add_sleeves"]


def add_body(
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


def add_sleeves(
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
