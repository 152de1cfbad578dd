"""The figure of ``ivbpr fit --plot``: validation AUC by iteration, the best one, and the wait after it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ivbpr_numba.report.drawing import Area, Drawing, Line, Words, width_of
from ivbpr_numba.report.svg import Scale, round_ticks

__all__ = ["learning_figure"]

BLUE, INK, MUTED, RULE, GREY = "#0072b2", "#1d1c1a", "#66615a", "#e4e1db", "#f1efec"
WIDTH, HEIGHT = 640.0, 360.0
LEFT, RIGHT, TOP, BOTTOM = 64.0, 616.0, 84.0, 300.0
SIZE = 13.0


def learning_figure(
    history: Sequence[Mapping[str, Any]],
    name: str,
    iterations: int,
    patience: int = 0,
    asked: int | None = None,
) -> Drawing | None:
    """Draw the evaluations of a fit; None where none has a validation AUC.

    Parameters
    ----------
    history : sequence of mappings
        ``iteration valid_auc`` of every evaluation, see `Fitted.history`.
    name : str
        The model's.
    iterations : int
        At most so many were asked for.
    patience : int
        The fit stops so many iterations after the best one; 0: it doesn't.
    asked : int, optional
        Users of the sample that the evaluations asked; None: all.
    """
    points = [(row["iteration"], row["valid_auc"]) for row in history if row["valid_auc"] is not None]
    if not points:
        return None
    best, reached = max(points, key=lambda point: point[1])
    last = points[-1][0]
    stopped = bool(patience) and last < iterations
    title = f"{name}: validation AUC by iteration" + (f", {asked:,} users" if asked else "")
    end = f"stopped {last - best:,} later (patience {patience:,})" if stopped else f"ran to {last:,}"
    said = f"Best {reached:.4f} at iteration {best:,}; {end}."
    drawing = Drawing(WIDTH, HEIGHT, title, said)
    parts = drawing.parts
    parts += [Words(24, 34, title, INK, 19, bold=True), Words(24, 57, said, MUTED, SIZE)]
    lowest, highest = min(value for _, value in points), max(value for _, value in points)
    room = 0.0 if highest > lowest else 0.01  # around a single value
    ticks = round_ticks(lowest - room, highest + room, 5)
    steps = [step for step in round_ticks(0, last, 6) if step <= last and step == int(step)]
    across, up = Scale(0, last, LEFT, RIGHT), Scale(ticks[0], ticks[-1], BOTTOM, TOP)
    if stopped:
        x, end_x = across(best), across(last)
        parts.append(Area([(x, TOP), (end_x, TOP), (end_x, BOTTOM), (x, BOTTOM)], GREY))
        if width_of("no better one", SIZE) + 12 < end_x - x:
            parts.append(Words((x + end_x) / 2, BOTTOM - 10, "no better one", MUTED, SIZE, "middle"))
    digits = max(2, -math.floor(math.log10(ticks[1] - ticks[0]) + 1e-9))
    for tick in ticks:
        parts.append(Line([(LEFT, up(tick)), (RIGHT, up(tick))], RULE))
        parts.append(Words(LEFT - 8, up(tick) + 4.5, f"{tick:.{digits}f}", MUTED, SIZE, "end"))
    for step in steps:
        parts.append(Line([(across(step), BOTTOM), (across(step), BOTTOM + 5)], MUTED))
        parts.append(Words(across(step), BOTTOM + 21, f"{step:,.0f}", MUTED, SIZE, "middle"))
    parts.append(Words((LEFT + RIGHT) / 2, BOTTOM + 43, "iteration", MUTED, SIZE, "middle"))
    parts.append(Line([(across(best), TOP), (across(best), BOTTOM)], MUTED, 1, (3, 3)))
    curve = [(across(step), up(value)) for step, value in points]
    if len(curve) > 1:
        parts.append(Line(curve, BLUE, 2.4, name="validation AUC"))
    x, y = across(best), up(reached)
    turns = [2 * math.pi * n / 24 for n in range(24)]
    parts.append(Area([(x + 5 * math.cos(turn), y + 5 * math.sin(turn)) for turn in turns], BLUE))
    return drawing
