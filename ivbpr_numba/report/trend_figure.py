"""The figure of ``ivbpr trends``: steps over real dates, how the liking of features changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from ivbpr_numba.report.drawing import Area, Drawing, Line, Picture, Words, width_of
from ivbpr_numba.report.numbers import named, shortened, signed
from ivbpr_numba.report.svg import Scale, round_ticks, spread
from ivbpr_numba.report.time_axis import month_and_year, time_ticks

if TYPE_CHECKING:
    from ivbpr_numba.questions.trends import Trends
    from ivbpr_numba.report.item_pictures import ItemPicture

__all__ = ["few_events", "trend_figure"]

# Okabe and Ito's colours, without the yellow that white swallows.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
INK, MUTED, RULE, EDGE, GREY = "#1d1c1a", "#66615a", "#e4e1db", "#c4bfb6", "#dcdcdc"
WIDTH, MARGIN = 960.0, 28.0
DATE_WIDTH = 40.0
FEW_SHARE, FEW = 0.25, 50  # of an equal share of the events, and in any case so many

Pictures = Mapping[str, Sequence["ItemPicture"]]
Part = Line | Area | Words | Picture


@dataclass(frozen=True)
class _Plot:
    """Where one pair of axes lies, and its scales."""

    across: Scale
    up: Scale
    ticks: Sequence[float]


def few_events(events: np.ndarray) -> np.ndarray:
    """Epochs with less than a quarter of an equal share of the events, or less than fifty, (N,) bool."""
    return events < max(FEW, FEW_SHARE * events.sum() / len(events))


def trend_figure(found: Trends, pictures: Pictures | None = None, z_score: bool = False) -> Drawing:
    """Draw the changes: up to seven features on one pair of axes, more or with pictures in panels.

    Parameters
    ----------
    found : Trends
    pictures : mapping, optional
        Of each feature the items to show beside its curve.
    z_score : bool
        In standard deviations of each feature over the epochs instead of units of the score.
    """
    shown = found.scaled() if z_score else found
    title = f"How the liking of {_counted(len(shown.features), 'feature')} changed, {_period(shown.edges)}"
    unit = "standard deviations over the epochs" if z_score else "units of the score"
    said = (
        f"{shown.model}: mean response of {shown.speakers} to each feature, minus its mean over the "
        f"{_counted(len(shown.events), 'learned epoch')}, in {unit}."
    )
    notes = ["Up: liked more than over the whole time; down: less."]
    if np.isfinite(shown.change_low).any():
        notes[0] += f" {shown.spread}"
    if few_events(shown.events).any():
        notes.append("Grey: epochs with few events.")
    drawing = Drawing(WIDTH, 0.0, title, f"{said} {' '.join(notes)}")
    drawing.parts += [Words(MARGIN, 38, title, INK, 21, bold=True), Words(MARGIN, 60, said, MUTED, 12.5)]
    if pictures is None and len(shown.features) <= len(COLOURS):
        bottom = _together(drawing.parts, shown, notes)
    else:
        bottom = _apart(drawing.parts, shown, pictures or {}, notes)
    for n, note in enumerate(notes):
        drawing.parts.append(Words(MARGIN, bottom + 17 * n, note, MUTED, 11.5))
    drawing.height = bottom + 17 * len(notes)
    return drawing


def _together(parts: list[Part], found: Trends, notes: list[str]) -> float:
    """All features on one pair of axes, each labelled at its end."""
    top, bottom, right = 116.0, 456.0, 726.0
    plot = _axes(parts, found, MARGIN + 34, right, top, bottom, 9)
    _events(parts, found, plot, top - 16, notes)
    ends = []
    for k, feature in enumerate(found.features):
        colour = COLOURS[k % len(COLOURS)]
        _curve(parts, found, k, plot, colour, 3.4, 0.2)
        known = found.change[np.isfinite(found.change[:, k]), k]
        ends.append((plot.up(float(known[-1]) if len(known) else 0.0), feature, colour))
    _dim(parts, found, plot, top, bottom)
    places = _settled([y for y, _, _ in ends], 33, top + 6, bottom - 12)
    for (y, feature, colour), place in zip(ends, places):
        value, group = named(feature)
        parts.append(Line([(right + 3, y), (right + 18, place), (right + 28, place)], colour, 1.2))
        parts.append(Words(right + 32, place + 4, shortened(value, 27), INK, 13.5, bold=True))
        parts.append(Words(right + 32, place + 18, shortened(_spaced(group), 34), MUTED, 11))
    return bottom + 52


def _apart(parts: list[Part], found: Trends, pictures: Pictures, notes: list[str]) -> float:
    """A panel for each feature, all with the same axes, the items that show it best on the left."""
    columns = 1 if len(found.features) <= 3 else 2
    gap, header, height = 36.0, 24.0, 80.0
    width = (WIDTH - 2 * MARGIN - gap * (columns - 1)) / columns
    rows = -(-len(found.features) // columns)
    shown = max((len(kept) for kept in pictures.values()), default=0)
    cell, space = height * 2 / 3, 3.0
    beside = shown * (cell + space) + 8 if shown else 0.0
    first, step = 84.0, header + height + 22
    for k, feature in enumerate(found.features):
        column, row = divmod(k, rows)
        x, y = MARGIN + column * (width + gap), first + row * step
        value, group = named(feature)
        value = shortened(value, 34)
        after = x + width_of(value, 14, bold=True) + 8
        parts.append(Words(x, y + 14, value, INK, 14, bold=True))
        parts.append(Words(after, y + 14, shortened(_spaced(group), 34), MUTED, 11.5))
        _pictures(parts, pictures.get(feature, ()), x, y + header, cell, height, space)
        last = row == rows - 1 or k == len(found.features) - 1
        left, low = x + beside + 34, y + header + height
        plot = _axes(parts, found, left, x + width, y + header, low, 3, last)
        _curve(parts, found, k, plot, COLOURS[0], 3, 0.25)
        _dim(parts, found, plot, y + header, low)
        if last:
            _events(parts, found, plot, low + 33, notes)
    return first + rows * step + 46


def _axes(
    parts: list[Part],
    found: Trends,
    left: float,
    right: float,
    top: float,
    bottom: float,
    about: int,
    dated: bool = True,
) -> _Plot:
    """Grid, numbers, dates and the edges of the epochs; the same scale for every part of a figure."""
    start, end = int(found.edges[0]), int(found.edges[-1])
    across = Scale(start, end, left, right)
    known = np.concatenate([a.ravel() for a in (found.change, found.change_low, found.change_high)])
    known = known[np.isfinite(known)]
    low, high = float(known.min(initial=0.0)), float(known.max(initial=0.0))
    if low == high:
        low, high = -1.0, 1.0
    ticks = round_ticks(low, high, about)
    up = Scale(min(ticks[0], low), max(ticks[-1], high), bottom, top)
    digits = max(0, -int(np.floor(np.log10(ticks[1] - ticks[0]) + 1e-9)))
    for tick in ticks:
        y = up(tick)
        parts.append(Line([(left, y), (right, y)], MUTED if tick == 0 else RULE, 1))
        parts.append(Words(left - 6, y + 4, signed(tick, digits), MUTED, 11, "end"))
    for edge in found.edges[1:-1].tolist():
        parts.append(Line([(across(edge), top), (across(edge), bottom)], EDGE, 0.8, (2, 3)))
    for moment, label in time_ticks(start, end, int((right - left) / DATE_WIDTH)):
        x = across(moment)
        parts.append(Line([(x, bottom), (x, bottom + 4)], MUTED, 1))
        if dated:
            parts.append(Words(x, bottom + 17, label, MUTED, 11, "middle"))
    return _Plot(across, up, ticks)


def _curve(
    parts: list[Part], found: Trends, k: int, plot: _Plot, colour: str, width: float, opacity: float
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


def _steps(edges: list[float], places: list[float], begin: int, stop: int) -> list[tuple[float, float]]:
    return [(edges[n + side], places[n]) for n in range(begin, stop) for side in (0, 1)]


def _settled(wanted: list[float], gap: float, low: float, high: float) -> list[float]:
    """Positions apart by `gap`, those in a crowd pushed to both sides alike."""
    forward = spread(wanted, gap, low, high)
    backward = spread([-place for place in wanted], gap, -high, -low)
    return [(a - b) / 2 for a, b in zip(forward, backward)]


def _runs(known: np.ndarray) -> list[tuple[int, int]]:
    """Begin and end of each run of True."""
    steps = np.diff(np.concatenate([[0], known.astype(np.int8), [0]]))
    return list(zip(np.flatnonzero(steps > 0).tolist(), np.flatnonzero(steps < 0).tolist()))


def _dim(parts: list[Part], found: Trends, plot: _Plot, top: float, bottom: float) -> None:
    """Grey over the epochs with few events."""
    edges = found.edges.tolist()
    for n in np.flatnonzero(few_events(found.events)).tolist():
        left, right = plot.across(edges[n]), plot.across(edges[n + 1])
        parts.append(Area([(left, top), (right, top), (right, bottom), (left, bottom)], GREY, 0.7))


def _events(parts: list[Part], found: Trends, plot: _Plot, y: float, notes: list[str]) -> None:
    """The number of events of each epoch above or below it, or in a note where there is no room."""
    edges, events = found.edges.tolist(), found.events.tolist()
    left, right = plot.across.start, plot.across.end
    for labels in ([f"{n:,}" for n in events], [_brief(n) for n in events]):
        gap = max(width_of(label, 11) for label in labels) + 8
        if gap * len(labels) <= right - left:
            break
    else:
        text = f"Events in epochs 0 to {len(events) - 1}: {' · '.join(f'{n:,}' for n in events)}."
        if text not in notes:
            notes.append(text)
        return
    middle = [plot.across((a + b) / 2) for a, b in pairwise(edges)]
    places = _settled(middle, gap, left + gap / 2, right - gap / 2)
    parts.append(Words(left - 6, y, "events", MUTED, 11, "end"))
    for place, label in zip(places, labels):
        parts.append(Words(place, y, label, MUTED, 11, "middle"))


def _pictures(
    parts: list[Part],
    kept: Sequence[ItemPicture],
    x: float,
    y: float,
    width: float,
    height: float,
    space: float,
) -> None:
    """Pictures side by side, each as large as its cell allows."""
    for n, picture in enumerate(kept):
        scale = min(width / picture.width, height / picture.height)
        w, h = picture.width * scale, picture.height * scale
        left = x + n * (width + space) + (width - w) / 2
        parts.append(Picture(left, y + (height - h) / 2, w, h, picture.jpeg, picture.item))


def _brief(number: int) -> str:
    """1.6k, 24k, 3.1M."""
    for unit, name in ((10**6, "M"), (10**3, "k")):
        if number >= unit:
            return f"{number / unit:.1f}{name}" if number < 10 * unit else f"{number / unit:.0f}{name}"
    return str(number)


def _period(edges: np.ndarray) -> str:
    first, last = month_and_year(int(edges[0])), month_and_year(int(edges[-1]) - 1)
    return first if first == last else f"{first} – {last}"


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}" + ("" if number == 1 else "s")


def _spaced(name: str) -> str:
    return name.replace("_", " ")
