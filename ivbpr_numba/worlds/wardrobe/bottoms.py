"""Cuts of garments that hang from the waist: jeans, trousers, shorts, skirt."""

from __future__ import annotations

import numpy as np

from ivbpr_numba.worlds.wardrobe.cut import Cut, Fit, Line, Part, add_motif, by_fit, shoulder_factor
from ivbpr_numba.worlds.wardrobe.geometry import bend, hem, join, mirrored, through
from ivbpr_numba.worlds.wardrobe.legs import add_band, add_legs

__all__ = ["jeans", "shorts", "skirt", "trousers"]


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
    waist, hip = 0.27 * shoulder_factor(fit, 0.35), 0.325 * shoulder_factor(fit, 0.6)
    crotch = top + 0.5
    low = top + 1.64 * (0.74 if fit.name == "cropped" else min(fit.length, 1.02))
    leg = by_fit(fit, slim=0.135, regular=0.22, loose=0.31, oversized=0.42)
    add_legs(cut, waist, top, crotch, hip, low, leg, flared)
    add_band(cut, waist, top)
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
    waist, hip = 0.26 * shoulder_factor(fit, 0.35), 0.33 * shoulder_factor(fit, 0.7)
    crotch = top + 0.54
    low = top + 1.64 * (0.74 if fit.name == "cropped" else min(fit.length, 1.02))
    leg = by_fit(fit, slim=0.17, regular=0.28, loose=0.37, oversized=0.48)
    add_legs(cut, waist, top, crotch, hip, low, leg, flared, gap=0.02)
    add_band(cut, waist, top, 0.075)
    middle = 0.5 * hip + 0.02 + 0.35 * max(0.0, leg - 0.16)
    cut.both(bend((0.52 * waist, top + 0.08), (middle, low - 0.01), 0.01), 0.022, 190)  # the crease
    cut.both(bend((0.52 * waist + 0.018, top + 0.08), (middle + 0.02, low - 0.01), 0.01), 0.02, 70)
    cut.both([(0.74 * waist, top + 0.09), (hip * 0.97, top + 0.34)], 0.018, 66)
    cut.buttons.append((0.03, top + 0.055, 0.022))
    return cut


def shorts(fit: Fit, flared: bool) -> Cut:
    cut = Cut()
    top = -0.42
    waist, hip = 0.35 * shoulder_factor(fit, 0.3), 0.42 * shoulder_factor(fit, 0.5)
    crotch = top + 0.5
    low = crotch + by_fit(fit, cropped=0.12, regular=0.4, loose=0.42, oversized=0.46)
    leg = by_fit(fit, slim=0.33, regular=0.44, loose=0.56, oversized=0.7)
    middle = 0.035 + leg / 2
    add_legs(cut, waist, top, crotch, hip, low, leg, flared, middle=middle)
    add_band(cut, waist, top, 0.1)
    _jeans_seams(cut, waist, hip, top, crotch)
    cuff = [(0.03, low - 0.075), (0.035 + leg, low - 0.075)]
    if not flared:
        cut.both(cuff, 0.014)
    return cut


def skirt(fit: Fit, flared: bool) -> Cut:
    cut = Cut()
    top = -0.62
    low = top + by_fit(fit, cropped=0.72, regular=1.2, loose=1.26, oversized=1.4)
    waist = 0.27 * shoulder_factor(fit, 0.35)
    wide = by_fit(fit, slim=0.3, regular=0.48, loose=0.62, oversized=0.8)
    if fit.name == "cropped":
        wide = 0.44
    hip = (max(0.35 * shoulder_factor(fit, 0.5), waist + 0.45 * (wide - waist)), top + 0.36 * (low - top))
    if flared:
        knee = (0.5 * (hip[0] + wide) * 0.93, top + 0.62 * (low - top))
        swing = (wide + 0.18, low - 0.03)
        side = join(through([(waist, top), hip, knee]), bend(knee, swing, 0.12))
        edge = hem(swing, (-swing[0], swing[1]), 0.07, 4, 0.03)
    else:
        side = through([(waist, top), hip, (wide, low)])
        edge = hem((wide, low), (-wide, low), 0.05)
    cut.parts.append(Part(join(side, edge, mirrored(side))))
    add_band(cut, waist, top)
    cut.edges.append(edge[::-1])
    cut.stitches.append(edge[::-1] - (0, 0.05))
    cut.waist = (waist, top)
    cut.pleats.append(join([(-waist * 0.97, top + 0.09), (waist * 0.97, top + 0.09)], [edge[-1], edge[0]]))
    for x in (0.25, 0.65):
        cut.both(bend((waist * x, top + 0.14), (wide * x, low - 0.06), 0.03), 0.014, 104)
    cut.tiers.append(hem((-hip[0] * 0.98, hip[1] + 0.06), (hip[0] * 0.98, hip[1] + 0.06), 0.04))
    add_motif(cut, 0.3 * wide, low - 0.36, 0.26)
    middle = 0.5 * (top + low)
    cut.holes += [
        (-0.4 * hip[0], middle, 0.13),
        (0.4 * wide, low - 0.2, 0.13),
        (0.35 * hip[0], middle - 0.15, 0.1),
        (-0.3 * wide, low - 0.1, 0.11),
    ]
    return cut
