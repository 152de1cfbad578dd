"""Cuts of garments for the upper body: T-shirt, sweater, cardigan, blouse."""

from __future__ import annotations

import numpy as np

from ivbpr_numba.worlds.wardrobe.bodies import add_body, add_sleeves
from ivbpr_numba.worlds.wardrobe.cut import Cut, Fit, Line, Part, add_motif, shoulder_factor
from ivbpr_numba.worlds.wardrobe.geometry import bend, hem, join, mirrored

__all__ = ["blouse", "cardigan", "sweater", "t_shirt"]


def t_shirt(fit: Fit, flared: bool) -> Cut:
    cut, w, s = Cut(), fit.width, shoulder_factor(fit)
    top, low = -0.62, -0.62 + 1.2 * fit.length
    shoulder, arm = (0.4 * s, top + 0.09 + fit.drop), (0.385 * w, top + 0.4 + fit.drop)
    add_sleeves(cut, shoulder, arm, 0.36 + 0.9 * fit.drop, 52 - 100 * fit.drop, 0.25 * s, flared, band=0.03)
    waist = 0.36 * w if w < 1 else 0.38 * w
    add_body(cut, 0.17, top, shoulder, arm, (waist, min(-0.05, low - 0.2)), (0.385 * w, low), 0.15, flared)
    ring = join(bend((-0.17, top), (0, top + 0.15), 0.22), bend((0, top + 0.15), (0.17, top), 0.22))
    cut.lines.append(Line(ring * (1.2, 1) + (0, 0.032), 0.01))
    add_motif(cut, 0.18 * s, top + 0.42, 0.26)
    return cut


def sweater(fit: Fit, flared: bool) -> Cut:
    cut, w, s = Cut(), fit.width, shoulder_factor(fit)
    top, low = -0.62, -0.62 + 1.2 * fit.length
    shoulder, arm = (0.36 * s, top + 0.09 + fit.drop), (0.37 * w, top + 0.42 + fit.drop)
    add_sleeves(cut, shoulder, arm, 0.98 + fit.drop, 19, 0.16 * s, flared, 0.02, rib=0.11)
    add_body(cut, 0.16, top, shoulder, arm, (0.36 * w, low - 0.3), (0.35 * w, low), 0.1, flared)
    x = 0.35 * w
    if not flared:
        cut.ribs.append(join(hem((-x, low - 0.11), (x, low - 0.11), 0.02), hem((x, low), (-x, low), 0.02)))
        cut.lines.append(Line(hem((-x, low - 0.11), (x, low - 0.11), 0.02)))
    ring = join(bend((-0.16, top), (0, top + 0.1), 0.22), bend((0, top + 0.1), (0.16, top), 0.22))
    wide = ring * (1.3, 1) + (0, 0.06)
    cut.ribs.append(join(ring, wide[::-1]))
    cut.lines.append(Line(wide))
    add_motif(cut, 0.17 * s, top + 0.45, 0.28)
    return cut


def cardigan(fit: Fit, flared: bool) -> Cut:
    cut, w, s = Cut(), fit.width, shoulder_factor(fit)
    top, low = -0.64, -0.64 + 1.26 * fit.length
    shoulder, arm = (0.35 * s, top + 0.09 + fit.drop), (0.355 * w, top + 0.42 + fit.drop)
    depth = 0.56 * min(1, fit.length + 0.12)
    add_sleeves(cut, shoulder, arm, 0.98 + fit.drop, 19, 0.16 * s, flared, 0.02, rib=0.1)
    add_body(cut, 0.17, top, shoulder, arm, (0.35 * w, low - 0.3), (0.345 * w, low), depth, flared, "v")
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
    add_motif(cut, 0.19 * s, top + 0.5, 0.26)
    return cut


def blouse(fit: Fit, flared: bool) -> Cut:
    cut, w, s = Cut(), fit.width, shoulder_factor(fit)
    top, low = -0.6, -0.6 + 1.16 * fit.length
    shoulder, arm = (0.33 * s, top + 0.1 + fit.drop), (0.35 * w, top + 0.4 + fit.drop)
    add_sleeves(cut, shoulder, arm, 0.9 + fit.drop, 24, 0.13 * s, flared, 0.1, band=0.08)
    add_body(
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
    add_motif(cut, 0.2 * s, top + 0.42, 0.26)
    return cut
