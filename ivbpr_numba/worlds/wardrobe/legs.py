"""Two legs and a waistband: shared by all garments that hang from the waist."""

from __future__ import annotations

from ivbpr_numba.worlds.wardrobe.cut import INSIDE, Cut, Line, Part, add_motif
from ivbpr_numba.worlds.wardrobe.geometry import bend, hem, join, mirrored, through

__all__ = ["add_band", "add_legs"]


def add_legs(
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
    add_motif(cut, 0.5 * hip, t + 0.2, 0.22)


def add_band(cut: Cut, waist: float, top: float, height: float = 0.09) -> None:
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
