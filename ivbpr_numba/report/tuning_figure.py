"""The figure of ``ivbpr tune --plot``: what mattered, and every trial by the value of each option."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ivbpr_numba.report.drawing import Area, Drawing, Line, Words, width_of
from ivbpr_numba.report.numbers import percent, plain, shortened
from ivbpr_numba.report.svg import Scale
from ivbpr_numba.report.trend_words import wrapped
from ivbpr_numba.tuning.dimensions import Choice, Dimension
from ivbpr_numba.tuning.result import Tuning
from ivbpr_numba.tuning.space import dimension_of

__all__ = ["tuning_figure"]

BLUE, ORANGE, INK, MUTED, RULE, PALE = "#0072b2", "#d55e00", "#1d1c1a", "#66615a", "#e4e1db", "#9cc3df"
WIDTH, MARGIN = 760.0, 24.0
BARS = (160.0, 300.0)  # from a share of 0 to the largest end of an error
STRIP = (420.0, 724.0)  # of the values
ROW, HEIGHT = 86.0, 56.0  # from row to row; of a strip
SMALL = 11.5
LOWEST = 0.1  # share of the trials below the strips' lower end, drawn on it

MEANING = (
    "A share is an option's part of the differences between these trials, by rank, in an additive model; it "
    "may fall below 0 by chance. It is about these trials and ranges, and no cause."
)

Part = Line | Area | Words


def tuning_figure(found: Tuning) -> Drawing:
    """Draw a search: a row an option, its share with its error, and the trials by its value.

    Parameters
    ----------
    found : Tuning
    """
    rows = found.importance or [{"option": name} for name in found.trials[0]["options"]]
    trials = [row for row in found.trials if row["estimate"] is not None]
    title = f"{found.model}: {len(found.trials)} trials, validation AUC"
    default = "diverged" if found.default_auc is None else f"{found.default_auc:.4f}"
    said = f"Best {found.valid_auc:.4f}, trial {found.best_trial['number']}; the defaults {default}."
    drawing = Drawing(WIDTH, 0.0, title, said + _spoken(rows))
    parts: list[Part] = [Words(MARGIN, 34, title, INK, 19, bold=True), Words(MARGIN, 57, said, MUTED, 13)]
    y = 80.0
    for colour, text in (
        (ORANGE, "the best trial"),
        (INK, "the defaults"),
        (BLUE, "fitted to the end"),
        (PALE, "stopped early: what it would have reached"),
    ):
        parts.append(_disc(MARGIN + 5, y - 4, 4.0, colour))
        parts.append(Words(MARGIN + 15, y, text, MUTED, SMALL))
        y += 16
    y += 22
    heads = [(MARGIN, "option"), (STRIP[0], "AUC by its value, each point a trial")]
    if found.importance:
        heads.insert(1, (BARS[0], "share of the differences ± its error"))
    for x, text in heads:
        for line in wrapped(text, SMALL, STRIP[0] - BARS[0] - 20 if x != STRIP[0] else 320):
            parts.append(Words(x, y, line, MUTED, SMALL, bold=True))
    across = _share_scale(found.importance)
    up = _auc_scale([row["estimate"] for row in trials])
    y += 12
    for row in rows:
        dimension = dimension_of(row["option"], found.space[row["option"]])
        parts.append(Line([(MARGIN, y), (WIDTH - MARGIN, y)], RULE))
        _share(parts, row, across, y)
        _strip(parts, dimension, found, trials, up, y + 10)
        y += ROW
    foot = MEANING if found.importance else "Too few trials to tell what mattered."
    for line in wrapped(foot, SMALL, WIDTH - 2 * MARGIN):
        y += 16
        parts.append(Words(MARGIN, y, line, MUTED, SMALL))
    drawing.parts += parts
    drawing.height = y + 20
    return drawing


def _share(parts: list[Part], row: Mapping[str, Any], across: Scale, y: float) -> None:
    """The name of an option, its share as a bar, the standard error as a line."""
    name = row["option"]
    parts.append(Words(MARGIN, y + 42, name.replace("_", " "), INK, 13, bold=True))
    if "share" not in row:
        return
    share, error = row["share"], row["stderr"]
    zero, end = across(0), across(min(max(share, across.low), across.high))
    middle = y + 38
    left, right = sorted((zero, end))
    parts.append(Area(_box(left, middle - 8, right - left, 16), BLUE))
    low, high = (across(min(max(share + sign * error, across.low), across.high)) for sign in (-1, 1))
    parts.append(Line([(low, middle), (high, middle)], INK, 1.2))
    for x in (low, high):
        parts.append(Line([(x, middle - 4), (x, middle + 4)], INK, 1.2))
    parts.append(Line([(zero, middle - 14), (zero, middle + 14)], MUTED))
    text = f"{percent(share)} ± {plain(100 * error, 0)}"
    parts.append(Words(across.end + 8, middle + 4, text, MUTED, SMALL))


def _strip(
    parts: list[Part],
    dimension: Dimension,
    found: Tuning,
    trials: Sequence[Mapping[str, Any]],
    up: Scale,
    top: float,
) -> None:
    """The trials by the value of an option; equal values lie beside each other."""
    bottom = top + HEIGHT
    across = Scale(0, 1, *STRIP)
    for end in (up.low, up.high):
        level = top + up(end)
        parts.append(Line([(STRIP[0], level), (STRIP[1], level)], RULE))
        parts.append(Words(STRIP[0] - 6, level + 4, f"{end:.3f}".lstrip("0"), MUTED, SMALL, "end"))
    if isinstance(dimension, Choice):
        room = (STRIP[1] - STRIP[0]) / len(dimension.values)
        marks = [(dimension.place(value), str(value)) for value in dimension.values]
    else:
        room = 90.0
        marks = [(place, f"{dimension.value(place):g}") for place in (0.0, 0.5, 1.0)]
    for place, text in marks:
        while len(text) > 2 and width_of(text, SMALL) > room - 4:
            text = shortened(text, len(text) - 1)
        parts.append(Line([(across(place), bottom), (across(place), bottom + 3)], MUTED))
        parts.append(Words(across(place), bottom + 15, text, MUTED, SMALL, "middle"))
    best = found.best_trial["number"]
    order = sorted(trials, key=lambda row: (row["number"] in (0, best), row["state"] == "finished"))
    for row in order:
        place = dimension.place(row["options"][dimension.name])
        if isinstance(dimension, Choice):  # spread, so that they are told apart
            place += ((row["number"] * 0.618) % 1.0 - 0.5) * 0.6 / len(dimension.values)
        colour = BLUE if row["state"] == "finished" else PALE
        colour = ORANGE if row["number"] == best else INK if row["number"] == 0 else colour
        level = top + up(min(max(row["estimate"], up.low), up.high))
        parts.append(
            _disc(across(min(max(place, 0.0), 1.0)), level, 4.0 if colour in (INK, ORANGE) else 3.2, colour)
        )


def _share_scale(importance: Sequence[Mapping[str, Any]]) -> Scale:
    """From the lowest share to the largest end of an error, 100 % at most."""
    ends = [row["share"] + row["stderr"] for row in importance]
    low = min([0.0, *(row["share"] for row in importance)])
    return Scale(max(low, -0.2), min(max([0.05, *ends]), 1.0), *BARS)


def _auc_scale(values: Sequence[float]) -> Scale:
    """Of what most trials reached; the worst lie on its lower end."""
    low, high = float(np.quantile(values, LOWEST)), max(values)
    if high - low < 1e-6:
        low, high = low - 0.01, high + 0.01
    return Scale(math.floor(200 * low) / 200, math.ceil(200 * high) / 200, HEIGHT, 0.0)


def _spoken(rows: Sequence[Mapping[str, Any]]) -> str:
    shares = [f"{row['option']} {percent(row['share'])}" for row in rows if "share" in row]
    return f" What mattered: {', '.join(shares)}." if shares else ""


def _disc(x: float, y: float, radius: float, colour: str) -> Area:
    turns = [2 * math.pi * n / 16 for n in range(16)]
    return Area([(x + radius * math.cos(turn), y + radius * math.sin(turn)) for turn in turns], colour)


def _box(x: float, y: float, width: float, height: float) -> list[tuple[float, float]]:
    return [(x, y), (x + width, y), (x + width, y + height), (x, y + height)]
