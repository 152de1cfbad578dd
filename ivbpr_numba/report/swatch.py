"""A product without a photo as a picture: a swatch of cloth with pinked edges, and its attributes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from ivbpr_numba.report.svg import tag

__all__ = ["swatch"]

WIDTH, HEIGHT = 360, 480
LEFT, TOP, SIDE, TEETH = 66, 66, 228, 19  # the cloth, and teeth along one side
DEPTH = 6.0
THREADS = 38  # each way
PAPER, INK, MUTED, PLAIN = "#f4f2ee", "#26241f", "#6f6a60", "#c9c4b8"
FONT = "ui-sans-serif, system-ui, 'Helvetica Neue', Arial, sans-serif"


def swatch(card: Mapping[str, Any]) -> bytes:
    """A drawing of 360 × 480 as an SVG file, everything in it escaped.

    Parameters
    ----------
    card : mapping
        ``colour`` (a hex colour or None) and ``words``, as `cards.cards` gives them.
    """
    colour = card["colour"]
    cloth = tag("polygon", points=_pinked(), fill=colour or PLAIN, stroke=INK, stroke_opacity="0.18")
    threads = [
        tag("polyline", points=_threads(upright), fill="none", stroke=stroke, stroke_opacity=opacity)
        for upright, stroke, opacity in ((False, "#ffffff", "0.13"), (True, INK, "0.07"))
    ]
    words = list(card["words"])
    lines = [_line(words[0], 362, 24, INK, "600")] if words else []
    lines += [_line(word, 394 + 26 * k, 18, MUTED, "400") for k, word in enumerate(words[1:])]
    drawing = tag(
        "svg",
        tag("rect", width=WIDTH, height=HEIGHT, fill=PAPER),
        cloth,
        *threads,
        *lines,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        width=WIDTH,
        height=HEIGHT,
    )
    return str(drawing).encode("utf-8", "replace")


def _line(text: str, y: int, size: int, fill: str, weight: str) -> Markup:
    shown = "".join(c for c in text if c.isprintable())  # XML has no control characters
    return tag(
        "text", shown, x=WIDTH // 2, y=y, fill=fill, text_anchor="middle", font_family=FONT, font_size=size,
        font_weight=weight,
    )  # fmt: skip


def _pinked() -> str:
    """The outline of a square cut with pinking shears: teeth along all four sides."""
    step = SIDE / TEETH
    points = []
    for k in range(TEETH):
        points += [(LEFT + k * step, TOP), (LEFT + (k + 0.5) * step, TOP - DEPTH)]
    for k in range(TEETH):
        points += [(LEFT + SIDE, TOP + k * step), (LEFT + SIDE + DEPTH, TOP + (k + 0.5) * step)]
    for k in range(TEETH):
        points += [(LEFT + SIDE - k * step, TOP + SIDE), (LEFT + SIDE - (k + 0.5) * step, TOP + SIDE + DEPTH)]
    for k in range(TEETH):
        points += [(LEFT, TOP + SIDE - k * step), (LEFT - DEPTH, TOP + SIDE - (k + 0.5) * step)]
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _threads(upright: bool) -> str:
    """A line to and fro over the cloth: weft, or, upright, warp."""
    points = []
    for k in range(1, THREADS):
        at, ends = k * SIDE / THREADS, (2.0, SIDE - 2.0) if k % 2 else (SIDE - 2.0, 2.0)
        points += [(LEFT + at, TOP + end) if upright else (LEFT + end, TOP + at) for end in ends]
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
