"""Cuts of what is worn over others and has lapels: blazer and coat."""

from __future__ import annotations

import numpy as np

from ivbpr_numba.worlds.wardrobe.bodies import add_body, add_sleeves
from ivbpr_numba.worlds.wardrobe.cut import Cut, Fit, Line, Part, add_motif, shoulder_factor
from ivbpr_numba.worlds.wardrobe.geometry import bend, hem, join, mirrored

__all__ = ["blazer", "coat"]


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
    cut, w, s = Cut(), fit.width, shoulder_factor(fit)
    top, low = -0.64, -0.64 + 1.28 * fit.length
    shoulder, arm = (0.39 * s, top + 0.08 + fit.drop), (0.365 * w, top + 0.42 + fit.drop)
    depth = 0.66 * min(1, fit.length + 0.16)
    add_sleeves(cut, shoulder, arm, 1.02 + fit.drop, 15, 0.16 * s, flared)
    add_body(
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
    add_motif(cut, 0.24 * s, top + 0.56, 0.26)
    return cut


def coat(fit: Fit, flared: bool) -> Cut:
    cut, w, s = Cut(), fit.width, shoulder_factor(fit)
    top, low = -0.8, -0.8 + 1.64 * min(fit.length, 1.03)
    shoulder, arm = (0.35 * s, top + 0.08 + fit.drop), (0.34 * w, top + 0.4 + fit.drop)
    depth = 0.46
    add_sleeves(cut, shoulder, arm, 1.08 + fit.drop, 14, 0.17 * s, flared, band=0.1)
    add_body(
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
    add_motif(cut, 0.23 * s, top + 0.52, 0.23)
    return cut
