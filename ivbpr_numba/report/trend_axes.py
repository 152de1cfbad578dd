"""Axes of the figure of ``ivbpr trends``: seasons, grid, dates, the edges of epochs, steps, events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from ivbpr_numba.report.drawing import Area, Line, Picture, Words, width_of
from ivbpr_numba.report.numbers import signed
from ivbpr_numba.report.svg import Scale, round_ticks, spread
from ivbpr_numba.report.time_axis import time_ticks

if TYPE_CHECKING:
    from ivbpr_numba.questions.trends import Trends

__all__ = [
    *("COLOURS", "INK", "MUTED", "Part", "Plot", "axes", "curve", "dim", "end_value", "events_row"),
    *("few_events", "season_bands", "settled"),
]

# Okabe and Ito's colours, without the yellow that white swallows.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
INK, MUTED, RULE, EDGE, GREY = "#1d1c1a", "#66615a", "#e4e1db", "#c4bfb6", "#dcdcdc"
# Months that a band is painted behind, with its colour: both faint, neither says which is summer.
BANDS = (((12, 1, 2), "#edf3f9"), ((6, 7, 8), "#fbf3e2"))
DATE_WIDTH = 44.0
FEW_SHARE, FEW = 0.25, 50  # of an equal share of the events, and in any case so many
A_YEAR, MOST_YEARS = 0.95 * 365.2425 * 86_400, 15  # seconds; more years would be a fence

Part = Line | Area | Words | Picture


@dataclass(frozen=True)
class Plot:
    """Where one pair of axes lies, and its scales."""

    across: Scale
    up: Scale

    @property
    def top(self) -> float:
        """The upper edge."""
        return self.up.end

    @property
    def bottom(self) -> float:
        """The lower edge, with the dates below it."""
        return self.up.start


def few_events(events: np.ndarray) -> np.ndarray:
    """Epochs with less than a quarter of an equal share of the events, or less than fifty, (N,) bool."""
    return events < max(FEW, FEW_SHARE * events.sum() / len(events))


def season_bands(edges: np.ndarray) -> list[tuple[int, int, str]]:
    """Begin, end and colour of each December to February, and June to August, where data span a year."""
    start, end = int(edges[0]), int(edges[-1])
    if not A_YEAR <= end - start <= MOST_YEARS * A_YEAR:
        return []
    found = []
    for year in range(_year(start) - 1, _year(end) + 1):
        for months, colour in BANDS:
            begin = datetime(year, months[0], 1, tzinfo=UTC)
            past = months[-1] + 1
            stop = datetime(year + (past <= months[0]), past, 1, tzinfo=UTC)
            a, b = max(start, int(begin.timestamp())), min(end, int(stop.timestamp()))
            if a < b:
                found.append((a, b, colour))
    return sorted(found)


def axes(
    parts: list[Part], found: Trends, left: float, right: float, top: float, bottom: float, about: int
) -> Plot:
    """Seasons, grid, numbers, dates and the edges of the epochs; one scale for every part of a figure."""
    start, end = int(found.edges[0]), int(found.edges[-1])
    across = Scale(start, end, left, right)
    known = np.concatenate([a.ravel() for a in (found.change, found.change_low, found.change_high)])
    known = known[np.isfinite(known)]
    low, high = float(known.min(initial=0.0)), float(known.max(initial=0.0))
    if low == high:
        low, high = -1.0, 1.0
    room = 0.04 * (high - low)
    low, high = low - room, high + room
    ticks = round_ticks(low, high, about)
    digits = max(0, -int(np.floor(np.log10(ticks[1] - ticks[0]) + 1e-9)))
    up = Scale(low, high, bottom, top)
    for begin, stop, colour in season_bands(found.edges):
        parts.append(_box(across(begin), across(stop), top, bottom, colour, 1.0))
    for tick in (tick for tick in ticks if low <= tick <= high):
        y = up(tick)
        parts.append(Line([(left, y), (right, y)], MUTED if tick == 0 else RULE, 1))
        parts.append(Words(left - 6, y + 4, signed(tick, digits), MUTED, 11, "end"))
    for edge in found.edges[1:-1].tolist():
        parts.append(Line([(across(edge), top), (across(edge), bottom)], EDGE, 0.8, (2, 3)))
    for moment, label in time_ticks(start, end, int((right - left) / DATE_WIDTH)):
        x = across(moment)
        parts.append(Line([(x, bottom), (x, bottom + 4)], MUTED, 1))
        parts.append(Words(x, bottom + 16, label, MUTED, 11, "middle"))
    return Plot(across, up)


def curve(
    parts: list[Part], found: Trends, k: int, plot: Plot, colour: str, width: float, opacity: float
) -> None:
    """Steps of one feature and the band around them; epochs without a value interrupt both."""
    edges = [plot.across(edge) for edge in found.edges.tolist()]
    low, high, middle = (
        [plot.up(value) for value in values[:, k].tolist()]
        for values in (found.change_low, found.change_high, found.change)
    )
    for begin, stop in _runs(np.isfinite(found.change_low[:, k])):
        band = [*_steps(edges, low, begin, stop), *reversed(_steps(edges, high, begin, stop))]
        parts.append(Area(band, colour, opacity))
    for begin, stop in _runs(np.isfinite(found.change[:, k])):
        parts.append(Line(_steps(edges, middle, begin, stop), colour, 0.9, name=found.features[k]))
        for n in range(begin, stop):
            parts.append(Line(_steps(edges, middle, n, n + 1), colour, width))


def end_value(found: Trends, k: int) -> float | None:
    """The change in the last epoch that has one."""
    known = found.change[np.isfinite(found.change[:, k]), k]
    return float(known[-1]) if len(known) else None


def dim(parts: list[Part], found: Trends, plot: Plot) -> None:
    """Grey over the epochs with few events."""
    edges = found.edges.tolist()
    for n in np.flatnonzero(few_events(found.events)).tolist():
        left, right = plot.across(edges[n]), plot.across(edges[n + 1])
        parts.append(_box(left, right, plot.top, plot.bottom, GREY, 0.7))


def events_row(parts: list[Part], found: Trends, plot: Plot, y: float) -> bool:
    """The number of events of each epoch above or below it; False, and nothing, where there is no room."""
    edges, events = found.edges.tolist(), found.events.tolist()
    left, right = plot.across.start, plot.across.end
    for labels in ([f"{n:,}" for n in events], [_brief(n) for n in events]):
        gap = max(width_of(label, 11) for label in labels) + 8
        if gap * len(labels) <= right - left:
            break
    else:
        return False
    middle = [plot.across((a + b) / 2) for a, b in pairwise(edges)]
    places = settled(middle, gap, left + gap / 2, right - gap / 2)
    parts.append(Words(left - 6, y, "events", MUTED, 11, "end"))
    for place, label in zip(places, labels):
        parts.append(Words(place, y, label, MUTED, 11, "middle"))
    return True


def settled(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Positions apart by `gap`, those in a crowd pushed to both sides alike."""
    forward = spread(wanted, gap, low, high)
    backward = spread([-place for place in wanted], gap, -high, -low)
    return [(a - b) / 2 for a, b in zip(forward, backward)]


def _box(left: float, right: float, top: float, bottom: float, colour: str, opacity: float) -> Area:
    return Area([(left, top), (right, top), (right, bottom), (left, bottom)], colour, opacity)


def _steps(edges: list[float], places: list[float], begin: int, stop: int) -> list[tuple[float, float]]:
    return [(edges[n + side], places[n]) for n in range(begin, stop) for side in (0, 1)]


def _runs(known: np.ndarray) -> list[tuple[int, int]]:
    """Begin and end of each run of True."""
    steps = np.diff(np.concatenate([[0], known.astype(np.int8), [0]]))
    return list(zip(np.flatnonzero(steps > 0).tolist(), np.flatnonzero(steps < 0).tolist()))


def _year(seconds: int) -> int:
    return datetime.fromtimestamp(seconds, UTC).year


def _brief(number: int) -> str:
    """1.6k, 24k, 3.1M."""
    for unit, name in ((10**6, "M"), (10**3, "k")):
        if number >= unit:
            return f"{number / unit:.1f}{name}" if number < 10 * unit else f"{number / unit:.0f}{name}"
    return str(number)
