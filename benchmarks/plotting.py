"""Scaling curves as one drawing: a panel a curve, seconds against size, both axes logarithmic."""

from __future__ import annotations

import math
from typing import Any

from ivbpr_numba.report.drawing import Drawing, Line, Words

__all__ = ["Logarithmic", "curves"]

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")
INK, MUTED, RULE = "#1d1c1a", "#66615a", "#e4e1db"
PANEL_WIDTH, PANEL_HEIGHT, ACROSS = 300.0, 220.0, 3
LEFT, RIGHT, TOP, BOTTOM = 52.0, 16.0, 34.0, 36.0
HEAD, SIZE = 56.0, 11.0

Row = dict[str, Any]


def curves(rows: list[Row]) -> Drawing | None:
    """Draw every curve that is among the rows of a document; None where there is none."""
    rows = [row for row in rows if "seconds" in row]
    names = list(dict.fromkeys(row["curve"] for row in rows))
    if not names:
        return None
    threads = sorted({row["threads"] for row in rows})
    down = -(-len(names) // ACROSS)
    title = "How time grows"
    said = "Seconds of one iteration, or of one AUC, against one size; both axes logarithmic."
    drawing = Drawing(PANEL_WIDTH * min(ACROSS, len(names)), HEAD + PANEL_HEIGHT * down, title, said)
    drawing.parts += [Words(LEFT, 24, title, INK, 16, bold=True)]
    for k, count in enumerate(threads):
        name = f"{count} thread{'' if count == 1 else 's'}"
        drawing.parts += [
            Line([(LEFT + 90 * k, 40), (LEFT + 90 * k + 16, 40)], COLOURS[k % len(COLOURS)], 2.5),
            Words(LEFT + 90 * k + 21, 44, name, MUTED, SIZE),
        ]
    for k, name in enumerate(names):
        x, y = PANEL_WIDTH * (k % ACROSS), HEAD + PANEL_HEIGHT * (k // ACROSS)
        drawing.parts += _panel(name, [row for row in rows if row["curve"] == name], threads, x, y)
    return drawing


def _panel(name: str, rows: list[Row], threads: list[int], x: float, y: float) -> list[Line | Words]:
    across = Logarithmic([row["value"] for row in rows], x + LEFT, x + PANEL_WIDTH - RIGHT)
    up = Logarithmic([row["seconds"] for row in rows], y + PANEL_HEIGHT - BOTTOM, y + TOP)
    parts: list[Line | Words] = [Words(x + LEFT, y + 20, name, INK, 12.5, bold=True)]
    for value in sorted({row["value"] for row in rows}):
        parts.append(
            Words(across(value), y + PANEL_HEIGHT - BOTTOM + 16, f"{value:,}", MUTED, SIZE, "middle")
        )
    for second in up.powers():
        height = up(second)
        parts.append(Line([(x + LEFT, height), (x + PANEL_WIDTH - RIGHT, height)], RULE))
        parts.append(Words(x + LEFT - 6, height + 4, _duration(second), MUTED, SIZE, "end"))
    for k, count in enumerate(threads):
        own = sorted((row["value"], row["seconds"]) for row in rows if row["threads"] == count)
        points = [(across(value), up(seconds)) for value, seconds in own]
        parts.append(Line(points, COLOURS[k % len(COLOURS)], 2.0, name=f"{name}, {count}"))
    return parts


def _duration(seconds: float) -> str:
    """Seconds with a unit that keeps the number short."""
    for size, unit in ((1.0, "s"), (1e-3, "ms")):
        if seconds >= size:
            return f"{seconds / size:g} {unit}"
    return f"{seconds * 1e6:g} µs"


class Logarithmic:
    """A map of positive numbers to positions with a little room, over a factor of 4 at least."""

    def __init__(self, values: list[float], start: float, end: float) -> None:
        low, high = math.log10(min(values)), math.log10(max(values))
        room = max(0.06 * (high - low), (math.log10(4) - (high - low)) / 2)
        self.low, self.high, self.start, self.end = low - room, high + room, start, end

    def __call__(self, value: float) -> float:
        share = (math.log10(value) - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def powers(self) -> list[float]:
        """Marks: 1, 2 and 5 times powers of ten, thinned to powers alone where these are many."""
        steps = range(math.floor(self.low), math.ceil(self.high) + 1)
        fine = [m * 10.0**e for e in steps for m in (1, 2, 5)]
        inside = [value for value in fine if self.low <= math.log10(value) <= self.high]
        coarse = [value for value in inside if math.log10(value) == round(math.log10(value))]
        return inside if len(inside) <= 6 else coarse
