"""Cuts of garments in one piece: dress and jumpsuit."""

from __future__ import annotations

from ivbpr_numba.worlds.wardrobe.bodies import add_body
from ivbpr_numba.worlds.wardrobe.cut import INSIDE, Cut, Fit, Line, Part, add_motif, by_fit, shoulder_factor
from ivbpr_numba.worlds.wardrobe.geometry import bend, hem, join, mirrored, through
from ivbpr_numba.worlds.wardrobe.legs import add_legs

__all__ = ["dress", "jumpsuit"]


def dress(fit: Fit, flared: bool) -> Cut:
    cut, w = Cut(), fit.width
    s = shoulder_factor(fit, 0.35)
    top = -0.78
    low = top + 1.6 * (0.74 if fit.name == "cropped" else min(fit.length, 1.03))
    waist_y = top + 0.62
    waist = 0.215 * (w if w < 1 else 1 + (w - 1) * 1.2)
    wide = by_fit(fit, slim=0.25, regular=0.44, loose=0.56, oversized=0.74)
    if fit.name == "cropped":
        wide = 0.36
    shoulder, arm = (0.235 * s, top + 0.025), (0.265 * (1 + (w - 1) * 0.8), top + 0.32)
    hips = (waist + 0.55 * (wide - waist), waist_y + 0.42 * (low - waist_y))
    add_body(cut, 0.15, top, shoulder, arm, (waist, waist_y), (wide, low), 0.22, flared, straps=True)
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
    add_motif(cut, 0.3 * wide, low - 0.34, 0.25)
    cut.tiers = [hem((-hips[0] * 0.97, hips[1]), (hips[0] * 0.97, hips[1]), 0.03)]
    return cut


def jumpsuit(fit: Fit, flared: bool) -> Cut:
    cut, w = Cut(), fit.width
    s = shoulder_factor(fit, 0.35)
    top, waist_y = -0.82, -0.26
    waist = 0.215 * (w if w < 1 else 1 + (w - 1) * 0.9)
    shoulder, arm = (0.225 * s, top + 0.025), (0.25 * (1 + (w - 1) * 0.7), top + 0.3)
    collar = join([(-0.13, top), (0, top + 0.3), (0.13, top)])
    right = join([(0.13, top), shoulder], bend(shoulder, arm, 0.15), through([arm, (waist, waist_y)]))
    low = waist_y + 1.1 * (0.68 if fit.name == "cropped" else min(fit.length, 1.02))
    add_legs(
        cut,
        waist,
        waist_y - 0.02,
        waist_y + 0.36,
        0.3 * shoulder_factor(fit, 0.8),
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
    add_motif(cut, 0.11 * s, arm[1] + 0.1, 0.19)
    cut.both(bend((0.09, top + 0.24), (0.09, waist_y - 0.04), 0.02), 0.01, 96)
    return cut
